"""Lay out the latent search space and check it for feasibility (table 1, step 4)."""

from zbo.base import channels, command, storage
from zbo.trajectories import space, vae


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--trajectory-vae", required=True, help="trajectory_vae.h5")
    parser.add_argument("--output", required=True, help="space.h5")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    trained = storage.read(args.trajectory_vae, kind="trajectory_vae")
    model = vae.restore(
        storage.group(trained, "weights"),
        channels.bounds(args.settings["trajectories"]),
        vae.TrajectoryVAESettings(**args.settings["trajectory_vae"]),
    )
    chosen = args.settings["space"]
    z, beta, feasible = space.search_space(
        model, trained["encoded"], chosen["grid"], chosen["constraint"], chosen["tolerance"]
    )
    storage.write(
        args.output,
        {"z": z, "beta": beta, "feasible": feasible},
        kind="space",
        settings=args.settings,
    )


if __name__ == "__main__":
    command.run(main)
