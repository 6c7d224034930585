"""Schedules that people give β by hand, a few forms of each: what a search is compared with.

Each rises and falls in one published way; what is left to try is how high. They are as many
trainings as constants get, and the best by the objective is the compared model of that name.
"""

from collections.abc import Callable

import numpy as np

from zbo.base import channels
from zbo.base.channels import Bounds

# What share of its height a schedule has at each share of the training; 0 is the lower bound.
SCHEDULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "constant": np.ones_like,
    # Linear warm-up (Bowman et al. 2016, Sønderby et al. 2016), over the first half.
    "warmup": lambda at: np.minimum(2 * at, 1),
    # Four times, rising for half of each (Fu et al. 2019, their M and R).
    "cyclical": lambda at: np.minimum(2 * (4 * at % 1), 1),
    # The middle of the family of Biswas et al. 2023: held for a twelfth, then falls over a third.
    "cooldown": lambda at: 1 - np.clip(3 * (at - 1 / 12), 0, 1),
}


def forms(name: str, bounds: Bounds, cycles: int, count: int) -> np.ndarray:
    """Lay out a schedule's forms: heights evenly in the logarithm of β_c, up to the upper bound.

    A constant may have the lower bound for a height, too, and a single one has the middle; for the
    others that were a constant once more. Where β_d is searched, it stays in the geometric middle
    of its bounds (`channels.constant`).

    Args:
        name: One of `SCHEDULES`.
        bounds: Smallest and largest β.
        cycles: N.
        count: How many.

    Returns:
        Shape (count, N) or (count, 2, N), float32.
    """
    (low, high), *rest = channels.each(bounds)
    if name != "constant":
        heights = np.geomspace(low, high, count + 1)[1:]
    elif count > 1:
        heights = np.geomspace(low, high, count)
    else:
        heights = np.array([channels.constant((low, high))])
    share = SCHEDULES[name](np.arange(cycles) / cycles)
    beta_c = low + (heights[:, None] - low) * share
    others = [np.full_like(beta_c, channels.constant(of)) for of in rest]
    return channels.join([beta.astype(np.float32) for beta in (beta_c, *others)])
