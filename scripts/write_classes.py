"""Write what is known of each image: class, how sure it is, angle, latents."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from zbo.base import command, storage
from zbo.judge import angles, answer

BLOCK = 1 << 14  # images looked at between two reads


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--model", required=True, help="model.h5, the model kept")
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--output", required=True, help="classes.csv")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    about = storage.read(args.images, kind="images", without=("images",))
    seen: list[tuple[np.ndarray, ...]] = []
    storage.write_table(args.output, _rows(args.images, about, answer.read(args.model), seen))
    every, angle, part, symmetry = map(np.concatenate, zip(*seen, strict=True))
    print(f"{args.output}: {len(every):,} images, {every.mean():.0%} unlike those of the training")
    if every.mean() > answer.WARNED:
        print(
            f"Warning: {args.images}: {every.mean():.0%} of the images are reconstructed worse "
            "than 99 % of those the model was trained on: they are unlike these, and their classes "
            "may mean little (column unlike)"
        )
    if "turned" in about:
        groups = part
        if "labels" in about:
            groups = part * (about["labels"].max() + 2) + about["labels"]
        length, share = angles.resultant(angle, about["turned"], groups, symmetry)
        print(
            f"Angles follow those by which images were turned: resultant {length:.2f} (1 is best) "
            f"modulo each class's symmetry, of {share:.0%} of the images (the rest are in round "
            "classes, or too few of a class and label to tell)"
        )


def _rows(
    path: str, about: dict, kept: answer.Kept, seen: list[tuple[np.ndarray, ...]]
) -> Iterator[dict[str, Any]]:
    """Give the rows of classes.csv, a block of images at a time, and keep what is summed up."""
    first = 0
    for images in storage.blocks(path, "images", BLOCK, kind="images"):
        found = kept.look(images)
        seen.append((found.unlike, found.angle, found.part, found.symmetry))
        yield from answer.rows(found, about, first)
        first += len(images)


if __name__ == "__main__":
    command.run(main)
