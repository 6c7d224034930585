"""HDF5 files between the stages, and tables: written whole or not at all, checked when read."""

import csv
import errno
import glob
import io
import json
import math
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from zbo.base import files
from zbo.base.errors import InputError

MUCH = 1 << 27  # bytes from which a file is written to its place, not to memory first
DONE = "done"  # status of a trial or model; anything else says why it failed
_CHUNK = 1 << 18  # bytes that HDF5 reads and writes at once
RECORDED_PACKAGES = ("numpy", "torch", "pyroved", "pyro-ppl", "gpytorch", "botorch", "scikit-image")


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Write a file whole or not at all: beside its place, flushed to disk, then renamed.

    What a process killed while it wrote the same file left beside it is removed.

    Args:
        path: Where the file shall stand; its folder is made.

    Yields:
        Where to write it until then.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = f".{path.name}.{platform.node()}-"  # a process id means nothing on another node
    beside = path.with_name(f"{stem}{os.getpid()}.part")
    for left in path.parent.glob(f"{glob.escape(stem)}*.part"):
        process = left.name.removeprefix(stem).removesuffix(".part")
        if process.isdigit() and not _alive(int(process)):
            left.unlink(missing_ok=True)
    try:
        yield beside
        with open(beside, "rb") as written:
            os.fsync(written.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another person's
        pass
    return True


def write_table(
    path: str | Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()
) -> None:
    """Write a CSV table, whole or not at all.

    Args:
        path: Where.
        rows: Column to value each, one or more; what a row lacks is left blank.
        columns: In this order; by default the first row's.
    """
    rows = iter(rows)
    first = next(rows)
    with whole(path) as beside, open(beside, "w", newline="") as file:
        table = csv.DictWriter(file, columns or list(first), restval="")
        table.writeheader()
        table.writerow(first)
        table.writerows(rows)


def read_table(path: str | Path) -> list[dict[str, str]]:
    """Read a CSV table, a dictionary a row.

    Raises:
        InputError: If the file is missing.
    """
    with open(existing(path), newline="") as file:
        return list(csv.DictReader(file))


def existing(path: str | Path) -> Path:
    """Give the path of a result that has to be there.

    Raises:
        InputError: If it is missing.
    """
    if not Path(path).exists():
        raise InputError(f"{path}: there is no such file; run the workflow to make it")
    return Path(path)


def write(path: str | Path, data: Mapping[str, Any], *, kind: str, **facts: Any) -> None:
    """Write one HDF5 file, whole or not at all.

    Args:
        path: Where the file shall stand.
        data: Dataset name (may hold "/") to array, number or text; None is left out.
        kind: What the file is, checked by `read`; zbo.base.files describes the datasets of each.
        **facts: What made it (settings, seed, seconds, device, ...), stored as JSON attributes
            beside versions and commit. No time: the same content is the same file.
    """

    def fill(target: io.BytesIO | Path) -> None:
        with h5py.File(target, "w") as file:
            for name, value in data.items():
                if value is not None:
                    _write_dataset(file, name, value)
            _describe(file, kind, facts)

    # Where the disk is full, HDF5 itself crashes instead of raising an error. So in memory first,
    # or, where there is much, once there is room for it.
    size = _bytes(data)
    with whole(path) as beside:
        if size < MUCH:
            content = io.BytesIO()
            fill(content)
            beside.write_bytes(content.getbuffer())
        else:
            _room(path, 1.1 * size)
            fill(beside)


@contextmanager
def growing(
    path: str | Path, *, kind: str, **facts: Any
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Write one HDF5 file block by block, whole or not at all; it may be larger than memory.

    Args:
        path: Where the file shall stand.
        kind: As for `write`.
        **facts: As for `write`.

    Yields:
        What adds a block, dataset name to array. Numbers of a name that is there already are
        appended to it along their first dimension.
    """
    with whole(path) as beside, h5py.File(beside, "w") as file:

        def add(block: Mapping[str, Any]) -> None:
            _room(path, 2 * _bytes(block) + 2**20)
            for name, value in block.items():
                if value is not None:
                    _append(file, name, value)

        yield add
        _describe(file, kind, facts)


def read(
    path: str | Path,
    *,
    kind: str | Collection[str],
    only: Collection[str] | None = None,
    without: Collection[str] = (),
) -> dict[str, Any]:
    """Read the datasets of a file that `write` made.

    Args:
        path: The file.
        kind: What it has to be, or what it may be.
        only: Names of the datasets to read; all of them by default.
        without: Names of those to leave out, such as large ones.

    Returns:
        Dataset name to array, number or text; names of datasets in groups hold "/".

    Raises:
        InputError: If the file is missing, cut short, or of another kind.
    """
    data: dict[str, Any] = {}

    def collect(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and name not in without:
            data[name] = item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()]

    with _open(path, kind) as file:
        try:
            if only is None:
                file.visititems(collect)
            else:
                for name in only:
                    collect(name, file[name])
        except (OSError, RuntimeError) as error:
            raise _cut_short(path) from error
    return data


def blocks(
    path: str | Path, name: str, size: int, *, kind: str | Collection[str]
) -> Iterator[np.ndarray]:
    """Read a dataset so many rows at a time.

    Args:
        path: The file.
        name: The dataset's.
        size: Rows of each block.
        kind: As for `read`.

    Raises:
        InputError: As for `read`.
    """
    with _open(path, kind) as file:
        for start in range(0, len(file[name]), size):
            yield file[name][start : start + size]


def take(
    path: str | Path, name: str, index: np.ndarray, *, kind: str | Collection[str]
) -> np.ndarray:
    """Read some rows of a dataset, in the order asked for, as often as each is named.

    Args:
        path: The file.
        name: The dataset's.
        index: Of the rows, shape (n,), int.
        kind: As for `read`.

    Raises:
        InputError: As for `read`.
    """
    wanted, place = np.unique(index, return_inverse=True)
    with _open(path, kind) as file:
        if not len(wanted) or np.ptp(wanted) < 4 * len(wanted):  # HDF5 is slow with single rows
            first, end = (wanted[0], wanted[-1] + 1) if len(wanted) else (0, 0)
            return file[name][first:end][index - first]
        return file[name][wanted][place]


def facts(path: str | Path, *, kind: str | Collection[str]) -> dict[str, Any]:
    """Read what made a file: settings, seed, versions, commit, seconds.

    Args:
        path: The file.
        kind: What it has to be, or what it may be.

    Returns:
        Name to value.

    Raises:
        InputError: As for `read`.
    """
    with _open(path, kind) as file:
        return {name: json.loads(v) for name, v in file.attrs.items() if name != "kind"}


def group(data: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Pick one group out of what `read` gave, names shortened ("weights/a.b" to "a.b")."""
    start = prefix.rstrip("/") + "/"
    return {name[len(start) :]: v for name, v in data.items() if name.startswith(start)}


def _open(path: str | Path, kind: str | Collection[str]) -> h5py.File:
    try:
        file = h5py.File(existing(path), "r")
    except OSError as error:
        raise _cut_short(path) from error
    allowed = [kind] if isinstance(kind, str) else list(kind)
    former = [files.FORMER[each] for each in allowed if each in files.FORMER]
    if (found := file.attrs.get("kind")) not in [*allowed, *former]:
        file.close()
        raise InputError(
            f"{path}: expected a file of kind '{' or '.join(allowed)}', "
            f"found '{found or 'an HDF5 file of another origin'}'"
        )
    return file


def _cut_short(path: str | Path) -> InputError:
    return InputError(
        f"{path}: not a whole HDF5 file (cut short or damaged); "
        "delete it and run the workflow again, it makes just what is missing"
    )


def _write_dataset(file: h5py.File, name: str, value: Any) -> None:
    if isinstance(value, str):
        file[name] = value
        return
    array = np.asarray(value)
    if array.dtype.kind == "U":
        array = array.astype(h5py.string_dtype())
    # Compression pays on images and maps; small arrays are faster without.
    options = {"compression": "gzip", "compression_opts": 1} if array.nbytes > 2**16 else {}
    file.create_dataset(name, data=array, **options)


def _append(file: h5py.File, name: str, value: Any) -> None:
    array = np.asarray(value)
    if name in file:
        there = len(file[name])
        file[name].resize(there + len(array), axis=0)
        file[name][there:] = array
    elif array.ndim == 0 or array.dtype.kind == "U":
        _write_dataset(file, name, value)
    else:
        shape = array.shape[1:]
        rows = max(1, _CHUNK // max(1, array.dtype.itemsize * math.prod(shape)))
        options = {"compression": "gzip", "compression_opts": 1, "chunks": (rows, *shape)}
        file.create_dataset(name, data=array, maxshape=(None, *shape), **options)


def _bytes(data: Mapping[str, Any]) -> int:
    return sum(np.asarray(value).nbytes for value in data.values() if value is not None)


def _room(path: str | Path, size: float) -> None:
    """Raise an error where the disk of a file has no room for so many bytes."""
    if shutil.disk_usage(Path(path).parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _describe(file: h5py.File, kind: str, facts: Mapping[str, Any]) -> None:
    """Say of each dataset what it is, and of the file what it is and what made it."""

    def describe(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and (known := files.describe(kind, name)):
            item.attrs.update(known._asdict())

    file.visititems(describe)
    for name, value in {**_provenance(), **facts}.items():
        file.attrs[name] = json.dumps(value)
    file.attrs["kind"] = kind


def _provenance() -> dict[str, Any]:
    return {
        "versions": _versions(),
        "commit": commit(),
        "machine": platform.machine(),
    }


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def commit() -> str:
    """Name the commit of the code that runs ("-dirty" if changed since), or "unknown".

    Of the library installed without its checkout it is the version.
    """
    if known := os.environ.get("ZBO_COMMIT"):  # the image has no repository to ask
        return known
    if not (Path(__file__).parents[3] / "Snakefile").exists():  # installed: any repository here
        return metadata.version("zbo")  # is another's
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or "unknown"
