"""One trial: train along a trajectory, score what it learned, say what failed."""

import dataclasses
import itertools
import logging
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zbo.base.storage import DONE
from zbo.search import objective
from zbo.trainer import jrvae, training
from zbo.trainer.checkpoint import Checkpoint

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """What one evaluation found.

    Attributes:
        status: "done", or why it failed.
        objective: Mean over the replicates, NaN if failed.
        variance: Of that mean, from the replicates' spread; NaN with fewer than two.
        scores: `objective.Score` of each replicate, shape (replicates, 4).
        loss: Of each replicate at each cycle, shape (replicates, N); NaN after a failure.
        manifolds: Of the first replicate, shape (max(K, 1), B, B, h, w); None if it failed.
        seeds: Of each replicate.
        seconds: Wall time.
    """

    status: str
    objective: float
    variance: float
    scores: np.ndarray
    loss: np.ndarray
    manifolds: np.ndarray | None
    seeds: list[int]
    seconds: float


def evaluate(
    images: np.ndarray,
    beta_c: np.ndarray,
    beta_d: np.ndarray,
    model: jrvae.ModelSettings,
    settings: training.TrainingSettings,
    scoring: objective.ObjectiveSettings,
    seeds: list[int],
    device: str = "cpu",
    progress: Callable[[int, float], None] | None = None,
    checkpoints: Sequence[Checkpoint] = (),
) -> Trial:
    """Train a model along one trajectory and score what it learned (table 2), once a seed.

    A training that diverges fails the trial, with its reason; nothing is raised for it.

    Args:
        images: Shape (n, h, w), in [0, 1].
        beta_c: KL scale factor of the continuous latents at each cycle, shape (N,).
        beta_d: Of the discrete latent, shape (N,).
        model: What to build.
        settings: How to train it.
        scoring: What to maximize.
        seeds: One a replicate; they train at once (see `training.run`).
        device: Of training and scoring.
        progress: Called after each cycle with how many there were, over all replicates, and loss.
        checkpoints: One a replicate, or none.

    Returns:
        Objective, its parts and the training's history.
    """
    objective.check(scoring, images.shape[1:])
    begin = time.perf_counter()
    count = itertools.count()

    def report(_: int, loss: float) -> None:
        if progress:
            progress(next(count), loss)

    trainings = [
        training.Training(
            jrvae.build(model, seed), images, beta_c, beta_d, settings, seed, device, report, state
        )
        for seed, state in itertools.zip_longest(seeds, checkpoints)
    ]
    training.run(trainings)
    scores = np.full((len(seeds), len(objective.PARTS)), np.nan)
    manifolds, status = None, DONE
    for i, (seed, trained) in enumerate(zip(seeds, trainings, strict=True)):
        if trained.diverged is not None:
            status = f"failed with seed {seed}: {trained.diverged}"
            log.warning(status)
            break
        encoding = jrvae.encode(trained.model, images)
        learning = learned(trained.model, encoding, trained.history(), scoring.grid)
        manifolds = learning.manifolds if manifolds is None else manifolds
        found = objective.score(learning, scoring, device)
        scores[i] = dataclasses.astuple(found)
    if status == DONE and not np.isfinite(scores[:, 0]).all():
        status = f"failed: objective '{scoring.name}' is not finite"
    done = status == DONE
    repeated = done and len(seeds) > 1
    return Trial(
        status=status,
        objective=float(scores[:, 0].mean()) if done else np.nan,
        variance=float(scores[:, 0].var(ddof=1) / len(seeds)) if repeated else np.nan,
        scores=scores,
        loss=np.stack([trained.history().loss for trained in trainings]),
        manifolds=manifolds,
        seeds=seeds,
        seconds=time.perf_counter() - begin,
    )


def learned(
    model, encoding: jrvae.Encoding, history: training.History, grid: int
) -> objective.Learned:
    """Gather what an objective may look at.

    Args:
        model: Trained.
        encoding: Of the images it was trained on.
        history: Of its training.
        grid: B, images a side of a manifold.

    Returns:
        All that the training gave, without labels.
    """
    return objective.Learned(
        manifolds=jrvae.manifolds(model, grid),
        probabilities=encoding.probabilities,
        z_mean=encoding.z_mean,
        z_sd=encoding.z_sd,
        reconstruction=float(history.reconstruction[-1]),
        kl_c=float(history.kl_c[-1]),
        kl_d=float(history.kl_d[-1]),
    )


def model_settings(section: dict[str, Any], image_shape: tuple[int, ...]) -> jrvae.ModelSettings:
    """Turn section `model` of a study into what `jrvae.build` builds, for images (h, w)."""
    lists = {name: tuple(section[name]) for name in ("invariances", "hidden_dim")}
    return jrvae.ModelSettings(image_shape=tuple(image_shape), **section | lists)


def seeds_of(name: str, count: int, seed: int) -> list[int]:
    """Derive the seeds of one trial or model from its name and the study's seed.

    Args:
        name: For example "design-003"; a name shared by all gives all the same seeds (`fixed`).
        count: How many.
        seed: The study's.

    Returns:
        Non-negative integers below 2^31, the first ones unchanged when `count` grows.
    """
    sequence = np.random.SeedSequence([seed, zlib.crc32(name.encode())])
    return [int(child.generate_state(1)[0] >> 1) for child in sequence.spawn(count)]
