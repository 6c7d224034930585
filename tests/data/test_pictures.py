"""Files of microscopes and programs: what is read of them, what is refused, what is said."""

import importlib
import json
import logging
import sys
import tomllib
from pathlib import Path

import h5py
import hdf5plugin
import imageio.v3
import mrcfile
import numpy as np
import pytest
import tifffile
from conftest import ROOT
from test_images import files, refused, saved

from zbo.base import config
from zbo.base.errors import InputError
from zbo.data import pictures
from zbo.data.images import load

INSTRUMENT = ROOT.parent / "shared/data/instrument"


@pytest.fixture
def pages() -> np.ndarray:
    """Six grey pages of 24 x 20 pixels, 8 bits, all different."""
    return np.random.default_rng(0).integers(0, 256, (6, 24, 20), dtype=np.uint8)


def read(path: Path, **settings) -> np.ndarray:
    """The images of a file or folder as a study reads them, in [0, 1]."""
    return load(files(path, **settings), 0).images


def same(images: np.ndarray, pages: np.ndarray) -> None:
    np.testing.assert_allclose(images, pages / np.iinfo(pages.dtype).max, atol=1e-6)


# Several pictures in a file


def test_the_data_page_is_read_beside_a_picture_of_it(tmp_path, pages, caplog):
    """As some SEMs write: an RGB page with a scale bar, then the 16-bit data."""
    data = pages[0].astype(np.uint16) * 200
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.stack([pages[0]] * 3, -1), photometric="rgb")
        file.write(data, photometric="minisblack")
    with caplog.at_level(logging.INFO):
        same(read(tmp_path), data[None])
    assert "'series 1' (24 x 20, uint16) is read" in caplog.text


def test_a_preview_is_no_page(tmp_path, pages):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pages[0], photometric="minisblack")
        file.write(pages[0, ::2, ::2], photometric="minisblack", subfiletype=1)
    same(read(tmp_path), pages[:1])


def test_unlike_pages_have_to_be_chosen_from(tmp_path, pages):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pages[0], photometric="minisblack")
        file.write(pages[1, :10], photometric="minisblack")
    offered = "'series 0' (24 x 20", "'series 1' (10 x 20"
    refused(files(tmp_path), "a.tif", *offered, "images.channel")
    same(read(tmp_path, channel="series 1"), pages[1:2, :10])
    same(read(tmp_path, channel=0), pages[:1])
    refused(files(tmp_path, channel=2), "images.channel", "'2'", "0 to 1")


@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_a_channel_of_a_stack_has_to_be_chosen(tmp_path, pages, caplog, kind):
    """T, C, Y, X: channels are no images, times are."""
    stack, path = pages.reshape(3, 2, 24, 20), tmp_path / f"a.{kind}.tif"
    size = {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "nm"} if kind == "ome" else {"unit": "nm"}
    tifffile.imwrite(
        path, stack, metadata={"axes": "TCYX"} | size, resolution=(4, 4), **{kind: True}
    )
    refused(files(tmp_path), "a." + kind, "'channel 0' (3 of 24 x 20", "images.channel")
    with caplog.at_level(logging.INFO):
        loaded = load(files(tmp_path, channel=1), 0)
    same(loaded.images, stack[:, 1])
    assert "axes TCYX" in caplog.text
    assert loaded.places.page.tolist() == [0, 1, 2]
    np.testing.assert_allclose(loaded.places.pixel_size, 0.25)


@pytest.mark.parametrize("ending", ["tif", "h5", "mrc", "mrcs"])
def test_a_file_of_many_pages_may_be_the_source_itself(tmp_path, pages, ending):
    path, values = tmp_path / f"a.{ending}", pages
    if ending == "tif":
        tifffile.imwrite(path, pages, photometric="minisblack")
    elif ending == "h5":
        with h5py.File(path, "w") as file:
            file["scan"] = pages
    else:
        values = pages.astype(np.uint16) * 257
        with mrcfile.new(path) as file:
            file.set_data(values)
            file.voxel_size = 5.0
    loaded = load(files(path), 0)
    same(loaded.images, values)
    assert loaded.places.page.tolist() == list(range(6))
    if "mrc" in ending:
        np.testing.assert_allclose(loaded.places.pixel_size, 0.5)  # of 5 angstroms


def test_channels_of_an_hdf5_file_are_chosen_by_name(tmp_path, pages):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, page in zip(("height", "phase"), pages, strict=False):
            file[name] = page
            file[name].dims[1].label = "x"
            file[f"{name}_x"] = np.arange(20) * 2e-9
            file[f"{name}_x"].attrs["units"] = "m"
            file[f"{name}_x"].make_scale("x")
            file[name].dims[1].attach_scale(file[f"{name}_x"])
    refused(files(tmp_path / "a.h5"), "a.h5", "'height' (24 x 20", "'phase'", "images.channel")
    loaded = load(files(tmp_path / "a.h5", channel="phase"), 0)
    same(loaded.images, pages[1:2])
    np.testing.assert_allclose(loaded.places.pixel_size, 2)


def test_an_array_called_images_is_read_whatever_lies_beside_it(tmp_path, pages):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"], file["features"] = pages, np.zeros((6, 16))
    same(read(tmp_path / "a.h5"), pages)


# Axes


@pytest.mark.parametrize("axis", [1, 3])
@pytest.mark.parametrize("ending", ["npy", "h5"])
def test_an_axis_of_one_channel_is_left_out(tmp_path, pages, axis, ending):
    """(n, 1, h, w) and (n, h, w, 1), as AtomAI and pyroVED hand over."""
    array, path = np.expand_dims(pages, axis), tmp_path / f"a.{ending}"
    if ending == "npy":
        np.save(path, array)
    else:
        with h5py.File(path, "w") as file:
            file["images"] = array
    same(read(path), pages)


def test_images_along_the_last_axis_are_noticed(tmp_path, caplog):
    pages = np.random.default_rng(0).integers(0, 256, (30, 24, 24), dtype=np.uint8)
    same(read(saved(tmp_path / "a.npy", np.moveaxis(pages, 0, -1))), pages)
    assert "understood as 30 images of 24 x 24 pixels" in caplog.text
    caplog.clear()
    same(read(saved(tmp_path / "b.npy", pages)), pages)
    assert "understood" not in caplog.text


def test_as_many_labels_as_rows_tell_images_from_rows(tmp_path, caplog):
    pages = np.random.default_rng(0).integers(0, 256, (24, 24, 30), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=pages, labels=np.arange(24) % 2)
    same(read(tmp_path / "a.npz"), pages)
    assert "understood" not in caplog.text


# Names and labels


def numbered(folder: Path, pages: np.ndarray) -> None:
    """img_1.png ... img_12.png, each of its own grey, with contrast."""
    for i in range(12):
        page = pages[0].copy()
        page[0, 0] = i
        imageio.v3.imwrite(folder / f"img_{i + 1}.png", page)


def test_images_are_in_the_order_people_count(tmp_path, pages):
    numbered(tmp_path, pages)
    np.testing.assert_allclose(read(tmp_path)[:, 0, 0] * 255, range(12), atol=1e-4)


def test_labels_go_by_file_name_where_the_table_has_names(tmp_path, pages):
    (tmp_path / "pictures").mkdir()
    numbered(tmp_path / "pictures", pages)
    named = "\n".join(f"{'a' if i % 2 else 'b'},some/where/IMG_{i}.tif" for i in range(10, 0, -1))
    (tmp_path / "t.csv").write_text(f"kind,image\n{named}\nb,\n")
    loaded = load(files(tmp_path / "pictures", labels=str(tmp_path / "t.csv")), 0)
    assert loaded.names == ("a", "b")
    assert loaded.labels.tolist() == [0, 1] * 5 + [-1, -1]  # the last two have no row
    (tmp_path / "t.csv").write_text("label,file\na,other_1.png\nb,other_2.png\n")
    refused(
        files(tmp_path / "pictures", labels=str(tmp_path / "t.csv")), "t.csv", "none", "img_1.png"
    )


def test_missing_labels_are_no_class(tmp_path, pages):
    labels = ["x", "", "y", "-1", "nan", "x"]
    (tmp_path / "t.txt").write_text("\n".join(labels))
    loaded = load(files(saved(tmp_path / "a.npy", pages), labels=str(tmp_path / "t.txt")), 0)
    assert loaded.names == ("x", "y")
    assert loaded.labels.tolist() == [0, -1, 1, -1, -1, 0]


# Folders


def test_every_format_in_a_folder_is_read(tmp_path, pages, caplog):
    for i, name in enumerate(["a.png", "b.JPG", "c.jpeg", "d.bmp", "e.tif", "f.jpg"]):
        imageio.v3.imwrite(tmp_path / name, pages[i], **({"quality": 95} if "j" in name else {}))
    images = read(tmp_path)
    assert len(images) == 6
    same(images[[0, 3, 4]], pages[[0, 3, 4]])
    assert not caplog.text


def test_of_two_pictures_of_one_name_one_is_read_and_the_other_said(tmp_path, pages, caplog):
    imageio.v3.imwrite(tmp_path / "a.png", pages[1])
    imageio.v3.imwrite(tmp_path / "a.tif", pages[0])
    imageio.v3.imwrite(tmp_path / "b.png", pages[2])
    same(read(tmp_path), pages[[0, 2]])
    assert "passed over 1: a.png" in caplog.text


def test_class_folders_may_lie_beside_what_is_no_class(tmp_path, pages, caplog):
    for name in ("cube", "ball", "__MACOSX"):
        (tmp_path / name).mkdir()
    for i, name in enumerate(("ball", "cube", "cube", "__MACOSX")):
        imageio.v3.imwrite(tmp_path / name / f"{i}.png", pages[i])
    for name in ("Thumbs.db", "labels.csv", ".DS_Store", "cube/Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    loaded = load(files(tmp_path), 0)
    assert loaded.names == ("ball", "cube")
    assert loaded.labels.tolist() == [0, 1, 1]
    same(loaded.images, pages[:3])
    for name in ("Thumbs.db", "labels.csv", "cube/Thumbs.db"):
        assert name in caplog.text


# Contrast


def test_contrast_lost_in_the_range_of_the_type_is_refused(tmp_path, pages):
    """12 bits on an offset of 2^15 use a sixteenth of 16 bits' range."""
    path = saved(tmp_path / "a.npy", (pages.astype(np.uint16) * 16 + 2**15))
    refused(files(path), "images.normalize", "0.062", "image", "percentiles")
    assert read(path, normalize="image").max() == 1


def test_one_hot_pixel_does_not_take_the_contrast(tmp_path, pages):
    values = pages.astype(np.uint16) * 4
    values[2, 3, 4] = 65535
    path = saved(tmp_path / "a.npy", values)
    refused(files(path, normalize="set"), "images.normalize", "percentiles: [0.1, 99.9]")
    kept = read(path, normalize="set", percentiles=(0.5, 99.5))
    assert np.median(np.ptp(kept, axis=(1, 2))) > 0.9


def test_heights_of_a_nanometre_keep_their_contrast(tmp_path, pages):
    path = saved(tmp_path / "a.npy", pages * 1e-11 - 1e-9)
    refused(files(path, normalize="range"), "images.normalize")
    np.testing.assert_allclose(read(path, normalize="set"), pages / 255, atol=1e-5)


# Aspect and bars


def test_oblong_images_and_turning_do_not_go_together(tmp_path, pages):
    """The decoder's rows and columns both run from -1 to 1: turned, an oblong image is sheared."""
    study = {
        "description": "",
        "images": {"source": "files", "path": "x", "size": [32, 64]},
        "model": {"classes": 2},
    }
    with pytest.raises(InputError, match=r"images\.size: 32 x 64 .*shear.*\[32, 32\]"):
        config.check(study, "x.yaml")
    config.check(study | {"model": {"classes": 2, "invariances": ["t"]}}, "x.yaml")
    config.check(study | {"images": study["images"] | {"size": [32, 32]}}, "x.yaml")


def test_oblong_pictures_without_a_size_are_refused_before_anything_is_trained(tmp_path, pages):
    prepare = importlib.import_module("prepare_images")
    chosen = files(saved(tmp_path / "a.npy", pages)).model_dump(mode="json")

    def run(invariances):
        given = {"seed": 0, "images": chosen, "model": {"invariances": invariances}}
        output = tmp_path / "images.h5"
        prepare.main(["--settings", json.dumps(given), "--output", str(output)])
        return output.exists()

    with pytest.raises(InputError, match=r"a\.npy: 24 x 20 .*images\.size"):
        run(["r"])
    assert run([])


@pytest.mark.parametrize("edge", range(4))
def test_a_bar_along_an_edge_is_noticed_and_cropped(tmp_path, caplog, edge):
    rng, crop = np.random.default_rng(0), [0, 0, 0, 0]
    values = rng.integers(20, 200, (4, 150, 160), dtype=np.uint8)
    flipped = np.moveaxis(values, 1 + edge // 2, 0)[:: -1 if edge % 2 else 1]  # a view
    flipped[:14] = 0
    flipped[5:9, :, 30:60] = 255  # letters
    crop[edge] = 14
    path = saved(tmp_path / "a.npy", values)
    loaded = load(files(path), 0)
    assert f"images.crop: {crop} leaves them out" in caplog.text
    caplog.clear()
    cut = load(files(path, crop=crop), 0)
    assert "images.crop" not in caplog.text
    assert cut.images.size == loaded.images.size * (1 - 14 / (150 if edge < 2 else 160))
    assert cut.images.min() > 0.05
    # The middle of what is left, in the file's own pixels.
    assert cut.places.y[0] == 74.5 + {0: 7, 1: -7}.get(edge, 0)
    assert cut.places.x[0] == 79.5 + {2: 7, 3: -7}.get(edge, 0)
    values[2] = rng.integers(20, 200, (150, 160))  # one picture without a bar: it is none
    load(files(saved(path, values)), 0)
    assert "images.crop" not in caplog.text


@pytest.mark.parametrize("crop", [(0, 20, 0, 0), (9, 9, 0, 0), (0, 0, 10, 9)])
def test_a_crop_that_leaves_nothing_is_refused(tmp_path, pages, crop):
    refused(files(saved(tmp_path / "a.npy", pages[:, :20]), crop=crop), "images.crop", list(crop))


# Compressions and containers


@pytest.mark.parametrize(
    "compression", ["lzw", "deflate", "packbits", "jpeg", "zstd", "lzma", "webp", "jpeg2000"]
)
def test_tiff_of_any_compression_is_read(tmp_path, pages, compression):
    smooth = np.linspace(0, 250, 64 * 64).reshape(1, 64, 64).astype(np.uint8)
    colour = compression == "webp"  # knows no grey
    page = np.stack([smooth[0]] * 3, -1) if colour else smooth[0]
    tifffile.imwrite(
        tmp_path / "a.tif",
        page,
        photometric="rgb" if colour else "minisblack",
        compression=compression,
    )
    np.testing.assert_allclose(read(tmp_path), smooth / 255, atol=0.03)


def test_fax_tiff_of_black_and_white_is_read(tmp_path):
    """CCITT group 4, of which few readers know more than the name."""
    from PIL import Image

    page = np.add.outer(np.arange(40), np.arange(48)) % 16 < 8
    Image.fromarray(page).save(tmp_path / "a.tif", compression="group4")
    np.testing.assert_array_equal(read(tmp_path)[0], page)


@pytest.mark.parametrize("ending", ["h5", "hdf5", "nxs5", "data", ""])
def test_hdf5_is_told_by_its_first_bytes_and_any_filter_is_read(tmp_path, pages, ending):
    path = tmp_path / f"a.{ending}".rstrip(".")
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=pages, **hdf5plugin.Bitshuffle())
    same(read(path), pages)


# Broken files


def test_all_broken_files_are_named_at_once(tmp_path, pages):
    for i in range(200):
        tifffile.imwrite(tmp_path / f"{i}.tif", pages[i % 6])
    for i in (3, 150):
        content = (tmp_path / f"{i}.tif").read_bytes()
        (tmp_path / f"{i}.tif").write_bytes(content[: len(content) // 2])
    tifffile.imwrite(tmp_path / "42.tif", np.full((24, 20), np.nan, np.float32))
    tifffile.imwrite(tmp_path / "77.tif", pages[0, :3])
    refused(files(tmp_path), "4 cannot be used", *(f"/{i}.tif" for i in (3, 42, 77, 150)), "NaN")


# Files of instruments

# What each holds: channel where one has to be chosen, shape, and nm a pixel (None: does not say).
HELD = {
    "asylum_afm.ibw": ("HeightRetrace", (256, 256), 19.608),
    "berkeley_lattice_1024_u16.emd": (None, (1024, 1024), 0.012247),
    "cryoem_particles_17x200x200_f32.mrcs": (None, (200, 200), None),
    "fei_helios_512x471_u16.tif": (None, (471, 512), 3372.4),
    "gatan_jeol_haadf_112_f32.dm4": (None, (112, 112), 1.2490),
    "gatan_mos2_haadf_1024_u32.dm3": (None, (1024, 1024), 0.012695),
    "hyperspy_sio2_haadf_128_f32.hspy": (None, (128, 128), 8.5524),
    "imagej_stack_2x68x68_f32.tif": (None, (68, 68), 168.67),
    "jeol_it800_lzw_databar_1280x1026_u8.tif": (None, (1026, 1280), None),
    "nsid_afm_256_channels.h5": ("HeightRetrace", (256, 256), 3.9216),
    "olympus_sis_jpeg_in_tiff_and_u16.tif": (None, (101, 112), None),
    "tia_sto_haadf.emi": (None, (1024, 1024), 0.010013),
    "tia_sto_haadf_1.ser": (None, (1024, 1024), 0.010013),
    "tvips_tem_1024_u8.tif": (None, (1024, 1024), 1.4208),
    "velox_four_detectors_128_u16.emd": (None, (128, 128), 87.371),
    "zeiss_sem_1024x768_u8.tif": (None, (768, 1024), 2615.0),
    "zeiss_sem_palette_databar_1024x768_u8.tif": (None, (768, 1024), 7.344),
}
NEEDS = {"rosettasciio": "rsciio"}  # package to module, where they differ
shared = pytest.mark.skipif(not INSTRUMENT.is_dir(), reason=f"{INSTRUMENT} is not there")


@shared
def test_every_file_of_an_instrument_is_known_here():
    assert {f.name for f in INSTRUMENT.iterdir()} - {"README.md"} == set(HELD)


@shared
@pytest.mark.parametrize("name", HELD)
def test_files_of_instruments_are_read(name):
    channel, shape, size = HELD[name]
    package = pictures.INSTRUMENTS.get(Path(name).suffix)
    if package:
        pytest.importorskip(NEEDS.get(package, package))
    if channel:
        with pytest.raises(InputError, match=f"{name}: holds .*{channel}.*images.channel"):
            pictures.read(INSTRUMENT / name)
    found = pictures.read(INSTRUMENT / name, channel)
    assert len(found) == {"cryoem": 17, "imagej": 2}.get(name.partition("_")[0], 1)
    for picture in found:
        assert picture.values.shape == shape
        assert picture.values.min() < picture.values.max()
        assert picture.pixel_size == pytest.approx(size or np.nan, rel=1e-3, nan_ok=True)


def test_what_reads_instruments_is_an_extra_that_nothing_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = {each.partition(">")[0] for each in project["optional-dependencies"]["microscopes"]}
    assert extra == set(pictures.INSTRUMENTS.values())
    locked = [(ROOT / f"envs/{name}.txt").read_text() for name in ("requirements", "workflow")]
    for package in extra:
        assert f"\n{package}==" in (ROOT / "envs/microscopes.txt").read_text()
        assert not any(f"{package}==" in text for text in locked)
        assert not any(package in each for each in project["dependencies"])


@shared
@pytest.mark.parametrize("name", [n for n in HELD if Path(n).suffix in pictures.INSTRUMENTS])
def test_without_its_reader_an_instruments_file_says_what_to_install(name, monkeypatch):
    package = pictures.INSTRUMENTS[Path(name).suffix]
    module = NEEDS.get(package, package)
    for loaded in [m for m in sys.modules if m.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)  # importing it fails
    with pytest.raises(InputError, match=rf"{name}: .*{package}.* not installed.*make microscopes"):
        pictures.read(INSTRUMENT / name)


@shared
@pytest.mark.parametrize(
    ("name", "rows"),  # of the bar, counted in a viewer
    [
        ("zeiss_sem_palette_databar_1024x768_u8.tif", 56),
        ("zeiss_sem_1024x768_u8.tif", 77),
        ("jeol_it800_lzw_databar_1280x1026_u8.tif", 66),
    ],
)
def test_the_data_bar_of_a_real_picture_is_noticed(name, rows, caplog):
    load(files(INSTRUMENT / name), 0)
    assert f"images.crop: [0, {rows}, 0, 0] leaves them out" in caplog.text
    caplog.clear()
    load(files(INSTRUMENT / name, crop=(0, rows, 0, 0)), 0)
    assert "images.crop" not in caplog.text
