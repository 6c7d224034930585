"""Cluster the pixels themselves, upright and turned: what a user would try first."""

import numpy as np

from zbo.base import command, storage
from zbo.judge import baselines, scores
from zbo.search import evaluation

SEEDS = 3  # at most; the spread between them is what is wanted


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--output", required=True, help="yardsticks.h5")
    args = parser.parse_args(argv)
    settings = args.settings
    images = storage.read(args.images, kind="images")
    count = settings["compare"]["kinds"] or settings["model"]["classes"]
    if not count and "labels" in images:
        count = scores.kinds(images["labels"])
    seeds = min(SEEDS, settings["compare"]["seeds"])
    seeds = evaluation.seeds_of("yardsticks", seeds, settings["seed"])
    data = {"seeds": np.array(seeds)}
    if count:
        for name, i, classes, seconds in baselines.yardsticks(images["images"], count, seeds):
            data[f"{name}/{i}"] = classes
            data[f"{name}/{i}-seconds"] = seconds
    storage.write(args.output, data, kind="yardsticks", settings=settings)


if __name__ == "__main__":
    command.run(main)
