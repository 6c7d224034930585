"""Published data sets, fetched once: MNIST's IDX files and single arrays, whole or not at all."""

import gzip
import hashlib
import http.client
import io
import logging
import math
import os
import urllib.request
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from zbo.base import storage
from zbo.base.errors import InputError

logger = logging.getLogger(__name__)

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


def cache(name: str) -> Path:
    """Name the folder that keeps a source's fetched files."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "zbo" / name


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
