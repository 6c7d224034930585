"""Train jrVAEs along one trajectory and keep what they learned (table 1, step 6; table 2)."""

import time

import numpy as np

from zbo.base import channels, command, storage
from zbo.base.errors import InputError
from zbo.search import collapse, evaluation
from zbo.trainer import training
from zbo.trainer.checkpoint import Checkpoint


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--candidates", required=True, help="file that holds the trajectory")
    parser.add_argument("--index", required=True, type=int, help="which of its trajectories")
    parser.add_argument("--trial", required=True, help="its name; seeds derive from it")
    parser.add_argument(
        "--gpus", type=command.gpus, default=0, help="GPUs given; 0 uses one if there"
    )
    parser.add_argument("--output", required=True, help="trials/*.h5")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    settings = args.settings
    prepared = storage.read(args.images, kind="images")
    candidates = storage.read(args.candidates, kind=("design", "iteration", "schedules"))
    if not 0 <= args.index < len(candidates["beta"]):
        raise InputError(
            f"{args.candidates}: holds {len(candidates['beta'])} trajectories, none is {args.index}"
        )
    beta_c, beta_d = channels.along(
        candidates["beta"][args.index], settings["trajectories"]["beta_d"]
    )
    images = prepared["images"][prepared["subset"]]
    search = settings["search"]
    shared = search["seeds"] == "fixed"
    seeds = evaluation.seeds_of(
        "every trial" if shared else args.trial, search["replicates"], settings["seed"]
    )
    device = command.device(args.gpus)
    checkpoints = Checkpoint.beside(args.output, len(seeds))
    model = evaluation.model_settings(settings["model"], images.shape[1:])
    begin = time.perf_counter()
    trial = evaluation.train(
        images,
        beta_c,
        beta_d,
        model,
        training.TrainingSettings(**settings["training"]),
        seeds,
        device,
        progress=command.progress_bar(len(seeds) * len(beta_c), args.trial),
        checkpoints=checkpoints,
    )
    seconds = time.perf_counter() - begin
    storage.write(
        args.output,
        {
            "z": candidates["z"][args.index] if "z" in candidates else None,
            "beta_c": beta_c,
            "beta_d": beta_d,
            "status": trial.status,
            "seeds": np.array(trial.seeds),
            **trial.kept,
        },
        kind="trial",
        settings=settings,
        model=model.model_dump(mode="json"),
        seconds=seconds,
        device=device,
    )
    for checkpoint in checkpoints:
        checkpoint.remove()
    print(f"{args.output}: {trial.status} ({seconds:.0f} s)")
    if trial.status == storage.DONE:
        for i, seed in enumerate(seeds):
            kept = {name: values[i] for name, values in trial.kept.items()}
            for sentence in collapse.named(kept, model.latent_dim):
                print(f"{args.trial}, seed {seed}: {sentence}")


if __name__ == "__main__":
    command.run(main)
