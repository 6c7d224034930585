"""Measure our trainer against pyroVED's: images per second, peak memory, share of the hardware.

Engines take turns, cycle by cycle, so that whatever else the machine does slows all of them alike;
the best cycle of each counts. Peak memory is that of a process of its own, two batches long. The
share of peak compares the decoder's arithmetic with matrix products timed in the same turns: on the
CPU of its shape, (n, 128) by (128, 128), on a GPU of 8,192 by 8,192, at which it comes closest to
what its tensor cores can do.
"""

import argparse
import logging
import math
import multiprocessing
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from zbo.base import storage
from zbo.trainer import decoder, jrvae, kernels, training
from zbo.trainer.pyroved import pyroved

logger = logging.getLogger("bench_trainer")

CLASSES = 10
BETA = 0.8, 0.2  # continuous, discrete
SIZES = {28: (200, 100), 8: (600, 20)}  # images and batch size for each image size
TOGETHER = {"cpu": 2, "cuda": 8}  # trainings at once
ENGINES = {
    "cpu": ("pyroved", "exact", "exact, torch only", "exact, several", "pruned"),
    "cuda": (
        "pyroved", "exact", "exact, torch only", "exact, eager", "exact, several",
        "exact, TF32", "exact, TF32, torch only", "exact, TF32, several", "pruned, TF32",
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
    name: str, images: np.ndarray, batch: int, device: str, warm_up: int = 0
) -> Callable[[], tuple[float, float]]:
    """Set up one engine; each call returns seconds a cycle and training, and classes an image."""
    settings = jrvae.ModelSettings(image_shape=images.shape[1:], classes=CLASSES)
    model = jrvae.build(settings, seed=0)
    if name == "pyroved":
        model.device, model.grid = device, model.grid.to(device)
        trainer = pyroved.trainers.SVItrainer(
            model.to(device), enumerate_parallel=True, device=device
        )
        loader = pyroved.utils.init_dataloader(torch.from_numpy(images), batch_size=batch)

        def pyroved_cycle() -> tuple[float, float]:
            began = time.perf_counter()
            trainer.step(loader, scale_factor=list(BETA))  # its loss is read: the GPU has finished
            return time.perf_counter() - began, float(CLASSES)

        return pyroved_cycle

    def train(settings: training.TrainingSettings, cycles: int, *models) -> tuple[float, float]:
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
        seconds = (max(ends[-1]) - max(ends[-2])) / len(models)
        return seconds, trainings[0].history().active_classes[-1]

    threshold = PRUNED if "pruned" in name else 0.0
    chosen = training.TrainingSettings(
        batch_size=batch, prune_threshold=threshold, tf32="TF32" in name
    )
    models = [model]
    if "several" in name:
        models += [jrvae.build(settings, seed) for seed in range(1, TOGETHER[device])]
    if warm_up and threshold:
        quick = training.TrainingSettings(
            learning_rate=3e-3, batch_size=5, prune_threshold=threshold
        )
        train(quick, math.ceil(warm_up * 5 / len(images)), model)
    # The second of two cycles: the first of a training decodes every class once, or captures.
    if "torch only" in name:
        return without_kernel()(lambda: train(chosen, 2, model))
    return lambda: train(chosen, 2, *models)


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


def operations(size: int) -> float:
    """Decoder arithmetic for one image and class, forward and backward, hidden layers only."""
    return 2 * 3 * size**2 * 2 * 128 * 128


def peak_memory(name: str, size: int, batch: int, device: str, threads: int) -> float:
    """Return the peak of this process, or of the GPU, over two batches, megabytes."""
    torch.set_num_threads(threads)
    engine(name, digits(size, 2 * batch), batch, device)()
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status")  # not getrusage, which counts the parent's memory too
    if not status.is_file():
        return math.nan
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024 / 1e6


def measure(size: int, device: str, threads: int, rounds: int) -> list[dict]:
    """Measure every engine at one image size.

    Args:
        size: Image height and width, pixels.
        device: "cpu" or "cuda".
        threads: CPU threads.
        rounds: Turns each engine gets.

    Returns:
        One row an engine, keys as in COLUMNS.
    """
    count, batch = SIZES[size]
    engines = ENGINES[device]
    spawn = multiprocessing.get_context("spawn")
    memory = {}
    for name in engines:
        with spawn.Pool(1) as pool:
            memory[name] = pool.apply(peak_memory, (name, size, batch, device, threads))
    images = digits(size, count)
    cycles = {name: engine(name, images, batch, device, WARM_UP) for name in engines}
    products = {tf32: matrix_products(device, tf32) for tf32 in {"TF32" in n for n in engines}}
    seconds, decoded, peak = dict.fromkeys(engines, math.inf), {}, dict.fromkeys(products, 0.0)
    for _ in range(rounds):
        for name, cycle in cycles.items():
            elapsed, decoded[name] = cycle()
            seconds[name] = min(seconds[name], elapsed)
            tf32 = "TF32" in name
            peak[tf32] = max(peak[tf32], products[tf32]())
    for tf32, rate in peak.items():
        kind = "TF32" if tf32 else "float32"
        logger.info(
            "%s, %d x %d: %s products at %.0f GFLOP/s", device, size, size, kind, rate / 1e9
        )
    return [
        {
            "device": device,
            "threads": threads,
            "engine": name,
            "image_size": size,
            "classes": CLASSES,
            "batch": batch,
            "images_per_s": round(count / seconds[name], 1),
            "ratio_to_pyroved": round(seconds["pyroved"] / seconds[name], 2),
            "peak_mb": round(memory[name]),
            "share_of_peak": round(
                operations(size) * decoded[name] * count / seconds[name] / peak["TF32" in name], 3
            ),
            "classes_decoded": round(float(decoded[name]), 2),
        }
        for name in engines
    ]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="results/bench/trainer.csv", help="table to write")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--rounds", type=int, default=3, help="turns each engine gets (default 3)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    torch.set_num_threads(args.threads)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    rows = [
        row
        for device in devices
        for size in args.sizes
        for row in measure(size, device, args.threads, args.rounds)
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
