"""Show sample images, a row a label where there are labels (the paper, figures 7(a) and B1)."""

import argparse

import numpy as np

from zbo import command, plots, storage

COLUMNS, ROWS, MOST_ROWS = 10, 5, 20


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    prepared = storage.read(args.images, kind="images")
    pages, rows = _page(prepared["images"], prepared.get("labels"), prepared.get("names"))
    with plots.style():
        height = plots.COLUMN * len(pages) / pages.shape[1] * pages.shape[2] / pages.shape[3]
        figure = plots.figure(plots.COLUMN, height + 0.1)
        plots.mosaic(figure.subplots(), pages, rows)
        plots.save(figure, args.output)


def _page(images: np.ndarray, labels: np.ndarray | None, names: np.ndarray | None):
    if labels is None:
        drawn = images[: ROWS * COLUMNS]
        drawn = _filled(drawn, -(-len(drawn) // COLUMNS) * COLUMNS)
        return drawn.reshape(-1, COLUMNS, *images.shape[1:]), []
    kept = [label for label in range(len(names)) if (labels == label).any()][:MOST_ROWS]
    rows = [_filled(images[labels == label][:COLUMNS], COLUMNS) for label in kept]
    return np.stack(rows), [names[label] for label in kept]


def _filled(images: np.ndarray, count: int) -> np.ndarray:
    missing = count - len(images)
    return np.pad(images, ((0, missing), (0, 0), (0, 0)), constant_values=np.nan)


if __name__ == "__main__":
    command.run(main)
