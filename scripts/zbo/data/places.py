"""Where each image comes from: file, page, place, window, and its index in the source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

UNIT = "nm"  # of pixel sizes

Row = tuple[str, int, float, float, float, float]  # file, page, y, x, window, pixel size


@dataclass(frozen=True)
class Places:
    """Where each of n images comes from.

    Attributes:
        files: The files that were read, or what else holds images.
        file: Of each image, an index into `files`, shape (n,), int64.
        page: Its page in that file, from 0, shape (n,), int64.
        y: Row of the window's centre in the page as the file has it, pixels (the first row's centre
            is 0), shape (n,).
        x: Column likewise.
        window: Rows of the window, pixels of the page, shape (n,). It is as wide as high times the
            image's columns per row, since the aspect is kept.
        source: Index in the source, before any were drawn or copied, shape (n,), int64.
        pixel_size: Side of a pixel of the page, nm; NaN where not known, shape (n,).
    """

    files: tuple[str, ...]
    file: np.ndarray
    page: np.ndarray
    y: np.ndarray
    x: np.ndarray
    window: np.ndarray
    source: np.ndarray
    pixel_size: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Row], read: Sequence[str] = ()) -> Places:
        """Gather rows of file, page, y, x, window and pixel size, in the source's order.

        Args:
            rows: One an image.
            read: Files that were read, those without an image among them.
        """
        files = {name: number for number, name in enumerate(read)}
        number = [files.setdefault(row[0], len(files)) for row in rows]
        page, y, x, window, size = (
            np.array([row[i] for row in rows], dtype=np.int64 if i == 1 else float)
            for i in range(1, 6)
        )
        places = np.array(number, np.int64), page, y, x, window
        return cls(tuple(files), *places, np.arange(len(rows)), size)

    def __len__(self) -> int:
        return len(self.file)

    def take(self, order: np.ndarray) -> Places:
        """Pick images by index, as often as each is named."""
        each = {f.name: getattr(self, f.name)[order] for f in fields(self) if f.name != "files"}
        return replace(self, **each)

    def datasets(self) -> dict[str, Any]:
        """Give the datasets of images.h5 that hold them."""
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        return held | {"files": np.array(self.files, dtype=str), "pixel_unit": UNIT}

    def table(
        self, labels: np.ndarray | None, names: Sequence[str], subset: np.ndarray | None
    ) -> Iterator[Mapping[str, Any]]:
        """Give the rows of images.csv, one an image.

        Args:
            labels: Label of each image, shape (n,), -1 where there is none; None if none has one.
            names: What each label is called.
            subset: Indices of the images used during the search; None if there was none.
        """
        searched = np.zeros(len(self), bool)
        if subset is not None:
            searched[subset] = True
        for i in range(len(self)):
            row = {
                "image": i,
                "file": self.files[self.file[i]],
                "page": self.page[i],
                "y": f"{self.y[i]:.2f}",
                "x": f"{self.x[i]:.2f}",
                "window": f"{self.window[i]:g}",
                "source_index": self.source[i],
                "label": "" if labels is None or labels[i] < 0 else names[labels[i]],
                "subset": int(searched[i]),
                "pixel_size_nm": "" if math.isnan(self.pixel_size[i]) else self.pixel_size[i],
            }
            if subset is None:
                del row["subset"]
            yield row
