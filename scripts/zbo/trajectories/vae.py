"""The VAE of trajectories (Biswas et al. 2023, table 1, steps 2 and 3).

A plain VAE: fully connected, tanh, Gaussian decoder. Trajectories enter it scaled to [0, 1] by the
study's bounds, so that `decoder_sigma` means the same share of the range in every study; its output
is linear, so a decoded trajectory can leave the bounds: `space` drops those that do. With
`scale: log` the logarithm of β is scaled: a small β is then told as finely as a large one. Where
β_d is searched as well, a trajectory is 2 N values, those of β_d scaled by its own bounds.
"""

import logging
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from zbo.base import channels
from zbo.base.channels import Bounds
from zbo.base.errors import InputError
from zbo.base.settings import TrajectoryVAESettings
from zbo.trainer import perceptron
from zbo.trainer.adam import Adam

log = logging.getLogger(__name__)

NETS = "encoder", "decoder"


class TrajectoryVAE(nn.Module):
    """Compress trajectories, (N,) or (2, N), into a few latents and back.

    Args:
        length: N, cycles.
        bounds: Smallest and largest β, scaled to 0 and 1; of β_c and of β_d where both are
            searched.
        settings: Widths and latent dimensions.
    """

    def __init__(self, length: int, bounds: Bounds, settings: TrajectoryVAESettings) -> None:
        super().__init__()
        widths = list(settings.hidden_dim)
        self.bounds = bounds
        self.shape = *np.shape(bounds)[:-1], length
        self.logarithmic = settings.scale == "log"
        low, high = channels.ends(bounds)
        if self.logarithmic:
            low, high = np.log(low), np.log(high)
        self.low, self.range = (torch.as_tensor(x, dtype=torch.float32) for x in (low, high - low))
        values = math.prod(self.shape)
        self.encoder = _layers([values, *widths, 2 * settings.latent_dim])
        self.decoder = _layers([settings.latent_dim, *widths[::-1], values])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Encode scaled trajectories, all values in a row, into mean and sd, each (m, d)."""
        mean, spread = self.encoder(x).chunk(2, dim=-1)
        return mean, softplus(spread)

    @torch.no_grad()
    def encode(self, beta: np.ndarray) -> np.ndarray:
        """Turn trajectories into latent points (table 1, step 3).

        Args:
            beta: KL scale factors, shape (m, N) or (m, 2, N), dimensionless.

        Returns:
            Latent means, shape (m, d), float32.
        """
        return self(self._scaled(beta))[0].numpy()

    @torch.no_grad()
    def decode(self, z: np.ndarray) -> np.ndarray:
        """Turn latent points into trajectories (table 1, step 6).

        Args:
            z: Latent points, shape (m, d), dimensionless.

        Returns:
            KL scale factors, shape (m, N) or (m, 2, N), float32.
        """
        chunks = torch.as_tensor(z, dtype=torch.float32).split(4096)
        scaled = torch.cat([self.decoder(c) for c in chunks]).view(-1, *self.shape)
        beta = self.low + self.range * scaled
        return (beta.exp() if self.logarithmic else beta).numpy()

    def _scaled(self, beta: np.ndarray) -> Tensor:
        beta = torch.as_tensor(beta, dtype=torch.float32)
        if self.logarithmic:
            beta = beta.log()
        return ((beta - self.low) / self.range).flatten(1)


def train(
    beta: np.ndarray,
    bounds: Bounds,
    settings: TrajectoryVAESettings,
    seed: int,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[TrajectoryVAE, np.ndarray]:
    """Train the VAE on sampled trajectories (table 1, step 2), with the analytic KL term.

    Args:
        beta: Trajectories, shape (s, N) or (s, 2, N).
        bounds: Smallest and largest β.
        settings: Widths, decoder's σ, learning rate, cycles, batch size.
        seed: Of weights, order and noise.
        progress: Called after each cycle with its number and loss.

    Returns:
        The model and its loss a trajectory at each cycle, shape (cycles,).
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = TrajectoryVAE(beta.shape[-1], bounds, settings)
        x = model._scaled(beta)
        weights = perceptron.Flat(model)
        gradient = weights.zeros()
        layers, slopes = ([flat.layers(model, n) for n in NETS] for flat in (weights, gradient))
        adam = Adam(weights.values, settings.learning_rate)
        history = np.empty(settings.cycles)
        for cycle in range(settings.cycles):
            total = torch.zeros(())
            for batch in x[torch.randperm(len(x))].split(settings.batch_size):
                total += _loss_and_gradient(layers, slopes, batch, settings.decoder_sigma)
                adam.step(gradient.values)
            history[cycle] = total.item() / len(x)
            if progress:
                progress(cycle, history[cycle])
        weights.store(model)
    if not np.isfinite(history[-1]):
        raise InputError(
            "trajectory_vae: training diverged; lower trajectory_vae.learning_rate "
            f"({settings.learning_rate:g}) or raise trajectory_vae.decoder_sigma"
        )
    return model, history


def _loss_and_gradient(layers, slopes, batch: Tensor, sigma: float) -> Tensor:
    """Negative ELBO of a batch, its sum; the gradient of its mean is written to `slopes`."""
    (encoder, decoder), (d_encoder, d_decoder) = layers, slopes
    encoded = perceptron.forward(encoder, batch)
    mean, raw = encoded[-1].chunk(2, dim=-1)
    spread = softplus(raw)
    noise = torch.randn_like(mean)
    decoded = perceptron.forward(decoder, torch.addcmul(mean, spread, noise))
    missed = decoded[-1].sub_(batch)
    share = 1 / len(batch)
    weight = 1 / (2 * sigma**2)
    loss = torch.dot(missed.view(-1), missed.view(-1)) * weight
    loss += (mean.square() + spread.square() - 1).sum() / 2 - spread.log().sum()
    missed *= 2 * weight * share
    d = perceptron.backward(decoder, decoded, missed, d_decoder) @ decoder[0][0]
    d_spread = d * noise + (spread - 1 / spread) * share
    d = torch.cat((torch.add(d, mean, alpha=share), d_spread * torch.sigmoid(raw)), 1)
    perceptron.backward(encoder, encoded, d, d_encoder)
    return loss


def restore(
    weights: dict[str, np.ndarray], bounds: Bounds, settings: TrajectoryVAESettings
) -> TrajectoryVAE:
    """Build the VAE from the weights of a trained one (names as in its state dict)."""
    length = weights["encoder.0.weight"].shape[1] // len(channels.each(bounds))
    model = TrajectoryVAE(length, bounds, settings)
    model.load_state_dict({name: torch.as_tensor(w) for name, w in weights.items()})
    return model


def _layers(widths: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(before, after), nn.Tanh()]
    return nn.Sequential(*layers[:-1])
