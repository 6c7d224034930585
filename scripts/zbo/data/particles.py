"""Particles found in a picture by scikit-image, each with its centre, diameter and outline."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from skimage.measure import label, regionprops

SMALL, LARGE = 500, 1024  # pixels a side: smaller pictures are doubled, larger brought to it
DEPTH = 0.12  # of a radius: how far a neck has to be thinner than what it parts
SOLIDITY = 0.8  # of its convex hull that a particle fills at least


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


def find(
    values: np.ndarray, diameter: tuple[float, float] | None = None, contrast: str = "dark"
) -> Found:
    """Find particles: a threshold, bright gaps by a top-hat, a watershed where they touch.

    Args:
        values: Picture, shape (h, w).
        diameter: Smallest and largest, pixels; None: what the picture's own sizes suggest.
        contrast: "dark" or "bright" particles.

    Returns:
        The particles that do not touch the picture's edge.
    """
    from scipy import ndimage
    from skimage import filters, morphology, segmentation
    from skimage.transform import rescale, resize

    picture = values.astype(float) * (-1 if contrast == "bright" else 1)
    scale = 2.0 if max(picture.shape) < SMALL else min(1.0, LARGE / max(picture.shape))
    if scale != 1:
        picture = rescale(picture, scale, anti_aliasing=scale < 1, preserve_range=True)
    picture = filters.gaussian(picture, 1, preserve_range=True)
    if picture.min() == picture.max():
        return of_outlines(np.zeros(values.shape, np.int32), labelled=True)
    if diameter is None:
        radius = _radius(picture)
        smallest, largest = 0.45 * radius, 2.0 * radius
    else:
        smallest, largest = (scale * d / 2 for d in diameter)
        radius = (smallest * largest) ** 0.5
    reach = max(2, round(0.35 * radius))
    core = _core(
        picture, {"footprint": morphology.disk(reach)} if reach <= 12 else {"size": 2 * reach + 1}
    )
    core = morphology.opening(core, morphology.disk(max(1, int(0.12 * radius))))
    core = ndimage.binary_fill_holes(core)
    depth = filters.gaussian(ndimage.distance_transform_edt(core), max(1, 0.08 * radius))
    tops = label(morphology.h_maxima(depth, DEPTH * radius))
    parted = segmentation.clear_border(segmentation.watershed(-depth, tops, mask=core))
    kept = [
        region.label
        for region in regionprops(parted)
        if smallest < (region.area / np.pi) ** 0.5 < largest and region.solidity > SOLIDITY
    ]
    numbers = np.zeros(parted.max() + 1, np.int32)
    numbers[kept] = np.arange(1, len(kept) + 1)
    drawn = numbers[parted]
    if scale != 1:
        drawn = resize(drawn, values.shape, order=0, preserve_range=True, anti_aliasing=False)
    return of_outlines(drawn.astype(np.int32), labelled=True)


def _core(picture: np.ndarray, reach: dict) -> np.ndarray:
    """Take the dark pixels but those of bright gaps narrower than `reach`."""
    from scipy.ndimage import white_tophat
    from skimage.filters import threshold_otsu

    dark = picture < threshold_otsu(picture)
    gaps = white_tophat(picture, **reach)
    if gaps[dark].min() == gaps[dark].max():
        return dark
    return dark & (gaps < threshold_otsu(gaps[dark]))


def _radius(picture: np.ndarray) -> float:
    """Measure the typical inscribed radius: half of the area belongs to larger ones, pixels."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter
    from skimage.feature import peak_local_max

    core = _core(picture, {"size": max(5, int(0.015 * max(picture.shape)))})
    depth = gaussian_filter(distance_transform_edt(core), 1)
    peaks = peak_local_max(depth, min_distance=3, exclude_border=False)
    radii = np.sort(depth[tuple(peaks.T)])
    radii = radii[radii > 2]
    if not len(radii):
        return 10.0
    area = np.cumsum(radii**2)
    return float(radii[np.searchsorted(area, area[-1] / 2)])
