"""Prepare ever more patches of synthetic micrographs: seconds, and memory beside the set itself.

Each count runs in a process of its own, whose greatest resident memory the kernel knows.
"""

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import tifffile

from zbo.base import command, storage
from zbo.base.settings import ImageSettings

sys.path.insert(0, str(Path(__file__).parents[1]))
import prepare_images

SIDE, WINDOW, EACH = 2048, 48, 1000  # of a micrograph, of a patch, pixels; patches a micrograph
WAYS = {  # how images are made, beside the windows' places
    "as they are": {},
    "resized, neighbours painted over": {"size": [32, 32], "neighbours": "paint"},
}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--output", required=True, help="a row a count and way, .csv")
    args = parser.parse_args(argv)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in args.counts:
            micrographs(Path(folder) / str(count), count)
            for way, settings in WAYS.items():
                row = {"patches": count, "way": way} | measured(Path(folder) / str(count), settings)
                print(row, flush=True)
                rows.append(row)
    storage.write_table(args.output, rows)


def micrographs(folder: Path, count: int) -> None:
    """Write noisy micrographs of disks on a lattice, and label images that say where they are."""
    rng, (y, x) = np.random.default_rng(0), np.indices((SIDE, SIDE))
    lattice = SIDE // int(EACH**0.5 + 1)
    row, column = y % lattice - lattice / 2, x % lattice - lattice / 2
    inside = np.hypot(row, column) < lattice / 3
    number = (y // lattice * (SIDE // lattice) + x // lattice + 1) * inside
    number[number > EACH] = 0
    for part in ("pictures", "masks"):
        (folder / part).mkdir(parents=True)
    for k in range(-(-count // EACH)):
        counts = rng.normal(20000, 2000, (SIDE, SIDE)) - 9000 * inside
        tifffile.imwrite(folder / f"pictures/{k}.tif", counts.astype(np.uint16))
        tifffile.imwrite(folder / f"masks/{k}.tif", number.astype(np.uint16))


def measured(folder: Path, settings: dict) -> dict[str, str]:
    """Prepare a folder of micrographs in a process of its own."""
    settings = dict(settings)
    patches = {"size": WINDOW, "coordinates": str(folder / "masks")}
    patches |= {key: settings.pop(key) for key in ["neighbours"] if key in settings}
    images = {"source": "files", "path": str(folder / "pictures"), "patches": patches}
    images = ImageSettings(**images, normalize="image", subset=100, **settings)
    given = {"seed": 0, "images": images.model_dump(mode="json"), "model": {"invariances": ["r"]}}
    output = folder / "images.h5"
    arguments = ["--settings", json.dumps(given), "--output", str(output)]
    arguments += ["--table", str(folder / "images.csv")]
    with ProcessPoolExecutor(1, get_context("spawn")) as alone:
        seconds, processor, peak = alone.submit(prepared, arguments).result()
    with h5py.File(output) as file:
        held = file["images"].size * file["images"].dtype.itemsize
    output.unlink()
    return {
        "seconds": f"{seconds:.0f}",
        "processor_seconds": f"{processor:.0f}",
        "set_mb": f"{held / 1e6:.0f}",
        "peak_mb": f"{peak / 1e3:.0f}",
    }


def prepared(arguments: list[str]) -> tuple[float, float, float]:
    """Prepare images in this process: seconds, processor seconds, and its greatest memory in kB.

    The kernel's own count, since what `wait4` tells of a process includes the one it came from.
    """
    started = time.perf_counter()
    prepare_images.main(arguments)
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text()
    return seconds, time.process_time(), float(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    command.run(main)
