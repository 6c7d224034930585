"""A run in its folder: the lock, what a killed run left, what a container has to see."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zbo.base import command, runs

HOLD = """
import sys
from zbo.base.runs import Lock
lock = Lock(sys.argv[1])
print(lock.taken, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold():
    """Another process that holds a lock."""

    def start(path):
        environment = os.environ | {"PYTHONPATH": str(Path(runs.__file__).parents[2])}
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert process.stdout.readline() == "False\n"
        started.append(process)
        return process

    started = []
    yield start
    for process in started:
        process.kill()
        process.wait()


def test_one_holds_a_lock_and_loses_it_with_its_life(tmp_path, hold):
    other = hold(tmp_path / "lock")
    assert runs.Lock(tmp_path / "lock").taken
    other.kill()
    other.wait()
    mine = runs.Lock(tmp_path / "lock")
    assert (mine.taken, mine.error) == (False, "")
    assert runs.Lock(tmp_path / "lock", 0.3).taken  # mine, by another handle


def test_it_waits_for_a_lock_that_is_let_go_of(tmp_path, hold):
    other = hold(tmp_path / "lock")
    other.stdin.close()  # it ends by itself
    assert not runs.Lock(tmp_path / "lock", 60).taken


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_lock_is_no_other_run(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    lock = runs.Lock(tmp_path / "lock")
    assert (lock.taken, lock.error) == (False, os.strerror(number))


def test_a_folder_that_cannot_be_written_is_no_other_run(tmp_path):
    (tmp_path / "lock").mkdir()
    lock = runs.Lock(tmp_path / "lock")
    assert (lock.taken, lock.error) == (False, "Is a directory")


def test_jobs_of_a_killed_run_have_its_mark_and_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    marked = os.environ | {runs.MARK: "1"}
    here = subprocess.Popen(["sleep", "60"], env=marked)
    others = [
        subprocess.Popen(["sleep", "60"]),
        subprocess.Popen(["sleep", "60"], env=marked, cwd="/"),
    ]
    try:
        assert runs.jobs_of_killed_run() == [here.pid]
    finally:
        for process in (here, *others):
            process.kill()
            process.wait()


def test_every_link_on_the_way_is_followed(tmp_path):
    (tmp_path / "disk/pictures").mkdir(parents=True)
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to(tmp_path / "disk")
    ways = [str(tmp_path / name / "pictures") for name in ("one", "two", "disk")]
    assert list(runs.reached(tmp_path / "one/pictures")) == ways
    (tmp_path / "loop").symlink_to("loop")
    assert len(list(runs.reached(tmp_path / "loop"))) == 40


def test_a_container_sees_what_lies_outside_and_what_links_lead_to(tmp_path, monkeypatch):
    work, scratch = tmp_path / "work", tmp_path / "scratch"
    for folder in (work / "inside", work / "results", scratch / "digits", tmp_path / "pictures"):
        folder.mkdir(parents=True)
    (work / "results/digits").symlink_to(scratch / "digits")
    labels = tmp_path / "labels.csv"
    labels.touch()
    monkeypatch.chdir(work)
    seen = runs.bound(["inside", "../pictures", labels, "/none/there", "relative"], "/a,/b:/c")
    wanted = ["/a", "/b:/c", tmp_path / "pictures", tmp_path, scratch / "digits"]
    assert seen == ",".join(map(str, wanted))
    assert runs.bound(["../pictures"], seen) == seen  # a job of a job has nothing to add


@pytest.mark.parametrize(
    ("given", "asked"),
    [("1", 1), ("0", 0), ("1,", 1), ("0,", 0), ("0,gpu:a100:1", 1), ("0,tmp:9", 0)],
)
def test_a_gpu_asked_for_as_gres_counts(given, asked):
    assert command.gpus(given) == asked
