"""Choose constant trajectories to compare the search with, evenly in the logarithm of β."""

import numpy as np

from zbo import command, storage


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--output", required=True, help="constants.h5")
    args = parser.parse_args(argv)
    trajectories = args.settings["trajectories"]
    values = np.geomspace(*trajectories["bounds"], args.settings["compare"]["constants"])
    beta = np.repeat(values[:, None], trajectories["cycles"], axis=1).astype(np.float32)
    storage.write(args.output, {"beta": beta}, kind="candidates", settings=args.settings)


if __name__ == "__main__":
    command.run(main)
