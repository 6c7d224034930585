"""Angles against images turned by known ones, by hand, by the decoder and by a training."""

import numpy as np
import pytest
from made_model import shaken, small
from skimage.transform import rotate

from zbo.judge import angles
from zbo.judge.angles import Polar, angle, decoded, likelihood, mean, reconstructed, wrapped
from zbo.trainer import jrvae, training

SHAPE = (17, 17)
DEGREES = np.array([0, 30, 90, 135, 200, 271, 359])


def bar(side=17, length=0.8, width=0.15, both=False):
    """A hand of a clock that points to the right, or both ways."""
    row, column = np.mgrid[:side, :side] / (side - 1) * 2 - 1
    along = (np.abs(column) if both else column) - length / 2
    return np.exp(-((row / width) ** 2) - (along / (length / 2)) ** 4).astype(np.float32)


def off(found, expected, symmetry=1):
    """How far two angles are apart, degrees."""
    return np.abs(np.rad2deg(wrapped(found - np.deg2rad(expected), symmetry)))


def test_polar_samples_follow_the_image():
    """A hand to the right lies a quarter turn from "down", against the clock."""
    (polar,) = Polar(SHAPE).of(bar()[None])
    assert polar[4].argmax() == angles.SAMPLED * 3 // 4


def test_an_image_turned_counter_clockwise_has_a_larger_angle():
    """The convention, without any model: turned images against the original."""
    polar = Polar(SHAPE)
    turned = np.stack([rotate(bar(), d) for d in DEGREES]).astype(np.float32)
    there = np.fft.rfft(polar.of(turned), axis=2)
    product = (there.conj() * np.fft.rfft(polar.of(bar()[None]), axis=2)).sum(1)
    found = np.fft.irfft(product, angles.FINE)
    assert (off(angle(100 * found, np.ones(7, int))[0], DEGREES) < 1).all()


@pytest.mark.parametrize("invariances", [("r",), ("r", "t"), ("r", "s"), ("r", "t", "s")])
@pytest.mark.parametrize("decoder", ["bernoulli", "gaussian"])
def test_the_angle_that_made_an_image_is_found(invariances, decoder):
    model = shaken(small(image_shape=SHAPE, invariances=invariances, decoder=decoder))
    coordinates = model.coord
    z = np.random.default_rng(0).normal(0, 0.3, (7, coordinates + 2)).astype(np.float32)
    z[:, 0] = np.deg2rad(DEGREES)
    classes = np.arange(7) % 3
    images = reconstructed(model, z, classes)
    z[:, 0] = 5  # is not to be looked at
    found, _ = angle(likelihood(model, images, z, classes, sigma=0.3), np.ones(7, int))
    assert (off(found, DEGREES) < 2.5).all()


def test_the_decoders_angle_turns_images_counter_clockwise():
    """pyroVED's angle, pinned: decoded at φ is decoded at 0, turned by +φ as skimage turns."""
    model = shaken(small(image_shape=(41, 41)))
    z = np.zeros((2, 3), np.float32)
    z[1, 0] = np.deg2rad(40)
    upright, turned = reconstructed(model, z, np.array([1, 1]))
    inside = np.hypot(*(np.mgrid[:41, :41] - 20)) < 19
    same = np.abs(rotate(upright, 40, order=1) - turned)[inside].max()
    other = np.abs(rotate(upright, -40, order=1) - turned)[inside].max()
    assert same < 0.05 < other


def test_reconstruction_is_what_the_model_decodes():
    model = shaken(small())
    z = np.zeros((1, 3), np.float32)
    own = decoded(model, z, np.array([2]), model.grid.numpy())
    np.testing.assert_allclose(own.reshape(1, 6, 5), reconstructed(model, z, np.array([2])))
    middle = jrvae.traversal(model, 3)[0, 2, 1]  # all latents 0
    np.testing.assert_allclose(middle, reconstructed(model, z, np.array([2]))[0], atol=1e-6)


def test_symmetry():
    polar = Polar(SHAPE)
    pointing, both = bar(), bar(both=True)
    cross = np.maximum(both, both.T)
    disc = (np.hypot(*(np.mgrid[:17, :17] - 8)) < 5).astype(np.float32)
    found = [angles.symmetry(polar.of(one[None])[0]) for one in (pointing, both, cross, disc)]
    assert found == [1, 2, 4, 0]


@pytest.mark.parametrize(
    ("share", "expected"), [(0, 1), (0.02, 1), (0.1, 2), (0.5, 2), (0.9, 2), (1, 1)]
)
def test_a_class_that_holds_an_object_both_ways_up_is_twofold(share, expected):
    (up,), (down,) = (Polar(SHAPE).of(one[None]) for one in (bar(), bar()[::-1, ::-1]))
    rng = np.random.default_rng(0)
    members = np.array([down] * round(100 * share) + [up] * round(100 * (1 - share)))
    members = members + 0.05 * rng.standard_normal(members.shape)
    assert angles.common_symmetry(members) == expected


def test_a_class_has_the_symmetry_of_most_members():
    """However they lie: a letter turned every way is not round."""
    polar, cross = Polar(SHAPE), np.maximum(bar(both=True), bar(both=True).T)
    several = [rotate(bar(), d) for d in (10, 20, -30)] + [cross] * 5
    assert angles.common_symmetry(polar.of(np.array(several))) == 4
    hands = polar.of(np.array([rotate(bar(), d) for d in range(-80, 81, 5)]))
    assert angles.common_symmetry(hands) == 1


def test_angles_are_modulo_the_symmetry():
    where = np.rad2deg(2 * np.pi * np.arange(360) / 360)
    twice = np.cos(2 * np.deg2rad(where - 100))[None] * 20  # 100 or 280 degrees
    found, sd = angle(twice, np.array([2]))
    assert off(found, 100, 2)[0] < 0.1 and -np.pi / 2 <= found[0] < np.pi / 2
    # Of exp(20 cos 2x): variance 1 / (4 * 20) while it is sharp.
    assert sd[0] == pytest.approx(np.sqrt(1 / 80), rel=0.05)
    assert angle(twice, np.array([1]))[1][0] > 1  # either of two, half a turn apart
    assert np.isnan(angle(twice, np.array([0]))).all()


def test_a_mean_of_angles_knows_that_they_are_round():
    assert np.rad2deg(mean(np.deg2rad([170.0, -170.0]), 1)) % 360 == pytest.approx(180)
    assert np.rad2deg(mean(np.deg2rad([80.0, -80.0]), 2)) % 180 == pytest.approx(90)
    assert mean(np.array([np.nan]), 1) == 0


@pytest.mark.slow
def test_a_trained_model_says_how_objects_are_turned():
    """Two kinds of hands, turned by any angle: found to a degree, relative to their kind."""
    rng = np.random.default_rng(0)
    kind, turn = rng.integers(0, 2, 600), rng.uniform(0, 360, 600)
    hands = bar(), np.maximum(bar(), 0.7 * bar(length=0.5).T)
    images = np.stack([rotate(hands[k], d) for k, d in zip(kind, turn, strict=True)])
    images = np.clip(images + rng.normal(0, 0.05, images.shape), 0, 1).astype(np.float32)
    settings = jrvae.ModelSettings(image_shape=SHAPE, classes=2, hidden_dim=(64, 64))
    model = jrvae.build(settings, 0)
    ones = np.ones(60)
    training.train(
        model,
        images,
        ones,
        ones,
        training.TrainingSettings(learning_rate=3e-3, batch_size=30),
        0,
    )
    encoding = jrvae.encode(model, images)
    classes = encoding.probabilities.argmax(1)
    expected = likelihood(model, images, encoding.z_mean, classes, sigma=np.nan)
    found, sd = angle(expected, np.ones(600, int))
    for group in range(4):  # a kind and a class each has a zero of its own
        own = 2 * kind + classes == group
        apart = wrapped(found[own] - np.deg2rad(turn[own]))
        wrong = np.rad2deg(np.abs(wrapped(apart - mean(apart, 1))))
        assert not len(wrong) or (np.median(wrong) < 1 and np.quantile(wrong, 0.99) < 5)
        assert (np.rad2deg(sd[own]) < 10).all()


def test_angles_that_follow_true_ones_but_for_a_constant_a_group_have_a_resultant_of_one():
    rng = np.random.default_rng(0)
    true, groups = rng.uniform(-180, 180, 60), np.arange(60) % 2
    found = true + np.array([30, -70])[groups]
    twofold = (found + 180 * rng.integers(2, size=60)) % 360
    ones, twos = np.ones(60, int), np.full(60, 2)
    assert angles.resultant(found, true, groups, ones) == (pytest.approx(1), 1)
    assert angles.resultant(twofold, true, groups, twos) == (pytest.approx(1), 1)
    assert angles.resultant(twofold, true, groups, ones)[0] < 0.5
    # Two equal groups, 100 degrees apart.
    (length, _), square = (
        angles.resultant(found, true, 0 * groups, ones),
        np.cos(np.pi * 5 / 18) ** 2,
    )
    assert length == pytest.approx(np.sqrt((60 * square - 1) / 59))
    found[groups == 1] = np.nan  # a round class
    assert angles.resultant(found, true, groups, ones) == (pytest.approx(1), 0.5)
    length, share = angles.resultant(found, true, np.arange(60), ones)
    assert np.isnan(length) and share == 0


def test_angles_of_chance_have_a_resultant_of_about_nothing():
    rng = np.random.default_rng(0)
    found, true = rng.uniform(-180, 180, (2, 3000))
    length, _ = angles.resultant(found, true, np.arange(3000) % 250, np.ones(3000, int))
    assert length < 0.17  # 0.25 where the bias of groups of twelve is left in
