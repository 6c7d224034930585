"""Classes that several seeds of a model agree on.

Each seed is a clustering of its own, with classes in an order of its own. Of the ways to combine
such clusterings (Strehl and Ghosh 2002, J. Mach. Learn. Res. 3, 583; Topchy, Jain and Punch 2005,
IEEE Trans. Pattern Anal. Mach. Intell. 27, 1866) the one here is k-means on the posteriors side by
side: of those tried it agreed with the seeds best, and its cost is linear in images.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from zbo.search.objective import information

log = logging.getLogger(__name__)

ALONE = 0.9  # weight of a seed beside which the others say nothing


@dataclass(frozen=True)
class Consensus:
    """Which of the seeds' classes make up which class of the consensus.

    Attributes:
        weights: Of each seed, shape (S,), sum 1.
        parts: P(class of the consensus | class of the seed), shape (S, K, C).
    """

    weights: np.ndarray
    parts: np.ndarray

    def probabilities(self, posteriors: Sequence[np.ndarray]) -> np.ndarray:
        """Give each image's share of the seeds' votes, by class.

        Args:
            posteriors: q(k|x) of each seed, S of shape (n, K).

        Returns:
            Shape (n, C), rows sum to 1.
        """
        votes = zip(self.weights, posteriors, self.parts, strict=True)
        return sum(weight * (own @ parts) for weight, own, parts in votes)

    def agreement(self, posteriors: Sequence[np.ndarray], classes: np.ndarray) -> np.ndarray:
        """Give the share of seeds whose own class of an image means the class it has been given.

        Args:
            posteriors: q(k|x) of each seed, S of shape (n, K).
            classes: Of the consensus, shape (n,), int.

        Returns:
            Shape (n,), in [0, 1], seeds weighed as in the consensus.
        """
        means = [parts.argmax(1) for parts in self.parts]
        votes = zip(self.weights, posteriors, means, strict=True)
        return sum(weight * (mean[own.argmax(1)] == classes) for weight, own, mean in votes)


def find(posteriors: Sequence[np.ndarray], seed: int = 0, kinds: int | None = None) -> Consensus:
    """Find the classes that the seeds agree on.

    Seeds with more classes than there are kinds each cut some kind in parts, but not all in the
    same: what most of them leave together comes together again. One seed has nobody to agree with,
    so its classes stay, and a warning says so.

    Args:
        posteriors: q(k|x) of each seed that trained, S of shape (n, K), the same images in each.
        seed: Of k-means.
        kinds: C, classes of the consensus; as many as each seed has by default, and at most.

    Returns:
        The consensus, classes in the order of their size, the largest first.
    """
    weights = weigh(posteriors)
    own = posteriors[0].shape[1]
    count = min(kinds or own, own)
    if count < own and weights.max() > ALONE:
        log.warning("no two seeds agree on how %d classes make %d kinds: all are kept", own, count)
        count = own
    beside = np.concatenate(
        [np.sqrt(weight) * own for weight, own in zip(weights, posteriors, strict=True)], 1
    )
    classes = KMeans(count, n_init=10, random_state=seed).fit_predict(beside)
    order = np.argsort(-np.bincount(classes, minlength=count), kind="stable")
    member = np.eye(count)[np.argsort(order)[classes]]  # (n, C)
    # A class that a seed never uses says nothing: it is spread over all.
    shared = np.stack([own.T @ member for own in posteriors]) + 1e-9 / count
    return Consensus(weights, shared / shared.sum(2, keepdims=True))


def weigh(posteriors: Sequence[np.ndarray]) -> np.ndarray:
    """Weigh seeds by the mutual information of image and class, the highest most, without labels.

    The scale is one class: of K of equal size, a seed that merges two loses 2 log 2 / K nats, and
    weighs 1 / e² of one that keeps them apart. So seeds that are nearly alike weigh nearly the
    same, however little they differ, and one that gave up most of its classes weighs nothing.

    Args:
        posteriors: q(k|x) of each seed, S of shape (n, K).

    Returns:
        Shape (S,), sum 1.
    """
    reached = np.array([information(own) for own in posteriors])
    weights = np.exp((reached - reached.max()) * posteriors[0].shape[1] / np.log(2))
    return weights / weights.sum()


def agreement(posteriors: Sequence[np.ndarray]) -> np.ndarray:
    """Give the adjusted Rand index of every two seeds, shape (S (S - 1) / 2,)."""
    found = [own.argmax(1) for own in posteriors]
    return np.array([adjusted_rand_score(*pair) for pair in combinations(found, 2)])
