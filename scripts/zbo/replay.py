"""Searches replayed on the measuring ground: a training costs a look into a table, noise included.

A search sees half the seeds of each trajectory; what it recommends is judged by the other half, so
that a lucky seed it has found does not judge itself. Half and order are drawn anew each replay.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from zbo import channels, optimize, storage
from zbo.optimize import Optimizer


class Standing(NamedTuple):
    """Where a search stands after so many trainings.

    Attributes:
        trainings: What it has cost so far.
        trajectory: What it would recommend.
        training: (trajectory, repeat) whose model it would keep.
    """

    trainings: int
    trajectory: int
    training: tuple[int, int]


@dataclass(frozen=True)
class Ground:
    """The table of `snakemake ground`, a row a training turned into arrays.

    Attributes:
        z: Latent points of the trajectories, shape (t, d).
        beta: The trajectories, shape (t, N) or (t, 2, N).
        constant: Which are constants, bool, shape (t,); the others are spread over the space.
        repeats: Trainings of each trajectory, shape (t,).
        measures: Name to values at each look of a training, the last at its end, shape (t, r, c),
            NaN beyond a trajectory's repeats and where a training diverged.
    """

    z: np.ndarray
    beta: np.ndarray
    constant: np.ndarray
    repeats: np.ndarray
    measures: dict[str, np.ndarray]


def load(path: str) -> Ground:
    """Read `ground.h5`.

    Raises:
        InputError: If it is missing, cut short or another file.
    """
    table = storage.read(path, kind="ground table")
    rows = storage.group(table, "rows")
    at = rows.pop("trajectory"), rows.pop("repeat")
    for name in ("seed", "seconds"):  # facts, not measures
        rows.pop(name)
    repeats = table["repeats"]

    def spread(values: np.ndarray) -> np.ndarray:
        array = np.full((len(repeats), repeats.max(), *values.shape[1:]), np.nan)
        array[at] = values
        return array

    return Ground(
        z=table["z"].astype(np.float64),
        beta=table["beta"],
        constant=table["constant"].astype(bool),
        repeats=repeats,
        measures={name: spread(values) for name, values in rows.items()},
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
        return float(np.nanmean(measure[trajectory, self._judges[trajectory]]))


Search = Callable[[Replay, int], Iterator[Standing]]


def random_search(replay: Replay, budget: int) -> Iterator[Standing]:
    """Train random points of the space, one seed each; recommend the best seen."""
    points = replay.rng.permutation(np.flatnonzero(~replay.ground.constant))
    best = _Best()
    for count, point in enumerate(points[:budget], start=1):
        best.see(*replay.train(point))
        yield Standing(count, best.training[0], best.training)


def lottery(value: float | None = None) -> Search:
    """Train seed after seed at one constant β; recommend it, keep the best model.

    Args:
        value: That constant (the nearest measured); None: the one whose mean objective is highest,
            which a person who has to find it does not know, so the rival is a strong one.
    """

    def search(replay: Replay, budget: int) -> Iterator[Standing]:
        ground = replay.ground
        beta_c = channels.split(ground.beta)[0]
        constants = np.flatnonzero(ground.constant)
        if value is None:
            chosen = constants[np.nanmean(replay.objective[constants], 1).argmax()]
        else:
            chosen = constants[np.abs(np.log(beta_c[constants, 0] / value)).argmin()]
        best = _Best()
        # Nothing is chosen but a seed, and a seed is judged by its own model: no half is kept back.
        for count, repeat in enumerate(replay.rng.permutation(ground.repeats[chosen])[:budget], 1):
            best.see(float(replay.objective[chosen, repeat]), (int(chosen), int(repeat)))
            yield Standing(count, int(chosen), best.training)

    return search


def bayesian(replicates: int = 1, recommend: str = "mean", **changes) -> Search:
    """Run `zbo.optimize.Optimizer` over the ground's points.

    Args:
        replicates: Trainings of each point it asks for.
        recommend: "mean", the highest posterior mean, or "lucky", the best point seen.
        **changes: Of `optimize.Settings`.
    """

    def search(replay: Replay, budget: int) -> Iterator[Standing]:
        points = np.flatnonzero(~replay.ground.constant)
        settings = optimize.Settings(
            **{"initial": 10, "iterations": budget, "stop_threshold": 0} | changes
        )
        optimizer = Optimizer(replay.ground.z[points], settings, int(replay.rng.integers(2**31)))
        best, count = _Best(), 0
        while count < budget:
            for index in optimizer.ask():
                found = [replay.train(points[index]) for _ in range(replicates)]
                values = np.array([value for value, _ in found])
                variance = values.var(ddof=1) / replicates if replicates > 1 else np.nan
                optimizer.tell(index, values.mean(), variance)
                count += replicates
                for one in found:
                    best.see(*one)
            chosen = optimizer.best_estimated if recommend == "mean" else optimizer.best_evaluated
            yield Standing(count, int(points[chosen]), best.training)

    return search


class _Best:
    def __init__(self) -> None:
        self.value, self.training = -np.inf, (-1, -1)

    def see(self, value: float, training: tuple[int, int]) -> None:
        if value > self.value:
            self.value, self.training = value, training


def objectives(ground: Ground) -> dict[str, np.ndarray]:
    """List what a search could maximize at a training's end; higher is better; shape (t, r)."""
    of = {name: values[..., -1] for name, values in ground.measures.items()}
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
