"""Data sets to grey images in [0, 1] with labels; balanced classes and the search's subset.

Biswas et al. 2023, Mach. Learn.: Sci. Technol. 4 015011. First what is made of the pictures,
then the sources they are read from.
"""

import csv
import gzip
import hashlib
import http.client
import logging
import math
import os
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zbo.errors import InputError

logger = logging.getLogger(__name__)

ARRAYS = (".npy", ".npz", ".h5", ".hdf5")
PICTURES = (".png", ".tif", ".tiff")
FULL_SCALE = {"bool": 1, "uint8": 255, "uint16": 65535}
MIN_SIDE = 5  # pixels: the window of the structural similarity
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://systemds.apache.org/assets/datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
MNIST_MD5 = {  # of the uncompressed files
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


@dataclass(frozen=True)
class ImageSettings:
    """Which images, and how they are prepared: the `images` part of a study's configuration."""

    source: str  # "digits", "mnist" or "files"
    path: str | None = None  # mnist: folder of IDX files; files: array file or folder of pictures
    labels: str | None = None  # files: .npy, .npz, HDF5, .csv or .txt; None: those of `path`
    size: tuple[int, int] | None = None  # resize to (h, w) pixels
    normalize: str = "range"  # "range" of the source, min-max of the "set" or of each "image"
    count: int | None = None  # keep so many images, drawn at random; None: all
    balance: int | None = None  # resample each class from itself to so many images
    subset: int = 600  # images used during the search
    balance_subset: bool = False  # equally many of each class in the subset


@dataclass(frozen=True)
class ImageSet:
    """Images ready for training."""

    images: np.ndarray  # (n, h, w) float32 in [0, 1]
    labels: np.ndarray | None  # (n,) int64
    subset: np.ndarray  # (m,) int64 indices of the images used during the search, ascending
    names: tuple[str, ...] = ()  # what each label is called in the source; index = label


@dataclass(frozen=True)
class _Raw:
    """Pictures as the source holds them."""

    pictures: Sequence[np.ndarray]  # n of (h, w), any real type, sizes may differ
    labels: Sequence[Any] | None
    origin: str  # names the source in messages
    files: Sequence[str] = ()  # the file of each picture, where each has its own

    def name(self, i: int) -> str:
        return self.files[i] if self.files else f"{self.origin}: image {i}"


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
    raw = _READERS[settings.source](settings)
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
    return ImageSet(images, labels, subset, names)


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
    """Refuse settings that cannot hold, whatever the data."""
    for key, known in (("source", tuple(_READERS)), ("normalize", ("range", "set", "image"))):
        if (value := getattr(settings, key)) not in known:
            raise InputError(f"images.{key}: '{value}' is not known; use {' or '.join(known)}")
    for key in ("count", "balance", "subset"):
        if (value := getattr(settings, key)) is not None and value < 1:
            raise InputError(f"images.{key}: {value} is no number of images; give 1 or more")
    if settings.size is not None and (len(settings.size) != 2 or min(settings.size) < MIN_SIDE):
        raise InputError(
            f"images.size: {settings.size} cannot be; give height and width, {MIN_SIDE} or more"
        )
    if settings.source == "files" and not settings.path:
        raise InputError(
            "images.path: source 'files' has no path; give a file or a folder of pictures"
        )
    unused = ["labels"] * (settings.source != "files") + ["path"] * (settings.source == "digits")
    for key in unused:
        if getattr(settings, key):
            raise InputError(f"images.{key}: source '{settings.source}' has none; leave it out")


def _number(text: str) -> float:
    """Read a number, also as numpy.savetxt writes it ("1.0e+01"); NaN where it is none."""
    try:
        return float("nan" if "_" in text else text)  # Python would read 1_0 as 10
    except ValueError:
        return float("nan")


def _generator(seed: int, purpose: str) -> np.random.Generator:
    key = ("count", "balance", "subset").index(purpose)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key,)))


def _unit(picture: np.ndarray) -> np.ndarray:
    """Scale types whose full range is known to [0, 1]; leave others in their own units."""
    return picture.astype(np.float64) / FULL_SCALE.get(picture.dtype.name, 1)


def _bounds(raw: _Raw, settings: ImageSettings) -> np.ndarray:
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
        bounds[i] = (unit := _unit(picture)).min(), unit.max()
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
        picture = _unit(pictures[i])
        if picture.shape != image.shape:
            picture = resize(picture, image.shape, anti_aliasing=True, preserve_range=True)
        if settings.normalize == "image":
            if bounds[i, 0] == bounds[i, 1]:  # stays black: no contrast, and none from rounding
                continue
            low, high = picture.min(), picture.max()
        image[:] = np.clip((picture - low) / (high - low), 0, 1)
    return images


def read_idx(path: str | Path) -> np.ndarray:
    """Read an IDX file of bytes, MNIST's format, plain or gzipped.

    Args:
        path: The file.

    Returns:
        Its values, uint8, of the shape the file states.

    Raises:
        InputError: If it is missing, cut short, or no IDX file of bytes.
    """
    try:
        content = Path(path).read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: missing or damaged ({error}); fetch it again") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise InputError(f"{path}: no IDX file of bytes, or cut short; fetch it again")
    shape = tuple(np.frombuffer(content, ">u4", count=content[3], offset=4).tolist())
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape))
    if len(values) != math.prod(shape):
        raise InputError(
            f"{path}: cut short or damaged, {len(values)} values where its head states {shape}; "
            "fetch it again"
        )
    return values.reshape(shape)


def fetch_mnist(
    name: str,
    folder: str | Path,
    mirrors: Sequence[str] | None = None,
    checksums: Mapping[str, str] | None = None,
) -> Path:
    """Download one MNIST file, whole or not at all, unless the folder holds it.

    Args:
        name: One of `MNIST_MD5`.
        folder: Where it shall stand, uncompressed.
        mirrors: Addresses of folders that hold it gzipped, tried in turn; None: `MIRRORS`.
        checksums: MD5 of each uncompressed file; None: `MNIST_MD5`.

    Returns:
        The file.

    Raises:
        InputError: If no mirror gives it, or the folder cannot be written.
    """
    path = Path(folder) / name
    checksum = (MNIST_MD5 if checksums is None else checksums)[name]
    if path.exists() and _md5(path.read_bytes()) == checksum:
        return path
    tried = []
    for mirror in MIRRORS if mirrors is None else mirrors:
        url = f"{mirror.rstrip('/')}/{name}.gz"
        try:
            with urllib.request.urlopen(url, timeout=30) as response:
                content = gzip.decompress(response.read())
            if _md5(content) != checksum:
                raise OSError("its MD5 is not the published one")
        except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
            logger.warning("skipped %s: %s", url, error)
            tried.append(f"{url} ({error})")
        else:
            _write_whole(path, content)
            logger.info("fetched %s to %s", url, path)
            return path
    raise InputError(
        f"{name} of MNIST could not be fetched; tried {'; '.join(tried)}. Point images.path or "
        "the environment variable ZBO_MNIST to a folder with the IDX files (plain or .gz)"
    )


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _write_whole(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        os.replace(beside, path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error}); set XDG_CACHE_HOME to a folder that can"
        ) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _read_digits(settings: ImageSettings) -> _Raw:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return _Raw(digits.images / 16, digits.target, "digits")


def _read_mnist(settings: ImageSettings) -> _Raw:
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    if not (folder := settings.path or os.environ.get("ZBO_MNIST")):
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "zbo" / "mnist"
        return _Raw(*(read_idx(fetch_mnist(name, cache)) for name in names), "mnist")
    parts = []
    for name in names:
        found = [
            f for end in ("", ".gz") if (f := Path(folder).expanduser() / (name + end)).exists()
        ]
        if not found:
            raise InputError(
                f"{'images.path' if settings.path else 'ZBO_MNIST'}: {folder} holds no {name} "
                "(plain or .gz); give the folder of MNIST's IDX files"
            )
        parts.append(read_idx(found[0]))
    return _Raw(*parts, str(folder))


def _read_files(settings: ImageSettings) -> _Raw:
    path = Path(settings.path).expanduser()
    if not path.exists():
        raise InputError(f"images.path: {path}: there is no such file or folder; correct the path")
    if path.is_dir():
        raw = _read_folder(path)
    elif path.suffix.lower() in ARRAYS:
        with _arrays(path) as arrays:
            own = arrays["labels"][()] if "labels" in arrays else None
            raw = _Raw(_pick(arrays, "images", 3, path), own, str(path))
    else:
        raise InputError(
            f"images.path: {path} is no folder of pictures and no file that ends in "
            f"{', '.join(ARRAYS)}; give one of them"
        )
    return replace(raw, labels=_read_labels(settings.labels)) if settings.labels else raw


def _read_labels(labels: str) -> Sequence[Any]:
    path = Path(labels).expanduser()
    if path.suffix.lower() in ARRAYS:
        with _arrays(path) as arrays:
            return _pick(arrays, "labels", 1, path)
    if path.suffix.lower() not in (".csv", ".txt"):
        raise InputError(f"images.labels: {path}: give a file that ends in .csv, .txt or {ARRAYS}")
    try:
        rows = [row for row in csv.reader(path.read_text("utf-8-sig").splitlines()) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); give one label a line") from error
    for i, row in enumerate(rows, start=1):
        if len(row) != 1:
            raise InputError(f"{path}: row {i} has {len(row)} columns; give one label a line")
    texts = [row[0] for row in rows]
    return texts[1:] if texts and texts[0].strip().lower() in ("label", "labels") else texts


def _read_folder(folder: Path) -> _Raw:
    """Read a folder of pictures, or one subfolder a class, each sorted by name."""
    inside = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    by_class = bool(inside) and all(entry.is_dir() for entry in inside)
    pictures, labels, files = [], [], []
    for part in inside if by_class else [folder]:
        found = [file for file in sorted(part.iterdir()) if file.suffix.lower() in PICTURES]
        found = [file for file in found if not file.name.startswith(".")]
        if not found:
            raise InputError(f"{part}: holds no picture ({', '.join(PICTURES)}); add some")
        for file in found:
            pages = _read_picture(file)
            pictures += pages
            labels += [part.name] * len(pages)
            files += [str(file)] * len(pages)
    return _Raw(pictures, labels if by_class else None, str(folder), files)


def _read_picture(file: Path) -> list[np.ndarray]:
    """Read a picture's pages as grey values, (h, w) each; transparency is left out."""
    import imageio.v3
    import tifffile
    from skimage.color import rgb2gray

    try:
        if file.suffix.lower() == ".png":
            picture = imageio.v3.imread(file, plugin="pillow")
            stacks = [picture[None] if picture.ndim == 3 else picture[None, ..., None]]
        else:
            with tifffile.TiffFile(file) as tiff:
                stacks = [_channels_last(series) for series in tiff.series]
        # Stacks: pages, h, w, channels (grey, grey and alpha, RGB, or RGB and alpha).
        pages = [page for stack in stacks for page in stack]
        return [rgb2gray(_unit(p[..., :3])) if p.shape[-1] > 2 else p[..., 0] for p in pages]
    except Exception as error:  # the readers raise whatever they meet
        raise InputError(f"{file}: not a readable picture ({error}); save it again") from error


def _channels_last(series: Any) -> np.ndarray:
    """Give a TIFF series as pages, h, w, channels; axis S holds the samples of a colour."""
    array, axes = series.asarray(), series.axes
    array = np.moveaxis(array, axes.index("S"), -1) if "S" in axes else array[..., None]
    return array.reshape(-1, *array.shape[-3:])


@contextmanager
def _arrays(path: Path) -> Iterator[Mapping[str, Any]]:
    """Open the arrays of a numpy or HDF5 file, by name; a pickle's code is never run."""
    try:
        if path.suffix.lower() in (".npy", ".npz"):
            content = np.load(path, allow_pickle=False)
            yield {"": content} if isinstance(content, np.ndarray) else dict(content)
        else:
            import h5py

            with h5py.File(path, "r") as file:
                names: list[str] = []
                file.visit(names.append)
                yield {name: file[name] for name in names if isinstance(file[name], h5py.Dataset)}
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; give one that is there") from error
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path}: cut short, damaged or not of plain arrays ({error}); save it again"
        ) from error


def _pick(arrays: Mapping[str, Any], name: str, ndim: int, path: Path) -> np.ndarray:
    """Read the array of this name, else the only one of so many dimensions."""
    fitting = [array for array in arrays.values() if array.ndim == ndim]
    chosen = arrays.get(name, fitting[0] if len(fitting) == 1 else None)
    if chosen is None or chosen.ndim != ndim:
        held = ", ".join(f"{key} {array.shape}".strip() for key, array in arrays.items())
        raise InputError(
            f"{path}: holds {held or 'no array'}; give one array of {ndim} dimensions, or name "
            f"the one to use '{name}'"
        )
    return chosen[()]


_READERS = {"digits": _read_digits, "mnist": _read_mnist, "files": _read_files}
