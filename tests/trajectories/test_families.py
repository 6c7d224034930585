"""Trajectory families: invariants that every registered family inherits, and each one's shape."""

import sys

import numpy as np
import pytest

from zbo.base import channels
from zbo.base.errors import InputError
from zbo.trajectories import families

BOUNDS = (0.5, 20.0)
BOTH = (BOUNDS, (0.05, 0.8))  # of beta_c and of beta_d


@pytest.fixture(params=list(families.FAMILIES))
def family(request):
    return families.FAMILIES[request.param]


def draw(family, seed=0, samples=200, cycles=60):
    return family(samples, cycles, BOUNDS, np.random.default_rng(seed))


def test_shape_and_bounds(family):
    beta = draw(family)
    assert beta.shape == (200, 60)
    assert beta.min() >= BOUNDS[0] - 1e-9
    assert beta.max() <= BOUNDS[1] + 1e-9


def test_seeded_and_varied(family):
    np.testing.assert_array_equal(draw(family), draw(family))
    assert len(np.unique(draw(family), axis=0)) == 200


def test_scales_with_the_bounds(family):
    """The same draw in bounds ten times larger is ten times larger: no unit is built in."""
    tenfold = tuple(10 * bound for bound in BOUNDS)
    np.testing.assert_allclose(
        family(50, 40, tenfold, np.random.default_rng(3)),
        10 * family(50, 40, BOUNDS, np.random.default_rng(3)),
        rtol=1e-9,
    )


def test_linear_cooldown_only_falls_and_settles():
    beta = draw(families.linear_cooldown)
    assert (np.diff(beta, axis=1) <= 1e-9).all()
    assert (beta[:, 0] >= 0.6 * BOUNDS[1] - 1e-9).all()
    assert (beta[:, -1] <= 0.1 * BOUNDS[1] + 1e-9).all()
    np.testing.assert_allclose(beta[:, -1], beta[:, -2])  # settled


def test_periodic_oscillates_and_spans_the_bounds():
    beta = draw(families.periodic)
    np.testing.assert_allclose(beta.min(1), BOUNDS[0])
    np.testing.assert_allclose(beta.max(1), BOUNDS[1])
    turns = (np.diff(np.sign(np.diff(beta, axis=1)), axis=1) != 0).sum(1)
    assert np.median(turns) >= 4  # 8..14 radians a unit over two units: 2.5 to 4.5 periods


def test_constant_stays():
    assert (np.ptp(draw(families.constant), axis=1) == 0).all()


def test_segments_are_lines_but_for_noise():
    beta = draw(families.segments)
    noise = 0.02 * (BOUNDS[1] - BOUNDS[0])
    bends = np.abs(np.diff(beta, n=2, axis=1)) > 6 * np.sqrt(6) * noise
    assert bends.sum(1).max() <= 4  # two knots, each seen by at most two second differences


def test_sample_labels_families_and_does_not_mix_their_streams():
    both, family = families.sample(["constant", "segments"], 5, 30, BOUNDS, seed=1)
    assert both.shape == (10, 30)
    assert family.tolist() == [0] * 5 + [1] * 5
    first, _ = families.sample(["constant"], 5, 30, BOUNDS, seed=1)
    np.testing.assert_array_equal(first, both[:5])


def test_a_family_of_ones_own_by_import_path(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def ramp(samples, cycles, bounds, rng):\n"
        "    return np.tile(np.linspace(*bounds, cycles), (samples, 1))\n"
        "def short(samples, cycles, bounds, rng):\n"
        "    return np.ones((samples, cycles - 1))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    beta, _ = families.sample(["mine:ramp"], 2, 3, (1, 3), seed=0)
    assert beta.tolist() == [[1, 2, 3], [1, 2, 3]]
    with pytest.raises(InputError, match=r"'mine:short' gave shape \(2, 2\)"):
        families.sample(["mine:short"], 2, 3, (1, 3), seed=0)
    with pytest.raises(InputError, match=r"'mine:none'.*give module:function"):
        families.sample(["mine:none"], 2, 3, (1, 3), seed=0)
    sys.modules.pop("mine")


def test_an_unknown_family_lists_those_there_are():
    with pytest.raises(InputError, match="no family 'spiral'; choose from linear_cooldown"):
        families.sample(["spiral"], 2, 3, BOUNDS, seed=0)


def test_a_transferred_trajectory_keeps_its_shape_in_other_cycles_and_bounds():
    """From 1..5 in three cycles to 10..30 in five: shares 0, 1, 1/2 of the bounds, and between."""
    beta = np.array([[1.0, 5.0, 3.0]])
    moved = families.transfer(beta, (1, 5), 5, (10, 30))
    np.testing.assert_allclose(moved, [[10, 20, 30, 25, 20]])
    np.testing.assert_allclose(families.transfer(moved, (10, 30), 3, (1, 5)), beta)


def test_beta_d_is_sampled_in_its_own_bounds_and_meets_every_family():
    names = ["constant", "segments"]
    beta, family = families.sample(names, 150, 20, BOTH, seed=1)
    alone, same = families.sample(names, 150, 20, BOUNDS, seed=1)
    assert beta.shape == (300, 2, 20)
    np.testing.assert_array_equal(beta[:, 0], alone)  # beta_c as if it were searched by itself
    np.testing.assert_array_equal(family, same)
    assert 0.05 <= beta[:, 1].min() < 0.1 and 0.7 < beta[:, 1].max() <= 0.8 + 1e-6
    constant = np.ptp(beta[:, 1], axis=1) == 0
    assert constant.sum() == 150
    for number in range(2):  # of beta_c, constant or not
        assert 0.4 < constant[family == number].mean() < 0.6
    assert abs(np.corrcoef(beta.mean(2).T)[0, 1]) < 0.15


def test_a_family_of_ones_own_is_asked_for_each_channel_with_its_bounds(monkeypatch):
    asked = []

    def level(samples, cycles, bounds, rng):
        asked.append(bounds)
        return np.full((samples, cycles), bounds[0])

    monkeypatch.setitem(families.FAMILIES, "level", level)
    beta, _ = families.sample(["level"], 2, 3, BOTH, seed=0)
    assert asked == list(BOTH)
    np.testing.assert_allclose(beta, [[[0.5] * 3, [0.05] * 3]] * 2)


def test_beta_d_is_transferred_where_both_problems_search_it():
    beta = np.array([[[1.0, 5.0, 3.0], [0.0, 1.0, 0.5]]])
    of, bounds = ((1, 5), (0, 1)), ((10, 30), (2, 4))
    moved = families.transfer(beta, of, 5, bounds)
    np.testing.assert_allclose(moved, [[[10, 20, 30, 25, 20], [2, 3, 4, 3.5, 3]]])
    for one in (
        families.transfer(beta, of, 5, bounds[0]),
        families.transfer(beta[:, 0], of[0], 5, bounds),
    ):
        np.testing.assert_allclose(one, moved[:, 0])


def test_a_training_follows_what_its_trajectory_holds():
    both = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)
    for found, expected in (
        (channels.along(both, 0.7), both),
        (channels.along(both[0], 0.7), [[1, 2, 3], [0.7] * 3]),
        (channels.along(both[0], [0.05, 0.8]), [[1, 2, 3], [0.2] * 3]),
    ):
        np.testing.assert_allclose(found, expected)
        assert found[0].dtype == found[1].dtype == np.float64


@pytest.mark.parametrize("beta", [np.ones((4, 3)), np.arange(24.0).reshape(4, 2, 3)])
def test_channels_are_split_and_joined(beta):
    parts = channels.split(beta)
    assert parts.shape == (beta.ndim - 1, 4, 3)
    np.testing.assert_array_equal(channels.join(list(parts)), beta)


def test_late_cooldowns_hold_fall_once_and_stay():
    beta = np.log(draw(families.late_cooldown, samples=500))
    assert (np.diff(beta, axis=1) <= 1e-9).all()
    middle = np.log(BOUNDS).mean()
    assert (beta[:, 0] >= middle - 1e-9).all()
    falls = beta[:, 0] - beta[:, -1]
    reached = beta[:, -1] > np.log(BOUNDS[0]) + 1e-6  # the bound cuts the others short
    assert (falls[reached] >= np.log(5) - 1e-9).all() and (falls <= np.log(50) + 1e-9).all()
    held = (beta >= beta[:, :1] - 1e-9).mean(1)
    assert held.max() > 0.6 and held.min() < 0.1  # some fall late, some at once
    inner = np.diff(beta, axis=1)
    straight = np.array(
        [np.ptp(slope[slope < -1e-9][1:-1]) for slope in inner if (slope < -1e-9).sum() > 4]
    )
    assert straight.max() < 1e-9  # in the logarithm


def test_warmups_rise_once_from_the_lower_bound_and_hold():
    beta = draw(families.warmup)
    np.testing.assert_allclose(beta[:, 0], BOUNDS[0])
    assert (np.diff(beta, axis=1) >= -1e-9).all()
    assert (np.abs(np.diff(beta[:, -6:], axis=1)) < 1e-9).all()  # 10 % of the end at least
    assert np.ptp(np.log(beta[:, -1])) > 0.8 * np.ptp(np.log(BOUNDS))


def test_cycles_return_to_the_lower_bound_two_to_eight_times():
    beta = draw(families.cyclical, cycles=840)
    starts = (np.diff(beta, axis=1) < -1e-9).sum(1) + 1
    high = beta.max(1) > 1.05 * BOUNDS[0]
    assert set(starts[high]) <= set(range(2, 9)) and len(set(starts[high])) > 4
    np.testing.assert_allclose(beta[:, 0], BOUNDS[0])


def test_monotone_shapes_never_turn():
    beta = draw(families.monotone)
    rises = np.diff(beta, axis=1).sum(1) > 0
    signed = np.where(rises[:, None], 1, -1) * np.diff(beta, axis=1)
    assert (signed >= -1e-9).all()
    assert 0.3 < rises.mean() < 0.7


def test_a_family_is_a_function_of_its_quantiles():
    low, high = bounds = (0.1, 10.0)
    constant = families.of_quantiles("constant", np.array([[0.25], [1]]), 12, bounds)
    assert constant[0] == pytest.approx(np.full(12, low + 0.25 * (high - low)))
    assert constant[1] == pytest.approx(np.full(12, high))
    rising = np.array([[0.3, 0.6, 0, 1 / 3, 2 / 3, 1]])
    at = np.linspace(0, 1, 12)
    expected = np.interp(at, [0, 0.3, 0.6, 1], low + np.array([0, 1, 2, 3]) / 3 * (high - low))
    assert families.of_quantiles("segments", rising, 12, bounds)[0] == pytest.approx(expected)


@pytest.mark.parametrize("name", families.FAMILIES)
def test_every_family_has_quantiles(name):
    """They reach what it samples, and stay in the bounds; what it draws can be counted."""
    bounds = (0.1, 10.0)
    count = families.parameters(name, 12, bounds)
    assert 1 <= count <= 7
    drawn = np.random.default_rng(0).uniform(0, 1, (400, count))
    beta = families.of_quantiles(
        name, np.vstack([np.zeros(count), np.ones(count), drawn]), 12, bounds
    )
    assert beta.shape == (402, 12)
    assert beta.min() >= 0.0999 and beta.max() <= 10.001
    sampled = families.sample([name], 400, 12, bounds, seed=0)[0]
    for share in (0.1, 0.5, 0.9):
        at = np.log([np.quantile(beta.mean(1), share), np.quantile(sampled.mean(1), share)])
        assert at[0] == pytest.approx(at[1], abs=0.5)


def test_a_family_that_draws_otherwise_is_named(monkeypatch):
    def dice(samples, cycles, bounds, rng):
        return rng.choice(6, (samples, cycles))

    monkeypatch.setitem(families.FAMILIES, "dice", dice)
    with pytest.raises(InputError, match=r"a family draws with rng\.choice"):
        families.parameters("dice", 12, (0.1, 10))


def test_a_family_may_draw_row_by_row(monkeypatch):
    def rows(samples, cycles, bounds, rng):
        return np.stack(
            [
                np.full(cycles, rng.uniform(*bounds, 3).sum() + rng.integers(4))
                for _ in range(samples)
            ]
        )

    monkeypatch.setitem(families.FAMILIES, "rows", rows)
    assert families.parameters("rows", 6, (0, 1)) == 4
    beta = families.of_quantiles("rows", np.array([[0.1, 0.2, 0.3, 0.6], [0, 0, 1, 0]]), 6, (0, 1))
    np.testing.assert_allclose(beta[:, 0], [2.6, 1.0], rtol=1e-6)
