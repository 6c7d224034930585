"""The models (jrVAE, rVAE, VAE) and their training along a trajectory of KL scale factors.

pyroVED builds the networks, so its users can load our weights; the loss is that of its model and
guide under Pyro's TraceEnum_ELBO (Trace_ELBO without classes), written out without tracing:

    Σ_k q(k|x) (-log p(x|z,k)) + β_c KL(q(z|x) ‖ N(0, I)) + β_d KL(q(k|x) ‖ uniform)

which is eq. 1 of Biswas et al. 2023, Mach. Learn.: Sci. Technol. 4 015011, "the paper" below.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyro
import torch
from torch import Tensor
from torch.nn import functional as F

from zbo.adam import Adam
from zbo.decoder import reconstruct
from zbo.errors import InputError
from zbo.pyroved_import import pyroved

_DECODE_ROWS = 1 << 17  # decoder rows (image x pixel) held at a time when no gradient is wanted


class TrainingDiverged(ArithmeticError):
    """The loss of a cycle is not finite; the message names the cycle and the loss."""


@dataclass(frozen=True)
class ModelSettings:
    """What `build` builds (the paper, section 2.2 and pyroVED's jiVAE and iVAE).

    Args:
        image_shape: (h, w), pixels.
        classes: Discrete classes K; 0 for a model without a discrete latent.
        latent_dim: Continuous latents besides those of the coordinates.
        invariances: Some of "r" (rotation), "t" (shift), "s" (scale); none: a plain decoder.
        hidden_dim: Hidden units of encoder and decoder, layer by layer.
        decoder: "bernoulli" or "gaussian".
        decoder_sigma: Standard deviation of the Gaussian decoder, in units of pixel intensity.
    """

    image_shape: tuple[int, int]
    classes: int
    latent_dim: int = 2
    invariances: tuple[str, ...] = ("r",)
    hidden_dim: tuple[int, ...] = (128, 128)
    decoder: str = "bernoulli"
    decoder_sigma: float = 0.5

    def __post_init__(self):
        if len(self.image_shape) != 2 or min(self.image_shape) < 1:
            raise InputError(f"image_shape must be (h, w), got {self.image_shape}")
        if self.classes < 0 or self.latent_dim < 1 or not self.hidden_dim:
            raise InputError("classes must be 0 or more, latent_dim and hidden layers 1 or more")
        if not set(self.invariances) <= {"r", "t", "s"}:
            raise InputError(f"invariances must be among r, t, s, got {self.invariances}")
        if self.decoder not in ("bernoulli", "gaussian") or self.decoder_sigma <= 0:
            raise InputError("decoder must be bernoulli or gaussian, decoder_sigma above 0")


@dataclass(frozen=True)
class TrainingSettings:
    """How `train` trains.

    Args:
        learning_rate: Adam's.
        batch_size: Images a step.
        prune_threshold: The decoder skips classes whose probability is at or below this; 0 runs
            it for every class, as the paper does. See `decoder.reconstruct`.
        sampled_kl: Estimate the continuous KL term from the one sample drawn, as pyroVED does,
            instead of its closed form: the same in expectation, with more noise.
    """

    learning_rate: float = 1e-3
    batch_size: int = 100
    prune_threshold: float = 0.0
    sampled_kl: bool = False


@dataclass(frozen=True)
class History:
    """A training, cycle by cycle: means over images, each array of shape (N,), float64."""

    loss: np.ndarray  # reconstruction + β_c kl_c + β_d kl_d, nats
    reconstruction: np.ndarray  # -Σ_k q(k|x) log p(x|z,k), nats
    kl_c: np.ndarray  # continuous KL term before scaling, nats
    kl_d: np.ndarray  # discrete KL term before scaling, nats
    active_classes: np.ndarray  # classes the decoder ran for, of K
    seconds: float  # wall time of the whole training


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
    layers = list(settings.hidden_dim)
    options = {
        "latent_dim": settings.latent_dim,
        "invariances": list(settings.invariances) or None,
        "hidden_dim_e": layers,
        "hidden_dim_d": layers,
        "sampler_d": settings.decoder,
        "decoder_sig": settings.decoder_sigma,
        "seed": seed,
        "device": "cpu",
    }
    cudnn = torch.backends.cudnn
    flags = cudnn.deterministic, cudnn.benchmark
    try:
        with (
            torch.random.fork_rng(devices=range(torch.cuda.device_count())),
            pyro.get_param_store().scope(),
        ):
            if settings.classes:
                model = pyroved.models.jiVAE(
                    settings.image_shape, discrete_dim=settings.classes, **options
                )
            else:
                model = pyroved.models.iVAE(settings.image_shape, **options)
    finally:
        cudnn.deterministic, cudnn.benchmark = flags
    model.settings = settings
    return model


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


def batch_loss(
    model,
    images: Tensor,
    noise: Tensor,
    beta_c: float,
    beta_d: float,
    settings: TrainingSettings,
    last: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of eq. 1 of the paper over a batch, one sample of the continuous latents an image.

    Args:
        model: Built by `build`.
        images: Shape (n, h * w), in [0, 1].
        noise: Standard normal, shape (n, coord + L).
        beta_c: Scale of the continuous KL term.
        beta_d: Scale of the discrete KL term.
        settings: How to train.
        last: What this returned third when these images were last seen, for `decoder.reconstruct`.

    Returns:
        The loss, a differentiable scalar, nats; its parts, shape (5,): loss, reconstruction, KL
        of z, KL of k, both unscaled, and decoder runs, all sums over the batch, detached; and
        log p(x|z,k), shape (n, K), detached.
    """
    mean, sd, log_q = infer(model, images)
    z = torch.addcmul(mean, sd, noise)
    q = log_q.exp()
    sigma = model.settings.decoder_sigma if model.settings.decoder == "gaussian" else None
    decoded = reconstruct(model, images, z, q, sigma, settings.prune_threshold, last)
    if settings.sampled_kl:
        kl_c = 0.5 * (z.square() - noise.square()).sum() - sd.log().sum()
    else:
        kl_c = 0.5 * (mean.square() + sd.square() - 1).sum() - sd.log().sum()
    kl_d = (q * (log_q + math.log(q.shape[1]))).sum()
    loss = beta_c * kl_c + beta_d * kl_d - decoded.total
    runs = torch.as_tensor(decoded.decoded, device=loss.device, dtype=loss.dtype)
    parts = torch.stack((loss, -decoded.total, kl_c, kl_d, runs)).detach()
    return loss, parts, decoded.log_likelihood


def train(
    model,
    images,
    beta_c,
    beta_d,
    settings: TrainingSettings,
    seed: int,
    device: str = "cpu",
    progress: Callable[[int, float], None] | None = None,
) -> History:
    """Train a model in place, one cycle over the images for each pair of KL scale factors.

    Shuffling and noise come from a generator of their own, on the CPU whatever the device, so
    that neither depends on torch's global state or moves with the hardware.

    Args:
        model: Built by `build`; on the CPU again afterwards.
        images: Shape (n, h, w), in [0, 1].
        beta_c: Scale of the continuous KL term at each cycle, shape (N,).
        beta_d: Scale of the discrete KL term at each cycle, shape (N,).
        settings: How to train.
        seed: Seed of shuffling and noise.
        device: "cpu" or "cuda".
        progress: Called with the cycle and its loss after each cycle.

    Returns:
        The `History`.

    Raises:
        InputError: If shapes do not fit, or an image leaves [0, 1].
        TrainingDiverged: If a cycle's loss is not finite.
    """
    began = time.perf_counter()
    beta_c, beta_d = (np.asarray(b, dtype=np.float64) for b in (beta_c, beta_d))
    if beta_c.ndim != 1 or beta_c.shape != beta_d.shape:
        raise InputError(f"beta_c and beta_d must be (N,), got {beta_c.shape} and {beta_d.shape}")
    data = _flat(model, images).to(device)
    if not (data.min() >= 0 and data.max() <= 1):
        raise InputError("images must lie in [0, 1] and hold no NaN")
    n = len(data)
    _move(model, device)
    generator = torch.Generator().manual_seed(seed)
    optimizer = Adam(model.parameters(), settings.learning_rate)
    parts = np.empty((len(beta_c), 5))
    likelihood = data.new_full((n, max(model.settings.classes, 1)), math.inf)  # not seen yet
    try:
        for cycle, (scale_c, scale_d) in enumerate(np.stack((beta_c, beta_d), 1).tolist()):
            order = torch.randperm(n, generator=generator).to(device)
            noise = torch.randn(n, model.z_dim, generator=generator).to(data)
            sums = torch.zeros(5, dtype=torch.float64, device=device)
            for at in range(0, n, settings.batch_size):
                batch = order[at : at + settings.batch_size]
                x, e = data[batch], noise[at : at + settings.batch_size]  # (b, h * w), (b, z)
                loss, batch_parts, likelihood[batch] = batch_loss(
                    model, x, e, scale_c, scale_d, settings, likelihood[batch]
                )
                loss.backward()
                optimizer.step()
                sums += batch_parts
            parts[cycle] = sums.cpu().numpy() / n  # the cycle's only wait for the device
            if not math.isfinite(parts[cycle, 0]):
                raise TrainingDiverged(
                    f"the loss of cycle {cycle} of {len(beta_c)} is {parts[cycle, 0]} "
                    f"(beta_c {scale_c:g}, beta_d {scale_d:g}): lower the learning rate"
                )
            if progress is not None:
                progress(cycle, float(parts[cycle, 0]))
    finally:
        _move(model, "cpu")
    return History(*np.ascontiguousarray(parts.T), time.perf_counter() - began)


@torch.no_grad()
def encode(model, images, batch_size: int = 1000) -> Encoding:
    """Encode images of shape (n, h, w), in [0, 1], `batch_size` at a time."""
    parts = [infer(model, batch) for batch in _flat(model, images).split(batch_size)]
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


def _move(model, device: str) -> None:
    """Move a model with the constants that pyroVED keeps outside its state."""
    model.to(device)
    for name in {"grid", "t_prior", "sc_prior"} & vars(model).keys():
        setattr(model, name, getattr(model, name).to(device))


def _flat(model, images) -> Tensor:
    """Images as a tensor (n, h * w) of the weights' type, their shape checked."""
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
