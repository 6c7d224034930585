"""Settings: every study file is whole, and a mistake is named with what to do."""

import pytest
from conftest import ROOT

from zbo import config
from zbo.errors import InputError

STUDIES = sorted(path.stem for path in (ROOT / "config" / "studies").glob("*.yaml"))


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_is_valid_and_complete(name):
    study = config.load(name)
    assert study["trajectories"]["cycles"] >= 2
    assert study["search"]["replicates"] >= 1  # a default of a section the file may not have


def test_every_key_has_a_meaning_and_is_closed():
    def walk(part, path):
        for name, child in part["properties"].items():
            assert child.get("description"), f"{path}{name} has no meaning"
            if "properties" in child:
                assert child["additionalProperties"] is False, f"{path}{name} is open"
                walk(child, f"{path}{name}.")
            else:
                required = name in part.get("required", [])
                assert required or "default" in child, f"{path}{name} has no default"

    schema = config._schema(config.ROOT)
    assert schema["additionalProperties"] is False
    walk(schema, "")


def test_changes_reach_into_sections_and_keep_their_types():
    study = config.load("digits", "search.iterations=7 images.size=[16,16] objective.name=l1-l2")
    assert study["search"]["iterations"] == 7
    assert study["images"]["size"] == [16, 16]
    assert study["objective"]["name"] == "l1-l2"
    study = config.load("digits", "trajectories.bounds=[0.5, 3] search.initial=4.0")
    assert study["trajectories"]["bounds"] == [0.5, 3]
    assert isinstance(study["search"]["initial"], int)


def test_a_key_given_twice_is_an_error(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies/mine.yaml").write_text("search: {initial: 3}\nsearch: {iterations: 2}\n")
    with pytest.raises(InputError, match="'search' is given twice"):
        config.load("mine", root=tmp_path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("search.iteratons=3", "search.iteratons: no such key; did you mean 'iterations'"),
        ("serch.iterations=3", "serch: no such key; did you mean 'search'"),
        ("trajectories.bounds=[2,1]", "trajectories.bounds: .* wrong way round"),
        ("trajectories.bounds=[1,1]", "trajectories.bounds: .* equal"),
        ("trajectories.bounds=[0,1]", "trajectories.bounds"),
        ("training.learning_rate=1e-3", "training.learning_rate: .* write the number as 0.001"),
        ("model.classes=ten", "model.classes: 'ten' is not of type 'integer'"),
        ("search.acquisition=best", "search.acquisition: 'best' is not one of"),
        ("objective.window=4", "objective.window: 4 is even"),
        ("search.iterations", "set: 'search.iterations' is not key=value"),
        ("description.x=1", "set: 'description.x': description is a value"),
        ("trajectories.bounds=[1,", "set: trajectories.bounds: not YAML"),
        ("training.learning_rate=.nan", "training.learning_rate: has to be a finite number"),
        ("trajectories.bounds=[1,.inf]", "trajectories.bounds: has to be a finite number"),
    ],
)
def test_a_mistake_is_named(change, named):
    with pytest.raises(InputError, match=named):
        config.load("digits", change + " search.initial=9")


def test_a_missing_key_says_what_it_means(tmp_path):
    with pytest.raises(InputError, match=r"trajectories.beta_d: has to be given: Scale factor"):
        config.check(
            {
                "description": "",
                "images": {"source": "digits"},
                "trajectories": {"cycles": 3, "bounds": [1, 2]},
                "model": {"classes": 2},
            },
            source="mine.yaml",
        )


def test_an_unknown_study_lists_those_there_are():
    with pytest.raises(InputError, match=r"no study 'digts'; choose from .*digits"):
        config.studies({"studies": "digts"})


def test_a_stage_sees_only_what_it_depends_on():
    study = config.load("digits")
    picked = config.pick(study, ["seed", "search.replicates", "model"])
    assert picked == {"seed": 0, "search": {"replicates": 1}, "model": study["model"]}
