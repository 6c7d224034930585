"""Particles found in a picture by scikit-image, each with its centre, diameter and outline.

No one threshold parts all particles of a picture: some are darker than the gaps between others, and
bright gaps are of many depths. So it is cut at several, each with gaps taken out down to several
depths, and dark regions are parted where they are narrow. Of all parts that come out, those are
kept that are convex, of the size looked for, and come out again and again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from skimage.measure import label, regionprops

SMOOTH = 0.03  # of a diameter: standard deviation of the smoothing
COARSE, WIDE = 16, 24  # pixels a typical particle is brought to before it is looked for
SMALL, LARGE = 500, 1024  # pixels a side at which sizes are guessed
LARGER, PIXELS = 2.0, 1 << 22  # how much larger a picture may become by that, and how large at most
SPAN = (0.45, 2.0)  # of the typical diameter, where no limits are given
DARK = (0.3, 0.6, 0.9)  # thresholds: quantiles of what Otsu's calls dark,
LIGHT = (0.0, 0.5)  # and from Otsu's on, shares of the way to the ground
GAPS = (0.6, 0.8, 1.0)  # quantiles of the top-hat beyond which a pixel is a gap
NARROW, APART = 0.35, 0.5  # of a radius: half the width of a gap, the distance between middles
SOLIDITY = 0.82  # of its convex hull that a part fills at least
SAME = 0.12  # of a diameter that middles of the same particle lie apart, at most
SHARED = 0.2  # of a part that may belong to another already
FLOOR = 0.17  # of a good score (the ninth decile) that is enough
RIM = 0.05  # of a diameter by which outlines grow at last: parts end short of a particle's edge


@dataclass(frozen=True)
class Found:
    """Places in a picture.

    Attributes:
        y: Row of each centre, pixels, shape (n,).
        x: Column likewise.
        diameter: The larger side, pixels, NaN where not known, shape (n,).
        outlines: Label image, shape (h, w), 0 the ground; None where outlines are not known.
        outline: Label of each, shape (n,).
    """

    y: np.ndarray
    x: np.ndarray
    diameter: np.ndarray
    outlines: np.ndarray | None = None
    outline: np.ndarray | None = None

    def within(self, top: int, left: int, shape: tuple[int, int]) -> Found:
        """Give the same places as seen from a part of the picture, shape (h, w), cut out there."""
        outlines = self.outlines
        if outlines is not None:
            outlines = outlines[top : top + shape[0], left : left + shape[1]]
        return replace(self, y=self.y - top, x=self.x - left, outlines=outlines)


def of_outlines(drawn: np.ndarray, labelled: bool = False) -> Found:
    """Take particles from a mask, whose connected parts they are, or from a label image.

    Args:
        drawn: Mask or label image, shape (h, w); 0 is the ground.
        labelled: It is a label image even where it holds a single label.
    """
    if not labelled and (drawn.dtype == bool or len(np.unique(drawn)) <= 2):
        drawn = label(drawn != drawn.min())
    regions = regionprops(drawn.astype(np.int32))
    y, x = np.array([r.centroid for r in regions]).reshape(-1, 2).T
    diameter = np.array([_larger_side(r) for r in regions], dtype=float)
    return Found(y, x, diameter, drawn, np.array([r.label for r in regions], dtype=int))


def _larger_side(region) -> float:
    """Measure a region's largest extent across its bounding box's directions, pixels."""
    top, left, bottom, right = region.bbox
    return max(bottom - top, right - left)


class Part(NamedTuple):
    """A dark part of a picture that may be a particle: middle, size and shape, pixels."""

    y: float
    x: float
    diameter: float
    solidity: float
    mask: np.ndarray
    where: tuple[slice, slice]


def find(
    values: np.ndarray, diameter: tuple[float, float] | None = None, contrast: str = "dark"
) -> Found:
    """Find particles, also where they touch.

    Args:
        values: Picture, shape (h, w).
        diameter: Smallest and largest, pixels; None: what the picture's own sizes suggest.
        contrast: "dark" or "bright" particles.

    Returns:
        The particles that do not touch the picture's edge.
    """
    picture = values.astype(float) * (-1 if contrast == "bright" else 1)
    if picture.min() == picture.max():
        return of_outlines(np.zeros(values.shape, np.int32), labelled=True)
    if diameter is not None:
        return _drawn(*_looked_for(picture, *diameter), values.shape)
    typical = _typical(picture)
    for wide in (COARSE, WIDE):  # a first look says how large they are
        low, high = (share * typical for share in SPAN)
        scale, parts, shape = _looked_for(picture, low, high, wide)
        typical = _middle([part.diameter / scale for part in parts]) or typical
    return _drawn(scale, parts, shape, values.shape)


def _looked_for(
    picture: np.ndarray, smallest: float, largest: float, wide: float = WIDE
) -> tuple[float, list[Part], tuple[int, ...]]:
    """Find dark particles between two diameters.

    Returns:
        The scale at which they were looked for, they in its pixels, and the picture's shape in it.
    """
    from skimage.filters import gaussian
    from skimage.transform import rescale

    typical = (smallest * largest) ** 0.5
    scale = min(wide / typical, LARGER, (PIXELS / picture.size) ** 0.5)
    scaled = gaussian(rescale(picture, scale, anti_aliasing=scale < 1), SMOOTH * typical * scale)
    limits = smallest * scale, largest * scale
    parts = [p for mask in _masks(scaled, typical * scale / 2) for p in _parts(mask, *limits)]
    return scale, _chosen(parts, *limits, scaled.shape), scaled.shape


def _masks(picture: np.ndarray, radius: float) -> Iterator[np.ndarray]:
    """Cut a picture at every threshold, with gaps taken out down to every depth."""
    from scipy import ndimage
    from skimage.filters import threshold_otsu
    from skimage.morphology import disk

    gaps = ndimage.white_tophat(picture, footprint=disk(max(1, round(NARROW * radius))))
    middle = threshold_otsu(picture)
    dark = picture < middle
    ground = np.quantile(picture[~dark], 0.75)
    depths = np.quantile(gaps[ndimage.binary_closing(dark, iterations=2)], GAPS)
    levels = [*np.quantile(picture[dark], DARK), *(middle + k * (ground - middle) for k in LIGHT)]
    for level in levels:
        for depth in depths:
            mask = ndimage.binary_fill_holes((picture < level) & (gaps <= depth))
            yield ndimage.binary_opening(mask)


def _parts(mask: np.ndarray, smallest: float, largest: float) -> Iterator[Part]:
    """Part a mask where it is narrow, by a watershed on the distance from its edge."""
    from scipy import ndimage
    from skimage.feature import peak_local_max
    from skimage.segmentation import watershed

    radius = (smallest * largest) ** 0.5 / 2
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 0.08 * radius)
    apart = max(1, int(APART * radius))
    middles = peak_local_max(
        depth, min_distance=apart, threshold_abs=0.3 * radius, exclude_border=False
    )
    seeds = np.zeros(mask.shape, np.int32)
    seeds[tuple(middles.T)] = np.arange(1, len(middles) + 1)
    parted = watershed(-depth, seeds, mask=mask)
    at_edge = {*parted[0], *parted[-1], *parted[:, 0], *parted[:, -1]}
    for number, where in enumerate(ndimage.find_objects(parted), start=1):
        if where is None or number in at_edge:
            continue
        own = parted[where] == number
        diameter = 2 * math.sqrt(own.sum() / math.pi)
        if not smallest < diameter < largest:
            continue
        solidity = _solidity(own)
        if solidity > SOLIDITY:
            rows, columns = (np.arange(n) for n in own.shape)
            y, x = own.sum(1) @ rows / own.sum(), own.sum(0) @ columns / own.sum()
            yield Part(where[0].start + y, where[1].start + x, diameter, solidity, own, where)


def _solidity(mask: np.ndarray) -> float:
    """Measure the share of its convex hull that a mask fills; its pixels are squares."""
    from scipy.spatial import ConvexHull

    rows = np.flatnonzero(mask.any(1))
    left = mask.argmax(1)[rows]
    right = mask.shape[1] - mask[:, ::-1].argmax(1)[rows]
    ends = [(rows + i, side) for i in (0, 1) for side in (left, right)]
    hull = ConvexHull(np.concatenate([np.stack(end, 1) for end in ends]))
    return float(mask.sum() / hull.volume)  # of two dimensions, the area


def _chosen(
    parts: Sequence[Part], smallest: float, largest: float, shape: tuple[int, ...]
) -> list[Part]:
    """Keep the best of parts that overlap, by shape, size and how often they come out."""
    from scipy.spatial import cKDTree

    if not parts:
        return []
    middles = np.array([(part.y, part.x) for part in parts])
    size, solidity = np.array([(math.log(p.diameter), p.solidity) for p in parts]).T
    typical, wide = math.log(smallest * largest) / 2, math.log(largest / smallest) / 4
    near = cKDTree(middles).query_ball_point(middles, SAME * math.exp(typical))
    often = np.array([(abs(size[own] - size[i]) < 0.15).sum() for i, own in enumerate(near)])
    expected = np.exp(-(((size - typical) / max(wide, 0.35)) ** 2) / 2)
    score = (solidity - 0.75) * expected * np.log1p(often)
    taken, kept = np.zeros(shape, bool), []
    for i in np.argsort(-score, kind="stable"):
        part = parts[i]
        if (taken[part.where] & part.mask).sum() <= SHARED * part.mask.sum():
            taken[part.where] |= part.mask
            kept.append(i)
    enough = FLOOR * np.quantile(score[kept], 0.9)
    return [parts[i] for i in kept if score[i] >= enough]


def _drawn(
    scale: float, parts: Sequence[Part], looked: tuple[int, ...], shape: tuple[int, ...]
) -> Found:
    """Draw the outlines of parts at the picture's own scale."""
    from skimage.segmentation import expand_labels
    from skimage.transform import resize

    drawn = np.zeros(looked, np.int32)
    for number, part in enumerate(parts, start=1):
        own = drawn[part.where]
        own[part.mask & (own == 0)] = number
    drawn = expand_labels(drawn, RIM * _middle([part.diameter for part in parts]))
    if scale != 1:
        drawn = resize(drawn, shape, order=0, preserve_range=True, anti_aliasing=False)
    return of_outlines(drawn.astype(np.int32), labelled=True)


def _middle(diameters: Sequence[float]) -> float:
    """Give the diameter that half of the area lies beyond; 0 if there is none."""
    if not len(diameters):
        return 0.0
    ordered = np.sort(diameters)
    area = np.cumsum(ordered**2)
    return float(ordered[np.searchsorted(area, area[-1] / 2)])


def _typical(picture: np.ndarray) -> float:
    """Guess the diameter of a picture's dark particles from how thick what is dark is, pixels."""
    from scipy import ndimage
    from skimage.feature import peak_local_max
    from skimage.filters import gaussian, threshold_otsu
    from skimage.transform import rescale

    scale = LARGER if max(picture.shape) < SMALL else min(1.0, LARGE / max(picture.shape))
    scaled = gaussian(rescale(picture, scale, anti_aliasing=scale < 1), 1)
    dark = scaled < threshold_otsu(scaled)
    gaps = ndimage.white_tophat(scaled, size=max(5, int(0.015 * max(scaled.shape))))
    if gaps[dark].min() < gaps[dark].max():
        dark &= gaps < threshold_otsu(gaps[dark])
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(dark), 1)
    middles = peak_local_max(depth, min_distance=3, exclude_border=False)
    radii = depth[tuple(middles.T)]
    # A particle is wider than what fits into it once gaps and corners are taken off.
    return 2.3 * (_middle(radii[radii > 2]) or 10.0) / scale
