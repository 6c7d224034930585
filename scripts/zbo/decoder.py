"""The decoder's expected log-likelihood, forward and gradient in one pass.

In pyroVED's jiVAE the class posterior q(k|x) leaves the encoder before the decoder runs, so the
gradient of Σ_k q_k log p(x|z,k) with respect to each log p is known, q_k, before anything is
decoded. A slice of (image, class) pairs can therefore be decoded and differentiated at once:
nothing is stored for a later backward pass, and a slice's activations need not leave the cache.

Two versions of that pass stand behind `decode_and_differentiate`: compiled C for float32 on the CPU
(kernels/decoder.c) and torch for everything else (a GPU, float64, no compiler, unusual layers).
"""

import ctypes
import functools
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from zbo import kernels

_SLICE_ROWS = {"cpu": 1 << 13, "cuda": 1 << 20}  # decoder rows (pair x pixel) held at a time


@dataclass(frozen=True)
class Reconstruction:
    """How well a batch is decoded.

    Args:
        total: Σ_n Σ_k q(k|x_n) log p(x_n|z_n,k), differentiable scalar, nats.
        log_likelihood: log p(x_n|z_n,k), shape (n, K), nats, detached; of the classes skipped,
            what `reconstruct` charges for them.
        decoded: (image, class) pairs the decoder ran for.
    """

    total: Tensor
    log_likelihood: Tensor
    decoded: int | Tensor


def coordinates(model, z: Tensor) -> tuple[Tensor, Tensor]:
    """Turn, scale and shift the pixel grid by the first latents (pyroVED, `coord.py`).

    Args:
        model: pyroVED model with at least one invariance.
        z: All latents, shape (n, coord + L), those of the coordinates first.

    Returns:
        Pixel coordinates, shape (n, h * w, 2), and the remaining latents, shape (n, L).
    """
    grid = model.grid.to(z).expand(len(z), -1, -1)  # (n, P, 2)
    shift = None
    if "r" in model.invariances:
        cos, sin = torch.cos(z[:, 0]), torch.sin(z[:, 0])
        grid = grid @ torch.stack((cos, sin, -sin, cos), 1).view(-1, 2, 2)
        z = z[:, 1:]
    if "t" in model.invariances:
        shift, z = (z[:, :2] * model.t_prior.to(z)).unsqueeze(1), z[:, 2:]
    if "s" in model.invariances:
        grid, z = grid * (1 + model.sc_prior.to(z) * z[:, 0]).view(-1, 1, 1), z[:, 1:]
    return (grid if shift is None else grid + shift), z


def reconstruct(
    model,
    images: Tensor,
    z: Tensor,
    q: Tensor,
    sigma: float | None = None,
    threshold: float = 0.0,
    last: Tensor | None = None,
) -> Reconstruction:
    """Expected log-likelihood of a batch over its classes (Biswas et al. 2023, eq. 1, first term).

    With `threshold` > 0 the decoder runs only for classes with q(k|x) above it and for the most
    probable class. A skipped class is charged, as a constant, the lowest of what it reached when
    it was last decoded for that image and what the image's worst decoded class reaches now. The
    second keeps q's gradient from ever preferring a skipped class to a decoded one. The first
    keeps pushing q down as exact enumeration would: without it a class that fell below the
    threshold beside a single decoded one would cost no more than that one, and probability, hence
    a lower discrete KL term, could be hidden there for nothing. Only spatial decoders are pruned;
    the plain one decodes whole images and is cheap.

    Args:
        model: pyroVED jiVAE or iVAE.
        images: Shape (n, h * w), in [0, 1].
        z: Sampled continuous latents, shape (n, coord + L).
        q: Class probabilities, shape (n, K); ones of shape (n, 1) for a model without classes.
        sigma: Standard deviation of the Gaussian decoder; None for Bernoulli.
        threshold: Probability at or below which a class is skipped; 0 decodes all.
        last: `log_likelihood` of these images when they were last seen, shape (n, K), infinite for
            classes to be decoded whatever their probability; None: nothing is known.

    Returns:
        The `Reconstruction`.
    """
    classes = getattr(model, "discrete_dim", 0)
    net = model.decoder
    if model.coord == 0:
        rows = z
        if classes:
            codes = torch.eye(classes, device=z.device, dtype=z.dtype).expand(len(z), -1, -1)
            rows = torch.cat((z.unsqueeze(1).expand(-1, classes, -1), codes), -1)
        out = net.out(net.fc_layers(rows)).view(*q.shape, -1)  # (n, K, P)
        logp, _ = _pixels(out, images.unsqueeze(1), sigma)
        return Reconstruction((q * logp).sum(), logp.detach(), q.numel())

    coords, content = coordinates(model, z)
    weight = net.coord_latent.fc_latent.weight  # (H, L + K)
    latents = F.linear(content, weight[:, : content.shape[1]]).unsqueeze(1)  # (n, 1, H)
    if classes:
        latents = latents + weight[:, content.shape[1] :].T
    active = None
    if threshold > 0 and q.shape[1] > 1:
        active = (q > threshold).scatter_(1, q.argmax(1, keepdim=True), True)
        if last is not None:
            active |= last == torch.inf
    linears = [net.coord_latent.fc_coord, *net.fc_layers[::2], net.out]
    params = [p for layer in linears for p in (layer.weight, layer.bias)]
    total, logp = _Spatial.apply(images, active, last, sigma, coords, latents, q, *params)
    return Reconstruction(total, logp, q.numel() if active is None else active.sum())


class _Spatial(torch.autograd.Function):
    """Σ q log p and log p of the spatial decoder; its gradient is computed with its value."""

    @staticmethod
    def forward(ctx, images, active, last, sigma, coords, latents, q, *params):
        logp, grads = decode_and_differentiate(images, active, sigma, coords, latents, q, params)
        if active is not None:
            worst = logp.masked_fill(~active, torch.inf).amin(1, keepdim=True)
            logp = torch.where(active, logp, worst if last is None else torch.minimum(worst, last))
        ctx.mark_non_differentiable(logp)
        ctx.save_for_backward(*grads[:2], logp, *grads[2:])
        return (q * logp).sum(), logp

    @staticmethod
    def backward(ctx, scale, _):
        return None, None, None, None, *torch._foreach_mul(ctx.saved_tensors, scale)


def _pixels(out: Tensor, images: Tensor, sigma: float | None) -> tuple[Tensor, Tensor]:
    """Log-likelihood summed over pixels, shape (...), and its gradient at each logit (..., P)."""
    if sigma is None:
        return (images * out - F.softplus(out)).sum(-1), images - torch.sigmoid(out)
    mean = torch.sigmoid(out)
    error = (images - mean) / sigma
    constant = images.shape[-1] * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
    logp = -0.5 * error.square().sum(-1) - constant
    return logp, error / sigma * mean * (1 - mean)


def decode_and_differentiate(images, active, sigma, coords, latents, q, params):
    """Decode the active pairs and differentiate them in the same pass.

    Args:
        images: Shape (n, P).
        active: Pairs to decode, shape (n, K), or None for all.
        sigma: Standard deviation of the Gaussian decoder; None for Bernoulli.
        coords: Shape (n, P, 2).
        latents: Latent and class part of the first layer, shape (n, K, H).
        q: Class probabilities, shape (n, K).
        params: Weight and bias of coordinate layer, hidden layers and output.

    Returns:
        log p, shape (n, K), zero where not active, and the gradients of Σ q log p with respect to
        coords, latents and each of params, q held fixed.
    """
    if q.device.type == "cpu" and q.dtype == torch.float32 and len(params) == 8:
        library = kernels.load()
        if library is not None and not any(len(b) % library.zbo_panel() for b in params[1:-1:2]):
            return _compiled(library, images, active, sigma, coords, latents, q, params)
    return _with_torch(images, active, sigma, coords, latents, q, params)


def _compiled(library, images, active, sigma, coords, latents, q, params):
    """`decode_and_differentiate` in C; ranges of images go to as many threads as torch uses."""
    wc, bc, w1, b1, w2, b2, w3, b3 = (p.detach().contiguous() for p in params)
    wc_rows = wc.T.contiguous()
    panel = library.zbo_panel()
    n, classes = q.shape
    logp = torch.zeros_like(q)
    images, coords, latents, q = (t.contiguous() for t in (images, coords, latents, q))
    active = None if active is None else active.contiguous()
    d_coords, d_latents = torch.empty_like(coords), torch.zeros_like(latents)
    packed = [_panels(w, panel) for w in (w1.T, w1, w2.T, w2)]
    tensors = {
        **{"images": images, "coords": coords, "latents": latents, "q": q, "active": active},
        **{"wc": wc_rows, "bc": bc, "b1": b1, "b2": b2, "w3": w3, "b3": b3},
        **{"w1_forward": packed[0], "w1_backward": packed[1]},
        **{"w2_forward": packed[2], "w2_backward": packed[3]},
        **{"logp": logp, "d_coords": d_coords, "d_latents": d_latents},
    }
    batch = kernels.Batch(
        pixels=images.shape[1],
        classes=classes,
        h0=len(bc),
        h1=len(b1),
        h2=len(b2),
        sigma=sigma or 0.0,
        **{name: None if t is None else t.data_ptr() for name, t in tensors.items()},
    )
    threads = torch.get_num_threads()
    # Each range sums in a fixed order whichever thread takes it: results repeat bit for bit.
    ranges = 1 if threads == 1 else min(n, 4 * threads)
    sums = torch.zeros(ranges, library.zbo_sums(ctypes.byref(batch)))

    def work(i):
        begin, end = n * i // ranges, n * (i + 1) // ranges
        if library.zbo_decode(ctypes.byref(batch), begin, end, sums[i].data_ptr()):
            raise MemoryError("the decoder found no memory for its tiles")

    if ranges == 1:
        work(0)
    else:
        list(_pool(threads).map(work, range(ranges)))
    shapes = (wc_rows, w1, b1, w2, b2, w3, b3)
    parts = sums.sum(0).split([t.numel() for t in shapes])
    d_wc, *rest = (part.view(t.shape) for part, t in zip(parts, shapes, strict=True))
    return logp, [d_coords, d_latents, d_wc.T, d_latents.sum((0, 1)), *rest]


def _panels(w: Tensor, width: int) -> Tensor:
    """Columns in groups of `width`, each group contiguous: the order in which the C reads them."""
    return w.reshape(len(w), -1, width).transpose(0, 1).contiguous()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="zbo-decoder")


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def _with_torch(images, active, sigma, coords, latents, q, params):
    """`decode_and_differentiate` in torch, slice by slice."""
    n, classes = q.shape
    pixels = images.shape[1]
    weights, biases = params[0::2], params[1::2]
    logp = torch.zeros_like(q)
    d_coords, d_latents = torch.empty_like(coords), torch.zeros_like(latents)
    d_weights = [torch.zeros_like(w) for w in weights]
    d_biases = [torch.zeros_like(b) for b in biases]
    step = max(1, _SLICE_ROWS.get(q.device.type, 1 << 13) // (pixels * classes))
    for at in range(0, n, step):
        s = slice(at, at + step)
        b = len(q[s])
        if active is None:
            image = torch.arange(b, device=q.device).repeat_interleave(classes)
            label = torch.arange(classes, device=q.device).repeat(b)
        else:
            image, label = active[s].nonzero(as_tuple=True)
        first = torch.addmm(biases[0], coords[s].reshape(-1, 2), weights[0].T)
        first = first.view(b, pixels, len(biases[0]))[image]  # (m, P, H)
        hidden = [first.add_(latents[s][image, label].unsqueeze(1)).tanh_().flatten(0, 1)]
        for w, bias in zip(weights[1:-1], biases[1:-1], strict=True):
            hidden.append(torch.addmm(bias, hidden[-1], w.T).tanh_())
        out = torch.mv(hidden[-1], weights[-1][0]).add_(biases[-1]).view(len(image), pixels)
        logp_m, g = _pixels(out, images[s][image], sigma)
        logp[s][image, label] = logp_m

        g = (g * q[s][image, label].unsqueeze(1)).flatten()  # (m * P,)
        d_weights[-1][0].addmv_(hidden[-1].T, g)
        d_biases[-1].add_(g.sum())
        d = torch.outer(g, weights[-1][0])
        for layer in range(len(weights) - 2, 0, -1):
            after, before = hidden[layer], hidden[layer - 1]
            d = torch.addcmul(d, d * after, after, value=-1)  # through tanh
            d_weights[layer].addmm_(d.T, before)
            d_biases[layer].add_(d.sum(0))
            d = d @ weights[layer]
        d = torch.addcmul(d, d * hidden[0], hidden[0], value=-1).view_as(first)
        d_latents[s][image, label] = d.sum(1)
        d_first = d.new_zeros(b, *d.shape[1:]).index_add_(0, image, d).flatten(0, 1)
        d_coords[s] = (d_first @ weights[0]).view(b, pixels, 2)
        d_weights[0].addmm_(d_first.T, coords[s].reshape(-1, 2))
        d_biases[0].add_(d_first.sum(0))
    grads = [g for pair in zip(d_weights, d_biases, strict=True) for g in pair]
    return logp, [d_coords, d_latents, *grads]
