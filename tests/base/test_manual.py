"""What is made from the settings is current."""

import re
import textwrap

import h5py
import numpy as np
import pytest
import yaml

from zbo.base import config, files, manual, storage
from zbo.base.errors import InputError


def test_the_schema_is_made_from_the_settings():
    text = (config.ROOT / "schema.yaml").read_text()
    assert text == manual.schema_text(), "run python -m zbo.base.manual"


def test_the_tables_of_the_manual_are_made_from_settings_and_files():
    text = (config.ROOT / "README.md").read_text()
    assert text == manual.readme_text(), "run python -m zbo.base.manual"
    assert "| `decoder_sigma` |" in text and "| `observed/seconds` | trial | s |" in text


def test_the_example_of_the_manual_is_a_study():
    """It is whole, and what is said of images of one's own holds for it."""
    text = (config.ROOT / "README.md").read_text()
    (example,) = re.findall(r"(?m)^    # yaml-language-server.*\n(?:    .*\n)+", text)
    study = config.check(yaml.safe_load(textwrap.dedent(example)), "config/README.md")
    low, high = study["trajectories"]["bounds"]
    assert study["model"]["decoder_sigma"] == "learned" and low < 1 < high


def test_editors_find_every_study_valid():
    """jsonschema, which is what editors judge a study file by, agrees with the loader."""
    import jsonschema

    schema = yaml.safe_load((config.ROOT / "schema.yaml").read_text())
    check = jsonschema.Draft202012Validator(schema)
    check.check_schema(schema)
    for path in sorted((config.ROOT / "studies").glob("*.yaml")):
        text = path.read_text()
        assert text.startswith("# yaml-language-server: $schema=../schema.yaml\n")
        study = yaml.safe_load(text)
        check.validate(study)
        for wrong in ({"serch": 1}, {"search": {"initial": 1}}, {"reduced": {"search": 1}}):
            assert not check.is_valid(study | wrong), wrong


def test_a_dataset_says_what_it_is(tmp_path):
    """Dimensions, unit and meaning lie on the dataset, where a viewer of HDF5 shows them."""
    data = {"z": np.zeros((3, 2)), "beta": np.ones((3, 5)), "index": [0, 1, 2]}
    storage.write(tmp_path / "design.h5", data, kind="design")
    with h5py.File(tmp_path / "design.h5") as file:
        assert dict(file["z"].attrs) == files.KINDS["design"].datasets["z"]._asdict()
    storage.read(tmp_path / "design.h5", kind=("design", "iteration"))
    with pytest.raises(InputError, match="of kind 'iteration or schedules', found 'design'"):
        storage.read(tmp_path / "design.h5", kind=("iteration", "schedules"))


def test_results_of_before_the_kinds_had_names_are_read(tmp_path):
    storage.write(tmp_path / "design.h5", {"index": [1]}, kind="candidates")
    assert storage.read(tmp_path / "design.h5", kind="design")["index"] == [1]


def test_a_whole_name_goes_before_a_pattern():
    assert files.describe("iteration", "observed/seconds").unit == "s"
    assert files.describe("iteration", "observed/l1") == files.describe("iteration", "observed/l2")
    assert files.describe("iteration", "unheard") is None
    assert [list(files.ranks(dims)) for dims in ("", "a, b", "a, [channel], b")] == [
        [0],
        [2],
        [2, 3],
    ]
    assert files.ranks("a, ...") is None
