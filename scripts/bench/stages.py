"""Measure what is not jrVAE training: trajectory VAE, scoring, proposing, start-up; and growth.

The trajectory VAE takes turns with pyroVED's trainer on the same trajectories; the rest is compared
with a stated limit. Growth is the time of a training cycle against images, pixels, classes and
cycles: doubling one should double the time, so the exponent of a power law should be near 1.
"""

import argparse
import csv
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from zbo.search import objective, surrogate
from zbo.trainer import jrvae, training
from zbo.trainer.pyroved import pyroved
from zbo.trajectories import families, vae

COLUMNS = ("what", "value", "unit", "limit", "compared_with")
SCRIPTS = Path(__file__).parents[1]


def best(call: Callable[[], object], repeats: int = 3) -> float:
    """Return the shortest of some runs, seconds."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def trajectory_vaes(count: int = 1500, cycles: int = 120) -> float:
    """Return how many times as fast as pyroVED's trainer a cycle over trajectories is."""
    beta, _ = families.sample(["segments"], count, cycles, (1.0, 50.0), seed=0)
    data = torch.as_tensor((beta - 1) / 49)
    theirs = pyroved.models.iVAE(
        (cycles,), latent_dim=2, sampler_d="gaussian", decoder_sig=0.3, sigmoid_d=False,
        device="cpu",
    )  # fmt: skip
    trainer = pyroved.trainers.SVItrainer(theirs, lr=1e-4, device="cpu")
    loader = pyroved.utils.init_dataloader(data, batch_size=100)
    ends: list[float] = []
    settings = vae.TrajectoryVAESettings(cycles=4)

    def ours() -> None:
        ends.append(time.perf_counter())
        vae.train(beta, (1.0, 50.0), settings, 0, lambda *_: ends.append(time.perf_counter()))

    trainer.step(loader)
    pairs = []
    for _ in range(3):
        seconds = best(lambda: trainer.step(loader), 1)
        ours()
        pairs.append((seconds, ends[-1] - ends[-2]))
    return min(theirs for theirs, _ in pairs) / min(ours for _, ours in pairs)


def scoring(device: str) -> float:
    """Return the seconds of ℓ1 and ℓ2 for ten classes on a 12 x 12 grid of 28 x 28 images."""
    manifolds = torch.rand(10, 12, 12, 28, 28, device=device)
    settings = objective.ObjectiveSettings()

    def both() -> None:
        objective.between_classes(manifolds, settings)
        objective.within_classes(manifolds, settings)

    both()
    return best(both)


def proposing() -> float:
    """Return the seconds of a fit to 140 observations and a choice among 10,000 points."""
    axis = np.linspace(0, 1, 100)
    space = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    rng = np.random.default_rng(0)
    index = rng.choice(len(space), 140, replace=False)
    values = np.sin(5 * space[index]).sum(1) + 0.3 * rng.normal(size=140)
    is_open = np.ones(len(space), dtype=bool)
    settings = surrogate.SurrogateSettings()
    return best(lambda: surrogate.propose(space, space[index], values, None, settings, is_open), 5)


def start_up(script: str) -> float:
    """Return the seconds from a command's call to its end when asked for help."""
    command = [sys.executable, SCRIPTS / f"{script}.py", "--help"]
    return best(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True))


def growth() -> dict[str, float]:
    """Return the exponent of a cycle's time in each quantity, fitted over a factor of four."""
    base = {"images": 200, "side": 14, "classes": 5, "cycles": 2}

    def seconds(images: int, side: int, classes: int, cycles: int) -> float:
        data = np.random.default_rng(0).random((images, side, side), dtype=np.float32)
        settings = training.TrainingSettings(batch_size=50)
        beta = np.ones(cycles)

        def train() -> None:
            model = jrvae.build(
                jrvae.ModelSettings(image_shape=(side, side), classes=classes), seed=0
            )
            training.train(model, data, beta, beta, settings, seed=0)

        return best(train, 2)

    exponents = {}
    for name, value in base.items():
        ratio = seconds(**base | {name: 2 * value}) / seconds(**base)
        # Twice the side is four times the pixels.
        exponents["pixels" if name == "side" else name] = math.log(
            ratio, 4 if name == "side" else 2
        )
    return exponents


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="results/bench/stages.csv", help="table to write")
    args = parser.parse_args(argv)
    rows = [
        ("trajectory VAE", trajectory_vaes(), "ratio", "at least 5", "pyroVED's SVItrainer"),
        ("scoring, K = 10, B = 12, 28 x 28", scoring("cpu"), "s", "at most 0.5", ""),
        ("proposal, 140 trials, 10,000 points", proposing(), "s", "at most 0.5", ""),
    ]
    if torch.cuda.is_available():
        rows.append(("the same on the GPU", scoring("cuda"), "s", "at most 0.02", ""))
    for script in ("train_trial", "bo_iteration"):
        rows.append((f"start-up, {script}", start_up(script), "s", "at most 3", ""))
    for name, exponent in growth().items():
        rows.append((f"growth with {name}", exponent, "exponent", "about 1", "linear"))
    output = Path(args.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for what, value, unit, limit, compared in rows:
            table.writerow((what, f"{value:.3g}", unit, limit, compared))
            print(f"{what:38}{value:8.3g} {unit:9} {limit:12} {compared}")


if __name__ == "__main__":
    main()
