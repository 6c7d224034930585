"""Population based training of β (Jaderberg et al. 2017), at the cost of as many trainings.

A population trains together, each member along a β_c of its own that holds for a few cycles. Then
the worst members become copies of the best ones, and go on from a β that is theirs, a little more
or a little less. It needs no second training: the trajectory is what the best member's ancestors
had.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from zbo.base.errors import InputError
from zbo.search import evaluation
from zbo.trainer import jrvae, training

STEPS = 10  # times to judge, in equal shares of the cycles
SHARE = 0.25  # of the members that are replaced, and that replace them
FACTORS = (0.8, 1.25)


def train(
    settings: Mapping[str, Any],
    images: np.ndarray,
    seeds: list[int],
    judge: Callable[[torch.nn.Module], float],
    rng: np.random.Generator,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[list[torch.nn.Module], np.ndarray, np.ndarray]:
    """Train a population.

    Args:
        settings: Sections trajectories, model and training of a study.
        images: Shape (n, h, w).
        seeds: One a member.
        judge: The objective of a model on its way, higher is better.
        rng: Of the first β and of what changes.
        progress: Called with the step and the best objective.

    Returns:
        The models; the β_c that each and its ancestors had, shape (members, N); their objectives,
        NaN of those that diverged too late to be replaced.

    Raises:
        InputError: If all have diverged.
    """
    low, high = settings["trajectories"]["bounds"]
    cycles, members = settings["trajectories"]["cycles"], len(seeds)
    beta_d = np.full(cycles, float(settings["trajectories"]["beta_d"]))
    beta = np.exp(rng.uniform(np.log(low), np.log(high), (members, 1))).repeat(cycles, 1)
    model = evaluation.model_settings(settings["model"], images.shape[1:])
    schedule = training.TrainingSettings(**settings["training"])
    trainings = [
        training.Training(jrvae.build(model, seed), images, line, beta_d, schedule, seed)
        for seed, line in zip(seeds, beta, strict=True)
    ]
    few = max(1, round(SHARE * members))
    values = np.full(members, np.nan)
    for step in range(STEPS):
        until = round(cycles * (step + 1) / STEPS)
        with training.surroundings(trainings):
            for one in trainings:
                one.train_to(until)
        values = np.array([np.nan if one.diverged else judge(one.model) for one in trainings])
        if not np.isfinite(values).any():
            raise InputError(
                f"rivals: the whole population has diverged by cycle {until} of {cycles}; lower "
                "training.learning_rate, or leave population out of rivals.searches"
            )
        if progress:
            progress(step, float(np.nanmax(values)))
        if until == cycles:
            break
        order = np.argsort(np.where(np.isfinite(values), values, -np.inf))
        for worse, better in zip(order[:few], order[-few:], strict=True):
            if trainings[better].diverged is not None:
                continue
            trainings[worse].continue_from(trainings[better])
            after = np.clip(trainings[better].beta[until, 0] * rng.choice(FACTORS), low, high)
            trainings[worse].beta[until:, 0] = after
    return (
        [one.model for one in trainings],
        np.stack([one.beta[:, 0] for one in trainings]),
        values,
    )
