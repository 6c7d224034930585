"""Measure our trainer against pyroVED's: images per second, peak memory, share of the hardware.

Engines take turns, cycle by cycle, so that whatever else the machine does slows all of them alike;
the best turn of each counts. Where pixels are sampled, a turn runs each size of blocks once, and
counts it as often as a training of 120 cycles does: the rate is that of the whole training. Peak
memory is that of a process of its own, two batches long. The share of peak compares the decoder's
arithmetic with the most that was measured in the same turns: on the CPU multiply-adds in registers,
with the instructions the kernel uses (without a compiler torch's products of its shape, (n, 128)
by (128, 128)), on a GPU products of 8,192 by 8,192, at which it comes closest to what its tensor
cores can do.
"""

import argparse
import ctypes
import logging
import math
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from zbo.base import storage
from zbo.trainer import decoder, jrvae, kernels, pixels, training
from zbo.trainer.pyroved import pyroved

logger = logging.getLogger("bench_trainer")

BETA = 0.8, 0.2  # continuous, discrete
# Images, batch size and classes for each image size.
SIZES = {28: (200, 100, 10), 8: (600, 20, 10), 96: (24, 12, 3)}
CYCLES = 120  # of a whole training
TOGETHER = {"cpu": 2, "cuda": 8}  # trainings at once
ENGINES = {
    "cpu": ("pyroved", "exact", "exact, torch only", "exact, several", "pruned", "sampled",
            "sampled, several", "sampled, pruned"),
    "cuda": (
        "pyroved", "exact", "exact, torch only", "exact, eager", "exact, several",
        "exact, TF32", "exact, TF32, torch only", "exact, TF32, several", "pruned, TF32",
        "sampled, TF32", "sampled, TF32, several",
    ),
}  # fmt: skip
PRUNED = 1e-3
WARM_UP = 900  # steps of 5 images, for the classes to part: before, there is nothing to prune
COLUMNS = (
    "device",
    "threads",
    "engine",
    "image_size",
    "classes",
    "batch",
    "images_per_s",
    "ratio_to_pyroved",
    "peak_mb",
    "share_of_peak",
    "classes_decoded",
    "pixels_decoded",
)


def digits(size: int, count: int) -> np.ndarray:
    """Return scikit-learn's 8 x 8 digits, resized: (count, size, size), in [0, 1]."""
    images = torch.from_numpy(load_digits().images[:count] / 16).float()[:, None]
    return F.interpolate(images, size=size, mode="bilinear")[:, 0].clamp(0, 1).numpy()


@contextmanager
def without_kernel():
    """Let the decoder find nothing compiled."""
    load, fused = kernels.load, decoder._fused
    kernels.load, decoder._fused = lambda: None, lambda *kind: None
    try:
        yield
    finally:
        kernels.load, decoder._fused = load, fused


def engine(
    name: str, images: np.ndarray, batch: int, classes: int, device: str, warm_up: int = 0
) -> Callable[[], tuple[float, float, float]]:
    """Set up one engine.

    Each call returns, on average over a whole training, seconds per cycle and training, and classes
    and pixels decoded per image.
    """
    settings = jrvae.ModelSettings(image_shape=images.shape[1:], classes=classes)
    model = jrvae.build(settings, seed=0)
    if name == "pyroved":
        model.device, model.grid = device, model.grid.to(device)
        trainer = pyroved.trainers.SVItrainer(
            model.to(device), enumerate_parallel=True, device=device
        )
        loader = pyroved.utils.init_dataloader(torch.from_numpy(images), batch_size=batch)

        def pyroved_cycle() -> tuple[float, float, float]:
            began = time.perf_counter()
            trainer.step(loader, scale_factor=list(BETA))  # its loss is read: the GPU has finished
            return time.perf_counter() - began, classes, math.prod(images.shape[1:])

        return pyroved_cycle

    def train(settings: training.TrainingSettings, cycles: int, *models) -> tuple[float, ...]:
        ends: list[list[float]] = [[] for _ in range(cycles)]
        beta_c, beta_d = (np.full(cycles, b) for b in BETA)
        trainings = [
            training.Training(
                one, images, beta_c, beta_d, settings, seed, device,
                progress=lambda cycle, _: ends[cycle].append(time.perf_counter()),
            )
            for seed, one in enumerate(models)
        ]  # fmt: skip
        for one in trainings:
            one.captured &= name != "exact, eager"
        training.run(trainings)
        seconds = np.diff([max(of_cycle) for of_cycle in ends]) / len(models)
        often = np.ones(len(seconds))
        often[0] += CYCLES - len(seconds)
        history = trainings[0].history()
        counts = history.active_classes[1:], history.pixels[1:]
        return tuple(float(often @ values / CYCLES) for values in (seconds, *counts))

    threshold = PRUNED if "pruned" in name else 0.0
    sampled = "auto" if "sampled" in name else "all"
    chosen = training.TrainingSettings(
        batch_size=batch, prune_threshold=threshold, pixels=sampled, tf32="TF32" in name
    )
    cycles = 1 + pixels.sides(sampled, images.shape[1:], CYCLES)[0]
    models = [model]
    if "several" in name:
        models += [jrvae.build(settings, seed) for seed in range(1, TOGETHER[device])]
    if warm_up and threshold:
        quick = training.TrainingSettings(
            learning_rate=3e-3, batch_size=5, prune_threshold=threshold, pixels=sampled
        )
        train(quick, math.ceil(warm_up * 5 / len(images)), model)
    # From the second cycle on: the first of a training decodes every class once, or captures.
    if "torch only" in name:
        return without_kernel()(lambda: train(chosen, cycles, model))
    return lambda: train(chosen, cycles, *models)


def multiply_adds(threads: int) -> Callable[[], float] | None:
    """Set up the most the CPU can do; a call returns operations a second. None: no compiler."""
    if (library := kernels.load()) is None:
        return None
    pool = ThreadPoolExecutor(threads)

    def run(_: int) -> float:
        return library.zbo_peak(1 << 24, ctypes.byref(ctypes.c_float(0.5)))

    def measure() -> float:
        began = time.perf_counter()
        return sum(pool.map(run, range(threads))) / (time.perf_counter() - began)

    return measure


def matrix_products(device: str, tf32: bool) -> Callable[[], float]:
    """Set up the products to compare with; a call returns operations a second."""
    rows, inner, repeats = (1024, 128, 500) if device == "cpu" else (8192, 8192, 20)
    a, b = torch.randn(rows, inner, device=device), torch.randn(inner, inner, device=device)
    out = torch.empty(rows, inner, device=device)

    def multiply() -> float:
        torch.backends.cuda.matmul.allow_tf32 = tf32
        began = time.perf_counter()
        for _ in range(repeats):
            torch.mm(a, b, out=out)
        if device == "cuda":
            torch.cuda.synchronize()
        torch.backends.cuda.matmul.allow_tf32 = False
        return 2.0 * repeats * rows * inner * inner / (time.perf_counter() - began)

    return multiply


# Decoder arithmetic for a pixel of an image and class, forward and backward, hidden layers only.
OPERATIONS = 2 * 3 * 2 * 128 * 128


def peak_memory(name: str, size: int, batch: int, classes: int, device: str, threads: int) -> float:
    """Return the peak of this process, or of the GPU, over two batches, megabytes."""
    torch.set_num_threads(threads)
    engine(name, digits(size, 2 * batch), batch, classes, device)()
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status")  # not getrusage, which counts the parent's memory too
    if not status.is_file():
        return math.nan
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024 / 1e6


def measure(
    size: int, device: str, threads: int, rounds: int, only: Sequence[str] | None = None
) -> list[dict]:
    """Measure every engine at one image size.

    Args:
        size: Image height and width, pixels.
        device: "cpu" or "cuda".
        threads: CPU threads.
        rounds: Turns each engine gets.
        only: Engines beside pyroVED's; None: all.

    Returns:
        One row an engine, keys as in COLUMNS.
    """
    count, batch, classes = SIZES[size]
    engines = [n for n in ENGINES[device] if only is None or n in ("pyroved", *only)]
    spawn = multiprocessing.get_context("spawn")
    memory = {}
    for name in engines:
        with spawn.Pool(1) as pool:
            memory[name] = pool.apply(peak_memory, (name, size, batch, classes, device, threads))
    images = digits(size, count)
    turns = {name: engine(name, images, batch, classes, device, WARM_UP) for name in engines}
    most = {tf32: matrix_products(device, tf32) for tf32 in {"TF32" in n for n in engines}}
    if device == "cpu" and (measured := multiply_adds(threads)):
        most[False] = measured
    seconds, decoded, peak = dict.fromkeys(engines, math.inf), {}, dict.fromkeys(most, 0.0)
    for _ in range(rounds):
        for name, turn in turns.items():
            elapsed, *decoded[name] = turn()
            seconds[name] = min(seconds[name], elapsed)
            tf32 = "TF32" in name
            peak[tf32] = max(peak[tf32], most[tf32]())
    for tf32, rate in peak.items():
        kind = "TF32" if tf32 else "float32"
        logger.info("%s, %d x %d: at most %.0f GFLOP/s in %s", device, size, size, rate / 1e9, kind)
    done = {n: OPERATIONS * math.prod(decoded[n]) * count / seconds[n] for n in engines}
    return [
        {
            "device": device,
            "threads": threads,
            "engine": name,
            "image_size": size,
            "classes": classes,
            "batch": batch,
            "images_per_s": round(count / seconds[name], 1),
            "ratio_to_pyroved": round(seconds["pyroved"] / seconds[name], 2),
            "peak_mb": round(memory[name]),
            "share_of_peak": round(done[name] / peak["TF32" in name], 3),
            "classes_decoded": round(decoded[name][0], 2),
            "pixels_decoded": round(decoded[name][1], 1),
        }
        for name in engines
    ]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="results/bench/trainer.csv", help="table to write")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--rounds", type=int, default=3, help="turns each engine gets (default 3)")
    parser.add_argument("--engines", nargs="+", help="beside pyroVED's (default: all)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    torch.set_num_threads(args.threads)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    rows = [
        row
        for device in devices
        for size in args.sizes
        for row in measure(size, device, args.threads, args.rounds, args.engines)
    ]
    storage.write_table(args.output, rows, COLUMNS)
    for row in rows:
        print(
            f"{row['device']:4} {row['image_size']:3} px  {row['engine']:22}"
            f"{row['images_per_s']:8} images/s  {row['ratio_to_pyroved']:6} x pyroVED"
            f"{row['peak_mb']:7} MB  {row['share_of_peak']:6} of peak"
        )


if __name__ == "__main__":
    main()
