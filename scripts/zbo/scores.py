"""Label scores of a trained model. Labels judge models here and nowhere else."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix


@dataclass(frozen=True)
class LabelScores:
    """Agreement of classes and labels, each in [0, 1] (ari may fall below 0), and labels extracted.

    Attributes:
        accuracy: Share of images right under the best one-to-one matching of classes to labels.
        ari: Adjusted Rand index.
        nmi: Normalized mutual information.
        purity: Share of images that have their class's majority label.
        extracted: Labels that are the majority of at least one class, of those there are.
    """

    accuracy: float
    ari: float
    nmi: float
    purity: float
    extracted: int


def label_scores(classes: np.ndarray, labels: np.ndarray) -> LabelScores:
    """Compare classes found with labels known.

    Args:
        classes: Shape (n,), int.
        labels: Shape (n,), int.

    Returns:
        Hungarian accuracy, ARI, NMI, purity, labels extracted.
    """
    table = contingency_matrix(labels, classes)  # (labels, classes)
    rows, columns = linear_sum_assignment(table, maximize=True)
    return LabelScores(
        accuracy=float(table[rows, columns].sum() / len(labels)),
        ari=float(adjusted_rand_score(labels, classes)),
        nmi=float(normalized_mutual_info_score(labels, classes)),
        purity=float(table.max(axis=0).sum() / len(labels)),
        extracted=len(np.unique(table.argmax(axis=0))),
    )


def classes_of(
    probabilities: np.ndarray, z_mean: np.ndarray, classes: int, seed: int
) -> np.ndarray:
    """Assign each image a class: the most probable, or, of a model without classes, a cluster.

    Args:
        probabilities: Shape (n, K); K = 0 for a model without a discrete latent.
        z_mean: Latent means, shape (n, L), clustered by k-means where there are no classes.
        classes: Clusters to look for.
        seed: Of k-means.

    Returns:
        Shape (n,), int.
    """
    if probabilities.shape[1]:
        return probabilities.argmax(1)
    return KMeans(classes, n_init=10, random_state=seed).fit_predict(z_mean)
