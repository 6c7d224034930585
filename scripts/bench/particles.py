"""Find the particles of NanoShapes and count how many are right, beside Otsu's threshold alone.

A particle counts as found where a place lies within a quarter of its diameter of its centre, one
place a particle. Places on particles that the truth leaves out, such as those cut off by an edge,
count neither way. Particles are said to overlap where more than a twentieth of their outline lies
within others'. The data: see config/studies/nanoshapes.yaml.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from skimage.draw import polygon
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.segmentation import clear_border

from zbo.base import command, storage
from zbo.data import labels, particles, pictures
from zbo.data.particles import Found

OVERLAP = 0.05  # of an outline, within others
SPECK = 20  # pixels: what Otsu's threshold leaves of noise
TEXT = ("picture", "method")  # columns that are no numbers


class Truth(NamedTuple):
    """A micrograph's particles: centres, diameters, whether they overlap; and others it shows."""

    y: np.ndarray
    x: np.ndarray
    diameter: np.ndarray
    overlaps: np.ndarray
    others: np.ndarray  # (h, w) bool: particles that the truth leaves out


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", required=True, help="folder of micrographs/, truth.csv, ...")
    parser.add_argument("--diameter", action="store_true", help="give each picture's sizes")
    parser.add_argument("--output", required=True, help="a row a picture and method, .csv")
    args = parser.parse_args(argv)
    shapes, rows = Path(args.shapes), []
    columns = labels.columns_of(shapes / "truth.csv")
    for file in sorted((shapes / "micrographs").iterdir()):
        (picture,) = pictures.read(file)
        truth = _truth(shapes, columns, picture)
        limits = None
        if args.diameter:
            low, high = np.percentile(truth.diameter, (5, 95))
            limits = (0.8 * low, 1.25 * high)
        finders: dict[str, Callable] = {"otsu": _otsu, "zbo": particles.find}
        for method, find in finders.items():
            start = time.process_time()
            found = find(picture.values, limits)
            seconds = time.process_time() - start
            rows.append({"picture": file.name, "method": method, "seconds": f"{seconds:.2f}"})
            rows[-1] |= _counts(found, truth)
            print(rows[-1], flush=True)
    for method in finders:
        print(method, _summary([row for row in rows if row["method"] == method]))
    storage.write_table(args.output, rows)


def _truth(shapes: Path, columns: dict[str, list[str]], picture: pictures.Picture) -> Truth:
    """Gather what is known of a micrograph from truth.csv and the outlines of its particles."""
    own = np.array([labels.plain(n) == labels.plain(picture.file) for n in columns["image"]])
    y, x, area = (np.array(columns[name], dtype=float)[own] for name in ("y", "x", "area"))
    drawn = list(_outlines(shapes, picture))
    covered = np.zeros(picture.values.shape, int)
    for inside in drawn:
        covered[inside] += 1
    centres = np.array([[each.mean() for each in inside] for inside in drawn])
    nearest = _distances(centres[:, 0], centres[:, 1], y, x).argmin(0)
    others = np.zeros(picture.values.shape, bool)
    for k in set(range(len(drawn))) - set(nearest.tolist()):
        others[drawn[k]] = True
    shared = np.array([(covered[drawn[k]] > 1).mean() for k in nearest])
    return Truth(y, x, 2 * np.sqrt(area / np.pi), shared > OVERLAP, others)


def _outlines(shapes: Path, picture: pictures.Picture) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the pixels, rows and columns, within each outline of a micrograph."""
    held = json.loads((shapes / "annotations.coco.json").read_text())
    named = {each["id"]: each["file_name"].partition(".rf.")[0] for each in held["images"]}
    for each in held["annotations"]:
        if labels.plain(named[each["image_id"]]) == labels.plain(picture.file):
            corners = np.reshape(each["segmentation"][0], (-1, 2))
            inside = polygon(corners[:, 1], corners[:, 0], picture.values.shape)
            if len(inside[0]):
                yield inside


def _counts(found: Found, truth: Truth) -> dict[str, Any]:
    """Count places that are right, each of one particle, and those that are none."""
    distance = _distances(found.y, found.x, truth.y, truth.x) / truth.diameter
    here, there = linear_sum_assignment(np.where(distance <= 0.25, distance, 9))
    right = distance[here, there] <= 0.25
    left_over = np.setdiff1d(np.arange(len(found.y)), here[right])
    at = np.round(found.y[left_over]).astype(int), np.round(found.x[left_over]).astype(int)
    apart = ~truth.overlaps
    return {
        "particles": len(truth.y),
        "found": len(found.y) - int(truth.others[at].sum()),
        "right": int(right.sum()),
        "apart": int(apart.sum()),
        "right_apart": int(apart[there[right]].sum()),
    }


def _distances(y: np.ndarray, x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.hypot(np.subtract.outer(y, rows), np.subtract.outer(x, columns))


def _otsu(values: np.ndarray, limits: tuple[float, float] | None) -> Found:
    """Take the connected dark parts, but those at the edge and specks."""
    parts = clear_border(label(values < threshold_otsu(values)))
    regions = [region for region in regionprops(parts) if region.area > SPECK]
    y, x = np.array([region.centroid for region in regions]).reshape(-1, 2).T
    return Found(y, x, np.full(len(y), np.nan))


def _summary(rows: Sequence[dict[str, Any]]) -> str:
    total = {key: sum(float(row[key]) for row in rows) for key in rows[0] if key not in TEXT}
    each = [(row["right"] / max(row["found"], 1), row["right"] / row["particles"]) for row in rows]
    precision, recall = np.mean(each, 0)
    return (
        f"precision {total['right'] / total['found']:.3f}, recall "
        f"{total['right'] / total['particles']:.3f}; where particles do not overlap "
        f"({total['apart']:.0f}) recall {total['right_apart'] / total['apart']:.3f}; mean over "
        f"pictures {precision:.3f}, {recall:.3f}; {total['seconds']:.0f} s of processor"
    )


if __name__ == "__main__":
    command.run(main)
