"""The decoder on a GPU (Triton): forward and gradient of some pixels without leaving the chip.

A program takes 64 pixels of one (image, class) pair. Layer by layer in torch every activation makes
some fifty trips to memory; here each is written once, for the two products that give the hidden
layers' weight gradients, which torch makes of them afterwards. The first layer and the last hidden
one are computed twice, in pieces: cheaper than holding them. Under TF32 all fits in registers.

Nothing is added up across programs: each writes its own sums, so results repeat bit for bit.
"""

import math
import os
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 64  # pixels a program takes


@triton.jit
def _tanh(x, FAST: tl.constexpr):
    """Good to a few units in the last place, or to a relative 2^-11, which is what TF32 keeps."""
    if FAST:
        return tl.inline_asm_elementwise(
            "tanh.approx.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1
        )
    s = x * x
    near = x + x * s * (-1 / 3 + s * (2 / 15 - s * (17 / 315)))  # where 1 - ... would cancel
    return tl.where(s < 0.04, near, 1 - 2 / (1 + tl.exp(2 * x)))


@triton.jit
def _first(x, y, wc, bc, latents, units, FAST: tl.constexpr):
    """Coordinate layer, some of its units: pixels at (x, y)."""
    fixed = tl.load(bc + units) + tl.load(latents + units)
    wx = tl.load(wc + units * 2)
    wy = tl.load(wc + units * 2 + 1)
    first = x[:, None] * wx[None, :] + y[:, None] * wy[None, :] + fixed[None, :]
    return _tanh(first, FAST), wx, wy


# One build for all numbers of pixels and classes.
@triton.jit(do_not_specialize=["pixels", "classes"])
def _decode(
    images, share, coords, latents, weight, active,
    wc, bc, w1, w1_t, b1, w2, w2_t, b2, w3, b3,
    h0_out, h1_out, d1_out, d2_out, d_coords, sums,
    pixels, classes, sigma,
    H0: tl.constexpr, H1: tl.constexpr, H2: tl.constexpr,
    PIXELS: tl.constexpr, CHUNK: tl.constexpr, STAGES: tl.constexpr,
    PRECISION: tl.constexpr, FAST: tl.constexpr, GAUSSIAN: tl.constexpr, PRUNED: tl.constexpr,
    SHARED: tl.constexpr,
):  # fmt: skip
    pair = tl.program_id(0).to(tl.int64)
    p = tl.program_id(1) * PIXELS + tl.arange(0, PIXELS)
    inside = p < pixels
    at = pair // classes * pixels + p  # pixels of the image
    row = pair * pixels + p  # of the pair
    mask = inside[:, None]
    chunk = tl.arange(0, CHUNK)
    i1 = tl.arange(0, H1)
    latents += pair * H0
    h0_out += row[:, None] * H0
    h1_out += row[:, None] * H1 + i1[None, :]
    d1_out += row[:, None] * H1 + i1[None, :]
    d2_out += row[:, None] * H2
    # d_latents, d_wc (2), d_b1, d_w3, d_b2, d_b3, log p
    sums += (pair * tl.num_programs(1) + tl.program_id(1)) * (3 * H0 + H1 + 2 * H2 + 2)
    sums_1, sums_2, sums_3 = sums + 3 * H0, sums + 3 * H0 + H1, sums + 3 * H0 + H1 + 2 * H2

    decoded = True
    if PRUNED:
        decoded = tl.load(active + pair) != 0
    if decoded:
        x = tl.load(coords + at * 2, inside, 0.0)
        y = tl.load(coords + at * 2 + 1, inside, 0.0)
        h1 = tl.zeros((PIXELS, H1), tl.float32)
        for begin in tl.range(0, H0, CHUNK, num_stages=STAGES):
            i0 = begin + chunk
            h0, _, _ = _first(x, y, wc, bc, latents, i0, FAST)
            tl.store(h0_out + i0[None, :], h0, mask)
            # Weights are read with what is summed over lying side by side: tensor cores want so.
            w = tl.load(w1 + i0[:, None] + i1[None, :] * H0)
            h1 = tl.dot(h0, w, h1, input_precision=PRECISION)
        h1 = _tanh(h1 + tl.load(b1 + i1)[None, :], FAST)
        tl.store(h1_out, h1, mask)

        out = tl.zeros((PIXELS,), tl.float32) + tl.load(b3)
        for begin in tl.range(0, H2, CHUNK, num_stages=STAGES):
            i2 = begin + chunk
            w = tl.load(w2 + i1[:, None] + i2[None, :] * H1)
            h2 = tl.dot(h1, w, input_precision=PRECISION) + tl.load(b2 + i2)[None, :]
            h2 = _tanh(h2, FAST)
            out += tl.sum(h2 * tl.load(w3 + i2)[None, :], 1)
        seen = tl.load(images + at, inside, 0.0)
        mean = 1 / (1 + tl.exp(-out))
        if GAUSSIAN:
            error = (seen - mean) / sigma
            logp = -0.5 * error * error
            g = error / sigma * mean * (1 - mean)
        else:
            logp = seen * out - tl.maximum(out, 0.0) - tl.log(1 + tl.exp(-tl.abs(out)))
            g = seen - mean
        if SHARED:
            of_pixel = tl.load(share + p, inside, 0.0)
            logp *= of_pixel
            g *= of_pixel
        g = tl.where(inside, g * tl.load(weight + pair), 0.0)
        tl.store(sums_3, tl.sum(g, 0))
        tl.store(sums_3 + 1, tl.sum(tl.where(inside, logp, 0.0), 0))

        d1 = tl.zeros((PIXELS, H1), tl.float32)
        for begin in tl.range(0, H2, CHUNK, num_stages=STAGES):
            i2 = begin + chunk
            w = tl.load(w2 + i1[:, None] + i2[None, :] * H1)
            h2 = tl.dot(h1, w, input_precision=PRECISION) + tl.load(b2 + i2)[None, :]
            h2 = _tanh(h2, FAST)
            d2 = g[:, None] * tl.load(w3 + i2)[None, :] * (1 - h2 * h2)
            tl.store(d2_out + i2[None, :], d2, mask)
            tl.store(sums_2 + i2, tl.sum(g[:, None] * h2, 0))
            tl.store(sums_2 + H2 + i2, tl.sum(d2, 0))
            w = tl.load(w2_t + i2[:, None] + i1[None, :] * H2)
            d1 = tl.dot(d2, w, d1, input_precision=PRECISION)
        d1 = d1 * (1 - h1 * h1)
        tl.store(d1_out, d1, mask)
        tl.store(sums_1 + i1, tl.sum(d1, 0))

        dx = tl.zeros((PIXELS,), tl.float32)
        dy = tl.zeros((PIXELS,), tl.float32)
        for begin in tl.range(0, H0, CHUNK, num_stages=STAGES):
            i0 = begin + chunk
            h0, wx, wy = _first(x, y, wc, bc, latents, i0, FAST)
            w = tl.load(w1_t + i1[:, None] + i0[None, :] * H1)
            d0 = tl.dot(d1, w, input_precision=PRECISION) * (1 - h0 * h0)
            tl.store(sums + i0, tl.sum(d0, 0))
            tl.store(sums + H0 + i0, tl.sum(d0 * x[:, None], 0))
            tl.store(sums + 2 * H0 + i0, tl.sum(d0 * y[:, None], 0))
            dx += tl.sum(d0 * wx[None, :], 1)
            dy += tl.sum(d0 * wy[None, :], 1)
        tl.store(d_coords + row * 2, dx, inside)
        tl.store(d_coords + row * 2 + 1, dy, inside)


def decode_and_differentiate(
    images: Tensor,
    share: Tensor | None,
    active: Tensor | None,
    sigma: float | None,
    coords: Tensor,
    latents: Tensor,
    weight: Tensor,
    params: list[Tensor],
    tf32: bool,
) -> tuple[Tensor, ...]:
    """Run it; takes and returns what `decoder.decode_and_differentiate` does.

    Args:
        images, share, active, sigma, coords, latents, weight, params: As there; on a GPU, float32,
            hidden layers of widths that `fits` accepts.
        tf32: Round the factors of matrix products to TF32; else three products of it make one of
            nearly float32.
    """
    wc, bc, w1, b1, w2, b2, w3, b3 = params
    (n, classes), pixels = weight.shape, images.shape[1]
    widths = len(bc), len(b1), len(b2)
    images, coords, latents = (t.contiguous() for t in (images, coords, latents))
    weight = weight.contiguous()
    pairs, blocks, rows = n * classes, triton.cdiv(pixels, BLOCK), n * classes * pixels
    # What a pair that is skipped would write is zero.
    new = latents.new_empty if active is None else latents.new_zeros
    h0, h1, d1, d2 = (new(rows, width) for width in (widths[0], widths[1], widths[1], widths[2]))
    d_coords = new(n, classes, pixels, 2)
    layout = [*(3 * [widths[0]]), widths[1], widths[2], widths[2], 1, 1]
    sums = new(n, classes, blocks, sum(layout))
    _decode[pairs, blocks](
        images, weight if share is None else share.contiguous(),
        coords, latents, weight, weight if active is None else active.contiguous(),
        wc, bc, w1, w1.T.contiguous(), b1, w2, w2.T.contiguous(), b2, w3, b3,
        h0, h1, d1, d2, d_coords, sums,
        pixels, classes, sigma or 0.0, *widths,
        GAUSSIAN=sigma is not None, PRUNED=active is not None, SHARED=share is not None,
        **build(tf32),
    )  # fmt: skip
    of_pairs = sums.sum(2)  # (n, K, ...)
    d_latents, logp = of_pairs[..., : widths[0]], of_pairs[..., -1]
    if sigma is not None:
        total = pixels if share is None else share.sum()
        logp = logp - total * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
    # Pair by pair: one product over a million rows would leave its few sums to few cores.
    h0, h1, d1, d2 = (t.view(pairs, pixels, -1) for t in (h0, h1, d1, d2))
    d_w1, d_w2 = torch.bmm(d1.mT, h0).sum(0), torch.bmm(d2.mT, h1).sum(0)
    total = of_pairs.sum((0, 1)).split(layout)
    d_bc, d_wx, d_wy, d_b1, d_w3, d_b2, d_b3, _ = total
    return (
        logp, d_coords.sum(1), d_latents,
        torch.stack((d_wx, d_wy), 1), d_bc, d_w1, d_b1, d_w2, d_b2, d_w3[None], d_b3,
    )  # fmt: skip


def build(tf32: bool) -> dict[str, Any]:
    """What it is built with: at width 128 and TF32 sm_80, 89, 90 and 120 then spill no register.

    With float32 it is three products for one, which take more room and spill some.
    """
    precision, stages = ("tf32", 2) if tf32 else ("tf32x3", 1)
    sizes = {"PIXELS": BLOCK, "CHUNK": 32, "num_warps": 8}
    fast = tf32 and os.environ.get("TRITON_INTERPRET") != "1"  # it interprets no assembly
    return {**sizes, "STAGES": stages, "PRECISION": precision, "FAST": fast}


def fits(widths: Sequence[int]) -> bool:
    """Tell whether layers of these widths can be decoded: three, powers of two, 32 to 128."""
    return len(widths) == 3 and all(w in (32, 64, 128) for w in widths)
