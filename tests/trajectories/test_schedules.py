"""Schedules made by hand: a few forms of each, as published."""

import numpy as np
import pytest

from zbo.base import compared
from zbo.trajectories import schedules

BOUNDS = (0.04, 2.0)


def forms(name, count=5, cycles=48):
    return schedules.forms(name, BOUNDS, cycles, count)


def test_every_schedule_that_is_compared_can_be_laid_out():
    assert list(schedules.SCHEDULES) == list(compared.SCHEDULES)
    for name in compared.SCHEDULES:
        assert compared.named(name).follows == f"best_{name}.h5"


@pytest.mark.parametrize("name", schedules.SCHEDULES)
def test_forms_differ_in_their_heights_alone_evenly_in_the_logarithm(name):
    beta = forms(name)
    assert beta.shape == (5, 48) and beta.dtype == np.float32
    assert beta.min() >= BOUNDS[0] - 1e-6 and beta.max() == pytest.approx(BOUNDS[1])
    heights = beta.max(1)
    np.testing.assert_allclose(np.diff(np.log(heights), n=2), 0, atol=1e-5)
    shares = (beta - BOUNDS[0])[1:] / (heights - BOUNDS[0])[1:, None]
    np.testing.assert_allclose(shares, shares[:1].repeat(4, 0), atol=1e-5)


@pytest.mark.parametrize("name", [name for name in schedules.SCHEDULES if name != "constant"])
def test_no_other_schedule_spends_a_form_on_a_constant(name):
    assert (np.ptp(forms(name), axis=1) > 0).all()


def test_warmup_rises_to_half_of_the_training_and_stays():
    beta = forms("warmup")
    assert (np.diff(beta[:, :25], axis=1) > 0).all()
    assert (np.diff(beta[:, 24:], axis=1) == 0).all()
    np.testing.assert_allclose(beta[:, 0], BOUNDS[0])


def test_cyclical_warms_up_four_times():
    beta = forms("cyclical")
    np.testing.assert_allclose(beta, np.tile(beta[:, :12], 4), rtol=1e-5)
    assert (beta[:, 6:12] == beta[:, 6:7]).all() and (np.diff(beta[:, :7], axis=1) > 0).all()


def test_cooldown_is_the_middle_of_the_papers_family():
    beta = forms("cooldown")
    assert (np.diff(beta[:, :5], axis=1) == 0).all()  # a twelfth of 48
    assert (np.diff(beta[:, 4:21], axis=1) < 0).all()  # a third
    np.testing.assert_allclose(beta[:, 20:], BOUNDS[0], rtol=1e-5)


def test_beta_d_stays_in_the_geometric_middle_of_its_bounds():
    alone = schedules.forms("constant", (1, 100), 2, 3)
    np.testing.assert_allclose(alone, [[1, 1], [10, 10], [100, 100]], rtol=1e-6)
    both = schedules.forms("constant", ((1, 100), (0.05, 0.8)), 2, 3)
    np.testing.assert_array_equal(both[:, 0], alone)
    np.testing.assert_allclose(both[:, 1], 0.2, rtol=1e-6)


def test_a_single_constant_is_the_geometric_middle():
    np.testing.assert_allclose(schedules.forms("constant", (1, 100), 2, 1), [[10, 10]], rtol=1e-6)
