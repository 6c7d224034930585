"""Show the learned manifolds of each compared model."""

import argparse
from pathlib import Path

from zbo.base import command, storage
from zbo.drawing import panels, plots


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--scores", required=True, help="scores.csv")
    parser.add_argument("--models", required=True, nargs="+", help="models/NAME-SEED.h5")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    prepared = storage.read(args.images, kind="images")
    labels, names = prepared.get("labels"), prepared.get("names")
    scores = plots.read_scores(args.scores, ("accuracy", "classes", "objective", "loss"))
    models = dict.fromkeys(Path(path).stem.rpartition("-")[0] for path in args.models)
    shown = {
        name: panels.manifold(panels.best_trained(args.models, name, scores[name]), labels, names)
        for name in models
    }
    columns = min(len(shown), 4)
    rows = -(-len(shown) // columns)
    tallest = max(mosaic.height for mosaic in shown.values())
    with plots.style():
        height = rows * (0.6 + 0.85 * plots.PAGE / columns * tallest)
        figure = plots.figure(plots.PAGE, height)
        axes = figure.subplots(rows, columns, squeeze=False).flat
        for ax, (name, mosaic) in zip(axes, shown.items(), strict=False):
            words = panels.accuracy(scores[name]["accuracy"])
            title = plots.called(name, int(scores[name]["classes"][0]))
            mosaic.draw(ax, f"{title}\n{words}".rstrip())
        for ax in list(figure.axes)[len(shown) :]:
            ax.set_visible(False)
        panels.say_simulated(figure, prepared)
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
