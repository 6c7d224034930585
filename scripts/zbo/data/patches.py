"""Windows cut out of pictures: where they are, how large, and what is left of their neighbours."""

import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zbo.base import own
from zbo.base.errors import InputError
from zbo.base.settings import ParticleSettings, PatchSettings
from zbo.data import labels, particles, pictures
from zbo.data.particles import Found
from zbo.data.pictures import Picture
from zbo.data.sources import expanded

logger = logging.getLogger(__name__)

Y, X = ("y", "centroid-0", "row"), ("x", "centroid-1", "column", "col")
DIAMETER, PAGE = ("diameter", "size"), ("page", "frame", "slice")
MASKS = ("_cp_masks", "_masks", "_mask", "-mask", "_labels", "_label", "_seg")  # behind a name
SMOOTH = 0.03  # of a diameter: by what noise is smoothed before ground is told from the rest
SURELY = 0.95  # quantile of what lies in no outline, around a particle, that is surely ground
MARGIN = 0.06  # of a particle's size that is left around its outline
IMAGEJ = ("label", "area", "mean")  # columns of ImageJ's tables


@dataclass(frozen=True)
class Window:
    """A square cut out of a picture: values, and centre and side in the picture's pixels."""

    values: np.ndarray
    y: float
    x: float
    side: int


class Cutter:
    """Cuts windows out of picture after picture, and counts them."""

    def __init__(self, settings: PatchSettings) -> None:
        self.settings = settings
        self.find = _finder(settings)
        self.counts: Counter[str] = Counter()

    def windows(self, picture: Picture, whole: Picture, at: tuple[int, int]) -> Iterator[Window]:
        """Cut the windows of one picture; those that do not lie whole within it are left out.

        Args:
            picture: What is left of it where something was cropped.
            whole: All of it, which places that are given refer to.
            at: Row and column of the one in the other.

        Yields:
            Windows, their places in the whole picture's pixels.
        """
        if self.settings.coordinates is not None:
            found = self.find(whole).within(*at, picture.values.shape)
        else:
            found = self.find(picture)
        values, outside, covered, cut = picture.values, 0, 0, 0
        paint = None
        if self.settings.neighbours == "paint" and len(found.y):
            paint = _painter(picture, found)
        for i in range(len(found.y)):
            side = self._side(picture, found, i)
            # Rounded up at a half, always: Python's round would go now up, now down.
            top, left = (math.floor(c - side / 2 + 1) for c in (found.y[i], found.x[i]))
            if min(top, left) < 0 or top + side > values.shape[0] or left + side > values.shape[1]:
                outside += 1
                continue
            place = np.s_[top : top + side, left : left + side]
            window = values[place]
            if paint is not None:
                painted = paint(window, place, i)
                if painted is None:
                    covered += 1
                    continue
                window = painted
            cut += 1
            yield Window(window, found.y[i] + at[0], found.x[i] + at[1], side)
        self.counts[picture.file] += cut
        logger.info("%s: %d patches, %d more at its edges left out", picture.name, cut, outside)
        if covered:
            logger.warning(
                "%s: %d particles are left out, as later outlines cover theirs",
                picture.name,
                covered,
            )

    def _side(self, picture: Picture, found: Found, i: int) -> int:
        if self.settings.relative is not None:
            if not found.diameter[i] > 0:
                raise InputError(
                    f"images.patches.relative: {picture.name}: a place without a diameter; give "
                    "images.patches.size, or a column `diameter`"
                )
            return max(3, round(self.settings.relative * found.diameter[i]))
        assert self.settings.size is not None  # as PatchSettings demands
        return max(3, round(in_pixels(self.settings.size, self.settings.unit, picture)))


def in_pixels(length: float, unit: str, picture: Picture) -> float:
    """Turn a length of the settings into pixels of a picture.

    Raises:
        InputError: If it is in nm and the picture does not know its pixel size.
    """
    if unit == "pixels":
        return length
    if not picture.pixel_size > 0:
        raise InputError(
            f"images.patches.unit: nm, but {picture.name} does not know its pixel size; give "
            "lengths in pixels, or images.pixel_size"
        )
    return length / picture.pixel_size


def _painter(picture: Picture, found: Found) -> Callable[[np.ndarray, Any, int], np.ndarray | None]:
    """Make what paints all but one particle over with the ground around it.

    What lies in no outline is ground or, between crowded particles, mostly of ones not found. So
    only what differs from the particle as ground does shows it: by half of the contrast that is
    usual in the picture, which is smoothed for that, as noise would take pixels to either side.
    Where a window shows no ground, the picture's stands in.

    Returns:
        Of a window, its place in the picture, and which particle it shows: the window painted;
        None where other outlines cover the particle's own.

    Raises:
        InputError: If there are no outlines, or nothing beside them.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    if found.outlines is None or found.outline is None:
        raise InputError(
            f"images.patches.neighbours: {picture.name}: places without outlines; paint needs "
            "masks, COCO outlines or particles"
        )
    outlines, own = found.outlines, found.outline
    values, outside = picture.values.astype(float), outlines == 0
    if not outside.any():
        raise InputError(
            f"images.patches.neighbours: {picture.name}: outlines hold all of it; paint needs "
            "particles on a ground, keep leaves windows as they are"
        )
    known = found.diameter[np.isfinite(found.diameter)]
    typical = float(np.median(known)) if len(known) else 0.0
    smooth = gaussian_filter(values, max(2.0, SMOOTH * typical))
    if not outside.all() and smooth[~outside].mean() > smooth[outside].mean():
        smooth = -smooth  # bright particles: from here on the ground has the larger values

    def contrast(i: int) -> float:
        place = _around(found, i, values.shape)
        mine, seen = outlines[place] == own[i], outside[place]
        if not (mine.any() and seen.any()):
            return np.nan
        return np.quantile(smooth[place][seen], SURELY) - np.median(smooth[place][mine])

    contrasts = np.array([contrast(i) for i in range(len(found.y))])
    usual = np.nanmedian(contrasts) if np.isfinite(contrasts).any() else 0.0

    def level(place: Any, mine: np.ndarray) -> float:
        inside = np.median(smooth[place][mine]) if mine.any() else -np.inf
        ground = outside[place] & (smooth[place] - inside > usual / 2)
        return float(np.median(values[place][ground])) if ground.any() else np.nan

    everywhere = level(np.s_[:, :], ~outside)

    def paint(window: np.ndarray, place: Any, i: int) -> np.ndarray | None:
        here = outlines[place]
        mine = here == own[i]
        if not mine.any():
            return None
        around = level(place, mine)
        reach = max(2.0, MARGIN * math.sqrt(mine.sum()))  # outlines end within the edge's blur
        painted = window.astype(float)
        painted[(distance_transform_edt(~mine) > reach) | ((here > 0) & ~mine)] = (
            around if np.isfinite(around) else everywhere
        )
        return painted.astype(window.dtype)

    return paint


def _around(found: Found, i: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Give a square of twice a particle's diameter about it, as far as the picture goes."""
    half = found.diameter[i] if np.isfinite(found.diameter[i]) else 0.1 * min(shape)
    rows, columns = (
        slice(max(0, int(c - half)), max(0, int(c + half) + 1)) for c in (found.y[i], found.x[i])
    )
    return rows, columns


def _finder(settings: PatchSettings) -> Callable[[Picture], Found]:
    if settings.coordinates is not None:
        return _given(expanded(settings.coordinates, "images.patches.coordinates"))
    if settings.grid is not None:
        return lambda picture: _grid(picture, settings)
    if settings.function is not None:
        return _own(settings.function)
    assert settings.particles is not None  # one of the four is given, as PatchSettings demands
    return _particles(settings.particles, settings.unit)


def _particles(chosen: ParticleSettings, unit: str) -> Callable[[Picture], Found]:
    def find(picture: Picture) -> Found:
        limits = chosen.diameter
        if limits is not None:
            low, high = limits
            limits = in_pixels(low, unit, picture), in_pixels(high, unit, picture)
        return particles.find(picture.values, limits, chosen.contrast)

    return find


def _grid(picture: Picture, settings: PatchSettings) -> Found:
    """Lay windows side by side, `grid` apart, centred in the picture."""
    step, side = (
        max(1, round(in_pixels(length, settings.unit, picture)))
        for length in (settings.grid, settings.size)
        if length is not None  # a grid has both, as PatchSettings demands
    )
    along = []
    for length in picture.values.shape:
        starts = np.arange(0, max(length - side, -1) + 1, step)
        spare = length - side - starts[-1] if len(starts) else 0
        along.append(starts + spare // 2 + (side - 1) / 2)
    y, x = (each.ravel() for each in np.meshgrid(*along, indexing="ij"))
    return Found(y, x, np.full(len(y), np.nan))


def _own(path: str) -> Callable[[Picture], Found]:
    function = own.by_path(path, "images.patches.function")

    def find(picture: Picture) -> Found:
        given = np.asarray(function(picture.values))
        if given.shape == picture.values.shape and given.dtype.kind in "biu":
            return particles.of_outlines(given)
        if given.ndim != 2 or given.shape[1] not in (2, 3):
            raise InputError(
                f"images.patches.function: '{path}' gave an array of shape {given.shape}; give "
                "(n, 2) of y and x, (n, 3) with diameters, or a label image of the picture's shape"
            )
        diameter = given[:, 2] if given.shape[1] == 3 else np.full(len(given), np.nan)
        return Found(given[:, 0].astype(float), given[:, 1].astype(float), diameter)

    return find


def _given(place: str) -> Callable[[Picture], Found]:
    """Take what people already have: a table, COCO outlines, or a folder of masks."""
    path = Path(place)
    if not path.exists():
        raise InputError(f"images.patches.coordinates: {path}: there is no such file; correct it")
    if path.is_dir():
        return _masks(path)
    return _coco(path) if path.suffix.lower() == ".json" else _table(path)


def _masks(folder: Path) -> Callable[[Picture], Found]:
    """Take masks or label images named as their pictures, perhaps with _mask or so behind it."""
    by_name: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        name = labels.plain(file.stem if file.suffix == ".npy" else file.name)
        ending = next(filter(name.endswith, MASKS), "")
        if ending:
            by_name[name.removesuffix(ending)] = file
        else:  # perhaps the picture itself, where its mask lies beside it
            by_name.setdefault(name, file)

    def find(picture: Picture) -> Found:
        file = by_name.get(labels.plain(picture.file))
        if file is None:
            raise InputError(f"images.patches.coordinates: {folder}: no mask of {picture.file}")
        drawn = _pages(file)[0 if picture.alone else picture.page]
        if drawn.shape != picture.values.shape:
            raise InputError(
                f"{file}: a mask of {drawn.shape[0]} x {drawn.shape[1]} pixels, its picture has "
                f"{picture.values.shape[0]} x {picture.values.shape[1]}; give one of the same size"
            )
        return particles.of_outlines(drawn)

    return find


def _pages(file: Path) -> Sequence[np.ndarray] | np.ndarray:
    if file.suffix != ".npy":
        return [page.values for page in pictures.read(file)]
    with pictures.arrays(file) as arrays:
        return np.atleast_3d(arrays[""].T).T  # one of two dimensions is one page


def _coco(path: Path) -> Callable[[Picture], Found]:
    """Take polygons of a COCO file, exports of Roboflow's included."""
    from skimage.draw import polygon

    try:
        held = json.loads(path.read_text())
        names = {
            each["id"]: labels.plain(each["file_name"].split(".rf.")[0]) for each in held["images"]
        }
        outlines: dict[str, list[Any]] = {}
        for each in held["annotations"]:
            outlines.setdefault(names[each["image_id"]], []).append(each["segmentation"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no COCO annotations ({error}); export them again") from error

    def find(picture: Picture) -> Found:
        shape, drawn = picture.values.shape, np.zeros(picture.values.shape, np.int32)
        # Of each outline by itself: where two overlap, the image holds the later one.
        places: list[tuple[float, float, float]] = []
        for parts in outlines.get(labels.plain(picture.file), []):
            corners = [np.reshape(p, (-1, 2)) for p in (parts if isinstance(parts, list) else [])]
            inside = [polygon(xy[:, 1], xy[:, 0], shape) for xy in corners]
            rows, columns = np.hstack([np.zeros((2, 0), int), *inside])
            if len(rows):
                drawn[rows, columns] = len(places) + 1
                sides = np.ptp(rows) + 1, np.ptp(columns) + 1
                places.append((rows.mean(), columns.mean(), max(sides)))
        y, x, diameter = np.reshape(places, (-1, 3)).T
        return Found(y, x, diameter, drawn, np.arange(1, len(places) + 1))

    return find


def _table(path: Path) -> Callable[[Picture], Found]:
    """Take a table with columns y and x, and file and page where it has them.

    trackpy's (y, x, frame, size), AtomAI's (x, y of each frame) and ImageJ's (Label, X, Y, Slice)
    are such; ImageJ's Label may hold the picture's name before a colon.
    """
    columns = labels.columns_of(path)
    y, x = labels.named(columns, Y), labels.named(columns, X)
    if y is None or x is None:
        raise InputError(
            f"{path}: columns {', '.join(columns)}; places need y and x, and file where there are "
            "several pictures"
        )
    y, x = labels.numbers(y, path), labels.numbers(x, path)
    file, size = labels.named(columns, labels.FILE), labels.named(columns, DIAMETER)
    page, slices = labels.named(columns, PAGE), "slice" in columns
    if file is None and set(IMAGEJ) & set(columns) and "label" in columns:
        file = [text.partition(":")[0] for text in columns["label"]]
    own_file = None if file is None else np.array([labels.plain(name) for name in file])
    own_page = None if page is None else labels.numbers(page, path) - slices  # ImageJ's from 1
    diameter = np.full(len(y), np.nan) if size is None else labels.numbers(size, path)
    seen: set[str] = set()

    def find(picture: Picture) -> Found:
        seen.add(picture.file)
        if own_file is None and len(seen) > 1:
            raise InputError(f"{path}: several pictures and no column `file`; add one")
        here = np.ones(len(y), bool)
        if own_file is not None:
            here &= own_file == labels.plain(picture.file)
        if own_page is not None and not picture.alone:
            here &= own_page == picture.page
        return Found(y[here], x[here], diameter[here])

    return find
