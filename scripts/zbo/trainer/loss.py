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
        sigma: Standard deviation of a Gaussian decoder; None for Bernoulli.
        settings: How to train.
    """

    network: Network
    gradient: Network
    transform: Transform | None
    classes: int
    sigma: float | None
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
) -> tuple[Tensor, Tensor]:
    """Sum eq. 1 of the paper over a batch, one sample of the continuous latents an image.

    The gradient of reconstruction + β_c kl_c + β_d kl_d is written to `problem.gradient`.

    Args:
        problem: Weights and settings.
        images: Shape (n, h * w), in [0, 1].
        noise: Standard normal, shape (n, coord + L).
        beta: β_c and β_d, shape (2,).
        last: What this returned second when these images were last seen, for
            `decoder.reconstruct`.
        threads: CPU threads for compiled code; the numbers do not depend on it.
        sample: Pixels that the reconstruction is estimated from; None: all.

    Returns:
        The loss's parts, sums over the batch, shape (4,): reconstruction, KL of z, KL of k, both
        unscaled, nats, and decoder runs; and what to give as `last` next time, shape (n, K).
    """
    network, settings = problem.network, problem.settings
    beta_c, beta_d = beta[0], beta[1]
    size = noise.shape[1]
    values = perceptron.forward(network.encoder, images)
    heads = values[-1]  # (n, 2 size + K)
    mean, raw, logits = heads[:, :size], heads[:, size : 2 * size], heads[:, 2 * size :]
    sd = F.softplus(raw)
    z = torch.addcmul(mean, sd, noise)
    log_q = F.log_softmax(logits, 1) if problem.classes else mean.new_zeros(len(mean), 1)
    q = log_q.exp()
    decoded = decoder.reconstruct(
        network, problem.gradient, problem.transform, images, z, q, problem.sigma,
        settings.prune_threshold, last, threads, sample,
    )  # fmt: skip
    logp = decoded.log_likelihood

    # d: gradients at what they are named for
    penalty = log_q + math.log(q.shape[1])
    if settings.sampled_kl:
        kl_c = (z.square() - noise.square()) / 2 - sd.log()
        d_mean = torch.addcmul(decoded.d_z, z, beta_c)
        d_sd = d_mean * noise - beta_c / sd
    else:
        kl_c = torch.addcmul(sd.square() - 1, mean, mean) / 2 - sd.log()
        d_mean = torch.addcmul(decoded.d_z, mean, beta_c)
        d_sd = torch.addcmul(decoded.d_z * noise, sd - 1 / sd, beta_c)
    d_heads = [d_mean, d_sd * torch.sigmoid(raw)]
    if problem.classes:
        d = q * torch.addcmul(-logp, penalty, beta_d)
        d_heads.append(torch.addcmul(d, q, d.sum(1, keepdim=True), value=-1))  # through softmax
    perceptron.backward(network.encoder, values, torch.cat(d_heads, 1), problem.gradient.encoder)
    decoder_runs = decoded.decoded.to(logp)
    parts = torch.stack(((q * -logp).sum(), kl_c.sum(), (q * penalty).sum(), decoder_runs))
    return parts, decoded.memory
