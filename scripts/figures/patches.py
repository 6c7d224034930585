"""Show each micrograph with what was cut out of it, before anything is trained."""

import argparse
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from skimage.transform import resize

from zbo.base import command, storage
from zbo.data import pictures
from zbo.drawing import plots

MOST, ACROSS = 60, 4  # micrographs drawn, and side by side, at most
PIXELS = 700  # longer side of a micrograph as it is drawn


class Micrograph(NamedTuple):
    """One picture, and the images of images.h5 that were cut out of it."""

    picture: pictures.Picture
    own: np.ndarray


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    prepared = storage.read(args.images, kind="images")
    chosen = storage.facts(args.images, kind="images")["settings"]["images"]
    with plots.style():
        if chosen.get("patches"):
            figure = _micrographs(prepared, chosen["channel"])
        else:
            figure = plots.empty("these images are whole pictures; nothing was cut out of any")
        plots.save(figure, args.output)


def _micrographs(prepared: Mapping[str, np.ndarray], channel: str | int | None) -> Figure:
    # A copy, of a class that was filled up, is cut out once.
    _, first = np.unique(prepared["source"], return_index=True)
    shown, count = [], 0
    for one in _read(prepared, channel, first):
        count += 1
        if count <= MOST:  # all are counted, and not all fit into memory
            shown.append(one)
    across = min(ACROSS, math.ceil(math.sqrt(len(shown))))
    down = -(-len(shown) // across)
    side = plots.PAGE / across
    aspect = max(one.picture.values.shape[0] / one.picture.values.shape[1] for one in shown)
    figure = plots.figure(plots.PAGE, down * (side * aspect + 0.2) + 0.2)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for ax, one in zip(axes, shown, strict=False):
        _draw(ax, one, prepared, letters=100 // across)
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    of = "micrograph" if count == 1 else "micrographs"
    said = f"{len(first):,} patches from {count:,} {of}"
    if count > MOST:
        said += f", the first {MOST} of which are drawn; images.csv lists all"
    figure.supxlabel(said, fontsize="small", color="0.35")
    return figure


def _read(
    prepared: Mapping[str, np.ndarray], channel: str | int | None, first: np.ndarray
) -> Iterator[Micrograph]:
    """Read each page of each file again, those in which nothing was found, too."""
    for number, file in enumerate(prepared["files"]):
        for picture in pictures.read(Path(str(file)), channel):
            here = (prepared["file"][first] == number) & (prepared["page"][first] == picture.page)
            yield Micrograph(picture, first[here])


def _draw(ax: Axes, one: Micrograph, prepared: Mapping[str, np.ndarray], letters: int) -> None:
    """Draw a micrograph and its windows; its name over it takes so many letters at most."""
    values = one.picture.values.astype(float)
    h, w = values.shape
    scale = min(1.0, PIXELS / max(h, w))
    small = resize(values, (round(h * scale), round(w * scale)), anti_aliasing=scale < 1)
    low, high = np.percentile(small, (0.5, 99.5))
    extent = (-0.5, w - 0.5, h - 0.5, -0.5)
    ax.imshow(small, cmap="gray", vmin=low, vmax=high, extent=extent)
    ax.set_xticks([])
    ax.set_yticks([])
    y, x, side = (prepared[key][one.own] for key in ("y", "x", "window"))
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2
    windows = np.stack((x, y), 1)[:, None] + corners * side[:, None, None]
    look = {"facecolors": "none", "edgecolors": plots.COLOURS[1], "linewidths": 0.6, "alpha": 0.7}
    ax.add_collection(PolyCollection(windows, **look))
    # Where windows overlap, dots tell more than they do.
    dot = np.clip(500 / max(1, len(one.own)), 2, 12)
    ax.scatter(x, y, s=dot, color=plots.COLOURS[1], linewidths=0)
    pixel = prepared["pixel_size"][one.own]
    if len(pixel) and np.isfinite(pixel[0]):
        plots.scale_bar(ax, pixel[0], w / 4)
    name = Path(one.picture.file).name
    page = "" if one.picture.alone else f", page {one.picture.page}"
    called = _short(f"{name}{page}", letters)
    ax.set_title(f"{called}: {len(one.own)}", loc="left", fontsize="small")


def _short(name: str, most: int) -> str:
    """Leave out the middle of a long name."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 + 1 :]}"


if __name__ == "__main__":
    command.run(main)
