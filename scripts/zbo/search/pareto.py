"""Two objectives at once: the front, what a point would add to it, what to take from it.

The next points are those with the largest noisy expected hypervolume improvement (Daulton et al.
2021): the front is itself uncertain, so it is drawn many times from the posterior at the points
observed, and in each draw the expected gain in area is known in closed form (Emmerich et al. 2011).
BoTorch's `qLogNoisyExpectedHypervolumeImprovement` draws the new points as well and so takes some
twenty times as long over 10,000 of them; a test holds the two against each other.

An objective with a floor ("factors of at least 1 nat") is a constraint: the probability that it
holds multiplies what the others would gain (Gardner et al. 2014).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from zbo.base.errors import InputError
from zbo.base.settings import ObjectiveSettings
from zbo.search.surrogate import (
    Fitted,
    Posterior,
    Proposal,
    SurrogateSettings,
    choose,
    expected_improvement,
    unit_cube,
)

WORLDS = 32  # fronts drawn for one proposal

Floors = Sequence[float | None]


def maximized(floors: Floors) -> list[int]:
    """List the objectives without a floor."""
    return [k for k, floor in enumerate(floors) if floor is None]


def non_dominated(values: np.ndarray) -> np.ndarray:
    """Tell which points no other point beats in one objective without losing in the other.

    Args:
        values: Shape (n, 2), higher is better; NaN is never on the front.

    Returns:
        Bool, shape (n,); of equal points the first.
    """
    values = np.where(np.isfinite(values).all(1, keepdims=True), values, -np.inf)
    order = np.lexsort((-values[:, 1], -values[:, 0]))
    second = values[order, 1]
    before = np.maximum.accumulate(np.concatenate([[-np.inf], second[:-1]]))
    found = np.zeros(len(values), dtype=bool)
    found[order[second > before]] = True
    return found


def hypervolume(values: np.ndarray, reference: Sequence[float]) -> float:
    """Measure the area that points dominate above a reference point.

    Args:
        values: Shape (n, 2), higher is better; what lies below the reference adds nothing.
        reference: Shape (2,).

    Returns:
        Area, in the product of the objectives' units.
    """
    above = np.asarray(values, dtype=float) - reference
    above = above[(above > 0).all(1)]
    front = above[non_dominated(above)]
    front = front[np.argsort(-front[:, 0])]
    heights = np.diff(front[:, 1], prepend=0.0)
    return float((front[:, 0] * heights).sum())


def knee(values: np.ndarray) -> int:
    """Choose the point of a front from which either objective is dear to improve (Das 1999).

    It is the one farthest above the chord between the front's two ends, both objectives scaled to
    [0, 1] between them. It needs no number from anyone.

    Args:
        values: Shape (n, 2), higher is better.

    Returns:
        Index into values; where all of the front is one point or a straight line, the middle of it.
    """
    front = np.flatnonzero(non_dominated(values))
    ends = values[front]
    low, high = ends.min(0), ends.max(0)
    height = ((ends - low) / np.where(high > low, high - low, 1)).sum(1)
    best = np.flatnonzero(height >= height.max() - 1e-12)
    by_first = best[np.argsort(ends[best, 0])]
    return int(front[by_first[len(by_first) // 2]])


def reference_point(values: np.ndarray) -> np.ndarray:
    """Place the reference point a tenth of the front's extent below its worst (Ishibuchi 2011).

    Args:
        values: Observed, shape (n, 2).

    Returns:
        Shape (2,).
    """
    front = values[non_dominated(values)]
    low, high = front.min(0), front.max(0)
    spread = np.where(high > low, high - low, values.std(0))
    return low - 0.1 * spread


def propose(
    space: np.ndarray,
    z: np.ndarray,
    objectives: np.ndarray,
    variance: np.ndarray | None,
    settings: SurrogateSettings,
    open_points: np.ndarray,
    floors: Floors = (),
) -> Proposal:
    """Fit a surrogate to each objective and choose the next points (table 1, steps 7 to 9).

    Args:
        space: Latent points of the search space, shape (m, d).
        z: Points observed, shape (n, d).
        objectives: Values observed there, shape (n, p), higher is better.
        variance: Their noise variances where they are known, shape (n, p); None infers them.
        settings: Surrogate and batch size.
        open_points: Points that may be chosen, bool, shape (m,); all may where too few are open.
        floors: For each objective the least it has to be, or None: what has a floor is a
            constraint, the others (one or two) are maximized.

    Returns:
        Posteriors (m, p) and acquisition over the space, and the next points.

    Raises:
        InputError: If there are more than two objectives to maximize, or none.
    """
    floors = floors or [None] * objectives.shape[1]
    free = maximized(floors)
    if not 1 <= len(free) <= 2:
        raise InputError(
            f"objective.name: {len(free)} objectives without a floor; one or two can be maximized, "
            "the others need a value in objective.at_least"
        )
    grid, x = unit_cube(space, space), unit_cube(z, space)
    fitted = [
        Fitted.to(x, values, None if variance is None else variance[:, k], settings)
        for k, values in enumerate(objectives.T)
    ]
    limits = [
        None if floor is None else (floor - one.offset) / one.unit
        for floor, one in zip(floors, fitted, strict=True)
    ]
    posteriors = [one.posterior for one in fitted]
    values, gain = _acquisition(posteriors, limits, free, grid, settings)

    def believing(chosen: Tensor) -> Tensor:
        nonlocal posteriors
        posteriors = [posterior.believing(chosen) for posterior in posteriors]
        return _acquisition(posteriors, limits, free, grid, settings)[0]

    candidates = choose(values, believing, grid, settings.batch_size, open_points)
    means, sds = zip(*(one.in_units(*one.posterior(grid)) for one in fitted), strict=True)
    unit = float(np.prod([fitted[k].unit for k in free]))
    return Proposal(
        candidates=candidates,
        mean=np.stack(means, 1),
        sd=np.stack(sds, 1),
        acquisition=values.numpy(),
        expected_improvement=(gain * unit).numpy(),
        hyperparameters={
            f"{name}_{k}": value
            for k, one in enumerate(fitted)
            for name, value in one.hyperparameters().items()
        },
    )


def recommended(mean: np.ndarray, sd: np.ndarray, floors: Floors = ()) -> int:
    """Choose one point of the search space by posterior means.

    With a floor, the highest of the objective among the points that more likely than not reach it
    (the most likely one where none does); of two objectives the knee of their front.

    Args:
        mean: Posterior means, shape (m, p).
        sd: Their standard deviations, shape (m, p).
        floors: As for `propose`.

    Returns:
        Index into the points.
    """
    floors = floors or [None] * mean.shape[1]
    free = maximized(floors)
    held = np.ones(len(mean), dtype=bool)
    doubt = np.zeros(len(mean))
    for k, floor in enumerate(floors):
        if floor is not None:
            held &= mean[:, k] >= floor
            doubt = np.minimum(doubt, (mean[:, k] - floor) / np.maximum(sd[:, k], 1e-12))
    if not held.any():
        return int(doubt.argmax())
    among = np.flatnonzero(held)
    if len(free) == 1:
        return int(among[mean[among, free[0]].argmax()])
    return int(among[knee(mean[among][:, free])])


def choice(settings: ObjectiveSettings, latents: int) -> Floors:
    """Say what `recommended` takes from a study's front: its floors, or the default's.

    Args:
        settings: Section `objective` of the study.
        latents: L of its model: a factor is active where it carries a nat or more, which tells
            apart about three states of it.

    Returns:
        The floor of each objective, or None; all None takes the knee.
    """
    asked = settings.floors
    if asked.count(None) == 2 and settings.choose == "active":
        return tuple(
            float(latents) if name == "factors" else floor
            for name, floor in zip(settings.names, asked, strict=True)
        )
    return asked


def _acquisition(
    posteriors: list[Posterior],
    limits: Floors,
    free: list[int],
    grid: Tensor,
    settings: SurrogateSettings,
) -> tuple[Tensor, Tensor]:
    """Acquisition (its logarithm) and expected gain at each grid point, shape (m,) each."""
    holds = torch.zeros(len(grid), dtype=torch.float64)
    at_observed = torch.ones(len(posteriors[0].x), dtype=torch.bool)
    for posterior, limit in zip(posteriors, limits, strict=True):
        if limit is not None:
            mean, sd = posterior(grid)
            holds += torch.special.log_ndtr((mean - limit) / sd.clamp_min(1e-9))
            at_observed &= posterior(posterior.x)[0] >= limit
    if not at_observed.any():  # first of all find a point that holds
        return holds, holds.exp()
    if len(free) == 1:
        posterior = posteriors[free[0]]
        best = posterior(posterior.x)[0][at_observed].max()
        gain = expected_improvement(*posterior(grid), best, settings)
    else:
        first, second = (posteriors[k] for k in free)
        gain = _hypervolume_improvement(first, second, at_observed, grid)
    return gain.clamp_min(1e-300).log() + holds, gain * holds.exp()


def _hypervolume_improvement(
    first: Posterior, second: Posterior, feasible: Tensor, grid: Tensor
) -> Tensor:
    """Expected gain in dominated area, normalized units, averaged over fronts drawn: shape (m,)."""
    draws = [posterior.samples(WORLDS, seed=k) for k, posterior in enumerate((first, second))]
    moments = [
        posterior.given(drawn, grid)
        for posterior, drawn in zip((first, second), draws, strict=True)
    ]
    means = torch.stack([p(p.x)[0][feasible] for p in (first, second)], 1).numpy()
    reference = reference_point(means)
    total = torch.zeros(len(grid), dtype=torch.float64)
    for world in range(WORLDS):
        seen = torch.stack([drawn[world][feasible] for drawn in draws], 1).numpy()
        front = seen[non_dominated(seen) & (seen > reference).all(1)]
        front = front[np.argsort(front[:, 0])]
        edges = np.concatenate([reference[:1], front[:, 0]])  # left edges of the strips
        floors = np.concatenate([front[:, 1], reference[1:]])  # dominated in each already
        (mean_1, sd_1), (mean_2, sd_2) = ((mean[world], sd) for mean, sd in moments)
        beyond = _excess(mean_1, sd_1, torch.as_tensor(edges))  # (strips, m)
        width = beyond - torch.cat([beyond[1:], torch.zeros_like(beyond[:1])])
        total += (width * _excess(mean_2, sd_2, torch.as_tensor(floors))).sum(0)
    return total / WORLDS


def _excess(mean: Tensor, sd: Tensor, over: Tensor) -> Tensor:
    """E max(y - over, 0) of y normal, shape (len(over), m)."""
    sd = sd.clamp_min(1e-9)
    u = (mean - over[:, None]) / sd
    density = torch.exp(-u.square() / 2) / (2 * torch.pi) ** 0.5
    return (sd * (density + u * torch.special.ndtr(u))).clamp_min(0)
