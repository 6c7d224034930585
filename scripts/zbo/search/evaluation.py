"""One trial: train along a trajectory and keep what that learned; score what was kept.

Training knows no objective and scoring trains nothing, so another objective asks what is kept.
"""

import itertools
import logging
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zbo.base import storage
from zbo.base.storage import DONE
from zbo.search import objective
from zbo.trainer import jrvae, training
from zbo.trainer.checkpoint import Checkpoint

log = logging.getLogger(__name__)

HISTORY = ("loss", "reconstruction", "kl_c", "kl_d")  # what is kept of each cycle


@dataclass(frozen=True)
class Trial:
    """What one trajectory's trainings learned.

    Attributes:
        status: "done", or why it failed.
        kept: What `keep` keeps of each replicate, stacked; its history alone if the trial failed,
            NaN from where a training diverged.
        seeds: Of each replicate.
    """

    status: str
    kept: dict[str, np.ndarray]
    seeds: list[int]


@dataclass(frozen=True)
class Scored:
    """What an objective says of one trial.

    Attributes:
        status: "done", or why there is no objective.
        objectives: Mean over the replicates of each objective, NaN if failed, shape (p,).
        variances: Of that mean, from the replicates' spread; NaN with fewer than two.
        scores: Of each replicate; none if its training failed.
    """

    status: str
    objectives: np.ndarray
    variances: np.ndarray
    scores: list[objective.Score]

    @property
    def objective(self) -> float:
        """The objective; of several the first."""
        return float(self.objectives[0])

    def mean(self, part: str) -> float:
        """Average one part of the score over the replicates; NaN if there are none."""
        return float(np.mean([getattr(one, part) for one in self.scores] or np.nan))


def train(
    images: np.ndarray,
    beta_c: np.ndarray,
    beta_d: np.ndarray,
    model: jrvae.ModelSettings,
    settings: training.TrainingSettings,
    seeds: list[int],
    device: str = "cpu",
    progress: Callable[[int, float], None] | None = None,
    checkpoints: Sequence[Checkpoint] = (),
) -> Trial:
    """Train a model along one trajectory, once per seed, and keep what it learned.

    A training that diverges fails the trial, with its reason; nothing is raised for it.

    Args:
        images: Shape (n, h, w), in [0, 1].
        beta_c: KL scale factor of the continuous latents at each cycle, shape (N,).
        beta_d: Of the discrete latent, shape (N,).
        model: What to build.
        settings: How to train it.
        seeds: One per replicate; they train at once (see `training.run`).
        device: Where to train, "cpu" or "cuda".
        progress: Called after each cycle with how many there were, over all replicates, and loss.
        checkpoints: One per replicate, or none.

    Returns:
        What `score` needs, whatever the objective.
    """
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
    status, each = DONE, [_cycles(trained.history()) for trained in trainings]
    for seed, trained in zip(seeds, trainings, strict=True):
        if trained.diverged is not None:
            status = f"failed with seed {seed}: {trained.diverged}"
            log.warning(status)
            break
    else:
        each = [keep(trained.model, images, trained.history()) for trained in trainings]
    return Trial(status, {name: np.stack([one[name] for one in each]) for name in each[0]}, seeds)


def keep(network, images: np.ndarray, history: training.History) -> dict[str, np.ndarray]:
    """Gather what a training learned, all that any objective may ask for.

    Args:
        network: Trained, built by `jrvae.build`.
        images: What it was trained on, shape (n, h, w).
        history: Of its training.

    Returns:
        Name of dataset to array: "weights/..." under pyroVED's names; z_mean, z_sd and
        probabilities as `jrvae.Encoding` has them; each of `HISTORY`, shape (N,).
    """
    return {
        **{f"weights/{name}": w for name, w in jrvae.weights(network).items()},
        **vars(jrvae.encode(network, images)),
        **_cycles(history),
    }


def _cycles(history: training.History) -> dict[str, np.ndarray]:
    return {name: getattr(history, name) for name in HISTORY}


def network(kept: Mapping[str, np.ndarray], model: jrvae.ModelSettings):
    """Build the model whose weights `keep` kept."""
    return jrvae.load_weights(jrvae.build(model, seed=0), storage.group(kept, "weights"))


def learned(
    kept: Mapping[str, np.ndarray], model: jrvae.ModelSettings, grid: int
) -> objective.Learned:
    """Gather what an objective may look at.

    Args:
        kept: What `keep` kept of one training.
        model: What was trained.
        grid: B, images per side of a manifold.

    Returns:
        All that the training gave, without labels.
    """
    return objective.Learned(
        manifolds=jrvae.manifolds(network(kept, model), grid),
        probabilities=kept["probabilities"],
        z_mean=kept["z_mean"],
        z_sd=kept["z_sd"],
        reconstruction=float(kept["reconstruction"][-1]),
        kl_c=float(kept["kl_c"][-1]),
        kl_d=float(kept["kl_d"][-1]),
        latents=model.latent_dim,
    )


def score(trial: Trial, model: jrvae.ModelSettings, scoring: objective.ObjectiveSettings) -> Scored:
    """Score what a trial's trainings learned (Biswas et al. 2023, table 2).

    Args:
        trial: What was kept of it.
        model: What was trained.
        scoring: What to maximize.

    Returns:
        The objective and its parts; failed where a training failed or an objective is not finite.

    Raises:
        InputError: As `objective.score` does.
    """
    objective.check(scoring, model.image_shape)
    status, scores = trial.status, []
    if status == DONE:
        for i in range(len(trial.seeds)):
            one = {name: values[i] for name, values in trial.kept.items()}
            scores.append(objective.score(learned(one, model, scoring.grid), scoring))
        finite = np.isfinite([one.objectives for one in scores]).all(0)
        if not finite.all():
            status = f"failed: objective '{scoring.names[finite.argmin()]}' is not finite"
            log.warning(status)
    unknown = np.full(len(scoring.names), np.nan)
    if status != DONE:
        return Scored(status, unknown, unknown, scores)
    values = np.array([one.objectives for one in scores])
    variances = values.var(0, ddof=1) / len(values) if len(values) > 1 else unknown
    return Scored(status, values.mean(0), variances, scores)


def read_trial(path: str) -> tuple[Trial, jrvae.ModelSettings]:
    """Read what trials/*.h5 kept of a trial, and what was trained.

    Raises:
        InputError: As `storage.read` does.
    """
    data = storage.read(path, kind="trial")
    kept = {
        name: values
        for name, values in data.items()
        if name.startswith("weights/") or name in (*HISTORY, "z_mean", "z_sd", "probabilities")
    }
    return Trial(data["status"], kept, data["seeds"].tolist()), model_in(path, kind="trial")


def model_in(path: str | Path, *, kind: str) -> jrvae.ModelSettings:
    """Read what was trained from the file of a trial or a model."""
    section = storage.facts(path, kind=kind)["model"]
    return jrvae.ModelSettings(**section)


def model_settings(section: dict[str, Any], image_shape: tuple[int, ...]) -> jrvae.ModelSettings:
    """Turn section `model` of a study into what `jrvae.build` builds, for images (h, w)."""
    return jrvae.ModelSettings(image_shape=image_shape, **section)


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
