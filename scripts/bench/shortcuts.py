"""Check what a shortcut changes: train exactly and with shortcuts, and compare.

A shortcut is a value or two of section `training` of a study: classes skipped (`prune_threshold`),
pixels sampled (`pixels`). Of each seed and trajectory all train at once, a batch of each in turn,
so that whatever else the machine does slows all of them alike; pyroVED's trainer gets a batch now
and then, for its speed. Rows are written as they come and trainings keep their state: started
again, it goes on. Labels judge, here as everywhere.

    python scripts/bench/shortcuts.py --study digits --output results/shortcuts/digits.csv
    python scripts/bench/shortcuts.py --study mnist --set images.subset=500 \\
        --shortcuts pixels=200 "pixels=200 prune_threshold=0.0001" --output mnist.csv
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
import yaml
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
    "shortcut",  # "exact" or what is changed, "pixels=196 prune_threshold=0.001"
    "seed",
    "trajectory",
    "objective",
    "information",  # of image and class, nats
    "accuracy",
    "kl_c",  # what the continuous latents hold, nats
    "loss",  # of all classes and pixels, nats
    "classes_decoded",  # mean over the training
    "pixels_decoded",  # likewise
    "seconds",
    "ratio_to_exact",
    "ratio_to_pyroved",
)
MEASURES = "objective", "information", "accuracy", "kl_c", "loss"
EXACT = {"prune_threshold": 0.0, "pixels": "all"}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", required=True, help="a file of config/studies/")
    parser.add_argument("--set", default="", help="values changed: 'images.subset=500'")
    default = [f"prune_threshold={threshold:g}" for threshold in (1e-4, 1e-3, 1e-2)]
    parser.add_argument(
        "--shortcuts", nargs="+", default=default, help='each "key=value" or several of training'
    )
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
    shortcuts = ["exact", *args.shortcuts]
    for seed in range(args.seeds):
        for t in range(args.trajectories):
            known = {r["shortcut"] for r in rows if (r["seed"], r["trajectory"]) == (seed, t)}
            if known >= set(shortcuts):
                continue
            stem = f"{output}.{digest}.{seed}-{t}"
            found = compare(images, labels, beta[t], study, seed, shortcuts, args.pyroved, stem)
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
    shortcuts: list[str],
    batches: int,
    stem: str,
) -> list[dict]:
    """Train one model for each shortcut, by turns, and score them.

    Args:
        images: Shape (n, h, w).
        labels: Shape (n,).
        beta: The trajectory, shape (N,) or (2, N).
        study: Settings.
        seed: Of weights, order and noise.
        shortcuts: The first is exact.
        batches: Of pyroVED's trainer to time.
        stem: Of the files that keep the states.

    Returns:
        One row for each shortcut, keys as in COLUMNS.
    """
    settings = evaluation.model_settings(study["model"], images.shape[1:])
    beta_c, beta_d = channels.along(beta, study["trajectories"]["beta_d"])
    bar = tqdm(
        total=len(beta_c) * len(shortcuts), desc=Path(stem).name, unit="cycle", mininterval=5
    )
    trainings = [
        training.Training(
            jrvae.build(settings, seed),
            images,
            beta_c,
            beta_d,
            training.TrainingSettings(**study["training"] | changes(shortcut)),
            seed,
            progress=lambda *_: bar.update(),
            checkpoint=Checkpoint(f"{stem}-{shortcut.replace(' ', '-')}.state"),
        )
        for shortcut in shortcuts
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
    for shortcut, one in zip(shortcuts, trainings, strict=True):
        scoring, history = objective.ObjectiveSettings(**study["objective"]), one.history()
        kept = evaluation.keep(one.model, images, history)
        learned = evaluation.learned(kept, settings, scoring.grid)
        assigned = learned.probabilities.argmax(1)
        information = scoring.model_copy(update={"name": "information"})
        loss, kl_c = exact_loss(one, images)
        rows.append(
            {
                "shortcut": shortcut,
                "objective": objective.score(learned, scoring).objective,
                "information": objective.score(learned, information).objective,
                "accuracy": scores.label_scores(assigned, labels).accuracy,
                "kl_c": kl_c,
                "loss": loss,
                "classes_decoded": history.active_classes.mean(),
                "pixels_decoded": history.pixels.mean(),
                "seconds": history.seconds,
                "ratio_to_exact": trainings[0].seconds / history.seconds,
                "ratio_to_pyroved": pyroved_seconds / history.seconds,
            }
        )
        one.checkpoint.remove()
    return rows


def changes(shortcut: str) -> dict:
    """Say what a shortcut changes in section `training`."""
    pairs = [] if shortcut == "exact" else [word.split("=", 1) for word in shortcut.split()]
    if any(len(pair) < 2 or pair[0] not in EXACT for pair in pairs):
        raise InputError(f"--shortcuts: '{shortcut}': give key=value of {', '.join(EXACT)}")
    return EXACT | {key: yaml.safe_load(value) for key, value in pairs}


def exact_loss(trained: training.Training, images: np.ndarray) -> tuple[float, float]:
    """Return loss and continuous KL term of a trained model, all decoded, nats per image.

    The loss of a pruned training's history charges skipped classes a bound, that of a sampled one
    is an estimate; this one compares.
    """
    problem = training.Problem.of(trained.model, training.TrainingSettings(**EXACT))
    generator = torch.Generator().manual_seed(0)
    beta = torch.as_tensor(trained.beta[-1], dtype=torch.float32)
    loss = kl_c = 0.0
    for batch in jrvae.flat_images(trained.model, images).split(100):
        noise = torch.randn(len(batch), trained.model.z_dim, generator=generator)
        parts, _ = training.loss_and_gradient(problem, batch, noise, beta)
        loss += float(parts[0] + beta @ parts[1:3])
        kl_c += float(parts[1])
    return loss / len(images), kl_c / len(images)


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
    kinds = {"settings": str, "shortcut": str, "seed": int, "trajectory": int}
    return [{name: kinds.get(name, float)(v) for name, v in row.items()} for row in rows]


def table(rows: list[dict]) -> str:
    """Compare with the spread of seeds, each pair of trainings with the same seed and trajectory.

    A shortcut is safe where every measure differs from exact by no more than the standard deviation
    between exact trainings that differ in the seed alone on average, and by no more than two of
    them as a root mean square. Two seeds differ by 1.4 of them as a root mean square, and in a long
    training a mere rounding grows to differences of this size.
    """
    run = {(r["shortcut"], r["seed"], r["trajectory"]): r for r in rows}
    pairs = sorted({(r["seed"], r["trajectory"]) for r in rows})
    exact = {m: np.array([run["exact", *p][m] for p in pairs]) for m in MEASURES}
    of = np.array([t for _, t in pairs])
    spread = {}
    for measure, values in exact.items():
        within = [values[of == t] for t in set(of.tolist())]
        free = sum(len(v) - 1 for v in within)
        ss = sum(((v - v.mean()) ** 2).sum() for v in within)
        spread[measure] = np.sqrt(ss / free) if free else np.nan
    shortcuts = list(dict.fromkeys(r["shortcut"] for r in rows))
    wide = max(map(len, shortcuts))
    lines = [
        f"{len(pairs)} trainings of each; difference from exact: mean (root mean square)",
        " " * wide
        + "".join(f"{m:>18}" for m in MEASURES)
        + "  classes  pixels  x exact  x pyroVED",
        f"{'seeds':{wide}}" + "".join(f"{'sd ' + format(spread[m], '.3g'):>18}" for m in MEASURES),
    ]
    safe = []
    for shortcut in shortcuts:
        mine = [run[shortcut, *p] for p in pairs]
        cells, within = "", True
        for measure in MEASURES:
            d = np.array([r[measure] for r in mine]) - exact[measure]
            typical = np.sqrt(np.square(d).mean())
            within &= bool(abs(d.mean()) <= spread[measure] and typical <= 2 * spread[measure])
            cells += f"{d.mean():+.3g} ({typical:.3g})".rjust(18)
        classes, pixels, times_exact, times_pyroved = (
            np.mean([r[name] for r in mine])
            for name in ("classes_decoded", "pixels_decoded", "ratio_to_exact", "ratio_to_pyroved")
        )
        lines.append(
            f"{shortcut:{wide}}{cells}  {classes:7.2f}  {pixels:6.0f}  {times_exact:7.2f}"
            f"  {times_pyroved:9.2f}"
        )
        if within and shortcut != "exact":
            safe.append(shortcut)
    return "\n".join([*lines, f"within the seeds' spread: {'; '.join(safe) or 'none'}"])


if __name__ == "__main__":
    command.run(main)
