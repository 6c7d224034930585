"""The models (jrVAE, rVAE, VAE): what they are, encode and decode.

pyroVED builds the networks, so its users can load our weights. "The paper" is Biswas et al. 2023,
Mach. Learn.: Sci. Technol. 4 015011.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pyro
import torch
from annotated_types import Len
from torch import Tensor
from torch.nn import functional as F

from zbo.base.errors import InputError
from zbo.base.settings import Count, ModelSettings as ModelSection
from zbo.trainer.pyroved import pyroved

_DECODE_ROWS = 1 << 17  # decoder rows (image x pixel) held at a time when no gradient is wanted


class ModelSettings(ModelSection):
    """What `build` builds: section `model` of a study, for images of one shape."""

    image_shape: Annotated[tuple[Count, ...], Len(2, 2)]
    """(h, w), pixels."""


@dataclass(frozen=True)
class Encoding:
    """Images in latent space.

    Args:
        z_mean: Posterior means, shape (n, coord + L): angle, shifts, scale where the model has
            them, then the latents.
        z_sd: Posterior standard deviations, same shape.
        probabilities: Class probabilities, shape (n, K).
    """

    z_mean: np.ndarray
    z_sd: np.ndarray
    probabilities: np.ndarray


def build(settings: ModelSettings, seed: int) -> torch.nn.Module:
    """Build pyroVED's jiVAE, or iVAE where there are no classes, on the CPU in float32.

    pyroVED's constructors reseed torch, clear Pyro's parameters and set cuDNN's flags, all
    globally; here they are put back.

    Args:
        settings: What to build; kept on the model as `model.settings`.
        seed: Seed of the initial weights.

    Returns:
        The pyroVED model.
    """
    kind, options = arguments(settings)
    cudnn = torch.backends.cudnn
    flags = cudnn.deterministic, cudnn.benchmark
    try:
        with (
            torch.random.fork_rng(devices=range(torch.cuda.device_count())),
            pyro.get_param_store().scope(),
        ):
            model = getattr(pyroved.models, kind)(**options, seed=seed, device="cpu")
    finally:
        cudnn.deterministic, cudnn.benchmark = flags
    model.settings = settings
    return model


def arguments(settings: ModelSettings) -> tuple[str, dict[str, Any]]:
    """Give what pyroVED builds a model of: its class's name, and the arguments of that.

    A learned σ is not pyroVED's to know: it takes 0.5, which no weight depends on.
    """
    options: dict[str, Any] = {
        "data_dim": tuple(settings.image_shape),
        "latent_dim": settings.latent_dim,
        "invariances": list(settings.invariances) or None,
        "hidden_dim_e": list(settings.hidden_dim),
        "hidden_dim_d": list(settings.hidden_dim),
        "sampler_d": settings.decoder,
        "decoder_sig": 0.5 if settings.decoder_sigma == "learned" else settings.decoder_sigma,
    }
    if settings.classes:
        return "jiVAE", options | {"discrete_dim": settings.classes}
    return "iVAE", options


def infer(model, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Run the encoder.

    Args:
        model: Built by `build`.
        images: Shape (n, h * w), in [0, 1].

    Returns:
        Mean and standard deviation of q(z|x), shape (n, coord + L) each, and log q(k|x), shape
        (n, K); for a model without classes zeros of shape (n, 1).
    """
    net = model.encoder_z
    hidden = net.fc_layers(images)
    mean, sd = net.fc11(hidden), F.softplus(net.fc12(hidden))
    if model.settings.classes:
        return mean, sd, F.log_softmax(net.fc13(hidden), 1)
    return mean, sd, mean.new_zeros(len(mean), 1)


@torch.no_grad()
def encode(model, images, batch_size: int = 1000) -> Encoding:
    """Encode images of shape (n, h, w), in [0, 1], `batch_size` at a time."""
    parts = [infer(model, batch) for batch in flat_images(model, images).split(batch_size)]
    mean, sd, log_q = (torch.cat(p) for p in zip(*parts, strict=True))
    probabilities = log_q.exp()[:, : model.settings.classes]
    return Encoding(mean.numpy(), sd.numpy(), probabilities.numpy())


def manifolds(model, grid: int = 12) -> np.ndarray:
    """Decode each class on a grid of its first two latents (the paper, table 2; Φ_k).

    The grid is that of pyroVED's `manifold2d`: normal quantiles, the first latent from 0.95 down
    to 0.05 along rows, the second from 0.05 up to 0.95 along columns; further latents are 0.

    Args:
        model: Built by `build`, with two or more latents.
        grid: Grid points B along each latent.

    Returns:
        Shape (max(K, 1), B, B, h, w), float32, in [0, 1].

    Raises:
        InputError: If the model has a single latent.
    """
    latents = model.settings.latent_dim
    if latents < 2:
        raise InputError("a manifold needs a model of two or more latents; use traversal")
    levels = _quantiles(grid)
    z = torch.zeros(grid, grid, latents)
    z[..., 0], z[..., 1] = levels.flip(0)[:, None], levels
    return _decode(model, z.view(-1, latents)).reshape(-1, grid, grid, *model.settings.image_shape)


def traversal(model, steps: int = 10) -> np.ndarray:
    """Decode each class along each latent in turn, the others at 0 (the paper, figures 9 to 12).

    Args:
        model: Built by `build`.
        steps: Points along a latent, normal quantiles from 0.95 down to 0.05 as in pyroVED's
            `manifold_traversal`.

    Returns:
        Shape (L, max(K, 1), steps, h, w), float32, in [0, 1].
    """
    latents = model.settings.latent_dim
    z = torch.einsum("s,lm->lsm", _quantiles(steps).flip(0), torch.eye(latents))
    images = _decode(model, z.reshape(-1, latents))
    shape = (-1, latents, steps, *model.settings.image_shape)
    return np.ascontiguousarray(images.reshape(shape).swapaxes(0, 1))


def weights(model) -> dict[str, np.ndarray]:
    """Return the weights of a model built by `build`, float32, under pyroVED's names."""
    return {name: w.detach().cpu().numpy().copy() for name, w in model.state_dict().items()}


def load_weights(model, saved: dict[str, np.ndarray]):
    """Put what `weights` returned into a model built by `build`, in place, and return the model.

    Raises:
        InputError: If the names or shapes are not the model's.
    """
    try:
        model.load_state_dict({name: torch.as_tensor(w) for name, w in saved.items()})
    except RuntimeError as error:
        raise InputError(f"these weights are not of this model: {error}") from None
    return model


def flat_images(model, images) -> Tensor:
    """Check images of shape (n, h, w) and flatten them to (n, h * w), of the weights' type."""
    images = torch.as_tensor(images)
    if (
        images.ndim != 3
        or tuple(images.shape[1:]) != tuple(model.settings.image_shape)
        or not len(images)
    ):
        raise InputError(
            f"images must be (n, {', '.join(map(str, model.settings.image_shape))}), n above 0, "
            f"got {tuple(images.shape)}"
        )
    return images.flatten(1).to(next(model.parameters()).dtype)


def _quantiles(count: int) -> Tensor:
    return torch.distributions.Normal(0.0, 1.0).icdf(torch.linspace(0.05, 0.95, count))


@torch.no_grad()
def _decode(model, z: Tensor) -> np.ndarray:
    """Decode content latents (m, L) for every class: (max(K, 1), m, h * w), no transform."""
    classes, pixels = model.settings.classes, math.prod(model.settings.image_shape)
    z = z.repeat(max(classes, 1), 1)
    if classes:
        z = torch.cat((z, torch.eye(classes).repeat_interleave(len(z) // classes, 0)), 1)
    images = []
    for rows in z.split(max(1, _DECODE_ROWS // pixels)):
        codes = (rows,)
        if model.coord:
            codes = (model.grid.expand(len(rows), -1, -1), rows)
        images.append(model.decoder(*codes).reshape(len(rows), pixels))
    return torch.cat(images).view(max(classes, 1), -1, pixels).numpy()
