"""The library without its workflow: what a wheel holds is all that its examples need."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
import zipfile

import pytest
import yaml
from conftest import ROOT

LEFT = shutil.ignore_patterns("__pycache__", "*.egg-info")
IMPORTS = "from zbo.search import Optimizer, Settings"


def test_the_version_is_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == project["version"]


def test_public_names_load_when_asked_for():
    code = """
import sys
import zbo.base, zbo.data, zbo.judge, zbo.search, zbo.trainer, zbo.trajectories
assert not {"torch", "sklearn", "pydantic"} & set(sys.modules), "not lazy"
for wing in (zbo.base, zbo.data, zbo.judge, zbo.search, zbo.trainer, zbo.trajectories):
    for name in wing.__all__:
        assert getattr(wing, name), name
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@pytest.mark.slow
def test_a_wheel_is_enough_for_the_example(tmp_path):
    """The README's example runs with the wheel alone on the path, and compiles its kernel there."""
    build = ["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    source = tmp_path / "source"  # a build leaves traces in its folder
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "scripts"):
        if name == "scripts":
            shutil.copytree(ROOT / name, source / name, ignore=LEFT)
        else:
            shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, *build, "--wheel-dir", tmp_path, "."], check=True, cwd=source)
    (wheel,) = tmp_path.glob("zbo-*.whl")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(tmp_path / "site")
        names = content.namelist()
    assert {"zbo/py.typed", "zbo/search/__init__.pyi", "zbo/trainer/kernels/decoder.c"} <= set(
        names
    )
    assert not [name for name in names if not name.startswith("zbo")]

    code = re.findall(r"(?m)(?:^(?:    .*)?\n)+", (ROOT / "README.md").read_text())
    (example,) = (textwrap.dedent(block) for block in code if "Optimizer(" in block)
    example = re.sub(r"from zbo\.search\.optimize import .*", IMPORTS, example)
    example += """
import os
import zbo
from zbo.base import storage
from zbo.trainer import ModelSettings, TrainingSettings, build, kernels, train

assert zbo.__file__.startswith(os.environ["PYTHONPATH"]), zbo.__file__
assert IMPORTED
images = np.random.default_rng(0).random((20, 8, 8), dtype=np.float32)
model = build(ModelSettings(image_shape=(8, 8), classes=2, hidden_dim=(32, 32)), seed=0)
train(model, images, np.ones(2), np.ones(2), TrainingSettings(), seed=0)
assert kernels.load() is not None, "the kernel was not built"
assert storage.commit() == "0.1.0", storage.commit()
""".replace("IMPORTED", "Optimizer is not None")
    # Without editable installs (-S leaves them out), but with the libraries zBO needs.
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    code = f"import sys; sys.path += {libraries!r}\n" + example
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ZBO", "PYTHON"))}
    environment |= {"PYTHONPATH": str(tmp_path / "site"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "iterations" in done.stdout or "improvement" in done.stdout, done.stdout
