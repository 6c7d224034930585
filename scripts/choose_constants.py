"""Choose constant trajectories to compare the search with, evenly in the logarithm of β_c."""

from zbo.base import channels, command, storage
from zbo.trajectories import families


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--output", required=True, help="constants.h5")
    args = parser.parse_args(argv)
    trajectories = args.settings["trajectories"]
    count = args.settings["compare"]["constants"]
    beta = families.constants(channels.bounds(trajectories), trajectories["cycles"], count)
    storage.write(args.output, {"beta": beta}, kind="constants", settings=args.settings)


if __name__ == "__main__":
    command.run(main)
