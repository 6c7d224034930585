"""Warm starts: what the job sees is the same, its signals reach it, and nothing is left behind."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from zbo.base import storage, warm

SCRIPTS = Path(warm.__file__).parents[2]
# Where the libraries are imported is told by who has them before the script asks for them.
SCRIPT = """
import os, sys, time
warm = "torch" in sys.modules
from zbo.base import command
from zbo.base.errors import InputError

def main():
    print(warm, *sys.argv[1:], os.environ.get("WORD"), os.getcwd(), flush=True)
    print("aside", file=sys.stderr)
    if "mistake" in sys.argv:
        raise InputError("a mistake")
    if "die" in sys.argv:
        os.kill(os.getpid(), 9)
    if "wait" in sys.argv:
        print(os.getpid(), flush=True)
        time.sleep(60)

if __name__ == "__main__":
    command.run(main)
"""


@pytest.fixture
def jobs(tmp_path):
    """A folder with one script, and a process that stands for the Snakemake that runs it."""
    (tmp_path / "say.py").write_text(SCRIPT)
    run = subprocess.Popen(["sleep", "600"])
    yield Jobs(tmp_path, run)
    run.kill()
    run.wait()


class Jobs:
    def __init__(self, folder, run):
        self.folder, self.run = folder, run
        self.environment = os.environ | {
            "ZBO_WARM": f"{run.pid}-{os.urandom(8).hex()}",
            "PYTHONPATH": str(SCRIPTS),
        }

    def start(self, *words, folder=None, **settings):
        return subprocess.Popen(
            [sys.executable, "-m", "zbo.base.warm", self.folder / "say.py", *words],
            cwd=folder or self.folder,
            env=self.environment | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell's background jobs, tests among them, ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def __call__(self, *words, **settings):
        job = self.start(*words, **settings)
        out, error = job.communicate(timeout=120)
        return job.returncode, out, error


def ended(pid):
    """Tell whether a process ends within some seconds."""
    for _ in range(400):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_later_job_imports_no_library_and_is_itself(jobs, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert jobs("one", WORD="a") == (0, f"False one a {tmp_path}\n", "aside\n")
    assert jobs("two", WORD="b", folder=elsewhere) == (0, f"True two b {elsewhere}\n", "aside\n")
    assert jobs("mistake") == (2, f"True mistake None {tmp_path}\n", "aside\nerror: a mistake\n")
    assert jobs("die")[0] == 128 + signal.SIGKILL
    assert jobs("three")[1].startswith("True")


def test_changed_code_is_what_runs(jobs):
    jobs("one")
    with open(jobs.folder / "say.py", "a") as script:
        script.write("    print('changed')\n")
    assert jobs("two")[1].endswith("changed\n")


def test_other_threads_and_other_runs_start_cold(jobs):
    jobs("one")
    assert jobs("one", OMP_NUM_THREADS="7")[1].startswith("False")
    assert jobs("one", ZBO_WARM="")[1].startswith("False")
    assert jobs("one", ZBO_WARM=jobs.environment["ZBO_WARM"] + "0")[1].startswith("False")
    assert jobs("one")[1].startswith("True")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_reaches_the_work(jobs, number):
    jobs("first")
    job = jobs.start("wait")
    assert job.stdout.readline().startswith("True")
    worker = int(job.stdout.readline())
    assert worker != job.pid
    job.send_signal(number)
    job.communicate(timeout=60)
    assert job.returncode != 0
    assert ended(worker)
    assert jobs("again")[1].startswith("True")


def test_no_work_outlives_a_signal_whenever_it_comes(jobs):
    jobs("first")
    for delay in np.linspace(0, 0.3, 20):
        job = jobs.start("wait")
        time.sleep(delay)
        job.send_signal(signal.SIGINT)
        try:
            job.communicate(timeout=30)  # ends once nobody holds the job's output
        except subprocess.TimeoutExpired:  # Python drops one that falls into a callback of its own
            job.send_signal(signal.SIGINT)
            assert "Exception ignored" in job.communicate(timeout=30)[1]
        assert job.returncode != 0
    assert jobs("again")[1].startswith("True")


def test_the_copy_ends_with_the_run(jobs):
    jobs("first")
    job = jobs.start("wait")
    job.stdout.readline()
    worker = int(job.stdout.readline())
    copy = parent(parent(worker))
    jobs.run.kill()
    jobs.run.wait()
    assert ended(copy)
    assert job.poll() is None  # work that has begun goes on
    job.terminate()
    job.communicate(timeout=60)
    assert jobs("cold")[1].startswith("False")


def test_a_warm_trial_gives_the_same_numbers(jobs, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.random((30, 8, 8)).astype(np.float32)
    prepared = {"images": images, "subset": np.arange(20)}
    storage.write(tmp_path / "images.h5", prepared, kind="images")
    beta = np.array([[1, 0.5, 0.1]], dtype=np.float32)
    storage.write(tmp_path / "schedules.h5", {"beta": beta}, kind="schedules")
    jobs("first")
    cpu = []
    for name, place in ("cold", ""), ("warm", jobs.environment["ZBO_WARM"]):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run(
            [
                *(sys.executable, "-m", "zbo.base.warm", SCRIPTS / "train_trial.py"),
                *("--settings", "test", "--images", tmp_path / "images.h5"),
                *("--candidates", tmp_path / "schedules.h5", "--index", "0"),
                *("--trial", "constant-0", "--output", tmp_path / f"{name}.h5"),
            ],
            env=jobs.environment | {"ZBO_WARM": place},
            check=True,
        )
        cpu.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    assert cpu[1] < cpu[0] / 4
    cold, warm = (storage.read(tmp_path / f"{name}.h5", kind="trial") for name in ("cold", "warm"))
    assert cold["status"] == storage.DONE
    assert cold.keys() == warm.keys()
    for name, value in cold.items():
        np.testing.assert_array_equal(value, warm[name])
