"""What a search works on: it trains for real (run_search.py) or looks into a table (replay.py)."""

from dataclasses import dataclass, field

import numpy as np

from zbo.base.channels import Bounds


@dataclass
class Arena:
    """What a search may use: where it may look, a way to train, chance.

    Attributes:
        z: Latent points of the search space, shape (m, d).
        beta: Their trajectories, shape (m, N).
        bounds: Smallest and largest β.
        families: Names of the sampled families.
        rng: Of the search.
        values: Objective of each training so far, NaN if it failed or was given up.
        spent: What they cost, in whole trainings.
    """

    z: np.ndarray
    beta: np.ndarray
    bounds: Bounds
    families: tuple[str, ...]
    rng: np.random.Generator
    values: list[float] = field(default_factory=list, init=False)
    spent: float = field(default=0, init=False)

    def train(self, beta: np.ndarray) -> float:
        """Train once along a trajectory, shape (N,), with a seed of its own: its objective."""
        self.values.append(self._train(beta))
        self.spent += 1
        return self.values[-1]

    def _train(self, beta: np.ndarray) -> float:
        raise NotImplementedError

    @property
    def best(self) -> int:
        """Which training had the highest objective; the first while none has succeeded."""
        return int(np.argmax(np.nan_to_num(self.values, nan=-np.inf)))
