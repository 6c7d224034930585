"""One file of a microscope, a camera or a program as its pictures: grey pages and their pixel size.

Formats are told by what a file holds where it says so, else by its ending. Those of instruments are
read by RosettaSciIO, igor2 and gwyfile where these are installed; the project needs none of them.
"""

import logging
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zbo.base.errors import InputError

logger = logging.getLogger(__name__)

FULL_SCALE = {"bool": 1, "uint8": 255, "uint16": 65535}
NUMPY, HDF5 = (".npy", ".npz"), (".h5", ".hdf5")
ARRAYS = (*NUMPY, *HDF5)
TIFF, PICTURES = (".tif", ".tiff"), (".png", ".jpg", ".jpeg", ".bmp")
MRC = (".mrc", ".mrcs", ".map", ".rec", ".st", ".ali")
ROSETTA = tuple(
    f".{ending}"
    for ending in (
        *("dm3", "dm4", "emd", "emi", "ser", "hspy", "zspy", "nxs", "blo", "mrcz", "prz", "rpl"),
        *("sur", "pro", "bcf", "tvips", "unf", "dens", "de5", "elid"),
    )
)
INSTRUMENTS = {  # ending to the package that reads it
    **dict.fromkeys(ROSETTA, "rosettasciio"),
    ".ibw": "igor2",
    ".gwy": "gwyfile",
}
READABLE = (*TIFF, *PICTURES, *HDF5, *MRC, *INSTRUMENTS)  # in a folder, in order of preference
NM = {"m": 1e9, "cm": 1e7, "mm": 1e6, "um": 1e3, "nm": 1.0, "pm": 1e-3, "a": 0.1, "inch": 2.54e7}
NM |= {"micron": 1e3, "micrometer": 1e3, "nanometer": 1.0, "angstrom": 0.1, "å": 0.1, "in": 2.54e7}
PRINT_NM = 1e3  # a pixel as large as this states the size of a print


@dataclass(frozen=True)
class Picture:
    """A grey picture and where it comes from.

    Attributes:
        values: Grey values, shape (h, w), any real type.
        file: The file, or what else holds it.
        page: Its place in that file, from 0.
        pixel_size: Side of a pixel, nm; NaN where the file does not know it.
        label: What the source calls it; None where it says nothing.
        alone: It is the only one of its file.
    """

    values: np.ndarray
    file: str
    page: int = 0
    pixel_size: float = float("nan")
    label: Any = None
    alone: bool = True

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.file if self.alone else f"{self.file}: image {self.page}"


@dataclass(frozen=True)
class Signal:
    """What a file holds under one name: pages of shape (h, w), or (h, w, 3 or 4) in colour."""

    name: str
    pages: np.ndarray
    pixel_size: float = float("nan")
    axes: str = ""

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.pages.shape[1:]))
        count = f"{len(self.pages)} of " if len(self.pages) > 1 else ""
        return f"'{self.name}' ({count}{shape}, {self.pages.dtype})"


def unit_range(picture: np.ndarray) -> np.ndarray:
    """Scale types whose full range is known to [0, 1]; leave others in their own units."""
    return picture.astype(np.float64) / FULL_SCALE.get(picture.dtype.name, 1)


def in_nm(size: float, unit: str) -> float:
    """Turn a length into nanometres; NaN where the unit is none of length or the size not positive.

    Args:
        size: Its number.
        unit: Its unit, as files write it: "nm", "µm", "micron", "A", "n_m".
    """
    text = str(unit).strip().replace("µ", "u").replace("μ", "u").replace("_", "").lower()
    factor = NM.get(text.replace("\\u00b5", "u"), float("nan"))
    return float(size) * factor if size > 0 else float("nan")


def read(file: Path, channel: str | int | None = None, label: Any = None) -> list[Picture]:
    """Read the pictures of one file.

    Args:
        file: The file.
        channel: Which of several channels, detectors or unlike pages, by name or number from 0.
        label: What the source calls them.

    Returns:
        A picture a page, colours turned to grey.

    Raises:
        InputError: If the file is missing, damaged or not known, or holds several channels and none
            is chosen.
    """
    try:
        signals = _signals(file, channel)
        if not signals:
            raise InputError(f"{file}: holds no picture; leave it out")
        signal = _chosen(signals, channel, file)
        pages = [_grey(page) for page in signal.pages]
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{file}: there is no such file; give one that is there") from error
    except MemoryError:
        raise
    except Exception as error:  # the readers raise whatever they meet
        raise InputError(f"{file}: not a readable picture ({error}); save it again") from error
    one = len(pages) == 1
    return [
        Picture(page, str(file), number, signal.pixel_size, label, one)
        for number, page in enumerate(pages)
    ]


def is_hdf5(file: Path) -> bool:
    """Tell an HDF5 file, whatever its ending, by its first bytes."""
    with open(file, "rb") as opened:
        return opened.read(8) == b"\x89HDF\r\n\x1a\n"


def _signals(file: Path, channel: str | int | None) -> list[Signal]:
    ending = file.suffix.lower()
    if ending in TIFF:
        return _tiff(file, channel)
    if ending in PICTURES:
        import imageio.v3

        return [Signal("", imageio.v3.imread(file, plugin="pillow")[None])]
    if ending in MRC:
        return _mrc(file)
    if ending in INSTRUMENTS:
        return _instrument(file, ending)
    if is_hdf5(file):
        return _hdf5(file)
    raise InputError(
        f"{file}: no picture that is known by its ending; give {', '.join(READABLE)} or an HDF5 "
        "file under any ending"
    )


def _chosen(signals: list[Signal], channel: str | int | None, file: Path) -> Signal:
    """Choose by name or number; by itself only where no choice is left."""
    offered = ", ".join(map(str, signals))
    if channel is not None and len(signals) > 1:
        named = [s for i, s in enumerate(signals) if channel in (i, s.name)]
        if len(named) != 1:
            raise InputError(
                f"images.channel: {file}: no one channel '{channel}' but {offered}; give one of "
                f"the names, or a number from 0 to {len(signals) - 1}"
            )
        return named[0]
    if len(signals) == 1:
        return signals[0]
    filled = [s for s in signals if s.pages.size and s.pages.min() < s.pages.max()]
    grey = [s for s in filled if s.pages.ndim == 3]
    if len(left := filled if len(filled) == 1 else grey) == 1:
        logger.info("%s: holds %s; %s is read", file, offered, left[0])
        return left[0]
    raise InputError(
        f"{file}: holds {offered}; choose one with images.channel, by name or by number from 0"
    )


def _grey(page: np.ndarray) -> np.ndarray:
    """Turn colours to luminance; transparency is left out."""
    from skimage.color import rgb2gray

    if page.ndim == 2:
        return page
    return rgb2gray(unit_range(page[..., :3])) if page.shape[-1] > 2 else page[..., 0]


def _tiff(file: Path, channel: str | int | None) -> list[Signal]:
    """Read the series of a TIFF: channels are chosen from, all other axes are pages."""
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        size = _tiff_pixel_size(tiff)
        found = [
            signal
            for number, series in enumerate(tiff.series)
            if series.ndim >= 2 and not series.keyframe.is_reduced
            for signal in _series(series, str(number), size)
        ]
    said = {s.axes for s in found if len(s.axes.strip("YXS")) > 1}
    for axes in said:
        logger.info("%s: axes %s; all but the channel's are read as pages", file, axes)
    alike: dict[tuple[Any, ...], list[Signal]] = {}
    for signal in found:  # series of one shape are one stack, unless they are channels
        kind = (signal.pages.shape[1:], signal.pages.dtype, signal.axes, "C" in signal.axes)
        alike.setdefault((*kind, signal.name if kind[-1] else ""), []).append(signal)
    return [
        Signal(same[0].name, np.concatenate([s.pages for s in same]), size, same[0].axes)
        if len(same) > 1
        else same[0]
        for same in alike.values()
    ]


def _series(series: Any, name: str, pixel_size: float) -> list[Signal]:
    array, axes, page = series.asarray(), series.axes, series.keyframe
    if page.photometric == 0 and array.dtype.kind == "u":  # white is zero
        array = np.iinfo(array.dtype).max - array
    if page.photometric == 3 and page.colormap is not None:
        colours = page.colormap.T / 65535
        array = (colours @ [0.2125, 0.7154, 0.0721])[array]  # as scikit-image weighs them
    order = [axes.index(axis) for axis in "YX" + "S" * ("S" in axes)]
    if "S" not in axes:  # a last axis of samples, so that all are handled alike
        array, order = array[..., None], [*order, array.ndim]
    if (c := axes.find("C")) >= 0 and array.shape[c] > 1:
        each = [(f"channel {i}", np.moveaxis(array, c, 0)[i]) for i in range(array.shape[c])]
        order = [axis - (axis > c) for axis in order]
    else:
        each = [(f"series {name}", array)]
    signals = []
    for called, part in each:
        pages = np.moveaxis(part, order, (-3, -2, -1))
        pages = pages.reshape(-1, *pages.shape[-3:])
        pages = pages if pages.shape[-1] > 1 else pages[..., 0]
        signals.append(Signal(called, pages, pixel_size, axes))
    return signals


def _tiff_pixel_size(tiff: Any) -> float:
    """Find the pixel size where ImageJ, OME, an instrument or the resolution tags state it."""
    page = tiff.pages[0]
    tag = page.tags.get("XResolution")
    per_unit = tag.value[0] / tag.value[1] if tag and tag.value[0] and tag.value[1] else 0
    if tiff.is_imagej:
        return in_nm(1 / per_unit, tiff.imagej_metadata.get("unit", "")) if per_unit else np.nan
    if tiff.is_ome:
        found = re.search(r'PhysicalSizeX="([^"]+)"', tiff.ome_metadata)
        unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', tiff.ome_metadata)
        return in_nm(float(found[1]), unit[1] if unit else "um") if found else np.nan
    if tiff.is_sem and "ap_image_pixel_size" in tiff.sem_metadata:
        return in_nm(*tiff.sem_metadata["ap_image_pixel_size"][1:3])
    if tiff.is_fei:
        return in_nm(tiff.fei_metadata.get("Scan", {}).get("PixelWidth", 0) or 0, "m")
    if tiff.is_sis and "pixelsizex" in (tiff.sis_metadata or {}):
        return in_nm(tiff.sis_metadata["pixelsizex"], "m")
    unit = {2: "inch", 3: "cm"}.get(int(getattr(page.tags.get("ResolutionUnit"), "value", 0)), "")
    size = in_nm(1 / per_unit, unit) if per_unit else np.nan
    return size if size < PRINT_NM else np.nan


def _mrc(file: Path) -> list[Signal]:
    import mrcfile

    with mrcfile.open(file, permissive=False) as opened:
        pages = np.array(opened.data)
        size = in_nm(float(opened.voxel_size.x), "angstrom")
    return [Signal("", pages.reshape(-1, *pages.shape[-2:]), size)]


def _hdf5(file: Path) -> list[Signal]:
    """Read the arrays of two or three dimensions that may be pictures, by name."""
    with arrays(file) as found:
        held = {
            name: shaped
            for name, array in found.items()
            if array.dtype.kind in "biuf"
            and len(shaped := _without_ones(array.shape)) in (2, 3)
            and min(shaped) >= 5
        }
        signals = []
        for name in held:
            quantity = found[name].attrs.get("quantity", name)
            quantity = quantity.decode() if isinstance(quantity, bytes) else str(quantity)
            pages = found[name][()].reshape(held[name])
            pages = pages if pages.ndim == 3 else pages[None]
            signals.append(Signal(quantity, pages, _scale_of(found[name])))
    return signals


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)


def _scale_of(dataset: Any) -> float:
    """Take the pixel size from the dimension scale of the last axis (NSID), if it has one."""
    try:
        scale = dataset.dims[dataset.ndim - 1][0]
        values, unit = scale[()], scale.attrs.get("units", "")
    except (RuntimeError, KeyError, IndexError):
        return float("nan")
    unit = unit.decode() if isinstance(unit, bytes) else unit
    return in_nm(abs(float(values[1] - values[0])), unit) if len(values) > 1 else float("nan")


def _instrument(file: Path, ending: str) -> list[Signal]:
    package = INSTRUMENTS[ending]
    try:
        if package == "igor2":
            return _igor(file)
        if package == "gwyfile":
            return _gwyddion(file)
        return _rosetta(file)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{file}: {package}, which reads {ending} files, is not installed ({error.name} is "
            f"missing); run make microscopes in zBO's folder, or pip install {package}, or give "
            "TIFFs instead"
        ) from error


def _igor(file: Path) -> list[Signal]:
    from igor2 import binarywave

    wave = binarywave.load(str(file))["wave"]
    data, header = wave["wData"], wave["wave_header"]
    unit = b"".join(np.asarray(header["dimUnits"])[0]).decode(errors="replace")
    size = in_nm(float(np.asarray(header["sfA"])[0]), unit)
    # Igor's first axis runs along a row, from left to right, its second from the bottom up.
    channels = np.moveaxis(np.atleast_3d(data), (0, 1, 2), (2, 1, 0))[:, ::-1]
    names = [label.decode(errors="replace") for label in wave["labels"][2] if label]
    names += [f"channel {i}" for i in range(len(names), len(channels))]
    return [Signal(n, page[None], size) for n, page in zip(names, channels, strict=False)]


def _gwyddion(file: Path) -> list[Signal]:
    import gwyfile

    fields = gwyfile.util.get_datafields(gwyfile.load(str(file)))
    return [
        Signal(name, field.data[None], in_nm(field.xreal / field.xres, str(field.si_unit_xy)))
        for name, field in fields.items()
    ]


def _rosetta(file: Path) -> list[Signal]:
    import importlib

    from rsciio import IO_PLUGINS

    ending = file.suffix.lower().lstrip(".")
    failed: list[str] = []
    for plugin in (p for p in IO_PLUGINS if ending in p["file_extensions"]):
        try:
            found = importlib.import_module(plugin["api"]).file_reader(str(file))
        except Exception as error:  # each raises what it likes at another's file
            failed.append(f"{plugin['name']}: {error}")
            continue
        return [signal for each in found if (signal := _of_rosetta(each)) is not None]
    raise InputError(f"{file}: not readable ({'; '.join(failed)}); save it again, or as TIFF")


def _of_rosetta(found: Mapping[str, Any]) -> Signal | None:
    """Take a signal of RosettaSciIO's, if its last two axes may be a picture's."""
    data = np.asarray(found["data"])
    axes = [axis for axis in found["axes"] if axis.get("size", 1) > 1]
    data = data.reshape(_without_ones(data.shape))
    if data.ndim < 2 or data.dtype.kind not in "biuf" or data.ndim > 3 or min(data.shape[-2:]) < 5:
        return None
    last = axes[-1] if axes else {}
    size = in_nm(float(last.get("scale", 0)), last.get("units", "") or "")
    name = found.get("metadata", {}).get("General", {}).get("title") or "picture"
    return Signal(name, data if data.ndim == 3 else data[None], size)


@contextmanager
def arrays(path: Path) -> Iterator[Mapping[str, Any]]:
    """Open the arrays of a numpy or HDF5 file, by name; a pickle's code is never run."""
    try:
        if path.suffix.lower() in NUMPY:
            # Mapped, so that a set larger than the memory left is read as it is needed.
            content = np.load(path, allow_pickle=False, mmap_mode="r")
            yield {"": content} if isinstance(content, np.ndarray) else dict(content)
        else:
            import h5py
            import hdf5plugin  # noqa: F401  its import lets h5py decompress every filter

            with h5py.File(path, "r") as file:
                names: list[str] = []
                file.visit(names.append)
                yield {name: file[name] for name in names if isinstance(file[name], h5py.Dataset)}
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; give one that is there") from error
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path}: cut short, damaged or not of plain arrays ({error}); save it again"
        ) from error
