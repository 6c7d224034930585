"""Prepare the images: read, scale to [0, 1], balance, draw the subset of the search."""

import numpy as np

from zbo.base import command, storage
from zbo.base.settings import refuse_oblong
from zbo.data import images


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--output", required=True, help="images.h5")
    parser.add_argument("--table", help="where each image comes from, .csv")
    args = parser.parse_args(argv)
    chosen = images.ImageSettings(**args.settings["images"])
    prepared = images.load(chosen, seed=args.settings["seed"])
    refuse_oblong(
        prepared.images.shape[1:], args.settings["model"]["invariances"], chosen.path or "images"
    )
    storage.write(
        args.output,
        {
            "images": prepared.images,
            "labels": prepared.labels,
            "subset": prepared.subset,
            "simulated": prepared.simulated,
            "limits": np.array(prepared.limits),
            "turned": prepared.turned,
            "names": np.array(prepared.names, dtype=str) if prepared.names else None,
            **prepared.places.datasets(),
        },
        kind="images",
        settings=args.settings,
    )
    if args.table:
        rows = prepared.places.table(prepared.labels, prepared.names, prepared.subset)
        storage.write_table(args.table, rows)


if __name__ == "__main__":
    command.run(main)
