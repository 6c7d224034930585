"""The ask/tell loop of latent Bayesian optimization (Biswas et al. 2023, table 1, steps 5-10).

The workflow's `design` and `bo_iteration` rules run it one step a file. On any function of a latent
point, without Snakemake:

    optimizer = Optimizer(z, Settings(initial=10, iterations=30), seed=0)
    while not optimizer.stopped:
        for index in optimizer.ask():
            optimizer.tell(index, objective(decode(z[index])))
    z[optimizer.best_estimated]

Of two objectives `tell` takes both, and the search is for the front of their trade-off (`pareto`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from zbo.base.errors import InputError
from zbo.base.settings import OptimizerSettings as Settings
from zbo.search import pareto
from zbo.search.stopping import negligible
from zbo.search.surrogate import Proposal, propose


def settings_of(study: dict[str, Any], **changes: Any) -> Settings:
    """Take what concerns the optimizer out of section `search` of a study's settings."""
    known = Settings.model_fields
    chosen = {name: value for name, value in study["search"].items() if name in known}
    return Settings(**chosen | changes)


@dataclass
class Observations:
    """Trials so far; objectives are NaN if failed, their noise variances NaN if unknown."""

    index: list[int] = field(default_factory=list)
    objective: list[np.ndarray] = field(default_factory=list)  # shape (p,) each
    variance: list[np.ndarray] = field(default_factory=list)


class Optimizer:
    """Ask where to evaluate, tell what was found, until it is `stopped`.

    Args:
        z: Feasible latent points, shape (m, d).
        settings: Budget, surrogate, acquisition, stopping.
        seed: Of the starting design.
        floors: Of several objectives, the least that each has to be, or None: what has a floor is
            a constraint, the others (one or two) are maximized. Empty: all are maximized.
        choice: Floors that decide what is recommended from a front and nothing else; empty takes
            the knee.
    """

    def __init__(
        self,
        z: np.ndarray,
        settings: Settings,
        seed: int,
        floors: pareto.Floors = (),
        choice: pareto.Floors = (),
    ) -> None:
        self.z, self.settings, self.seed = z, settings, seed
        self.floors, self.choice = tuple(floors), tuple(choice or floors)
        self.observed = Observations()
        self.proposals = 0
        self.improvements: list[float] = []  # largest expected improvement at each proposal
        self._counted = 0  # observations at the last of them
        self._due = 0  # observations that end the batch asked for
        self._fit: tuple[int, Proposal] | None = None  # observations it was made of, and the fit

    def ask(self) -> np.ndarray:
        """Choose what to evaluate next: the starting design first, then the acquisition's best.

        Returns:
            Indices into z, shape (initial,) or (batch_size,); empty when the search is over.

        Raises:
            InputError: If fewer than two trials succeeded, or design or batch do not fit into z.
        """
        chosen = self.settings
        if not self.observed.index:
            if chosen.batch_size > len(self.z):  # before a design is trained for nothing
                raise InputError(
                    f"search.batch_size: {chosen.batch_size} at once do not fit into a search "
                    f"space of {len(self.z)} feasible points, whatever search.initial; raise "
                    "space.grid or lower search.batch_size"
                )
            self._due = chosen.initial
            return initial_design(self.z, chosen.initial, chosen.design, self.seed)
        told = self._due = len(self.observed.index)  # what is asked for now ends the batch before
        if self.stopped:
            return np.empty(0, dtype=np.int64)
        self.proposals += 1
        candidates = self.fit().candidates
        self._due = told + len(candidates)
        return candidates

    def fit(self) -> Proposal:
        """Fit the surrogate to all that was told; the same fit until more is told.

        Returns:
            Posterior and acquisition over z, and the candidates `ask` would give.

        Raises:
            InputError: If fewer than two trials succeeded.
        """
        index, objective, variance = self._told()
        if self._fit and self._fit[0] == len(index):
            return self._fit[1]
        worked = np.isfinite(objective).all(1)
        if worked.sum() < 2:
            raise InputError(
                f"search: {worked.sum()} of {len(worked)} trials succeeded and a surrogate needs "
                "two; see why the others failed (status in results/*/trials/*.h5)"
            )
        # A failed trial counts as the worst seen: left out, it would leave its neighbourhood
        # unexplored and so attractive, and the search would fail there again and again.
        objective = np.where(worked[:, None], objective, objective[worked].min(0))
        known = np.isfinite(variance[worked]).all()
        # One variance for all, their mean: a single trial's, from two or three seeds, is so rough
        # that seeds which happen to agree would look free of noise.
        variance = np.broadcast_to(variance[worked].mean(0), objective.shape) if known else None
        where = self.z, self.z[index]
        how = self.settings, self._open()
        if objective.shape[1] == 1:
            of_one = variance if variance is None else variance[:, 0]
            proposal = propose(*where, objective[:, 0], of_one, *how)
        else:
            proposal = pareto.propose(*where, objective, variance, *how, self.floors)
        self._fit = (len(index), proposal)
        return proposal

    def count_improvement(self) -> None:
        """Add this fit's largest expected improvement to `improvements`, once a batch, at its end.

        Raises:
            InputError: If fewer than two trials succeeded.
        """
        told = len(self.observed.index)
        if self._due <= told != self._counted:
            open_points = self.fit().expected_improvement[self._open()]
            self.improvements.append(float(open_points.max(initial=0)))
            self._counted = told

    def tell(
        self,
        index: int,
        objective: float | Sequence[float] | np.ndarray,
        variance: float | Sequence[float] | np.ndarray = np.nan,
    ) -> None:
        """Report one evaluation.

        Args:
            index: Which point of z.
            objective: What was found there, higher is better, one number or as many each time;
                NaN if the evaluation failed.
            variance: Noise variance of each, where it is known.

        Raises:
            InputError: If there are more or fewer objectives than before, or than floors.
        """
        found = np.array(objective, dtype=float, ndmin=1)
        before = self.observed.objective or [np.array(self.floors or found)]
        if found.shape != before[0].shape:
            raise InputError(
                f"search: {len(found)} objectives told where {len(before[0])} are searched for"
            )
        self.observed.index.append(int(index))
        self.observed.objective.append(found)
        noise = np.array(variance, dtype=float, ndmin=1)
        self.observed.variance.append(np.broadcast_to(noise, found.shape))

    @property
    def stopped(self) -> str:
        """Why the search is over, or "" while it is not."""
        if not self.observed.index:
            return ""
        if self.proposals >= self.settings.iterations:
            return f"budget of {self.settings.iterations} iterations spent"
        if not self._open().any():
            return "every point of the search space is evaluated"
        self.count_improvement()
        chosen = self.settings
        return negligible(
            self.improvements, self.spread, chosen.stop_threshold, chosen.stop_patience
        )

    @property
    def spread(self) -> float:
        """Standard deviation of the objective over all trials; of two maximized, their product."""
        found = 1.0
        for objective in self._told()[1].T[self._maximized()]:
            if np.nanmin(objective) == np.nanmax(objective):
                return 0.0  # what rounding of the mean leaves is no spread
            found *= float(np.nanstd(objective, ddof=1))
        return found

    @property
    def best_evaluated(self) -> int:
        """Index of the point with the highest observed objective: lucky where noise is large.

        Of several objectives, the one that would be recommended had there been no noise.
        """
        index, objective, _ = self._told()
        if objective.shape[1] == 1:
            return int(index[np.nanargmax(objective)])
        worked = np.flatnonzero(np.isfinite(objective).all(1))
        sure = np.zeros_like(objective[worked])
        return int(index[worked[pareto.recommended(objective[worked], sure, self.choice)]])

    @property
    def best_estimated(self) -> int:
        """Index of the point with the highest posterior mean: what the search recommends.

        Of several objectives, what `pareto.recommended` takes.
        """
        fit = self.fit()
        if fit.mean.ndim == 1:
            return int(np.argmax(fit.mean))
        return pareto.recommended(fit.mean, fit.sd, self.choice)

    @property
    def front(self) -> np.ndarray:
        """Indices of the points on the front of two objectives by posterior means, shape (f,)."""
        mean = self.fit().mean[:, self._maximized()]
        on_front = np.flatnonzero(pareto.non_dominated(mean))
        return on_front[np.argsort(mean[on_front, 0])]

    def _maximized(self) -> list[int]:
        return pareto.maximized(self.floors or [None] * len(self.observed.objective[0]))

    def _open(self) -> np.ndarray:
        is_open = np.ones(len(self.z), dtype=bool)
        is_open[self.observed.index] = False
        return is_open

    def _told(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        seen = self.observed
        return np.array(seen.index, int), np.array(seen.objective), np.array(seen.variance)


def initial_design(
    z: np.ndarray, count: int, design: str, seed: int, key: str = "search.initial"
) -> np.ndarray:
    """Choose the starting points from the feasible ones (table 1, step 5).

    Args:
        z: Feasible latent points, shape (m, d).
        count: Points to choose, all different.
        design: "random", the paper's, or "sobol": the points nearest to a scrambled Sobol sequence
            over the bounding box, which leaves smaller holes.
        seed: Of either.
        key: The config key that gave the count, for errors.

    Returns:
        Indices into z, shape (count,).

    Raises:
        InputError: If there are fewer points.
    """
    if len(z) < count:
        raise InputError(
            f"{key}: {count} do not fit into a search space of {len(z)} feasible points; raise "
            f"space.grid or lower {key}"
        )
    if design == "random":
        return np.random.default_rng(seed).choice(len(z), count, replace=False)
    sobol = torch.quasirandom.SobolEngine(z.shape[1], scramble=True, seed=seed)
    low, high = z.min(0), z.max(0)
    chosen: list[int] = []
    scale = np.where(high > low, high - low, 1)
    for target in sobol.draw(count).numpy():
        distance = np.square((z - low) / scale - target).sum(1)
        distance[chosen] = np.inf
        chosen.append(int(distance.argmin()))
    return np.array(chosen, dtype=np.int64)
