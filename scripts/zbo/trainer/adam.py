"""Adam without the two seconds that torch's class takes to start."""

import torch
from torch import Tensor


class Adam:
    """torch.optim.Adam(fused=True) with its defaults, which are pyro.optim.Adam's.

    The same fused kernel without the class around it, whose first step imports torch's compiler:
    two seconds and a hundred megabytes in every trial's process. Its count of steps is a tensor
    beside the weights, so that a captured CUDA graph advances it.

    Args:
        weights: What to optimize, one tensor.
        learning_rate: Step size.

    Attributes:
        mean, square, count: Moments of the gradient and steps taken; with the weights, all there
            is to save.
    """

    def __init__(self, weights: Tensor, learning_rate: float):
        self.weights, self.learning_rate = weights, learning_rate
        self.mean, self.square = torch.zeros_like(weights), torch.zeros_like(weights)
        self.count = torch.zeros((), device=weights.device)

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """Take a step along the gradient, of the weights' shape."""
        self.count += 1
        torch._fused_adam_(
            [self.weights],
            [gradient],
            [self.mean],
            [self.square],
            [],  # largest squares, for the AMSGrad variant
            [self.count],
            lr=self.learning_rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )
