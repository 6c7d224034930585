"""HDF5 files between the stages, and tables: written whole or not at all, checked when read."""

import csv
import errno
import glob
import io
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
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
    path: str | Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()
) -> None:
    """Write a CSV table, whole or not at all.

    Args:
        path: Where.
        rows: Column to value each; what a row lacks is left blank.
        columns: In this order; by default the first row's.
    """
    with whole(path) as beside, open(beside, "w", newline="") as file:
        table = csv.DictWriter(file, columns or rows[0], restval="")
        table.writeheader()
        table.writerows(rows)


def read_table(path: str | Path) -> list[dict[str, str]]:
    """Read a CSV table, a dictionary a row.

    Raises:
        InputError: If the file is missing.
    """
    if not Path(path).exists():
        raise InputError(f"{path}: there is no such file; run the workflow to make it")
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


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
                    if described := files.describe(kind, name):
                        file[name].attrs.update(described._asdict())
            for name, value in (_provenance() | facts).items():
                file.attrs[name] = json.dumps(value)
            file.attrs["kind"] = kind

    # Where the disk is full, HDF5 itself crashes instead of raising an error. So in memory first,
    # or, where there is much, once there is room for it.
    size = sum(np.asarray(value).nbytes for value in data.values() if value is not None)
    with whole(path) as beside:
        if size < MUCH:
            content = io.BytesIO()
            fill(content)
            beside.write_bytes(content.getbuffer())
        elif shutil.disk_usage(beside.parent).free < 1.1 * size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        else:
            fill(beside)


def read(
    path: str | Path, *, kind: str | Collection[str], only: Collection[str] | None = None
) -> dict[str, Any]:
    """Read the datasets of a file that `write` made.

    Args:
        path: The file.
        kind: What it has to be, or what it may be.
        only: Names of the datasets to read; all of them by default.

    Returns:
        Dataset name to array, number or text; names of datasets in groups hold "/".

    Raises:
        InputError: If the file is missing, cut short, or of another kind.
    """
    data: dict[str, Any] = {}

    def collect(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
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
    if not Path(path).exists():
        raise InputError(f"{path}: there is no such file; run the workflow to make it")
    try:
        file = h5py.File(path, "r")
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
