"""zBO and its rivals: what each costs, where it looks, what failures and chance do to it."""

import numpy as np
import pytest

from zbo.base.errors import InputError
from zbo.base.searches import SEARCHES as searches_known
from zbo.rivals import searches
from zbo.rivals.arena import Arena, at_least
from zbo.rivals.searches import SEARCHES
from zbo.trajectories import families

CYCLES, BOUNDS = 12, (0.1, 10.0)
BY_HAND = ("constants", "warmup", "cyclical", "cooldown")  # leave nothing to chance
SAMPLED = ("linear_cooldown", "segments", "periodic", "constant")


class Valley(Arena):
    """An objective that is highest at β = 1 throughout."""

    def __init__(self, seed=0, fails=lambda count: False):
        rng = np.random.default_rng(seed)
        z = rng.uniform(-1, 1, (200, 2))
        line = np.linspace(-1, 1, CYCLES)
        log_beta = 2 * z[:, :1] + z[:, 1:] * line * 0.3
        beta = np.exp(np.clip(log_beta, *np.log(BOUNDS)))
        super().__init__(z, beta, BOUNDS, SAMPLED, rng)
        self.fails = fails

    def _train(self, beta):
        return np.nan if self.fails(len(self.tried)) else self.truth(beta)

    @staticmethod
    def truth(beta):
        return -float(np.square(np.log(beta)).mean())


class Trade(Valley):
    """Two objectives: one is highest at β = 1, the other grows as β falls."""

    def __init__(self, seed=0, fails=lambda count: False):
        super().__init__(seed, fails)
        self.objectives = 2

    def _train(self, beta):
        both = np.array([self.truth(beta), -np.log(beta).mean()])
        return np.full(2, np.nan) if self.fails(len(self.tried)) else both


SEVERAL = [name for name in SEARCHES if searches_known[name].several]


@pytest.mark.parametrize("name", SEVERAL)
def test_of_two_objectives_each_floor_has_its_recommendation(name):
    arena = Trade(fails=lambda count: count % 5 == 1)
    *_, last = SEARCHES[name](arena, 20)
    assert arena.spent == 20
    assert last.values.shape == (len(last.beta), 2)
    low, high = (last.at_least(floor) for floor in (-1, 1))
    assert arena.truth(low) >= arena.truth(high)
    assert -np.log(high).mean() > 0.7  # a surrogate's estimate may miss by a little


def test_without_noise_zbo_comes_nearest_to_the_best_trade():
    """The best with a second objective of 1 is β = 1/e throughout, where the first is -1."""
    arena = Trade()
    *_, last = SEARCHES["zbo"](arena, 40)
    assert arena.truth(last.at_least(1)) > -1.25


def test_where_no_floor_is_reached_the_nearest_is_taken():
    values = np.array([[9.0, 1.0], [np.nan, np.nan], [5.0, 3.0], [7.0, 2.0]])
    assert [at_least(values, floor) for floor in (0, 1.5, 2.5, 99)] == [0, 3, 2, 2]
    assert at_least(np.full((3, 2), np.nan), 0) == 0


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_spends_its_budget_within_the_bounds(name):
    arena = Valley()
    recommended = [belief.best for belief in SEARCHES[name](arena, 13)]
    assert arena.spent == 13
    for beta in (*arena.tried, *recommended):
        assert beta.shape == (CYCLES,)
        assert beta.min() >= BOUNDS[0] * 0.999 and beta.max() <= BOUNDS[1] * 1.001


@pytest.mark.parametrize("name", [name for name in SEARCHES if name not in BY_HAND])
def test_a_search_is_its_seed_s(name):
    first, again, other = (
        [belief.best.tolist() for belief in SEARCHES[name](Valley(seed), 12)] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_survives_failed_trainings(name):
    arena = Valley(fails=lambda count: count % 3 == 1)
    *_, last = SEARCHES[name](arena, 15)
    assert arena.spent == 15
    assert np.isfinite(arena.truth(last.best))


@pytest.mark.parametrize("name", SEARCHES)
def test_a_small_budget_is_kept(name):
    arena = Valley()
    list(SEARCHES[name](arena, 4))
    assert arena.spent == 4


def test_a_batch_ends_with_the_budget():
    arena = Valley()
    list(searches.zbo(batch_size=4)(arena, 16))
    assert arena.spent == 16


@pytest.mark.parametrize("budget", [4, 5, 11])
def test_points_of_several_trainings_do_not_overspend(budget):
    arena = Valley()
    list(searches.zbo(initial=5, replicates=2)(arena, budget))
    assert arena.spent == budget // 2 * 2


def test_a_budget_that_does_not_pay_two_points_is_named():
    with pytest.raises(InputError, match=r"rivals.budget: 3 .* two points of 2 .* to 4 or more"):
        list(searches.zbo(replicates=2)(Valley(), 3))


def test_the_second_half_is_seeds_of_what_is_recommended():
    arena = Valley()
    recommended = {len(arena.tried): b.best for b in SEARCHES["zbo-seeds"](arena, 24)}
    for count in range(12, 24):
        np.testing.assert_array_equal(arena.tried[count], recommended[count])


@pytest.mark.parametrize("name", ["zbo", "zbo-knots", "tpe", "bo-knots"])
def test_a_search_that_learns_beats_one_that_does_not(name):
    def found(search, seed):
        arena = Valley(seed)
        *_, last = search(arena, 40)
        return arena.truth(last.best)

    seeds = range(3)
    learnt = np.mean([found(SEARCHES[name], seed) for seed in seeds])
    knots_by_chance = searches.sampler(
        lambda seed: searches.optuna.samplers.RandomSampler(seed=seed), searches.knots(5)
    )
    by_chance = np.mean([found(knots_by_chance, seed) for seed in seeds])
    assert learnt > by_chance


def test_constants_are_tried_alike_and_then_the_best_alone():
    arena = Valley()
    *_, last = searches.by_hand("constant", count=3)(arena, 12)
    levels = [beta[0] for beta in arena.tried]
    assert levels[:6] == pytest.approx([0.1, 1, 10] * 2)
    assert levels[6:] == pytest.approx([1] * 6)
    assert last.best == pytest.approx(np.ones(CYCLES))


def test_a_search_stops_where_its_settings_say():
    arena = Valley()
    list(searches.zbo(initial=10, stop_threshold=0.5)(arena, 100))
    assert 10 <= arena.spent < 30
    every = Valley()
    every.z, every.beta = every.z[:15], every.beta[:15]
    list(SEARCHES["zbo"](every, 40))
    assert every.spent == 15


@pytest.mark.parametrize("name", ["tpe", "cma-es"])
def test_samplers_search_every_family(name):
    arena = Valley()
    arena.families = tuple(families.FAMILIES)
    list(SEARCHES[name](arena, 15))
    assert arena.spent == 15


def test_knots_reach_from_bound_to_bound():
    beta = searches.at_knots(Valley(), np.array([[0] * 5, [1] * 5, [0.5] * 5, [0, 1, 0, 1, 1]]))
    for line, value in zip(beta, (*BOUNDS, 1), strict=False):
        assert line == pytest.approx(np.full(CYCLES, value))
    assert [beta[3, 0], beta[3, -1]] == pytest.approx(BOUNDS)


def test_a_late_cooldown_is_laid_out_by_its_own_parameters():
    """High, held to the middle, down five times and more: height, fall, hold and pace in turn."""
    beta = searches.of_cooldown(Valley(), np.array([[1, 0, 0.7, 0], [0, 0, 0, 0]]))
    assert beta[0, :6] == pytest.approx(np.full(6, 10.0))
    assert beta[0, -1] == pytest.approx(2.0)
    assert beta[1, 0] == pytest.approx(1.0) and beta[1, 2] == pytest.approx(0.2)


def test_knots_are_joined_in_the_logarithm():
    joined = searches.joined(np.log([1.0, 100.0, 1.0]), 5)
    assert joined == pytest.approx([1, 10, 100, 10, 1])


def test_every_searched_family_is_registered():
    assert set(SAMPLED) <= set(families.FAMILIES)
