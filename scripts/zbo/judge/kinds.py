"""How many kinds there are: whether trainings from other seeds find the same ones.

Classes that are in the images are found again, those that are not are cut anew by each training
(Lange, Roth, Braun and Buhmann 2004, Neural Comput. 16, 1299). Labels are not asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zbo.judge import consensus
from zbo.search.objective import information

AGREED = 0.6  # adjusted Rand index below which seeds agree little
USED = 0.01  # share of the images from which on a class counts as used


@dataclass(frozen=True)
class Found:
    """What trainings with K classes found.

    Attributes:
        classes: K.
        agreement: Adjusted Rand index of every two seeds, shape (S (S - 1) / 2,).
        information: Of each seed, mutual information of image and class, nats, shape (S,).
        used: Of each seed, classes that hold a hundredth of the images or more, shape (S,).
    """

    classes: int
    agreement: np.ndarray
    information: np.ndarray
    used: np.ndarray


def found(classes: int, posteriors: Sequence[np.ndarray]) -> Found:
    """Gather what trainings with K classes found.

    Args:
        classes: K.
        posteriors: q(k|x) of each seed that trained, S of shape (n, K).
    """
    shares = [np.bincount(own.argmax(1), minlength=classes) / len(own) for own in posteriors]
    return Found(
        classes,
        consensus.agreement(posteriors),
        np.array([information(own) for own in posteriors]),
        np.array([(share >= USED).sum() for share in shares]),
    )


def recommend(asked: Sequence[Found]) -> tuple[int, str]:
    """Recommend a number of classes: the largest that seeds agree on as well as on any.

    Fewer classes are agreed on more easily. So of those whose mean agreement is within a standard
    error of the highest the largest is taken.

    Args:
        asked: What trainings found, one a number of classes.

    Returns:
        The number, and why it is that.
    """
    mean = np.array([one.agreement.mean() for one in asked])
    best = int(mean.argmax())
    # Pairs share seeds: as many independent ones as there are seeds, at most.
    error = asked[best].agreement.std() / np.sqrt(len(asked[best].information))
    taken = max(i for i, one in enumerate(mean) if one >= mean[best] - error)
    chosen = asked[taken]
    said = f"seeds agree by {mean[taken]:.2f} on {chosen.classes} classes"
    if taken != best:
        said += (
            f", within a standard error of the highest, {mean[best]:.2f} on {asked[best].classes}"
        )
    else:
        said += ", more than on any other number"
    if taken == len(asked) - 1:
        said += "; it is the most that was asked, so raise kinds.max: there may be more"
    if mean[best] < AGREED:
        said += "; that is little: take it for a hint, and look at the members"
    return chosen.classes, said


def rows(asked: Sequence[Found]) -> list[dict[str, Any]]:
    """Give the rows of kinds.csv, one a number of classes."""
    number, why = recommend(asked)
    return [
        {
            "classes": one.classes,
            "seeds": len(one.information),
            "agreement": f"{one.agreement.mean():.4f}",
            "agreement_sd": f"{one.agreement.std():.4f}",
            "information": f"{one.information.mean():.4f}",
            "information_sd": f"{one.information.std():.4f}",
            "used": f"{one.used.mean():.2f}",
            "recommended": int(one.classes == number),
            "why": why if one.classes == number else "",
        }
        for one in asked
    ]
