"""Lay out the search space and check it for feasibility (table 1, step 4)."""

from zbo.base import channels, command, storage
from zbo.trajectories import space, vae


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--trajectory-vae", help="trajectory_vae.h5, where points are latents")
    parser.add_argument("--output", required=True, help="space.h5")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    chosen, trajectories = args.settings["space"], args.settings["trajectories"]
    bounds = channels.bounds(trajectories)
    if chosen["coordinates"] == "parameters":
        z, beta, feasible = space.parameter_space(
            trajectories["families"][0],
            trajectories["cycles"],
            bounds,
            chosen["grid"],
            chosen["constraint"],
            chosen["tolerance"],
        )
    else:
        trained = storage.read(args.trajectory_vae, kind="trajectory_vae")
        model = vae.restore(
            storage.group(trained, "weights"),
            bounds,
            vae.TrajectoryVAESettings(**args.settings["trajectory_vae"]),
        )
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
