"""Choose what the measuring ground measures: latent points spread evenly, and constants."""

import numpy as np

from zbo.base import channels, command, files, storage
from zbo.base.errors import InputError
from zbo.search import optimize
from zbo.trajectories import schedules, vae


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--space", required=True, help="space.h5")
    parser.add_argument("--trajectory-vae", required=True, help="trajectory_vae.h5")
    parser.add_argument("--output", required=True, help="ground/design.h5")
    args = parser.parse_args(argv)
    if args.settings["space"]["coordinates"] != "latents":
        raise InputError(
            "space.coordinates: the measuring ground is of latents, since its constants have no "
            "parameters; set latents for it, or leave lottery out of rivals.searches"
        )
    chosen, trajectories = args.settings["ground"], args.settings["trajectories"]
    space = storage.read(args.space, kind="space")
    z, beta = files.feasible(space)
    index = optimize.initial_design(
        z, chosen["points"], "sobol", args.settings["seed"], key="ground.points"
    )
    bounds = channels.bounds(trajectories)
    cycles = trajectories["cycles"]
    constants = schedules.forms("constant", bounds, cycles, chosen["constants"])
    model = vae.restore(
        storage.group(storage.read(args.trajectory_vae, kind="trajectory_vae"), "weights"),
        bounds,
        vae.TrajectoryVAESettings(**args.settings["trajectory_vae"]),
    )
    repeats = [chosen["seeds"]] * len(index) + [chosen["constant_seeds"]] * len(constants)
    storage.write(
        args.output,
        {
            "index": np.concatenate([index, np.full(len(constants), -1)]),
            "z": np.concatenate([z[index], model.encode(constants)]),
            "beta": np.concatenate([beta[index], constants]),
            "constant": np.arange(len(repeats)) >= len(index),
            "repeats": np.array(repeats),
        },
        kind="ground_design",
        settings=args.settings,
    )


if __name__ == "__main__":
    command.run(main)
