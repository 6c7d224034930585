"""Where images come from: bundled digits, MNIST, the paper's nanoparticles, one's own files."""

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from zbo.base.errors import InputError
from zbo.data import labels as labelling, pictures
from zbo.data.downloads import cache, fetch_array, fetch_mnist, read_idx
from zbo.data.pictures import Picture

logger = logging.getLogger(__name__)

ENDINGS = {"mnist": ("ubyte", ".gz"), "nanoparticles": (".npy",)}  # in a folder of the source's
NANOPARTICLES = ("train_plas.npy", "plasmonic_labels.npy")  # the authors' images and counts
NAMED, FAULTS = 10, 50  # files at most that one message names, passed over or at fault


@dataclass(frozen=True)
class Raw:
    """Pictures as a source holds them, read one at a time."""

    pictures: Iterable[Picture]
    origin: str  # names the source in messages
    count: int | None = None  # of pictures, where known before they are read
    files: Sequence[str] = ()  # that are read, whether or not an image comes of them
    faults: list[str] = field(default_factory=list)  # what was wrong with those not given

    def refuse_faults(self) -> None:
        """Name all pictures at fault together, once all have been tried.

        Raises:
            InputError: If there are any.
        """
        if not self.faults:
            return
        count = f"{len(self.faults)} cannot be used: " if len(self.faults) > 1 else ""
        more = f"; and {len(self.faults) - FAULTS} more" if len(self.faults) > FAULTS else ""
        raise InputError(count + "; ".join(self.faults[:FAULTS]) + more)


def of_array(images: np.ndarray, labels: Sequence[Any] | np.ndarray | None, origin: str) -> Raw:
    """Take an array of images, shape (n, h, w), and their labels, shape (n,)."""
    if labels is not None and len(labels) != len(images):
        raise InputError(
            f"{origin}: {len(labels)} labels for {len(images)} images; give one an image"
        )
    each = labels if labels is not None else [None] * len(images)
    return Raw(
        (
            Picture(values, origin, i, label=own, alone=False)
            for i, (values, own) in enumerate(zip(images, each, strict=True))
        ),
        origin,
        len(images),
    )


def files(
    source: str, path: str | None, labels: str | None, coordinates: str | None = None
) -> list[str]:
    """List the files of this machine that a source reads, those that are there.

    Args:
        source: "digits", "mnist", "nanoparticles" or "files".
        path: Section `images`'s path.
        labels: Its labels.
        coordinates: Where patches are cut out.

    Returns:
        Paths; a folder stands for every picture or IDX file in it.
    """
    if source == "mnist":
        path = path or os.environ.get("ZBO_MNIST")
    found = []
    for given in filter(None, (path, labels, coordinates)):
        place = Path(os.path.expandvars(given)).expanduser()
        if place.is_file():
            found.append(str(place))
        elif place.is_dir():
            endings = ENDINGS.get(source, pictures.READABLE)
            inside = (f for f in place.rglob("*") if f.name.lower().endswith(endings))
            found += sorted(map(str, inside))
    return found


def digest(files: list[str]) -> str:
    """Digest the names, sizes and times of files: it changes where one is replaced."""
    seen = [(file, (of := os.stat(file)).st_size, int(of.st_mtime)) for file in files]
    return hashlib.sha256(repr(seen).encode()).hexdigest()


def expanded(path: str, key: str) -> str:
    """Fill in the environment variables of a path ("$ZBO_NANOSHAPES/micrographs").

    Raises:
        InputError: If one is not set.
    """
    full = os.path.expandvars(path)
    if "$" in full and (missing := re.search(r"\$\{?(\w+)", full)):
        raise InputError(
            f"{key}: {path}: the environment variable {missing[1]} is not set; set it to the "
            "folder (the study's file says where to get the data), or give another path"
        )
    return os.path.expanduser(full)


def naturally(path: Path) -> list[Any]:
    """Sort names as people count: img_2 before img_10."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(p), "") if p.isdigit() else (-1, p) for p in parts] + [(0, path.name)]


def _read_digits(path: None, labels: None, channel: None) -> Raw:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return of_array(digits.images / 16, digits.target, "digits")


def _read_mnist(path: str | None, labels: None, channel: None) -> Raw:
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    if not (folder := path or os.environ.get("ZBO_MNIST")):
        images, labels = (read_idx(fetch_mnist(n, cache("mnist"))) for n in names)
        return of_array(images, labels, "mnist")
    parts = []
    for name in names:
        found = [
            f for end in ("", ".gz") if (f := Path(folder).expanduser() / (name + end)).exists()
        ]
        if not found:
            raise InputError(
                f"{'images.path' if path else 'ZBO_MNIST'}: {folder} holds no {name} "
                "(plain or .gz); give the folder of MNIST's IDX files"
            )
        parts.append(read_idx(found[0]))
    images, labels = parts
    return of_array(images, labels, str(folder))


def _read_nanoparticles(path: str, labels: str | None, only: Sequence[int] | None) -> Raw:
    """Read the authors' files: a folder of both, or each by itself; on this machine or fetched."""
    if not path.endswith(".npy"):
        path, beside = (f"{path.rstrip('/')}/{name}" for name in NANOPARTICLES)
        labels = labels or beside
    if not labels:
        raise InputError(
            f"images.labels: none for {path}; give {NANOPARTICLES[1]}, or as images.path the "
            "folder or address that holds both"
        )
    images, counts = _local_array(path), _local_array(labels)
    if images.ndim != 3 or images.shape[1:] != (96, 96):
        raise InputError(
            f"{path}: an array of shape {images.shape}; the nanoparticle images are "
            "(n, 96, 96), read others with images.source: files"
        )
    if counts.shape != images.shape[:1]:
        raise InputError(
            f"{labels}: an array of shape {counts.shape}; give one count an image, "
            f"({len(images)},) for {path}"
        )
    whole = counts.dtype.kind in "uif" and np.isfinite(counts).all() and (counts % 1 == 0).all()
    if not whole or (counts < 1).any():
        raise InputError(f"{labels}: values that count no particles; give whole numbers from 1")
    for count in only or ():
        if count not in counts:
            held = ", ".join(str(int(c)) for c in np.unique(counts))
            raise InputError(
                f"images.counts: {path}: no image of {count} particles, only of {held}; "
                "correct images.counts"
            )
    kept = np.isin(counts, only) if only else np.ones(len(counts), bool)
    return of_array(images[kept], counts[kept].astype(np.int64), path)


def _local_array(place: str) -> np.ndarray:
    if "://" in place:
        file = fetch_array(place, cache("nanoparticles"))
    elif not (file := Path(place).expanduser()).is_file():
        raise InputError(
            f"{place}: there is no such file; images.path of nanoparticles is a folder or address "
            f"with {' and '.join(NANOPARTICLES)}, or null for simulated images"
        )
    with pictures.arrays(file) as arrays:
        return arrays[""]


def _read_files(given: str, labels: str | None, channel: str | int | None) -> Raw:
    path = Path(expanded(given, "images.path"))
    if not path.exists():
        raise InputError(f"images.path: {path}: there is no such file or folder; correct the path")
    if path.is_dir():
        return _of_files(_of_folder(path), channel, str(path))
    if path.suffix.lower() in pictures.ARRAYS or (
        path.suffix.lower() not in pictures.READABLE and pictures.is_hdf5(path)
    ):
        with pictures.arrays(path) as arrays:
            named = [n for n in arrays if n.rpartition("/")[2] not in ("images", "labels", "")]
            unlike = [n for n in named if arrays[n].ndim == 2 and min(arrays[n].shape) >= 5]
            if "images" in arrays or not unlike or path.suffix.lower() in pictures.NUMPY:
                own = arrays["labels"][()] if "labels" in arrays and not labels else None
                return of_array(_stack(arrays, path, own), own, str(path))
    return _of_files([(path, None)], channel, str(path))


def _stack(arrays: Any, path: Path, labels: Any) -> np.ndarray:
    """Take the images of an array file, (n, h, w), in whatever order their axes stand."""
    shaped = {
        name: array[()].reshape([n for i, n in enumerate(array.shape) if i == 0 or n > 1])
        if array.ndim == 4 and 1 in array.shape[1:]
        else array
        for name, array in arrays.items()
    }
    images = labelling.pick(shaped, "images", 3, path)
    first, second, last = images.shape
    if first == second != last and (labels is None or len(labels) != first):
        logger.warning(
            "%s: shape %s is understood as %d images of %d x %d pixels, the last axis being the "
            "odd one; save it as (images, rows, columns) if it is not so",
            *(path, images.shape, last, first, second),
        )
        images = np.moveaxis(images, -1, 0)
    return images


def _of_folder(folder: Path) -> list[tuple[Path, str | None]]:
    """List a folder's pictures, or those of its subfolders with each one's class, as people count.

    One picture a name: of `a.tif` and `a.png` the one whose format comes first in READABLE.
    """
    inside = sorted((e for e in folder.iterdir() if e.name[0] not in "._"), key=naturally)
    parts = [e for e in inside if e.is_dir() and any(map(_readable, e.iterdir()))]
    by_class = bool(parts) and not any(map(_readable, inside))
    over, found = [e for e in inside if not (e.is_dir() or _readable(e))], []
    if by_class:
        parts = [e for e in inside if e.is_dir()]
    over += [] if by_class else parts
    for part in parts if by_class else [folder]:
        own = sorted((f for f in part.iterdir() if f.name[0] not in "._"), key=naturally)
        chosen: dict[str, Path] = {}
        for file in filter(_readable, own):
            other = chosen.setdefault(file.stem, file)
            if other != file:
                first, second = sorted((other, file), key=_preference)
                chosen[file.stem] = first
                over.append(second)
        if not chosen:
            raise InputError(
                f"{part}: holds no picture ({', '.join(pictures.READABLE)}); add some, or move it"
            )
        series = [n for n, f in chosen.items() if f.suffix.lower() == ".ser"]
        for name in series:  # of a pair NAME.emi, NAME_1.ser the first names the second
            emi = chosen.get(name.rpartition("_")[0])
            if emi is not None and emi.suffix.lower() == ".emi":
                over.append(chosen.pop(name))
        over += [] if part == folder else [f for f in own if not _readable(f)]
        found += [(file, part.name if by_class else None) for file in chosen.values()]
    if over:
        named = ", ".join(str(f.relative_to(folder)) for f in over[:NAMED])
        more = f" and {len(over) - NAMED} more" if len(over) > NAMED else ""
        logger.warning("%s: passed over %d: %s%s", folder, len(over), named, more)
    if not found:
        raise InputError(f"{folder}: holds no picture ({', '.join(pictures.READABLE)}); add some")
    return found


def _readable(file: Path) -> bool:
    return file.suffix.lower() in pictures.READABLE and file.name[0] not in "._" and file.is_file()


def _preference(file: Path) -> int:
    return pictures.READABLE.index(file.suffix.lower())


def _of_files(
    found: Sequence[tuple[Path, str | None]], channel: str | int | None, origin: str
) -> Raw:
    """Read file by file, each with its class."""
    faults: list[str] = []

    def each() -> Iterator[Picture]:
        with logging_redirect_tqdm():
            for file, label in tqdm(found, "reading", unit="file", mininterval=2, delay=2):
                try:
                    yield from pictures.read(file, channel, label)
                except InputError as error:
                    faults.append(str(error))

    return Raw(each(), origin, files=[str(file) for file, _ in found], faults=faults)


READERS: dict[str, Callable[..., Raw]] = {
    "digits": _read_digits,
    "mnist": _read_mnist,
    "nanoparticles": _read_nanoparticles,
    "files": _read_files,
}
