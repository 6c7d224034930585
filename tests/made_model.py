"""Models and images in small, made up."""

import numpy as np
import torch

from zbo.trainer import jrvae
from zbo.trainer.jrvae import ModelSettings

SHAPE = (6, 5)  # not square: a swapped height and width must fail


def some_images(n=7, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).random((n, *shape), dtype=np.float32)


def small(classes=3, **changes):
    return ModelSettings(
        **{"image_shape": SHAPE, "hidden_dim": (16, 24)} | changes, classes=classes
    )


def shaken(settings, dtype=torch.float32, seed=1):
    """A model away from its initial weights, where classes differ and q is far from uniform."""
    model = jrvae.build(settings, seed=seed).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.5 * torch.randn(p.shape, generator=generator).to(dtype))
    return model
