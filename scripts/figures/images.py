"""Show sample images, a row a label where there are labels."""

import argparse

from zbo.base import command, storage
from zbo.drawing import panels, plots


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    prepared = storage.read(args.images, kind="images")
    shown = panels.samples(prepared)
    with plots.style():
        figure = plots.figure(plots.COLUMN, plots.COLUMN * shown.height + 0.1)
        ax = figure.subplots()
        shown.draw(ax, "")
        panels.say_scale(ax, prepared, prepared["images"].shape[1:])
        panels.say_simulated(figure, prepared)
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
