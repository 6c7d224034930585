"""Show samples of each class of one or more studies' images (the paper, figure B1)."""

import argparse

from zbo.base import command, storage
from zbo.drawing import panels, plots


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, nargs="+", help="images.h5, one a panel")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    prepared = [storage.read(path, kind="images") for path in args.images]
    shown = [panels.samples(study) for study in prepared]
    with plots.style():
        heights = [mosaic.height for mosaic in shown]
        figure = plots.figure(plots.COLUMN, 0.9 * plots.COLUMN * sum(heights) + 0.4 * len(shown))
        axes = figure.subplots(len(shown), 1, height_ratios=heights, squeeze=False)[:, 0]
        for ax, letter, mosaic in zip(axes, "abcdefgh", shown, strict=False):
            mosaic.draw(ax, "")
            plots.letter(ax, letter, f"{len(mosaic.rows)} labels" if mosaic.rows else "")
            ax.set_ylabel("particles")
        for study in prepared:
            panels.say_simulated(figure, study)
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
