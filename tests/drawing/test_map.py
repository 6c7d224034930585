"""The map of micrographs: patches in their places, a column for each thing that is known."""

import numpy as np
import pytest

from figures import map as figure_map
from zbo.base import storage
from zbo.drawing import plots


@pytest.fixture
def files(tmp_path):
    """Write images.h5 of two micrographs, the second with most particles, and classes.csv."""

    def write(angle=10.0, spread=1.0):
        rng = np.random.default_rng(0)
        count = 12
        file = np.array([0] * 3 + [1] * 9)
        places = {"y": 20.0 + 8 * np.arange(count) % 40, "x": 20.0 + 5 * np.arange(count)}
        data = {"images": rng.random((count, 6, 6)), "file": file, "page": np.zeros(count, int)}
        data |= places | {"window": np.full(count, 10.0), "pixel_size": np.full(count, np.nan)}
        names = {"files": np.array(["a/one.tif", "a/two.tif"])}
        storage.write(tmp_path / "images.h5", data | names, kind="images")
        rows = [
            {
                "class": 1 + i % 2,
                "angle": "" if angle is None else angle,
                "symmetry": 1,
                "latent_1": 0.0,
                "latent_1_sd": 1.0,
                "latent_2": spread * (i - 5.5),
                "latent_2_sd": np.exp(-spread),
                "unlike": 0,
            }
            for i in range(count)
        ]
        storage.write_table(tmp_path / "classes.csv", rows)
        images, classes = (str(tmp_path / name) for name in ("images.h5", "classes.csv"))
        return ["--images", images, "--classes", classes]

    return write


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({}, ["angle, share of its range", "latent 2"]),
        ({"spread": 0.0}, ["angle, share of its range"]),  # images tell of no latent
        ({"angle": None}, ["latent 2"]),
        ({"angle": None, "spread": 0.0}, []),
    ],
)
def test_a_column_for_each_thing_that_is_known(files, monkeypatch, known, words):
    drawn = []
    monkeypatch.setattr(plots, "save", lambda figure, paths: drawn.append(figure))
    figure_map.main([*files(**known), "--output", "unwritten.png"])
    (figure,) = drawn
    axes = figure.axes
    assert [ax.get_xlabel() for ax in axes if ax.get_xlabel()] == words
    titles = [ax.get_title("left") for ax in axes if ax.get_title("left")]
    assert titles == ["two.tif", "one.tif"]  # most particles first
    pictures = [ax for ax in axes if ax.get_images()]
    assert len(pictures) == 2 * (1 + len(words))
    dots = pictures[0].collections
    assert sum(len(of.get_offsets()) for of in dots) == 9


def test_where_patches_overlap_the_nearest_middle_is_shown(tmp_path):
    """Two windows 6 wide, 4 apart: each is seen up to half-way between the middles."""
    images = np.stack([np.full((6, 6), value, np.float32) for value in (0.2, 0.8)])
    places = {"y": np.array([10.0, 10.0]), "x": np.array([10.0, 14.0]), "window": np.full(2, 6.0)}
    storage.write(tmp_path / "images.h5", {"images": images} | places, kind="images")
    index = np.array([0, 1])
    page, extent = figure_map._laid_out(str(tmp_path / "images.h5"), index, places)
    assert extent == (7.0, 17.0, 13.0, 7.0)
    row = page[3, :10]
    np.testing.assert_allclose(row, [0.2] * 5 + [0.8] * 5, atol=1e-6)


def test_every_class_is_seen_where_there_is_most_of_it():
    at = np.repeat([0, 1, 2, 3, 4, 5], [50, 40, 6, 30, 20, 4])
    classes = np.ones(150, int)
    classes[at == 2] = 7
    classes[at == 5] = 3
    assert figure_map.worth_showing(at, classes) == [0, 2, 5, 1]
    assert figure_map.worth_showing(at[:50], classes[:50]) == [0]
