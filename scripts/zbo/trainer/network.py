"""pyroVED's jiVAE and iVAE as plain layers: weights, or their gradients, in one flat tensor."""

from dataclasses import dataclass

import torch
from torch import Tensor

from zbo.trainer.perceptron import Flat, Layers


@dataclass(frozen=True)
class Network:
    """Views of a flat tensor, which the training reads (weights) or writes (gradients).

    Args:
        flat: The tensor, and its layout.
        encoder: Layers of the encoder; the last gives mean, raw standard deviation and class
            logits side by side.
        latents: First layer of the decoder, its part for latents and classes, shape (H, L + K).
        coordinates: Its part for pixel coordinates, shape (H, 2); None for a plain decoder.
        bias: Its bias, shape (H,).
        decoder: The layers after it.
    """

    flat: Flat
    encoder: Layers
    latents: Tensor
    coordinates: Tensor | None
    bias: Tensor
    decoder: Layers

    @staticmethod
    def of(model, device: str = "cpu") -> "Network":
        """Copy the weights of a model built by `jrvae.build`."""
        return _view(model, Flat(model, _heads(model), device))

    def gradient(self, model) -> "Network":
        """Make the network of gradients for this one, zero."""
        return _view(model, self.flat.zeros())


@dataclass(frozen=True)
class Transform:
    """How a model's first latents turn, scale and shift the pixel grid (pyroVED, `coord.py`).

    Args:
        grid: Pixel coordinates, shape (h * w, 2).
        invariances: Some of "r", "t", "s"; their latents come in this order.
        shift: Largest shift, as pyroVED's `t_prior`, shape (2,).
        scale: Largest scaling, as its `sc_prior`, scalar.
    """

    grid: Tensor
    invariances: frozenset[str]
    shift: Tensor
    scale: Tensor

    @staticmethod
    def of(model, like: Tensor) -> "Transform | None":
        """Take it from a model; None where it has no invariance."""
        if not model.coord:
            return None
        none = like.new_zeros(())
        shift, scale = (
            torch.as_tensor(getattr(model, name, none)).to(like) for name in ("t_prior", "sc_prior")
        )
        return Transform(model.grid.to(like), frozenset(model.invariances), shift, scale)

    @property
    def latents(self) -> int:
        """How many latents it takes."""
        return sum(2 if kind == "t" else 1 for kind in self.invariances)

    def apply(self, z: Tensor, index: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Transform the grid, or some pixels of it.

        Args:
            z: Latents, shape (n, coord + L), those of the coordinates first.
            index: Of the pixels, shape (n, P); None: all h * w in order.

        Returns:
            Coordinates before scaling and shift, and after, shape (n, P, 2) each.
        """
        grid = self.grid.expand(len(z), -1, -1) if index is None else self.grid[index]
        at = 0
        if "r" in self.invariances:
            cos, sin = z[:, 0].cos(), z[:, 0].sin()
            grid = grid @ torch.stack((cos, sin, -sin, cos), 1).view(-1, 2, 2)
            at = 1
        turned, shift = grid, None
        if "t" in self.invariances:
            shift, at = (z[:, at : at + 2] * self.shift).unsqueeze(1), at + 2
        if "s" in self.invariances:
            grid = grid * (1 + self.scale * z[:, at]).view(-1, 1, 1)
        return turned, (grid if shift is None else grid + shift)

    def backward(self, z: Tensor, turned: Tensor, d: Tensor) -> Tensor:
        """Gradient at the latents taken, shape (n, coord), from that at the coordinates, d."""
        found = []
        moments = turned.transpose(1, 2) @ d  # (n, 2, 2)
        if "s" in self.invariances:
            last = z[:, self.latents - 1]
            found.append((moments[:, 0, 0] + moments[:, 1, 1]).mul(self.scale).unsqueeze(1))
            moments = moments * (1 + self.scale * last).view(-1, 1, 1)
        if "t" in self.invariances:
            found.append(d.sum(1) * self.shift)
        if "r" in self.invariances:  # turning moves (x, y) along (-y, x)
            found.append((moments[:, 0, 1] - moments[:, 1, 0]).unsqueeze(1))
        return found[0] if len(found) == 1 else torch.cat(found[::-1], 1)


def _heads(model) -> list[list[str]]:
    heads = ["fc11", "fc12"] + (["fc13"] if model.settings.classes else [])
    return [[f"encoder_z.{head}.{kind}" for head in heads] for kind in ("weight", "bias")]


def _view(model, flat: Flat) -> Network:
    def layer(name: str) -> tuple[Tensor, Tensor]:
        return flat[f"{name}.weight"], flat[f"{name}.bias"]

    encoder = flat.layers(model, "encoder_z.fc_layers")
    weight, bias = (flat.joined(names) for names in _heads(model))
    encoder.append((weight, bias))
    decoder = [*flat.layers(model, "decoder.fc_layers"), layer("decoder.out")]
    if model.coord:
        coordinates, bias = layer("decoder.coord_latent.fc_coord")
        latents = flat["decoder.coord_latent.fc_latent.weight"]
    else:
        coordinates, (latents, bias), *decoder = None, *decoder
    return Network(flat, encoder, latents, coordinates, bias, decoder)
