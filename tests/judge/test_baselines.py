"""Clusters of pixels."""

import numpy as np
from skimage.transform import rotate

from zbo.judge import baselines
from zbo.judge.scores import YARDSTICKS, label_scores


def shapes(n=90):
    """A hand, a double hand and a disc, each turned by any angle."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[-8:9, -8:9] / 8
    hand = np.exp(-((row / 0.2) ** 2) - ((column - 0.4) / 0.4) ** 4)
    kinds = hand, np.maximum(hand, hand[:, ::-1]), np.exp(-((row**2 + column**2) / 0.2))
    labels = np.arange(n) % 3
    turned = [rotate(kinds[k], rng.uniform(0, 360)) for k in labels]
    return np.array(turned, np.float32), labels


def test_the_description_does_not_change_when_images_turn():
    images, _ = shapes(3)
    first = baselines.turned(images)
    second = baselines.turned(np.stack([rotate(image, 90) for image in images]))
    np.testing.assert_allclose(second, first, atol=0.02 * first.max())
    assert np.abs(first[0] - first[2]).max() > 0.2 * first.max()


def test_turned_shapes_are_told_apart_by_it_alone():
    images, labels = shapes()
    found = {}
    for name, _, classes, _ in baselines.yardsticks(images, 3, [0]):
        found[name] = label_scores(classes, labels).accuracy
    assert tuple(found) == tuple(YARDSTICKS)
    assert found["turned-kmeans"] > 0.95 > 0.8 > found["pixels-kmeans"]
