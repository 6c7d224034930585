"""The Colab notebook, executed: cloning, a run whose results go to the Drive, and going on."""

import copy
import json
import os
import re
import shutil
import subprocess

import nbformat
import pytest
import yaml
from conftest import ROOT, environment, snakemake_command
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOK = nbformat.read(ROOT / "profiles/colab/zbo.ipynb", as_version=4)

# What Colab has and a test has not: the module that mounts the Drive.
COLAB_DRIVE = """
import os

def mount(place):
    print(place, "mounted")
    os.makedirs(os.environ["TEST_DRIVE"], exist_ok=True)
"""


def notebook(**form):
    """The notebook with its form filled in."""
    opened = copy.deepcopy(NOTEBOOK)
    fields = next(cell for cell in opened.cells if cell.cell_type == "code")
    for name, value in form.items():
        pattern = rf'^{name} = ".*?"'
        assert re.search(pattern, fields.source, re.M), f"the form has no field {name}"
        fields.source = re.sub(pattern, f'{name} = "{value}"', fields.source, flags=re.M)
    return opened


def until(opened, text):
    """The notebook as far as the cell that holds a text."""
    last = next(i for i, cell in enumerate(opened.cells) if text in cell.source)
    opened.cells = opened.cells[: last + 1]
    return opened


def execute(opened, folder, **environment):
    """Run all its cells in a folder; gives what they printed."""
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(opened, timeout=1500, iopub_timeout=60, resources=place)
    client.execute(env=os.environ | environment)
    outputs = [output for cell in opened.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def shown(opened, kind):
    outputs = [output for cell in opened.cells for output in cell.get("outputs", [])]
    return [o.data[kind] for o in outputs if o.output_type == "display_data" and kind in o.data]


def written(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*.h5")}


@pytest.fixture
def colab(tmp_path):
    """The environment of a Colab session, all but the Drive, which the test gives."""
    module = tmp_path / "colab/google/colab"
    module.mkdir(parents=True)
    (module / "__init__.py").touch()
    (module / "drive.py").write_text(COLAB_DRIVE)
    return {"PYTHONPATH": str(tmp_path / "colab"), "MPLBACKEND": "module://no_such_backend"}


@pytest.mark.timeout(1800)
def test_a_study_goes_to_the_drive_and_the_next_session_goes_on(installed, colab, tmp_path):
    drive = tmp_path / "drive"
    form = {"study": "test", "folder": drive / "MyDrive/zbo"}
    folder = installed("first")
    opened = notebook(**form)
    said = execute(opened, folder / "profiles/colab", **colab, TEST_DRIVE=str(drive))
    assert "/content/drive mounted" in said and "GPU:" in said
    assert "3/3" in said and "\x1b[?25l" not in said  # progress, without animations
    results = drive / "MyDrive/zbo/results"
    assert (results / "report.html").stat().st_size > 100_000
    figures = list(results.glob("test/figures/*.png"))
    assert len(shown(opened, "image/png")) == len(figures) > 0
    assert "optimum" in shown(opened, "text/html")[0]  # scores.csv

    before = written(results)
    shutil.rmtree(folder)  # a session that ended leaves its Drive alone
    opened = notebook(**form)
    again = installed("second")
    for script in again.glob("scripts/**/*.py"):
        os.utime(script)  # a clone's files are newer than the results
    said = execute(opened, again / "profiles/colab", **colab, TEST_DRIVE=str(drive))
    assert "Nothing to be done" in said
    assert written(results) == before
    assert len(shown(opened, "image/png")) == len(figures)
    # The new session knows which settings made the files of the one before.
    changed = snakemake_command("-n", change="training.batch_size=40")
    done = subprocess.run(changed, cwd=again, env=environment(), capture_output=True, text=True)
    assert "train_trial" in done.stdout + done.stderr


def test_without_a_checkout_it_clones_one(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "Snakefile").touch()
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org", "-C", str(source)]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *arguments], check=True)
    opened = until(notebook(repository=source), "!git clone")
    (tmp_path / "content").mkdir()
    assert f"Working in {tmp_path / 'content/zbo'}" in execute(opened, tmp_path / "content")
    assert (tmp_path / "content/zbo/Snakefile").exists()


@pytest.mark.parametrize(
    ("address", "advice"), [("", "repository: fill in"), ("/no/such/place", "could not be cloned")]
)
def test_a_missing_or_wrong_address_is_named(tmp_path, address, advice):
    with pytest.raises(CellExecutionError, match=advice):
        execute(notebook(repository=address), tmp_path)


def test_a_failed_run_stops_it(installed):
    with pytest.raises(CellExecutionError, match="The run ended early"):
        execute(notebook(study="test", changes="no.such.key=1"), installed())


def test_it_is_small_and_without_outputs():
    nbformat.validate(NOTEBOOK)
    code = [cell for cell in NOTEBOOK.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert (ROOT / "profiles/colab/zbo.ipynb").stat().st_size < 10_000


def test_the_studies_it_offers_exist():
    offered = re.search(r"^study = .*?@param (\[.*?\])", NOTEBOOK.cells[1].source, re.M).group(1)
    for study in json.loads(offered):
        assert (ROOT / f"config/studies/{study}.yaml").exists()


def test_the_readme_opens_it_in_colab_once_the_repository_has_an_address():
    address = yaml.safe_load((ROOT / "CITATION.cff").read_text()).get("repository-code", "")
    readme = (ROOT / "README.md").read_text()
    assert f'repository = "{address}"' in NOTEBOOK.cells[1].source
    if "github.com/" in address:
        place = address.removesuffix(".git").split("github.com/")[1].strip("/")
        assert f"colab.research.google.com/github/{place}/blob/main/profiles/colab" in readme
    else:
        assert "](profiles/colab/zbo.ipynb)" in readme
