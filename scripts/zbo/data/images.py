"""Data sets to grey images in [0, 1] with labels; balanced classes and the search's subset.

Biswas et al. 2023, Mach. Learn.: Sci. Technol. 4 015011. First what is made of the pictures,
then the sources they are read from.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from zbo.base.errors import InputError
from zbo.base.settings import ImageSettings
from zbo.data import labels as labelling, nanoparticles, sources
from zbo.data.patches import Cutter, Window
from zbo.data.pictures import FULL_SCALE, Picture, unit_range
from zbo.data.places import Places, Row
from zbo.data.sources import READERS, Raw

logger = logging.getLogger(__name__)

SIMULATED = 10_000  # nanoparticle images, unless told otherwise
CONTRAST = 0.1  # of the range from black to white that half of the images have to use
BANDED = 100  # pixels a side from which on data bars are looked for
MIN_SIDE = 5  # pixels: the window of the structural similarity


@dataclass(frozen=True)
class ImageSet:
    """Images ready for training."""

    images: np.ndarray  # (n, h, w) float32 in [0, 1]
    labels: np.ndarray | None  # (n,) int64, -1 where an image has none
    subset: np.ndarray  # (m,) int64 indices of the images used during the search, ascending
    names: tuple[str, ...] = ()  # what each label is called in the source; index = label
    simulated: bool = False  # not measured: whatever shows them has to say so
    places: Places | None = None  # where each comes from
    limits: tuple[float, float] = (0.0, 1.0)  # what became 0 and 1, of normalize: range and set
    turned: np.ndarray | None = None  # (n,) float64, degrees counter-clockwise, where `turn` is set


def load(settings: ImageSettings, seed: int) -> ImageSet:
    """Read, cut, scale and resize the images, balance the classes and draw the search's subset.

    Pictures are read one at a time and once; what is kept is the set itself.

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
    raw = _source(settings, seed)
    kept = None  # which to keep, where it can be drawn before they are read
    if settings.count is not None and raw.count is not None and settings.patches is None:
        kept = _drawn(raw.count, settings.count, seed)
    images, bounds, rows, own = _read(raw, settings, kept)
    places = Places.of(rows, raw.files)
    if settings.count is not None and kept is None:
        kept = _drawn(len(rows), settings.count, seed)
        images = images[kept]

    labels: np.ndarray | None = None
    names: tuple[str, ...] = ()
    given = any(label is not None for label in own)
    if settings.labels and settings.source == "files":
        table = labelling.read(sources.expanded(settings.labels, "images.labels"))
        own, given = table.of(places), True
    if given:
        labels, names = labelling.encode(own, settings.labels or raw.origin)
    for key in ("balance", "balance_subset"):
        if getattr(settings, key) and labels is None:
            raise InputError(f"images.{key}: the images have no labels; give images.labels")
    if kept is not None:
        labels, places = labels if labels is None else labels[kept], places.take(kept)
    limits = _scale(images, bounds, bounds if kept is None else bounds[kept], raw, settings)
    if settings.balance is not None and labels is not None:
        order = balance(labels, names, settings.balance, _generator(seed, "balance"))
        images, labels, places = images[order], labels[order], places.take(order)
    turned = turn(images, _generator(seed, "turn")) if settings.turn else None
    classes = (labels, names) if settings.balance_subset else ()
    subset = draw_subset(len(images), settings.subset, _generator(seed, "subset"), *classes)
    logger.info("%s: %d images, %d for the search", raw.origin, len(images), len(subset))
    simulated = settings.source == "nanoparticles" and not settings.path
    return ImageSet(images, labels, subset, names, simulated, places, limits, turned)


def turn(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn each image about its middle, in place.

    What lies outside the inscribed circle would tell the angle by the frame that turned with it:
    it becomes the median of the circle's rim.

    Args:
        images: Shape (n, h, w), in [0, 1].
        rng: Where the angles come from.

    Returns:
        Angles, degrees counter-clockwise, from -180 to 180, shape (n,).
    """
    from skimage.transform import rotate

    h, w = images.shape[1:]
    row, column = np.ogrid[:h, :w]
    away = np.hypot(row - (h - 1) / 2, column - (w - 1) / 2)
    outside = away > (min(h, w) - 1) / 2
    rim = ~outside & (away > (min(h, w) - 1) / 2 - 1)
    angles = rng.uniform(-180, 180, len(images))
    for image, angle in zip(images, angles, strict=True):
        image[:] = rotate(image, angle).clip(0, 1)
        image[outside] = np.median(image[rim])
    return angles


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
    found = np.bincount(labels[labels >= 0], minlength=len(names))
    if found.min() < each:
        raise InputError(
            f"images.subset: {each} images of each class asked for, class "
            f"'{names[int(found.argmin())]}' has {found.min()}; ask for fewer or set images.balance"
        )
    return balance(labels, names, each, rng)


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
    for key in ("channel", "crop", "patches", "pixel_size"):
        if not files and getattr(settings, key) is not None:
            raise InputError(f"images.{key}: source '{settings.source}' has none; leave it out")
    if settings.percentiles[0] >= settings.percentiles[1]:
        raise InputError(f"images.percentiles: {list(settings.percentiles)}: give the lower first")
    if settings.patches is not None and settings.size is not None and len(set(settings.size)) > 1:
        raise InputError(f"images.size: patches are square; {list(settings.size)} is not")
    if settings.patches is not None and settings.patches.relative and settings.size is None:
        raise InputError("images.size: windows of any size have to be resized; give [32, 32] or so")


def _source(settings: ImageSettings, seed: int) -> Raw:
    if settings.source == "nanoparticles":
        if not settings.path:
            return _simulate(settings, seed)
        return READERS["nanoparticles"](settings.path, settings.labels, settings.counts)
    return READERS[settings.source](settings.path, settings.labels, settings.channel)


def _simulate(settings: ImageSettings, seed: int) -> Raw:
    counts = settings.counts or nanoparticles.COUNTS
    if not set(counts) <= set(nanoparticles.COUNTS):
        raise InputError(
            f"images.counts: {counts}: simulated clusters have 1 to 7 particles; correct it"
        )
    n, size = settings.count or SIMULATED, settings.size or (96, 96)
    pictures, labels = nanoparticles.simulate(n, seed, counts, (size[0], size[1]))
    for count in counts:
        if count not in labels:
            raise InputError(
                f"images.counts: {n} simulated images hold none of {count} particles; raise "
                "images.count"
            )
    return sources.of_array(pictures, labels, "simulated nanoparticles")


def _drawn(n: int, count: int, seed: int) -> np.ndarray:
    if count > n:
        raise InputError(f"images.count: {count} asked for, {n} there; ask for fewer")
    return np.sort(_generator(seed, "count").choice(n, count, replace=False))


def _generator(seed: int, purpose: str) -> np.random.Generator:
    key = ("count", "balance", "subset", "turn").index(purpose)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key,)))


def _read(
    raw: Raw, settings: ImageSettings, kept: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, list[Row], list[Any]]:
    """Read all pictures, cut and resize what is kept of them.

    Returns:
        Images in the source's units, shape (n, h, w) float32, those kept; bounds, rows of `Places`
        and labels of all.
    """
    wanted = None if kept is None else set(kept.tolist())
    stack, bounds, rows, labels = Stack(), [], [], []
    for number, cut in enumerate(cuts(raw, settings)):
        bounds.append(cut.bounds)
        rows.append(cut.row)
        labels.append(cut.label)
        if wanted is None or number in wanted:
            stack.add(cut.resized(settings))
    return stack.array(), np.array(bounds), rows, labels


class Cut(NamedTuple):
    """What an image is made of, as the source has it.

    Attributes:
        values: Shape (rows, columns).
        bounds: Least and greatest grey value that count, of it or of its picture.
        row: Where it comes from, a row of `Places`.
        label: What the source calls it.
    """

    values: np.ndarray
    bounds: tuple[float, float]
    row: Row
    label: Any

    def resized(self, settings: ImageSettings) -> np.ndarray:
        """Give it at the size of the settings, grey values as `unit_range` has them."""
        return _resized(unit_range(self.values), settings.size or self.values.shape)


def cuts(raw: Raw, settings: ImageSettings, shape: tuple[int, int] | None = None) -> Iterator[Cut]:
    """Read pictures one at a time and cut out of them what images are made of.

    Args:
        raw: The pictures.
        settings: How they are read and cut.
        shape: Where images are not resized, what they have to be; by default as the first one.
    """
    cutter = None if settings.patches is None else Cutter(settings.patches)
    edges, count, like = Edges(), 0, "the study's images"
    refitted: list[float] = []  # share of each picture that another aspect cuts off or adds
    for picture in raw.pictures:
        try:
            inner, (top, left) = _usable(picture, settings)
        except InputError as error:
            raw.faults.append(str(error))
            continue
        edges.see(inner.values)
        whole = _bounds(inner, settings) if settings.normalize == "picture" else None
        if cutter is not None:
            windows = cutter.windows(inner, picture, (top, left))
        else:
            fitted, y, x, side = _fitted(inner.values, settings)
            if fitted.size != inner.values.size:
                refitted.append(abs(1 - fitted.size / inner.values.size))
            windows = [Window(fitted, y + top, x + left, side)]
        for window in windows:
            values = window.values
            if shape is None:
                shape, like = values.shape, "the first one"
            if settings.size is None and values.shape != tuple(shape):
                size = " x ".join(map(str, values.shape))
                raise InputError(
                    f"{picture.name} has {size} pixels, {like} {shape[0]} x {shape[1]}; "
                    "set images.size to resize them all"
                )
            bounds = _bounds(replace(inner, values=values), settings) if whole is None else whole
            row = (inner.file, inner.page, window.y, window.x, window.side, inner.pixel_size)
            count += 1
            yield Cut(values, bounds, row, picture.label)
    raw.refuse_faults()
    if not count:
        if cutter is None:
            raise InputError(f"{raw.origin}: holds no images; add some, or see images.patches")
        tried = cutter.settings.particles
        hint = "see images.patches"
        if tried is not None:
            other = {"dark": "bright", "bright": "dark"}[tried.contrast]
            hint = (
                f"if its particles are {other}, set images.patches.particles.contrast to {other}; "
                "or give their diameter there"
            )
        raise InputError(
            f"{raw.origin}: holds pictures in which nothing was found to cut out; {hint}"
        )
    edges.say(raw.origin, settings.crop)
    if refitted:
        done = "cut off; fit: pad keeps all" if settings.fit == "crop" else "added around it"
        logger.warning(
            "%s: %d of %d pictures have another aspect than images.size; %.0f %% of one is %s",
            *(raw.origin, len(refitted), count, 100 * max(refitted), done),
        )
    if cutter is not None:
        each = cutter.counts.values()
        logger.info(
            "%s: %d patches from %d pictures, %d to %d each",
            *(raw.origin, count, len(each), min(each), max(each)),
        )


class Stack:
    """Images one after another in one array that grows, so that no second copy is ever held."""

    def __init__(self) -> None:
        self._held = np.empty((0, 0, 0), np.float32)
        self._count = 0

    def add(self, image: np.ndarray) -> None:
        if self._count == len(self._held):
            if not self._count:
                self._held = np.empty((0, *image.shape), np.float32)
            self._held.resize((self._count + self._count // 4 + 64, *image.shape), refcheck=False)
        self._held[self._count] = image
        self._count += 1

    def array(self) -> np.ndarray:
        self._held.resize((self._count, *self._held.shape[1:]), refcheck=False)
        return self._held


class Edges:
    """Notices a band along an edge of every picture, such as a data bar."""

    def __init__(self) -> None:
        self._bands: list[list[int]] = []

    def see(self, values: np.ndarray) -> None:
        if min(values.shape) >= BANDED and len(self._bands) < 50:
            self._bands.append([band(v) for v in (values, values[::-1], values.T, values.T[::-1])])

    def say(self, origin: str, crop: Sequence[int] | None) -> None:
        found = np.array(self._bands or [[0] * 4])
        more = np.where((found > 0).all(0), np.median(found, 0).astype(int), 0)
        if more.any():
            logger.warning(
                "%s: nearly constant rows along an edge of every picture (a data bar?); "
                "images.crop: %s leaves them out",
                *(origin, (more + (crop or 0)).tolist()),
            )


def band(values: np.ndarray) -> int:
    """Measure a band at the top: rows of mostly one value above rows that are not."""
    deepest = len(values) // 4
    same = np.array(
        [np.unique(row, return_counts=True)[1].max() / len(row) for row in values[: deepest + 10]]
    )
    constant = same > 0.5
    if not constant[:4].any() or constant[-10:].mean() > 0.2:
        return 0
    share = np.cumsum(constant) / np.arange(1, len(constant) + 1)
    depth = int(np.flatnonzero(constant & (share >= 0.9)).max(initial=-1)) + 1
    return depth if depth >= 4 else 0


def _usable(picture: Picture, settings: ImageSettings) -> tuple[Picture, tuple[int, int]]:
    """Crop a picture and give what was cut off at its top and left; refuse what is no picture."""
    values, size = picture.values, " x ".join(map(str, picture.values.shape))
    if values.ndim != 2 or values.dtype.kind not in "biuf":
        raise InputError(
            f"{picture.name} is an array of shape {values.shape} and type {values.dtype}; "
            "give real grey values of shape (images, rows, columns)"
        )
    if min(values.shape) < MIN_SIDE:
        raise InputError(
            f"{picture.name} has {size} pixels; images need {MIN_SIDE} x {MIN_SIDE} or more "
            "and axes in the order (images, rows, columns)"
        )
    top, bottom, left, right = settings.crop or (0, 0, 0, 0)
    values = values[top : values.shape[0] - bottom, left : values.shape[1] - right]
    if min(values.shape) < MIN_SIDE:
        raise InputError(
            f"images.crop: {list(settings.crop or ())} leaves nothing of {picture.name}, {size} "
            "pixels; cut off less"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{picture.name} holds NaN or infinite values; mend or remove it")
    pixel_size = settings.pixel_size or picture.pixel_size
    return replace(picture, values=values, pixel_size=pixel_size), (top, left)


def _fitted(values: np.ndarray, settings: ImageSettings) -> tuple[np.ndarray, float, float, int]:
    """Bring a picture to the aspect of `size`, cropped or padded about its middle."""
    (h, w), (rows, columns) = values.shape, settings.size or values.shape
    y, x = (h - 1) / 2, (w - 1) / 2
    if h * columns == w * rows:
        return values, y, x, h
    if settings.fit == "crop":
        high, wide = min(h, round(w * rows / columns)), min(w, round(h * columns / rows))
        top, left = (h - high) // 2, (w - wide) // 2
        y, x = top + (high - 1) / 2, left + (wide - 1) / 2
        return values[top : top + high, left : left + wide], y, x, high
    high, wide = max(h, round(w * rows / columns)), max(w, round(h * columns / rows))
    above, before = (high - h) // 2, (wide - w) // 2
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    padding = ((above, high - h - above), (before, wide - w - before))
    level = np.median(border).astype(values.dtype)
    padded = np.pad(values, padding, constant_values=level)
    return padded, (high - 1) / 2 - above, (wide - 1) / 2 - before, high


def _resized(picture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    from skimage.transform import resize

    if picture.shape == tuple(shape):
        return picture
    return resize(picture, shape, anti_aliasing=True, preserve_range=True)


def _bounds(picture: Picture, settings: ImageSettings) -> tuple[float, float]:
    """Check a picture's range and give its least and greatest values, or percentiles of them."""
    unit = unit_range(picture.values)
    low, high = unit.min(), unit.max()
    # A millionth over is what float32 leaves of a 1.
    if settings.normalize == "range" and not -1e-6 <= low <= high <= 1 + 1e-6:
        raise InputError(
            f"{picture.name} has values from {low:g} to {high:g}, and {picture.values.dtype} has "
            "no known range but [0, 1]; set images.normalize to set or image, or save as "
            f"{', '.join(FULL_SCALE)}"
        )
    if settings.percentiles != (0, 100):
        low, high = np.percentile(unit, settings.percentiles)
    return float(low), float(high)


def _scale(
    images: np.ndarray, every: np.ndarray, own: np.ndarray, raw: Raw, settings: ImageSettings
) -> tuple[float, float]:
    """Scale images to [0, 1] in place, and refuse what has no contrast then.

    Args:
        images: In the source's units, shape (n, h, w).
        every: Bounds of all pictures of the source, shape (m, 2).
        own: Bounds of the images, shape (n, 2).
        raw: The source, named in messages.
        settings: How to scale.

    Returns:
        The limits of the set.
    """
    if (every[:, 0] == every[:, 1]).all():
        raise InputError(f"{raw.origin}: every image is of one grey value; give other images")
    limits = (0.0, 1.0)
    if settings.normalize == "set":
        limits = float(every[:, 0].min()), float(every[:, 1].max())
    for image, bounds in zip(images, own, strict=True):
        scale(image, bounds, limits, settings)
    some = images[:: max(1, len(images) // 1000)]
    contrast = float(np.median(np.ptp(some, axis=(1, 2))))
    if contrast == 0 and settings.normalize == "image":
        raise InputError(
            f"{raw.origin}: half of the images are of one grey value; give others, or windows "
            "where there is something to see (images.patches)"
        )
    if contrast < CONTRAST:
        raise InputError(
            f"images.normalize: {settings.normalize}: {raw.origin}: half of the images use less "
            f"than {max(contrast, 1e-99):.2g} of the range from black to white; set it to image, "
            "or to set, with images.percentiles: [0.1, 99.9] where single pixels outshine the rest"
        )
    inner = np.percentile(some, (1, 99), axis=(1, 2))
    if contrast < 0.25 or np.median(inner[1] - inner[0]) < CONTRAST:
        logger.warning(
            "%s: most pixels of most images use little of the range from black to white; "
            "images.normalize: image or set, or images.percentiles: [0.1, 99.9], may be what you "
            "want",
            raw.origin,
        )
    return limits


def scale(
    image: np.ndarray,
    bounds: Sequence[float],
    limits: Sequence[float],
    settings: ImageSettings,
) -> None:
    """Scale one image to [0, 1] in place.

    Args:
        image: Grey values as `unit_range` has them, shape (h, w).
        bounds: Of the image or of its picture.
        limits: Of the set, for `normalize: range` and `set`.
        settings: How to scale.
    """
    own = settings.normalize in ("image", "picture")
    low, high = np.asarray(bounds if own else limits, np.float64)
    if own:
        if settings.normalize == "image" and low < high:
            low, high = image.min(), image.max()
            if settings.percentiles != (0, 100):
                low, high = np.percentile(image, settings.percentiles)
        if low >= high:  # stays black: no contrast, and none from rounding
            image[:] = 0
            return
    image -= low
    image /= high - low
    np.clip(image, 0, 1, out=image)
