"""The scripts as commands: help, failed trainings, wrong files, GPUs that are not there."""

import csv
import importlib
import json
import os
import platform
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT

from zbo.base import command, config, storage
from zbo.base.errors import InputError
from zbo.base.objectives import OF_STUDY
from zbo.search import evaluation, objective
from zbo.trainer import jrvae, training

COMMANDS = ROOT / "scripts"
SCRIPTS = sorted(
    ".".join(path.relative_to(COMMANDS).with_suffix("").parts)
    for folder in (".", "figures", "figures/paper", "bench")
    for path in (COMMANDS / folder).glob("*.py")
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_explains_itself(name, capsys):
    script = importlib.import_module(name)
    with pytest.raises(SystemExit) as ended:
        script.main(["--help"])
    assert ended.value.code == 0
    assert "usage" in capsys.readouterr().out


@pytest.fixture
def prepared(tmp_path):
    """Images and two trajectories: a sane one and one that makes any training diverge."""
    rng = np.random.default_rng(0)
    images = rng.random((30, 8, 8)).astype(np.float32)
    storage.write(
        tmp_path / "images.h5", {"images": images, "subset": np.arange(20)}, kind="images"
    )
    beta = np.array([[1, 0.5, 0.1], [1, np.nan, 1]], dtype=np.float32)
    storage.write(tmp_path / "candidates.h5", {"beta": beta}, kind="candidates")
    return tmp_path


def trial_of(folder, index, trial="design-0", settings="test"):
    """Train a trial as the workflow does and read its file."""
    importlib.import_module("train_trial").main(
        [
            *("--settings", settings, "--images", str(folder / "images.h5")),
            *("--candidates", str(folder / "candidates.h5"), "--index", str(index)),
            *("--trial", trial, "--output", str(folder / f"{trial}-{index}.h5")),
        ]
    )
    return storage.read(folder / f"{trial}-{index}.h5", kind="trial")


def scored(folder, index=0, trial="design-0", **changes):
    """Score what is in a trial's file."""
    path = folder / f"{trial}-{index}.h5"
    settings = objective.ObjectiveSettings(**config.load("test")["objective"] | changes)
    return evaluation.score(*evaluation.read_trial(path), settings)


def test_a_trial_is_reproducible_and_its_seed_its_own(prepared):
    first = trial_of(prepared, 0)
    again = trial_of(prepared, 0)
    other = trial_of(prepared, 0, trial="design-1")
    assert first["status"] == "done"
    assert first.keys() == again.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name], err_msg=name)
    assert first["seeds"] != other["seeds"]
    assert scored(prepared).objective != scored(prepared, trial="design-1").objective


def test_a_training_that_diverges_is_a_failed_trial_with_its_reason(prepared):
    trial = trial_of(prepared, 1)
    assert trial["status"].startswith("failed")
    assert "cycle" in trial["status"]
    assert np.isnan(trial["loss"]).any()
    assert scored(prepared, 1).status == trial["status"]
    assert np.isnan(scored(prepared, 1).objective)


def test_one_replicate_that_diverges_fails_the_trial_and_says_which_seed(prepared, monkeypatch):
    real = training.run

    def one_diverges(trainings):
        real(trainings)
        trainings[1].diverged = training.TrainingDiverged("the loss of cycle 2")

    monkeypatch.setattr(training, "run", one_diverges)
    study = config.load("test", "search.replicates=3")
    trial = trial_of(prepared, 0, settings=json.dumps(study))
    assert trial["status"] == f"failed with seed {trial['seeds'][1]}: the loss of cycle 2"
    assert trial["loss"].shape == (3, 3)
    assert np.isnan(scored(prepared).objective)
    assert np.isnan(scored(prepared).mean("l1"))


def test_what_a_trial_keeps_is_what_its_training_gave(prepared, monkeypatch):
    """An objective sees the same of a file as of the model, and any objective the same file."""
    given = []
    real = evaluation.keep

    def keep(network, images, history):
        encoding = jrvae.encode(network, images)
        ends = {
            name: float(getattr(history, name)[-1]) for name in ("reconstruction", "kl_c", "kl_d")
        }
        ends["latents"] = network.settings.latent_dim
        given.append(objective.Learned(jrvae.manifolds(network, 4), **vars(encoding), **ends))
        return real(network, images, history)

    monkeypatch.setattr(evaluation, "keep", keep)
    trial_of(prepared, 0)
    trial, model = evaluation.read_trial(prepared / "design-0-0.h5")
    seen = evaluation.learned({name: v[0] for name, v in trial.kept.items()}, model, grid=4)
    for name, value in vars(given[0]).items():
        np.testing.assert_array_equal(getattr(seen, name), value, err_msg=name)
    found = {name: scored(prepared, name=name) for name in OF_STUDY}
    (one,) = found["l1-l2"].scores
    assert found["l1-l2"].objective == one.l1 - one.l2 == found["l1"].objective - one.l2
    assert len({each.objective for each in found.values()}) == len(found)
    with pytest.raises(InputError, match=r"objective.window: 9 pixels .* 8 x 8"):
        scored(prepared, window=9)


def test_replicates_are_averaged_and_their_spread_passed_on(prepared):
    study = config.load("test", "search.replicates=3")
    trial = trial_of(prepared, 0, settings=json.dumps(study))
    found = scored(prepared)
    scores = np.array([one.objective for one in found.scores])
    assert len(set(trial["seeds"])) == len(set(scores)) == 3
    assert found.objective == pytest.approx(scores.mean())
    assert found.variances[0] == pytest.approx(scores.var(ddof=1) / 3)
    assert found.mean("l2") == pytest.approx(np.mean([one.l2 for one in found.scores]))
    # The first seed is the one a single replicate has.
    trial_of(prepared, 0)
    assert scored(prepared).objective == scores[0]
    assert np.isnan(scored(prepared).variances).all()


def test_a_model_without_classes_is_judged_by_its_bound_or_ones_own(prepared, monkeypatch):
    (prepared / "of_mine.py").write_text(
        "def reconstruction(learned, settings):\n"
        "    assert learned.probabilities.shape[1] == 0 and len(learned.manifolds) == 1\n"
        "    return -learned.reconstruction\n"
    )
    monkeypatch.syspath_prepend(prepared)
    study = config.load("test", "model.classes=0 objective.name=elbo trajectories.beta_d=0")
    trial = trial_of(prepared, 0, settings=json.dumps(study))
    assert scored(prepared, name="l1").status == "failed: objective 'l1' is not finite"
    found = {}
    for name in ("elbo", "of_mine:reconstruction"):
        one = scored(prepared, name=name)
        assert one.status == "done"
        assert np.isnan(one.mean("l1"))  # it is about classes
        found[name] = one.objective
    # The last cycle's loss has the KL term at 0.1.
    kl = found["of_mine:reconstruction"] - found["elbo"]
    assert trial["loss"][0, -1] == pytest.approx(-found["of_mine:reconstruction"] + 0.1 * kl)


def test_clusters_of_latents_leave_the_angle_out(tmp_path):
    """Latents tell the labels apart; angles, ten times as far apart, tell other halves apart."""
    labels, angle = np.tile([0, 1], 20), np.repeat([-10.0, 10.0], 20)
    images = {"images": np.zeros((40, 8, 8), np.float32), "labels": labels}
    storage.write(tmp_path / "images.h5", images, kind="images")
    built = jrvae.ModelSettings(image_shape=(8, 8), classes=0, hidden_dim=(4,))
    ends = {"loss": 7.0, "reconstruction": 6.5, "kl_c": 0.5, "kl_d": 0.0}
    model = {
        "seed": 1,
        "status": "done",
        **{name: np.full(3, value) for name, value in ends.items()},
        **{f"weights/{name}": w for name, w in jrvae.weights(jrvae.build(built, 0)).items()},
        "probabilities": np.empty((40, 0)),
        "z_mean": np.column_stack([angle, labels, -labels]),
        "z_sd": np.ones((40, 3)),
    }
    made = {"model": built.model_dump(mode="json"), "seconds": 1.0, "device": "cpu"}
    storage.write(tmp_path / "optimum-0.h5", model, kind="model", **made)
    change = "model.classes=0 objective.name=elbo trajectories.beta_d=0"
    needed = ["model.classes", "objective", "compare.kinds"]
    settings = config.pick(config.load("test", change), needed)
    importlib.import_module("score_models").main(
        [
            *("--settings", json.dumps(settings)),
            *("--images", str(tmp_path / "images.h5"), "--output", str(tmp_path / "scores.csv")),
            *("--models", str(tmp_path / "optimum-0.h5")),
        ]
    )
    with open(tmp_path / "scores.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["accuracy"]) == 1
    assert (row["classes"], row["objective"], row["l1"]) == ("0", "-7.0000", "")


@pytest.mark.slow
@pytest.mark.parametrize(("problem", "worst"), [("learning-rate", np.log(10)), ("rvae", 0.15)])
def test_the_examples_learn_something(tmp_path, capsys, problem, worst):
    figure = tmp_path / "found.png"
    small = [problem, "--trials", "8", "--searches", "1", "--seeds", "1"]
    importlib.import_module("example").main([*small, "--output", str(figure)])
    assert figure.read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    for name in ("best schedule", "best constant"):
        # Worse is guessing; for pixels, whose standard deviation is 0.185, little more than that.
        assert 0 < float(re.search(name + r" +(\S+)", said)[1]) < worst


def test_fixed_seeds_are_the_same_for_every_trial(prepared):
    study = json.dumps(config.load("test", "search.seeds=fixed"))
    first = trial_of(prepared, 0, "design-0", study)
    other = trial_of(prepared, 0, "003-1", study)
    np.testing.assert_array_equal(first["loss"], other["loss"])


def test_the_second_channel_is_followed_as_beta_d(prepared):
    """The same training by hand, with that beta_d; another beta_d trains another model."""
    beta = np.array([[[1, 0.5, 0.1], d] for d in ([0.1, 2, 5], [2, 2, 2])], dtype=np.float32)
    storage.write(prepared / "candidates.h5", {"beta": beta}, kind="candidates")
    settings = config.load("test", "trajectories.beta_d=[0.05,8]")
    trial = trial_of(prepared, 0, settings=json.dumps(settings))
    np.testing.assert_array_equal(trial["beta_c"], beta[0, 0])
    np.testing.assert_array_equal(trial["beta_d"], beta[0, 1])
    images = storage.read(prepared / "images.h5", kind="images")["images"][:20]
    (seed,) = trial["seeds"].tolist()
    model = jrvae.build(evaluation.model_settings(settings["model"], (8, 8)), seed)
    schedule = training.TrainingSettings(**settings["training"])
    history = training.train(model, images, beta[0, 0], beta[0, 1], schedule, seed)
    np.testing.assert_array_equal(trial["loss"][0], history.loss)
    other = trial_of(prepared, 1, settings=json.dumps(settings))
    assert (other["loss"] != trial["loss"]).all()


def test_a_constant_takes_the_middle_of_beta_ds_bounds(prepared):
    searched = train(prepared, "beta-0.5", "trajectories.beta_d=[0.05,0.8]")
    stated = train(prepared, "beta-0.5", "trajectories.beta_d=0.2")
    assert searched["beta_d"] == pytest.approx(0.2)
    np.testing.assert_allclose(searched["loss"], stated["loss"], rtol=1e-6)


def test_a_trajectory_that_is_not_there_is_named(prepared):
    with pytest.raises(InputError, match="holds 2 trajectories, none is 7"):
        trial_of(prepared, 7)


def train(folder, model, change="", trajectory=()):
    importlib.import_module("train_model").main(
        [
            *("--settings", json.dumps(config.load("test", change))),
            *("--images", str(folder / "images.h5"), "--model", model, "--replicate", "0"),
            *("--trajectory", *trajectory, "--output", str(folder / "model.h5")),
        ]
    )
    return storage.read(folder / "model.h5", kind="model")


def test_a_stated_constant_is_scaled_by_the_pixels(prepared):
    change = "compare.unit_pixels=640"
    assert train(prepared, "beta-0.5", change)["beta_c"] == pytest.approx(0.05)  # 64 pixels
    assert train(prepared, "vae", change)["beta_c"] == pytest.approx(0.1)
    assert train(prepared, "vanilla", change)["beta_c"] == pytest.approx(1)


def test_vanilla_is_pyroveds_default_whatever_the_study_has(prepared):
    """The other VAE has the study's networks and rate; neither has classes or an angle."""
    change = "model.decoder=gaussian model.latent_dim=3 training.batch_size=7"
    weights = {}
    for model in ("vanilla", "vae"):
        one, other = train(prepared, model, change), train(prepared, model)
        assert one["probabilities"].shape == (30, 0)
        assert (model == "vanilla") == np.array_equal(one["loss"], other["loss"])
        weights[model] = one["weights/encoder_z.fc11.weight"].shape
    assert weights == {"vanilla": (2, 128), "vae": (3, 32)}


def test_another_studys_optimum_is_followed_in_this_ones_terms(prepared):
    importlib.import_module("choose_transfer").main(
        [
            *("--settings", json.dumps(config.load("test", "trajectories.bounds=[10,20]"))),
            *("--optimum", str(prepared / "candidates.h5"), "--bounds", "0", "2"),
            *("--output", str(prepared / "transfer.h5")),
        ]
    )
    model = train(prepared, "transfer", trajectory=[str(prepared / "transfer.h5")])
    # 1, 0.5, 0.1 at 0, 2/3, 4/3 and 2 is 1, 2/3, 11/30, 1/10; five times that above 10.
    assert model["beta_c"] == pytest.approx([15, 10 + 10 / 3, 10 + 11 / 6, 10.5])


def test_a_name_may_state_the_number_of_classes(prepared):
    """And nothing else: with the study's own number it is the same training."""
    beta = {"beta": np.ones((1, 4), np.float32)}
    storage.write(prepared / "optimum.h5", beta, kind="optimum")
    follows = [str(prepared / "optimum.h5")]
    change = "trajectories.cycles=4"
    assert train(prepared, "optimum-k5", change, follows)["probabilities"].shape == (30, 5)
    stated, own = (train(prepared, name, change, follows) for name in ("optimum-k3", "optimum"))
    np.testing.assert_array_equal(stated["loss"], own["loss"])


def test_a_model_asked_for_in_vain_is_named(prepared, capsys):
    with pytest.raises(SystemExit):
        train(prepared, "transfer")
    assert "model transfer needs a --trajectory" in capsys.readouterr().err
    with pytest.raises(InputError, match="model best: there is none"):
        train(prepared, "best")


@pytest.mark.parametrize(
    ("script", "settings", "more", "named"),
    [
        ("design", {"search": {"initial": 3}}, ["--batch-size", "9"], "search.batch_size: 9 "),
        ("design_ground", config.load("test", "ground.points=9"), None, "ground.points: 9 "),
        (
            "design_ground",
            config.load("test", "space.coordinates=parameters trajectories.families=[segments]"),
            None,
            "space.coordinates: the measuring ground is of latents",
        ),
    ],
)
def test_what_does_not_fit_into_the_space_is_named(tmp_path, script, settings, more, named):
    space = {"z": np.eye(4), "beta": np.ones((4, 3)), "feasible": np.ones(4, bool)}
    storage.write(tmp_path / "space.h5", space, kind="space")
    more = more or ["--trajectory-vae", "none.h5"]
    with pytest.raises(InputError, match=named):
        importlib.import_module(script).main(
            [
                *("--settings", json.dumps({"seed": 0} | settings), *more),
                *("--space", str(tmp_path / "space.h5"), "--output", str(tmp_path / "design.h5")),
            ]
        )


def test_a_mistake_is_one_line_and_exit_code_2(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "scripts/design.py", "--settings", "test"),
            *("--space", tmp_path / "none.h5", "--output", tmp_path / "design.h5"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "none.h5: there is no such file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_a_gpu_asked_for_and_not_there_is_an_error(monkeypatch):
    monkeypatch.delenv("ZBO_DEVICE", raising=False)
    assert command.device(0) == "cpu"
    with pytest.raises(InputError, match="1 GPU asked for"):
        command.device(1)


def test_the_cpu_in_place_of_a_gpu_has_to_be_said_and_is_said_again(monkeypatch, caplog):
    monkeypatch.setenv("ZBO_DEVICE", "cpu")
    assert command.device(1) == "cpu"
    assert "ZBO_DEVICE=cpu: trains on the CPU (1 GPUs asked for)" in caplog.text
    monkeypatch.setenv("ZBO_DEVICE", "gpu")
    with pytest.raises(InputError, match="may only be cpu"):
        command.device(1)


def test_processes_side_by_side_take_a_gpu_each(tmp_path):
    program = (
        "import sys; from zbo.base import command; "
        "print(command.first_free(['a', 'b'], sys.argv[1]), flush=True); sys.stdin.read()"
    )

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", program, tmp_path],
            cwd=ROOT / "scripts", text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        return process, int(process.stdout.readline())

    first, second, third = start(), start(), start()
    assert [taken for _, taken in (first, second, third)] == [
        0,
        1,
        0,
    ]  # more than there are: shared
    for process, _ in (second, third):
        process.kill()
        process.communicate()
    again, taken = start()
    assert taken == 1  # a killed process has let go
    for process in (first[0], again):
        process.communicate("")


def test_what_the_machine_failed_at_is_one_line(tmp_path, capsys):
    def full_disk():
        (tmp_path / f".trial.h5.{platform.node()}-{os.getpid()}.part").symlink_to("/dev/full")
        storage.write(tmp_path / "trial.h5", {"loss": np.zeros(9)}, kind="trial")

    def lost_gpu():
        raise torch.AcceleratorError(
            "CUDA error: unspecified launch failure\nCUDA kernel errors..."
        )

    def small_gpu():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    for main, said in (
        (full_disk, "disk full or over quota"),
        (lost_gpu, "the GPU failed (CUDA error: unspecified launch failure)"),
        (small_gpu, "out of GPU memory"),
    ):
        with pytest.raises(SystemExit) as ended:
            command.run(main)
        assert ended.value.code == 1
        errors = capsys.readouterr().err
        assert errors.startswith("error: ") and said in errors and errors.count("\n") == 1
    assert not list(tmp_path.iterdir())
    with pytest.raises(RuntimeError, match="our own"):
        command.run(lambda: (_ for _ in ()).throw(RuntimeError("our own")))
