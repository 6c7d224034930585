"""Patches: windows at known places, where each image comes from, particles found."""

import numpy as np
import tifffile

from zbo.data import particles
from zbo.data.images import ImageSettings, load


def disks(places, shape=(200, 260), radius=14):
    y, x = np.indices(shape)
    picture = np.full(shape, 200, np.uint8)
    for row, column in places:
        picture[np.hypot(y - row, x - column) < radius] = 60
    return picture


PLACES = [(40, 50), (40, 77), (120, 60), (150, 200), (60, 180)]


def test_particles_are_found_where_they_are_even_touching():
    found = particles.find(disks(PLACES))
    assert len(found.y) == len(PLACES)
    for row, column in PLACES:
        assert np.hypot(found.y - row, found.x - column).min() < 3


def test_patches_know_file_place_and_source_and_take_labels_by_place(tmp_path):
    (tmp_path / "pictures").mkdir()
    tifffile.imwrite(tmp_path / "pictures/a.tif", disks(PLACES))
    lines = [f"a.tif,{y},{x},{k % 2}" for k, (y, x) in enumerate(PLACES[:4])]
    (tmp_path / "t.csv").write_text("\n".join(["file,y,x,label", *lines, "a.tif,2,2,1"]))
    patches = {"size": 32, "coordinates": str(tmp_path / "t.csv")}
    chosen = {"source": "files", "path": str(tmp_path / "pictures"), "patches": patches}
    loaded = load(ImageSettings(**chosen, labels=str(tmp_path / "t.csv"), count=3, subset=2), 0)
    assert loaded.images.shape == (3, 32, 32)  # the fifth place lies at the edge
    for i, source in enumerate(loaded.places.source):
        assert (loaded.places.y[i], loaded.places.x[i]) == PLACES[source]
        assert loaded.names[loaded.labels[i]] == str(source % 2)
    assert loaded.places.files == (str(tmp_path / "pictures/a.tif"),)
    assert set(loaded.places.window) == {32}
