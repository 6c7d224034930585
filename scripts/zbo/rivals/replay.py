"""Searches replayed on the measuring ground: a training costs a look into a table, noise included.

A search sees half the seeds of each trajectory; what it recommends is judged by the other half, so
that a lucky seed it has found does not judge itself. Half and order are drawn anew each replay.
A trajectory that is not in the table stands for the nearest one that is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from zbo.base import channels, storage
from zbo.base.channels import Bounds
from zbo.rivals.arena import Arena, Belief

Objective = Callable[[Mapping[str, np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class Ground:
    """The table of `snakemake ground`, a row a training turned into arrays.

    Attributes:
        z: Latent points of the trajectories, shape (t, d).
        beta: The trajectories, shape (t, N) or (t, 2, N).
        constant: Which are constants, bool, shape (t,); the others are spread over the space.
        repeats: Trainings of each trajectory, shape (t,).
        bounds: Smallest and largest β.
        unit_beta: The constant that the paper's β = 1 is on these images.
        families: Names of the families the trajectories were sampled from.
        cycles: Cycles after which a training was measured, shape (c,), the last its end.
        measures: Name to values at each look of a training, shape (t, r, c), NaN beyond a
            trajectory's repeats and where a training diverged.
    """

    z: np.ndarray
    beta: np.ndarray
    constant: np.ndarray
    repeats: np.ndarray
    bounds: Bounds
    unit_beta: float
    families: tuple[str, ...]
    cycles: np.ndarray
    measures: dict[str, np.ndarray]

    def constant_nearest(self, value: float) -> int:
        """Which trajectory is the constant β_c nearest to one, in the logarithm."""
        constants = np.flatnonzero(self.constant)
        beta_c = channels.split(self.beta[constants])[0][:, 0]
        return int(constants[np.abs(np.log(beta_c / value)).argmin()])

    def best_constant(self, values: np.ndarray) -> int:
        """Which constant has the highest mean objective, of values (t, r).

        A person who has to find it does not know, so this rival of a search is a strong one.
        """
        constants = np.flatnonzero(self.constant)
        return int(constants[np.nanmean(values[constants], 1).argmax()])

    def told(self, values: np.ndarray) -> Belief:
        """What a lottery is told: the best constant of one objective, (t, r), or of two all."""
        if values.ndim == 2:
            return Belief(self.beta[[self.best_constant(values)]], np.zeros(1))
        return Belief(self.beta[self.constant], np.nanmean(values[self.constant], 1))

    def at(self, look: int = -1) -> dict[str, np.ndarray]:
        """All measures at one look, each of shape (t, r)."""
        return {name: values[..., look] for name, values in self.measures.items()}


def load(path: str) -> Ground:
    """Read `ground.h5`.

    Raises:
        InputError: If it is missing, cut short or another file.
    """
    table = storage.read(path, kind="ground table")
    made = storage.facts(path, kind="ground table")["settings"]["trajectories"]
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
        bounds=channels.bounds({"beta_d": None} | made),
        unit_beta=float(table["unit_beta"]),
        families=tuple(made["families"]),
        cycles=table["cycles"],
        measures={name: spread(values) for name, values in rows.items()},
    )


class Replay(Arena):
    """One replay: which seeds the search may see, and what the others say of a trajectory.

    Args:
        ground: The table.
        objective: What the search maximizes: makes of measures, name to (t, r), values (t, r), or
            (t, r, 2) of two objectives.
        rng: Splits the seeds; the search's as well.
        split: Keep half the seeds back. A search that chooses nothing but a seed may see them all:
            each is judged by its own model.

    Attributes:
        objective: At each look, shape (t, r, c), or (t, r, c, 2).
        trained: (trajectory, repeat) of each training so far.
    """

    def __init__(
        self, ground: Ground, objective: Objective, rng: np.random.Generator, split: bool = True
    ) -> None:
        pool = ~ground.constant
        super().__init__(ground.z[pool], ground.beta[pool], ground.bounds, ground.families, rng)
        self.ground = ground
        looks = range(len(ground.cycles))
        self.objective = np.stack([objective(ground.at(look)) for look in looks], 2)
        self.objectives = self.objective.shape[3] if self.objective.ndim == 4 else 1
        self._log_beta = np.log(ground.beta).reshape(len(ground.beta), -1)
        shuffled = [rng.permutation(count) for count in ground.repeats]
        half = [max(1, len(order) // 2) if split else len(order) for order in shuffled]
        self._seen = [order[:n] for order, n in zip(shuffled, half, strict=True)]
        self._judges = [order[n if split else 0 :] for order, n in zip(shuffled, half, strict=True)]
        self._drawn = np.zeros(len(ground.z), dtype=int)
        self.trained: list[tuple[int, int]] = []

    def train_while(self, beta: np.ndarray, look: int, promising: Callable[[float], bool]) -> float:
        """Train to a look and go on only if what is seen there is promising.

        Args:
            beta: The trajectory.
            look: Which of the ground's cycles to look at.
            promising: Told the objective there, says whether to go on.

        Returns:
            The objective at the end; NaN where the training was given up.
        """
        self.tried.append(beta)
        value = float(self._train(beta))
        if not promising(float(self.objective[*self.trained[-1], look])):
            value = np.nan
            self.spent += self.ground.cycles[look] / self.ground.cycles[-1]
        else:
            self.spent += 1
        self.values.append(value)
        return value

    def _train(self, beta: np.ndarray) -> float | np.ndarray:
        """Draw a seed, each once before any twice."""
        at = self.nearest(beta)
        seeds = self._seen[at]
        self.trained.append((at, int(seeds[self._drawn[at] % len(seeds)])))
        self._drawn[at] += 1
        return self.objective[*self.trained[-1], -1]

    def nearest(self, beta: np.ndarray) -> int:
        """The trajectory in the table nearest to one, root mean square in log β."""
        return int(np.square(self._log_beta - np.log(beta).ravel()).sum(1).argmin())

    def judge(self, measure: np.ndarray, beta: np.ndarray) -> float:
        """Mean over the seeds that the search did not see."""
        at = self.nearest(beta)
        return float(np.nanmean(measure[at, self._judges[at]]))
