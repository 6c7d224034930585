"""Score the compared models: label scores where there are labels, objective, loss."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from zbo.base import command, storage
from zbo.base.storage import DONE
from zbo.judge import scores
from zbo.search import evaluation, objective
from zbo.search.objective import ObjectiveSettings


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--models", required=True, nargs="+", help="models/NAME-SEED.h5")
    parser.add_argument("--output", required=True, help="scores.csv")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    scoring = ObjectiveSettings(**args.settings["objective"])
    images = storage.read(args.images, kind="images")
    columns = ["model", "classes", "replicate", "seed", "status", *scores.LABEL_SCORES, "rotation"]
    columns += [*objective.PARTS, "loss", "seconds"]
    rows = [_row(path, images, scoring, args.settings["model"]["classes"]) for path in args.models]
    storage.write_table(args.output, rows, columns)


def _row(
    path: str, images: dict[str, np.ndarray], scoring: ObjectiveSettings, classes: int
) -> dict:
    model, trained = storage.read(path, kind="model"), evaluation.model_in(path, kind="model")
    name, _, replicate = Path(path).stem.rpartition("-")
    row = {
        "model": name,
        "classes": trained.classes,
        "replicate": replicate,
        "seed": model["seed"],
        "status": model["status"],
        "seconds": f"{storage.facts(path, kind='model')['seconds']:.1f}",
    }
    if model["status"] != DONE:
        return row
    row["loss"] = f"{model['loss'][-1]:.4f}"
    learned = evaluation.learned(model, trained, scoring.grid)
    found = asdict(objective.score(learned, scoring))
    for column, value in ((part, found[part]) for part in objective.PARTS):
        if np.isfinite(value):  # some are about classes, and not every model has any
            row[column] = f"{value:.4f}"
    if (labels := images.get("labels")) is not None:
        mean, sd = (model[z][:, -trained.latent_dim :] for z in ("z_mean", "z_sd"))  # no angle
        clusters = classes or len(np.unique(labels))
        found = scores.classes_of(model["probabilities"], mean, clusters, seed=0)
        row |= {
            column: round(value, 4)
            for column, value in asdict(scores.label_scores(found, labels)).items()
        }
        # Clusters of latents are no classes with axes of their own.
        own = found if model["probabilities"].shape[1] else np.zeros_like(found)
        rotation = scores.rotation_share(images["images"], mean, sd, labels, own)
        row["rotation"] = f"{rotation:.4f}"
    return row


if __name__ == "__main__":
    command.run(main)
