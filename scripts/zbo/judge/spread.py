"""A score over seeds, in words."""

import numpy as np


def in_words(values: np.ndarray, form: str = ".2f") -> str:
    """Say mean ± standard deviation, as tables and figures give it.

    Args:
        values: One a seed, shape (seeds,); those that are not finite count as missing.
        form: Format of both numbers.

    Returns:
        "0.76 ± 0.04"; the mean alone of a single value, "" of none.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return ""
    spread = f" ± {known.std(ddof=1):{form}}" if len(known) > 1 else ""
    return f"{known.mean():{form}}{spread}"
