"""New images: prepared bit for bit as a study's were, and refused where they cannot be."""

import json

import numpy as np
import pytest
import tifffile

from prepare_images import main as prepare
from zbo.base import storage
from zbo.base.config import check
from zbo.base.errors import InputError
from zbo.data import unseen


def study(folder, pictures, **images):
    """Prepare a study of these pictures as the workflow does; gives its images.h5."""
    write(folder / "study", pictures)
    return prepared(folder, path=str(folder / "study"), **{"source": "files"} | images)


def prepared(folder, **images):
    settings = {
        "description": "",
        "images": {"subset": 1} | images,
        "trajectories": {"cycles": 2, "bounds": [1, 2], "beta_d": 1},
        "model": {"classes": 2, "invariances": []},  # oblong ones cannot be turned
    }
    chosen = json.dumps(check(settings, "test"))
    prepare(["--settings", chosen, "--output", str(folder / "images.h5")])
    return folder / "images.h5"


def write(folder, pictures):
    folder.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        tifffile.imwrite(folder / f"{name}.tif", picture)


@pytest.fixture
def pictures():
    """Pictures of unlike brightness and contrast, 16 bits."""
    rng = np.random.default_rng(0)
    return {
        name: (1000 * number + rng.integers(0, 3000 * number, (40, 30))).astype(np.uint16)
        for number, name in enumerate("abcd", start=1)
    }


@pytest.mark.parametrize(
    "images",
    [
        {"normalize": "range"},
        {"normalize": "set", "percentiles": [1, 99]},
        {"normalize": "image", "size": [16, 12], "crop": [2, 0, 1, 0], "count": 4},
        {"normalize": "set", "size": [10, 10], "fit": "pad"},
        {"normalize": "picture", "size": [8, 8], "patches": {"size": 12, "grid": 9}},
    ],
)
def test_two_of_the_studys_pictures_become_what_they_were(tmp_path, pictures, images):
    of_study = study(tmp_path, pictures, **images)
    write(tmp_path / "new", {name: pictures[name] for name in "bc"})  # neither limit of the set
    new = unseen.load(of_study, str(tmp_path / "new"))
    before = storage.read(of_study, kind="images")
    file = np.array([name[-5:] for name in before["files"]])[before["file"]]
    own = np.isin(file, ["b.tif", "c.tif"])
    np.testing.assert_array_equal(new.images, before["images"][own])
    for key in ("page", "y", "x", "window"):
        np.testing.assert_array_equal(getattr(new.places, key), before[key][own])
    assert new.labels is None


def test_nothing_is_drawn_balanced_or_left_out(tmp_path, pictures):
    (tmp_path / "labels.csv").write_text("label\n0\n0\n0\n1\n")
    chosen = {"normalize": "image", "labels": str(tmp_path / "labels.csv")}
    of_study = study(tmp_path, pictures, **chosen, balance=2, subset=2, balance_subset=True)
    assert len(unseen.load(of_study, str(tmp_path / "study")).images) == 4


def test_blocks_are_the_whole_in_order(tmp_path, pictures):
    of_study = study(tmp_path, pictures, normalize="image")
    whole = unseen.load(of_study, str(tmp_path / "study"))
    parts = list(unseen.blocks(of_study, str(tmp_path / "study"), size=3))
    assert [len(part.images) for part in parts] == [3, 1]
    np.testing.assert_array_equal(np.concatenate([p.images for p in parts]), whole.images)


def test_labels_are_taken_where_there_are_any(tmp_path, pictures):
    of_study = study(tmp_path, pictures, normalize="image")
    (tmp_path / "new").mkdir()
    write(tmp_path / "new/rod", {"a": pictures["a"]})
    write(tmp_path / "new/disc", {"b": pictures["b"]})
    new = unseen.load(of_study, str(tmp_path / "new"))
    assert [new.names[label] for label in new.labels] == ["disc", "rod"]


def test_a_built_in_study_takes_files_of_its_own_size(tmp_path):
    of_study = prepared(tmp_path, source="digits")
    digits = storage.read(of_study, kind="images")["images"]
    write(tmp_path / "new", {"a": np.uint8(np.round(digits[5] * 255))})
    new = unseen.load(of_study, str(tmp_path / "new"))
    np.testing.assert_allclose(new.images[0], digits[5], atol=0.003)
    write(tmp_path / "new", {"b": np.zeros((9, 8), np.uint8)})
    with pytest.raises(InputError, match=r"b\.tif has 9 x 8 pixels, the study's images 8 x 8"):
        unseen.load(of_study, str(tmp_path / "new"))


def test_places_of_patches_are_asked_for_and_used(tmp_path, pictures):
    places = tmp_path / "places.csv"
    places.write_text("file,y,x\na.tif,20,15\n")
    patches = {"size": 12, "coordinates": str(places)}
    of_study = study(tmp_path, {"a": pictures["a"]}, normalize="image", patches=patches)
    write(tmp_path / "new", {"b": pictures["b"]})
    with pytest.raises(InputError, match=r"coordinates: .* give those of the new pictures"):
        unseen.load(of_study, str(tmp_path / "new"))
    (tmp_path / "more.csv").write_text("file,y,x\nb.tif,10,12\nb.tif,22,12\n")
    new = unseen.load(of_study, str(tmp_path / "new"), str(tmp_path / "more.csv"))
    assert new.images.shape == (2, 12, 12)
    assert new.places.y.tolist() == [10, 22]
    other = study(tmp_path, pictures, normalize="image")
    with pytest.raises(InputError, match="leave COORDINATES out"):
        unseen.load(other, str(tmp_path / "new"), str(places))


def test_a_set_that_does_not_know_its_limits_is_named(tmp_path, pictures):
    of_study = study(tmp_path, pictures, normalize="set")
    data, facts = storage.read(of_study, kind="images"), storage.facts(of_study, kind="images")
    assert data.pop("limits").tolist() == pytest.approx([1000 / 65535, 15997 / 65535], rel=1e-3)
    storage.write(of_study, data, kind="images", settings=facts["settings"])
    with pytest.raises(InputError, match="grey values it was scaled"):
        unseen.load(of_study, str(tmp_path / "study"))


def test_a_folder_that_is_not_there_is_named(tmp_path, pictures):
    of_study = study(tmp_path, pictures, normalize="image")
    with pytest.raises(InputError, match=r"nowhere: there is no such file or folder"):
        unseen.load(of_study, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"images\.h5: there is no such file"):
        unseen.load(tmp_path / "none/images.h5", str(tmp_path / "study"))
