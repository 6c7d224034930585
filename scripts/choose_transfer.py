"""Fit another study's optimum to this study's cycles and bounds (Biswas et al. 2023, figure B2)."""

import numpy as np

from zbo.base import channels, command, storage
from zbo.trajectories import families


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--optimum", required=True, help="optimum.h5 of the other study")
    parser.add_argument(
        "--bounds",
        required=True,
        type=float,
        nargs="+",
        help="the other study's, low and high; then those of beta_d if it was searched",
    )
    parser.add_argument("--output", required=True, help="transfer.h5")
    args = parser.parse_args(argv)
    trajectories = args.settings["trajectories"]
    beta = families.transfer(
        storage.read(args.optimum, kind="optimum")["beta"],
        tuple(zip(args.bounds[::2], args.bounds[1::2], strict=True)),
        trajectories["cycles"],
        channels.bounds(trajectories),
    )
    storage.write(
        args.output, {"beta": beta.astype(np.float32)}, kind="transfer", settings=args.settings
    )


if __name__ == "__main__":
    command.run(main)
