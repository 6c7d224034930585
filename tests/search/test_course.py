"""How far a search has come, of made-up files: in order, none left from before, at any moment."""

import os

import numpy as np
import pytest
from made_study import Case, make

from zbo.base import storage
from zbo.base.settings import ObjectiveSettings
from zbo.search import evaluation
from zbo.search.course import Course


@pytest.fixture
def folder(tmp_path):
    """A search of 4 + 3 trials that has ended, its second trial failed; files in order of age."""
    make(tmp_path, Case(failed=(1,)))
    names = ["design", *(f"trials/design-{k}" for k in range(4))]
    for k in range(3):
        names += [f"iterations/{k:03d}", f"trials/{k:03d}-0"]
    for age, name in enumerate([*names, "iterations/003", "optimum"]):
        os.utime(tmp_path / f"{name}.h5", (1000 + age, 1000 + age))
    return tmp_path


def names(paths):
    return [path.stem for path in paths]


def test_a_search_that_has_ended(folder):
    course = Course.of(folder)
    assert course.ended and course == Course.ended_search(folder)
    assert names(course.told) == [*(f"design-{k}" for k in range(4)), "000-0", "001-0", "002-0"]
    rows = list(course.rows(ObjectiveSettings()))
    assert [row["trial"] for row in rows] == names(course.told)
    assert rows[0]["state"] == "done" and rows[0]["seeds"] == "3 4" and rows[0]["cycles"] == 6
    assert rows[1]["state"] == "failed: x" and rows[1]["objective"] == ""
    last = storage.read(folder / "iterations/003.h5", kind="iteration")
    assert float(rows[2]["objective"]) == pytest.approx(last["observed/objective"][2], abs=1e-4)
    assert float(rows[2]["information"]) == pytest.approx(last["observed/information"][2], abs=1e-4)


def test_a_search_at_work(folder, monkeypatch):
    """Its last trial has come since the last iteration, which has not scored it."""
    for left in ("iterations/003", "optimum"):
        (folder / f"{left}.h5").unlink()
    course = Course.of(folder)
    assert not course.ended and names(course.iterations) == ["000", "001", "002"]
    assert names(course.asked) == names(course.arrived) == ["002-0"]
    (folder / "trials/002-0.h5").unlink()
    assert names(Course.of(folder).asked) == ["002-0"] and not Course.of(folder).arrived


def test_trials_of_the_design_are_scored_before_any_iteration(folder, monkeypatch):
    for path in folder.glob("iterations/*.h5"):
        path.unlink()
    (folder / "trials/design-3.h5").unlink()
    scored = evaluation.Scored("done", np.array([2.5]), np.array([np.nan]), [])
    monkeypatch.setattr(evaluation, "read_trial", lambda path: (None, None))
    monkeypatch.setattr(evaluation, "score", lambda trial, model, scoring: scored)
    course = Course.of(folder)
    rows = list(course.rows(ObjectiveSettings()))
    assert [row["trial"] for row in rows] == ["design-0", "design-1", "design-2"]
    assert len(course.asked) == 4 and rows[0]["objective"] == "2.5000"


def test_what_an_earlier_search_left_is_not_counted(folder):
    """The design was made anew, and its first trial: all else is older."""
    for age, name in enumerate(("design", "trials/design-0")):
        os.utime(folder / f"{name}.h5", (2000 + age, 2000 + age))
    course = Course.of(folder)
    assert not course.iterations and not course.ended
    assert names(course.arrived) == ["design-0"] and len(course.asked) == 4


def test_a_smaller_budget_ends_earlier(folder):
    optimum = storage.read(folder / "optimum.h5", kind="optimum") | {"iterations": 1}
    storage.write(folder / "optimum.h5", optimum, kind="optimum")
    course = Course.of(folder)
    assert course.ended and len(course.told) == 5


def test_a_search_that_has_not_begun(tmp_path):
    course = Course.of(tmp_path)
    assert not course.ended and not course.asked and not list(course.rows(ObjectiveSettings()))
