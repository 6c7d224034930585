"""What the README shows works: its examples are run, its study is a study, its figures exist."""

import re
import sys
import textwrap

import numpy as np
import pytest
import yaml
from conftest import ROOT

from zbo.base import config
from zbo.search import objective
from zbo.trajectories import families

README = (ROOT / "README.md").read_text()


def example(start):
    """The indented block of the README that begins with a line."""
    lines = README.splitlines()
    first = next(i for i, line in enumerate(lines) if line.strip().startswith(start))
    last = first
    while last < len(lines) and (lines[last].startswith("    ") or not lines[last].strip()):
        last += 1
    return textwrap.dedent("\n".join(lines[first:last]))


def test_own_functions(tmp_path, monkeypatch):
    code = example("# mine.py").split("make run")[0]
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)  # another test's
    beta, _ = families.sample(["mine:sawtooth"], 4, 30, (1.0, 5.0), seed=0)
    assert beta.min() >= 1 and beta.max() <= 5
    manifolds = np.random.default_rng(0).random((3, 4, 4, 8, 8)).astype(np.float32)
    codes = np.zeros((6, 3))
    learned = objective.Learned(
        manifolds, np.full((6, 3), 1 / 3), codes, codes + 1, 1.0, 0.0, 0.0, 2
    )
    settings = objective.ObjectiveSettings(name="mine:contrast")
    assert objective.score(learned, settings).objective > 0
    sys.modules.pop("mine")


def test_own_study():
    study = yaml.safe_load(example("# config/studies/mine.yaml"))
    assert config.check(study, "README.md")["images"]["size"] == [32, 32]


def test_ask_and_tell(capsys):
    exec(example("from zbo.search import"), {"np": np})
    point, why = capsys.readouterr().out.split("]")
    found = np.array(point.strip("[ ").split(), dtype=float)
    assert np.abs(found - 0.5).max() < 0.5
    assert "negligible" in why or "budget" in why


@pytest.mark.parametrize("target", re.findall(r'make run SET="([^"]+)"', README))
def test_the_changes_it_shows_are_valid(target):
    assert isinstance(yaml.safe_load(target), str)  # as Snakemake reads what --config is given
    config.load("digits", target)


def test_every_figure_is_in_its_table():
    common = (ROOT / "rules" / "functions" / "drawing.smk").read_text()
    names = re.findall(r'^    "(\w+)": [A-Z{]', common, flags=re.M)
    assert len(names) > 10
    for name in names:
        assert f"| `{name}` |" in README


def test_nothing_is_left_to_fill_in():
    assert not re.findall(r"@[A-Z]+@", README)
