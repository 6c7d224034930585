"""When a search may stop. No torch here: Snakemake asks each time it plans."""

from collections.abc import Sequence


def negligible(
    improvements: Sequence[float], spread: float, threshold: float, patience: int
) -> str:
    """Tell whether the search may stop since the acquisition is negligible (the paper, section 4).

    Args:
        improvements: Largest expected improvement at each proposal, units of the objective.
        spread: Standard deviation of the objective over all trials; where it is 0, whatever the
            surrogate, which has no unit then, expects is negligible.
        threshold: Share of it that counts as negligible; 0 never stops.
        patience: Proposals in a row that have to stay below.

    Returns:
        Why, or "".
    """
    last = improvements[-patience:]
    if len(last) == patience and threshold > 0 and spread == 0:
        return "every trial found the same, so that expected improvement is negligible"
    if len(last) == patience and max(last) < threshold * spread:
        return f"expected improvement below {threshold * spread:.2g}, which is negligible"
    return ""
