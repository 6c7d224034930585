"""Particles found in a picture by scikit-image, each with its centre, diameter and outline."""

from dataclasses import dataclass

import numpy as np


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


def of_outlines(drawn: np.ndarray) -> Found:
    """Take particles from a mask, whose connected parts they are, or from a label image."""
    from skimage.measure import label, regionprops

    if drawn.dtype == bool or len(np.unique(drawn)) <= 2:
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
    """Find particles: a threshold over the smoothed ground, parted where they touch.

    Args:
        values: Picture, shape (h, w).
        diameter: Smallest and largest, pixels; None: what the picture's own sizes suggest.
        contrast: "dark", "bright" or "auto".

    Returns:
        The particles that do not touch the picture's edge.
    """
    raise NotImplementedError
