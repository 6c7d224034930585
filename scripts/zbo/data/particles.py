"""Particles found in a picture by scikit-image, each with its centre, diameter and outline."""

from dataclasses import dataclass

import numpy as np
from skimage.measure import label, regionprops

RADIUS = 14  # pixels a typical particle is brought to
COARSE = 1024  # pixels a side, at most, in which the typical radius is measured
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
    values: np.ndarray, diameter: tuple[float, float] | None = None, contrast: str = "auto"
) -> Found:
    """Find particles: a threshold, gaps by a top-hat, and a watershed where particles touch.

    All lengths but the picture's are in units of the particles' own radius, which is measured first
    where no diameters are given: the picture is brought to RADIUS pixels per radius.

    Args:
        values: Picture, shape (h, w).
        diameter: Smallest and largest, pixels; None: what the picture's own sizes suggest.
        contrast: "dark", "bright" or "auto": brighter where the ground, most of the border, is dark.

    Returns:
        The particles that do not touch the picture's edge.
    """
    from skimage.transform import rescale, resize

    picture = values.astype(float)
    picture = (picture - picture.min()) / (np.ptp(picture) or 1)
    if contrast == "bright" or (contrast == "auto" and _is_bright(picture)):
        picture = 1 - picture
    if diameter is None:
        first = min(1.0, COARSE / max(picture.shape))
        radius = _radius(rescale(picture, first, anti_aliasing=first < 1)) / first
        smallest, largest = 0.45 * radius, 2.0 * radius
    else:
        smallest, largest = diameter[0] / 2, diameter[1] / 2
        radius = (smallest * largest) ** 0.5
    scale = RADIUS / radius
    parted = _parted(rescale(picture, scale, anti_aliasing=scale < 1))
    kept = [
        region
        for region in regionprops(parted)
        if smallest * scale < (region.area / np.pi) ** 0.5 < largest * scale
        and region.solidity > SOLIDITY
    ]
    numbers = np.zeros(parted.max() + 1, np.int32)
    numbers[[region.label for region in kept]] = np.arange(1, len(kept) + 1)
    outlines = resize(
        numbers[parted], values.shape, order=0, preserve_range=True, anti_aliasing=False
    ).astype(np.int32)
    return of_outlines(outlines, labelled=True)


def _is_bright(picture: np.ndarray) -> bool:
    """Tell bright particles: the threshold leaves fewer pixels above it than below."""
    from skimage.filters import threshold_otsu

    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    return bool((border < threshold_otsu(picture)).mean() > 0.5)


def _core(picture: np.ndarray, reach: int) -> np.ndarray:
    """Take the dark pixels but those of bright gaps narrower than `reach`."""
    from scipy.ndimage import white_tophat
    from skimage.filters import threshold_otsu

    dark = picture < threshold_otsu(picture)
    gaps = white_tophat(picture, size=reach)
    if not dark.any() or gaps[dark].min() == gaps[dark].max():
        return dark
    return dark & (gaps < threshold_otsu(gaps[dark]))


def _radius(picture: np.ndarray) -> float:
    """Measure the particles' typical inscribed radius, half of the area being of larger ones."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter
    from skimage.feature import peak_local_max

    smooth = gaussian_filter(picture, 1)
    depth = distance_transform_edt(_core(smooth, max(5, round(0.015 * max(picture.shape)))))
    depth = gaussian_filter(depth, 1)
    peaks = peak_local_max(depth, min_distance=3, exclude_border=False)
    radii = np.sort(depth[tuple(peaks.T)])
    radii = radii[radii > 2]
    if not len(radii):
        return 10.0
    area = np.cumsum(radii**2)
    return float(radii[np.searchsorted(area, area[-1] / 2)])


def _parted(picture: np.ndarray) -> np.ndarray:
    """Label the particles of a picture whose typical radius is RADIUS pixels."""
    from scipy import ndimage
    from skimage import measure, morphology, segmentation

    smooth = ndimage.gaussian_filter(picture, 0.05 * RADIUS)
    core = _core(smooth, 2 * round(0.35 * RADIUS) + 1)
    core = ndimage.binary_opening(core, morphology.disk(max(1, round(0.12 * RADIUS))))
    core = ndimage.binary_fill_holes(core)
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(core), 0.08 * RADIUS)
    tops = measure.label(morphology.h_maxima(depth, DEPTH * RADIUS))
    return segmentation.clear_border(segmentation.watershed(-depth, tops, mask=core))
