"""Label scores of a trained model. Labels judge models here and nowhere else."""

from dataclasses import dataclass, fields

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from zbo.base import compared


@dataclass(frozen=True)
class LabelScores:
    """Agreement of classes and labels, each in [0, 1] (ari may fall below 0), and labels extracted.

    Attributes:
        accuracy: Share of images right under the best one-to-one matching of classes to labels.
        ari: Adjusted Rand index.
        nmi: Normalized mutual information.
        purity: Share of images that have their class's majority label.
        extracted: Labels that make up half or more of at least one class. Less than half would
            do by chance: of seven labels, seven random classes have four or five most frequent.
    """

    accuracy: float
    ari: float
    nmi: float
    purity: float
    extracted: int


# In scores.csv, what a model's seeds agree on bears the model's name behind this; what clustering
# pixels gives, the name of its description and method.
CONSENSUS = "consensus-"
YARDSTICKS = {
    "pixels-kmeans": "pixels, k-means",
    "pixels-mixture": "pixels, Gaussian mixture",
    "turned-kmeans": "pixels less rotation, k-means",
    "turned-mixture": "pixels less rotation, mixture",
}
LABEL_SCORES = tuple(item.name for item in fields(LabelScores))


def called(name: str, classes: int = 1) -> str:
    """Say in words what a row of scores.csv is.

    Args:
        name: Of a model, of its consensus or of a yardstick.
        classes: K; without classes a jrVAE is an rVAE.

    Raises:
        InputError: If there is no such model.
    """
    if name in YARDSTICKS:
        return YARDSTICKS[name]
    if name.startswith(CONSENSUS):
        return f"consensus: {called(name.removeprefix(CONSENSUS), classes)}"
    label = compared.named(name).label
    return label if classes else label.replace("jrVAE", "rVAE")


def is_trained(name: str) -> bool:
    """Tell whether a name in scores.csv is a model's: neither a consensus nor a yardstick."""
    return not name.startswith(CONSENSUS) and name not in YARDSTICKS


def kinds(labels: np.ndarray) -> int:
    """Count the labels there are; -1 is none."""
    return len(np.unique(labels[labels >= 0]))


def label_scores(classes: np.ndarray, labels: np.ndarray) -> LabelScores:
    """Compare classes found with labels known.

    Args:
        classes: Shape (n,), int.
        labels: Shape (n,), int.

    Returns:
        Hungarian accuracy, ARI, NMI, purity, labels extracted.
    """
    classes, labels = classes[labels >= 0], labels[labels >= 0]  # the others judge nothing
    table = contingency_matrix(labels, classes)  # (labels, classes)
    rows, columns = linear_sum_assignment(table, maximize=True)
    held = 2 * table.max(axis=0) >= table.sum(axis=0)  # classes with a majority
    return LabelScores(
        accuracy=float(table[rows, columns].sum() / len(labels)),
        ari=float(adjusted_rand_score(labels, classes)),
        nmi=float(normalized_mutual_info_score(labels, classes)),
        purity=float(table.max(axis=0).sum() / len(labels)),
        extracted=len(np.unique(table.argmax(axis=0)[held])),
    )


def rotation_share(
    images: np.ndarray,
    mean: np.ndarray,
    sd: np.ndarray,
    labels: np.ndarray,
    classes: np.ndarray,
) -> float:
    """Say how much of the latents is rotation, which a rotationally invariant model has elsewhere.

    Share of the latents' variance, within images of one label and class, that a linear function of
    (cos 2φ, sin 2φ) explains, φ being the direction of the image's long axis (second moments);
    adjusted for what two random variables would explain. The variance is that of their posteriors
    taken together, so that latents which hold nothing hold no rotation. The number behind what the
    paper sees in figure 7(b), "rotational variability".

    Args:
        images: Shape (n, h, w), in [0, 1].
        mean: Posterior means of the latents that are not the angle, shape (n, L).
        sd: Their posterior standard deviations, shape (n, L).
        labels: Shape (n,), int.
        classes: Found, shape (n,), int: each class has axes of its own.

    Returns:
        At most 1, about 0 where there is none; NaN where no label and class share 20 images.
    """
    known = labels >= 0
    images, mean, sd, labels, classes = (of[known] for of in (images, mean, sd, labels, classes))
    axis = _long_axis(images)
    explained = total = 0.0
    _, group = np.unique(np.stack((labels, classes), 1), axis=0, return_inverse=True)
    for g in range(group.max() + 1):
        if (count := (group == g).sum()) < 20:
            continue
        x, y = axis[group == g], mean[group == g]
        x, y = x - x.mean(0), y - y.mean(0)
        left = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
        explained += (y**2).sum() - (left**2).sum() * (count - 1) / (count - 3)
        total += (y**2).sum() + (sd[group == g] ** 2).sum()
    return float(explained / total) if total else float("nan")


def _long_axis(images: np.ndarray) -> np.ndarray:
    """cos 2φ and sin 2φ of each image's long axis, shape (n, 2); 0 where it has none."""
    h, w = images.shape[1:]
    row, column = (
        at.ravel() for at in np.mgrid[:h, :w] - np.array([h - 1, w - 1])[:, None, None] / 2
    )
    powers = np.stack((row * 0 + 1, row, column, row**2 - column**2, row * column), 1)
    moments = images.reshape(len(images), -1) @ powers.astype(images.dtype)  # (n, 5)
    mass, row, column, squares, product = moments.T.astype(float)
    mass = mass + 1e-12
    along = (column**2 - row**2) / -mass - squares  # about the centre of mass
    across = product - row * column / mass
    axis = np.stack((along, 2 * across), 1)
    return axis / (np.linalg.norm(axis, axis=1, keepdims=True) + 1e-12)


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
