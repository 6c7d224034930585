"""What can be maximized, of a training's measures, in one table; higher is better.

To add one: an entry here. A measure that is not there yet comes from `zbo.search.objective`, or, if
the measuring ground alone knows it, from `zbo.rivals.ground`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Measures that tell how a model uses its classes: without classes there are none.
ABOUT_CLASSES = ("l1", "l2", "information", "usage", "ambiguity", "confidence", "agreement")


@dataclass(frozen=True)
class Objective:
    """An objective.

    Attributes:
        label: What figures call it.
        needs: Names of the measures it is made of.
        of: Makes it of these, in this order, numbers or arrays of them.
        of_study: Whether a study may search for it; else it is compared on the measuring ground.
    """

    label: str
    needs: tuple[str, ...]
    of: Callable[..., Any] = lambda measure: measure
    of_study: bool = True

    def __call__(self, measures: Mapping[str, Any]) -> Any:
        """Compute it of measures, by name."""
        return self.of(*(measures[name] for name in self.needs))

    @property
    def about_classes(self) -> bool:
        """Whether it is unknown of a model without classes."""
        return not set(self.needs).isdisjoint(ABOUT_CLASSES)


OBJECTIVES = {
    # The paper's choice for MNIST, and its equation 2.
    "l1": Objective("ℓ1, the paper's", ("l1",)),
    "l1-l2": Objective("ℓ1 - ℓ2", ("l1", "l2"), lambda l1, l2: l1 - l2),
    "information": Objective("information of image and class, nats", ("information",)),
    # What the continuous latents carry; angle and shifts are no finding about a particle.
    "factors": Objective("information of image and factors, nats", ("factors",)),
    # Both KL terms at full weight (Kingma and Welling 2014, eq. 3): comparable between
    # trajectories, as the loss, which each weighs for itself, is not. The reconstruction term alone
    # would not do: the less the KL terms weigh, the better it gets.
    "elbo": Objective(
        "evidence lower bound, nats",
        ("reconstruction", "kl_c", "kl_d"),
        lambda reconstruction, kl_c, kl_d: -(reconstruction + kl_c + kl_d),
    ),
    "l1+l2": Objective("ℓ1 + ℓ2", ("l1", "l2"), lambda l1, l2: l1 + l2, of_study=False),
    # Angle and shifts counted, unlike factors.
    "kl_c": Objective("nats of all continuous latents", ("kl_c",), of_study=False),
    "usage": Objective("entropy of the mean class, nats", ("usage",), of_study=False),
    "confidence": Objective("mean of the largest q", ("confidence",), of_study=False),
    # Not of one training alone: of the table, once all are there.
    "agreement": Objective("agreement with other trainings", ("agreement",), of_study=False),
    "-reconstruction": Objective(
        "reconstruction term, nats", ("reconstruction",), lambda term: -term, of_study=False
    ),
}
OF_STUDY = {name: each for name, each in OBJECTIVES.items() if each.of_study}


def of_all(names: Sequence[str]) -> Callable[[Mapping[str, Any]], Any]:
    """Make what computes one objective of measures, or several along a last axis of their own."""
    if len(names) == 1:
        return OBJECTIVES[names[0]]
    import numpy as np  # a plan reads this table, and needs none

    return lambda measures: np.stack([OBJECTIVES[name](measures) for name in names], -1)
