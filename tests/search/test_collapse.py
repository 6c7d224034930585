"""collapse: each way to learn nothing is named, and a training that learned is let pass."""

import math

import numpy as np
import pytest

from zbo.search import collapse, objective

N, K = 300, 3
RNG = np.random.default_rng(0)
ALIVE = RNG.standard_normal((N, 3)), np.full((N, 3), 0.1)


def named(probabilities, mean, sd):
    return collapse.named({"probabilities": probabilities, "z_mean": mean, "z_sd": sd}, latents=2)


def sure(labels):
    return np.full((N, K), 0.01) + 0.97 * np.eye(K)[labels]


@pytest.mark.parametrize(
    "probabilities, said",
    [
        (sure(np.zeros(N, int)), "one holds 100% of the images"),
        (np.full((N, K), 1 / K), "no image is told its class"),
        (sure(np.arange(N) % 2), "1 of 3 classes are empty"),
    ],
)
def test_a_collapse_of_classes_is_named(probabilities, said):
    (sentence,) = named(probabilities, *ALIVE)
    assert said in sentence


@pytest.mark.parametrize(
    "probabilities", [sure(np.arange(N) % K), np.empty((N, 0)), np.ones((N, 1))]
)
def test_what_learned_passes(probabilities):
    assert named(probabilities, *ALIVE) == []


def test_dead_latents_are_counted_without_those_of_the_coordinates():
    mean, sd = ALIVE[0].copy(), ALIVE[1].copy()
    mean[:, :2], sd[:, :2] = 0, 1  # the angle and one of two latents
    (sentence,) = named(sure(np.arange(N) % K), mean, sd)
    assert "1 of 2 latents are dead" in sentence
    np.testing.assert_array_equal(objective.active_units(mean), [False, False, True])


def test_nats_are_the_kl_by_hand():
    found = objective.nats(np.array([[1.0, 0.0]]), np.array([[1.0, math.exp(-1)]]))
    np.testing.assert_allclose(found, [0.5, (math.exp(-2) - 1) / 2 + 1])
