"""Choose the forms of a schedule made by hand that the search is compared with."""

from zbo.base import channels, command, storage
from zbo.trajectories import schedules


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--schedule", required=True, choices=schedules.SCHEDULES, help="which; a compared model"
    )
    parser.add_argument("--output", required=True, help="schedules/*.h5")
    args = parser.parse_args(argv)
    trajectories = args.settings["trajectories"]
    beta = schedules.forms(
        args.schedule,
        channels.bounds(trajectories),
        trajectories["cycles"],
        args.settings["compare"]["forms"],
    )
    storage.write(args.output, {"beta": beta}, kind="schedules", settings=args.settings)


if __name__ == "__main__":
    command.run(main)
