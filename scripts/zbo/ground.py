"""The measuring ground: many trajectories, several seeds each, one table to replay searches on."""

import numpy as np

from zbo.objective import entropy, information

WHOLE_MODELS = ("manifolds", "probabilities", "z_mean", "z_sd")  # too large for the table


def rows(repeats: np.ndarray) -> list[tuple[int, int]]:
    """List the trainings as (trajectory, repeat), every trajectory once before any twice.

    Args:
        repeats: Seeds of each trajectory, shape (t,).

    Returns:
        All pairs, sum(repeats) of them.
    """
    return [(t, r) for r in range(max(repeats)) for t in range(len(repeats)) if r < repeats[t]]


def checkpoints(cycles: int) -> list[int]:
    """Cycles after which a training is measured: fifths of it, the end last."""
    return sorted({max(1, round(cycles * fifth / 5)) for fifth in range(1, 6)})


def posterior_measures(q: np.ndarray) -> dict[str, float]:
    """Describe how a model uses its classes, from class probabilities alone.

    Args:
        q: q(k|x), shape (n, K).

    Returns:
        Nats: `information`, mutual information of image and class, H(mean q) - mean H(q);
        `usage`, H(mean q); `ambiguity`, mean H(q). Shares: `confidence`, mean of the largest q.
    """
    return {
        "information": information(q),
        "usage": float(entropy(q.mean(0))),
        "ambiguity": float(entropy(q).mean()),
        "confidence": float(q.max(1).mean()),
    }
