"""Show what models learned, side by side (the paper, figures 7, 9, 11, 12 and B2)."""

import argparse

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zbo.base import command, storage
from zbo.drawing import panels, plots

WIDE = 0.6  # a mosaic lower than this share of its width is a strip: strips are stacked


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--scores", required=True, help="scores.csv")
    parser.add_argument("--models", required=True, nargs="+", help="models/NAME-SEED.h5")
    parser.add_argument("--shown", required=True, nargs="+", help="panels: data, or NAME of models")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    prepared = storage.read(args.images, kind="images")
    labels, names = prepared.get("labels"), prepared.get("names")
    scores = plots.read_scores(args.scores)
    mosaics, titles = [], []
    for name in args.shown:
        if name == "data":
            mosaics.append(panels.samples(prepared))
            titles.append("images\n")
        else:
            model = panels.best_trained(args.models, name, scores[name])
            mosaics.append(panels.manifold(model, labels, names))
            words = panels.accuracy(scores[name]["accuracy"])
            titles.append(f"{plots.called(name)}\n{words}")
    with plots.style():
        figure, axes = _lay_out([mosaic.height for mosaic in mosaics])
        for ax, letter, mosaic, title in zip(axes, "abcdefgh", mosaics, titles, strict=False):
            mosaic.draw(ax, "")
            plots.letter(ax, letter, title)
        panels.say_simulated(figure, prepared)
        plots.save(figure, args.output)


def _lay_out(heights: list[float]) -> tuple[Figure, list[Axes]]:
    """Place panels: side by side, or squares on the left and strips stacked on the right."""
    over = 0.55  # inches of title and axis label
    squares = [k for k, height in enumerate(heights) if height >= WIDE]
    strips = [k for k, height in enumerate(heights) if height < WIDE]
    if not strips:
        width = min(plots.PAGE / len(heights), 2.4)
        figure = plots.figure(width * len(heights), width * max(heights) * 0.9 + over)
        return figure, list(figure.subplots(1, len(heights), squeeze=False)[0])
    left = 2.3 if squares else 0.0
    right = plots.PAGE - left if squares else plots.COLUMN * 1.2
    height = max(
        sum(left * 0.9 * heights[k] + over for k in squares),
        sum(right * 0.9 * heights[k] + over for k in strips),
    )
    figure = plots.figure(left + right, height)
    ratios = {"width_ratios": [left, right]} if squares else {}
    grid = figure.add_gridspec(1, 2 if squares else 1, **ratios)
    axes: dict[int, Axes] = {}
    for column, stack in enumerate(filter(None, (squares, strips))):
        cells = grid[column].subgridspec(len(stack), 1, height_ratios=[heights[k] for k in stack])
        axes |= {k: figure.add_subplot(cells[row]) for row, k in enumerate(stack)}
    return figure, [axes[k] for k in range(len(heights))]


if __name__ == "__main__":
    command.run(main)
