"""Label scores against numbers worked out by hand."""

import numpy as np
import pytest

from zbo.judge.scores import classes_of, kinds, label_scores, rotation_share

LABELS = np.array([0, 0, 0, 1, 1, 2])


def test_a_relabelled_truth_is_perfect():
    found = label_scores(np.array([2, 2, 2, 0, 0, 1]), LABELS)
    assert (found.accuracy, found.ari, found.nmi, found.purity) == pytest.approx((1, 1, 1, 1))
    assert found.extracted == 3


def test_by_hand():
    """Class 0 holds labels 0, 0, 1; class 1 holds 0, 1, 2."""
    found = label_scores(np.array([0, 0, 1, 0, 1, 1]), LABELS)
    assert found.accuracy == pytest.approx(3 / 6)  # 0 -> label 0 (2 right), 1 -> label 1 (1 right)
    assert found.purity == pytest.approx((2 + 1) / 6)
    # Pairs together in both: {0,0} in class 0. Together in classes: 3 + 3; in labels: 3 + 1.
    expected = 6 * 4 / 15
    assert found.ari == pytest.approx((1 - expected) / ((6 + 4) / 2 - expected))


def test_one_class_for_all_extracts_one_label():
    found = label_scores(np.zeros(6, int), LABELS)
    assert found.extracted == 1
    assert found.accuracy == found.purity == pytest.approx(0.5)
    assert found.ari == pytest.approx(0)
    assert found.nmi == pytest.approx(0)


def test_more_classes_than_labels_is_pure_but_not_accurate():
    found = label_scores(np.arange(6), LABELS)
    assert found.purity == 1
    assert found.accuracy == pytest.approx(3 / 6)
    assert found.extracted == 3


def test_a_model_without_classes_is_judged_by_clusters_of_its_latents():
    z = np.concatenate([np.zeros((3, 2)), np.ones((2, 2)), [[5.0, 5.0]]])
    found = classes_of(np.empty((6, 0)), z, classes=3, seed=0)
    assert label_scores(found, LABELS).accuracy == 1
    probabilities = np.eye(3)[[0, 0, 0, 1, 1, 2]] * 0.9
    np.testing.assert_array_equal(classes_of(probabilities, z, 3, 0), LABELS)


def test_less_than_half_of_a_class_extracts_nothing():
    """Class 0 holds labels 0, 0, 1; class 1 holds 0, 1, 2, no label half of it."""
    assert label_scores(np.array([0, 0, 1, 0, 1, 1]), LABELS).extracted == 1


def test_rotation_is_found_in_latents_that_hold_it_and_in_no_others():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, np.pi, 400)
    row, column = np.mgrid[-8:9, -8:9]
    distance = np.sin(angle)[:, None, None] * column - np.cos(angle)[:, None, None] * row
    along = np.cos(angle)[:, None, None] * column + np.sin(angle)[:, None, None] * row
    bars = np.exp(-(distance**2) / 4 - along**2 / 30)
    bars = np.pad(bars, ((0, 0), (7, 0), (0, 3)))  # where it is in the frame does not matter
    labels, one = rng.integers(0, 2, 400), np.zeros(400, int)
    turned = np.stack((np.cos(2 * angle), np.sin(2 * angle)), 1)
    other = rng.normal(size=(400, 2))
    sure = np.full((400, 2), 1e-3)
    assert rotation_share(bars, turned, sure, labels, one) > 0.99
    assert abs(rotation_share(bars, other, sure, labels, one)) < 0.03
    half = np.stack((turned[:, 0], rng.normal(0, np.sqrt(0.5), 400)), 1)  # variances alike
    assert rotation_share(bars, half, sure, labels, one) == pytest.approx(0.5, abs=0.05)
    # Posteriors as wide as the means are spread: half of the variance is no longer explained.
    wide = np.full((400, 2), np.sqrt(0.5))
    assert rotation_share(bars, turned, wide, labels, one) == pytest.approx(0.5, abs=0.05)
    few = bars[:10], other[:10], sure[:10], labels[:10], one[:10]
    assert np.isnan(rotation_share(*few))


def test_images_without_a_label_are_no_kind_and_judge_nothing():
    labels = np.array([0, 0, 1, 1, -1, -1])
    assert kinds(labels) == 2
    found = label_scores(np.array([1, 1, 0, 0, 2, 0]), labels)
    assert (found.accuracy, found.ari) == (1, 1)
    rng = np.random.default_rng(0)
    images, latents = rng.random((60, 9, 9)), rng.normal(size=(60, 2))
    sure, one = np.full((60, 2), 1e-3), np.zeros(60, int)
    labelled = np.zeros(60, int)
    labelled[30:] = -1
    half = (part[:30] for part in (images, latents, sure, labelled, one))
    assert rotation_share(images, latents, sure, labelled, one) == rotation_share(*half)
