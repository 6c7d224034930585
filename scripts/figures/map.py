"""Show where particles lie in their micrographs, coloured by class and by how they are turned."""

import argparse
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from skimage.transform import resize

from zbo.base import command, storage
from zbo.drawing import panels, plots
from zbo.judge import answer

MOST = 4  # micrographs shown, those with the most particles
PIXELS = 1200  # longer side of a micrograph as it is laid out again


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--classes", required=True, help="classes.csv")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    prepared = storage.read(args.images, kind="images", without=("images",))
    found = answer.columns(args.classes)
    with plots.style():
        if panels.in_micrographs(prepared):
            figure = _micrographs(args.images, prepared, found)
        else:
            figure = plots.figure(plots.PAGE, 0.6)
            ax = figure.subplots()
            plots.nothing(ax, "these images do not say where in a micrograph they come from")
            ax.set_axis_off()
        panels.say_simulated(figure, prepared)
        plots.save(figure, args.output)


def _micrographs(
    path: str, prepared: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]
) -> Figure:
    place = np.stack((prepared["file"], prepared["page"]), 1)
    places, at, counts = np.unique(place, axis=0, return_inverse=True, return_counts=True)
    shown = np.argsort(-counts, kind="stable")[:MOST]
    turned = np.isfinite(found["angle"]).any()
    figure = plots.figure(plots.PAGE, 3.5 * len(shown) + 0.4)
    axes = figure.subplots(len(shown), 1 + turned, squeeze=False)
    classes = panels.largest_classes(found["class"], len(plots.COLOURS))
    for row, which in zip(axes, shown, strict=True):
        own = np.flatnonzero(at == which)
        y, x, side = (prepared[key][own] for key in ("y", "x", "window"))
        page = _laid_out(storage.take(path, "images", own, kind="images"), y, x, side)
        file, number = places[which]
        for ax in row:
            ax.imshow(page[0], cmap="gray", vmin=0, vmax=1, extent=page[1])
            ax.set_xticks([])
            ax.set_yticks([])
        if np.isfinite(pixel := prepared["pixel_size"][own[0]]):
            plots.scale_bar(row[0], pixel, np.ptp(page[1][:2]) / 4)
        for k, name in enumerate(classes):
            of = found["class"][own] == name
            colour = plots.COLOURS[k]
            look = {"s": 22, "edgecolors": colour, "facecolors": "none", "linewidths": 1.1}
            row[0].scatter(x[of], y[of], label=f"class {name}", **look)
        named = str(prepared["files"][file]).rpartition("/")[2]
        row[0].set_title(f"{named}, page {number}" if number else named, loc="left")
        if turned:
            sticks = _sticks(row[1], y, x, side, found["angle"][own], found["symmetry"][own])
            figure.colorbar(sticks, ax=row[1], label="angle, share of its range", shrink=0.7)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=7)
    return figure


def _laid_out(images: np.ndarray, y: np.ndarray, x: np.ndarray, side: np.ndarray) -> tuple:
    """Lay patches out where they were cut: a picture and its extent in the micrograph's pixels."""
    low = np.array([(y - side / 2).min(), (x - side / 2).min()])
    high = np.array([(y + side / 2).max(), (x + side / 2).max()])
    scale = min(1.0, PIXELS / (high - low).max())
    page = np.full(np.ceil((high - low) * scale).astype(int) + 1, np.nan, np.float32)
    for image, row, column, length in zip(images, y, x, side, strict=True):
        size = max(1, round(length * scale))
        top = int((row - length / 2 - low[0]) * scale)
        left = int((column - length / 2 - low[1]) * scale)
        part = page[top : top + size, left : left + size]
        part[:] = resize(image, (size, size))[: part.shape[0], : part.shape[1]]
    return page, (low[1], high[1], high[0], low[0])


def _sticks(
    ax: Axes, y: np.ndarray, x: np.ndarray, side: np.ndarray, angle: np.ndarray, order: np.ndarray
) -> LineCollection:
    """Draw a stick along each particle's angle, coloured by it on a circle of colours."""
    known = np.isfinite(angle)
    turn = np.deg2rad(angle[known])
    step = np.stack((np.cos(turn), -np.sin(turn)), 1) * side[known, None] / 3
    middle = np.stack((x[known], y[known]), 1)
    ends = np.stack((middle - step, middle + step), 1)
    # Angles are modulo the symmetry: the colours run once around over what is told apart.
    share = angle[known] * np.maximum(order[known], 1) / 360 + 0.5
    lines = LineCollection(list(ends), array=share, cmap="hsv", linewidths=1.4)
    lines.set_clim(0, 1)
    ax.add_collection(lines)
    ax.set_title("how they are turned", loc="left")
    return lines


if __name__ == "__main__":
    command.run(main)
