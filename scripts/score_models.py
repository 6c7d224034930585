"""Score the compared models: label scores where there are labels, objective, loss.

Beside them stand the consensus of each model's seeds, and what clustering the pixels gives.
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from zbo.base import command, storage
from zbo.base.storage import DONE
from zbo.judge import consensus, scores
from zbo.search import collapse, evaluation, objective
from zbo.search.objective import ObjectiveSettings
from zbo.trainer import jrvae


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--models", required=True, nargs="+", help="models/NAME-SEED.h5")
    parser.add_argument("--yardsticks", help="yardsticks.h5, if compared")
    parser.add_argument("--output", required=True, help="scores.csv")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    scoring = ObjectiveSettings(**args.settings["objective"])
    kinds = args.settings["compare"]["kinds"]
    clusters = kinds or args.settings["model"]["classes"]
    images = storage.read(args.images, kind="images")
    columns = ["model", "classes", "replicate", "seed", "status", *scores.LABEL_SCORES, "rotation"]
    columns += [*objective.PARTS, "loss", "seconds", "collapse"]
    rows, seeds = [], {}
    for path in args.models:
        name, _, replicate = Path(path).stem.rpartition("-")
        model, trained = storage.read(path, kind="model"), evaluation.model_in(path, kind="model")
        row = {
            "model": name,
            "classes": trained.classes,
            "replicate": replicate,
            "seed": model["seed"],
            "status": model["status"],
            "seconds": f"{storage.facts(path, kind='model')['seconds']:.1f}",
        }
        if model["status"] == DONE:
            row |= _scored(model, trained, images, scoring, clusters)
            if trained.classes:
                seeds.setdefault(name, []).append(model["probabilities"])
        rows.append(row)
    rows += _agreed(seeds, images.get("labels"), kinds)
    if "labels" in images:  # alone can tell what clusters of pixels are worth
        rows += _clustered(args.yardsticks, images["labels"]) if args.yardsticks else []
    storage.write_table(args.output, rows, columns)


def _scored(
    model: dict[str, np.ndarray],
    trained: jrvae.ModelSettings,
    images: dict[str, np.ndarray],
    scoring: ObjectiveSettings,
    classes: int,
) -> dict:
    row = {
        "loss": f"{model['loss'][-1]:.4f}",
        "collapse": "; ".join(collapse.named(model, trained.latent_dim)),
    }
    learned = evaluation.learned(model, trained, scoring.grid)
    found = asdict(objective.score(learned, scoring))
    for column, value in ((part, found[part]) for part in objective.PARTS):
        if np.isfinite(value):  # some are about classes, and not every model has any
            row[column] = f"{value:.4f}"
    if (labels := images.get("labels")) is not None:
        mean, sd = (model[z][:, -trained.latent_dim :] for z in ("z_mean", "z_sd"))  # no angle
        clusters = classes or scores.kinds(labels)
        found = scores.classes_of(model["probabilities"], mean, clusters, seed=0)
        row |= _judged(found, labels)
        # Clusters of latents are no classes with axes of their own.
        own = found if model["probabilities"].shape[1] else np.zeros_like(found)
        rotation = scores.rotation_share(images["images"], mean, sd, labels, own)
        row["rotation"] = f"{rotation:.4f}"
    return row


def _judged(classes: np.ndarray, labels: np.ndarray | None) -> dict:
    if labels is None:
        return {}
    found = asdict(scores.label_scores(classes, labels))
    return {column: round(value, 4) for column, value in found.items()}


def _agreed(
    seeds: dict[str, list[np.ndarray]], labels: np.ndarray | None, kinds: int | None
) -> list[dict]:
    """Judge what the seeds of each model with classes agree on, given their posteriors."""
    rows = []
    for name, posteriors in seeds.items():
        if len(posteriors) < 2:
            continue
        shares = consensus.find(posteriors, kinds=kinds).probabilities(posteriors)
        row = {"model": f"{scores.CONSENSUS}{name}", "classes": shares.shape[1], "status": DONE}
        row |= {"replicate": len(posteriors), "information": f"{objective.information(shares):.4f}"}
        rows.append(row | _judged(shares.argmax(1), labels))
    return rows


def _clustered(path: str, labels: np.ndarray) -> list[dict]:
    """Judge what clustering the pixels gives."""
    data = storage.read(path, kind="yardsticks")
    rows = []
    for name in scores.YARDSTICKS:
        for i, seed in enumerate(data["seeds"]):
            if (classes := data.get(f"{name}/{i}")) is None:
                continue
            row = {"model": name, "classes": 0, "replicate": i, "seed": seed, "status": DONE}
            row["seconds"] = f"{data[f'{name}/{i}-seconds']:.1f}"
            rows.append(row | _judged(classes, labels))
    return rows


if __name__ == "__main__":
    command.run(main)
