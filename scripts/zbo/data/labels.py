"""Labels: read from files and tables, matched to images, numbered. They judge and never guide.

What is blank, NaN or -1 is unlabelled: such an image counts in no score.
"""

import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zbo.base.errors import InputError
from zbo.data import pictures
from zbo.data.places import Places

logger = logging.getLogger(__name__)

LABEL = ("label", "labels", "class", "kind", "category")
FILE = ("file", "image", "filename", "file_name", "name", "picture", "micrograph")
UNLABELLED = ("", "nan", "-1", "none", "null")


@dataclass(frozen=True)
class Table:
    """Labels as a file gives them: in the images' order, or with the file, page or place of each.

    Attributes:
        labels: Shape (n,).
        where: What holds them, named in messages.
        file: The picture file of each, where the table has one.
        page: Its page.
        y: Row of each, pixels, where the table has it.
        x: Column.
    """

    labels: Sequence[Any] | np.ndarray
    where: str
    file: Sequence[str] | None = None
    page: np.ndarray | None = None
    y: np.ndarray | None = None
    x: np.ndarray | None = None

    def of(self, places: Places) -> Sequence[Any] | np.ndarray:
        """Give each image its label: by place, by file name, or in order.

        Raises:
            InputError: If they do not fit the images.
        """
        if self.file is None:
            if len(self.labels) != len(places):
                raise InputError(
                    f"{self.where}: {len(self.labels)} labels for {len(places)} images; give one "
                    "an image, or a column `file` that names the picture of each"
                )
            return self.labels
        by_file: dict[str, list[int]] = {}
        for row, name in enumerate(self.file):
            by_file.setdefault(plain(name), []).append(row)
        found = [
            self._nearest(by_file.get(plain(places.files[places.file[i]]), []), places, i)
            for i in range(len(places))
        ]
        labelled = sum(row is not None for row in found)
        if not labelled:
            raise InputError(
                f"{self.where}: none of its {len(by_file)} names ({self.file[0]}, ...) is one of "
                f"the pictures' ({Path(places.files[0]).name}, ...); correct its column of files"
            )
        logger.info("%s: labels for %d of %d images", self.where, labelled, len(places))
        return ["" if row is None else self.labels[row] for row in found]

    def _nearest(self, rows: list[int], places: Places, i: int) -> int | None:
        """Choose the row about image i; by place, the nearest within a quarter of its window."""
        if self.page is not None:
            rows = [row for row in rows if self.page[row] == places.page[i]]
        if not rows:
            return None
        if self.y is None or self.x is None:
            if len(rows) > 1:
                raise InputError(
                    f"{self.where}: {len(rows)} labels for {places.files[places.file[i]]}; give "
                    "one a picture, or columns page, or y and x"
                )
            return rows[0]
        distance = np.hypot(self.y[rows] - places.y[i], self.x[rows] - places.x[i])
        near = int(distance.argmin())
        return rows[near] if distance[near] <= places.window[i] / 4 else None


def plain(name: str) -> str:
    """Name a picture without folder and ending, in lower case, as tables of labels may do."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, ending = base.rpartition(".")
    return (stem if dot and f".{ending.lower()}" in pictures.READABLE else base).lower()


def read(given: str) -> Table:
    """Read labels from .npy, .npz, HDF5, .txt or .csv.

    Args:
        given: The file. A table has a column `label` (or class, kind, category), and may have one
            of picture files (file, image, filename, name), `page`, and `y` and `x`.

    Raises:
        InputError: If it cannot be read or has no labels.
    """
    path = Path(given).expanduser()
    if path.suffix.lower() in pictures.ARRAYS:
        with pictures.arrays(path) as arrays:
            return Table(pick(arrays, "labels", 1, path), given)
    if path.suffix.lower() not in (".csv", ".txt", ".tsv"):
        raise InputError(
            f"images.labels: {path}: give a file that ends in .csv, .txt or {pictures.ARRAYS}"
        )
    columns = columns_of(path)
    if len(columns) == 1:
        (only,) = columns.values()
        return Table(only, given)
    label = named(columns, LABEL)
    if label is None:
        raise InputError(
            f"{path}: {len(columns)} columns ({', '.join(columns)}) and none of labels; call one "
            f"{' or '.join(LABEL)}, or give one label a line"
        )
    file, page, y, x = (named(columns, names) for names in (FILE, ("page",), ("y",), ("x",)))
    if file is None and y is not None:
        raise InputError(f"{path}: places without files; add a column `file`")
    if (y is None) != (x is None):
        raise InputError(f"{path}: only one of columns y and x; give both or none")
    page, y, x = (None if each is None else numbers(each, path) for each in (page, y, x))
    return Table(label, given, file, page, y, x)


def columns_of(path: Path) -> dict[str, list[str]]:
    """Read a text table as columns by name, in lower case; one without a header has one column.

    Raises:
        InputError: If it cannot be read or a row is longer or shorter than the header.
    """
    try:
        text = path.read_text("utf-8-sig")
        lines = text.splitlines()
        delimiter = max(",;\t", key=lines[0].count) if lines else ","
        # A blank line in a single column is an image without a label.
        single = bool(lines) and delimiter not in lines[0]
        rows = [row or [""] for row in csv.reader(lines, delimiter=delimiter) if row or single]
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; correct the path") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); give one label a line") from error
    if not rows:
        return {"label": []}
    first = [cell.strip().lower() for cell in rows[0]]
    headed = len(first) > 1 or first[0] in LABEL
    for i, row in enumerate(rows, start=1):
        if len(row) != len(first) and (len(first) > 1 or any(map(str.strip, row[1:]))):
            raise InputError(
                f"{path}: row {i} has {len(row)} columns, the first {len(first)}; give all of them"
            )
    names = first if headed else ["label"]
    body = rows[1:] if headed else rows
    return {name: [row[i] for row in body] for i, name in enumerate(names)}


def named(columns: dict[str, list[str]], names: Sequence[str]) -> list[str] | None:
    """Find a column by any of its names."""
    return next((columns[name] for name in names if name in columns), None)


def numbers(column: Sequence[str], path: Path) -> np.ndarray:
    """Read a column of numbers."""
    try:
        return np.array(column, dtype=float)
    except ValueError as error:
        raise InputError(f"{path}: {error} in a column of numbers; correct it") from error


def pick(arrays: Any, name: str, ndim: int, path: Path) -> np.ndarray:
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


def encode(values: Sequence[Any] | np.ndarray, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number the classes: whole numbers by value, other labels by alphabet.

    Args:
        values: Whole numbers or text, shape (n,); blank, NaN or -1 where an image has no label.
        where: What holds them, named in the message.

    Returns:
        Label of each value, shape (n,), int64, -1 where there is none, and the classes' names.

    Raises:
        InputError: If they are not one-dimensional, or one is of another kind, or all are missing.
    """
    array = np.asarray(values)
    given = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    whole = array.dtype.kind != "f" or (
        (given == np.round(given)).all() and not np.isinf(array).any()
    )
    if array.ndim != 1 or array.dtype.kind not in "biufSUO" or not whole:
        raise InputError(
            f"{where}: labels of shape {array.shape} and type {array.dtype} that are not one whole "
            "number or text an image; give shape (n,), and -1 or nothing where there is none"
        )
    texts = [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in array.tolist()]
    texts = [text.strip() for text in texts]
    read = [_number(text) for text in texts]
    missing = [t.lower() in UNLABELLED or n == -1 for t, n in zip(texts, read, strict=True)]
    kept = [n for n, gone in zip(read, missing, strict=True) if not gone]
    if not kept:
        raise InputError(f"{where}: every label is blank, NaN or -1; give some, or no labels")
    if numeric := all(number.is_integer() for number in kept):
        texts = [
            t if gone else str(int(n)) for t, n, gone in zip(texts, read, missing, strict=True)
        ]
    found = {text for text, gone in zip(texts, missing, strict=True) if not gone}
    names = sorted(found, key=int if numeric else str)
    index = {name: k for k, name in enumerate(names)}
    if count := sum(missing):
        logger.info("%s: %d of %d images without a label", where, count, len(texts))
    coded = [-1 if gone else index[text] for text, gone in zip(texts, missing, strict=True)]
    return np.array(coded, dtype=np.int64), tuple(names)


def _number(text: str) -> float:
    """Read a number, also as numpy.savetxt writes it ("1.0e+01"); NaN where it is none."""
    try:
        return float("nan" if "_" in text else text)  # Python would read 1_0 as 10
    except ValueError:
        return float("nan")
