"""Prepare new images as a study's were, and put the study's kept model beside them."""

import argparse
import shutil
from pathlib import Path

import numpy as np

from zbo.base import command, storage
from zbo.data import unseen
from zbo.data.places import Places, Row


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="results/NAME, of a finished study")
    parser.add_argument("--path", required=True, help="file or folder of new pictures")
    parser.add_argument("--coordinates", nargs="?", help="of patches, if the study's had any")
    parser.add_argument("--images", required=True, help="images.h5 to write")
    parser.add_argument("--table", required=True, help="where each comes from, .csv")
    parser.add_argument("--model", required=True, help="copy of the study's model.h5")
    args = parser.parse_args(argv)
    study = Path(args.study)
    kept = storage.existing(study / "model.h5")
    rows: list[Row] = []
    labels: list[str | None] = []
    with storage.growing(args.images, kind="images", source=args.path) as add:
        for block in unseen.blocks(study / "images.h5", args.path, args.coordinates):
            add({"images": block.images})
            rows += block.rows
            labels += block.labels
        places = Places.of(rows)
        numbers, names = unseen.encoded(labels, args.path)
        add(places.datasets())
        if numbers is not None:
            add({"labels": numbers, "names": np.array(names, dtype=str)})
    storage.write_table(args.table, places.table(numbers, names, None))
    with storage.whole(args.model) as beside:
        shutil.copyfile(kept, beside)


if __name__ == "__main__":
    command.run(main)
