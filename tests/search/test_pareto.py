"""Two objectives: fronts by hand, improvement as BoTorch draws it, searches of a trade-off."""

import numpy as np
import pytest
import torch

from zbo.base.errors import InputError
from zbo.search import pareto, surrogate
from zbo.search.optimize import Optimizer, Settings
from zbo.search.surrogate import SurrogateSettings

AXIS = np.linspace(0, 1, 31)
SPACE = np.stack(np.meshgrid(AXIS, AXIS, indexing="ij"), -1).reshape(-1, 2)


def both(z):
    """A trade-off along z_0, at its best where z_1 is 0.5: the front is a quarter circle."""
    angle, loss = z[..., 0] * np.pi / 2, 2 * np.square(z[..., 1] - 0.5)
    return np.stack([np.cos(angle) - loss, np.sin(angle) - loss], -1)


def test_the_front_by_hand():
    values = np.array([[1, 5], [3, 3], [2, 4], [2, 2], [3, 3], [4, 1], [0, 5], [np.nan, 9]])
    assert np.flatnonzero(pareto.non_dominated(values)).tolist() == [0, 1, 2, 5]


def test_no_point_of_a_front_is_beaten_and_every_other_is():
    values = np.random.default_rng(0).normal(size=(300, 2))
    front = pareto.non_dominated(values)
    for value, on_front in zip(values, front, strict=True):
        beats = (values >= value).all(1) & (values > value).any(1)
        assert beats.any() != on_front


def test_hypervolume_by_hand_and_as_botorch():
    from botorch.utils.multi_objective.hypervolume import Hypervolume

    assert pareto.hypervolume(np.array([[1, 3], [2, 2], [3, 1], [9, -1]]), [0, 0]) == 6
    assert pareto.hypervolume(np.array([[-1, 3]]), [0, 0]) == 0
    values = np.random.default_rng(1).random((40, 2))
    front = torch.as_tensor(values[pareto.non_dominated(values)])
    expected = Hypervolume(torch.tensor([0.2, 0.1])).compute(front)
    assert pareto.hypervolume(values, [0.2, 0.1]) == pytest.approx(expected)


def test_the_knee_by_hand():
    bent = np.array([[0.0, 1.0], [0.8, 0.9], [1.0, 0.0], [0.5, 0.5]])
    assert pareto.knee(bent) == 1
    assert pareto.knee(bent * [1000, 0.001]) == 1  # whatever the units
    straight = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    assert pareto.knee(straight) == 1
    assert pareto.knee(np.array([[1.0, 1.0], [0.0, 0.0]])) == 0


def test_a_floor_decides_what_is_recommended():
    mean = np.array([[3.0, 0.0], [2.0, 1.1], [1.0, 3.0]])
    sd = np.full_like(mean, 0.1)
    assert pareto.recommended(mean, sd, (None, 1.0)) == 1
    assert pareto.recommended(mean, sd, (None, 2.0)) == 2
    assert pareto.recommended(mean, sd, (None, -1.0)) == 0
    assert pareto.recommended(mean, sd, (None, 9.0)) == 2  # none reaches it: the nearest


def observed(count, noise, seed=0):
    rng = np.random.default_rng(seed)
    index = rng.choice(len(SPACE), count, replace=False)
    return index, both(SPACE[index]) + noise * rng.normal(size=(count, 2))


def test_improvement_is_what_botorch_draws(monkeypatch):
    """The noisy expected hypervolume improvement of BoTorch, by Monte Carlo, within its noise."""
    from botorch.acquisition.multi_objective.monte_carlo import (
        qNoisyExpectedHypervolumeImprovement,
    )
    from botorch.models import ModelListGP
    from botorch.sampling import SobolQMCNormalSampler

    monkeypatch.setattr(pareto, "WORLDS", 256)  # as many as theirs
    index, values = observed(20, noise=0.1)
    is_open = np.ones(len(SPACE), bool)
    is_open[index] = False
    settings = SurrogateSettings()
    found = pareto.propose(SPACE, SPACE[index], values, None, settings, is_open)

    x = surrogate.unit_cube(SPACE[index], SPACE)
    fitted = [surrogate.Fitted.to(x, one, None, settings) for one in values.T]
    means = np.stack([one.posterior(x)[0].numpy() for one in fitted], 1)
    theirs = qNoisyExpectedHypervolumeImprovement(
        ModelListGP(*(one.model for one in fitted)),
        ref_point=pareto.reference_point(means).tolist(),
        X_baseline=x,
        sampler=SobolQMCNormalSampler(torch.Size([256]), seed=0),
    )
    few = np.flatnonzero(is_open)[::9]
    with torch.no_grad():
        drawn = theirs(surrogate.unit_cube(SPACE[few], SPACE)[:, None]).numpy()
    ours = found.expected_improvement[few] / np.prod([one.unit for one in fitted])
    assert np.corrcoef(drawn, ours)[0, 1] > 0.98
    large = drawn > 0.5 * drawn.max()
    np.testing.assert_allclose(ours[large], drawn[large], rtol=0.15)


def search(settings, floors=(), noise=0.0, seed=0):
    optimizer, rng = Optimizer(SPACE, settings, seed, floors), np.random.default_rng(seed)
    while not optimizer.stopped:
        for index in optimizer.ask():
            optimizer.tell(index, both(SPACE[index]) + noise * rng.normal(size=2))
    return optimizer


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_search_covers_the_front(batch_size):
    settings = Settings(
        initial=6, iterations=24 // batch_size, batch_size=batch_size, stop_threshold=0
    )
    optimizer = search(settings, noise=0.05)
    true = both(SPACE[optimizer.observed.index])
    best = pareto.hypervolume(both(SPACE), [0, 0])
    random = both(SPACE[np.random.default_rng(0).choice(len(SPACE), 30, replace=False)])
    assert pareto.hypervolume(true, [0, 0]) > 0.93 * best
    assert pareto.hypervolume(true, [0, 0]) > pareto.hypervolume(random, [0, 0])
    at = SPACE[optimizer.front]
    assert np.abs(at[:, 1] - 0.5).max() < 0.15  # the front is where z_1 is 0.5
    assert np.ptp(at[:, 0]) > 0.7
    assert abs(SPACE[optimizer.best_estimated][0] - 0.5) < 0.25  # the knee of a quarter circle


def test_a_search_with_a_floor_keeps_to_it():
    optimizer = search(Settings(initial=6, iterations=20, stop_threshold=0), (None, 0.8))
    cosine, sine = both(SPACE[optimizer.best_estimated])
    assert sine > 0.75
    assert cosine > 0.5  # 0.6 is the most there is


def test_it_stops_by_itself_and_counts_failed_trials_as_the_worst():
    optimizer = Optimizer(SPACE, Settings(initial=8, iterations=200, stop_patience=3), 0)
    while not optimizer.stopped:
        for index in optimizer.ask():
            failed = SPACE[index][1] > 0.8
            optimizer.tell(index, [np.nan] * 2 if failed else both(SPACE[index]))
    assert "negligible" in optimizer.stopped
    assert len(optimizer.observed.index) < 150
    assert np.isfinite(optimizer.fit().mean).all()


def test_batches_of_two_objectives_are_of_different_points():
    index, values = observed(12, noise=0.1)
    settings = SurrogateSettings(batch_size=4)
    is_open = np.ones(len(SPACE), bool)
    is_open[index] = False
    chosen = pareto.propose(SPACE, SPACE[index], values, None, settings, is_open).candidates
    assert len(set(chosen)) == 4 and is_open[chosen].all()
    spread = np.linalg.norm(SPACE[chosen] - SPACE[chosen].mean(0), axis=1)
    assert spread.max() > 0.1  # not four neighbours


def test_three_objectives_and_a_changed_number_are_refused():
    index, values = observed(8, noise=0.1)
    three = np.column_stack([values, values[:, 0]])
    with pytest.raises(InputError, match=r"objective.name: 3 objectives without a floor.*at_least"):
        pareto.propose(
            SPACE, SPACE[index], three, None, SurrogateSettings(), np.ones(len(SPACE), bool)
        )
    optimizer = Optimizer(SPACE, Settings(initial=4), 0)
    optimizer.tell(0, [1.0, 2.0])
    with pytest.raises(InputError, match="1 objectives told where 2"):
        optimizer.tell(1, 1.0)
