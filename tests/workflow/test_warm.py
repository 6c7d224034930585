"""Warm starts: what the job sees is the same, its signals reach it, and nothing is left behind."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from zbo.base import storage

SCRIPT = """
import os, sys, time
from zbo.base.errors import InputError

with open(__file__ + ".imports", "a") as file:
    file.write("1")

def main():
    print(*sys.argv[1:], os.environ.get("WORD"), os.getcwd(), flush=True)
    print("aside", file=sys.stderr)
    if "mistake" in sys.argv:
        raise InputError("a mistake")
    if "die" in sys.argv:
        os.kill(os.getpid(), 9)
    if "wait" in sys.argv:
        print(os.getpid(), flush=True)
        time.sleep(60)
"""


@pytest.fixture
def jobs(tmp_path):
    """A folder with one command, and a process that stands for the Snakemake that runs it."""
    (tmp_path / "zbo").symlink_to(ROOT / "scripts/zbo")
    shutil.copy(ROOT / "scripts/warm.py", tmp_path)
    (tmp_path / "say.py").write_text(SCRIPT)
    run = subprocess.Popen(["sleep", "600"])
    yield Jobs(tmp_path, run)
    run.kill()
    run.wait()


class Jobs:
    def __init__(self, folder, run):
        self.folder, self.run = folder, run
        self.name = f"{run.pid}-{os.urandom(8).hex()}"

    def start(self, *words, folder=None, **settings):
        return subprocess.Popen(
            [sys.executable, self.folder / "warm.py", "say.py", *words],
            cwd=folder or self.folder,
            env=os.environ | {"ZBO_WARM": self.name} | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell's background jobs, tests among them, ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def __call__(self, *words, **settings):
        job = self.start(*words, **settings)
        out, error = job.communicate(timeout=60)
        return job.returncode, out, error

    @property
    def imports(self):
        return len((self.folder / "say.py.imports").read_text())


def ended(pid):
    """Tell whether a process ends within some seconds."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_later_job_imports_nothing_and_is_itself(jobs, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert jobs("one", WORD="a") == (0, f"one a {tmp_path}\n", "aside\n")
    assert jobs("two", WORD="b", folder=elsewhere) == (0, f"two b {elsewhere}\n", "aside\n")
    assert jobs("mistake") == (2, f"mistake None {tmp_path}\n", "aside\nerror: a mistake\n")
    assert jobs("die")[0] == 128 + signal.SIGKILL
    assert jobs("three")[0] == 0
    assert jobs.imports == 1


def test_changed_code_other_threads_and_other_runs_start_cold(jobs):
    jobs("one")
    assert (jobs("one", OMP_NUM_THREADS="7")[0], jobs.imports) == (0, 2)
    assert (jobs("one", ZBO_WARM="off")[0], jobs.imports) == (0, 3)
    assert (jobs("one", ZBO_WARM=jobs.name + "0")[0], jobs.imports) == (0, 4)
    assert (jobs("one", APPTAINER_CONTAINER="zbo.sif")[0], jobs.imports) == (0, 5)
    with open(jobs.folder / "say.py", "a") as script:
        script.write("# changed\n")
    assert (jobs("one")[0], jobs.imports) == (0, 6)
    assert (jobs("one")[0], jobs.imports) == (0, 6)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_reaches_the_work(jobs, number):
    jobs("first")
    job = jobs.start("wait")
    job.stdout.readline()
    worker = int(job.stdout.readline())
    assert worker != job.pid
    job.send_signal(number)
    job.communicate(timeout=60)
    assert job.returncode != 0
    assert ended(worker)
    assert jobs("again")[0] == 0
    assert jobs.imports == 1


def test_no_work_outlives_a_signal_whenever_it_comes(jobs):
    jobs("first")
    for delay in np.linspace(0, 0.2, 40):
        job = jobs.start("wait")
        time.sleep(delay)
        job.send_signal(signal.SIGINT)
        try:
            job.communicate(timeout=30)  # ends once nobody holds the job's output
        except subprocess.TimeoutExpired:  # Python drops one that falls into a callback of its own
            job.send_signal(signal.SIGINT)
            assert "Exception ignored" in job.communicate(timeout=30)[1]
        assert job.returncode != 0
    assert jobs("again")[0] == 0
    assert jobs.imports == 1


def test_the_copy_ends_with_the_run(jobs):
    jobs("first")
    job = jobs.start("wait")
    job.stdout.readline()
    worker = int(job.stdout.readline())
    with open(f"/proc/{worker}/stat") as stat:
        attendant = int(stat.read().rpartition(")")[2].split()[1])
    with open(f"/proc/{attendant}/stat") as stat:
        copy = int(stat.read().rpartition(")")[2].split()[1])
    jobs.run.kill()
    jobs.run.wait()
    assert ended(copy)
    assert job.poll() is None  # work that has begun goes on
    job.terminate()
    job.communicate(timeout=60)
    assert (jobs("cold")[0], jobs.imports) == (0, 2)


@pytest.fixture
def keeper(jobs):
    """What the Snakefile starts in a container of its own."""
    process = subprocess.Popen(
        [sys.executable, jobs.folder / "warm.py", "--keep"],
        env=os.environ | {"ZBO_WARM": jobs.name, "APPTAINER_CONTAINER": "zbo.sif"},
    )
    place = f"@zbo-{jobs.name}-keep"
    while place not in Path("/proc/net/unix").read_text():
        assert process.poll() is None
        time.sleep(0.02)
    yield process
    process.kill()
    process.wait()


def test_in_containers_copies_live_in_the_one_kept(jobs, keeper):
    inside = {"APPTAINER_CONTAINER": "zbo.sif"}
    assert jobs("one", **inside)[:2] == (0, f"one None {jobs.folder}\n")
    assert jobs("mistake", **inside)[0] == 2
    assert jobs("one", OMP_NUM_THREADS="7", **inside)[0] == 0
    assert jobs("one", OMP_NUM_THREADS="7", **inside)[0] == 0
    assert jobs.imports == 2


def test_the_container_kept_outlives_the_run_while_there_is_work(jobs, keeper):
    inside = {"APPTAINER_CONTAINER": "zbo.sif"}
    jobs("first", **inside)
    job = jobs.start("wait", **inside)
    job.stdout.readline()
    worker = int(job.stdout.readline())
    jobs.run.kill()
    jobs.run.wait()
    with pytest.raises(subprocess.TimeoutExpired):
        keeper.wait(2)
    assert job.poll() is None
    job.terminate()
    job.communicate(timeout=60)
    assert ended(worker)
    assert keeper.wait(60) == 0


def test_a_warm_trial_gives_the_same_numbers(tmp_path, jobs):
    rng = np.random.default_rng(0)
    images = rng.random((30, 8, 8)).astype(np.float32)
    prepared = {"images": images, "subset": np.arange(20)}
    storage.write(tmp_path / "images.h5", prepared, kind="images")
    beta = np.array([[1, 0.5, 0.1]], dtype=np.float32)
    storage.write(tmp_path / "candidates.h5", {"beta": beta}, kind="candidates")
    cpu = []
    for name in ("cold", "warm"):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run(
            [
                *(sys.executable, ROOT / "scripts/warm.py", "scripts/train_trial.py"),
                *("--settings", "test", "--images", tmp_path / "images.h5"),
                *("--candidates", tmp_path / "candidates.h5", "--index", "0"),
                *("--trial", "design-0", "--output", tmp_path / f"{name}.h5"),
            ],
            env=os.environ | {"ZBO_WARM": jobs.name},
            check=True,
        )
        cpu.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    assert cpu[1] < cpu[0] / 4
    cold, warm = (storage.read(tmp_path / f"{name}.h5", kind="trial") for name in ("cold", "warm"))
    assert cold["status"] == storage.DONE
    assert cold.keys() == warm.keys()
    for name, value in cold.items():
        np.testing.assert_array_equal(value, warm[name])
