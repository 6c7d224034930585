"""Images: what each source gives, balancing, subsets, and what is said of bad input."""

import gzip
import hashlib
import logging
from pathlib import Path

import h5py
import imageio.v3
import numpy as np
import pytest
import tifffile

from zbo.base.errors import InputError
from zbo.data import downloads, sources
from zbo.data.downloads import fetch_mnist, read_idx
from zbo.data.images import ImageSettings, balance, draw_subset, load
from zbo.data.labels import encode as encode_labels


@pytest.fixture
def pictures() -> np.ndarray:
    """Twenty grey images of 8 x 6 pixels, all different."""
    return np.random.default_rng(0).integers(0, 256, (20, 8, 6), dtype=np.uint8)


@pytest.fixture
def labels() -> np.ndarray:
    """Three classes of 2, 6 and 12 images, mixed."""
    return np.random.default_rng(1).permutation(np.repeat([1, 2, 10], [2, 6, 12]))


def files(path: Path, **settings) -> ImageSettings:
    return ImageSettings(**{"source": "files", "path": str(path), "subset": 1} | settings)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def refused(settings: ImageSettings | dict, *parts: object) -> None:
    """Loading raises one InputError that holds every part."""
    with pytest.raises(InputError) as caught:
        load(ImageSettings(**settings) if isinstance(settings, dict) else settings, 0)
    for part in parts:
        assert str(part) in str(caught.value)


# Sources


def test_digits_are_the_bundled_ones():
    loaded = load(ImageSettings(source="digits"), 0)
    assert loaded.images.shape == (1797, 8, 8)
    assert loaded.images.dtype == np.float32
    # The first digit's first row, of 16 levels, as scikit-learn documents it.
    np.testing.assert_array_equal(loaded.images[0, 0] * 16, [0, 0, 5, 13, 9, 1, 0, 0])
    assert loaded.labels[:5].tolist() == [0, 1, 2, 3, 4]
    assert loaded.names == tuple("0123456789")
    assert len(loaded.subset) == 600


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("variable", [True, False])
def test_mnist_is_read_from_a_folder(tmp_path, monkeypatch, pictures, ending, variable):
    for name, array in (("images-idx3", pictures), ("labels-idx1", np.arange(20, dtype="u1") % 3)):
        content = idx(array)
        (tmp_path / f"train-{name}-ubyte{ending}").write_bytes(
            gzip.compress(content) if ending else content
        )
    monkeypatch.setenv("ZBO_MNIST", str(tmp_path) if variable else "/nowhere")
    loaded = load(
        ImageSettings(source="mnist", path=None if variable else str(tmp_path), subset=5), 0
    )
    np.testing.assert_array_equal(loaded.images, (pictures / 255).astype(np.float32))
    assert loaded.labels.tolist() == [i % 3 for i in range(20)]


def test_mnist_folder_without_the_files_is_refused(tmp_path, monkeypatch):
    refused(
        ImageSettings(source="mnist", path=str(tmp_path)), "images.path", tmp_path, "train-images"
    )
    monkeypatch.setenv("ZBO_MNIST", str(tmp_path))
    refused(ImageSettings(source="mnist"), "ZBO_MNIST", tmp_path)


@pytest.mark.parametrize("ending", ["npy", "npz", "h5", "hdf5"])
@pytest.mark.parametrize("name", ["images", "anything"])
def test_array_files_hold_the_same_images(tmp_path, pictures, labels, ending, name):
    path, own = tmp_path / f"x.{ending}", None
    if ending == "npy":
        np.save(path, pictures)
    elif ending == "npz":
        np.savez(path, **{name: pictures, "labels": labels})
    else:
        with h5py.File(path, "w") as file:
            file[f"deep/{name}" if name != "images" else name] = pictures
            file["labels"] = labels.astype(str).astype(h5py.string_dtype())
    loaded = load(files(path), 0)
    np.testing.assert_array_equal(loaded.images, (pictures / 255).astype(np.float32))
    if ending != "npy":
        own = [loaded.names[k] for k in loaded.labels]
        assert own == labels.astype(str).tolist()
        assert loaded.names == ("1", "2", "10")


@pytest.mark.parametrize("ending", ["npy", "npz", "h5", "csv", "txt"])
def test_label_files_hold_the_same_labels(tmp_path, pictures, labels, ending):
    path = tmp_path / f"labels.{ending}"
    if ending == "npy":
        np.save(path, labels.astype(float))
    elif ending == "npz":
        np.savez(path, labels)
    elif ending == "h5":
        with h5py.File(path, "w") as file:
            file["counts"] = labels
    elif ending == "csv":
        path.write_text("label\n" + "\n".join(map(str, labels)) + "\n")
    else:
        np.savetxt(path, labels)  # writes 1.0e+01 for 10
    loaded = load(files(saved(tmp_path / "x.npy", pictures), labels=str(path)), 0)
    assert loaded.names == ("1", "2", "10")
    np.testing.assert_array_equal(np.array([1, 2, 10])[loaded.labels], labels)
    assert loaded.labels.dtype == np.int64


def test_labels_given_apart_win_over_those_in_the_file(tmp_path, pictures, labels):
    np.savez(tmp_path / "x.npz", images=pictures, labels=labels)
    (tmp_path / "y.txt").write_text("\n".join("ab" * 10))
    loaded = load(files(tmp_path / "x.npz", labels=str(tmp_path / "y.txt")), 0)
    assert loaded.names == ("a", "b")


def test_folder_is_read_by_name_with_every_page(tmp_path, pictures):
    imageio.v3.imwrite(tmp_path / "b.png", pictures[0])
    tifffile.imwrite(tmp_path / "a.TIF", pictures[1:4], photometric="minisblack")
    imageio.v3.imwrite(tmp_path / "c.png", pictures[4].astype(np.uint16) * 257)
    imageio.v3.imwrite(tmp_path / ".hidden.png", pictures[5])
    (tmp_path / "notes.txt").write_text("no picture")
    loaded = load(files(tmp_path), 0)
    np.testing.assert_allclose(loaded.images, pictures[[1, 2, 3, 0, 4]] / 255, atol=1e-7)
    assert loaded.labels is None
    assert loaded.names == ()


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("alpha", [False, True])
def test_colours_become_grey(tmp_path, pictures, ending, alpha):
    colour = np.stack([pictures[0], pictures[1], pictures[2]] + [pictures[3]] * alpha, axis=-1)
    if ending == "png":
        imageio.v3.imwrite(tmp_path / "a.png", colour)
    else:
        tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb")
    # The luminance of CRT phosphors, scikit-image's weights.
    expected = (colour[..., :3] / 255) @ [0.2125, 0.7154, 0.0721]
    np.testing.assert_allclose(load(files(tmp_path), 0).images[0], expected, atol=1e-6)


def test_tiff_of_separate_colour_planes_is_one_image(tmp_path, pictures):
    tifffile.imwrite(tmp_path / "a.tif", pictures[:3], photometric="rgb", planarconfig="separate")
    assert load(files(tmp_path), 0).images.shape == (1, 8, 6)


def test_subfolders_are_classes(tmp_path, pictures):
    for name, own in (("7", [0, 1]), ("10", [2]), ("9", [3])):
        (tmp_path / name).mkdir()
        for i in own:
            imageio.v3.imwrite(tmp_path / name / f"{i}.png", pictures[i])
    loaded = load(files(tmp_path), 0)
    assert loaded.names == ("7", "9", "10")
    seen = {
        (int(np.argmin(np.abs(pictures / 255 - image).sum((1, 2)))), loaded.names[label])
        for image, label in zip(loaded.images, loaded.labels, strict=True)
    }
    assert seen == {(0, "7"), (1, "7"), (2, "10"), (3, "9")}


# Downloading


@pytest.fixture
def mirror(tmp_path, pictures):
    """A good mirror, a wrong one, a cut one and a missing one, with the right checksum."""
    content = idx(pictures)
    packed = gzip.compress(content)
    for name, held in (("good", packed), ("wrong", gzip.compress(b"x")), ("cut", packed[:-20])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "digits.gz").write_bytes(held)
    checksums = {"digits": hashlib.md5(content).hexdigest()}
    return lambda *names: ([(tmp_path / name).as_uri() for name in names], checksums)


def test_bad_mirrors_are_skipped(tmp_path, mirror, pictures, caplog):
    with caplog.at_level(logging.WARNING):
        path = fetch_mnist("digits", tmp_path / "cache", *mirror("missing", "wrong", "cut", "good"))
    np.testing.assert_array_equal(read_idx(path), pictures)
    assert [f.name for f in (tmp_path / "cache").iterdir()] == ["digits"]
    assert len(caplog.records) == 3


def test_fetched_file_is_kept_unless_damaged(tmp_path, mirror):
    path = fetch_mnist("digits", tmp_path / "cache", *mirror("good"))
    assert fetch_mnist("digits", tmp_path / "cache", *mirror()) == path
    path.write_bytes(path.read_bytes()[:-1])
    fetch_mnist("digits", tmp_path / "cache", *mirror("good"))
    assert hashlib.md5(path.read_bytes()).hexdigest() == mirror()[1]["digits"]


def test_without_a_mirror_nothing_is_written_and_all_are_named(tmp_path, mirror):
    with pytest.raises(InputError, match=r"missing/digits.*wrong/digits.*MD5.*ZBO_MNIST"):
        fetch_mnist("digits", tmp_path / "cache", *mirror("missing", "wrong"))
    assert not (tmp_path / "cache").exists()


def test_cache_that_cannot_be_written_is_named(tmp_path, mirror):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="XDG_CACHE_HOME"):
        fetch_mnist("digits", tmp_path / "cache", *mirror("good"))


def test_mnist_without_a_folder_is_fetched_into_the_cache(tmp_path, monkeypatch, pictures):
    held = {"images-idx3": idx(pictures), "labels-idx1": idx(np.arange(20, dtype=np.uint8))}
    held = {f"train-{name}-ubyte": content for name, content in held.items()}
    for name, content in held.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    monkeypatch.delenv("ZBO_MNIST", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(downloads, "MIRRORS", (tmp_path.as_uri(),))
    monkeypatch.setattr(
        downloads, "MNIST_MD5", {name: hashlib.md5(held[name]).hexdigest() for name in held}
    )
    assert len(load(ImageSettings(source="mnist", subset=5), 0).images) == 20
    assert {f.name for f in (tmp_path / "cache/zbo/mnist").iterdir()} == set(held)


# Nanoparticles


@pytest.fixture
def measured(tmp_path) -> Path:
    """A folder as the authors share it: 30 images of 1 to 4 particles, the count in a pixel."""
    counts = np.random.default_rng(0).permutation(np.repeat([1, 2, 3, 4], [12, 9, 6, 3]))
    images = np.random.default_rng(1).uniform(10, 20, (30, 96, 96))
    images[:, 0, 0], images[:, 0, 1], images[:, 5, 5] = 0, 100, 10 * counts
    (tmp_path / "measured").mkdir()
    np.save(tmp_path / "measured" / "train_plas.npy", images)
    np.save(tmp_path / "measured" / "plasmonic_labels.npy", counts.astype(float))
    return tmp_path / "measured"


def particles(path: Path | str | None = None, **settings) -> ImageSettings:
    changed = {"path": path and str(path), "subset": 1, "normalize": "image"} | settings
    return ImageSettings(source="nanoparticles", **changed)


@pytest.mark.parametrize("kind", ["folder", "file", "addresses", "address of a folder"])
def test_measured_nanoparticles_are_read(measured, monkeypatch, tmp_path, kind):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images, labels = (measured / name for name in sources.NANOPARTICLES)
    settings = {
        "folder": particles(measured),
        "file": particles(images, labels=str(labels)),
        "addresses": particles(images.as_uri(), labels=labels.as_uri()),
        "address of a folder": particles(measured.as_uri() + "/"),
    }[kind]
    loaded = load(settings, 0)
    assert loaded.names == ("1", "2", "3", "4")
    assert not loaded.simulated
    np.testing.assert_allclose(loaded.images[:, 5, 5], 0.1 * (loaded.labels + 1), rtol=1e-6)
    np.testing.assert_allclose(loaded.images, np.load(images) / 100, atol=1e-6)


def test_files_a_study_reads_are_listed_and_addresses_are_not(measured):
    found = sources.files("nanoparticles", str(measured), None)
    assert found == sorted(str(measured / name) for name in sources.NANOPARTICLES)
    assert sources.files("nanoparticles", measured.as_uri(), None) == []
    assert sources.files("nanoparticles", None, None) == []


def test_fetched_files_are_kept(measured, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = load(particles(measured.as_uri()), 0)
    for name in sources.NANOPARTICLES:
        (measured / name).unlink()
    np.testing.assert_array_equal(load(particles(measured.as_uri()), 0).images, first.images)
    assert len(list((tmp_path / "cache/zbo/nanoparticles").iterdir())) == 2


def test_addresses_that_give_no_array_are_named_and_nothing_is_kept(
    measured, monkeypatch, tmp_path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images = measured / "train_plas.npy"
    images.write_bytes(images.read_bytes()[:-1])
    refused(particles(measured.as_uri()), images.as_uri(), "; ")
    images.write_text("<html>not found</html>")
    refused(particles(measured.as_uri()), images.as_uri(), "; ")
    refused(particles("nonsense://host"), "nonsense://host/train_plas.npy", "; ")
    assert not (tmp_path / "cache").exists()


def test_classes_are_balanced_from_themselves_in_the_set_and_the_subset(measured):
    loaded = load(
        particles(measured, counts=[2, 3, 4], balance=8, subset=9, balance_subset=True), 0
    )
    assert loaded.names == ("2", "3", "4")
    shown = np.round(loaded.images[:, 5, 5] * 10).astype(int)  # the count in the pixel
    np.testing.assert_array_equal(shown, np.array([2, 3, 4])[loaded.labels])
    assert np.bincount(shown).tolist() == [0, 0, 8, 8, 8]
    assert np.bincount(shown[loaded.subset]).tolist() == [0, 0, 3, 3, 3]


@pytest.mark.parametrize(
    ("images", "labels", "wrong"),
    [
        (np.zeros((5, 64, 64)), np.ones(5), "train_plas.npy"),
        (np.zeros((5, 96)), np.ones(5), "train_plas.npy"),
        (np.zeros((5, 96, 96)), np.ones(4), "plasmonic_labels.npy"),
        (np.zeros((5, 96, 96)), np.ones((5, 1)), "plasmonic_labels.npy"),
        (np.zeros((5, 96, 96)), np.arange(5), "plasmonic_labels.npy"),
        (np.zeros((5, 96, 96)), np.full(5, 1.5), "plasmonic_labels.npy"),
        (np.zeros((5, 96, 96)), np.full(5, np.nan), "plasmonic_labels.npy"),
        (np.zeros((5, 96, 96)), np.full(5, np.inf), "plasmonic_labels.npy"),
        (np.zeros((5, 96, 96)), np.full(5, "1"), "plasmonic_labels.npy"),
    ],
)
def test_measured_files_of_another_kind_are_refused(tmp_path, images, labels, wrong):
    np.save(tmp_path / "train_plas.npy", images)
    np.save(tmp_path / "plasmonic_labels.npy", labels)
    refused(particles(tmp_path), tmp_path / wrong, "; ")


def test_missing_measured_files_are_named(measured):
    refused(particles(measured / "train_plas.npy"), "images.labels", "plasmonic_labels.npy", "; ")
    (measured / "plasmonic_labels.npy").unlink()
    refused(particles(measured), measured / "plasmonic_labels.npy", "; ")
    refused(particles("/nowhere"), "/nowhere/train_plas.npy", "; ")


def test_counts_that_no_image_has_are_refused(measured):
    refused(particles(measured, counts=[1, 7]), "images.counts", "7", "1, 2, 3, 4", "; ")
    refused(particles(counts=[8], count=5), "images.counts", "8", "; ")
    refused(particles(counts=[1, 7], count=2), "images.counts", "7", "images.count", "; ")
    refused(ImageSettings(source="digits", counts=[1]), "images.counts", "; ")
    refused(particles(labels="somewhere"), "images.labels", "; ")


def test_without_a_path_nanoparticles_are_simulated():
    loaded = load(particles(count=300, size=(32, 32), balance=20, subset=14), 0)
    assert loaded.simulated
    assert loaded.images.shape == (140, 32, 32)
    assert loaded.names == tuple("1234567")
    assert (loaded.images.min((1, 2)) == 0).all()
    assert (loaded.images.max((1, 2)) == 1).all()
    same = load(particles(count=300, size=(32, 32), balance=20, subset=14), 0)
    np.testing.assert_array_equal(loaded.images, same.images)
    three = load(particles(count=50, counts=[1, 2, 3]), 0)
    assert three.images.shape == (50, 96, 96)
    assert three.names == tuple("123")


# Scaling and resizing


@pytest.mark.parametrize(
    ("stored", "scale"), [("?", 1), ("u1", 255), ("<u2", 65535), (">u2", 65535), ("f4", 1)]
)
def test_range_is_that_of_the_type(tmp_path, stored, scale):
    array = np.zeros((3, 5, 5), stored)
    array[:, 0, 0] = scale
    array[0, 1, 1] = scale / 5 if stored != "?" else 1
    loaded = load(files(saved(tmp_path / "x.npy", array)), 0)
    assert loaded.images[0, 0, 0] == 1
    assert loaded.images[0, 1, 1] == pytest.approx(1 if stored == "?" else 0.2)
    assert loaded.images[1, 1, 1] == 0


def test_set_keeps_the_contrast_between_images_and_image_does_not(tmp_path):
    array = np.zeros((3, 5, 5))
    array[0, 0, :2] = -3, 5
    array[1, 0, :2] = 1, 3
    array[2] = 0.3
    path = saved(tmp_path / "x.npy", array)
    whole = load(files(path, normalize="set"), 0).images
    np.testing.assert_allclose(whole[:, 0, 0], [0, 0.5, 3.3 / 8], rtol=1e-6)
    np.testing.assert_allclose(whole[:, 0, 1], [1, 0.75, 3.3 / 8], rtol=1e-6)
    for size in (None, (7, 7)):
        each = load(files(path, normalize="image", size=size), 0).images
        assert each.max((1, 2)).tolist() == [1, 1, 0]  # an image of one grey value is black
        assert each.min((1, 2)).tolist() == [0, 0, 0]


def test_set_does_not_depend_on_how_many_are_kept(tmp_path, pictures):
    path = saved(tmp_path / "x.npy", pictures)
    every = load(files(path, normalize="set"), 0).images
    kept = load(files(path, normalize="set", count=4), 0).images
    assert all((every == image).all((1, 2)).any() for image in kept)


def test_resizing_keeps_means_and_range(tmp_path):
    # A checkerboard finer than the new pixels is grey if smoothed, black or white if sampled.
    board = np.indices((33, 33)).sum(0) % 2 * 255
    half = np.repeat([[0, 255]], 33, 0).repeat([16, 17], 1)  # so that the set has contrast
    boards = np.array([board, half, half]).astype("u1")
    loaded = load(files(saved(tmp_path / "x.npy", boards), size=(11, 11)), 0)
    assert loaded.images.shape == (3, 11, 11)
    np.testing.assert_allclose(loaded.images[0, 2:-2, 2:-2], 0.5, atol=0.1)


def test_images_of_different_sizes_need_a_size(tmp_path, pictures):
    imageio.v3.imwrite(tmp_path / "a.png", pictures[0])
    imageio.v3.imwrite(tmp_path / "b.png", pictures[1][:, :5])
    refused(files(tmp_path), "b.png", "8 x 5", "8 x 6", "images.size")
    assert load(files(tmp_path, size=(8, 6)), 0).images.shape == (2, 8, 6)


def test_dark_range_is_warned_of_or_refused(tmp_path, caplog):
    array = np.indices((3, 5, 5)).sum(0).astype(np.uint8)
    refused(files(saved(tmp_path / "x.npy", array)), "images.normalize", "percentiles")
    load(files(saved(tmp_path / "x.npy", array * np.uint8(5))), 0)
    assert "images.normalize" in caplog.text


@pytest.mark.parametrize(
    ("fit", "bright", "said"),
    [("crop", 1, "50 % of one is cut off"), ("pad", 0.25, "100 % of one is added")],
)
def test_another_aspect_is_kept_and_said(tmp_path, caplog, fit, bright, said):
    """Of 8 x 16 pixels, bright in the middle half, to 8 x 8: nothing is squeezed."""
    wide = np.zeros((3, 8, 16), np.uint8)
    wide[:, :, 4:12] = 200
    wide[:, 0, 4] = 100
    loaded = load(files(saved(tmp_path / "x.npy", wide), size=(8, 8), fit=fit), 0)
    assert (loaded.images > 0.5).mean() == pytest.approx(bright, abs=0.05)
    assert "3 of 3 pictures have another aspect" in caplog.text and said in caplog.text


# Keeping, balancing, subsets


def test_balanced_images_are_of_their_own_class(tmp_path, pictures, labels):
    np.savez(tmp_path / "x.npz", images=pictures, labels=labels)
    loaded = load(files(tmp_path / "x.npz", balance=6), 3)
    assert np.bincount(loaded.labels).tolist() == [6, 6, 6]
    originals = (pictures / 255).astype(np.float32)
    found = (loaded.images[:, None] == originals[None]).all((2, 3))  # (18, 20)
    assert (found.sum(1) == 1).all()
    source = found.argmax(1)
    np.testing.assert_array_equal(np.array([1, 2, 10])[loaded.labels], labels[source])
    uses = np.bincount(source, minlength=20)
    assert sorted(uses[labels == 1]) == [3, 3]  # all kept, filled up evenly
    assert sorted(uses[labels == 2]) == [1] * 6  # as many as asked for: as they are
    assert uses[labels == 10].max() == 1  # drawn without replacement


def test_balance_draws_by_seed(labels):
    coded, names = encode_labels(labels, "labels")
    draws = [balance(coded, names, 5, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()


def test_same_seed_gives_the_same_set_and_subset_alone_changes_with_subset(
    tmp_path, pictures, labels
):
    np.savez(tmp_path / "x.npz", images=pictures, labels=labels)
    path = tmp_path / "x.npz"
    one, same, other = (
        load(files(path, count=18, balance=5, subset=m), seed)
        for m, seed in ((6, 5), (6, 5), (9, 5))
    )
    np.testing.assert_array_equal(one.subset, same.subset)
    for loaded in (same, other):
        np.testing.assert_array_equal(one.images, loaded.images)
        np.testing.assert_array_equal(one.labels, loaded.labels)
    changed = load(files(path, count=18, balance=5, subset=6), 6)
    assert (changed.images != one.images).any()


def test_count_keeps_images_with_their_labels(tmp_path, pictures, labels):
    np.savez(tmp_path / "x.npz", images=pictures, labels=labels)
    loaded = load(files(tmp_path / "x.npz", count=7), 0)
    source = (loaded.images[:, None] == (pictures / 255).astype("f4")).all((2, 3)).argmax(1)
    assert len(set(source)) == 7
    np.testing.assert_array_equal(np.array([1, 2, 10])[loaded.labels], labels[source])


def test_subset_is_drawn_once_each_and_in_order():
    drawn = draw_subset(50, 20, np.random.default_rng(0))
    assert drawn.dtype == np.int64
    assert (np.diff(drawn) > 0).all()
    assert 0 <= drawn[0] <= drawn[-1] < 50
    assert draw_subset(5, 5, np.random.default_rng(0)).tolist() == [0, 1, 2, 3, 4]


def test_balanced_subset_holds_equally_many_of_each_class(labels):
    coded, names = encode_labels(labels, "labels")
    drawn = draw_subset(20, 6, np.random.default_rng(0), coded, names)
    assert np.bincount(coded[drawn]).tolist() == [2, 2, 2]
    assert (np.diff(drawn) > 0).all()


@pytest.mark.parametrize(
    ("values", "coded", "names"),
    [
        (["10", "9", "9"], [1, 0, 0], ("9", "10")),
        (["b", "10", " a"], [2, 0, 1], ("10", "a", "b")),
        ([b"x", b"y"], [0, 1], ("x", "y")),
        (["1_0", "10"], [1, 0], ("10", "1_0")),
        ([True, False], [1, 0], ("False", "True")),
        (np.array([3.0, -2.0]), [1, 0], ("-2", "3")),
        (np.array([3.0, -1.0, np.nan]), [0, -1, -1], ("3",)),
        (["b", " ", "-1", "a"], [1, -1, -1, 0], ("a", "b")),
    ],
)
def test_labels_are_numbered_by_value_or_alphabet(values, coded, names):
    labels, found = encode_labels(values, "labels")
    assert labels.tolist() == coded
    assert found == names


@pytest.mark.parametrize("values", [[[1, 2]], [0.5, 1.0], [np.inf, 1.0], ["-1", " "], [1j]])
def test_labels_that_are_no_classes_are_refused(values):
    with pytest.raises(InputError, match=r"^truth\.csv"):
        encode_labels(values, "truth.csv")


# Bad input


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"source": "cifar"}, "images.source"),
        ({"normalize": "max"}, "images.normalize"),
        ({"size": (4, 8)}, "images.size"),
        ({"size": (8,)}, "images.size"),
        ({"count": 0}, "images.count"),
        ({"count": 2000}, "images.count"),
        ({"balance": 0}, "images.balance"),
        ({"subset": 0}, "images.subset"),
        ({"subset": 1798}, "images.subset"),
        ({"subset": 605, "balance_subset": True}, "images.subset"),
        ({"subset": 1790, "balance_subset": True}, "images.subset"),
        ({"count": 3, "balance": 3}, "images.balance"),
        ({"path": "somewhere"}, "images.path"),
        ({"labels": "somewhere"}, "images.labels"),
        ({"source": "files"}, "images.path"),
        ({"source": "files", "path": "/nowhere/x.npy"}, "/nowhere/x.npy"),
        ({"source": "files", "path": "/nowhere"}, "/nowhere"),
    ],
)
def test_settings_that_cannot_hold_are_named(change, key):
    refused({"source": "digits"} | change, key)


@pytest.mark.parametrize("key", ["balance", "balance_subset"])
def test_balancing_needs_labels(tmp_path, pictures, key):
    path = saved(tmp_path / "x.npy", pictures)
    refused(
        files(path, **{key: True if key == "balance_subset" else 1}),
        f"images.{key}",
        "images.labels",
    )


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((20, 8)), "(20, 8)"),
        (np.zeros((20, 8, 8, 3)), "(20, 8, 8, 3)"),
        (np.float64(3), "()"),
        (np.zeros((0, 8, 8)), "no images"),
        (np.eye(8)[None, :4], "4 x 8"),
        (np.eye(8)[None] * np.nan, "NaN"),
        (np.where(np.eye(8) > 0, np.inf, 0)[None], "NaN or inf"),
        (np.eye(8)[None] * 1.01, "1.01"),
        (np.eye(8)[None] - 0.5, "-0.5"),
        (np.eye(8)[None].astype(int) * 255, "images.normalize"),
        (np.eye(8)[None] * 1j, "complex"),
        (np.eye(8)[None].astype(str), "U"),
        (np.full((3, 8, 8), 7, np.uint8), "one grey value"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, array, said):
    path = saved(tmp_path / "x.npy", array)
    refused(files(path), path, said, "; ")


def test_float32_rounding_over_one_passes(tmp_path):
    array = np.eye(8, dtype=np.float32)[None] * np.nextafter(np.float32(1), np.float32(2))
    assert load(files(saved(tmp_path / "x.npy", array)), 0).images.max() == 1


@pytest.mark.parametrize("normalize", ["range", "set", "image"])
def test_set_of_one_grey_value_each_is_refused(tmp_path, normalize):
    array = np.ones((3, 8, 8)) * np.array([0.1, 0.5, 0.9])[:, None, None]
    refused(files(saved(tmp_path / "x.npy", array), normalize=normalize), "one grey value")


@pytest.mark.parametrize(
    "content", [b"", b"abc", b"\0\0\x08", b"\0\0\x08\x03\0\0", b"\0\0\x0d\x01"]
)
@pytest.mark.parametrize("packed", [True, False])
def test_idx_files_that_are_none_are_refused(tmp_path, content, packed):
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(InputError, match=str(path)):
        read_idx(path)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("share", [0.3, 0.99])
def test_truncated_idx_files_are_refused(tmp_path, pictures, packed, share):
    content = gzip.compress(idx(pictures)) if packed else idx(pictures)
    (tmp_path / "x").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=str(tmp_path)):
        read_idx(tmp_path / "x")


@pytest.mark.parametrize("ending", ["npy", "npz", "h5"])
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.95])
@pytest.mark.parametrize("as_labels", [True, False])
def test_truncated_arrays_are_refused(tmp_path, ending, share, as_labels):
    path = tmp_path / f"x.{ending}"
    array = np.random.default_rng(0).random(20_000 if as_labels else (20, 40, 40)).round()
    if ending == "npy":
        np.save(path, array)
    elif ending == "npz":
        np.savez_compressed(path, array)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=array, compression="gzip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    if as_labels:
        good = saved(tmp_path / "good.npy", np.eye(8)[None])
        refused(files(good, labels=str(path)), path, "; ")
    else:
        refused(files(path), path, "; ")


def test_no_pickle_is_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    np.save(tmp_path / "x.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "x.npz", images=np.array([Trap()], dtype=object))
    (tmp_path / "y.npy").write_bytes(np.array([Trap()], dtype=object).dumps())
    for name in ("x.npy", "x.npz", "y.npy"):
        refused(files(tmp_path / name), tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_arrays_must_be_told_apart(tmp_path, pictures):
    np.savez(tmp_path / "x.npz", a=pictures, b=pictures)
    refused(files(tmp_path / "x.npz"), "x.npz", "a (20, 8, 6)", "'images'")


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("share", [0, 0.1, 0.6])
def test_pictures_that_cannot_be_read_are_named(tmp_path, name, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    imageio.v3.imwrite(tmp_path / name, noise)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    refused(files(tmp_path), tmp_path / name, "; ")


def test_empty_folders_are_refused(tmp_path, pictures):
    refused(files(tmp_path), tmp_path, "no picture")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    imageio.v3.imwrite(tmp_path / "one" / "a.png", pictures[0])
    refused(files(tmp_path), tmp_path / "two", "no picture")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("y.csv", "1\n2\n", "2 labels for 20 images"),
        ("y.csv", "", "0 labels"),
        ("y.csv", "a.png,1\nb.png,2\n", "2 columns"),
        ("y.json", "[1, 2]", "images.labels"),
    ],
)
def test_label_files_that_do_not_fit_are_refused(tmp_path, pictures, name, text, said):
    (tmp_path / name).write_text(text)
    path = saved(tmp_path / "x.npy", pictures)
    refused(files(path, labels=str(tmp_path / name)), tmp_path / name, said)
    refused(files(path, labels="/nowhere/y.txt"), "/nowhere/y.txt")


def test_images_are_turned_by_the_angles_that_are_kept():
    plain, turned = (
        load(ImageSettings(source="digits", turn=t, subset=50), 0) for t in (False, True)
    )
    assert plain.turned is None and turned.turned.shape == (1797,)
    np.testing.assert_array_equal(plain.subset, turned.subset)
    assert turned.images.min() >= 0 and turned.images.max() <= 1
    i = int(np.abs(turned.turned - 90).argmin())  # nearly a quarter turn
    inside = np.hypot(*(np.indices((8, 8)) - 3.5)) <= 3.5
    np.testing.assert_allclose(
        turned.images[i][inside], np.rot90(plain.images[i])[inside], atol=0.05
    )
    assert (np.ptp(turned.images[:, ~inside], axis=1) == 0).all()  # no frame that turned with it
    again = load(ImageSettings(source="digits", turn=True, subset=50), 1)
    assert not np.allclose(again.turned, turned.turned)
