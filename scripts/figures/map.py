"""Show where particles lie in their micrographs: class, how they are turned, what varies most."""

import argparse
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from skimage.transform import resize

from zbo.base import command, storage
from zbo.drawing import panels, plots
from zbo.judge import answer
from zbo.search import objective

MOST = 4  # micrographs shown
TOLD = 0.1  # nats that a latent has to hold to be shown
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
            figure = plots.empty("these images do not say where in a micrograph they come from")
        panels.say_simulated(figure, prepared)
        plots.save(figure, args.output)


def _micrographs(
    path: str, prepared: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]
) -> Figure:
    place = np.stack((prepared["file"], prepared["page"]), 1)
    places, at = np.unique(place, axis=0, return_inverse=True)
    shown = worth_showing(at, found["class"])
    turned = bool(np.isfinite(found["angle"]).any())
    latent = _telling(found)
    columns = 1 + turned + (latent is not None)
    members = [np.flatnonzero(at == which) for which in shown]
    pages = [_laid_out(path, own, prepared) for own in members]
    # Rows as high as their pictures are, a column's width being given.
    wide = plots.PAGE / max(columns, 2)
    high = [wide * page.shape[0] / page.shape[1] + 0.25 for page, _ in pages]
    figure = plots.figure(wide * columns, sum(high) + 0.6)
    rows = len(shown) + 1  # the last says what colours mean
    axes = figure.subplots(rows, columns, squeeze=False, height_ratios=[*high, 0.1])
    classes = panels.largest_classes(found["class"], len(plots.COLOURS))
    coloured: dict[int, tuple[ScalarMappable, str]] = {}
    for row, own, which, (page, extent) in zip(axes[:-1], members, shown, pages, strict=True):
        y, x, side = (prepared[key][own] for key in ("y", "x", "window"))
        file, number = places[which]
        # Marks a third as wide as a window, in points squared.
        mark = np.clip((np.median(side) * wide * 72 / np.ptp(extent[:2]) / 3) ** 2, 2, 40)
        for ax in row:
            ax.imshow(page, cmap="gray", vmin=0, vmax=1, extent=extent)
            ax.set_axis_off()
        if np.isfinite(pixel := prepared["pixel_size"][own[0]]):
            plots.scale_bar(row[0], pixel, np.ptp(extent[:2]) / 4)
        for k, name in enumerate(classes):
            of = found["class"][own] == name
            colour = plots.COLOURS[k]
            look = {"s": 1.5 * mark, "edgecolors": colour, "facecolors": "none", "linewidths": 1}
            row[0].scatter(x[of], y[of], label=f"class {name}", **look)
        named = str(prepared["files"][file]).rpartition("/")[2]
        row[0].set_title(f"{named}, page {number}" if number else named, loc="left")
        if turned:
            sticks = _sticks(row[1], y, x, side, found["angle"][own], found["symmetry"][own])
            coloured[1] = sticks, "angle, share of its range"
        if latent is not None:
            look = {"s": mark, "cmap": "coolwarm", "vmin": -2, "vmax": 2, "linewidths": 0}
            dots = row[-1].scatter(x, y, c=found[latent][own], **look)
            coloured[columns - 1] = dots, latent.replace("_", " ")
    for column, (drawn, words) in coloured.items():
        figure.colorbar(drawn, cax=axes[-1, column], orientation="horizontal", label=words)
    axes[-1, 0].set_axis_off()
    handles = axes[0, 0].get_legend_handles_labels()
    axes[-1, 0].legend(*handles, loc="center", ncols=3, handletextpad=0.2, columnspacing=1)
    return figure


def worth_showing(at: np.ndarray, classes: np.ndarray) -> list[int]:
    """Choose micrographs: of each class that with the most of it, then those with the most of all.

    Args:
        at: Micrograph of each particle, shape (n,), from 0.
        classes: Class of each particle, shape (n,).
    """
    kinds, kind = np.unique(classes, return_inverse=True)
    counts = np.zeros((at.max() + 1, len(kinds)), int)
    np.add.at(counts, (at, kind), 1)
    largest = np.argsort(-counts.sum(0), kind="stable")
    wanted = [*counts[:, largest].argmax(0), *np.argsort(-counts.sum(1), kind="stable")]
    return list(dict.fromkeys(map(int, wanted)))[:MOST]


def _telling(found: Mapping[str, np.ndarray]) -> str | None:
    """Name the latent that images tell most of; None where they tell nothing of any."""
    names = [name for name in found if name.startswith("latent_") and not name.endswith("_sd")]
    mean, sd = (np.stack([found[name + end] for name in names], 1) for end in ("", "_sd"))
    told = objective.nats(mean, sd)
    return names[told.argmax()] if told.max() > TOLD else None


def _laid_out(
    path: str, own: np.ndarray, prepared: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Lay images out where they were cut: a picture, and its extent in the micrograph's pixels.

    Where windows overlap, that is shown whose middle is nearest.
    """
    images = storage.take(path, "images", own, kind="images")
    y, x, side = (prepared[key][own] for key in ("y", "x", "window"))
    low = np.array([(y - side / 2).min(), (x - side / 2).min()])
    high = np.array([(y + side / 2).max(), (x + side / 2).max()])
    scale = min(1.0, PIXELS / (high - low).max())
    page = np.full(np.ceil((high - low) * scale).astype(int) + 1, np.nan, np.float32)
    nearest = np.full(page.shape, np.inf, np.float32)
    for image, row, column, length in zip(images, y, x, side, strict=True):
        size = max(1, round(length * scale))
        top = int((row - length / 2 - low[0]) * scale)
        left = int((column - length / 2 - low[1]) * scale)
        part = np.s_[top : top + size, left : left + size]
        off = np.square(np.arange(size) - (size - 1) / 2)
        away = (off[:, None] + off)[: page[part].shape[0], : page[part].shape[1]]
        mine = away < nearest[part]
        filled = resize(image, (size, size))[: away.shape[0], : away.shape[1]]
        page[part][mine], nearest[part][mine] = filled[mine], away[mine]
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
    return lines


if __name__ == "__main__":
    command.run(main)
