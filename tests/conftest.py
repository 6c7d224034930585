"""What several test files need."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


def on_gpu(test):
    here = torch.cuda.is_available()
    return pytest.mark.gpu(pytest.mark.skipif(not here, reason="no CUDA device")(test))


@pytest.fixture(autouse=True)
def one_thread():
    """Numbers are reproducible for a given count of threads, and small things run faster on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def checkout(tmp_path):
    """A folder with the workflow in it and no results, as after a fresh clone."""
    for name in ("Snakefile", "rules", "scripts", "config", "profiles", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Make a clone in a folder, ready for `make run`: its `.venv` is what runs the tests."""
    monkeypatch.delenv("MAKEFLAGS", raising=False)  # those of `make test`

    def clone(name="zbo"):
        folder = tmp_path / name
        for part in ("Snakefile", "Makefile", "pyproject.toml"):
            folder.mkdir(exist_ok=True)
            shutil.copy(ROOT / part, folder)
        for part in ("rules", "scripts", "config", "profiles", "envs"):
            shutil.copytree(ROOT / part, folder / part)
        (folder / ".venv").mkdir()
        for part in Path(sys.prefix).iterdir():
            (folder / ".venv" / part.name).symlink_to(part)
        (folder / ".venv/installed").unlink(missing_ok=True)
        (folder / ".venv/installed").touch()  # after the lock: nothing is to be installed
        return folder

    return clone


@pytest.fixture
def snakemake(checkout):
    """Run Snakemake in the checkout; gives the finished process, all it said in `stdout`."""

    def run(*arguments, check=True, **settings):
        done = subprocess.run(
            snakemake_command(*arguments, **settings),
            cwd=checkout,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(),
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stdout
        return done

    return run


def snakemake_command(*arguments, study="test", change="", scale="paper", cores=2, **more):
    """The command line for one study with some values changed, and more of the config."""
    return [
        *(sys.executable, "-m", "snakemake", *arguments, "--cores", str(cores), "--nolock"),
        *("--config", f"studies={study}", f"set={change}", f"scale={scale}"),
        *(f"{key}={value}" for key, value in more.items()),
    ]


def environment():
    """The environment of a job: `python` is the one that runs the tests, lines are folded alike."""
    here = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "80"}
    return {k: v for k, v in os.environ.items() if k != "FORCE_COLOR"} | here
