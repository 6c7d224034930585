"""Classes to start a training from: a mixture of normals, of the images or of what no turn changes.

A rotational model with classes has two bad minima from random weights: one class takes all images
before the others are of any use, or turned copies of one kind become classes. Started from classes
that know nothing of the angle it only has to find the angles and to correct the classes. Where all
images lie the same way up, the pixels tell kinds apart better than what no turn changes.
"""

import numpy as np

from zbo.base.errors import InputError
from zbo.data import polar

_COMPONENTS = 20  # principal components of the description
_LEAST = 1e-3  # variance added to each, of the first one's


def describe(images: np.ndarray) -> np.ndarray:
    """Describe images so that turning them about their middle changes next to nothing.

    Rings about the middle, each as the magnitudes of its Fourier series over the angle: a turn
    shifts their phases alone. (The phases between rings would tell more; the magnitudes suffice.)

    Args:
        images: Shape (n, h, w).

    Returns:
        Shape (n, rings * harmonics), one ring a pixel of the radius, two pixels of the circle a
        harmonic; each ring weighs as its area.
    """
    count = max(2, round((min(images.shape[1:]) - 1) / 2))
    values, radius = polar.rings(images, count, max(16, 4 * count))
    series = np.abs(np.fft.rfft(values, axis=2, norm="forward"))[..., : max(4, count * 3 // 4)]
    series[..., 1:] *= np.sqrt(2)  # each stands for its mirror image as well
    return (series * np.sqrt(radius)[:, None]).reshape(len(images), -1)


def mixture(described: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Fit a mixture of normals and give the probabilities of its components.

    Args:
        described: A row an image: its pixels, or what `describe` makes of them. Shape (n, d).
        classes: K, components.
        seed: Of the fit.

    Returns:
        Shape (n, K), float32.

    Raises:
        InputError: If there are too few images to fit to.
    """
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    count = len(described)
    if count < 2 * classes:
        raise InputError(f"{count} images are too few to start {classes} classes from")
    few = min(_COMPONENTS, described.shape[1], max(1, count // (4 * classes)))
    with threadpool_limits(1):  # the same numbers whatever the threads
        parts = PCA(few, random_state=seed).fit_transform(described)
        parts /= parts[:, 0].std() or 1.0
        fitted = GaussianMixture(classes, reg_covar=_LEAST, random_state=seed).fit(parts)
        return fitted.predict_proba(parts).astype(np.float32)
