"""Searches replayed on the measuring ground: a training costs a look into a table, noise included.

A search sees half the seeds of each trajectory; what it recommends is judged by the other half, so
that a lucky seed it has found does not judge itself. Half and order are drawn anew each replay.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from zbo import optimize, storage
from zbo.optimize import Optimizer

# Where a search stands after so many trainings: the trajectory it would recommend, the training
# whose model it would keep.
Standing = tuple[int, int, tuple[int, int]]


@dataclass(frozen=True)
class Ground:
    """The table of `snakemake ground`, a row a training turned into arrays.

    Attributes:
        z: Latent points of the trajectories, shape (t, d).
        beta: The trajectories, shape (t, N).
        constant: Which are constants, bool, shape (t,); the others are spread over the space.
        repeats: Trainings of each trajectory, shape (t,).
        cycles: Cycles after which a training was measured, shape (c,).
        measures: Name to values, shape (t, r, c), NaN beyond a trajectory's repeats.
        seconds: Of each training, shape (t, r), likewise.
    """

    z: np.ndarray
    beta: np.ndarray
    constant: np.ndarray
    repeats: np.ndarray
    cycles: np.ndarray
    measures: dict[str, np.ndarray]
    seconds: np.ndarray


def load(path: str) -> Ground:
    """Read `ground.h5`.

    Raises:
        InputError: If it is missing, cut short or another file.
    """
    table = storage.read(path, kind="ground table")
    rows = storage.group(table, "rows")
    at = rows.pop("trajectory"), rows.pop("repeat")
    rows.pop("seed")
    repeats = np.bincount(at[0], minlength=len(table["z"]))

    def spread(values: np.ndarray) -> np.ndarray:
        array = np.full((len(repeats), repeats.max(), *values.shape[1:]), np.nan)
        array[at] = values
        return array

    measures = {name: spread(values) for name, values in rows.items()}
    return Ground(
        z=table["z"].astype(np.float64),
        beta=table["beta"],
        constant=table["constant"].astype(bool),
        repeats=repeats,
        cycles=table["cycles"],
        seconds=measures.pop("seconds"),
        measures=measures,
    )


class Replay:
    """One replay: which seeds the search may see, and what the others say of a trajectory.

    Args:
        ground: The table.
        objective: What the search maximizes, shape (t, r).
        rng: Splits the seeds.
    """

    def __init__(self, ground: Ground, objective: np.ndarray, rng: np.random.Generator) -> None:
        self.ground, self.objective, self.rng = ground, objective, rng
        shuffled = [rng.permutation(count) for count in ground.repeats]
        self._seen = [order[: max(1, len(order) // 2)] for order in shuffled]
        self._judges = [order[len(order) // 2 :] for order in shuffled]
        self._drawn = np.zeros(len(ground.z), dtype=int)

    def train(self, trajectory: int) -> tuple[float, tuple[int, int]]:
        """Draw a seed, each once before any twice: its objective, and which training it is."""
        seeds = self._seen[trajectory]
        repeat = seeds[self._drawn[trajectory] % len(seeds)]
        self._drawn[trajectory] += 1
        return float(self.objective[trajectory, repeat]), (trajectory, int(repeat))

    def judge(self, measure: np.ndarray, trajectory: int) -> float:
        """Mean over the seeds that the search did not see."""
        return float(measure[trajectory, self._judges[trajectory]].mean())


Search = Callable[[Replay, int], Iterator[Standing]]


def random_search(replay: Replay, budget: int) -> Iterator[Standing]:
    """Train random points of the space, one seed each; recommend the best seen."""
    best = -np.inf
    points = replay.rng.permutation(np.flatnonzero(~replay.ground.constant))
    for count, point in enumerate(points[:budget], start=1):
        value, training = replay.train(point)
        if value > best:
            best, keep = value, training
        yield count, keep[0], keep


def lottery(level: Callable[[Replay], int]) -> Search:
    """Train seed after seed at one constant β; recommend it, keep the best model."""

    def search(replay: Replay, budget: int) -> Iterator[Standing]:
        trajectory, best = level(replay), -np.inf
        for count in range(1, min(budget, len(replay._seen[trajectory])) + 1):
            value, training = replay.train(trajectory)
            if value > best:
                best, keep = value, training
            yield count, trajectory, keep

    return search


def bayesian(replicates: int = 1, recommend: str = "mean", fits: int = 1, **changes) -> Search:
    """Run `zbo.optimize.Optimizer` over the ground's points.

    Args:
        replicates: Trainings of each point it asks for.
        recommend: "mean", the highest posterior mean, or "lucky", the best point seen.
        fits: Standings are given once every so many proposals; a fit costs most of a replay.
        **changes: Of `optimize.Settings`.
    """

    def search(replay: Replay, budget: int) -> Iterator[Standing]:
        points = np.flatnonzero(~replay.ground.constant)
        settings = optimize.Settings(**{"initial": 10, "iterations": budget} | changes)
        optimizer = Optimizer(replay.ground.z[points], settings, int(replay.rng.integers(2**31)))
        best, count = -np.inf, 0
        while count < budget:
            for index in optimizer.ask():
                found = [replay.train(points[index]) for _ in range(replicates)]
                values = np.array([value for value, _ in found])
                spread = values.var(ddof=1) / replicates if replicates > 1 else np.nan
                optimizer.tell(index, values.mean(), spread)
                count += replicates
                if values.max() > best:
                    best, keep = values.max(), found[int(values.argmax())][1]
            chosen = optimizer.best_estimated if recommend == "mean" else optimizer.best_evaluated
            yield count, int(points[chosen]), keep

    return search


def objectives(ground: Ground, look: int = -1) -> dict[str, np.ndarray]:
    """List what a search could maximize, higher better, each of shape (t, r).

    Args:
        ground: The table.
        look: Which of `ground.cycles` to look at; the last is the end.
    """
    of = {name: values[..., look] for name, values in ground.measures.items()}
    return {
        "l1": of["l1"],
        "l1-l2": of["l1"] - of["l2"],
        "l1+l2": of["l1"] + of["l2"],
        "information": of["information"],
        "usage": of["usage"],
        "confidence": of["confidence"],
        "-reconstruction": -of["reconstruction"],
        "-loss at beta 1": -(of["reconstruction"] + of["kl_c"] + of["kl_d"]),
    }
