"""How objects are turned: the posterior of the angle, and the symmetry of what is turned.

The encoder's angle is a guess, and wrong where it has to jump from +180 to -180 degrees. The
decoder says more: rotation moves its image along the angle of polar coordinates, so one pass in
these coordinates and a correlation give the likelihood of every angle at once.

Angles are in radians, counter-clockwise as an image is looked at with its first row on top, and in
coordinates that run from -1 to 1 along both sides: true angles in square images.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
import scipy.special
import torch
from scipy import sparse
from torch import Tensor

from zbo.trainer.network import Transform

SAMPLED, FINE = 120, 360  # angles of a ring; of the posterior
ORDERS = (12, 10, 8, 6, 5, 4, 3, 2)  # of rotational symmetry looked for; all divide FINE
ALIKE = 0.8  # correlation of an image with itself, turned, from which on it is called symmetric
OVER = 0.05  # share of a class that lies the other way up, from which on it counts as twofold
GROUP = 10  # images from which on angles of a group are compared with true ones
ROUND = 0.02  # share of its variance along the angle below which an image is called round


@dataclass(frozen=True)
class Polar:
    """Polar coordinates about the middle of images of shape (h, w).

    The angle runs as pyroVED's coordinates do, from the downward axis to the one to the left:
    clockwise, as a turned image holds at one angle what its original holds further on.

    Attributes:
        shape: (h, w), pixels.
    """

    shape: tuple[int, int]

    @cached_property
    def radius(self) -> np.ndarray:
        """Radii of the rings, from 0 to 1, half of the image's side."""
        rings = int(np.clip(min(self.shape) // 2, 4, 24))
        return (np.arange(rings) + 0.5) / rings

    @cached_property
    def coordinates(self) -> np.ndarray:
        """Of each sample, ring by ring, shape (rings * SAMPLED, 2): down and to the left."""
        angle = 2 * np.pi * np.arange(SAMPLED) / SAMPLED
        at = np.stack((np.cos(angle), np.sin(angle)), 1)
        return (self.radius[:, None, None] * at).reshape(-1, 2).astype(np.float32)

    @cached_property
    def area(self) -> np.ndarray:
        """Of each ring's samples, pixels, shape (rings,)."""
        pixel = 4 / np.prod(np.array(self.shape) - 1)
        return self.radius / len(self.radius) * 2 * np.pi / SAMPLED / pixel

    @cached_property
    def sampling(self) -> sparse.csr_array:
        """What makes samples of pixels, between which it is linear."""
        h, w = self.shape
        row = (self.coordinates[:, 0] + 1) / 2 * (h - 1)
        column = (1 - self.coordinates[:, 1]) / 2 * (w - 1)
        top = np.clip(np.floor(row), 0, h - 2).astype(int)
        left = np.clip(np.floor(column), 0, w - 2).astype(int)
        down, right = row - top, column - left
        sample = np.arange(len(row))
        made = sparse.csr_array((len(row), h * w))
        for i, rows in ((0, 1 - down), (1, down)):
            for j, columns in ((0, 1 - right), (1, right)):
                at = (sample, (top + i) * w + left + j)
                made = made + sparse.csr_array((rows * columns, at), shape=made.shape)
        return made

    def of(self, images: np.ndarray) -> np.ndarray:
        """Sample images of shape (n, h, w): (n, rings, SAMPLED)."""
        flat = images.reshape(len(images), -1)
        return (self.sampling @ flat.T).T.reshape(len(images), -1, SAMPLED)


@torch.no_grad()
def decoded(model, z: np.ndarray, classes: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """Decode latents at coordinates of one's own, turned by nothing.

    Args:
        model: Built by `jrvae.build`, with the invariance "r".
        z: Latents, shape (n, coord + L), angle first; shift and scale are applied.
        classes: Of the model, shape (n,), int.
        coordinates: Shape (m, 2).

    Returns:
        Expected intensities, shape (n, m).
    """
    z = torch.as_tensor(np.array(z, np.float32))
    z[:, 0] = 0
    transform = Transform.of(model, z)
    assert transform is not None  # the model has an angle
    at = Transform(
        torch.as_tensor(coordinates), transform.invariances, transform.shift, transform.scale
    )
    code = _with_class(model, z[:, transform.latents :], classes)
    # The decoder's own forward pass would bring what it gives to the shape of an image.
    net = model.decoder
    hidden = net.fc_layers(net.coord_latent(at.apply(z)[1], net.concat(code)))
    return net.activation_out(net.out(hidden)).reshape(len(z), -1).numpy()


@torch.no_grad()
def reconstructed(model, z: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Decode latents (n, coord + L) of these classes at the pixels, shape (n, h, w)."""
    z = torch.as_tensor(np.array(z, np.float32))
    transform = Transform.of(model, z)
    taken = transform.latents if transform else 0
    code = _with_class(model, z[:, taken:], classes)
    made = model.decoder(transform.apply(z)[1], code) if transform else model.decoder(code)
    return made.reshape(len(z), *model.settings.image_shape).numpy()


def _with_class(model, z: Tensor, classes: np.ndarray) -> Tensor:
    if not model.settings.classes:
        return z
    return torch.cat((z, torch.eye(model.settings.classes)[torch.as_tensor(classes)]), 1)


def likelihood(
    model, images: np.ndarray, z: np.ndarray, classes: np.ndarray, sigma: float
) -> np.ndarray:
    """Log-likelihood of each angle, all else given, up to a constant.

    Args:
        model: Built by `jrvae.build`, with the invariance "r".
        images: Shape (n, h, w), in [0, 1].
        z: Their latents, shape (n, coord + L); the angle's is not used.
        classes: Their classes in the model, shape (n,), int.
        sigma: Standard deviation of a Gaussian decoder; a Bernoulli one has none.

    Returns:
        At 0, 1, ... 359 degrees, nats, shape (n, FINE).
    """
    polar = Polar(tuple(images.shape[1:]))
    expected = decoded(model, z, classes, polar.coordinates).reshape(len(images), -1, SAMPLED)
    if model.settings.decoder == "bernoulli":
        score = scipy.special.logit(np.clip(expected, 1e-6, 1 - 1e-6))
    else:
        score = expected / sigma**2
    there = scipy.fft.rfft(polar.of(images) * polar.area[:, None], axis=2)
    product = (there.conj() * scipy.fft.rfft(score, axis=2)).sum(1)
    product[:, 0] = 0  # a constant, and large
    return scipy.fft.irfft(product, FINE, axis=1) * (FINE / SAMPLED)


def angle(found: np.ndarray, symmetry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take the most probable angle, modulo the symmetry of what is turned, and its uncertainty.

    Args:
        found: Log-likelihood of each angle, shape (n, FINE).
        symmetry: Order m: turned by a full turn / m the object is the same; 0 for a round one.
            Shape (n,), int.

    Returns:
        Angles between -π/m and π/m and circular standard deviations of the posterior, radians,
        shape (n,) each; NaN for what is round.
    """
    most, sd = np.full((2, len(found)), np.nan)
    for m in np.unique(symmetry[symmetry > 0]):
        own = symmetry == m
        folded = scipy.special.logsumexp(found[own].reshape(own.sum(), m, -1), axis=1)
        top = folded.argmax(1)
        before, at, after = (
            np.take_along_axis(folded, (top[:, None] + k) % folded.shape[1], 1)[:, 0]
            for k in (-1, 0, 1)
        )
        bend = np.minimum(before - 2 * at + after, -1e-12)
        between = np.clip((before - after) / (2 * bend), -0.5, 0.5)
        most[own] = wrapped(2 * np.pi * (top + between) / FINE, m)
        turn = np.exp(2j * np.pi * np.arange(folded.shape[1]) / folded.shape[1])
        length = np.abs(scipy.special.softmax(folded, axis=1) @ turn)
        sd[own] = np.sqrt(-2 * np.log(np.clip(length, 1e-12, 1))) / m
        # The posterior's grid is a degree wide: below that its curvature says more.
        sd[own] = np.maximum(sd[own], np.minimum(2 * np.pi / FINE / np.sqrt(-bend), np.pi / m))
    return most, sd


def wrapped(angles: np.ndarray, symmetry: int | np.ndarray = 1) -> np.ndarray:
    """Bring angles to between -π/m and π/m, m the symmetry, radians."""
    turn = 2 * np.pi / np.maximum(symmetry, 1)
    return (angles + turn / 2) % turn - turn / 2


def mean(angles: np.ndarray, symmetry: int) -> float:
    """Circular mean of angles modulo a symmetry, radians; 0 of none."""
    known = angles[np.isfinite(angles)]
    m = max(symmetry, 1)
    return float(np.angle(np.exp(1j * m * known).sum()) / m) if len(known) else 0.0


def resultant(
    angles: np.ndarray, true: np.ndarray, groups: np.ndarray, symmetry: np.ndarray
) -> tuple[float, float]:
    """Tell how well angles follow true ones, but for a constant that each group has of its own.

    Args:
        angles: Found, degrees, shape (n,); those that are NaN do not count.
        true: Shape (n,), degrees.
        groups: What has a constant of its own, such as class and label, shape (n,), int.
        symmetry: Order of each image's, shape (n,), int.

    Returns:
        Length of the mean of exp(i m (angle - true)) within groups, 0 by chance and 1 at best (its
        square without the bias of few images); mean over groups of 10 and more, weighed by their
        images, NaN if there is none; and the share of all images that they hold.
    """
    lengths, counts = [], []
    turns = np.exp(1j * symmetry * np.deg2rad(angles - true))
    for group in np.unique(groups):
        own = turns[(groups == group) & np.isfinite(angles)]
        if (n := len(own)) >= GROUP:
            square = (n * np.abs(own.mean()) ** 2 - 1) / (n - 1)
            lengths.append(np.sqrt(max(0.0, square)))
            counts.append(n)
    length = float(np.average(lengths, weights=counts)) if counts else float("nan")
    return length, sum(counts) / len(angles)


def symmetry(image: np.ndarray) -> int:
    """Find the order of an image's rotational symmetry about its middle.

    Args:
        image: In polar coordinates, shape (rings, SAMPLED).

    Returns:
        The highest order m for which the image, turned by a full turn / m, correlates with itself
        by 0.8 and more along the angle; 1 if there is none, 0 if the image is round.
    """
    radius = np.arange(len(image)) + 0.5
    power = np.abs(scipy.fft.rfft(image, axis=1)) ** 2 * radius[:, None]
    within = power[:, 1:].sum(0) * 2  # a frequency stands for two, but for the constant
    spread = image - np.average(image.mean(1), weights=radius)
    if within.sum() <= ROUND * (radius[:, None] * spread**2).sum() * SAMPLED:
        return 0
    frequency = np.arange(1, len(within) + 1)
    for m in ORDERS:
        if (within * np.cos(2 * np.pi * frequency / m)).sum() >= ALIKE * within.sum():
            return m
    return 1


def common_symmetry(images: np.ndarray) -> int:
    """Find the order of the symmetry that images of one class have in common.

    It is what most of them have. But latents may turn an object over: a class that holds it both
    ways up does not say which, and counts as twofold.

    Args:
        images: Members of the class, upright, in polar coordinates, shape (n, rings, SAMPLED).

    Returns:
        As `symmetry`.
    """
    orders, counts = np.unique([symmetry(one) for one in images], return_counts=True)
    order = int(orders[counts.argmax()])
    if order != 1:
        return order
    weighed = images - images.mean(2, keepdims=True)
    weighed = weighed * np.sqrt(np.arange(images.shape[1]) + 0.5)[:, None]
    flat, over = (
        turned.reshape(len(images), -1) for turned in (weighed, np.roll(weighed, SAMPLED // 2, 2))
    )
    as_it_is, turned_over = flat @ flat.T, flat @ over.T
    typical = np.maximum(as_it_is, turned_over).sum(1).argmax()
    share = (turned_over[typical] > as_it_is[typical]).mean()
    return 2 if min(share, 1 - share) > OVER else 1
