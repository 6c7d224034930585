"""Check what pruned enumeration changes: train exactly and at several thresholds, and compare.

Of each seed and trajectory all thresholds train at once, a batch of each in turn, so that whatever
else the machine does slows all of them alike; pyroVED's trainer gets a batch now and then, for its
speed. Rows are written as they come and trainings keep their state: started again, it goes on.
Labels judge, here as everywhere.

    python scripts/bench/pruning.py --study digits --output results/pruning/digits.csv
"""

import argparse
import csv
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from zbo.base import channels, command, config, storage
from zbo.base.errors import InputError
from zbo.data import images as image_sets
from zbo.judge import scores
from zbo.search import evaluation, objective
from zbo.trainer import jrvae, training
from zbo.trainer.checkpoint import Checkpoint
from zbo.trainer.pyroved import pyroved
from zbo.trajectories import families

COLUMNS = (
    "settings",  # digest of them, so that rows of others are not mixed in
    "threshold",
    "seed",
    "trajectory",
    "objective",
    "accuracy",
    "loss",
    "classes_decoded",  # mean over the training
    "seconds",
    "ratio_to_exact",
    "ratio_to_pyroved",
)
MEASURES = "objective", "accuracy", "loss"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", required=True, help="a file of config/studies/")
    parser.add_argument("--set", default="", help="values changed: 'images.subset=500'")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[1e-4, 1e-3, 1e-2])
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each (default 3)")
    parser.add_argument("--trajectories", type=int, default=2, help="families in turn (default 2)")
    parser.add_argument("--pyroved", type=int, default=4, help="its batches timed (default 4)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--output", required=True, help="table to write, or to go on with")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    study = config.load(args.study, args.set)
    digest = hashlib.sha256(json.dumps(study, sort_keys=True).encode()).hexdigest()[:12]
    output = Path(args.output)
    rows = read(output, digest)
    images, labels = labelled(study)
    beta = trajectories(study, args.trajectories)
    thresholds = [0.0, *args.thresholds]
    for seed in range(args.seeds):
        for t in range(args.trajectories):
            known = {r["threshold"] for r in rows if (r["seed"], r["trajectory"]) == (seed, t)}
            if known >= set(thresholds):
                continue
            stem = f"{output}.{digest}.{seed}-{t}"
            found = compare(images, labels, beta[t], study, seed, thresholds, args.pyroved, stem)
            rows = [r for r in rows if (r["seed"], r["trajectory"]) != (seed, t)]
            rows += [{"settings": digest, "seed": seed, "trajectory": t, **row} for row in found]
            storage.write_table(output, rows, COLUMNS)
    print(table(rows))


def compare(
    images: np.ndarray,
    labels: np.ndarray,
    beta: np.ndarray,
    study: dict,
    seed: int,
    thresholds: list[float],
    batches: int,
    stem: str,
) -> list[dict]:
    """Train one model a threshold, by turns, and score them.

    Args:
        images: Shape (n, h, w).
        labels: Shape (n,).
        beta: The trajectory, shape (N,) or (2, N).
        study: Settings.
        seed: Of weights, order and noise.
        thresholds: The first is 0, exact.
        batches: Of pyroVED's trainer to time.
        stem: Of the files that keep the states.

    Returns:
        One row a threshold, keys as in COLUMNS.
    """
    settings = evaluation.model_settings(study["model"], images.shape[1:])
    beta_c, beta_d = channels.along(beta, study["trajectories"]["beta_d"])
    bar = tqdm(
        total=len(beta_c) * len(thresholds), desc=Path(stem).name, unit="cycle", mininterval=5
    )
    trainings = [
        training.Training(
            jrvae.build(settings, seed),
            images,
            beta_c,
            beta_d,
            training.TrainingSettings(**study["training"] | {"prune_threshold": threshold}),
            seed,
            progress=lambda *_: bar.update(),
            checkpoint=Checkpoint(f"{stem}-{threshold:g}.state"),
        )
        for threshold in thresholds
    ]
    batch = study["training"]["batch_size"]
    theirs = pyroved_batch(settings, images[:batch])
    times: list[float] = []
    turns = np.linspace(0, len(beta_c), batches, endpoint=False).astype(int).tolist()
    with training.surroundings(trainings) as threads:
        for one in trainings:
            one.threads = threads
        while waiting := [one for one in trainings if not one.done]:
            if turns and trainings[0].cycle >= turns[0]:
                turns.pop(0)
                torch.set_num_threads(threads)
                times.append(theirs())
                torch.set_num_threads(1)
            for one in waiting:
                one.step()
    bar.close()
    pyroved_seconds = np.median(times) / min(batch, len(images)) * len(images) * len(beta_c)
    rows = []
    for threshold, one in zip(thresholds, trainings, strict=True):
        scoring, history = objective.ObjectiveSettings(**study["objective"]), one.history()
        kept = evaluation.keep(one.model, images, history)
        learned = evaluation.learned(kept, settings, scoring.grid)
        assigned = learned.probabilities.argmax(1)
        rows.append(
            {
                "threshold": threshold,
                "objective": objective.score(learned, scoring).objective,
                "accuracy": scores.label_scores(assigned, labels).accuracy,
                "loss": exact_loss(one, images),
                "classes_decoded": history.active_classes.mean(),
                "seconds": history.seconds,
                "ratio_to_exact": trainings[0].seconds / history.seconds,
                "ratio_to_pyroved": pyroved_seconds / history.seconds,
            }
        )
        one.checkpoint.remove()
    return rows


def exact_loss(trained: training.Training, images: np.ndarray) -> float:
    """Return the loss of a trained model with every class decoded, nats an image.

    The loss of a pruned training's history charges skipped classes a bound; this one compares.
    """
    exact = training.TrainingSettings()
    problem = training.Problem.of(trained.model, exact)
    generator = torch.Generator().manual_seed(0)
    beta = torch.as_tensor(trained.beta[-1], dtype=torch.float32)
    total = 0.0
    for batch in jrvae.flat_images(trained.model, images).split(100):
        noise = torch.randn(len(batch), trained.model.z_dim, generator=generator)
        parts, _ = training.loss_and_gradient(problem, batch, noise, beta)
        total += float(parts[0] + beta @ parts[1:3])
    return total / len(images)


def pyroved_batch(settings: jrvae.ModelSettings, images: np.ndarray) -> Callable[[], float]:
    """Set up pyroVED's trainer on one batch; a call trains on it and returns the seconds."""
    model = jrvae.build(settings, 0)
    trainer = pyroved.trainers.SVItrainer(model, enumerate_parallel=True, device="cpu")
    loader = pyroved.utils.init_dataloader(torch.from_numpy(images), batch_size=len(images))

    def step() -> float:
        began = time.perf_counter()
        trainer.step(loader, scale_factor=[1.0, 1.0])
        return time.perf_counter() - began

    return step


def labelled(study: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return the images the search would train on, and their labels."""
    size = study["images"]["size"] and tuple(study["images"]["size"])
    chosen = image_sets.ImageSettings(**study["images"] | {"size": size})
    prepared = image_sets.load(chosen, seed=study["seed"])
    if prepared.labels is None:
        raise InputError("images.labels: this check compares accuracies, so it needs labels")
    return prepared.images[prepared.subset], prepared.labels[prepared.subset]


def trajectories(study: dict, count: int) -> np.ndarray:
    """Sample trajectories from the study's families in turn, (count, N) or (count, 2, N)."""
    chosen = study["trajectories"]
    names = chosen["families"]
    beta, family = families.sample(
        names, -(-count // len(names)), chosen["cycles"], channels.bounds(chosen), study["seed"]
    )
    of_family = [beta[family == i] for i in range(len(names))]
    return np.stack([of_family[i % len(names)][i // len(names)] for i in range(count)])


def read(path: Path, digest: str) -> list[dict]:
    """Read the rows of an earlier start, numbers as numbers."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if any(row["settings"] != digest for row in rows):
        raise InputError(
            f"{path}: holds rows of other settings; delete it or name another --output"
        )
    whole = "seed", "trajectory"
    return [
        {"settings": digest}
        | {n: int(v) if n in whole else float(v) for n, v in row.items() if n != "settings"}
        for row in rows
    ]


def table(rows: list[dict]) -> str:
    """Compare with the spread of seeds, each pair of trainings with the same seed and trajectory.

    A threshold is within it where the root mean square of its differences from exact enumeration
    is at most the standard deviation between exact trainings that differ in the seed alone. That
    is strict: in a long training a mere rounding grows to differences of this size.
    """
    run = {(r["threshold"], r["seed"], r["trajectory"]): r for r in rows}
    pairs = sorted({(r["seed"], r["trajectory"]) for r in rows})
    exact = {m: np.array([run[0.0, *p][m] for p in pairs]) for m in MEASURES}
    of = np.array([t for _, t in pairs])
    spread = {}
    for measure, values in exact.items():
        within = [values[of == t] for t in set(of.tolist())]
        free = sum(len(v) - 1 for v in within)
        ss = sum(((v - v.mean()) ** 2).sum() for v in within)
        spread[measure] = np.sqrt(ss / free) if free else np.nan
    lines = [
        f"{len(pairs)} trainings of each; difference from exact: mean (root mean square)",
        f"{'threshold':>9} "
        + " ".join(f"{m:>18}" for m in MEASURES)
        + "  classes  x exact  x pyroVED",
        f"{'seeds':>9} " + " ".join(f"{'sd ' + format(spread[m], '.3g'):>18}" for m in MEASURES),
    ]
    largest = 0.0
    for threshold in sorted({r["threshold"] for r in rows}):
        mine = [run[threshold, *p] for p in pairs]
        cells, within = [], True
        for measure in MEASURES:
            d = np.array([r[measure] for r in mine]) - exact[measure]
            typical = np.sqrt(np.square(d).mean())
            within &= bool(typical <= spread[measure])
            cells.append(f"{d.mean():+.3g} ({typical:.3g})".rjust(18))
        means = [
            np.mean([r[name] for r in mine])
            for name in ("classes_decoded", "ratio_to_exact", "ratio_to_pyroved")
        ]
        lines.append(
            f"{threshold:>9g} {' '.join(cells)}  {means[0]:7.2f}  {means[1]:7.2f}  {means[2]:9.2f}"
        )
        if within:
            largest = max(largest, threshold)
    return "\n".join([*lines, f"largest threshold within the seeds' spread: {largest:g}"])


if __name__ == "__main__":
    command.run(main)
