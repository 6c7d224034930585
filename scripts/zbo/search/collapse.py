"""Whether a training learned anything, said by name; from posteriors alone, never from labels.

Three ways to learn nothing are known, and none of them raises an error or a loss that is not
finite: one class holds all images; no image is told its class; the latents say nothing.
"""

import math
from collections.abc import Mapping

import numpy as np

from zbo.search.objective import active_units, entropy, information, nats

_ALL = 0.95  # of the images in one class: it holds them all
_UNSURE = 0.5  # of log K left of an image's uncertainty on average: it is told no class


def named(kept: Mapping[str, np.ndarray], latents: int) -> list[str]:
    """Say in sentences what collapsed, and what to change; nothing where nothing did.

    Args:
        kept: What a training left, with `probabilities`, q(k|x), shape (n, K), K = 0 without
            classes, and `z_mean` and `z_sd` of q(z|x), shape (n, coord + L).
        latents: L; those of the coordinates, angle, shifts and scale, may well be still.

    Returns:
        Sentences without a full stop.
    """
    probabilities, mean, sd = kept["probabilities"], kept["z_mean"], kept["z_sd"]
    mean, sd = mean[:, -latents:], sd[:, -latents:]
    found, classes = [], probabilities.shape[1]
    if classes > 1:
        held = np.bincount(probabilities.argmax(1), minlength=classes) / len(probabilities)
        left = entropy(probabilities).mean() / math.log(classes)
        told = f"information {information(probabilities):.2f} of {math.log(classes):.2f} nats"
        if left > _UNSURE:
            found.append(
                f"classes collapsed: no image is told its class ({told}); lower beta_d, or set "
                "training.start to mixture or pixels"
            )
        elif held.max() > _ALL:
            found.append(
                f"classes collapsed: one holds {held.max():.0%} of the images ({told}); set "
                "training.start to mixture or pixels, or raise training.marginal"
            )
        elif empty := int((held < (1 - _ALL) / classes).sum()):
            found.append(
                f"{empty} of {classes} classes are empty ({told}); lower model.classes, or raise "
                "training.marginal"
            )
    dead = ~active_units(mean)
    if dead.any():
        found.append(
            f"{dead.sum()} of {latents} latents are dead (they carry "
            f"{nats(mean, sd)[dead].sum():.2f} nats); lower trajectories.bounds, set "
            "training.center, or with a Gaussian decoder model.decoder_sigma to learned"
        )
    return found
