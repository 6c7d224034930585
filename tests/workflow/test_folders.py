"""The workflow from any folder, and its rules' names."""

import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, environment

from zbo.base import config, storage
from zbo.base.errors import InputError

STUDY = """\
description: Mine.
model: {classes: 3}
trajectories: {bounds: [0.04, 2], beta_d: 0.2, cycles: 4}
"""
CODE = ("Snakefile", "rules", "scripts", "config", "profiles")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, where the path has a space in it."""
    folder = tmp_path_factory.mktemp("a group's") / "zBO here"
    folder.mkdir()
    for name in CODE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def work(tmp_path):
    """A person's folder, with a study and a function of their own, named like one of zBO's."""
    (tmp_path / "config/studies").mkdir(parents=True)
    (tmp_path / "config/config.yaml").write_text("studies: [mine]\n")
    own = STUDY + "trajectory_vae: {cycles: 2}\nspace: {grid: 9, constraint: 'own:keep'}\n"
    (tmp_path / "config/studies/mine.yaml").write_text(own + "images: {source: digits}\n")
    (tmp_path / "own.py").write_text("def keep(beta, *_):\n    return beta.min(1) > -9\n")
    return tmp_path


def run(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments, "--cores", "1"],
        cwd=folder, env=environment(), text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def listing(folder):
    found = (path.relative_to(folder) for path in folder.rglob("*"))
    return sorted(path for path in found if "__pycache__" not in path.parts)


def test_results_go_to_the_working_folder_and_none_to_the_project(project, work):
    before = listing(project)
    targets = ("results/mine/space.h5", "results/mine/figures/trajectories.pdf")
    done = run(ROOT, *targets, "-s", str(project / "Snakefile"), "-d", str(work))
    assert done.returncode == 0, done.stdout
    assert storage.read(work / targets[0], kind="space")["feasible"].all()
    assert (work / targets[1]).read_bytes().startswith(b"%PDF")
    for place in ("logs", "benchmarks"):
        assert list((work / place / "mine").glob("build_space.*"))
    assert listing(project) == before


def test_an_empty_folder_runs_the_projects_own_study(project, tmp_path):
    done = run(tmp_path, "-n", "-s", str(project / "Snakefile"))
    assert done.returncode == 0, done.stdout
    assert "train_trial" in done.stdout.replace(" ", "_")


def test_a_module_of_another_workflow(project, work):
    (work / "Snakefile").write_text(
        'configfile: "config/config.yaml"\n'
        f'module zbo:\n    snakefile: "{project}/Snakefile"\n    config: config\n'
        "use rule * from zbo as zbo_*\n"
        'rule last:\n    input: "results/mine/space.h5", "results/mine/optimum.h5"\n'
        '    output: "last.txt"\n    shell: "echo {input} >{output}"\n'
    )
    planned = run(work, "-n", "last.txt")
    assert planned.returncode == 0, planned.stdout
    assert "zbo_train_trial" in planned.stdout.replace(" ", "_")
    done = run(work, "results/mine/trajectories.h5")
    assert done.returncode == 0, done.stdout
    assert (work / "results/mine/trajectories.h5").exists()


def test_ones_own_study_covers_zbos_with_a_word(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config.covered() == []
    (tmp_path / "config/studies").mkdir(parents=True)
    shutil.copy(ROOT / "config/studies/digits.yaml", "config/studies/digits.yaml")
    assert config.covered() == []  # a copy is the same study
    (tmp_path / "config/studies/digits.yaml").write_text(STUDY + "images: {source: digits}\n")
    assert config.covered() == ["digits"]
    assert config.load("digits")["model"]["classes"] == 3
    assert {"digits", "mnist", "mnist-reduced"} <= set(config.known())
    with pytest.raises(InputError, match=rf"nobody.yaml: .* config/studies or {ROOT}/config"):
        config.load("nobody")


def rules():
    """The name, script and log of every rule that runs a script."""
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for text in re.split(r"^(?=rule |checkpoint |use rule )", file.read_text(), flags=re.M)[1:]:
            name = re.match(r"(?:rule|checkpoint|use rule \w+ as) (\w+)", text)[1]
            # The last where one script starts another.
            scripts = re.findall(r"SCRIPTS\}?/([\w/]+)\.py", text)
            steps = [script for script in scripts if not script.startswith("zbo/")]
            if steps and not text.startswith("use rule"):
                yield name, steps[-1], re.search(r"logs/[^\"]*", text)[0]


@pytest.mark.parametrize(("rule", "script", "log"), list(rules()))
def test_a_rule_a_script_and_a_log_have_one_name(rule, script, log):
    name = script.split("/")[-1]
    if script.startswith("figures/") and not script.startswith("figures/paper/"):
        assert rule in (name, f"figure_{name}")
        assert name in log
    else:
        assert rule == name
        assert f"/{rule}" in log


def test_every_step_has_a_rule():
    alone = {"example", "peek"}  # started by hand
    steps = {path.stem for path in (ROOT / "scripts").glob("*.py")} - alone
    assert steps == {script for _, script, _ in rules() if "/" not in script}


def test_every_script_of_a_figure_is_in_a_table_of_figures():
    tables = (ROOT / "rules/functions/drawing.smk").read_text()
    own = set(re.findall(r'^    "(\w+)": [A-Z{]', tables, flags=re.M))
    paper = set(re.findall(r'^    "fig\w+": \(\s*"(\w+)"', tables, flags=re.M))
    alone = {"report", *(name.partition("/")[2] for _, name, _ in rules() if "figures/" in name)}
    scripts = ROOT / "scripts/figures"
    assert {path.stem for path in scripts.glob("*.py")} == own | (alone - {"paper/fig04"})
    assert {path.stem for path in (scripts / "paper").glob("*.py")} == paper
