"""Choose the starting trials in the feasible space (table 1, step 5)."""

from zbo.base import command, files, storage
from zbo.search import optimize


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--space", required=True, help="space.h5")
    parser.add_argument("--batch-size", type=int, default=1, help="of the search, has to fit, too")
    parser.add_argument("--output", required=True, help="design.h5")
    args = parser.parse_args(argv)
    space = storage.read(args.space, kind="space")
    z, beta = files.feasible(space)
    settings = optimize.settings_of(args.settings, batch_size=args.batch_size)
    optimizer = optimize.Optimizer(z, settings, args.settings["seed"])
    index = optimizer.ask()
    storage.write(
        args.output,
        {"index": index, "z": z[index], "beta": beta[index]},
        kind="design",
        settings=args.settings,
    )


if __name__ == "__main__":
    command.run(main)
