"""A training stopped anywhere and started again ends, bit for bit, as if undisturbed."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, environment, snakemake_command

from zbo.base import config, storage
from zbo.trainer import checkpoint, jrvae, kernels, training
from zbo.trainer.checkpoint import Checkpoint
from zbo.trainer.training import Training, TrainingSettings

IMAGES = np.random.default_rng(0).random((20, 6, 5), dtype=np.float32)
BETA = np.linspace(2, 0.1, 4)
EIGHTS = TrainingSettings(batch_size=8)


def a_training(
    path=None, classes=3, settings=EIGHTS, images=IMAGES, beta=BETA, seed=4, model=None, **more
):
    shape = {"image_shape": (6, 5), "hidden_dim": (32, 32)}
    model = jrvae.build(jrvae.ModelSettings(**shape, classes=classes, **model or {}), seed=3)
    kept = None if path is None else Checkpoint(path)
    return Training(
        model, images, beta, np.full(len(beta), 0.5), settings, seed, checkpoint=kept, **more
    )


def results(trained):
    trained.finish()
    found = trained.history()
    arrays = [found.loss, found.reconstruction, found.kl_c, found.kl_d, found.active_classes]
    return b"".join(a.tobytes() for a in [*arrays, *jrvae.weights(trained.model).values()])


@pytest.mark.parametrize("steps", [1, 3, 8, 11])  # in a cycle, between two, before the last step
@pytest.mark.parametrize(
    "classes, threshold, pixels, own",
    [
        (3, 0.0, "all", False),
        (3, 0.3, "all", False),
        (0, 0.0, "all", False),
        (3, 0.3, 4, False),
        (3, 0.3, 4, True),
    ],
)
def test_stopped_and_continued_is_as_undisturbed(tmp_path, steps, classes, threshold, pixels, own):
    options = {"learning_rate": 1e-2, "batch_size": 8, "prune_threshold": threshold}
    options["pixels"], chosen = pixels, {"classes": classes}
    if own:  # all that is not the paper's
        options |= {"start": "mixture", "start_share": 0.5, "center": True, "marginal": 2.0}
        options |= {"angle_weight": 0.1}
        chosen["model"] = {"decoder": "gaussian", "decoder_sigma": "learned"}
    chosen["settings"] = TrainingSettings(**options)
    stopped = a_training(tmp_path / "state", **chosen)
    for _ in range(steps):
        stopped.step()
    stopped.save()
    calls = []
    again = a_training(tmp_path / "state", **chosen, progress=lambda *call: calls.append(call))
    assert (again.cycle, again.at) == (stopped.cycle, stopped.at) != (0, 0)
    assert results(again) == results(a_training(**chosen))
    assert [cycle for cycle, _ in calls] == [0, 1, 2, 3]
    assert [loss for _, loss in calls] == again.history().loss.tolist()


def test_a_finished_training_is_not_trained_again(tmp_path):
    first = a_training(tmp_path / "state")
    first.finish()
    first.save()
    again = a_training(tmp_path / "state")
    assert again.done
    assert results(again) == results(first)


@pytest.mark.parametrize(
    "change",
    [
        {"settings": TrainingSettings(batch_size=4)},
        {"settings": TrainingSettings(batch_size=8, pixels=4)},
        {"images": IMAGES[::-1].copy()},
        {"beta": BETA[::-1]},
        {"seed": 5},
    ],
    ids=["settings", "pixels", "images", "trajectory", "seed"],
)
def test_the_state_of_another_training_is_removed_with_a_warning(tmp_path, change, caplog):
    stopped = a_training(tmp_path / "state")
    stopped.step()
    stopped.save()
    with caplog.at_level(logging.WARNING):
        other = a_training(tmp_path / "state", **change)
    assert len(caplog.records) == 1 and "of other settings" in caplog.text
    assert not (tmp_path / "state").exists()
    assert results(other) == results(a_training(**change))


@pytest.mark.parametrize("keep", [0, 100, -10], ids=["empty", "beginning", "end missing"])
def test_a_damaged_state_is_removed_with_a_warning(tmp_path, keep, caplog):
    path = tmp_path / "state"
    stopped = a_training(path)
    stopped.step()
    stopped.save()
    path.write_bytes(path.read_bytes()[:keep])
    with caplog.at_level(logging.WARNING):
        again = a_training(path)
    assert len(caplog.records) == 1 and "damaged" in caplog.text
    assert not path.exists()
    assert results(again) == results(a_training())


def test_the_state_of_other_code_is_removed(tmp_path, monkeypatch, caplog):
    stopped = a_training(tmp_path / "state")
    stopped.step()
    stopped.save()
    monkeypatch.setattr(checkpoint, "_code", lambda: "another")
    assert a_training(tmp_path / "state").cycle == 0
    assert "code" in caplog.text and not (tmp_path / "state").exists()


def test_it_is_written_by_time_and_a_short_training_writes_nothing(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    trained = a_training(tmp_path / "state")
    written = []
    save = trained.checkpoint.save

    def counted(*arguments):
        written.append(now[0])
        save(*arguments)

    trained.checkpoint.save = counted
    for now[0] in (0, 60, 119, 121, 200, 400, 430, 800):
        trained.step()
    assert written == [121, 430, 800]


def test_a_full_disk_costs_the_state_and_not_the_training(tmp_path, monkeypatch, caplog):
    trained = a_training(tmp_path / "state")
    trained.step()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "write", full)
    trained.save()
    assert "No space left on device" in caplog.text
    assert results(trained) == results(a_training())


side_by_side = pytest.mark.skipif(kernels.load() is None, reason="torch trains one after the other")


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=side_by_side)])
def test_a_sigterm_saves_every_training_under_way(tmp_path, threads):
    torch.set_num_threads(threads)
    beta = np.linspace(2, 0.1, 2000)
    paths = [tmp_path / f"{i}" for i in range(2)]
    begun = threading.Barrier(threads, action=lambda: os.kill(os.getpid(), signal.SIGTERM))

    def watch(cycle, _):
        if cycle == 3:
            begun.wait(60)

    before = signal.getsignal(signal.SIGTERM)
    pair = [a_training(p, beta=beta, seed=i, progress=watch) for i, p in enumerate(paths)]
    with pytest.raises(checkpoint.Interrupted) as stopped:
        training.run(pair)
    assert stopped.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before
    under_way = [p for p, t in zip(paths, pair, strict=True) if t.cycle + t.at]
    assert len(under_way) == threads and all(p.exists() for p in under_way)
    again = a_training(paths[0], beta=beta, seed=0)
    assert 3 <= again.cycle < 2000


def script(folder, settings, output):
    return [
        *(sys.executable, ROOT / "scripts/train_trial.py", "--settings", json.dumps(settings)),
        *("--images", folder / "images.h5", "--candidates", folder / "candidates.h5"),
        *("--index", "0", "--trial", "a", "--output", folder / output),
    ]


def test_the_script_ends_as_the_signal_would_and_continues(tmp_path):
    cycles = 3000
    images = np.random.default_rng(0).random((30, 8, 8), dtype=np.float32)
    storage.write(
        tmp_path / "images.h5", {"images": images, "subset": np.arange(30)}, kind="images"
    )
    beta = np.ones((1, cycles), dtype=np.float32)
    storage.write(tmp_path / "candidates.h5", {"beta": beta}, kind="candidates")
    settings = config.load("test", f"trajectories.cycles={cycles} search.replicates=2")
    subprocess.run(script(tmp_path, settings, "whole.h5"), check=True, capture_output=True)

    with open(tmp_path / "log", "w") as log:
        running = subprocess.Popen(script(tmp_path, settings, "b.h5"), stderr=log)
    wait_for(lambda: "loss=" in (tmp_path / "log").read_text(), running)
    running.terminate()
    assert running.wait() == 143
    assert "the state is saved" in (tmp_path / "log").read_text()
    states = list(tmp_path.glob("b.h5.*.state"))
    assert states and not (tmp_path / "b.h5").exists()
    again = subprocess.run(
        script(tmp_path, settings, "b.h5"), check=True, capture_output=True, text=True
    )
    assert "continues at cycle" in again.stderr
    assert not list(tmp_path.glob("*.state"))
    whole, continued = (storage.read(tmp_path / n, kind="trial") for n in ("whole.h5", "b.h5"))
    assert whole.keys() == continued.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(continued[name], value, err_msg=name)


def wait_for(happened, process):
    deadline = time.monotonic() + 120
    while not happened():
        assert process.poll() is None, "ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_snakemake_leaves_the_state_of_a_job_that_failed(snakemake, checkout):
    change = "trajectories.cycles=3000 trajectories.families=[constant] "
    change += "trajectory_vae.cycles=60 trajectory_vae.learning_rate=0.01"
    target = "results/test/trials/design-0.h5"
    snakemake("results/test/design.h5", "results/test/images.h5", change=change)
    log = checkout / "logs/test/train_trial/design-0.log"
    with open(checkout / "run.log", "w") as said:
        running = subprocess.Popen(
            snakemake_command(target, change=change),
            cwd=checkout, env=environment(), stdout=said, stderr=said,
        )  # fmt: skip
    wait_for(lambda: log.exists() and "loss=" in log.read_text(), running)
    os.kill(job_of(checkout), signal.SIGTERM)
    assert running.wait() != 0
    assert not (checkout / target).exists()
    assert (checkout / f"{target}.0.state").exists()
    snakemake(target, change=change)
    assert "continues at cycle" in log.read_text()
    assert (checkout / target).exists()
    assert not list(checkout.glob("results/test/trials/*.state"))


def job_of(folder):
    """Process id of the training that runs in a folder, if one does."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"scripts/train_trial.py" in words and Path(os.readlink(process / "cwd")) == folder:
                return int(process.name)
        except OSError:
            continue
    return None
