"""What was cut out of which micrograph, and how long things in pictures are."""

import importlib
import json
import logging

import numpy as np
import pytest
import tifffile
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.text import Text
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from zbo.base import storage
from zbo.base.settings import ImageSettings
from zbo.drawing import panels, plots

COUNTS = {"first": 12, "none": 0, "second": 5}


def micrograph(count, side=160):
    """Dark disks of radius 8, side by side, in noise."""
    rng, (y, x) = np.random.default_rng(count), np.indices((side, side))
    picture = rng.normal(200, 5, (side, side))
    for k in range(count):
        row, column = 24 + 36 * (k // 4), 24 + 36 * (k % 4)
        picture[np.hypot(y - row, x - column) < 8] -= 120
    return picture.astype(np.uint8)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that scripts save, kept to be looked at."""
    kept = []
    monkeypatch.setattr(plots, "save", lambda figure, paths: kept.append(figure))
    return kept


@pytest.fixture
def prepared(tmp_path):
    """Prepare micrographs and give images.h5; of another pixel size, or of none."""

    def run(nm=2.0, **changed):
        folder = tmp_path / f"pictures-{nm}"
        folder.mkdir()
        for name, count in COUNTS.items():
            known = {"resolution": (1 / nm, 1 / nm), "metadata": {"unit": "nm"}} if nm else {}
            tifffile.imwrite(folder / f"{name}.tif", micrograph(count), imagej=True, **known)
        rows = [
            f"{name},{24 + 36 * (k // 4)},{24 + 36 * (k % 4)},{14 + k}"
            for name, count in COUNTS.items()
            for k in range(count)
        ]
        (folder / "t.csv").write_text("\n".join(["file,y,x,diameter", *rows]))
        images = {"source": "files", "path": str(folder), "subset": 5, "normalize": "image"}
        images["patches"] = {"size": 20, "coordinates": str(folder / "t.csv")}
        images = ImageSettings(**images | changed).model_dump(mode="json")
        for key in ("path", "coordinates"):
            if images["patches"] and key in images["patches"]:
                images["patches"][key] = str(folder / "t.csv")
        given = {"seed": 0, "images": images, "model": {"invariances": ["r"]}}
        path = tmp_path / f"images-{nm}.h5"
        prepare = importlib.import_module("prepare_images")
        prepare.main(["--settings", json.dumps(given), "--output", str(path)])
        return path

    return run


def draw(name, path, *more):
    script = importlib.import_module(f"figures.{name}")
    script.main(["--images", str(path), *more, "--output", "unwritten.pdf"])


def words(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def bars(figure):
    return figure.findobj(AnchoredSizeBar)


def test_each_micrograph_is_shown_with_its_windows_and_their_count(prepared, drawn):
    draw("patches", prepared())
    axes = [ax for ax in drawn[0].axes if ax.images]
    assert [ax.get_title(loc="left") for ax in axes] == [
        f"{name}.tif: {count}" for name, count in COUNTS.items()
    ]
    for ax, count in zip(axes, COUNTS.values(), strict=True):
        (windows,) = (c for c in ax.collections if isinstance(c, PolyCollection))
        (dots,) = (c for c in ax.collections if isinstance(c, PathCollection))
        assert len(windows.get_paths()) == len(dots.get_offsets()) == count
        for k, path in enumerate(windows.get_paths()):
            row, column = 24 + 36 * (k // 4), 24 + 36 * (k % 4)
            assert path.get_extents().extents.tolist() == pytest.approx(
                [column - 10, row - 10, column + 10, row + 10]
            )
    assert "17 patches from 3 micrographs" in words(drawn[0])


def test_copies_of_a_patch_are_drawn_once(prepared, drawn, tmp_path):
    (tmp_path / "labels.csv").write_text("file,y,x,label\nfirst,24,24,a\nsecond,24,24,b\n")
    draw("patches", prepared(labels=str(tmp_path / "labels.csv"), balance=5))
    assert "2 patches from 3 micrographs" in words(drawn[0])


def test_images_that_were_not_cut_out_say_so(tmp_path, drawn):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((9, 12, 12)))
    images = ImageSettings(source="files", path=str(tmp_path / "a.npy"), subset=5)
    given = {"seed": 0, "images": images.model_dump(mode="json"), "model": {"invariances": []}}
    prepare = importlib.import_module("prepare_images")
    prepare.main(["--settings", json.dumps(given), "--output", str(tmp_path / "images.h5")])
    draw("patches", tmp_path / "images.h5")
    assert any("whole pictures" in word for word in words(drawn[0]))


@pytest.mark.parametrize(
    ("nm", "whole", "part"), [(2.0, "50 nm", "20 nm"), (300.0, "10 µm", "5 µm")]
)
def test_lengths_are_shown_where_a_pixel_is_known(prepared, drawn, nm, whole, part):
    """160 pixels are a micrograph, 20 an image."""
    path = prepared(nm)
    for name, said in (("patches", whole), ("images", part)):
        draw(name, path)
        found = bars(drawn[-1])
        assert found and all(said in words(drawn[-1]) for _ in found), words(drawn[-1])


def test_no_length_is_shown_where_no_pixel_is_known(prepared, drawn):
    path = prepared(None)
    for name in ("patches", "images"):
        draw(name, path)
        assert not bars(drawn[-1])
        assert not any(" nm" in word for word in words(drawn[-1]))


def test_members_have_a_scale_where_a_pixel_is_known(prepared, drawn, tmp_path):
    path = prepared(2.0)
    count = len(storage.read(path, kind="images")["images"])
    found = {"probability": 1.0, "agreement": 1.0, "angle": 30.0, "symmetry": 1}
    found |= {"error": 0.1, "unlike": 0}
    rows = [{"class": 1 + i % 2} | found for i in range(count)]
    storage.write_table(tmp_path / "classes.csv", rows)
    draw("members", path, "--classes", str(tmp_path / "classes.csv"))
    assert bars(drawn[-1]) and "20 nm" in words(drawn[-1])


def test_images_of_several_scales_say_from_which_to_which():
    ax = plots.figure(3, 3).subplots()
    known = {"window": np.array([10.0, 20, 40]), "pixel_size": np.array([0.5, np.nan, 50])}
    panels.say_scale(ax, known, (8, 8))
    assert [text.get_text() for text in ax.texts] == ["an image is 5 nm to 2 µm wide"]


@pytest.mark.parametrize(
    ("nm", "said"),
    [(0.05, "50 pm"), (0.5, "500 pm"), (1, "1 nm"), (20, "20 nm"), (5e3, "5 µm"), (1e6, "1 mm")],
)
def test_lengths_are_written_as_people_write_them(nm, said):
    assert plots.length(nm) == said


@pytest.mark.parametrize("pixel", [0.0127, 0.37, 1.0, 3372.4])
@pytest.mark.parametrize("across", [25, 180])
def test_a_bar_is_of_a_round_length_and_not_longer_than_it_may(pixel, across):
    ax = plots.figure(3, 3).subplots()
    plots.scale_bar(ax, pixel, across)
    (bar,) = ax.findobj(AnchoredSizeBar)
    pixels = bar.size_bar.get_children()[0].get_width()
    assert 0.4 * across < pixels <= 1.001 * across
    first = f"{pixels * pixel:.3e}"[:5]
    assert first in ("1.000", "2.000", "5.000")


def test_the_log_counts_the_patches_of_each_picture(prepared, caplog):
    with caplog.at_level(logging.INFO):
        prepared()
    for name, count in COUNTS.items():
        assert f"{name}.tif: {count} patches" in caplog.text
