"""Train one of the compared models on all images (Biswas et al. 2023, figures 7, 9, 11, 12)."""

import time

import numpy as np

from zbo.base import channels, command, storage
from zbo.base.compared import Compared, named
from zbo.base.errors import InputError
from zbo.search import collapse, evaluation
from zbo.trainer import jrvae, training
from zbo.trainer.checkpoint import Checkpoint

# pyroVED 0.3's defaults: iVAE, SVItrainer, init_dataloader; its model has a bernoulli decoder.
VANILLA = {
    "latent_dim": 2,
    "hidden_dim": [128, 128],
    "decoder": "bernoulli",
    "decoder_sigma": 0.5,
}
SHOWN = 12  # images along a latent
VANILLA_TRAINING = {"learning_rate": 0.001, "batch_size": 100}


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--model", required=True, help="which one, see compare.models")
    parser.add_argument("--replicate", required=True, type=int, help="which seed")
    parser.add_argument("--trajectory", nargs="?", help="file of its trajectory, if any")
    parser.add_argument(
        "--gpus", type=command.gpus, default=0, help="GPUs given; 0 uses one if there"
    )
    parser.add_argument("--output", required=True, help="models/*.h5")
    args = parser.parse_args(argv)
    compared = named(args.model)
    if bool(compared.follows) != bool(args.trajectory):
        said = "needs a" if compared.follows else "has no"
        parser.error(f"model {args.model} {said} --trajectory")
    command.use_threads(args.threads)
    settings = args.settings
    images = storage.read(args.images, kind="images")["images"]
    chosen, schedule = settings["model"], settings["training"]
    if not compared.classes:
        chosen = chosen | {"classes": 0, "invariances": []}
    if compared.count:
        chosen = chosen | {"classes": compared.count}
    if compared.default:
        chosen, schedule = chosen | VANILLA, schedule | VANILLA_TRAINING
    beta_c, beta_d = channels.along(
        _trajectory(args, compared, images), settings["trajectories"]["beta_d"]
    )
    # The same seeds for every model: differences are the trajectory's.
    seed = evaluation.seeds_of("compare", args.replicate + 1, settings["seed"])[-1]
    device = command.device(args.gpus)

    checkpoints = Checkpoint.beside(args.output, 1)
    model = evaluation.model_settings(chosen, images.shape[1:])
    begin = time.perf_counter()
    trial = evaluation.train(
        images,
        beta_c,
        beta_d,
        model,
        training.TrainingSettings(**schedule),
        [seed],
        device,
        progress=command.progress_bar(len(beta_c), f"{args.model} {args.replicate}"),
        checkpoints=checkpoints,
    )
    seconds = time.perf_counter() - begin
    kept = {name: values[0] for name, values in trial.kept.items()}
    storage.write(
        args.output,
        {
            "beta_c": beta_c,
            "beta_d": beta_d,
            "seed": seed,
            "status": trial.status,
            **kept,
            **(_decoded(kept, model) if trial.status == storage.DONE else {}),
        },
        kind="model",
        settings=settings,
        model=model.model_dump(mode="json"),
        seconds=seconds,
        device=device,
    )
    checkpoints[0].remove()
    print(f"{args.output}: {trial.status} ({seconds:.0f} s)")
    if trial.status == storage.DONE:
        for sentence in collapse.named(kept, model.latent_dim):
            print(f"{args.model} {args.replicate}: {sentence}")


def _decoded(kept: dict[str, np.ndarray], model: jrvae.ModelSettings) -> dict[str, np.ndarray]:
    """Decode what figures show of a model: each class along each latent; the plane of one's own."""
    network = evaluation.network(kept, model)
    shown = {"traversal": jrvae.traversal(network, SHOWN)}
    return shown if model.classes else shown | {"manifolds": jrvae.manifolds(network, SHOWN)}


def _trajectory(args, compared: Compared, images: np.ndarray) -> np.ndarray:
    cycles = args.settings["trajectories"]["cycles"]
    if args.trajectory:
        kinds = ("optimum", "best_schedule", "transfer")
        beta = storage.read(args.trajectory, kind=kinds)["beta"][0]
        if beta.shape[-1] != cycles:
            raise InputError(
                f"{args.trajectory}: {beta.shape[-1]} cycles, the study trains {cycles}"
            )
        return beta
    if not compared.scaled:
        return np.full(cycles, compared.beta_c)
    # The reconstruction term is a sum over pixels: a beta_c weighs more on smaller images.
    unit = args.settings["compare"]["unit_pixels"]
    return np.full(cycles, compared.beta_c * images[0].size / unit)


if __name__ == "__main__":
    command.run(main)
