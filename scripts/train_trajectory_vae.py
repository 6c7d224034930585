"""Train the VAE of trajectories (Biswas et al. 2023, table 1, steps 2 and 3)."""

import time

from zbo.base import channels, command, storage
from zbo.trajectories import vae


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--trajectories", required=True, help="trajectories.h5")
    parser.add_argument("--output", required=True, help="trajectory_vae.h5")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    beta = storage.read(args.trajectories, kind="trajectories")["beta"]
    settings = vae.TrajectoryVAESettings(**args.settings["trajectory_vae"])
    begin = time.perf_counter()
    model, history = vae.train(
        beta,
        channels.bounds(args.settings["trajectories"]),
        settings,
        args.settings["seed"],
        progress=command.progress_bar(settings.cycles, "trajectory VAE"),
    )
    weights = {f"weights/{name}": w.numpy() for name, w in model.state_dict().items()}
    storage.write(
        args.output,
        weights | {"loss": history, "encoded": model.encode(beta)},
        kind="trajectory_vae",
        settings=args.settings,
        seconds=time.perf_counter() - begin,
    )


if __name__ == "__main__":
    command.run(main)
