"""The measuring ground: many trajectories, several seeds each, one table to replay searches on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from sklearn.metrics import adjusted_rand_score

from zbo.base import channels
from zbo.base.objectives import ABOUT_CLASSES
from zbo.judge import scores
from zbo.search import evaluation, objective
from zbo.search.objective import ObjectiveSettings, entropy
from zbo.trainer import jrvae, training

WHOLE_MODELS = ("manifolds", "probabilities", "z_mean", "z_sd")  # too large for the table
OF_CLASSES = tuple(name for name in ABOUT_CLASSES if name != "agreement")  # of one training alone
MEASURES = (
    *OF_CLASSES,
    *("factors", "reconstruction", "kl_c", "kl_d"),
    *scores.LABEL_SCORES,
)


@dataclass(frozen=True)
class Look:
    """A model as it is at one moment: what it decodes, how it encodes, what both are worth.

    Attributes:
        manifolds: Decoded images, shape (K, B, B, h, w).
        encoding: Of all images, also those the search may not see.
        measures: ℓ1, ℓ2, `posterior_measures` on what the search may see, label scores on all; of a
            model without classes NaN, and its label scores those of as many clusters as labels.
    """

    manifolds: np.ndarray
    encoding: jrvae.Encoding
    measures: dict[str, float]


def look(network, images: Mapping[str, np.ndarray], scoring: ObjectiveSettings) -> Look:
    """Measure a model.

    Args:
        network: Trained, or on its way.
        images: Content of images.h5.
        scoring: Grid, SSIM window, pairs.
    """
    manifolds = jrvae.manifolds(network, scoring.grid)
    encoding = jrvae.encode(network, images["images"])
    judged = dict.fromkeys(scores.LABEL_SCORES, np.nan)
    if (labels := images.get("labels")) is not None:
        latents = encoding.z_mean[:, -network.settings.latent_dim :]  # no angle
        clusters = scores.kinds(labels)
        found = scores.classes_of(encoding.probabilities, latents, clusters, seed=0)
        judged = asdict(scores.label_scores(found, labels))
    decoded = torch.as_tensor(manifolds)
    measures = dict.fromkeys(OF_CLASSES, np.nan)
    if network.settings.classes:
        measures = {
            "l1": objective.between_classes(decoded, scoring),
            "l2": objective.within_classes(decoded, scoring),
            **posterior_measures(encoding.probabilities[images["subset"]]),
        }
    seen = (
        z[images["subset"], -network.settings.latent_dim :]
        for z in (encoding.z_mean, encoding.z_sd)
    )
    measures["factors"] = float(objective.nats(*seen).sum())
    return Look(manifolds, encoding, measures | judged)


def measure(
    settings: Mapping[str, Any],
    images: Mapping[str, np.ndarray],
    beta: np.ndarray,
    seed: int,
    when: Sequence[int],
) -> tuple[dict[str, np.ndarray], Look]:
    """Train along one trajectory and measure on the way, so that cheap looks can be replayed.

    Args:
        settings: Sections trajectories, model, training, objective of a study.
        images: Content of images.h5; the search sees its subset, labels judge on all.
        beta: Scale factors at each cycle, shape (N,) or (2, N).
        seed: Of weights, order and noise.
        when: Cycles after which to look, the last of them N.

    Returns:
        Name to values, shape (len(when),), of all measures and the loss's parts; the last look.

    Raises:
        TrainingDiverged: If a cycle's loss is not finite.
    """
    seen = images["images"][images["subset"]]
    # Whatever is maximized, all are measured.
    measuring = {name: value for name, value in settings["objective"].items() if name != "name"}
    scoring = ObjectiveSettings(**measuring)
    network = jrvae.build(evaluation.model_settings(settings["model"], seen.shape[1:]), seed)
    beta_c, beta_d = channels.along(beta, settings["trajectories"]["beta_d"])
    schedule = training.TrainingSettings(**settings["training"])
    trained = training.Training(network, seen, beta_c, beta_d, schedule, seed)
    looks: list[Look] = []
    for cycle in when:
        with training.surroundings([trained]):
            trained.train_to(cycle)
        if trained.diverged is not None:
            raise trained.diverged
        looks.append(look(network, images, scoring))
    history, at = trained.history(), np.array(when) - 1
    found = {name: np.array([one.measures[name] for one in looks]) for name in looks[0].measures}
    for name in ("reconstruction", "kl_c", "kl_d"):
        found[name] = getattr(history, name)[at]
    return {name: values.astype(np.float32) for name, values in found.items()}, looks[-1]


def rows(repeats: np.ndarray) -> list[tuple[int, int]]:
    """List the trainings as (trajectory, repeat), every trajectory once before any twice.

    Args:
        repeats: Seeds of each trajectory, shape (t,).

    Returns:
        All pairs, sum(repeats) of them.
    """
    return [(t, r) for r in range(max(repeats)) for t in range(len(repeats)) if r < repeats[t]]


def checkpoints(cycles: int) -> list[int]:
    """Cycles after which a training is measured: fifths of it, the end last."""
    return sorted({max(1, round(cycles * fifth / 5)) for fifth in range(1, 6)})


def posterior_measures(q: np.ndarray) -> dict[str, float]:
    """Describe how a model uses its classes, from class probabilities alone.

    Args:
        q: q(k|x), shape (n, K).

    Returns:
        Nats: `information`, mutual information of image and class, H(mean q) - mean H(q);
        `usage`, H(mean q); `ambiguity`, mean H(q). Shares: `confidence`, mean of the largest q.
    """
    return {
        "information": objective.information(q),
        "usage": float(entropy(q.mean(0))),
        "ambiguity": float(entropy(q).mean()),
        "confidence": float(q.max(1).mean()),
    }


def agreement(classes: np.ndarray, rng: np.random.Generator, others: int = 20) -> np.ndarray:
    """Tell how far each training's classes agree with those of others, drawn at random.

    Classes that many trainings find, along whatever trajectory, may be there.

    Args:
        classes: Of each image in each training, shape (trainings, n).
        rng: Draws whom to compare with.
        others: How many.

    Returns:
        Mean adjusted Rand index, shape (trainings,).
    """
    count = len(classes)
    found = np.empty(count)
    for at in range(count):
        drawn = rng.choice(count - 1, min(others, count - 1), replace=False)
        compared = [adjusted_rand_score(classes[at], classes[j + (j >= at)]) for j in drawn]
        found[at] = np.mean(compared) if compared else np.nan
    return found
