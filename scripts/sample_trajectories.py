"""Sample trajectories from each family (Biswas et al. 2023, table 1, step 1)."""

import numpy as np

from zbo.base import channels, command, storage
from zbo.trajectories import families


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--output", required=True, help="trajectories.h5")
    args = parser.parse_args(argv)
    chosen = args.settings["trajectories"]
    beta, family = families.sample(
        chosen["families"],
        chosen["per_family"],
        chosen["cycles"],
        channels.bounds(chosen),
        args.settings["seed"],
    )
    storage.write(
        args.output,
        {"beta": beta, "family": family, "names": np.array(chosen["families"], dtype=str)},
        kind="trajectories",
        settings=args.settings,
    )


if __name__ == "__main__":
    command.run(main)
