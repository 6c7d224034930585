"""What the kept model says of images."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from made_model import shaken, small, some_images

import keep_model
import prepare_images
import write_classes
from zbo.base import config, storage
from zbo.base.errors import InputError
from zbo.judge import answer
from zbo.judge.angles import reconstructed
from zbo.trainer import jrvae
from zbo.trainer.pyroved import pyroved

SHAPE = (11, 11)
SCRIPTS = Path(keep_model.__file__).parent


@pytest.fixture(scope="module")
def kept():
    images = some_images(60, SHAPE)
    models = [shaken(small(image_shape=SHAPE, invariances=("r", "t")), seed=s) for s in (1, 2, 3)]
    return answer.keep(images, models, [1.0, 3.0, 2.0])


def test_the_seed_with_the_highest_objective_is_kept(kept):
    assert kept.model is kept.models[1]


def test_what_is_read_says_what_was_written(kept, tmp_path):
    images = some_images(9, SHAPE, seed=4)
    answer.write(tmp_path / "model.h5", kept, {"name": "optimum-1"})
    read = answer.read(tmp_path / "model.h5")
    for name, value in vars(kept.look(images)).items():
        np.testing.assert_array_equal(value, getattr(read.look(images), name), err_msg=name)
    # Its weights lie where those of models/*.h5 do.
    data = storage.read(tmp_path / "model.h5", kind="kept model")
    weights = jrvae.weights(kept.model)
    np.testing.assert_array_equal(
        data["weights/encoder_z.fc13.bias"], weights["encoder_z.fc13.bias"]
    )


def test_batches_change_nothing(kept, monkeypatch):
    images = some_images(9, SHAPE, seed=4)
    whole = kept.look(images)
    monkeypatch.setattr(answer, "ROWS", 2 * 121)
    for name, value in vars(kept.look(images)).items():
        np.testing.assert_allclose(value, getattr(whole, name), atol=0.01, err_msg=name)


def test_kinds_are_put_together_of_parts(tmp_path):
    """Two kinds of three classes: each image's part is of its kind, and the most probable of it."""
    images = some_images(60, SHAPE)
    models = [shaken(small(image_shape=SHAPE), seed=s) for s in (1, 2, 3)]
    answer.write(tmp_path / "model.h5", answer.keep(images, models, [1.0, 3.0, 2.0], kinds=2), {})
    kept = answer.read(tmp_path / "model.h5")
    found = kept.look(images)
    assert kept.means.shape == (3, 2) and kept.means.any(0).all()
    assert set(found.classes) <= {0, 1} and len(kept.zero) == len(kept.symmetry) == 3
    assert kept.means[found.part, found.classes].all()
    posterior = jrvae.encode(kept.model, images).probabilities
    for image, (part, kind) in enumerate(zip(found.part, found.classes, strict=True)):
        assert posterior[image, part] == posterior[image][kept.means[:, kind]].max()
    np.testing.assert_array_equal(found.symmetry, kept.symmetry[found.part])


def test_a_class_that_no_other_means_gets_the_one_with_most_of_its_images():
    """And one that holds no image means nothing, whatever it would be."""
    parts = np.array([[0.6, 0.4, 0.0], [0.1, 0.0, 0.9], [1 / 3, 1 / 3, 1 / 3]])
    shared = np.array([[50, 40, 0], [5, 0, 45], [0, 0, 0]])
    means = answer._means(parts, shared)
    np.testing.assert_array_equal(means, [[1, 1, 0], [0, 0, 1], [0, 0, 0]])


def test_a_model_kept_by_an_earlier_version_is_named(kept, tmp_path):
    answer.write(tmp_path / "model.h5", kept, {})
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        del file["classes/means"]
    with pytest.raises(InputError, match=r"model.h5: was kept by an earlier version"):
        answer.read(tmp_path / "model.h5")


def test_images_unlike_those_seen_are_told(kept):
    """Pixels beyond any it can decode: whatever it makes of them, it is wrong."""
    assert kept.look(some_images(60, SHAPE)).unlike.sum() <= 1
    assert kept.look(some_images(8, SHAPE) + 2).unlike.all()


def test_shifts_are_where_the_object_went():
    """A model that decodes a spot at its origin, moved by known latents."""
    model = shaken(small(image_shape=SHAPE, classes=0, invariances=("r", "t")))
    model.decoder.forward = lambda at, z: torch.exp(-8 * (at**2).sum(-1))
    z = np.array([[0.7, 0.9, -1.2, 0, 0]], np.float32)
    (image,) = reconstructed(model, z, np.zeros(1, int))
    weight = image / image.sum()
    down, right = ((np.mgrid[:11, :11] - 5) * weight).sum((1, 2))
    shift, _ = answer._placed(model, z)
    np.testing.assert_allclose(shift[0], (down, right), atol=0.1)


def test_a_model_without_classes_has_one():
    images = some_images(12, SHAPE)
    found = answer.keep(images, [shaken(small(image_shape=SHAPE, classes=0))], [0.0]).look(images)
    assert (found.classes == 0).all() and (found.probability == 1).all()


@pytest.mark.parametrize("decoder", ["bernoulli", "gaussian"])
def test_a_learned_sigma_is_the_root_mean_squared_error(decoder, tmp_path):
    images = some_images(60, SHAPE)
    model = shaken(small(image_shape=SHAPE, decoder=decoder, decoder_sigma="learned"))
    found = answer.keep(images, [model], [0.0])
    answer.write(tmp_path / "model.h5", found, {})
    np.testing.assert_equal(answer.read(tmp_path / "model.h5").sigma, found.sigma)
    if decoder == "bernoulli":
        assert np.isnan(found.sigma)
    else:
        encoding = jrvae.encode(model, images)
        made = reconstructed(model, encoding.z_mean, found.look(images).part)
        assert found.sigma == pytest.approx(np.sqrt(((made - images) ** 2).mean()), rel=1e-5)


def test_a_fixed_sigma_is_kept():
    model = shaken(small(image_shape=SHAPE, decoder="gaussian", decoder_sigma=0.2))
    assert answer.keep(some_images(20, SHAPE), [model], [0.0]).sigma == 0.2


def test_rows_name_the_source(kept):
    images = {
        "images": some_images(2, SHAPE),
        "files": np.array(["a.tif", "b.tif"]),
        "file": np.array([1, 0]),
        "page": np.array([0, 3]),
        "y": np.array([5, 6]),
        "x": np.array([7, 8]),
        "labels": np.array([0, 1]),
        "names": np.array(["rod", "disc"]),
    }
    first, second = answer.rows(kept.look(images["images"]), images)
    assert [first[key] for key in ("file", "page", "y", "x", "label")] == [
        "b.tif",
        "0",
        "5",
        "7",
        "rod",
    ]
    assert second["label"] == "disc" and second["class"] >= 1


def test_an_image_without_a_label_has_none_in_its_row(kept):
    images = {"images": some_images(2, SHAPE), "names": np.array(["rod", "disc"])}
    images["labels"] = np.array([-1, 0])
    rows = list(answer.rows(kept.look(images["images"]), images))
    assert [row["label"] for row in rows] == ["", "rod"]


def test_pyroved_builds_a_model_whose_sigma_is_learned():
    settings = small(image_shape=SHAPE, decoder="gaussian", decoder_sigma="learned")
    model = jrvae.build(settings, seed=0)
    saved = keep_model.for_pyroved(model)
    again = getattr(pyroved.models, saved["class"])(**saved["arguments"], device="cpu")
    again.load_state_dict(saved["weights"])
    for name, weight in model.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], weight)


def test_pyroved_loads_model_pt_as_the_readme_says(kept, tmp_path):
    torch.save(keep_model.for_pyroved(kept.model), tmp_path / "model.pt")
    told = f"""
from zbo.trainer.pyroved import pyroved as pv
import torch
saved = torch.load({str(tmp_path / "model.pt")!r})
model = getattr(pv.models, saved["class"])(**saved["arguments"])
model.load_state_dict(saved["weights"])
z_mean, z_sd, classes = model.encode(torch.linspace(0, 1, 121).reshape(1, 11, 11))
print(*z_mean[0].tolist(), int(classes[0]))
"""
    done = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=False, cwd=SCRIPTS
    )
    assert done.returncode == 0, done.stderr
    *z, found = map(float, done.stdout.split())
    image = np.linspace(0, 1, 121, dtype=np.float32).reshape(1, 11, 11)
    expected = jrvae.encode(kept.model, image)
    np.testing.assert_allclose(z, expected.z_mean[0], rtol=1e-4, atol=1e-5)
    assert found == expected.probabilities[0].argmax()


@pytest.fixture
def ran(tmp_path):
    """A finished study's folder of 12 digits, K as asked for, and three of them as new files."""

    def run(classes):
        folder = tmp_path / f"study-{classes}"
        settings = config.load("digits", "images.count=12 images.subset=4")
        chosen = json.dumps(config.pick(settings, ["seed", "images", "model.invariances"]))
        prepare_images.main(["--settings", chosen, "--output", str(folder / "images.h5")])
        images = storage.read(folder / "images.h5", kind="images")["images"]
        models = [shaken(small(image_shape=(8, 8), classes=classes), seed=s) for s in (1, 2)]
        found = answer.keep(images, models, [1.0, 2.0])
        answer.write(folder / "model.h5", found, {})
        np.save(tmp_path / "new.npy", images[[3, 7, 9]])
        return folder, found.look(images)

    return run


@pytest.mark.parametrize("classes", [3, 0])
def test_new_images_get_what_they_had_in_the_study(ran, tmp_path, classes):
    """Also of a model without classes: angles and latents."""
    folder, before = ran(classes)
    images, found = answer.apply(folder, str(tmp_path / "new.npy"))
    assert len(images.images) == 3
    for name, value in vars(found).items():
        expected = getattr(before, name)[[3, 7, 9]]
        np.testing.assert_allclose(value, expected, atol=1e-3, err_msg=name)


def test_a_study_that_has_not_been_run_is_named(tmp_path):
    with pytest.raises(InputError, match=r"model\.h5: there is no such file; run the workflow"):
        answer.apply(tmp_path, str(tmp_path))


def test_classes_are_written_block_by_block_as_at_once(ran, tmp_path, monkeypatch, capsys):
    folder, before = ran(3)
    arguments = ["--settings", "{}", "--images", str(folder / "images.h5")]
    arguments += ["--model", str(folder / "model.h5"), "--output"]
    write_classes.main([*arguments, str(tmp_path / "whole.csv")])
    monkeypatch.setattr(write_classes, "BLOCK", 5)
    write_classes.main([*arguments, str(tmp_path / "parts.csv")])
    whole, parts = (answer.columns(tmp_path / f"{name}.csv") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    np.testing.assert_array_equal(parts["image"], np.arange(12))
    np.testing.assert_array_equal(parts["class"], before.classes + 1)
    for name, values in whole.items():
        if name in answer.TEXT:
            assert values.tolist() == parts[name].tolist()
        else:
            np.testing.assert_allclose(values, parts[name], atol=0.15)  # of angles, degrees
    assert "12 images" in capsys.readouterr().out


def test_it_is_said_how_angles_follow_those_by_which_images_were_turned(
    kept, tmp_path, monkeypatch, capsys
):
    """Here those that the model finds: all of them, up to what is rounded in the table."""
    images = np.concatenate([some_images(60, SHAPE), some_images(60, SHAPE, seed=1)])
    found = kept.look(images)
    answer.write(tmp_path / "model.h5", kept, {})
    about = {"turned": np.nan_to_num(found.angle) + 30.0, "labels": np.zeros(120, int)}
    about["labels"][0] = -1  # one has none
    about["names"] = np.array(["any"])
    storage.write(tmp_path / "images.h5", {"images": images} | about, kind="images")
    monkeypatch.setattr(write_classes, "BLOCK", 50)
    arguments = ["--settings", "{}", "--images", str(tmp_path / "images.h5")]
    arguments += ["--model", str(tmp_path / "model.h5"), "--output", str(tmp_path / "classes.csv")]
    write_classes.main(arguments)
    table = answer.columns(tmp_path / "classes.csv")
    np.testing.assert_allclose(table["turned"], about["turned"], atol=0.051)
    counted = np.bincount(found.classes[1:][np.isfinite(found.angle[1:])], minlength=3)
    share = counted[counted >= 10].sum() / 120
    assert f"resultant 1.00 (1 is best) modulo each class's symmetry, of {share:.0%}" in (
        capsys.readouterr().out
    )


def test_images_unlike_those_of_the_training_are_warned_of(ran, tmp_path, capsys):
    folder, _ = ran(3)
    noise = np.random.default_rng(0).random((6, 8, 8), dtype=np.float32)
    data = {"images": (noise > 0.5).astype(np.float32)}
    storage.write(tmp_path / "noise.h5", data, kind="images")
    arguments = ["--settings", "{}", "--images", str(tmp_path / "noise.h5")]
    arguments += ["--model", str(folder / "model.h5"), "--output", str(tmp_path / "classes.csv")]
    write_classes.main(arguments)
    assert "Warning:" in capsys.readouterr().out
