"""Where images come from: bundled digits, MNIST, the paper's nanoparticles, one's own files."""

import csv
import gzip
import hashlib
import http.client
import io
import logging
import math
import os
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zbo.base import storage
from zbo.base.errors import InputError

logger = logging.getLogger(__name__)

ARRAYS = (".npy", ".npz", ".h5", ".hdf5")
FULL_SCALE = {"bool": 1, "uint8": 255, "uint16": 65535}
PICTURES = (".png", ".tif", ".tiff")
ENDINGS = {"mnist": ("ubyte", ".gz"), "nanoparticles": (".npy",)}  # in a folder of the source's
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
NANOPARTICLES = ("train_plas.npy", "plasmonic_labels.npy")  # the authors' images and counts


@dataclass(frozen=True)
class Raw:
    """Pictures as a source holds them."""

    pictures: Sequence[np.ndarray]  # n of (h, w), any real type, sizes may differ
    labels: Sequence[Any] | None
    origin: str  # names the source in messages
    files: Sequence[str] = ()  # the file of each picture, where each has its own

    def name(self, i: int) -> str:
        return self.files[i] if self.files else f"{self.origin}: image {i}"


def unit_range(picture: np.ndarray) -> np.ndarray:
    """Scale types whose full range is known to [0, 1]; leave others in their own units."""
    return picture.astype(np.float64) / FULL_SCALE.get(picture.dtype.name, 1)


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


def fetch_array(url: str, folder: str | Path) -> Path:
    """Download one .npy file, whole or not at all, unless the folder holds it.

    Args:
        url: Its address.
        folder: Where it shall stand, under its name and a digest of the address.

    Returns:
        The file.

    Raises:
        InputError: If it cannot be had, is no array of numbers, or cannot be written.
    """
    name = url.rstrip("/").rsplit("/", 1)[-1].partition("?")[0]
    path = Path(folder) / f"{_md5(url.encode())[:8]}-{name}"
    if not path.exists():
        try:
            with urllib.request.urlopen(url, timeout=60) as response:
                content = response.read()
            np.load(io.BytesIO(content), allow_pickle=False)
        except (OSError, EOFError, ValueError, http.client.HTTPException) as error:
            raise InputError(
                f"{url}: no .npy file could be fetched ({error}); correct the address, or fetch it "
                "another way and give the file"
            ) from error
        _write_whole(path, content)
        logger.info("fetched %s to %s", url, path)
    return path


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _write_whole(path: Path, content: bytes) -> None:
    try:
        with storage.whole(path) as beside:
            beside.write_bytes(content)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error}); set XDG_CACHE_HOME to a folder that can"
        ) from error


def files(source: str, path: str | None, labels: str | None) -> list[str]:
    """List the files of this machine that a source reads, those that are there.

    Args:
        source: "digits", "mnist", "nanoparticles" or "files".
        path: Section `images`'s path.
        labels: Its labels.

    Returns:
        Paths; a folder stands for every picture or IDX file in it.
    """
    if source == "mnist":
        path = path or os.environ.get("ZBO_MNIST")
    found = []
    for given in filter(None, (path, labels)):
        place = Path(given).expanduser()
        if place.is_file():
            found.append(str(place))
        elif place.is_dir():
            endings = ENDINGS.get(source, PICTURES)
            inside = (f for f in place.rglob("*") if f.name.lower().endswith(endings))
            found += sorted(map(str, inside))
    return found


def digest(files: list[str]) -> str:
    """Digest the names, sizes and times of files: it changes where one is replaced."""
    seen = [(file, (of := os.stat(file)).st_size, int(of.st_mtime)) for file in files]
    return hashlib.sha256(repr(seen).encode()).hexdigest()


def _read_digits(path: None, labels: None) -> Raw:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Raw(digits.images / 16, digits.target, "digits")


def _read_mnist(path: str | None, labels: None) -> Raw:
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    if not (folder := path or os.environ.get("ZBO_MNIST")):
        return Raw(*(read_idx(fetch_mnist(name, _cache("mnist"))) for name in names), "mnist")
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
    return Raw(*parts, str(folder))


def _cache(name: str) -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "zbo" / name


def _read_nanoparticles(path: str, labels: str | None) -> Raw:
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
    return Raw(images, counts.astype(np.int64), path)


def _local_array(place: str) -> np.ndarray:
    if "://" in place:
        file = fetch_array(place, _cache("nanoparticles"))
    elif not (file := Path(place).expanduser()).is_file():
        raise InputError(
            f"{place}: there is no such file; images.path of nanoparticles is a folder or address "
            f"with {' and '.join(NANOPARTICLES)}, or null for simulated images"
        )
    with _arrays(file) as arrays:
        return arrays[""]


def _read_files(given: str, labels: str | None) -> Raw:
    path = Path(given).expanduser()
    if not path.exists():
        raise InputError(f"images.path: {path}: there is no such file or folder; correct the path")
    if path.is_dir():
        raw = _read_folder(path)
    elif path.suffix.lower() in ARRAYS:
        with _arrays(path) as arrays:
            own = arrays["labels"][()] if "labels" in arrays else None
            raw = Raw(_pick(arrays, "images", 3, path), own, str(path))
    else:
        raise InputError(
            f"images.path: {path} is no folder of pictures and no file that ends in "
            f"{', '.join(ARRAYS)}; give one of them"
        )
    return replace(raw, labels=_read_labels(labels)) if labels else raw


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


def _read_folder(folder: Path) -> Raw:
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
    return Raw(pictures, labels if by_class else None, str(folder), files)


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
        return [rgb2gray(unit_range(p[..., :3])) if p.shape[-1] > 2 else p[..., 0] for p in pages]
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


READERS = {
    "digits": _read_digits,
    "mnist": _read_mnist,
    "nanoparticles": _read_nanoparticles,
    "files": _read_files,
}
