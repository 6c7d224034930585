"""Show the learned manifolds of each compared model (the paper, figures 7, 9, 11 and 12)."""

import argparse
from pathlib import Path

import numpy as np

from zbo import command, plots, storage
from zbo.storage import DONE

COLUMNS = 8


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--scores", required=True, help="scores.csv")
    parser.add_argument("--models", required=True, nargs="+", help="models/NAME-SEED.h5")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    prepared = storage.read(args.images, kind="images")
    labels, names = prepared.get("labels"), prepared.get("names")
    scores = plots.read_scores(args.scores)
    blocks = {name: _block(_first_trained(args.models, name), labels, names) for name in scores}
    tallest = max(_height(images) for images, *_ in blocks.values())
    with plots.style():
        width = plots.PAGE / len(blocks)
        figure = plots.figure(plots.PAGE, 0.6 + 0.85 * width * tallest)
        axes = figure.subplots(1, len(blocks), squeeze=False)[0]
        for ax, (name, (images, rows, across, down)) in zip(axes, blocks.items(), strict=True):
            title = plots.MODELS.get(name, name) + _accuracy(scores[name]["accuracy"])
            if images is None:
                plots.nothing(ax, "no training succeeded", title)
                ax.set_axis_off()
            else:
                plots.mosaic(ax, images, rows, title, across, down)
                ax.set_anchor("N")
        plots.save(figure, args.output)


def _first_trained(paths: list[str], name: str) -> dict | None:
    for path in paths:
        if Path(path).stem.rpartition("-")[0] == name:
            model = storage.read(path, kind="model")
            if model["status"] == DONE:
                return model
    return None


def _block(model: dict | None, labels: np.ndarray | None, names: np.ndarray | None):
    """Choose a model's images, what to call their rows, and what changes along them."""
    if model is None:
        return None, [], "", ""
    if not model["probabilities"].shape[1]:
        grid = _thinned(_thinned(model["manifolds"][0]).swapaxes(0, 1)).swapaxes(0, 1)
        return grid, [], "latent 2", "latent 1"
    rows = []
    if labels is not None:
        classes = model["probabilities"].argmax(1)
        for k in range(model["probabilities"].shape[1]):
            counts = np.bincount(labels[classes == k], minlength=len(names))
            rows.append(names[counts.argmax()] if counts.any() else "–")
    return _thinned(model["traversal"][0]), rows, "latent 1", "label" if rows else "class"


def _thinned(images: np.ndarray) -> np.ndarray:
    """Keep at most so many columns, evenly from the first to the last."""
    columns = images.shape[1]
    return images[:, np.linspace(0, columns - 1, min(columns, COLUMNS)).round().astype(int)]


def _height(images: np.ndarray | None) -> float:
    """Give a block's height in units of its width."""
    if images is None:
        return 0.3
    return images.shape[0] * images.shape[2] / (images.shape[1] * images.shape[3])


def _accuracy(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return ""
    spread = f" ± {known.std(ddof=1):.2f}" if len(known) > 1 else ""
    failed = len(values) - len(known)
    more = f"\n{failed} of {len(values)} failed" if failed else ""
    return f"\naccuracy {known.mean():.2f}{spread}{more}"


if __name__ == "__main__":
    command.run(main)
