"""What is maximized: what a training learned, as one number, without labels.

The paper's is structural similarity between and within learned manifolds (Biswas et al. 2023,
table 2); models without classes are judged by their evidence lower bound. An objective of your own
is a function `(learned, settings) -> float`, higher is better, named in the study file by import
path (`my_module:my_objective`). Two may be searched for at once, and others have a floor: a joint
VAE is trained for classes and for what varies within them.
"""

import math
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import scipy.special
import torch
from torch import Tensor

from zbo.base.errors import InputError
from zbo.base.objectives import OF_STUDY
from zbo.base.own import by_path
from zbo.base.settings import ObjectiveSettings

# Constants of SSIM for a data range of 1 (Wang et al. 2004).
C1, C2 = 0.01**2, 0.03**2


@dataclass(frozen=True)
class Learned:
    """What an objective may look at: all that a training gave, and no labels.

    Attributes:
        manifolds: Decoded images in [0, 1], shape (max(K, 1), B, B, h, w).
        probabilities: q(k|x) of the images trained on, shape (n, K), K = 0 without classes.
        z_mean: Means of q(z|x), shape (n, coord + L): angle, shifts, scale, then the latents.
        z_sd: Its standard deviations, same shape.
        reconstruction: -log p(x|z, k), mean over images in the last cycle, nats.
        kl_c: KL term of the continuous latents, likewise, before scaling.
        kl_d: Of the discrete latent, likewise.
        latents: L, how many of the last columns of z are factors, no angle, shift or scale.
    """

    manifolds: np.ndarray
    probabilities: np.ndarray
    z_mean: np.ndarray
    z_sd: np.ndarray
    reconstruction: float
    kl_c: float
    kl_d: float
    latents: int


@dataclass(frozen=True)
class Score:
    """Objective and its parts of one training.

    Attributes:
        objective: What is maximized; of several the first.
        l1: ℓ1 of table 2, dimensionless; like ℓ2 and information NaN where there are no classes.
        l2: ℓ2 of table 2, dimensionless.
        information: Mutual information of image and class, nats.
        factors: What the continuous latents carry, angle, shifts and scale not counted, nats.
        active: Active units among them (Burda et al. 2016), a count.
        objectives: All that is asked for, as `ObjectiveSettings.names` has it.
    """

    objective: float
    l1: float
    l2: float
    information: float
    factors: float
    active: float
    objectives: tuple[float, ...]


PARTS = tuple(item.name for item in fields(Score) if item.name != "objectives")


def score(learned: Learned, settings: ObjectiveSettings, device: str = "cpu") -> Score:
    """Score what a training learned (table 2, steps 2-4).

    Args:
        learned: What it gave.
        settings: Objective, SSIM window, pairs.
        device: Where images are compared, "cpu" or "cuda".

    Returns:
        The objective and its parts.

    Raises:
        InputError: If the objective is unknown or gives no number, or the images are smaller than
            the window.
    """
    manifolds = torch.as_tensor(learned.manifolds).to(device)
    own = check(settings, manifolds.shape[-2:])
    parts = dict.fromkeys(("l1", "l2", "information"), math.nan)
    mean, sd = (z[:, z.shape[1] - learned.latents :] for z in (learned.z_mean, learned.z_sd))
    parts |= {"factors": float(nats(mean, sd).sum()), "active": float(active_units(mean).sum())}
    if learned.probabilities.shape[1]:
        parts |= {
            "l1": between_classes(manifolds, settings),
            "l2": within_classes(manifolds, settings),
            "information": information(learned.probabilities),
        }
    terms = {name: getattr(learned, name) for name in ("reconstruction", "kl_c", "kl_d")}
    values = tuple(
        _number(own[name](learned, settings), name)
        if name in own
        else float(OF_STUDY[name](parts | terms))
        for name in settings.names
    )
    return Score(values[0], **parts, objectives=values)


def _number(found: Any, name: str) -> float:
    try:
        return float(found)
    except (TypeError, ValueError, RuntimeError):  # the last is torch's, of several numbers
        raise InputError(
            f"objective.name: '{name}' returned {type(found).__name__} {reprlib.repr(found)}; "
            "return one number, higher is better"
        ) from None


def check(settings: ObjectiveSettings, image_shape: Sequence[int]) -> dict[str, Callable]:
    """Check before a training that its result can be scored.

    Args:
        settings: Objective and SSIM window.
        image_shape: (h, w), pixels.

    Returns:
        The person's own among the objectives, by name.

    Raises:
        InputError: If the objective is unknown or the images are smaller than the window.
    """
    if min(image_shape) < settings.window:
        raise InputError(
            f"objective.window: {settings.window} pixels do not fit into images of "
            f"{image_shape[0]} x {image_shape[1]}"
        )
    own = {}
    for name in settings.names:
        key = "objective.at_least" if name in settings.at_least else "objective.name"
        if ":" in name:
            own[name] = by_path(name, key)
        elif name not in OF_STUDY:
            raise InputError(
                f"{key}: there is no objective '{name}'; choose from {', '.join(OF_STUDY)}, or "
                "give module:function"
            )
    return own


def information(probabilities: np.ndarray) -> float:
    """Mutual information of image and class, H(mean q) - mean H(q) (Bridle et al. 1991).

    High where every class is used and every image is sure of its class.

    Args:
        probabilities: q(k|x), shape (n, K).

    Returns:
        Nats, between 0 and log K.
    """
    return float(entropy(probabilities.mean(0)) - entropy(probabilities).mean())


def nats(mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Tell what each factor's latent carries: its KL term, the mean over images.

    Args:
        mean: Means of q(z|x) of the factors alone, without angle, shifts or scale, shape (n, L).
        sd: Its standard deviations, same shape.

    Returns:
        Nats, shape (L,).
    """
    return ((np.square(mean) + np.square(sd) - 1) / 2 - np.log(sd)).mean(0)


def active_units(mean: np.ndarray, threshold: float = 0.01) -> np.ndarray:
    """Tell which factors' posterior mean varies over images (Burda et al. 2016, section 5.3).

    Args:
        mean: As for `nats`.
        threshold: Variance of the mean above which a latent is active.

    Returns:
        Shape (L,), bool.
    """
    return mean.var(0) > threshold


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Entropy of distributions, shape (..., K), in nats, shape (...)."""
    return -scipy.special.xlogy(probabilities, probabilities).sum(-1)


def between_classes(manifolds: Tensor, settings: ObjectiveSettings) -> float:
    """Sum over pairs of classes of the mean SSIM loss, grid image by grid image (ℓ1, table 2).

    Args:
        manifolds: Shape (K, B, B, h, w).
        settings: SSIM window.

    Returns:
        ℓ1, between 0 and K(K-1)/2.
    """
    images = manifolds.flatten(1, 2)  # (K, B*B, h, w)
    local = _moments(images, settings)
    losses = []
    for i in range(len(images) - 1):
        later = slice(i + 1, None)
        ssim = _ssim(images[i], images[later], local.of(i), local.of(later), settings)
        losses.append(_loss(ssim).mean(-1).sum())
    return sum(torch.stack(losses).tolist()) if losses else 0.0


def within_classes(manifolds: Tensor, settings: ObjectiveSettings) -> float:
    """Sum over classes of the mean SSIM loss of random pairs of distinct images (ℓ2, table 2).

    The pairs are drawn once from a fixed seed: the same for every class and every trial, so that
    they add no noise to a comparison.

    Args:
        manifolds: Shape (K, B, B, h, w).
        settings: SSIM window and number of pairs a class.

    Returns:
        ℓ2, between 0 and K.
    """
    images = manifolds.flatten(1, 2)
    first, second = (i.to(images.device) for i in random_pairs(images.shape[1], settings.pairs))
    local = _moments(images, settings)
    losses = []
    for k in range(len(images)):
        one, other = (k, first), (k, second)
        ssim = _ssim(images[one], images[other], local.of(one), local.of(other), settings)
        losses.append(_loss(ssim).mean())
    return sum(torch.stack(losses).tolist())


@cache
def random_pairs(count: int, pairs: int) -> tuple[Tensor, Tensor]:
    """Draw distinct unordered pairs of distinct indices below `count`; all of them if fewer exist.

    Returns:
        First and second indices, each (min(pairs, count (count - 1) / 2),), int64.
    """
    first, second = np.triu_indices(count, k=1)
    few = np.random.default_rng(0).permutation(len(first))[:pairs]
    return torch.as_tensor(first[few]), torch.as_tensor(second[few])


def ssim(x: Tensor, y: Tensor, settings: ObjectiveSettings) -> Tensor:
    """Compute the structural similarity of image pairs (Wang et al. 2004), data range 1.

    Gaussian window, averaged over the places where it fits into the image, as scikit-image does.

    Args:
        x: Images, shape (..., h, w).
        y: Images, broadcastable to x.
        settings: Window side and standard deviation, pixels.

    Returns:
        SSIM of each pair, shape (...), between -1 and 1.
    """
    return _ssim(x, y, _moments(x, settings), _moments(y, settings), settings)


class _Moments(NamedTuple):
    """Local mean and variance of images: needed in every pair an image is in, computed once."""

    mean: Tensor
    variance: Tensor

    def of(self, index) -> "_Moments":
        return _Moments(self.mean[index], self.variance[index])


def _moments(images: Tensor, settings: ObjectiveSettings) -> _Moments:
    mean = _smooth(images, settings)
    return _Moments(mean, _smooth(images.square(), settings) - mean.square())


def _ssim(
    x: Tensor, y: Tensor, of_x: _Moments, of_y: _Moments, settings: ObjectiveSettings
) -> Tensor:
    both = of_x.mean * of_y.mean
    covariance = _smooth(x * y, settings) - both
    above = (2 * both + C1) * (2 * covariance + C2)
    below = (of_x.mean.square() + of_y.mean.square() + C1) * (of_x.variance + of_y.variance + C2)
    return (above / below).mean((-2, -1))


def _loss(ssim: Tensor) -> Tensor:
    return ((1 - ssim) / 2).clamp(0, 1)


def _smooth(images: Tensor, settings: ObjectiveSettings) -> Tensor:
    window = settings.window, settings.sigma
    rows, columns = (_window(side, *window).to(images) for side in images.shape[-2:])
    return rows @ images @ columns.T


@cache
def _window(side: int, width: int, sigma: float) -> Tensor:
    # The Gaussian window as a banded matrix, (side - window + 1, side): at these sizes a matrix
    # product is several times faster than a convolution of one channel.
    at = torch.arange(width, dtype=torch.float64) - width // 2
    weight = torch.exp(-at.square() / (2 * sigma**2))
    places = side - width + 1
    matrix = torch.zeros(places, side, dtype=torch.float64)
    for place in range(places):
        matrix[place, place : place + width] = weight / weight.sum()
    return matrix
