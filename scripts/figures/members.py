"""Show real images of each class: typical ones, the same turned upright, and doubtful ones."""

import argparse

import numpy as np

from zbo.base import command, storage
from zbo.drawing import panels, plots
from zbo.judge import answer


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--classes", required=True, help="classes.csv")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    prepared = storage.read(args.images, kind="images", without=("images",))
    found = answer.columns(args.classes)
    shown = panels.largest_classes(found["class"])
    turned = np.isfinite(found["angle"]).any()
    blocks = {"most probable": [], "the same, upright": [], "least probable": []}
    for number in shown:
        own = np.flatnonzero(found["class"] == number)
        # Of those that are equally probable, the ones that are reconstructed best.
        order = own[np.lexsort((found["error"][own], -found["probability"][own]))]
        typical, doubtful = (
            storage.take(args.images, "images", index[: panels.MEMBERS], kind="images")
            for index in (order, order[::-1])
        )
        upright = panels.upright(typical, found["angle"][order[: panels.MEMBERS]])
        for title, images in zip(blocks, (typical, upright, doubtful), strict=True):
            blocks[title].append(panels.filled(images, panels.MEMBERS))
    if not turned:
        del blocks["the same, upright"]
    h, w = typical.shape[1:]
    with plots.style():
        row = max((plots.PAGE - 1.1) / (len(blocks) * panels.MEMBERS) * h / w, 0.25)
        figure = plots.figure(plots.PAGE, row * len(shown) + 0.35)
        axes = figure.subplots(1, len(blocks), squeeze=False)[0]
        for i, (ax, (title, rows)) in enumerate(zip(axes, blocks.items(), strict=True)):
            called = [panels.class_in_words(found, number) for number in shown]
            plots.mosaic(ax, np.stack(rows), () if i else called, title)
        panels.say_scale(axes[0], prepared, (h, w))
        panels.say_left_out(figure, found, shown)
        panels.say_simulated(figure, prepared)
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
