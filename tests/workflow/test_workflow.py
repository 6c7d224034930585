"""The workflow for real, on the `test` study: whole, resumed after a kill, extended, broken."""

import base64
import contextlib
import csv
import fcntl
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path

import h5py
import numpy as np
import pytest
from cluster.testbed import until
from conftest import ROOT, environment, snakemake_command

import bo_iteration
from zbo.base import config, files, storage
from zbo.base.errors import InputError
from zbo.judge.scores import YARDSTICKS
from zbo.search import evaluation, objective


def search_results(folder):
    """Everything the search found, bit for bit."""
    found = {}
    for path in sorted((folder / "results/test/trials").glob("[d0]*.h5")):
        trial = storage.read(path, kind="trial")
        found[path.name] = {name: np.asarray(value).tobytes() for name, value in trial.items()}
    for path in sorted((folder / "results/test/iterations").glob("*.h5")):
        step = storage.read(path, kind="iteration")
        found[path.name] = {
            name: np.asarray(v).tobytes() for name, v in step.items() if name != "observed/seconds"
        }
    optimum = storage.read(folder / "results/test/optimum.h5", kind="optimum")
    return found | {"optimum": optimum["beta"].tobytes()}


def written(folder, pattern="trials/*.h5"):
    return {path: path.stat().st_mtime_ns for path in (folder / "results/test").glob(pattern)}


# Know no objective: their trajectories do not depend on it.
LASTING = {"trials/design", "trials/constant", "models/vanilla", "models/beta-1"}


def scores_in(folder):
    with open(folder / "results/test/scores.csv") as file:
        return {(row["model"], row["replicate"]): row for row in csv.DictReader(file)}


@pytest.mark.parametrize("study", config.known())
def test_a_dry_run_of_every_study_needs_no_data(snakemake, study):
    done = snakemake("-n", study=study)
    assert "train_trial" in done.stdout
    assert "checkpoint" in done.stdout


@pytest.mark.parametrize("scale", ["paper", "reduced"])
def test_the_claims_ask_for_the_papers_studies_at_one_scale(snakemake, scale):
    """Whatever is to run otherwise, and nothing that the other scale needs."""
    said = snakemake("--summary", "claims", scale=scale).stdout
    files = {line.split("\t")[0] for line in said.splitlines() if line.startswith("results/")}
    ending = "-reduced" if scale == "reduced" else ""
    studies = {f"{name}{ending}" for name in config.PAPER_STUDIES}
    assert {file.split("/")[1] for file in files} == studies | {f"paper{ending}"}
    wanted = {f"results/{study}/scores.csv" for study in studies}
    wanted |= {f"results/{study}/transfer.h5" for study in studies if study.startswith("nano")}
    assert wanted <= files
    assert f"results/paper{ending}/claims.csv" in files
    assert f"results/mnist{ending}/models/transfer-0.h5" not in files
    assert f"results/nanoparticles-7{ending}/models/beta-0.01-4.h5" in files


@pytest.mark.parametrize("profile", ["slurm", "dgx"])
def test_a_dry_run_plans_anywhere_and_says_what_a_real_one_would_lack(
    snakemake, monkeypatch, profile
):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    options = "--workflow-profile", f"profiles/{profile}"
    done = snakemake("-n", *options)
    assert "train_trial" in done.stdout and "train_model" in done.stdout
    here = any(map(shutil.which, ("apptainer", "singularity")))
    lacking = "There is no image containers/zbo.sif" if here else "There is no Apptainer here"
    assert lacking in " ".join(done.stdout.split())
    failed = snakemake("results/test/images.h5", *options, "--executor", "local", check=False)
    assert failed.returncode == 1 and "Traceback" not in failed.stdout
    assert " ".join(failed.stdout.split()).count(lacking) == 2  # a warning, then the error


def test_where_locks_do_not_work_a_run_goes_on(snakemake, checkout):
    """As on a network's file system without flock: here the lock's place is taken by a folder."""
    (checkout / ".zbo.lock").mkdir()
    done = snakemake("results/test/images.h5")
    assert "This file system cannot lock (Is a directory)" in " ".join(done.stdout.split())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A checkout in which the test study ran from beginning to end."""
    folder = tmp_path_factory.mktemp("finished")
    for name in ("Snakefile", "rules", "scripts", "config", "profiles"):
        (folder / name).symlink_to(ROOT / name)
    done = subprocess.run(
        snakemake_command("all", "report"),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3/3" in done.stdout and "best" in done.stdout  # progress is seen
    return folder


@pytest.fixture
def copy(finished, checkout):
    """The finished study in a folder of one's own, to change."""
    shutil.copytree(finished / "results", checkout / "results")
    shutil.copytree(finished / ".snakemake", checkout / ".snakemake")
    return checkout


def test_from_images_to_figures(finished):
    results = finished / "results/test"
    assert sorted(p.stem for p in (results / "iterations").glob("*.h5")) == ["000", "001", "002"]
    assert len(list((results / "trials").glob("*.h5"))) == 3 + 2 * 2 + 2
    with open(results / "scores.csv") as file:
        rows = list(csv.DictReader(file))
    compared = {"vanilla", "beta-1", "constant", "optimum"}
    assert compared < {row["model"] for row in rows}  # and a consensus, and clusters of pixels
    rows = [row for row in rows if row["model"] in compared]
    assert all(row["status"] == "done" for row in rows)
    assert all(0 < float(row["accuracy"]) <= 1 for row in rows)
    assert len(list((results / "figures").glob("*.pdf"))) >= 7


def test_beta_d_searched_as_well_from_trajectories_to_figures(snakemake, checkout):
    figures = [f"results/test/figures/{name}.pdf" for name in ("trajectories", "latent_space")]
    snakemake(
        *(*figures, "results/test/figures/optimum.pdf", "results/test/scores.csv"),
        change="trajectories.beta_d=[0.05,0.8] search.iterations=1 compare.seeds=1",
    )
    results = checkout / "results/test"
    sampled = storage.read(results / "trajectories.h5", kind="trajectories")["beta"]
    assert sampled.shape == (200, 2, 4)
    optimum = storage.read(results / "optimum.h5", kind="optimum")["beta"]
    assert optimum.shape == (1, 2, 4)
    model = storage.read(results / "models/optimum-0.h5", kind="model")
    np.testing.assert_array_equal([model["beta_c"], model["beta_d"]], optimum[0])
    constant = storage.read(results / "models/beta-1-0.h5", kind="model")["beta_d"]
    np.testing.assert_allclose(constant, 0.2)
    trials = [storage.read(path, kind="trial") for path in results.glob("trials/[d0]*.h5")]
    assert len(trials) == 3 + 2
    assert len({tuple(trial["beta_d"]) for trial in trials}) == len(trials)
    with open(results / "scores.csv") as file:
        assert all(row["status"] == "done" for row in csv.DictReader(file))


def test_a_model_without_classes_from_images_to_report(snakemake, checkout):
    change = "model.classes=0 objective.name=elbo trajectories.beta_d=0 search.iterations=0"
    models = ["vae", "beta-1", "constant", "optimum"]
    change += f" compare.seeds=1 compare.models=[{','.join(models)}]"
    snakemake("all", "report", change=change)
    with open(checkout / "results/test/scores.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == [*models, *YARDSTICKS]
    rows = rows[: len(models)]
    for row in rows:
        assert (row["status"], row["classes"], row["l1"]) == ("done", "0", "")
        assert float(row["objective"]) < 0 < float(row["accuracy"])
    page = (checkout / "results/report.html").read_text()
    assert "rVAE, zBO optimum" in page and "jrVAE" not in page.split("<table")[-1]
    assert page.count("data:image/png;base64,") == 12  # no map


def test_every_dataset_says_what_it_is(finished):
    for path in sorted((finished / "results/test").rglob("*.h5")):
        with h5py.File(path) as file:

            def told(name, item, path=path):
                if isinstance(item, h5py.Dataset):
                    assert "text" in item.attrs, f"{path}: {name}: describe it in zbo.base.files"
                    known = files.ranks(item.attrs["dims"])
                    assert known is None or item.ndim in known, f"{path}: {name}: {item.shape}"

            file.visititems(told)


def test_every_column_says_what_it_is(finished):
    for name, (_, columns) in files.TABLES.items():
        with open(finished / "results/test" / name) as file:
            for column in next(csv.reader(file)):
                assert any(fnmatchcase(column, known) for known in columns), f"{name}: {column}"


def test_the_report_tells_of_the_study(finished):
    page = (finished / "results/report.html").read_text()
    assert page.count("<figcaption>") == page.count("data:image/png;base64,") == 12  # no map
    assert "7, 0 failed; search ended: budget of iterations spent" in page
    with open(finished / "results/test/scores.csv") as file:
        of_model = [float(r["accuracy"]) for r in csv.DictReader(file) if r["model"] == "optimum"]
    assert f"<td>{np.mean(of_model):.2f} ± {np.std(of_model, ddof=1):.2f}</td>" in page


def test_every_figure_of_the_paper_is_a_target(snakemake):
    listed = snakemake("--list-rules").stdout.split()
    for name in [*(f"fig{number:02d}" for number in range(3, 13)), "figB1", "figB2"]:
        assert name in listed
        assert (ROOT / "rules/captions" / f"{name}.rst").exists()


@pytest.mark.parametrize("scale", ["paper", "reduced"])
def test_a_figure_of_the_paper_asks_for_its_study_at_one_scale(snakemake, scale):
    said = snakemake("--summary", "fig12", scale=scale).stdout
    files = {line.split("\t")[0] for line in said.splitlines() if line.startswith("results/")}
    ending = "-reduced" if scale == "reduced" else ""
    # MNIST's for its optimum, which is transferred.
    studies = {f"{name}{ending}" for name in ("nanoparticles-7", "mnist", "paper")}
    assert {file.split("/")[1] for file in files} == studies
    assert {f"results/paper{ending}/fig12.{end}" for end in ("pdf", "png")} <= files
    assert f"results/mnist{ending}/models/optimum-0.h5" not in files


def test_figure_3_is_drawn_by_name(snakemake, checkout):
    snakemake("fig03")
    assert (checkout / "results/paper/fig03.pdf").read_bytes().startswith(b"%PDF")
    assert (checkout / "results/paper/fig03.png").exists()


def test_iterations_carry_all_observations(finished):
    results = finished / "results/test"
    last = storage.read(results / "iterations/002.h5", kind="iteration")
    assert len(last["observed/objective"]) == 3 + 2 * 2
    names = [f"design-{i:d}" for i in range(3)] + ["000-0", "000-1", "001-0", "001-1"]
    paths = [results / f"trials/{name}.h5" for name in names]
    trials = [storage.read(path, kind="trial") for path in paths]
    scoring = objective.ObjectiveSettings(**config.load("test")["objective"])
    scored = [evaluation.score(*evaluation.read_trial(path), scoring) for path in paths]
    np.testing.assert_array_equal(last["observed/objective"], [one.objective for one in scored])
    for part in ("l1", "l2", "information"):
        np.testing.assert_array_equal(last[f"observed/{part}"], [s.mean(part) for s in scored])
    np.testing.assert_allclose(last["observed/z"], [t["z"] for t in trials])
    facts = storage.facts(results / "trials/000-0.h5", kind="trial")
    assert facts["versions"]["torch"]
    assert facts["settings"]["training"]["learning_rate"] == 0.003
    assert facts["device"] in ("cpu", "cuda")


def test_a_finished_study_has_nothing_to_do(copy, snakemake):
    assert "Nothing to be done" in snakemake("-n").stdout
    (copy / "scripts").unlink()
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    with open(copy / "scripts/train_trial.py", "a") as script:
        script.write("# a comment\n")  # no reason to train again
    assert "Nothing to be done" in snakemake("-n").stdout


def test_raising_the_budget_continues(copy, snakemake):
    before = written(copy)
    snakemake("search", change="search.iterations=3")
    after = written(copy)
    assert {path: after[path] for path in before} == before
    assert {p.stem for p in set(after) - set(before)} == {"002-0", "002-1"}
    assert (copy / "results/test/iterations/003.h5").exists()
    optimum = storage.read(copy / "results/test/optimum.h5", kind="optimum")
    assert (optimum["iterations"], optimum["trials"]) == (3, 9)


def test_a_changed_training_setting_evaluates_every_trial_again(copy, snakemake):
    before = written(copy)
    snakemake("search", change="training.batch_size=40")
    after = written(copy)
    searched = [path for path in before if not path.name.startswith("constant")]
    assert all(after[path] > before[path] for path in searched)
    for path in searched:
        assert storage.facts(path, kind="trial")["settings"]["training"]["batch_size"] == 40


def test_another_objective_scores_anew_and_trains_only_what_it_asks_for(copy, snakemake):
    """Neither a design trial, a constant nor a model that states its trajectory."""

    def trained():
        found = written(copy) | written(copy, "models/*.h5")
        return {f"{path.parent.name}/{path.stem}": when for path, when in found.items()}

    before, scores_before = trained(), scores_in(copy)
    snakemake(change="objective.name=l1-l2 objective.grid=3")
    after, scores = trained(), scores_in(copy)
    kept = {name for name in after if after[name] == before.get(name)}
    assert kept == {name for name in after if name.rpartition("-")[0] in LASTING}
    for name, row in scores.items():
        if row["l1"]:  # neither of a VAE nor of a consensus
            difference = float(row["l1"]) - float(row["l2"])
            assert float(row["objective"]) == pytest.approx(difference, abs=2e-4)
        if row["model"] == "beta-1":
            assert row["loss"] == scores_before[name]["loss"]
            assert row["l1"] != scores_before[name]["l1"]  # another grid
    last = storage.read(copy / "results/test/iterations/002.h5", kind="iteration")
    both = last["observed/l1"] - last["observed/l2"]
    np.testing.assert_allclose(last["observed/objective"], both)


def test_two_objectives_are_searched_together(copy, snakemake):
    """Information and factors: the same design trials, a front, and its point with live factors."""
    design = {path: when for path, when in written(copy).items() if "design" in path.name}
    figures = [f"results/test/figures/{name}.pdf" for name in ("convergence", "front", "optimum")]
    change = "objective.name=[information,factors]"
    snakemake("search", "results/test/best_constant.h5", *figures, change=change)
    assert design.items() <= written(copy).items()
    last = storage.read(copy / "results/test/iterations/002.h5", kind="iteration")
    both = np.stack([last["observed/information"], last["observed/factors"]], 1)
    np.testing.assert_allclose(last["observed/objectives"], both)
    assert last["means"].shape == last["sds"].shape == (len(last["mean"]), 2)
    np.testing.assert_array_equal(last["means"][:, 0], last["mean"])
    assert (np.diff(last["means"][last["front"], 0]) > 0).all()
    assert (np.diff(last["means"][last["front"], 1]) < 0).all()
    alive = last["means"][:, 1] >= 2  # a nat for each of two latents
    chosen = last["means"][last["best_estimated"]]
    if alive.any():
        assert chosen[1] >= 2 and chosen[0] == last["means"][alive, 0].max()


def test_a_familys_own_parameters_are_searched_without_a_vae(copy, snakemake):
    change = "space.coordinates=parameters trajectories.families=[late_cooldown] compare.seeds=1"
    results = copy / "results/test"
    for made in ("trajectory_vae.h5", "figures/latent_space.png"):
        (results / made).unlink()
    snakemake("report", change=change)
    assert not (results / "trajectory_vae.h5").exists()
    assert not (results / "figures/latent_space.png").exists()
    z = storage.read(results / "space.h5", kind="space")["z"]
    assert z.shape[1] == 4 and 0 <= z.min() < z.max() <= 1
    assert "Latent space" not in (copy / "results/report.html").read_text()


def test_schedules_made_by_hand_are_tried_and_the_best_form_is_trained(copy, snakemake):
    """Warm-up and the like: as many forms as constants, and models along the best of each."""
    made = [f"models/{name}-0.h5" for name in ("warmup", "cyclical", "cooldown")]
    snakemake(*(f"results/test/{path}" for path in made))
    for path in made:
        name = Path(path).stem.removesuffix("-0")
        best = storage.read(copy / f"results/test/best_{name}.h5", kind="best_schedule")
        assert best["objective"].argmax() == best["best"]
        np.testing.assert_array_equal(best["objective"], best["l1"])
        assert best["tried"].shape == (2,)
        model = storage.read(copy / "results/test" / path, kind="model")
        np.testing.assert_allclose(model["beta_c"], best["beta"][0])


def test_another_unit_of_pixels_trains_the_stated_constants_alone(copy, snakemake):
    planned = snakemake("-n", change="compare.unit_pixels=900").stdout
    assert re.search(r"train model +2\b", planned)  # the seeds of beta-1
    assert "train trial" not in planned


def test_a_run_can_be_looked_at_while_it_works(copy):
    """A trial is missing, and a run holds the folder's lock."""
    results = copy / "results/test"
    for path in ("optimum.h5", "iterations/002.h5", "trials/001-1.h5", "scores.csv"):
        (results / path).unlink()
    before = written(copy, "**/*.h5")
    with open(copy / ".zbo.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            [sys.executable, ROOT / "scripts/peek.py", "test"],
            cwd=copy, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = "6 trials of at most 7: the search goes on. 0 of 8 models are trained since."
    assert done.stdout.startswith(said)
    assert written(copy, "**/*.h5") == before
    rows = storage.read_table(results / "trials.csv")
    names = [*(f"design-{i}" for i in range(3)), "000-0", "000-1", "001-0"]
    assert [row["trial"] for row in rows] == names
    scoring = objective.ObjectiveSettings(**config.load("test")["objective"])
    for row in rows:  # scored by an iteration or here, it is the same
        path = results / f"trials/{row['trial']}.h5"
        scored = evaluation.score(*evaluation.read_trial(path), scoring)
        assert row["state"] == "done" and row["cycles"] == "4"
        assert float(row["objective"]) == pytest.approx(scored.objective, abs=1e-4)
        assert float(row["information"]) == pytest.approx(scored.mean("information"), abs=1e-4)
    page = (results / "peek.html").read_text()
    assert said in page and "search goes on, 1 of the next 2 done" in page
    assert page.count("<figcaption>") == 5  # images, trajectories, latent space, map and course


def test_before_there_are_images_there_is_nothing_to_look_at(checkout):
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/peek.py", "test"],
        cwd=checkout, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "results/test: holds no images.h5 yet" in done.stderr


def test_how_many_kinds_there_are_is_asked_for_by_name(copy, snakemake):
    assert "k2-" not in snakemake("-n", "all", "report", change="kinds.max=3").stdout
    before = written(copy, "**/*.h5")
    snakemake("results/test/figures/kinds.pdf", change="kinds.max=3 kinds.seeds=2")
    results = copy / "results/test"
    rows = storage.read_table(results / "kinds.csv")
    assert [(row["classes"], row["seeds"]) for row in rows] == [("2", "2"), ("3", "2")]
    assert sum(row["recommended"] == "1" for row in rows) == 1
    new = set(written(copy, "**/*.h5")) - set(before)
    assert {path.stem for path in new} == {
        f"optimum-k{k}-{seed}" for k in (2, 3) for seed in (0, 1)
    }
    assert before.items() <= written(copy, "**/*.h5").items()


def test_new_images_are_told_apart_by_what_the_study_kept(copy, snakemake):
    """Twenty of the study's own digits, as pictures in a folder whose name has a space in it."""
    from PIL import Image

    results = copy / "results/test"
    own = storage.read(results / "images.h5", kind="images")["images"][:20]
    (copy / "a new day").mkdir()
    for i, image in enumerate(own):
        Image.fromarray(np.uint8(np.round(image * 255))).save(copy / f"a new day/{i}.png")
    before = written(copy, "**/*.h5")
    # The study as it was run, whatever is asked of it now.
    new = snakemake("apply", change="training.batch_size=40", images="a new day")
    assert {
        path: when for path, when in written(copy, "**/*.h5").items() if path in before
    } == before
    assert "a-new-day/classes.csv: 20 images" in " ".join(new.stdout.split())
    applied = results / "apply/a-new-day"
    found, there = (storage.read_table(at / "classes.csv") for at in (applied, results))
    assert [row["class"] for row in found] == [row["class"] for row in there[:20]]
    assert found[3]["file"] == "a new day/3.png"
    drawn = {path.name for path in (applied / "figures").iterdir()}
    names = ("members", "map", "latents")
    assert drawn == {f"{name}.{end}" for name in names for end in ("pdf", "png")}
    assert "Nothing to be done" in snakemake("-n", "apply", images="a new day").stdout
    (copy / "a new day").rename(copy / "another day")
    taken = snakemake("apply", check=False, images="another day", name="a-new-day")
    assert "holds what was made of a new day; give another day a name" in taken.stdout
    small = copy / "small"
    small.mkdir()
    Image.fromarray(np.zeros((7, 8), np.uint8)).save(small / "s.png")
    wrong = snakemake("apply", check=False, images="small")
    said = " ".join(wrong.stdout.split())
    assert "error: small/s.png has 7 x 8 pixels, the study's images 8 x 8" in said


def test_what_new_images_lack_is_named(checkout, snakemake):
    (checkout / "new").mkdir()
    for more, said in (
        ({}, "apply: to which images? make apply STUDY=mine IMAGES=folder"),
        ({"images": "nowhere"}, "nowhere: there is no such file or folder of new images"),
        ({"images": "new"}, "results/test holds no model.h5: study test has not been run"),
    ):
        failed = snakemake("-n", "apply", check=False, **more)
        assert failed.returncode != 0 and said in failed.stdout


def test_a_changed_stopping_rule_or_a_lost_figure_evaluates_nothing(copy, snakemake):
    (next((copy / "results/test/figures").glob("*.pdf"))).unlink()
    assert "train_trial" not in snakemake("-n").stdout
    before = written(copy), written(copy, "iterations/*.h5")
    # Any improvement is negligible now: the search ends at its first fit, all of it kept.
    snakemake("search", change="search.stop_threshold=1000 search.stop_patience=1")
    assert (written(copy), written(copy, "iterations/*.h5")) == before
    optimum = storage.read(copy / "results/test/optimum.h5", kind="optimum")
    assert (optimum["iterations"], optimum["trials"]) == (0, 3)
    assert "negligible" in optimum["stop"]


def test_a_damaged_iteration_is_named_and_left_alone(copy, snakemake):
    path = copy / "results/test/iterations/001.h5"
    path.write_bytes(path.read_bytes()[:900])
    failed = snakemake("-n", "search", check=False)
    assert failed.returncode != 0
    said = " ".join(failed.stdout.split())
    assert "iterations/001.h5: not a whole HDF5 file" in said
    assert path.exists()


def test_replaced_pictures_and_edited_functions_are_noticed(checkout, snakemake):
    from PIL import Image

    (checkout / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(checkout / f"pictures/{i}.png")
    own = "def keep(beta, bounds, tolerance):\n    return beta.min(1) > least\n"
    (checkout / "own.py").write_text("from helps import least\n\n" + own)
    (checkout / "helps.py").write_text("least = -9")
    change = "images.source=files images.path=pictures images.subset=4 images.count=null "
    change += "space.constraint=own:keep"
    targets = "results/test/images.h5", "results/test/space.h5"
    snakemake(*targets, change=change)
    record = base64.b64encode(targets[0].encode()).decode()
    kept = json.loads((checkout / ".snakemake/metadata" / record).read_text())
    assert kept["input"] == []  # of thousands Snakemake would look at each, again and again
    assert "Nothing to be done" in snakemake("-n", *targets, change=change).stdout
    Image.fromarray(pixels.T.copy()).save(checkout / "pictures/3.png")
    os.utime(checkout / "pictures/3.png", (1e9, 1e9))  # as `cp -p` and archives leave it
    again = snakemake("-n", *targets, change=change).stdout
    assert "prepare" in again and "build" not in again
    snakemake(*targets, change=change)
    (checkout / "helps.py").write_text("least = -8")
    again = snakemake("-n", *targets, change=change).stdout
    assert "build" in again and "prepare" not in again


@pytest.mark.slow
def test_what_a_killed_run_left_is_waited_for_and_two_runs_are_not_let_in(checkout, snakemake):
    """Else a training of other settings could end last, and its file be taken for this run's."""
    targets = "results/test/models/beta-1-0.h5", "results/test/images.h5"
    long = "trajectories.cycles=400000"
    log = checkout / "logs/test/train_model/beta-1-0.log"

    def start(name, **settings):
        with open(checkout / name, "w") as said:
            return subprocess.Popen(
                snakemake_command(*targets, **settings),
                cwd=checkout, env=environment(), stdout=said, stderr=said,
            )  # fmt: skip

    first = start("first.log", change=long)
    until(lambda: log.exists() and "loss=" in log.read_text())
    refused = snakemake(*targets, check=False)
    assert refused.returncode != 0 and "another run is at work" in refused.stdout
    first.kill()
    first.wait()
    second = start("second.log")
    until(lambda: "to stop them: kill" in (checkout / "second.log").read_text())
    said = " ".join((checkout / "second.log").read_text().split())
    left = re.search(r"to stop them: kill ([\d ]+)", said)[1].split()
    time.sleep(2)
    assert second.poll() is None and not (checkout / targets[0]).exists()
    for process in map(int, left):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    assert second.wait(240) == 0
    made = storage.facts(checkout / targets[0], kind="model")
    assert made["settings"]["trajectories"]["cycles"] == 4


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_anywhere_it_ends_as_if_undisturbed(finished, checkout, snakemake):
    """kill -9 of everything in the middle of a training, then of Snakemake alone, then SIGTERM."""
    target = "search"
    trials = checkout / "results/test/trials"
    finished_then = {}
    for step, (wanted, signum, whole) in enumerate(
        [(1, signal.SIGKILL, True), (4, signal.SIGKILL, False), (6, signal.SIGTERM, True)]
    ):
        with open(checkout / f"run{step}.log", "w") as log:
            running = subprocess.Popen(
                snakemake_command(target),
                cwd=checkout,
                env=environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            deadline = time.monotonic() + 240
            while len(list(trials.glob("*.h5"))) < wanted and running.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            (os.killpg if whole else os.kill)(running.pid, signum)
            try:
                running.wait(120)
            except subprocess.TimeoutExpired:  # a SIGTERM may find Snakemake holding its own lock
                assert signum == signal.SIGTERM
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()
        # Snakemake marks what a job it saw begin will write, and unmarks it once it saw it end.
        marks = (checkout / ".snakemake/incomplete").iterdir()
        begun = {checkout / base64.urlsafe_b64decode(mark.name).decode() for mark in marks}
        noted = {path: when for path, when in written(checkout).items() if path not in begun}
        finished_then = noted | finished_then
    snakemake(target)
    assert search_results(checkout) == search_results(finished)
    after = written(checkout)
    assert finished_then
    assert {path: after[path] for path in finished_then} == finished_then  # not trained again
    assert not list(checkout.glob("results/test/**/*.part"))


def test_a_damaged_file_is_named_and_nothing_else_is_lost(copy, snakemake):
    trial = copy / "results/test/trials/001-1.h5"
    trial.write_bytes(trial.read_bytes()[:900])
    (copy / "results/test/iterations/002.h5").unlink()
    failed = snakemake("search", check=False)
    assert failed.returncode != 0
    assert "trials/001-1.h5" in failed.stdout.replace("\n", "")
    assert "cut short or damaged" in " ".join(failed.stdout.split())
    assert "Traceback" not in failed.stdout
    trial.unlink()
    before = written(copy)
    snakemake("search")
    assert set(written(copy)) - set(before) == {trial}
    assert {p: t for p, t in written(copy).items() if p != trial} == before


def test_a_trial_that_snakemake_has_no_record_of_is_not_taken_for_another(copy, snakemake):
    """As a job leaves it that outlived the run that started it."""
    trial = "results/test/trials/design-1.h5"
    (copy / ".snakemake/metadata" / base64.b64encode(trial.encode()).decode()).unlink()
    assert trial not in snakemake("-n", "search", change="training.batch_size=40").stdout
    settings = storage.facts(copy / trial, kind="trial")["settings"]
    settings["training"]["batch_size"] = 40
    results = copy / "results/test"
    with pytest.raises(InputError, match=r"design-0.h5: trained with other settings"):
        bo_iteration.main(
            [
                *("--settings", "test", "--space", f"{results}/space.h5", "--iteration", "0"),
                *("--candidates", f"{results}/design.h5", "--trained", json.dumps(settings)),
                *("--trials", *(f"{results}/trials/design-{i}.h5" for i in range(3))),
                *("--output", f"{results}/again.h5"),
            ]
        )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("search.iteratons=3", "search.iteratons: no such key"),
        ("trajectories.bounds=[2,1]", "wrong way round"),
    ],
)
def test_a_wrong_key_ends_before_anything_runs(snakemake, change, named):
    failed = snakemake("-n", change=change, check=False)
    assert failed.returncode != 0
    assert named in " ".join(failed.stdout.split())
    assert "Traceback" not in failed.stdout


def test_a_mistake_in_a_job_is_one_line_of_the_log(snakemake, checkout):
    failed = snakemake("results/test/images.h5", change="images.subset=5000", check=False)
    assert failed.returncode != 0
    output = " ".join(failed.stdout.split())
    assert "error: images.subset" in output
    assert "Traceback" not in output
    assert not (checkout / "results/test/images.h5").exists()


@pytest.mark.slow
def test_mnist_cut_down(checkout, snakemake, monkeypatch):
    """The paper's study on a handful of made-up digits in MNIST's files, to its optimum."""
    folder = checkout / "mnist"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, values in (
        ("train-images-idx3-ubyte", rng.integers(0, 256, (60, 28, 28), dtype=np.uint8)),
        ("train-labels-idx1-ubyte", rng.integers(0, 10, 60, dtype=np.uint8)),
    ):
        header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
        (folder / name).write_bytes(header + values.tobytes())
    monkeypatch.setenv("ZBO_MNIST", str(folder))
    snakemake(
        "results/mnist/optimum.h5",
        study="mnist",
        change="images.subset=40 trajectories.cycles=2 trajectories.per_family=40 space.grid=15 "
        "trajectory_vae.cycles=5 search.initial=2 search.iterations=1 objective.grid=3 "
        "model.hidden_dim=[32,32] training.batch_size=20",
    )
    optimum = storage.read(checkout / "results/mnist/optimum.h5", kind="optimum")
    assert optimum["beta"].shape == (1, 2)
    assert (optimum["beta"] > 0).all()
