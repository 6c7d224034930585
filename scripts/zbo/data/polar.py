"""Images on rings about their middle: turning an image shifts each ring along the angle."""

import numpy as np
from scipy.ndimage import map_coordinates


def rings(images: np.ndarray, count: int, angles: int) -> tuple[np.ndarray, np.ndarray]:
    """Sample images on rings about their middle, by linear interpolation.

    Args:
        images: Shape (n, h, w).
        count: Rings, evenly spaced from the middle to the nearer edge.
        angles: Samples per ring.

    Returns:
        Values, shape (n, count, angles), and the rings' radii, pixels, shape (count,).
    """
    h, w = images.shape[1:]
    radius = (np.arange(count) + 0.5) / count * ((min(h, w) - 1) / 2)
    at = np.linspace(0, 2 * np.pi, angles, endpoint=False)
    rows = (h - 1) / 2 + radius[:, None] * np.sin(at)
    columns = (w - 1) / 2 + radius[:, None] * np.cos(at)
    return np.stack([map_coordinates(x, [rows, columns], order=1) for x in images]), radius
