"""Patches: windows at known places, where each image comes from, particles found."""

import json
import logging

import numpy as np
import pytest
import tifffile
from test_images import refused

from zbo.base.errors import InputError
from zbo.base.settings import PatchSettings
from zbo.data import particles, patches
from zbo.data.images import ImageSettings, load
from zbo.data.pictures import Picture


def disks(places, shape=(200, 260), radius=14, ground=200, inside=60):
    y, x = np.indices(shape)
    picture = np.full(shape, ground, np.uint8)
    for row, column in places:
        picture[np.hypot(y - row, x - column) < radius] = inside
    return picture


PLACES = [(40, 50), (40, 77), (120, 60), (150, 200), (60, 180)]


@pytest.fixture
def folder(tmp_path):
    """Two micrographs, a.tif with five disks and b.tif with two."""
    made = tmp_path / "pictures"
    made.mkdir()
    tifffile.imwrite(made / "a.tif", disks(PLACES))
    tifffile.imwrite(made / "b.tif", disks(PLACES[3:]))
    return made


def cut(folder, patches, **settings):
    chosen = {"source": "files", "path": str(folder), "subset": 1, "normalize": "image"} | settings
    return load(ImageSettings(**chosen, patches=patches), 0)


def at(loaded):
    """File and place of each image, as people name them."""
    places = loaded.places
    names = [places.files[i].rpartition("/")[2] for i in places.file]
    return list(zip(names, places.y.round(2).tolist(), places.x.round(2).tolist(), strict=True))


def same_places(found, expected, within=3):
    """Each place is where one is expected, within so many pixels."""
    assert len(found) == len(expected)
    for name, row, column in expected:
        away = [np.hypot(y - row, x - column) for file, y, x in found if file == name]
        assert min(away) < within


EVERY = [("a.tif", *map(float, p)) for p in PLACES] + [
    ("b.tif", *map(float, p)) for p in PLACES[3:]
]


# Where windows are


def test_particles_are_found_where_they_are_even_touching():
    found = particles.find(disks(PLACES))
    assert len(found.y) == len(PLACES)
    for row, column in PLACES:
        assert np.hypot(found.y - row, found.x - column).min() < 3


@pytest.mark.parametrize("contrast", ["dark", "bright"])
@pytest.mark.parametrize("diameter", [None, (20, 40)])
def test_particles_are_cut_out_of_every_picture(folder, contrast, diameter):
    for name, places in (("a", PLACES), ("b", PLACES[3:])):
        shade = (200, 60) if contrast == "dark" else (40, 220)
        picture = disks(places, ground=shade[0], inside=shade[1])
        tifffile.imwrite(folder / f"{name}.tif", picture)
    loaded = cut(folder, {"size": 40, "particles": {"contrast": contrast, "diameter": diameter}})
    same_places(at(loaded), EVERY)


def test_sizes_out_of_bounds_are_no_particles(folder):
    tifffile.imwrite(folder / "a.tif", np.minimum(disks(PLACES), disks([(180, 20)], radius=6)))
    assert len(cut(folder, {"size": 30, "particles": {"diameter": [20, 40]}}).images) == 7
    refused(
        {
            "source": "files",
            "path": str(folder),
            "patches": {"size": 30, "particles": {"diameter": [60, 90]}},
        },
        "nothing was found",
        "are bright, set images.patches.particles.contrast to bright",
    )


def test_a_picture_of_nothing_holds_no_particle():
    assert not len(particles.find(np.full((64, 64), 7, np.uint8)).y)


TABLES = {
    "plain": "file,y,x\n{rows}",
    "trackpy": "particle,y,x,mass,frame,filename\n{rows}",
    "skimage": "image;centroid-0;centroid-1\n{rows}",
    "imagej": " ,Label,Area,X,Y,Slice\n{rows}",
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_other_programs_say_where(folder, tmp_path, kind):
    rows = {
        "plain": [f"{n},{y},{x}" for n, y, x in EVERY],
        "trackpy": [f"{i},{y},{x},9.5,0,{n}" for i, (n, y, x) in enumerate(EVERY)],
        "skimage": [f"C:\\data\\{n[0]}.png;{y};{x}" for n, y, x in EVERY],
        "imagej": [f"{i},{n}:0001-0001,600,{x},{y},1" for i, (n, y, x) in enumerate(EVERY)],
    }[kind]
    (tmp_path / "t.csv").write_text(TABLES[kind].format(rows="\n".join(rows)))
    loaded = cut(folder, {"size": 32, "coordinates": str(tmp_path / "t.csv")})
    assert at(loaded) == EVERY
    assert set(loaded.places.window) == {32}
    middle = loaded.images[:, 14:18, 14:18]
    assert (middle == 0).all() and (loaded.images.max((1, 2)) == 1).all()


@pytest.mark.parametrize(
    ("column", "first"), [("frame", 0), ("page", 0), ("slice", 1)], ids=lambda p: str(p)
)
def test_pages_of_a_stack_have_places_of_their_own(tmp_path, column, first):
    pages = np.stack([disks(PLACES[:2]), disks(PLACES[2:])])
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
    rows = [f"{y},{x},{int(k > 1) + first}" for k, (y, x) in enumerate(PLACES)]
    (tmp_path / "t.csv").write_text("\n".join([f"y,x,{column}", *rows]))
    loaded = cut(tmp_path / "a.tif", {"size": 32, "coordinates": str(tmp_path / "t.csv")})
    assert loaded.places.page.tolist() == [0, 0, 1, 1, 1]
    assert [place[1:] for place in at(loaded)] == PLACES
    assert (loaded.images[:, 14:18, 14:18] == 0).all()


@pytest.mark.parametrize("kind", ["mask", "labels", "npy", "coco"])
def test_outlines_say_where_and_how_large(folder, tmp_path, kind):
    drawn = tmp_path / ("drawn.json" if kind == "coco" else "drawn")
    outlines = {"a": PLACES[1:], "b": PLACES[3:]}  # the two that touch are one in a mask
    if kind == "coco":
        round_ = [(np.sin(t) * 14, np.cos(t) * 14) for t in np.linspace(0, 6.2, 40)]
        made = {"images": [], "annotations": []}
        for number, (name, places) in enumerate(outlines.items()):
            made["images"].append({"id": number, "file_name": f"{name}.rf.0f3a.jpg"})
            for y, x in places:
                corners = [float(v) for dy, dx in round_ for v in (x + dx, y + dy)]
                made["annotations"].append({"image_id": number, "segmentation": [corners]})
        drawn.write_text(json.dumps(made))
    else:
        drawn.mkdir()
        for name, places in outlines.items():
            labels = np.zeros((200, 260), np.uint16)
            for k, place in enumerate(places):
                labels[disks([place]) == 60] = k + 1
            if kind == "npy":
                np.save(drawn / f"{name}_seg.npy", labels)
            else:
                page = labels if kind == "labels" else labels > 0
                tifffile.imwrite(drawn / f"{name}_mask.tif", page)
    loaded = cut(folder, {"relative": 1.5, "coordinates": str(drawn)}, size=(24, 24))
    same_places(at(loaded), EVERY[1:], within=1)
    assert ((loaded.places.window > 38) & (loaded.places.window < 44)).all()


def test_outlines_that_overlap_keep_their_own_places(folder, tmp_path):
    square = [[20, 20, 60, 20, 60, 60, 20, 60], [40, 40, 80, 40, 80, 80, 40, 80]]
    made = {"images": [{"id": 0, "file_name": "a.tif"}]}
    made["annotations"] = [{"image_id": 0, "segmentation": [corners]} for corners in square]
    (tmp_path / "drawn.json").write_text(json.dumps(made))
    loaded = cut(folder, {"size": 30, "coordinates": str(tmp_path / "drawn.json")})
    assert [place[1:] for place in at(loaded)] == [(40, 40), (60, 60)]


def test_a_grid_covers_a_picture(folder):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        noisy = rng.integers(0, 9, (200, 260), dtype=np.uint8)
        tifffile.imwrite(folder / f"{name}.tif", noisy)
    loaded = cut(folder, {"size": 50, "grid": 40})
    own = [place[1:] for place in at(loaded) if place[0] == "a.tif"]
    assert own == [(y, x) for y in (39.5, 79.5, 119.5, 159.5) for x in np.arange(29.5, 232, 40)]
    assert len(loaded.images) == 2 * len(own)


def test_a_function_of_ones_own_says_where(folder, tmp_path, monkeypatch):
    code = """
import numpy as np
def places(picture): return np.argwhere(picture == picture.min())[:1]
def labels(picture): return (picture < 100).astype(int)
def wrong(picture): return np.zeros((3, 7))
"""
    (tmp_path / "mine_patches.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    loaded = cut(folder, {"size": 20, "function": "mine_patches:places"})
    assert at(loaded) == [("a.tif", 27.0, 45.0), ("b.tif", 47.0, 175.0)]
    labelled = cut(folder, {"size": 20, "function": "mine_patches:labels"})
    assert len(labelled.images) == 4 + 2  # two touch
    for name, said in (("wrong", "(3, 7)"), ("none", "none")):
        with pytest.raises(InputError, match=r"images\.patches\.function") as caught:
            cut(folder, {"size": 20, "function": f"mine_patches:{name}"})
        assert said in str(caught.value)


@pytest.mark.parametrize("kind", ["table", "mask", "particles"])
def test_places_are_those_of_the_file_whatever_is_cropped(folder, tmp_path, kind):
    if kind == "table":
        rows = [f"{n},{y},{x}" for n, y, x in EVERY]
        (tmp_path / "given").write_text("\n".join(["file,y,x", *rows]))
    elif kind == "mask":
        (tmp_path / "given").mkdir()
        for name, places in (("a", PLACES[1:]), ("b", PLACES[3:])):
            tifffile.imwrite(tmp_path / f"given/{name}.tif", disks(places) == 60)
    where = {"particles": {}} if kind == "particles" else {"coordinates": str(tmp_path / "given")}
    loaded = cut(folder, {"size": 30} | where, crop=(22, 0, 34, 10))
    same_places(at(loaded), EVERY[kind == "mask" :])
    assert (loaded.images[:, 13:17, 13:17] == 0).all()


# What is cut


def test_windows_over_an_edge_are_left_out_and_counted(folder, tmp_path, caplog):
    (tmp_path / "t.csv").write_text("file,y,x\na.tif,40,50\na.tif,14,60\na.tif,15,60\nb,150,245\n")
    with caplog.at_level(logging.INFO):
        loaded = cut(folder, {"size": 32, "coordinates": str(tmp_path / "t.csv")})
    assert at(loaded) == [("a.tif", 40, 50), ("a.tif", 15, 60)]
    assert "a.tif: 2 patches, 1 more" in caplog.text and "b.tif: 0 patches, 1 more" in caplog.text
    assert "2 patches from 2 pictures, 0 to 2 each" in caplog.text


@pytest.mark.parametrize("known", ["file", "setting", "nowhere"])
def test_sizes_may_be_in_nm_where_a_pixel_is_known(tmp_path, known):
    resolution = {"resolution": (2, 2), "metadata": {"unit": "nm"}} if known == "file" else {}
    tifffile.imwrite(tmp_path / "a.tif", disks(PLACES), imagej=True, **resolution)
    patches = {"size": 16, "unit": "nm", "particles": {"diameter": [10, 20]}}
    settings = {"pixel_size": 0.5} if known == "setting" else {}
    if known == "nowhere":
        with pytest.raises(InputError, match=r"images\.patches\.unit.*a\.tif.*images\.pixel_size"):
            cut(tmp_path / "a.tif", patches)
        return
    loaded = cut(tmp_path / "a.tif", patches, **settings)
    assert set(loaded.places.window) == {32}
    assert set(loaded.places.pixel_size.tolist()) == {0.5}
    assert len(loaded.images) == 5


def test_neighbours_are_painted_over(folder, tmp_path):
    (tmp_path / "masks").mkdir()
    for name, places in (("a", PLACES), ("b", PLACES[3:])):
        labels = np.zeros((200, 260), np.uint8)
        for k, place in enumerate(places):
            labels[(disks([place]) == 60) & (labels == 0)] = k + 1
        tifffile.imwrite(tmp_path / f"masks/{name}.tif", labels)
    patches = {"size": 44, "coordinates": str(tmp_path / "masks")}
    dark = {}
    for neighbours in ("keep", "paint"):
        loaded = cut(folder, patches | {"neighbours": neighbours})
        dark[neighbours] = (loaded.images < 0.5).sum((1, 2))
    area = (disks([(100, 100)]) == 60).sum()
    assert (dark["keep"][:2] > 1.2 * area).all()
    np.testing.assert_allclose(dark["paint"], area, rtol=0.08)
    (tmp_path / "t.csv").write_text("file,y,x\na.tif,100,100\n")
    with pytest.raises(InputError, match=r"neighbours.*outlines"):
        cut(folder, {"size": 32, "coordinates": str(tmp_path / "t.csv"), "neighbours": "paint"})


def crowd(kind):
    """Disks on a ground, the left one of each pair outlined; picture, label image, ground."""
    rng = np.random.default_rng(0)
    y, x = np.indices((300, 400))
    ground, noise = np.full(y.shape, 130.0), 3
    if kind == "uneven":
        ground = 100 + 120 * x / 400
    elif kind == "vacuum":
        ground[:, :120] = 230
    elif kind == "noisy":
        noise = 60
    picture, labels = ground.copy(), np.zeros(y.shape, np.int32)
    depth = 60 if kind == "bright" else -60
    for k, (row, column) in enumerate(np.mgrid[50:300:100, 50:400:100].reshape(2, -1).T):
        labels[np.hypot(y - row, x - column) < 18] = k + 1
        picture[np.hypot(y - row, x - column) < 18] += depth
        picture[np.hypot(y - row, x - column - 34) < 14] += depth
    if kind == "crowded":  # three fifths of the rest are of particles that nobody outlined
        picture[((y // 14 + x // 14) % 5 < 3) & (labels == 0) & (picture == ground)] += depth
    picture += rng.normal(0, noise, y.shape)
    if kind == "hot":
        picture = picture.astype(np.uint32)
        picture[3, 3] = 2**32 - 1
    return picture, labels, ground


@pytest.mark.parametrize("kind", ["even", "crowded", "uneven", "vacuum", "noisy", "bright", "hot"])
def test_all_but_the_particle_is_painted_as_the_ground_is_there(kind):
    picture, labels, ground = crowd(kind)
    found = particles.of_outlines(labels)
    paint = patches._painter(Picture(picture, "a.tif"), found)
    for i, (row, column) in enumerate(zip(found.y, found.x, strict=True)):
        place = np.s_[int(row) - 35 : int(row) + 35, int(column) - 35 : int(column) + 35]
        painted = paint(picture[place], place, i)
        away = np.hypot(*(np.indices((70, 70)) - 35)) > 24
        assert np.ptp(painted[away]) == 0  # the other disk is gone, whether outlined or not
        assert painted[away][0] == pytest.approx(np.median(ground[place][away]), abs=7)
        np.testing.assert_array_equal(painted[30:40, 30:40], picture[place][30:40, 30:40])


def test_particles_that_others_cover_are_left_out_and_counted(tmp_path, caplog):
    tifffile.imwrite(tmp_path / "a.tif", disks(PLACES[:2]))
    corners = [[35, 25, 92, 25, 92, 55, 35, 55], [40, 30, 60, 30, 60, 50, 40, 50]]
    annotations = [{"image_id": 0, "segmentation": [c]} for c in (corners[1], corners[0])]
    outlines = {"images": [{"id": 0, "file_name": "a.tif"}], "annotations": annotations}
    (tmp_path / "c.json").write_text(json.dumps(outlines))
    where = {"size": 50, "coordinates": str(tmp_path / "c.json"), "neighbours": "paint"}
    assert len(cut(tmp_path / "a.tif", where).images) == 1
    assert "a.tif: 1 particles are left out" in caplog.text


def test_patches_are_scaled_by_themselves_or_by_their_picture(tmp_path):
    picture = disks(PLACES[:1])
    picture[disks(PLACES[3:4]) == 60] = 130  # half as dark
    tifffile.imwrite(tmp_path / "a.tif", picture)
    (tmp_path / "t.csv").write_text("y,x\n40,50\n150,200\n")
    patches = {"size": 40, "coordinates": str(tmp_path / "t.csv")}
    assert cut(tmp_path / "a.tif", patches).images.min((1, 2)).tolist() == [0, 0]
    by_picture = cut(tmp_path / "a.tif", patches, normalize="picture").images.min((1, 2))
    np.testing.assert_allclose(by_picture, [0, 0.5], atol=1e-6)


# Where images come from


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


def test_copies_of_balanced_classes_point_to_their_original(folder, tmp_path):
    rows = [f"{n},{y},{x},{'ab'[k > 4]}" for k, (n, y, x) in enumerate(EVERY)]
    (tmp_path / "t.csv").write_text("\n".join(["file,y,x,label", *rows]))
    table = str(tmp_path / "t.csv")
    loaded = cut(folder, {"size": 32, "coordinates": table}, labels=table, balance=6)
    assert np.bincount(loaded.labels).tolist() == [6, 6]
    assert [EVERY[source] for source in loaded.places.source] == at(loaded)
    uses = np.bincount(loaded.places.source)
    assert sorted(uses[:5]) == [1, 1, 1, 1, 2] and uses[5:].tolist() == [3, 3]


# Bad input


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": 32}, "exactly one of"),
        ({"size": 32, "grid": 9, "coordinates": "x"}, "exactly one of"),
        ({"grid": 9, "relative": 2}, "grid needs it"),
        ({"particles": {}}, "either size or relative"),
        ({"particles": {}, "size": 9, "relative": 2}, "either size or relative"),
        ({"particles": {"diameter": [9, 3]}, "size": 9}, "images.patches.particles.diameter"),
        ({"particles": {"colour": "red"}, "size": 9}, "images.patches.particles.colour"),
    ],
)
def test_settings_of_patches_that_cannot_hold_are_named(settings, said):
    with pytest.raises(InputError) as caught:
        PatchSettings(**settings)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.csv", "a,b\n1,2\n", "columns a, b; places need y and x"),
        ("t.csv", "y,x\n1,2\n", "several pictures and no column `file`"),
        ("t.csv", "file,y,x\na,1,east\n", "east"),
        ("t.json", "{}", "no COCO annotations"),
        ("none.csv", None, "there is no such file"),
        ("empty", "", "no mask of"),
    ],
)
def test_coordinates_that_are_none_are_named(folder, tmp_path, name, text, said):
    given = tmp_path / name
    if name == "empty":
        given.mkdir()
    elif text is not None:
        given.write_text(text)
    with pytest.raises(InputError, match=str(given)) as caught:
        cut(folder, {"size": 32, "coordinates": str(given)})
    assert said in str(caught.value)


def test_masks_of_another_size_are_refused(folder, tmp_path):
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "masks/a.tif", np.eye(30, dtype=np.uint8))
    with pytest.raises(InputError, match=r"masks/a\.tif.*200"):
        cut(folder, {"size": 32, "coordinates": str(tmp_path / "masks")})


def test_sizes_relative_to_a_diameter_need_one(folder, tmp_path):
    (tmp_path / "t.csv").write_text("file,y,x\na.tif,100,100\n")
    with pytest.raises(InputError, match=r"images\.patches\.relative.*diameter"):
        cut(folder, {"relative": 1.5, "coordinates": str(tmp_path / "t.csv")}, size=(24, 24))
    (tmp_path / "t.csv").write_text("file,y,x,diameter\na.tif,120,60,28\n")
    loaded = cut(folder, {"relative": 1.5, "coordinates": str(tmp_path / "t.csv")}, size=(24, 24))
    assert loaded.places.window.tolist() == [42]
    refused(
        {"source": "files", "path": str(folder), "patches": {"relative": 1.5, "particles": {}}},
        "images.size",
    )
