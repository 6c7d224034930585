"""A study's results in small, made up, in the files the workflow would make."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zbo.base import storage
from zbo.drawing import plots
from zbo.judge import answer, kinds
from zbo.search import pareto
from zbo.trainer import jrvae

MODELS = ("vanilla", "beta-1", "constant", "optimum")

LATENTS = {"space": {"coordinates": "latents"}}


@dataclass(frozen=True)
class Case:
    """A study's results in small, made up.

    Attributes:
        cycles: N.
        channels: 2 where beta_d is searched, too.
        latents: Dimensions of the search space.
        grid: Points a dimension of it.
        initial: Trials of the starting design.
        iterations: Iterations of one trial each.
        failed: Which trials failed.
        side: Of an image, pixels.
        classes: K, and labels.
        labelled: Whether there are labels.
        seeds: Of each compared model; the first of `beta-1` fails.
        threshold: What improvement is negligible.
        simulated: Whether the images are.
        balanced: Whether labels chose the images.
        both: Whether two objectives were searched for, information and factors.
        unit_pixels: Pixels at which `beta-1` is 1.
    """

    cycles: int = 6
    channels: int = 1
    latents: int = 2
    grid: int = 8
    initial: int = 4
    iterations: int = 3
    failed: tuple[int, ...] = ()
    side: int = 6
    classes: int = 3
    labelled: bool = True
    seeds: int = 2
    threshold: float = 0.05
    simulated: bool = False
    balanced: bool = False
    both: bool = False
    unit_pixels: int = 784


def make(folder: Path, case: Case) -> dict[str, list[str]]:
    """Write the results of a case, and give each figure's arguments."""
    rng = np.random.default_rng(0)
    n, per_family = 40, 15
    images = rng.random((n, case.side, case.side), dtype=np.float32)
    labels = np.arange(n) % case.classes
    named = {"labels": labels, "names": np.array([f"n{k}" for k in range(case.classes)])}
    data = {"images": images, "subset": np.arange(10), "simulated": case.simulated}
    data |= named if case.labelled else {}
    settings = {"images": {"source": "digits", "balance": None, "balance_subset": case.balanced}}
    storage.write(folder / "images.h5", data, kind="images", settings=settings)

    names = ["linear_cooldown", "segments", "my.module:own_family"]
    family = np.repeat(np.arange(len(names)), per_family)
    beta = rng.uniform(0.1, 2, (len(family), case.cycles)).astype(np.float32)
    beta = _with_beta_d(beta, case)
    data = {"beta": beta, "family": family, "names": np.array(names)}
    storage.write(folder / "trajectories.h5", data, kind="trajectories")
    encoded = rng.normal(size=(len(family), case.latents)).astype(np.float32)
    storage.write(folder / "trajectory_vae.h5", {"encoded": encoded}, kind="trajectory_vae")

    if case.latents <= 2:
        axes = [np.linspace(-2, 2, case.grid)] * case.latents
        z = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, case.latents)
    else:
        z = rng.uniform(-2, 2, (case.grid**2, case.latents))
    feasible = z.sum(1) > -2.5
    decoded = 1 + 0.3 * np.sin(z.sum(1)[:, None] + np.linspace(0, 6, case.cycles))
    decoded = _with_beta_d(decoded, case)
    data = {"z": z.astype(np.float32), "beta": decoded, "feasible": feasible}
    storage.write(folder / "space.h5", data, kind="space", settings=LATENTS)

    trials = case.initial + case.iterations
    searched = z[feasible]
    index = rng.choice(len(searched), trials, replace=False)
    objective = 5 - (searched[index] ** 2).sum(1) + rng.normal(0, 0.3, trials)
    objective[list(case.failed)] = np.nan
    factors = np.where(np.isnan(objective), np.nan, 3 + searched[index, 0])
    objectives = np.stack([objective, factors], 1)
    mean = 5 - (searched**2).sum(1)
    recommended, best = int(mean.argmax()), int(index[np.nanargmax(objective)])
    design = {"index": index[: case.initial]}
    storage.write(folder / "design.h5", design, kind="candidates")
    for k, one in enumerate(index[case.initial :]):
        storage.write(folder / f"iterations/{k:03d}.h5", {"index": [one]}, kind="candidates")
    improvements = 10.0 ** -np.arange(case.iterations + 1)
    improvements[-1] = 0  # every point evaluated: has no logarithm
    data = {
        "index": [0],
        "observed/index": index,
        "observed/objective": objective,
        "observed/objectives": objectives if case.both else objective[:, None],
        "observed/information": objective,
        "observed/factors": factors,
        "observed/failed": np.isnan(objective),
        "observed/seconds": np.full(trials, 60.0),
        "observed/active": rng.random(trials),
        "mean": mean,
        "sd": rng.uniform(0.1, 0.5, len(mean)),
        "improvements": improvements,
        "best_evaluated": best,
        "best_estimated": recommended,
    }
    if case.both:
        means = np.stack([mean, 3 + searched[:, 0]], 1)
        on_front = np.flatnonzero(pareto.non_dominated(means))
        data |= {"means": means, "sds": np.full(means.shape, 0.3), "front": on_front}
    names = ["information", "factors"] if case.both else "l1"
    made = {"settings": {"objective": {"name": names}}}
    storage.write(folder / f"iterations/{case.iterations:03d}.h5", data, kind="candidates", **made)
    data = {
        "beta": decoded[feasible][[recommended]],
        "means": mean[[recommended]],
        "sds": np.array([0.2]),
        "evaluated/beta": decoded[feasible][best],
        "evaluated/objectives": objective[index == best, None],
        "trials": trials,
        "iterations": case.iterations,
        "negligible": case.threshold,
        "stop": "budget of iterations spent",
    }
    storage.write(folder / "optimum.h5", data, kind="candidates")
    constant = _with_beta_d(np.full((1, case.cycles), 0.7), case)
    reached = np.array([[np.nan, np.nan], [3.0, 2.0]])
    data = {"beta": constant, "best": 1, "objectives": reached[:, : 1 + case.both]}
    data |= {"information": reached[:, 0], "factors": reached[:, 1]}
    for name in ("constant", "warmup"):
        storage.write(folder / f"best_{name}.h5", data, kind="candidates")

    _trials(folder, case, objective)
    models = _models(folder, case, n, rng)
    _answer(folder, case, n, rng)
    _kinds(folder, case, n, rng)
    encoding = "--trajectories trajectories.h5 --trajectory-vae trajectory_vae.h5"
    search = f"--space space.h5 --design design.h5 --iteration iterations/{case.iterations:03d}.h5"
    learned = f"--images images.h5 --scores scores.csv --models {' '.join(models)}"
    files = {
        "images": "--images images.h5",
        "patches": "--images images.h5",
        "trajectories": "--trajectories trajectories.h5",
        "latent_space": f"{encoding} --space space.h5",
        "surrogate": search,
        "overview": f"{search} --trajectories trajectories.h5 --model models/optimum-0.h5",
        "convergence": "--design design.h5 --optimum optimum.h5 "
        f"--iteration iterations/{case.iterations:03d}.h5",
        "optimum": "--optimum optimum.h5 --schedules best_constant.h5 best_warmup.h5",
        "front": f"{search} --schedules best_constant.h5 best_warmup.h5 "
        f"--trials {' '.join(f'trials/{name}.h5' for name in _names(case))}",
        "manifolds": learned,
        "members": "--images images.h5 --classes classes.csv",
        "map": "--images images.h5 --classes classes.csv",
        "latents": "--images images.h5 --classes classes.csv --model model.h5",
        "kinds": "--kinds kinds.csv",
        "scores": "--scores scores.csv",
        "paper.fig05": f"{encoding} --space space.h5",
        "paper.fig06": search,
        "paper.fig07": learned,
        "paper.fig08": f"{encoding} {search}",
        "paper.figB1": "--images images.h5 images.h5",
    }
    arguments = {name: _inside(folder, words.split()) for name, words in files.items()}
    arguments["paper.fig07"] += ["--shown", "data", "vanilla", "beta-1", "optimum"]
    return arguments


def _with_beta_d(beta_c: np.ndarray, case: Case) -> np.ndarray:
    return np.stack([beta_c, 10 * beta_c], axis=1) if case.channels == 2 else beta_c


def _trials(folder: Path, case: Case, objective: np.ndarray) -> None:
    shape = (case.side, case.side)
    model = jrvae.ModelSettings(image_shape=shape, classes=case.classes, hidden_dim=(8, 8))
    made = {"settings": {"seed": 7}, "seconds": 60.0, "device": "cpu"}
    for seed, (name, value) in enumerate(zip(_names(case), objective, strict=True)):
        data = {"status": "failed: x", "objective": value, "seeds": [3, 4]}
        data["beta_c"] = np.ones(case.cycles)
        if np.isfinite(value):
            network = jrvae.build(model, seed)
            kept = vars(jrvae.encode(network, np.zeros((10, *shape), np.float32)))
            kept |= {f"weights/{name}": w for name, w in jrvae.weights(network).items()}
            data |= {"status": "done", **{name: of[None] for name, of in kept.items()}}
        section = model.model_dump(mode="json")
        storage.write(folder / f"trials/{name}.h5", data, kind="trial", model=section, **made)


def _names(case: Case) -> list[str]:
    design = [f"design-{k}" for k in range(case.initial)]
    return design + [f"{k:03d}-0" for k in range(case.iterations)]


def _models(folder: Path, case: Case, n: int, rng: np.random.Generator) -> list[str]:
    names, rows, grid = [], [], 10
    for model in MODELS:
        classes = 0 if model == "vanilla" else case.classes
        for replicate in range(case.seeds):
            names.append(f"models/{model}-{replicate}.h5")
            data = {"status": "failed: the loss is not a number"}
            row = {"model": model, "classes": classes, "replicate": replicate}
            row |= data | {"seconds": 12.0}
            row |= dict.fromkeys(plots.SCORES, "")
            if (model, replicate) != ("beta-1", 0):
                shape = (max(classes, 1), grid, case.side, case.side)
                data = {
                    "status": "done",
                    "probabilities": rng.random((n, classes)),
                    "z_mean": np.stack([*rng.normal(size=(2, n)), np.zeros(n)], 1),  # latent 2 dead
                    "z_sd": np.stack([*rng.uniform(0.1, 0.3, (2, n)), np.ones(n)], 1),
                    "traversal": rng.random((2, *shape), dtype=np.float32),
                    "manifolds": rng.random((shape[0], grid, *shape[1:]), dtype=np.float32),
                }
                row["status"] = "done"
                row |= {"loss": 20 + rng.random(), "objective": rng.random() if classes else ""}
                for score in ("accuracy", "ari", "nmi", "purity") if case.labelled else ():
                    row[score] = rng.random()
            data["beta_c"] = np.full(case.cycles, case.side**2 / case.unit_pixels)
            settings = {"seed": 7, "compare": {"unit_pixels": case.unit_pixels}}
            made = {"settings": settings, "seconds": 12.0, "device": "cpu"}
            storage.write(folder / names[-1], data, kind="model", **made)
            rows.append(row)
    with open(folder / "scores.csv", "w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return names


def _answer(folder: Path, case: Case, n: int, rng: np.random.Generator) -> None:
    classes = np.arange(n) % case.classes
    angle = np.where(classes == 1, np.nan, rng.uniform(-180, 180, n))  # class 2 is round
    found = answer.Answer(
        classes=classes,
        probability=rng.random(n),
        agreement=rng.random(n),
        part=classes,
        angle=angle,
        angle_sd=np.abs(angle) / 10,
        symmetry=np.where(classes == 1, 0, 1),
        shift=np.full((n, 2), np.nan),
        scale=np.full(n, np.nan),
        latents=rng.normal(size=(n, 2)),
        latents_sd=rng.uniform(0.1, 1, (n, 2)),
        error=rng.random(n),
        unlike=rng.random(n) > 0.9,
    )
    images = storage.read(folder / "images.h5", kind="images")
    storage.write_table(folder / "classes.csv", list(answer.rows(found, images)))
    data = {
        "traversal": rng.random((2, case.classes, 10, case.side, case.side), dtype=np.float32),
        "classes/means": np.eye(case.classes, dtype=bool),
        "classes/zero": np.zeros(case.classes),
    }
    storage.write(folder / "model.h5", data, kind="kept model")


def _kinds(folder: Path, case: Case, n: int, rng: np.random.Generator) -> None:
    seeds = range(max(case.seeds, 2))
    asked = [kinds.found(k, [rng.dirichlet(np.ones(k), n) for _ in seeds]) for k in range(2, 6)]
    storage.write_table(folder / "kinds.csv", kinds.rows(asked))


def _inside(folder: Path, words: list[str]) -> list[str]:
    return [word if word.startswith("--") else str(folder / word) for word in words]
