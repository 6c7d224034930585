"""Data sets to grey images in [0, 1] with labels; balanced classes and the search's subset.

Biswas et al. 2023, Mach. Learn.: Sci. Technol. 4 015011. First what is made of the pictures,
then the sources they are read from.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zbo.base.errors import InputError
from zbo.base.settings import ImageSettings
from zbo.data import nanoparticles
from zbo.data.sources import FULL_SCALE, READERS, Raw, unit_range

logger = logging.getLogger(__name__)

SIMULATED = 10_000  # nanoparticle images, unless told otherwise
MIN_SIDE = 5  # pixels: the window of the structural similarity


@dataclass(frozen=True)
class ImageSet:
    """Images ready for training."""

    images: np.ndarray  # (n, h, w) float32 in [0, 1]
    labels: np.ndarray | None  # (n,) int64
    subset: np.ndarray  # (m,) int64 indices of the images used during the search, ascending
    names: tuple[str, ...] = ()  # what each label is called in the source; index = label
    simulated: bool = False  # not measured: whatever shows them has to say so


def load(settings: ImageSettings, seed: int) -> ImageSet:
    """Read, scale and resize the images, balance the classes and draw the search's subset.

    Args:
        settings: Which images, and how they are prepared.
        seed: Seed of the random draws; each has a stream of its own, so that another `subset`
            leaves the balanced classes as they are.

    Returns:
        The images in the source's order (copies of an image follow it), labels and subset.

    Raises:
        InputError: If a setting or a file is wrong; the message names it and says what to do.
    """
    _check(settings)
    simulated = settings.source == "nanoparticles" and not settings.path
    if simulated:
        raw = _simulate(settings, seed)
    else:
        raw = READERS[settings.source](settings.path, settings.labels)
    if settings.counts:
        raw = _of_counts(raw, settings.counts)
    n, labels, names = len(raw.pictures), None, ()
    if raw.labels is not None:
        labels, names = encode_labels(raw.labels, where := settings.labels or raw.origin)
        if len(labels) != n:
            raise InputError(f"{where}: {len(labels)} labels for {n} images; give one an image")
    for key in ("balance", "balance_subset"):
        if getattr(settings, key) and labels is None:
            raise InputError(f"images.{key}: the images have no labels; give images.labels")
    bounds = _bounds(raw, settings)

    kept = np.arange(n)
    if settings.count is not None:
        if settings.count > n:
            raise InputError(f"images.count: {settings.count} asked for, {n} there; ask for fewer")
        kept = np.sort(_generator(seed, "count").choice(n, settings.count, replace=False))
        labels = labels if labels is None else labels[kept]
    images = _prepare(raw.pictures, kept, bounds, settings)
    if settings.balance is not None:
        order = balance(labels, names, settings.balance, _generator(seed, "balance"))
        images, labels = images[order], labels[order]
    classes = (labels, names) if settings.balance_subset else ()
    subset = draw_subset(len(images), settings.subset, _generator(seed, "subset"), *classes)
    logger.info("%s: %d images, %d for the search", raw.origin, len(images), len(subset))
    return ImageSet(images, labels, subset, names, simulated)


def balance(
    labels: np.ndarray, names: Sequence[str], each: int, rng: np.random.Generator
) -> np.ndarray:
    """Resample each class from itself to the same number of images.

    A class with more images is drawn from without replacement; one with fewer keeps all and is
    filled up with copies of its own. (The authors' scripts appended copies of the wrong class.)

    Args:
        labels: Class of each image, shape (n,).
        names: What each class is called.
        each: Images of each class.
        rng: Where the draws come from.

    Returns:
        Indices of images, shape (len(names) * each,), int64, ascending.

    Raises:
        InputError: If a class has no image.
    """
    drawn = []
    for k, name in enumerate(names):
        own = np.flatnonzero(labels == k)
        if not len(own):
            raise InputError(f"images.balance: no image of class '{name}'; raise images.count")
        # np.resize repeats what it is given until it is long enough, or cuts it.
        drawn.append(np.resize(rng.permutation(own), each))
    return np.sort(np.concatenate(drawn))


def draw_subset(
    n: int,
    m: int,
    rng: np.random.Generator,
    labels: np.ndarray | None = None,
    names: Sequence[str] = (),
) -> np.ndarray:
    """Draw m of n images without replacement; equally many of each class where labels are given.

    Args:
        n: Images there are.
        m: Images to draw; with labels a multiple of the number of classes.
        rng: Where the draw comes from.
        labels: Class of each image, shape (n,).
        names: What each class is called.

    Returns:
        Indices, shape (m,), int64, ascending.

    Raises:
        InputError: If there are too few images, or m cannot be shared equally.
    """
    if m > n:
        raise InputError(f"images.subset: {m} images asked for, {n} there; ask for at most {n}")
    if labels is None:
        return np.sort(rng.choice(n, m, replace=False))
    each, left = divmod(m, len(names))
    if left:
        raise InputError(
            f"images.subset: {m} images cannot be shared equally by {len(names)} classes "
            f"(images.balance_subset); ask for {max(each, 1) * len(names)}"
        )
    found = np.bincount(labels, minlength=len(names))
    if found.min() < each:
        raise InputError(
            f"images.subset: {each} images of each class asked for, class "
            f"'{names[found.argmin()]}' has {found.min()}; ask for fewer or set images.balance"
        )
    return balance(labels, names, each, rng)


def encode_labels(values: Sequence[Any], where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number the classes: whole numbers by value, other labels by alphabet.

    Args:
        values: Whole numbers or text, shape (n,).
        where: What holds them, named in the message.

    Returns:
        Label of each value, shape (n,), int64, and the classes' names.

    Raises:
        InputError: If they are not one-dimensional, or one is missing or of another kind.
    """
    array = np.asarray(values)
    whole = array.dtype.kind != "f" or (np.isfinite(array) & (array == np.round(array))).all()
    if array.ndim != 1 or array.dtype.kind not in "biufSUO" or not whole:
        raise InputError(
            f"{where}: labels of shape {array.shape} and type {array.dtype} that are not one whole "
            "number or text an image; give shape (n,) and no NaN"
        )
    texts = [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in array.tolist()]
    texts = [text.strip() for text in texts]
    for i, text in enumerate(texts):
        if text.lower() in ("", "nan"):
            raise InputError(f"{where}: label {i} is missing; give every image one")
    numbers = [_number(text) for text in texts]
    if numeric := all(number.is_integer() for number in numbers):
        texts = [str(int(number)) for number in numbers]
    names = sorted(set(texts), key=int if numeric else str)
    index = {name: k for k, name in enumerate(names)}
    return np.array([index[text] for text in texts], dtype=np.int64), tuple(names)


def _check(settings: ImageSettings) -> None:
    """Refuse settings that cannot hold together, whatever the data."""
    if settings.source == "files" and not settings.path:
        raise InputError(
            "images.path: source 'files' has no path; give a file or a folder of pictures"
        )
    files, particles = settings.source == "files", settings.source == "nanoparticles"
    unused = ["labels"] * (not files and not (particles and settings.path is not None))
    unused += ["path"] * (settings.source == "digits") + ["counts"] * (not particles)
    for key in unused:
        if getattr(settings, key):
            raise InputError(f"images.{key}: source '{settings.source}' has none; leave it out")


def _simulate(settings: ImageSettings, seed: int) -> Raw:
    counts = settings.counts or nanoparticles.COUNTS
    if not set(counts) <= set(nanoparticles.COUNTS):
        raise InputError(
            f"images.counts: {counts}: simulated clusters have 1 to 7 particles; correct it"
        )
    n, size = settings.count or SIMULATED, settings.size or (96, 96)
    pictures, labels = nanoparticles.simulate(n, seed, counts, tuple(size))
    return Raw(pictures, labels, "simulated nanoparticles")


def _of_counts(raw: Raw, counts: Sequence[int]) -> Raw:
    """Keep the nanoparticle images with these numbers of particles."""
    for count in counts:
        if count not in raw.labels:
            held = ", ".join(map(str, np.unique(raw.labels)))
            raise InputError(
                f"images.counts: {raw.origin}: no image of {count} particles, only of {held}; "
                "correct images.counts or raise images.count"
            )
    kept = np.isin(raw.labels, counts)
    return replace(raw, pictures=raw.pictures[kept], labels=raw.labels[kept])


def _number(text: str) -> float:
    """Read a number, also as numpy.savetxt writes it ("1.0e+01"); NaN where it is none."""
    try:
        return float("nan" if "_" in text else text)  # Python would read 1_0 as 10
    except ValueError:
        return float("nan")


def _generator(seed: int, purpose: str) -> np.random.Generator:
    key = ("count", "balance", "subset").index(purpose)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key,)))


def _bounds(raw: Raw, settings: ImageSettings) -> np.ndarray:
    """Check every picture and give its least and greatest value, shape (n, 2)."""
    if not len(raw.pictures):
        raise InputError(f"{raw.origin}: holds no images; add some")
    first = np.shape(raw.pictures[0])
    bounds = np.empty((len(raw.pictures), 2))
    for i, picture in enumerate(raw.pictures):
        shape, size = picture.shape, " x ".join(map(str, picture.shape))
        if len(shape) != 2 or picture.dtype.kind not in "biuf":
            raise InputError(
                f"{raw.name(i)} is an array of shape {shape} and type {picture.dtype}; "
                "give real grey values of shape (images, rows, columns)"
            )
        if min(shape) < MIN_SIDE:
            raise InputError(
                f"{raw.name(i)} has {size} pixels; images need {MIN_SIDE} x {MIN_SIDE} or more "
                "and axes in the order (images, rows, columns)"
            )
        if settings.size is None and shape != first:
            raise InputError(
                f"{raw.name(i)} has {size} pixels, the first one {first[0]} x {first[1]}; "
                "set images.size to resize them all"
            )
        bounds[i] = (unit := unit_range(picture)).min(), unit.max()
        if not np.isfinite(bounds[i]).all():
            raise InputError(f"{raw.name(i)} holds NaN or infinite values; mend or remove it")
        # A millionth over is what float32 leaves of a 1.
        if settings.normalize == "range" and not -1e-6 <= bounds[i, 0] <= bounds[i, 1] <= 1 + 1e-6:
            raise InputError(
                f"{raw.name(i)} has values from {bounds[i, 0]:g} to {bounds[i, 1]:g}, and "
                f"{picture.dtype} has no known range but [0, 1]; set images.normalize to set or "
                f"image, or save as {', '.join(FULL_SCALE)}"
            )
    if (bounds[:, 0] == bounds[:, 1]).all():
        raise InputError(f"{raw.origin}: every image is of one grey value; give other images")
    if settings.normalize == "range" and bounds.max() < 0.25:
        logger.warning(
            "%s: the brightest pixel is at %.3g of its type's range; images.normalize: set may "
            "be what you want",
            raw.origin,
            bounds.max(),
        )
    return bounds


def _prepare(
    pictures: Sequence[np.ndarray], kept: np.ndarray, bounds: np.ndarray, settings: ImageSettings
) -> np.ndarray:
    """Resize the kept pictures and scale them to [0, 1], shape (n, h, w) float32."""
    from skimage.transform import resize

    low, high = (0.0, 1.0) if settings.normalize == "range" else (bounds.min(), bounds.max())
    images = np.zeros((len(kept), *(settings.size or pictures[0].shape)), np.float32)
    for image, i in zip(images, kept, strict=True):
        picture = unit_range(pictures[i])
        if picture.shape != image.shape:
            picture = resize(picture, image.shape, anti_aliasing=True, preserve_range=True)
        if settings.normalize == "image":
            if bounds[i, 0] == bounds[i, 1]:  # stays black: no contrast, and none from rounding
                continue
            low, high = picture.min(), picture.max()
        image[:] = np.clip((picture - low) / (high - low), 0, 1)
    return images
