"""Which pixels a step decodes: all, or one of each block, drawn anew for each image.

The reconstruction term is a sum over pixels, and a decoder that is a function of a coordinate can
be asked for any of them. One pixel of each block, drawn evenly and counted for the whole block,
estimates the sum and its gradient without bias (stratified sampling). A learned sigma, a root of
the estimate, is biased a little before the last cycle, which decodes all.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from zbo.base.errors import InputError


@dataclass(frozen=True)
class Sample:
    """Pixels of a batch.

    Args:
        index: Of each pixel in its flat image, shape (n, S).
        share: Pixels each stands for, its own included, shape (S,).
    """

    index: Tensor
    share: Tensor


@dataclass(frozen=True)
class Blocks:
    """An image cut into blocks as even as its sides allow.

    Args:
        rows, columns: First row of each block and its height, first column and width, shape
            (2, R) and (2, C).
        share: Pixels of each block, row by row, shape (R * C,).
        width: Of the image, pixels.
    """

    rows: Tensor
    columns: Tensor
    share: Tensor
    width: int

    @staticmethod
    def of(shape: tuple[int, int], side: int, like: Tensor) -> "Blocks":
        """Cut an image of (h, w) pixels into blocks of at most `side` x `side`."""
        rows, columns = (_cut(length, side).to(like) for length in shape)
        return Blocks(rows, columns, torch.outer(rows[1], columns[1]).flatten(), shape[1])

    def draw(self, offsets: Tensor) -> Sample:
        """Take one pixel of each block, at the same place in all blocks of an image.

        Args:
            offsets: The place, from top and from left, shares of a block's side in [0, 1), shape
                (n, 2).
        """
        (top, height), (left, width) = self.rows, self.columns
        row = top + (offsets[:, :1] * height).floor()  # (n, R)
        column = left + (offsets[:, 1:] * width).floor()  # (n, C)
        index = row.unsqueeze(2) * self.width + column.unsqueeze(1)
        return Sample(index.flatten(1).long(), self.share)


def sides(pixels: int | str, shape: tuple[int, int], cycles: int) -> list[int]:
    """Choose the side of the blocks at each cycle.

    Towards the end blocks shrink, by one pixel a cycle: the last cycle decodes every pixel, so that
    its losses are exact.

    Args:
        pixels: Pixels to decode at most, "all", or "auto": see `automatic`.
        shape: Of an image, (h, w).
        cycles: N.

    Returns:
        Sides, shape (N,); 1 is every pixel.

    Raises:
        InputError: If `pixels` is none of these.
    """
    if pixels == "auto":
        pixels = automatic(shape)
    if pixels == "all":
        return [1] * cycles
    if isinstance(pixels, str) or pixels < 1:
        raise InputError(f"training.pixels: {pixels!r} is not all, auto or a number above 0")
    largest = 1
    while count(shape, largest) > pixels:
        largest += 1
    return [min(largest, cycles - cycle) for cycle in range(cycles)]


def automatic(shape: tuple[int, int]) -> int | str:
    """Choose how many pixels to decode of an image of (h, w).

    At 24 x 24, 144 pixels gave a loss within the seeds' spread of that of all, and 64 a worse one;
    at 28 x 28 and 96 x 96 too few seeds were tried to tell (scripts/bench/README.md). Smaller
    images leave little to gain.
    """
    return "all" if shape[0] * shape[1] < 24 * 24 else 256


def count(shape: tuple[int, int], side: int) -> int:
    """How many blocks an image has, hence pixels a step decodes of it."""
    rows, columns = (-(-length // side) for length in shape)
    return rows * columns


def _cut(length: int, side: int) -> Tensor:
    """Begin and size of pieces of at most `side`, sizes as equal as can be, shape (2, pieces)."""
    pieces = -(-length // side)
    ends = torch.arange(pieces + 1) * length // pieces
    return torch.stack((ends[:-1], ends.diff()))
