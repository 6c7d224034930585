"""Surrogate and search: posterior as GPyTorch's, acquisition by definition, the loop's manners."""

import numpy as np
import pytest
import torch

from zbo.base.errors import InputError
from zbo.search import optimize, surrogate
from zbo.search.optimize import Optimizer, Settings
from zbo.search.surrogate import SurrogateSettings, propose

AXIS = np.linspace(-2, 2, 21)
SPACE = np.stack(np.meshgrid(AXIS, AXIS, indexing="ij"), -1).reshape(-1, 2)


def smooth(z):
    """One maximum of 1 at (0.6, -0.4)."""
    return np.exp(-np.square(z - [0.6, -0.4]).sum(-1))


def observed(count=25, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    index = rng.choice(len(SPACE), count, replace=False)
    return index, smooth(SPACE[index]) + noise * rng.normal(size=count)


def fit(noise=0.0, variance=None, **settings):
    index, y = observed(noise=noise)
    is_open = np.ones(len(SPACE), bool)
    is_open[index] = False
    return (
        index,
        y,
        propose(SPACE, SPACE[index], y, variance, SurrogateSettings(**settings), is_open),
    )


def told(optimizer):
    return optimizer.observed.index, np.ravel(optimizer.observed.objective).tolist()


def run(settings, function=smooth, seed=0, noise=0.0):
    optimizer = Optimizer(SPACE, settings, seed)
    rng = np.random.default_rng(seed)
    while not optimizer.stopped:
        for index in optimizer.ask():
            optimizer.tell(index, function(SPACE[index]) + noise * rng.normal())
    return optimizer


@pytest.mark.parametrize("name", ["default", "paper"])
def test_the_posterior_is_gpytorchs(name):
    index, y = observed(noise=0.05)
    x = torch.tensor((SPACE[index] + 2) / 4)
    y = torch.tensor((y - y.mean()) / y.std(ddof=1))[:, None]
    model = surrogate._fit(x, y, None, SurrogateSettings(surrogate=name))
    points = torch.rand(7, 2, dtype=torch.float64)
    mean, sd = surrogate.Posterior.of(model)(points)
    with torch.no_grad():
        expected = model.posterior(points)
    torch.testing.assert_close(mean, expected.mean.flatten(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sd, expected.variance.flatten().sqrt(), rtol=1e-3, atol=1e-5)


def test_expected_improvement_divides_by_the_standard_deviation():
    """By Monte Carlo: E max(f - best, 0) for f normal; the scripts divide by the variance."""
    mean, sd, best = torch.tensor([0.2]), torch.tensor([0.5]), torch.tensor(0.4)
    draws = torch.randn(400_000, generator=torch.Generator().manual_seed(0)) * sd + mean
    expected = (draws - best).clamp_min(0).mean()
    found = surrogate.expected_improvement(mean, sd, best, SurrogateSettings())
    assert float(found) == pytest.approx(float(expected), rel=0.01)
    share = (draws > best).double().mean()
    pi = surrogate._probability_of_improvement(mean, sd, best, SurrogateSettings())
    assert float(pi) == pytest.approx(float(share), rel=0.01)


def test_ei_and_logei_agree_on_the_next_point():
    assert fit(acquisition="ei")[2].candidates == fit(acquisition="logei")[2].candidates


@pytest.mark.parametrize("acquisition", list(surrogate.ACQUISITIONS))
@pytest.mark.parametrize("name", ["default", "paper"])
def test_every_surrogate_and_acquisition_proposes_open_points(name, acquisition):
    index, _, proposal = fit(surrogate=name, acquisition=acquisition, batch_size=3)
    assert len(set(proposal.candidates)) == 3
    assert not set(proposal.candidates) & set(index)
    assert proposal.mean.shape == proposal.sd.shape == proposal.acquisition.shape == (len(SPACE),)
    assert (proposal.sd >= 0).all()
    assert np.isfinite(proposal.mean).all()


def test_a_batch_spreads_out():
    _, _, proposal = fit(noise=0.05, batch_size=2)
    a, b = SPACE[proposal.candidates]
    assert np.linalg.norm(a - b) > 0.15


def test_units_do_not_matter():
    """An objective a thousand times larger is the same search, a thousand times larger."""
    index, y = observed(noise=0.05)
    is_open = np.ones(len(SPACE), bool)
    small = propose(SPACE, SPACE[index], y, None, SurrogateSettings(), is_open)
    large = propose(
        7 + SPACE * 30, 7 + SPACE[index] * 30, 1000 * y - 5, None, SurrogateSettings(), is_open
    )
    assert small.candidates == large.candidates
    np.testing.assert_allclose(large.mean, 1000 * small.mean - 5, rtol=1e-3, atol=0.5)
    np.testing.assert_allclose(large.sd, 1000 * small.sd, rtol=1e-3, atol=0.5)


def test_known_noise_is_believed():
    index, y = observed(noise=0.05)
    is_open = np.ones(len(SPACE), bool)
    at = lambda variance: propose(  # noqa: E731
        SPACE, SPACE[index], y, np.full(len(y), variance), SurrogateSettings(), is_open
    )
    precise, rough = at(1e-6), at(0.5)
    assert np.abs(precise.mean[index] - y).max() < 0.02
    assert np.abs(rough.mean[index] - y).max() > 0.1


def test_inferred_noise_is_about_right():
    rng = np.random.default_rng(0)
    index = rng.choice(len(SPACE), 120, replace=False)
    y = smooth(SPACE[index]) + 0.1 * rng.normal(size=120)
    found = propose(SPACE, SPACE[index], y, None, SurrogateSettings(), np.ones(len(SPACE), bool))
    assert found.hyperparameters["noise_sd"][0] == pytest.approx(0.1, rel=0.35)


def test_the_loop_finds_the_maximum_of_a_plain_function():
    optimizer = run(Settings(initial=6, iterations=20))
    assert smooth(SPACE[optimizer.best_estimated]) > 0.97
    assert len(optimizer.observed.index) <= 26


def test_under_noise_it_recommends_better_than_the_luckiest_trial():
    gains = []
    for seed in range(6):
        optimizer = run(Settings(initial=10, iterations=15, stop_threshold=0), seed=seed, noise=0.3)
        gains.append(
            smooth(SPACE[optimizer.best_estimated]) - smooth(SPACE[optimizer.best_evaluated])
        )
    assert np.mean(gains) > 0


def test_same_seed_same_search():
    settings = Settings(initial=4, iterations=4, batch_size=2, stop_threshold=0)
    a, b = run(settings, seed=3), run(settings, seed=3)
    assert told(a) == told(b)
    assert run(settings, seed=4).observed.index != a.observed.index


def test_it_stops_when_improvement_is_negligible_and_says_so():
    optimizer = run(Settings(initial=8, iterations=100, stop_threshold=0.01, stop_patience=3))
    assert "negligible" in optimizer.stopped
    assert len(optimizer.improvements) < 100
    assert max(optimizer.improvements[-3:]) < 0.01 * optimizer.spread
    assert optimizer.improvements[-4] >= 0.009 * optimizer.spread  # and no later than that


def test_a_look_within_a_batch_is_no_proposal():
    settings = Settings(initial=6, iterations=3, batch_size=3, stop_threshold=0)
    looked, plain, looks = Optimizer(SPACE, settings, 0), run(settings), []
    while not looked.stopped:
        for index in looked.ask():
            looked.tell(index, smooth(SPACE[index]))
            if len(looked.observed.index) > 1:
                looks.append((looked.best_estimated, looked.stopped))
    assert told(looked) == told(plain)
    assert looked.improvements == plain.improvements
    assert len(looked.improvements) == 3


@pytest.mark.parametrize("value", [0.0, 0.1])  # the mean of many 0.1 is rounded
def test_it_stops_where_every_trial_finds_the_same(value):
    optimizer = run(Settings(initial=6, iterations=9, stop_patience=3), lambda z: value)
    assert "every trial found the same" in optimizer.stopped
    assert len(optimizer.observed.index) == 6 + 2  # a proposal less than fits
    goes_on = run(Settings(initial=6, iterations=4, stop_threshold=0), lambda z: value)
    assert "budget" in goes_on.stopped


def test_it_stops_at_the_budget_and_when_nothing_is_left():
    spent = run(Settings(initial=3, iterations=2, stop_threshold=0))
    assert spent.stopped == "budget of 2 iterations spent"
    assert len(spent.observed.index) == 5
    tiny = Optimizer(SPACE[:6], Settings(initial=4, iterations=50, stop_threshold=0), 0)
    while not tiny.stopped:
        for index in tiny.ask():
            tiny.tell(index, float(index))
    assert "every point" in tiny.stopped
    assert sorted(tiny.observed.index) == list(range(6))


def test_failed_trials_are_passed_over_but_not_tried_again():
    def broken(z):
        return np.nan if z[0] > 0.8 else smooth(z)

    optimizer = run(Settings(initial=8, iterations=12, stop_threshold=0), function=broken)
    assert np.isnan(optimizer.observed.objective).any()
    assert len(set(optimizer.observed.index)) == len(optimizer.observed.index)
    assert smooth(SPACE[optimizer.best_evaluated]) > 0.9


def test_too_few_successes_is_an_error_that_says_where_to_look():
    optimizer = Optimizer(SPACE, Settings(initial=2), 0)
    for index in optimizer.ask():
        optimizer.tell(index, np.nan)
    with pytest.raises(InputError, match="0 of 2 trials succeeded"):
        optimizer.ask()


def test_a_design_larger_than_the_space_is_an_error():
    with pytest.raises(InputError, match=r"search.initial: 20 do not .* 6 feasible"):
        Optimizer(SPACE[:6], Settings(initial=20), 0).ask()
    with pytest.raises(InputError, match=r"^ground.points: 20 .* lower ground.points$"):
        optimize.initial_design(SPACE[:6], 20, "sobol", 0, key="ground.points")


def test_a_batch_larger_than_the_space_is_an_error_before_any_trial():
    with pytest.raises(InputError, match=r"search.batch_size: 7 .* 6 feasible .* search.initial"):
        Optimizer(SPACE[:6], Settings(initial=4, batch_size=7), 0).ask()
    assert len(Optimizer(SPACE[:6], Settings(initial=4, batch_size=6), 0).ask()) == 4


@pytest.mark.parametrize("design", ["sobol", "random"])
def test_designs_are_distinct_and_seeded(design):
    chosen = optimize.initial_design(SPACE, 20, design, seed=0)
    assert len(set(chosen)) == 20
    np.testing.assert_array_equal(chosen, optimize.initial_design(SPACE, 20, design, seed=0))


def test_a_sobol_design_leaves_smaller_holes():
    def hole(chosen):
        return np.linalg.norm(SPACE[:, None] - SPACE[chosen][None], axis=-1).min(1).max()

    sobol = [hole(optimize.initial_design(SPACE, 20, "sobol", s)) for s in range(10)]
    random = [hole(optimize.initial_design(SPACE, 20, "random", s)) for s in range(10)]
    assert np.mean(sobol) < np.mean(random)
