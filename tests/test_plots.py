"""Figures: every script draws what a study may hold, twice the same, and hides no failure."""

import csv
import importlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import figure_convergence
from zbo import plots, storage
from zbo.errors import InputError

FIGURES = (
    "overview",
    "images",
    "trajectories",
    "latent_space",
    "surrogate",
    "convergence",
    "optimum",
    "manifolds",
    "scores",
)
MODELS = ("vanilla", "beta-1", "constant", "optimum")


@dataclass(frozen=True)
class Case:
    """A study's results in small, made up.

    Attributes:
        cycles: N.
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
    """

    cycles: int = 6
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


def make(folder: Path, case: Case) -> dict[str, list[str]]:
    """Write the results of a case, and give each figure's arguments."""
    rng = np.random.default_rng(0)
    n, per_family = 40, 15
    images = rng.random((n, case.side, case.side), dtype=np.float32)
    labels = np.arange(n) % case.classes
    named = {"labels": labels, "names": np.array([f"n{k}" for k in range(case.classes)])}
    data = {"images": images, "subset": np.arange(10)} | (named if case.labelled else {})
    storage.write(folder / "images.h5", data, kind="images")

    names = ["linear_cooldown", "segments", "my.module:own_family"]
    family = np.repeat(np.arange(len(names)), per_family)
    beta = rng.uniform(0.1, 2, (len(family), case.cycles)).astype(np.float32)
    data = {"beta": beta, "family": family, "names": np.array(names)}
    storage.write(folder / "trajectories.h5", data, kind="trajectories")
    encoded = rng.normal(size=(len(family), case.latents)).astype(np.float32)
    storage.write(folder / "vae.h5", {"encoded": encoded}, kind="trajectory_vae")

    if case.latents <= 2:
        axes = [np.linspace(-2, 2, case.grid)] * case.latents
        z = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, case.latents)
    else:
        z = rng.uniform(-2, 2, (case.grid**2, case.latents))
    feasible = z.sum(1) > -2.5
    decoded = 1 + 0.3 * np.sin(z.sum(1)[:, None] + np.linspace(0, 6, case.cycles))
    data = {"z": z.astype(np.float32), "beta": decoded, "feasible": feasible}
    storage.write(folder / "space.h5", data, kind="space")

    trials = case.initial + case.iterations
    searched = z[feasible]
    index = rng.choice(len(searched), trials, replace=False)
    objective = 5 - (searched[index] ** 2).sum(1) + rng.normal(0, 0.3, trials)
    objective[list(case.failed)] = np.nan
    mean = 5 - (searched**2).sum(1)
    recommended, best = int(mean.argmax()), int(index[np.nanargmax(objective)])
    design = {"index": index[: case.initial]}
    storage.write(folder / "design.h5", design, kind="candidates")
    improvements = 10.0 ** -np.arange(case.iterations + 1)
    improvements[-1] = 0  # every point evaluated: has no logarithm
    data = {
        "observed/index": index,
        "observed/objective": objective,
        "observed/failed": np.isnan(objective),
        "mean": mean,
        "sd": rng.uniform(0.1, 0.5, len(mean)),
        "improvements": improvements,
        "best_evaluated": best,
        "best_estimated": recommended,
    }
    storage.write(folder / "last.h5", data, kind="candidates")
    data = {
        "beta": decoded[feasible][[recommended]],
        "mean": mean[recommended],
        "sd": 0.2,
        "evaluated/beta": decoded[feasible][best],
        "evaluated/objective": objective[index == best],
        "trials": trials,
        "negligible": case.threshold,
        "stop": "budget of iterations spent",
    }
    storage.write(folder / "optimum.h5", data, kind="candidates")
    data = {"beta": np.full((1, case.cycles), 0.7), "objective": np.array([np.nan, 3.0])}
    storage.write(folder / "constant.h5", data, kind="candidates")

    models = _models(folder, case, n, rng)
    files = {
        "images": ["--images", "images.h5"],
        "trajectories": ["--trajectories", "trajectories.h5"],
        "latent_space": "--trajectories trajectories.h5 --trajectory-vae vae.h5 --space space.h5",
        "surrogate": "--space space.h5 --design design.h5 --iteration last.h5",
        "overview": "--space space.h5 --design design.h5 --iteration last.h5 "
        "--trajectories trajectories.h5 --model optimum-0.h5",
        "convergence": "--design design.h5 --iteration last.h5 --optimum optimum.h5",
        "optimum": "--optimum optimum.h5 --best-constant constant.h5",
        "manifolds": ["--images", "images.h5", "--scores", "scores.csv", "--models", *models],
        "scores": ["--scores", "scores.csv"],
    }
    return {
        name: _inside(folder, words.split() if isinstance(words, str) else words)
        for name, words in files.items()
    }


def _models(folder: Path, case: Case, n: int, rng: np.random.Generator) -> list[str]:
    names, rows, grid = [], [], 10
    for model in MODELS:
        classes = 0 if model == "vanilla" else case.classes
        for replicate in range(case.seeds):
            names.append(f"{model}-{replicate}.h5")
            row = {"model": model, "replicate": replicate} | dict.fromkeys(plots.SCORES, "")
            data = {"status": "failed: the loss is not a number"}
            if (model, replicate) != ("beta-1", 0):
                shape = (max(classes, 1), grid, case.side, case.side)
                data = {
                    "status": "done",
                    "probabilities": rng.random((n, classes)),
                    "traversal": rng.random((2, *shape), dtype=np.float32),
                    "manifolds": rng.random((shape[0], grid, *shape[1:]), dtype=np.float32),
                }
                row |= {"loss": 20 + rng.random(), "objective": rng.random() if classes else ""}
                for score in ("accuracy", "ari", "nmi", "purity") if case.labelled else ():
                    row[score] = rng.random()
            storage.write(folder / names[-1], data, kind="model")
            rows.append(row)
    with open(folder / "scores.csv", "w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return names


def _inside(folder: Path, words: list[str]) -> list[str]:
    return [word if word.startswith("--") else str(folder / word) for word in words]


def draw(name: str, arguments: list[str], *outputs: Path) -> None:
    script = importlib.import_module(f"figure_{name}")
    script.main([*arguments, "--output", *map(str, outputs)])


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make(tmp_path_factory.mktemp("study"), Case(failed=(1, 5)))


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Give a study without labels, threshold or replicates."""
    case = Case(labelled=False, threshold=0, seeds=1, iterations=0)
    return make(tmp_path_factory.mktemp("bare"), case)


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_is_written_twice_the_same(study, tmp_path, name):
    outputs = [tmp_path / end for end in ("a.pdf", "a.png", "b.pdf")]
    draw(name, study[name], *outputs[:2])
    draw(name, study[name], *outputs[2:])
    first, png, second = (path.read_bytes() for path in outputs)
    assert first.startswith(b"%PDF") and png.startswith(b"\x89PNG")
    assert first == second
    assert sorted(tmp_path.iterdir()) == sorted(outputs)  # nothing left beside them


@pytest.mark.parametrize("name", ["images", "convergence", "manifolds", "scores"])
def test_figures_do_without_labels(bare, tmp_path, name):
    draw(name, bare[name], tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 2000


@pytest.mark.parametrize("latents", [1, 3])
def test_latent_spaces_of_other_dimensions(tmp_path, latents):
    arguments = make(tmp_path, Case(latents=latents, failed=(0,)))
    for name in ("latent_space", "surrogate", "overview"):
        draw(name, arguments[name], tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").exists()


def test_the_optimum_does_without_a_constant(study, tmp_path):
    draw("optimum", study["optimum"][:2], tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").exists()


def test_a_missing_input_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        draw("scores", ["--scores", str(tmp_path / "nowhere.csv")], tmp_path / "figure.pdf")
    assert not list(tmp_path.iterdir())


def test_failed_trials_show_in_the_search():
    ax = plots.figure(3, 3).subplots()
    objective = np.array([1.0, np.nan, 2.0, np.nan])
    figure_convergence.objective_history(ax, objective, 2, mean=1.5, sd=0.1)
    lines = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_array_equal(lines["2 failed"].get_xdata(), [2, 4])
    np.testing.assert_array_equal(lines["best so far"].get_ydata(), [1, 1, 2, 2])


def test_failed_trials_show_on_the_map():
    ax = plots.figure(3, 3).subplots()
    at = np.arange(12.0).reshape(6, 2)
    failed = np.array([False, True, False, True])
    plots.evaluated(ax, at, 2, failed, recommended=-2, best=-1)
    marks = {mark.get_label(): mark.get_offsets() for mark in ax.collections}
    np.testing.assert_array_equal(marks["failed"], at[[1, 3]])
    np.testing.assert_array_equal(marks["starting design"], at[[0]])
    np.testing.assert_array_equal(marks["iterations"], at[[2]])
    np.testing.assert_array_equal(marks["recommended"], at[[4]])


def test_a_failed_seed_is_left_out_of_the_mean():
    ax = plots.figure(3, 3).subplots()
    plots.strip(ax, [np.array([1.0, np.nan, 2.0]), np.array([np.nan])], "accuracy")
    points, mean = ax.get_lines()
    np.testing.assert_array_equal(points.get_xdata(), [1, 2])
    np.testing.assert_array_equal(mean.get_xdata(), [1.5, 1.5])
    assert [text.get_text() for text in ax.texts] == ["none"]


def test_the_map_stands_the_right_way_up():
    ax = plots.figure(3, 3).subplots()
    x, y = np.linspace(0, 1, 4), np.linspace(0, 2, 4)
    z = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    feasible = z[:, 0] + z[:, 1] > 0.1
    drawn = plots.surrogate_map(ax, z, feasible, z[feasible][:, 1], "viridis", "")
    cells = drawn.get_array()  # rows from low to high y
    np.testing.assert_allclose(cells[:, -1], y)
    assert cells.mask.sum() == 1 and cells.mask[0, 0]


def test_the_mosaic_keeps_rows_and_columns():
    ax = plots.figure(3, 3).subplots()
    images = np.arange(6.0).reshape(2, 3, 1, 1).repeat(4, 2).repeat(4, 3)
    plots.mosaic(ax, images, rows=["a", "b"])
    page = ax.get_images()[0].get_array()
    assert page.shape == (9, 14)
    np.testing.assert_array_equal(page[1, [1, 6, 11]], [0, 1, 2])
    np.testing.assert_array_equal(page[6, [1, 6, 11]], [3, 4, 5])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
