"""What a search works on, for real (run_search.py) or in a table (replay.py), and what it tells."""

from dataclasses import dataclass, field

import numpy as np

from zbo.base.channels import Bounds
from zbo.search import pareto


@dataclass(frozen=True)
class Belief:
    """What a search thinks trajectories are worth; a recommendation follows.

    Attributes:
        beta: The trajectories, shape (m, N).
        values: Objective of each, shape (m,), or both of two, shape (m, 2); NaN where one failed.
    """

    beta: np.ndarray
    values: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """The trajectory of the highest objective; the first while none has succeeded."""
        return self.beta[int(np.argmax(np.nan_to_num(self.values, nan=-np.inf)))]

    def at_least(self, floor: float) -> np.ndarray:
        """The trajectory with the most of the first objective where the second has a floor."""
        return self.beta[at_least(self.values, floor)]


def at_least(values: np.ndarray, floor: float) -> int:
    """Choose the highest first objective among those whose second reaches a floor.

    Args:
        values: Both objectives, shape (m, 2), NaN where a training failed.
        floor: In the second's unit.

    Returns:
        Index into values; of the highest second where none reaches the floor, 0 if all failed.
    """
    worked = np.flatnonzero(np.isfinite(values).all(1))
    if not len(worked):
        return 0
    chosen = values[worked]
    return int(worked[pareto.recommended(chosen, np.ones_like(chosen), (None, floor))])


@dataclass
class Arena:
    """What a search may use: where it may look, a way to train, chance.

    Attributes:
        z: Latent points of the search space, shape (m, d).
        beta: Their trajectories, shape (m, N).
        bounds: Smallest and largest β.
        families: Names of the sampled families.
        rng: Of the search.
        objectives: How many are searched for, one or two.
        values: Of each training so far, a number or an array of two, NaN if it failed or was given
            up.
        tried: Trajectory of each training.
        spent: What they cost, in whole trainings.
    """

    z: np.ndarray
    beta: np.ndarray
    bounds: Bounds
    families: tuple[str, ...]
    rng: np.random.Generator
    objectives: int = 1
    values: list = field(default_factory=list, init=False)
    tried: list[np.ndarray] = field(default_factory=list, init=False)
    spent: float = field(default=0, init=False)

    def train(self, beta: np.ndarray) -> float | np.ndarray:
        """Train once along a trajectory, shape (N,), with a seed of its own: its objective(s)."""
        self.tried.append(beta)
        self.values.append(self._train(beta))
        self.spent += 1
        return self.values[-1]

    def _train(self, beta: np.ndarray) -> float | np.ndarray:
        raise NotImplementedError

    @property
    def luck(self) -> Belief:
        """What single trainings have shown: lucky where noise is large."""
        return Belief(np.stack(self.tried), np.array(self.values))

    @property
    def best(self) -> int:
        """Which training had the highest objective; the first while none has succeeded."""
        return int(np.argmax(np.nan_to_num(self.values, nan=-np.inf)))
