"""Tanh layers with their gradient written out, their weights end to end in one tensor.

At the sizes trained here autograd's bookkeeping and one optimizer call a weight cost as much time
as the arithmetic.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Layers = list[tuple[Tensor, Tensor]]  # weight (out, in) and bias (out,), layer by layer

_ALIGNED = 64  # elements: matrix products like their operands to start at such addresses


class Flat:
    """A module's parameters as views of one tensor.

    Args:
        module: Whose parameters; they are copied, and copied back by `store`.
        adjacent: Groups of parameter names to lay without gaps, so that `joined` can view them as
            one matrix.
        device: Where to.
    """

    def __init__(
        self,
        module: nn.Module,
        adjacent: Sequence[Sequence[str]] = (),
        device: str | torch.device = "cpu",
    ) -> None:
        named = {name: p.detach() for name, p in module.named_parameters()}
        grouped = {name for group in adjacent for name in group}
        self.shapes = {name: p.shape for name, p in named.items()}
        self.starts: dict[str, int] = {}
        at = 0
        for group in [*adjacent, *([name] for name in named if name not in grouped)]:
            for name in group:
                self.starts[name] = at
                at += named[name].numel()
            at = -(-at // _ALIGNED) * _ALIGNED
        self.values = next(iter(named.values())).new_zeros(at, device=device)
        for name, p in named.items():
            self[name].copy_(p)

    def __getitem__(self, name: str) -> Tensor:
        shape, start = self.shapes[name], self.starts[name]
        return self.values[start : start + shape.numel()].view(shape)

    def joined(self, names: Sequence[str]) -> Tensor:
        """View adjacent parameters as one, along their first dimension."""
        start = self.starts[names[0]]
        size = sum(self.shapes[name].numel() for name in names)
        return self.values[start : start + size].view(-1, *self.shapes[names[0]][1:])

    def layers(self, module: nn.Module, name: str) -> Layers:
        """View the linear layers of the module's `nn.Sequential` of this name."""
        stack = module.get_submodule(name).named_children()
        linear = [f"{name}.{i}" for i, layer in stack if isinstance(layer, nn.Linear)]
        return [(self[f"{at}.weight"], self[f"{at}.bias"]) for at in linear]

    def zeros(self) -> "Flat":
        """Make the same layout filled with zeros, for gradients."""
        other = object.__new__(Flat)
        other.shapes, other.starts = self.shapes, self.starts
        other.values = torch.zeros_like(self.values)
        return other

    @torch.no_grad()
    def store(self, module: nn.Module) -> None:
        """Copy the values back into the module's parameters."""
        for name, p in module.named_parameters():
            p.copy_(self[name])


def forward(layers: Layers, x: Tensor) -> list[Tensor]:
    """Run layers, tanh between them, the last one linear.

    Args:
        layers: Weights and biases.
        x: Shape (n, in).

    Returns:
        x and what each layer makes of it; the last is the output, shape (n, out).
    """
    values = [x]
    for weight, bias in layers[:-1]:
        values.append(torch.addmm(bias, values[-1], weight.T).tanh_())
    weight, bias = layers[-1]
    return [*values, torch.addmm(bias, values[-1], weight.T)]


def backward(layers: Layers, values: list[Tensor], d: Tensor, gradients: Layers) -> Tensor:
    """Differentiate what `forward` computed.

    Args:
        layers: Weights and biases.
        values: What `forward` returned.
        d: Gradient at the output, shape (n, out).
        gradients: Where to write those of weights and biases.

    Returns:
        Gradient at what the first layer gives, before tanh; by its weights, `d @ layers[0][0]`, it
        is that at the input.
    """
    for i in reversed(range(len(layers))):
        torch.mm(d.T, values[i], out=gradients[i][0])
        torch.sum(d, 0, out=gradients[i][1])
        if i:
            d = through_tanh(d @ layers[i][0], values[i])
    return d


def through_tanh(d: Tensor, value: Tensor) -> Tensor:
    """Gradient before a tanh from that after it and the tanh's value."""
    return torch.addcmul(d, d * value, value, value=-1)
