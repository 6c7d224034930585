"""New images, prepared as those of a study were: the same reading, cutting and scaling.

Only where they come from is another. Nothing is drawn, balanced or left out, and no label is
expected.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zbo.base import storage
from zbo.base.errors import InputError
from zbo.base.settings import ImageSettings
from zbo.data import images, labels as labelling, sources
from zbo.data.images import ImageSet
from zbo.data.places import Places, Row

logger = logging.getLogger(__name__)

BLOCK = 1 << 24  # bytes of images that are handled at a time


class Block(NamedTuple):
    """Some new images.

    Attributes:
        images: Shape (n, h, w), float32 in [0, 1].
        rows: Where each comes from, as `Places.of` takes them.
        labels: What the source calls each; None where it says nothing.
    """

    images: np.ndarray
    rows: list[Row]
    labels: list[Any]


def blocks(
    prepared: str | Path, path: str, coordinates: str | None = None, size: int | None = None
) -> Iterator[Block]:
    """Read new images block by block: of a million no more than a block is in memory at once.

    Args:
        prepared: The study's images.h5; it holds the settings and limits that made it.
        path: File or folder of the new pictures.
        coordinates: Where patches lie in them, if the study has `images.patches.coordinates`.
        size: Images of a block; by default as many as 16 MiB hold.

    Yields:
        The images, in the source's order.

    Raises:
        InputError: If the study's or the new images are not there or not alike; as `images.load`.
    """
    study = storage.read(prepared, kind="images", without=("images",))
    shape = storage.take(prepared, "images", np.zeros(1, int), kind="images").shape[1:]
    chosen = storage.facts(prepared, kind="images")["settings"]["images"]
    settings = _moved(chosen, str(prepared), path, coordinates)
    limits = study.get("limits", (0.0, 1.0))
    if settings.normalize == "set" and "limits" not in study:
        raise InputError(
            f"{prepared}: does not say by which grey values it was scaled (images.normalize: set); "
            "an earlier version made it: delete the study's results and run it again"
        )
    size = size or max(1, BLOCK // (4 * int(np.prod(shape))))
    raw = sources.READERS["files"](settings.path, None, settings.channel)
    held = np.empty((size, *shape), np.float32)
    rows: list[Row] = []
    labels: list[Any] = []
    for cut in images.cuts(raw, settings, shape):
        held[len(rows)] = cut.resized(settings)
        images.scale(held[len(rows)], cut.bounds, limits, settings)
        rows.append(cut.row)
        labels.append(cut.label)
        if len(rows) == size:
            yield Block(held, rows, labels)
            held, rows, labels = np.empty_like(held), [], []
    if rows:
        yield Block(held[: len(rows)], rows, labels)


def load(prepared: str | Path, path: str, coordinates: str | None = None) -> ImageSet:
    """Read new images at once, prepared as a study's were; see `blocks`."""
    parts = list(blocks(prepared, path, coordinates))
    labels, names = encoded([label for part in parts for label in part.labels], path)
    return ImageSet(
        images=np.concatenate([part.images for part in parts]),
        labels=labels,
        subset=np.empty(0, np.int64),
        names=names,
        places=Places.of([row for part in parts for row in part.rows]),
    )


def encoded(labels: list[Any], where: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Number the labels, as `labels.encode` does, where the source has any."""
    if all(label is None for label in labels):
        return None, ()
    return labelling.encode(labels, where)


def _moved(
    chosen: dict[str, Any], prepared: str, path: str, coordinates: str | None
) -> ImageSettings:
    """Give a study's settings for other pictures."""
    patches = chosen["patches"]
    placed = bool(patches and patches["coordinates"])
    if placed and not coordinates:
        raise InputError(
            f"images.patches.coordinates: {prepared} was cut at places that "
            f"{patches['coordinates']} gives; give those of the new pictures, too (COORDINATES)"
        )
    if coordinates and not placed:
        raise InputError(
            f"{coordinates}: {prepared} was not cut at given places; leave COORDINATES out"
        )
    if placed:
        chosen = chosen | {"patches": patches | {"coordinates": coordinates}}
    if chosen["source"] != "files":
        logger.info("%s: of %s; new images are read as files", prepared, chosen["source"])
    none = dict.fromkeys(("labels", "count", "counts", "balance"))
    moved = {"source": "files", "path": path, "balance_subset": False}
    return ImageSettings(**(chosen | none | moved))
