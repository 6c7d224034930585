"""Settings: every study file is whole, and a mistake is named with what to do."""

import pytest

from zbo.base import config
from zbo.base.errors import InputError
from zbo.base.section import schema
from zbo.base.settings import Study


@pytest.mark.parametrize("name", config.known())
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

    whole = schema(Study)
    assert whole["additionalProperties"] is False
    walk(whole, "")


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
        ("model.classes=-1", "model.classes: -1 is less than the minimum of 0"),
        (
            "model.classes=0",
            "objective.name: 'information' is about classes and model.* is 0: there.*; set",
        ),
        ("model.classes=0 objective.name=l1", "'l1' is about classes"),
        ("model.classes=1", "is about classes and model.* is 1: there are none to tell apart"),
        ("model.classes=1 objective.name=l1-l2", "model.classes to 2 or more"),
        ("objective.window=4", "objective.window: 4 is even"),
        ("compare.kinds=11", r"compare.kinds: 11 cannot be put together from model.classes \(10"),
        ("compare.kinds=3 compare.seeds=1", "compare.kinds: what one seed cuts in parts"),
        ("space.coordinates=parameters", "space.coordinates: parameters are those of one family"),
        ("search.iterations", "set: 'search.iterations' is not key=value"),
        ("description.x=1", "set: 'description.x': description is a value"),
        ("trajectories.bounds=[1,", "set: trajectories.bounds: not YAML"),
        ("training.learning_rate=.nan", "training.learning_rate: has to be a finite number"),
        ("trajectories.beta_d=[0.8,0.05]", "trajectories.beta_d: .* the wrong way round or equal"),
        ("trajectories.beta_d=[0.8,0.8]", "trajectories.beta_d: .* the wrong way round or equal"),
        ("trajectories.beta_d=[0,0.8]", "trajectories.beta_d.0: 0 is less than or equal"),
        ("trajectories.beta_d=[0.8]", "trajectories.beta_d: .* is too short"),
        ("trajectories.beta_d=[0.1,0.2,0.8]", "trajectories.beta_d: .* is too long"),
        ("trajectories.beta_d=-1", "trajectories.beta_d: -1 is less than the minimum of 0"),
        (
            "trajectories.beta_d=high",
            "trajectories.beta_d: 'high' is not of type 'number', 'array'",
        ),
        ("trajectories.beta_d=[0.1,0.2] model.classes=1", "trajectories.beta_d: 1 classes have no"),
        ("trajectories.bounds=[1,.inf]", "trajectories.bounds: has to be a finite number"),
    ],
)
def test_a_mistake_is_named(change, named):
    with pytest.raises(InputError, match=named):
        config.load("digits", change + " search.initial=9")


@pytest.mark.parametrize("name", ["elbo", "mine:own"])
def test_a_model_without_classes_may_have_these_objectives(name):
    assert config.load("digits", f"model.classes=0 objective.name={name}")["model"]["classes"] == 0


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


@pytest.fixture
def root(tmp_path):
    """A config folder with one study that has a reduced scale and one that has none."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "schema.yaml").symlink_to(config.ROOT / "schema.yaml")
    needed = "trajectories: {cycles: 9, bounds: [1, 50], beta_d: 3}\nmodel: {classes: 2}\n"
    study = "description: Whole.\nimages: {source: digits, subset: 900}\n" + needed
    (tmp_path / "studies/one.yaml").write_text(study)
    study += "reduced:\n  trajectories: {cycles: 4, bounds: [2, 5]}\n  search: {initial: 3}\n"
    (tmp_path / "studies/two.yaml").write_text(study)
    return tmp_path


def test_the_reduced_scale_is_the_same_study_with_its_differences_laid_over(root):
    assert config.known(root) == ["one", "two", "two-reduced"]
    whole, reduced = config.load("two", root=root), config.load("two-reduced", root=root)
    assert whole == config.load("one", root=root)
    differing = {"cycles": 4, "bounds": [2, 5]}
    assert reduced["trajectories"] == whole["trajectories"] | differing
    assert reduced["search"] == whole["search"] | {"initial": 3}
    same = [key for key in whole if key not in ("trajectories", "search")]
    assert [reduced[key] for key in same] == [whole[key] for key in same]
    assert config.load("two-reduced", "search.initial=5", root)["search"]["initial"] == 5


def test_one_argument_takes_every_study_that_has_it_at_the_reduced_scale(root):
    both = {"studies": "one two two-reduced", "scale": "reduced"}
    assert config.studies(both, root) == ["one", "two-reduced"]
    assert config.studies({"studies": "one two"}, root) == ["one", "two"]
    with pytest.raises(InputError, match="scale: 'small' is no scale"):
        config.studies({"studies": "two", "scale": "small"}, root)


def test_a_mistake_in_the_reduced_part_is_named(root):
    path = root / "studies/two.yaml"
    path.write_text(path.read_text().replace("initial: 3", "inital: 3"))
    with pytest.raises(InputError, match=r"two.yaml \(reduced\): search.inital: no such key"):
        config.load("two-reduced", root=root)
    path.write_text(path.read_text().partition("reduced:")[0] + "reduced: yes\n")
    with pytest.raises(InputError, match="reduced: has to hold the keys"):
        config.load("two-reduced", root=root)
    with pytest.raises(InputError, match="no such study"):
        config.load("three-reduced", root=root)


def test_every_study_of_the_paper_has_both_scales_and_five_seeds():
    for name in config.PAPER_STUDIES:
        for scale in ("paper", "reduced"):
            study = config.load(config.at_scale(name, scale))
            assert study["compare"]["seeds"] >= 5
            borrowed = study["compare"]["transfer"]
            assert borrowed is None or borrowed == config.at_scale("mnist", scale)
        assert config.at_scale(name, "reduced") != name


@pytest.mark.parametrize("model", ["beta-", "beta-x", "beta-1e3", "best", "optimum-1"])
def test_a_model_that_is_none_is_refused(model):
    with pytest.raises(InputError, match=r"compare\.models"):
        config.load("digits", f"compare.models=[{model}]")


def test_a_transfer_needs_a_study_to_borrow_from():
    with pytest.raises(InputError, match=r"compare\.transfer: name the study"):
        config.load("digits", "compare.models=[transfer]")
    settings = config.load("digits", "compare.models=[transfer,beta-0.5] compare.transfer=mnist")
    assert settings["compare"]["models"] == ["transfer", "beta-0.5"]


def test_an_unknown_study_lists_those_there_are():
    with pytest.raises(InputError, match=r"no study 'digts'; choose from .*digits"):
        config.studies({"studies": "digts"})


def test_a_stage_sees_only_what_it_depends_on():
    study = config.load("digits")
    picked = config.pick(study, ["seed", "search.replicates", "model"])
    assert picked == {"seed": 0, "search": {"replicates": 1}, "model": study["model"]}


def test_a_home_is_named_once_since_a_jobs_may_be_another(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    images = config.load("test", "images.source=files images.path=~/p images.labels=~/l.csv")[
        "images"
    ]
    assert (images["path"], images["labels"]) == ("/home/me/p", "/home/me/l.csv")


def test_a_study_may_end_in_yml(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies/mine.yml").write_bytes((config.ROOT / "studies/test.yaml").read_bytes())
    assert config.known(tmp_path) == ["mine"]
    assert config.load("mine", root=tmp_path)["model"] == config.load("test")["model"]


def test_ones_own_images_need_a_path_and_classes_alone():
    said = {"description": "Mine.", "images": {"source": "files", "path": "mine"}}
    found = config.check(said | {"model": {"classes": 3}}, "mine.yaml")
    for section, keys in config.OF_FILES.items():
        assert {key: found[section][key] for key in keys} == keys
    own = {"model": {"classes": 3, "decoder": "bernoulli"}, "trajectories": {"bounds": [1, 50]}}
    found = config.check(said | own, "mine.yaml")
    assert found["model"]["decoder"] == "bernoulli"
    assert found["trajectories"]["bounds"] == [1, 50]
    assert found["trajectories"]["cycles"] == config.OF_FILES["trajectories"]["cycles"]
    assert found["training"]["start"] == "mixture"
    for free, start in (([], "pixels"), (["s"], "pixels"), (["t"], "mixture"), (["r"], "mixture")):
        settings = said | {"model": {"classes": 3, "invariances": free}}
        assert config.check(settings, "mine.yaml")["training"]["start"] == start


def test_the_turned_digits_are_treated_as_images_of_ones_own():
    found = config.load("turned")
    for section, keys in config.OF_FILES.items():
        if section != "images":
            assert {key: found[section][key] for key in keys} == keys


def test_defaults_of_own_images_are_of_no_other_source():
    assert config.load("digits")["training"]["start"] == "random"
