"""The search space: points, the infeasible dropped (Biswas et al. 2023, table 1, step 4)."""

import logging
from collections.abc import Callable

import numpy as np
import torch

from zbo.base import channels
from zbo.base.channels import Bounds, Range
from zbo.base.errors import InputError
from zbo.base.own import by_path
from zbo.trajectories import families
from zbo.trajectories.vae import TrajectoryVAE

log = logging.getLogger(__name__)

Constraint = Callable[[np.ndarray, Range, float], np.ndarray]


def search_space(
    model: TrajectoryVAE, encoded: np.ndarray, grid: int, constraint: str, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay points over the encoded trajectories' bounding box and drop the infeasible (step 4).

    In one or two dimensions a regular grid; in more, as many Sobol points as a plane's grid has.
    Where β_d is searched as well, the constraint is asked about β_c and about β_d, each with its
    own bounds; a point is feasible where it holds for both.

    Args:
        model: The trained VAE.
        encoded: Latent means of the training trajectories, shape (s, d).
        grid: Points a dimension.
        constraint: "bounds", "positive", or a person's own as module:function.
        tolerance: Overshoot allowed by "bounds", as a share of their range.

    Returns:
        Points (m, d), their trajectories (m, N) or (m, 2, N), and which are feasible (m,), bool.

    Raises:
        InputError: If no point is feasible.
    """
    z = laid_out(encoded.min(0), encoded.max(0), grid)
    beta = model.decode(z)
    return z, beta, _feasible(beta, model.bounds, constraint, tolerance)


def parameter_space(
    family: str, cycles: int, bounds: Bounds, grid: int, constraint: str, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay points over what a family draws at random, without a VAE between.

    Args:
        family: Registered name or import path.
        cycles: N.
        bounds: Smallest and largest β; where β_d is searched as well, its parameters stand behind
            those of β_c.
        grid: As of `search_space`.
        constraint: As of `search_space`.
        tolerance: Likewise.

    Returns:
        As `search_space`; points are quantiles, in [0, 1].

    Raises:
        InputError: If no point is feasible, or the family has nothing to search.
    """
    ranges = channels.each(bounds)
    counts = [families.parameters(family, cycles, of) for of in ranges]
    if not all(counts):
        raise InputError(
            f"space.coordinates: '{family}' draws nothing but noise, so it has no parameters to "
            "search; set latents"
        )
    z = laid_out(np.zeros(sum(counts)), np.ones(sum(counts)), grid)
    parts = np.split(z, np.cumsum(counts)[:-1], axis=1)
    of_each = zip(parts, ranges, strict=True)
    beta = channels.join([families.of_quantiles(family, q, cycles, of) for q, of in of_each])
    return z, beta, _feasible(beta, bounds, constraint, tolerance)


def laid_out(low: np.ndarray, high: np.ndarray, grid: int, seed: int = 0) -> np.ndarray:
    """Lay points over a box.

    Args:
        low: Its lower corner, shape (d,).
        high: Its upper one.
        grid: Points a dimension, in one or two; in more, as many Sobol points as a plane's grid
            has.
        seed: Of these.

    Returns:
        Shape (m, d), float32.
    """
    if len(low) <= 2:
        axes = [np.linspace(a, b, grid) for a, b in zip(low, high, strict=True)]
        z = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(low))
    else:
        sobol = torch.quasirandom.SobolEngine(len(low), scramble=True, seed=seed)
        z = low + sobol.draw(grid**2).numpy() * (high - low)
    return z.astype(np.float32)


def _feasible(beta: np.ndarray, bounds: Bounds, constraint: str, tolerance: float) -> np.ndarray:
    check = CONSTRAINTS.get(constraint) or by_path(constraint, "space.constraint")
    feasible = np.ones(len(beta), dtype=bool)
    for values, of in zip(channels.split(beta), channels.each(bounds), strict=True):
        holds = np.asarray(check(values, of, tolerance))
        if holds.shape != (len(beta),) or holds.dtype != bool:
            raise InputError(
                f"space.constraint: '{constraint}' gave {holds.dtype} of shape {holds.shape}; "
                f"expected one bool a trajectory, shape {(len(beta),)}"
            )
        feasible &= holds
    if not feasible.any():
        raise InputError(
            f"space.constraint: '{constraint}' holds for none of the {len(beta)} points; "
            "loosen it or raise space.tolerance; of latents, train longer (trajectory_vae.cycles)"
        )
    log.info("%d of %d points are feasible", feasible.sum(), len(beta))
    return feasible


def within_bounds(beta: np.ndarray, bounds: Range, tolerance: float) -> np.ndarray:
    """Tell which trajectories stay in the bounds, widened by a share of their range, and above 0.

    Args:
        beta: Trajectories, shape (m, N).
        bounds: Smallest and largest β.
        tolerance: Share of the range.

    Returns:
        Bool, shape (m,).
    """
    slack = tolerance * (bounds[1] - bounds[0])
    low, high = beta.min(1), beta.max(1)
    return (low > 0) & (low >= bounds[0] - slack) & (high <= bounds[1] + slack)


def positive(beta: np.ndarray, bounds: Range, tolerance: float) -> np.ndarray:
    """Tell which trajectories stay above 0 (table 1, step 4); bool, shape (m,)."""
    return beta.min(1) > 0


CONSTRAINTS: dict[str, Constraint] = {"bounds": within_bounds, "positive": positive}
