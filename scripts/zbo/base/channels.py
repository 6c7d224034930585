"""What a trajectory holds: β_c alone, or β_c and β_d where `trajectories.beta_d` has bounds.

The one rule of shapes: with β_c alone trajectories are (m, N) and bounds (2,), smallest and
largest; with both, trajectories are (m, 2, N) and bounds (2, 2), β_c first. Only this module
tells the two cases apart; all else works on channels, one or two.
"""

from collections.abc import Sequence
from typing import TypeGuard, cast

import numpy as np

NAMES = "β_c", "β_d"

Range = tuple[float, float]
Bounds = Range | tuple[Range, Range]


def bounds(trajectories: dict) -> Bounds:
    """Give what is searched, from section `trajectories` of a study.

    Args:
        trajectories: Has `bounds`, β_c's, and `beta_d`; a stage that knows no `beta_d` takes β_c's.

    Returns:
        (low, high) of β_c, or of β_c and of β_d, dimensionless.
    """
    beta_c, beta_d = tuple(trajectories["bounds"]), trajectories.get("beta_d")
    return cast(Bounds, (beta_c, tuple(beta_d)) if has_bounds(beta_d) else beta_c)


def has_bounds(beta_d: float | Sequence[float] | None) -> TypeGuard[Sequence[float]]:
    """Tell whether β_d is searched: `beta_d` is (low, high), not a number."""
    return beta_d is not None and np.ndim(beta_d) == 1


def constant(beta_d: float | Sequence[float]) -> float:
    """Give β_d where no trajectory of its own says it.

    The number; of bounds, their geometric middle, so that β_d is as many times above the smallest
    as below the largest.
    """
    if has_bounds(beta_d):
        return float(np.sqrt(beta_d[0] * beta_d[1]))
    return float(cast(float, beta_d))


def along(beta: np.ndarray, beta_d: float | Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Give the scale factors of both KL terms at each cycle of a training (table 1, step 6).

    Args:
        beta: A trajectory, shape (N,) or (2, N), dimensionless.
        beta_d: `trajectories.beta_d` of the study, for a trajectory of β_c alone.

    Returns:
        β_c and β_d, shape (N,) each, float64.
    """
    beta = np.asarray(beta, dtype=np.float64)
    if beta.ndim == 2:
        return beta[0], beta[1]
    return beta, np.full_like(beta, constant(beta_d))


def each(of: Bounds) -> list[Range]:
    """List the bounds of each channel."""
    return list(cast(tuple[Range, Range], of)) if np.ndim(of) == 2 else [cast(Range, of)]


def ends(of: Bounds) -> tuple[np.ndarray, np.ndarray]:
    """Give the smallest and largest values, shape (1,) or (2, 1): they go with trajectories."""
    low, high = np.moveaxis(np.asarray(of, dtype=np.float64), -1, 0)
    return low[..., None], high[..., None]


def split(beta: np.ndarray) -> np.ndarray:
    """Turn trajectories (m, N) or (m, 2, N) into those of each channel, (1, m, N) or (2, m, N)."""
    return beta.reshape(len(beta), -1, beta.shape[-1]).swapaxes(0, 1)


def join(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Put trajectories of each channel, (m, N), together; undoes `split`."""
    return parts[0] if len(parts) == 1 else np.stack(parts, axis=1)
