"""The loss of a batch and its gradient, written out.

It is that of pyroVED's model and guide under Pyro's TraceEnum_ELBO (Trace_ELBO without classes):

    Σ_k q(k|x) (-log p(x|z,k)) + β_c KL(q(z|x) ‖ N(0, I)) + β_d KL(q(k|x) ‖ uniform)

which is eq. 1 of Biswas et al. 2023, Mach. Learn.: Sci. Technol. 4 015011, "the paper" below.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from zbo.base.settings import TrainingSettings as TrainingSection
from zbo.trainer import decoder, perceptron
from zbo.trainer.network import Network, Transform
from zbo.trainer.pixels import Sample

LEAST_SIGMA = 0.01  # of a learned σ
_START_WEIGHT = 10.0  # nats, of the cross-entropy by which the encoder learns given classes


class TrainingSettings(TrainingSection):
    """Section `training` of a study, and what only a comparison with pyroVED sets."""

    sampled_kl: bool = False
    """Estimate the continuous KL term from the one sample drawn, as pyroVED does, instead of its
    closed form: the same in expectation, with more noise."""


@dataclass(frozen=True)
class Problem:
    """What the loss of a batch needs besides the batch.

    Args:
        network: Weights.
        gradient: Where their gradient goes.
        transform: Of the pixel grid; None for a plain decoder.
        classes: Discrete classes K; 0 for none.
        sigma: Standard deviation of a Gaussian decoder, or "learned"; None for Bernoulli.
        settings: How to train.
    """

    network: Network
    gradient: Network
    transform: Transform | None
    classes: int
    sigma: float | str | None
    settings: TrainingSettings

    @staticmethod
    def of(model, settings: TrainingSettings, device: str = "cpu") -> "Problem":
        """Copy the weights of a model built by `jrvae.build`."""
        network = Network.of(model, device)
        chosen = model.settings
        sigma = chosen.decoder_sigma if chosen.decoder == "gaussian" else None
        transform = Transform.of(model, network.bias)
        return Problem(network, network.gradient(model), transform, chosen.classes, sigma, settings)


def loss_and_gradient(
    problem: Problem,
    images: Tensor,
    noise: Tensor,
    beta: Tensor,
    last: Tensor | None = None,
    threads: int = 1,
    sample: Sample | None = None,
    given: Tensor | None = None,
    mean_image: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Sum eq. 1 of the paper over a batch, one sample of the continuous latents an image.

    The gradient of reconstruction + β_c kl_c + β_d kl_d is written to `problem.gradient`; with
    `marginal` that of λ n KL(mean of q over the batch ‖ uniform) is added. Where classes are
    given, they take q's place, and the encoder learns them by cross-entropy.

    Args:
        problem: Weights and settings.
        images: Shape (n, h * w), in [0, 1].
        noise: Standard normal, shape (n, coord + L).
        beta: β_c and β_d, shape (2,).
        last: What this returned second when these images were last seen, for
            `decoder.reconstruct`.
        threads: CPU threads for compiled code; the numbers do not depend on it.
        sample: Pixels that the reconstruction is estimated from; None: all.
        given: Probabilities of the classes, shape (n, K), that stand in for q(k|x).
        mean_image: What the encoder's input is less of, shape (h * w,).

    Returns:
        The loss's parts, sums over the batch, shape (4,): reconstruction, KL of z, KL of k, both
        unscaled, nats, and decoder runs; and what to give as `last` next time, shape (n, K).
    """
    network, settings = problem.network, problem.settings
    beta_c, beta_d = beta[0], beta[1]
    turns = problem.transform is not None and "r" in problem.transform.invariances
    size = noise.shape[1]
    seen = images if mean_image is None else images - mean_image
    values = perceptron.forward(network.encoder, seen)
    heads = values[-1]  # (n, 2 size + K)
    mean, raw, logits = heads[:, :size], heads[:, size : 2 * size], heads[:, 2 * size :]
    sd = F.softplus(raw)
    z = torch.addcmul(mean, sd, noise)
    log_q = F.log_softmax(logits, 1) if problem.classes else mean.new_zeros(len(mean), 1)
    q = log_q.exp()
    used = q if given is None else given
    learned = problem.sigma == "learned"
    sigma = 1.0 if isinstance(problem.sigma, str) else problem.sigma
    decoded = decoder.reconstruct(
        network, problem.gradient, problem.transform, images, z, used,
        sigma, settings.prune_threshold, last, threads, sample,
    )  # fmt: skip
    logp, d_z = decoded.log_likelihood, decoded.d_z
    if learned:
        logp, weight = at_best_sigma(logp, used, images.shape[1])
        d_z = d_z * weight
        torch._foreach_mul_(decoder.parameters(problem.gradient), weight)

    # d: gradients at what they are named for
    penalty = log_q + math.log(q.shape[1])
    if turns and settings.angle_weight != 1:
        kl_scale = torch.ones_like(mean[:1])
        kl_scale[:, 0].fill_(settings.angle_weight)
    else:
        kl_scale = 1
    if settings.sampled_kl:
        kl_c = (z.square() - noise.square()) / 2 - sd.log()
        d_mean = torch.addcmul(d_z, z * kl_scale, beta_c)
        d_sd = d_mean * noise - beta_c / sd * kl_scale
    else:
        kl_c = torch.addcmul(sd.square() - 1, mean, mean) / 2 - sd.log()
        d_mean = torch.addcmul(d_z, mean * kl_scale, beta_c)
        d_sd = torch.addcmul(d_z * noise, (sd - 1 / sd) * kl_scale, beta_c)
    kl_c = kl_c * kl_scale
    d_heads = [d_mean, d_sd * torch.sigmoid(raw)]
    if problem.classes and given is not None:
        d_heads.append(_START_WEIGHT * (q - given))
    elif problem.classes:
        d = torch.addcmul(-logp, penalty, beta_d)
        if settings.marginal:
            d = d + settings.marginal * q.mean(0).log()
        d = q * d
        d_heads.append(torch.addcmul(d, q, d.sum(1, keepdim=True), value=-1))  # through softmax
    perceptron.backward(network.encoder, values, torch.cat(d_heads, 1), problem.gradient.encoder)
    decoder_runs = decoded.decoded.to(logp)
    parts = torch.stack(((used * -logp).sum(), kl_c.sum(), (q * penalty).sum(), decoder_runs))
    return parts, decoded.memory


def at_best_sigma(logp: Tensor, q: Tensor, pixels: int) -> tuple[Tensor, Tensor]:
    """Turn log-likelihoods at σ = 1 into those at the σ that suits the batch best.

    That is the root of the mean squared error, which q weighs over classes (Rybkin, Daniilidis
    and Levine 2021, "Simple and effective VAE training with calibrated decoders", eq. 9); no less
    than 0.01 of the grey range, for images without noise would draw it to 0. The loss is least in
    σ there, so its gradient at all else is that of a constant σ, 1 / σ² times that at σ = 1: the
    decoder's pass need not know.

    Args:
        logp: log p(x|z,k) at σ = 1, shape (n, K).
        q: Class probabilities, shape (n, K).
        pixels: Of an image.

    Returns:
        log p(x|z,k) at that σ, shape (n, K), and 1 / σ², scalar.
    """
    constant = 0.5 * pixels * math.log(2 * math.pi)
    squares = -2 * (logp + constant)
    variance = ((q * squares).sum() / (len(q) * pixels)).clamp_min(LEAST_SIGMA**2)
    return -squares / (2 * variance) - 0.5 * pixels * variance.log() - constant, 1 / variance


def sigma_of(reconstruction: float, pixels: int) -> float:
    """Give the σ a decoder had whose σ is learned, from -log p, mean over images, nats."""
    return math.exp(reconstruction / pixels - 0.5 - 0.5 * math.log(2 * math.pi))
