"""Choose the model to keep, with the seeds that vote on classes, and write it for pyroVED, too."""

from pathlib import Path

import numpy as np
import torch

from zbo.base import command, storage
from zbo.base.errors import InputError
from zbo.base.storage import DONE
from zbo.judge import answer
from zbo.search import evaluation
from zbo.trainer import jrvae


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--scores", required=True, help="scores.csv")
    parser.add_argument("--models", required=True, nargs="+", help="a trajectory's, NAME-SEED.h5")
    parser.add_argument("--output", required=True, nargs=2, help="model.h5 and model.pt")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    images = storage.read(args.images, kind="images", only=("images",))["images"]
    reached = {
        f"{row['model']}-{row['replicate']}": float(row["objective"] or "nan")
        for row in storage.read_table(args.scores)
    }
    trained = {}
    for path in args.models:
        data = storage.read(path, kind="model")
        if data["status"] == DONE:
            trained[path] = data
    if not trained:
        raise InputError(f"{args.models[0]}: no seed of this model trained; see its status")
    models = [
        evaluation.network(data, evaluation.model_in(path, kind="model"))
        for path, data in trained.items()
    ]
    objectives = np.nan_to_num(
        [reached.get(Path(path).stem, np.nan) for path in trained], nan=-np.inf
    )
    kinds = args.settings["compare"]["kinds"]
    kept = answer.keep(images, models, objectives, args.settings["seed"], kinds)
    path = list(trained)[kept.best]
    data, name = trained[path], Path(path).stem
    why = f"{name}: objective {objectives[kept.best]:.4g}, the highest of {len(models)} seeds"
    about = {key: data[key] for key in ("seed", "beta_c", "beta_d", "traversal")}
    about |= {"name": name, "why": why, "objectives": objectives}
    answer.write(args.output[0], kept, about, settings=args.settings)
    with storage.whole(args.output[1]) as beside:
        torch.save(for_pyroved(kept.model), beside)
    print(why)


def for_pyroved(model) -> dict:
    """Give what pyroVED needs to build the model again: its class, arguments and weights."""
    kind, arguments = jrvae.arguments(model.settings)
    return {"class": kind, "arguments": arguments, "weights": model.state_dict()}


if __name__ == "__main__":
    command.run(main)
