"""What a user would try first: k-means and a Gaussian mixture of the pixels, upright or turned.

A description that no rotation changes is the magnitude of the Fourier transform over the angle of
the image in polar coordinates: turning an image about its middle shifts it along the angle.
"""

import time
from collections.abc import Iterator

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from zbo.data import polar

COMPONENTS = 30  # principal components clustered, at most
STARTS = 10  # of either method, as the best of them is kept


def yardsticks(
    images: np.ndarray, classes: int, seeds: list[int]
) -> Iterator[tuple[str, int, np.ndarray, float]]:
    """Cluster images without any model of them.

    Args:
        images: Shape (n, h, w), in [0, 1].
        classes: Clusters to look for.
        seeds: Of the clusterings, one after another.

    Yields:
        Method (one of `scores.YARDSTICKS`), index of the seed, cluster of each image, shape (n,),
        int, and seconds it took.
    """
    described = {"pixels": images.reshape(len(images), -1), "turned": turned(images)}
    for name, features in described.items():
        reduced = principal(features)
        # A variance of its own that no cluster of few images may fall below.
        floor = 1e-3 * reduced.var()
        for i, seed in enumerate(seeds):
            for kind, method in (
                ("kmeans", KMeans(classes, n_init=STARTS, random_state=seed)),
                (
                    "mixture",
                    GaussianMixture(classes, n_init=STARTS, reg_covar=floor, random_state=seed),
                ),
            ):
                begin = time.perf_counter()
                yield (
                    f"{name}-{kind}",
                    i,
                    method.fit_predict(reduced),
                    time.perf_counter() - begin,
                )


def principal(features: np.ndarray) -> np.ndarray:
    """Keep the principal components with 95 % of the variance, at most 30 and half the images."""
    most = min(COMPONENTS, *(np.array(features.shape) // (2, 1)))
    model = PCA(max(most, 1), random_state=0, svd_solver="randomized").fit(features)
    share = np.cumsum(model.explained_variance_ratio_)
    kept = 1 + int(np.searchsorted(share, 0.95))
    return model.transform(features)[:, :kept].astype(np.float64)


def turned(images: np.ndarray) -> np.ndarray:
    """Describe images by what no rotation about their middle changes.

    Args:
        images: Shape (n, h, w).

    Returns:
        |FFT| over the angle of each ring, each weighed by the root of its area, shape
        (n, rings x frequencies); frequencies above a ring's pixels are left out.
    """
    side = min(images.shape[1:])
    values, radius = polar.rings(images, max(side // 2, 2), 4 * (side // 2 + 1))
    magnitude = np.abs(np.fft.rfft(values, axis=2)) * np.sqrt(radius)[:, None]
    known = np.arange(magnitude.shape[2]) <= np.pi * radius[:, None]  # Nyquist along the ring
    return magnitude[:, known]
