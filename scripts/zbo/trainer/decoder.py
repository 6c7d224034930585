"""The decoder's expected log-likelihood, forward and gradient in one pass.

In pyroVED's jiVAE the class posterior q(k|x) leaves the encoder before the decoder runs, so the
gradient of Σ_k q_k log p(x|z,k) with respect to each log p is known, q_k, before anything is
decoded. A slice of (image, class) pairs can therefore be decoded and differentiated at once:
nothing is stored for a later backward pass, and a slice's activations need not leave the cache.

Three versions of that pass stand behind `decode_and_differentiate`: compiled C for float32 on the
CPU (kernels/decoder.c), Triton for float32 on a GPU (kernels/decoder_gpu.py), and torch for
everything else (float64, no compiler, unusual layers).
"""

import ctypes
import functools
import logging
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from zbo.trainer import kernels, perceptron
from zbo.trainer.network import Network, Transform
from zbo.trainer.pixels import Sample

log = logging.getLogger(__name__)

_SLICE_ROWS = {"cpu": 1 << 13, "cuda": 1 << 20}  # decoder rows (pair x pixel) held at a time
# Compute capabilities (major) for which Triton makes good code of it: what it makes for older ones
# lives in memory, and for others it fails or crashes.
_FUSED_ON = 8, 9, 12
_RANGE_ROWS, _MOST_RANGES = 320, 32  # images x pixels a thread takes at least; pieces of a batch


@dataclass(frozen=True)
class Reconstruction:
    """How well a batch is decoded.

    Args:
        log_likelihood: log p(x_n|z_n,k), shape (n, K), nats; of the classes skipped, what
            `reconstruct` charges for them.
        d_z: Gradient of -Σ_n Σ_k q(k|x_n) log p(x_n|z_n,k) at z, shape (n, coord + L).
        decoded: (image, class) pairs the decoder ran for, scalar. Not a number: put into a tensor
            of a GPU it would be copied from the host, and waited for.
        memory: What `reconstruct` wants to be told as `last` when it sees these images again, shape
            (n, K), nats.
    """

    log_likelihood: Tensor
    d_z: Tensor
    decoded: Tensor
    memory: Tensor


def reconstruct(
    network: Network,
    gradient: Network,
    transform: Transform | None,
    images: Tensor,
    z: Tensor,
    q: Tensor,
    sigma: float | None = None,
    threshold: float = 0.0,
    last: Tensor | None = None,
    threads: int = 1,
    sample: Sample | None = None,
) -> Reconstruction:
    """Log-likelihood of a batch for its classes (Biswas et al. 2023, eq. 1, first term).

    The gradient at the decoder's weights of -Σ q log p, the reconstruction's part of the loss, is
    written to `gradient`; that at q is the log-likelihood returned, with the opposite sign.

    With `threshold` > 0 the decoder runs only for classes with q(k|x) above it and for the most
    probable class. A skipped class is charged, as a constant, the lowest of what it reached when
    it was last decoded for that image and what the image's worst decoded class reaches now. The
    second keeps q's gradient from ever preferring a skipped class to a decoded one. The first
    keeps pushing q down as exact enumeration would: without it a class that fell below the
    threshold beside a single decoded one would cost no more than that one, and probability, hence
    a lower discrete KL term, could be hidden there for nothing. Only spatial decoders are pruned;
    the plain one decodes whole images and is cheap. On a GPU no shape may depend on the data: the
    fused pass passes over a skipped class in place, torch decodes it and ignores the result.

    With `sample` the decoder runs for those pixels only, likewise of spatial decoders alone. The
    log-likelihoods are then estimates, and noisier than classes are apart; but all classes of an
    image are decoded at the same pixels and share most of the noise. What is remembered of a class
    is therefore how far it was from the most probable one.

    Args:
        network: Weights.
        gradient: Where the decoder's go.
        transform: Of the pixel grid; None for a plain decoder.
        images: Shape (n, h * w), in [0, 1].
        z: Sampled continuous latents, shape (n, coord + L).
        q: Class probabilities, shape (n, K); ones of shape (n, 1) for a model without classes.
        sigma: Standard deviation of the Gaussian decoder; None for Bernoulli.
        threshold: Probability at or below which a class is skipped; 0 decodes all.
        last: `memory` of these images when they were last seen, shape (n, K), infinite for
            classes to be decoded whatever their probability; None: nothing is known.
        threads: CPU threads for compiled code; the numbers do not depend on it.
        sample: Pixels to decode; None: all, in order.

    Returns:
        The `Reconstruction`.
    """
    content = z[:, transform.latents :] if transform else z
    columns = content.shape[1]
    latents = (content @ network.latents[:, :columns].T).unsqueeze(1)  # (n, 1, H)
    if network.latents.shape[1] > columns:
        latents = latents + network.latents[:, columns:].T  # (n, K, H)
    active = memory = None
    if transform is None:
        logp, d_latents = _plain(network, gradient, images, latents, q, sigma)
    else:
        if threshold > 0 and q.shape[1] > 1:
            active = (q > threshold).scatter_(1, q.argmax(1, keepdim=True), True)
            if last is not None:
                active |= last == torch.inf
        share = None
        if sample is not None:
            images, share = images.gather(1, sample.index), sample.share
        turned, coords = transform.apply(z, None if sample is None else sample.index)
        params = spatial_parameters(network)
        logp, d_coords, d_latents, *d_params = decode_and_differentiate(
            images, share, active, sigma, coords, latents, -q, params, threads
        )
        torch._foreach_copy_(spatial_parameters(gradient), d_params)
        if active is not None:
            worst = logp.masked_fill(~active, torch.inf).amin(1, keepdim=True)
            if sample is not None:
                best = logp.gather(1, q.argmax(1, keepdim=True))
                last = best + torch.inf if last is None else best + last
                memory = torch.where(active, logp, last) - best
            logp = torch.where(active, logp, worst if last is None else torch.minimum(worst, last))
    d_content = d_latents.sum(1)  # (n, H)
    torch.mm(d_content.T, content, out=gradient.latents[:, :columns])
    if network.latents.shape[1] > columns:
        torch.sum(d_latents, 0, out=gradient.latents[:, columns:].T)
    d_z = d_content @ network.latents[:, :columns]
    if transform:
        d_z = torch.cat((transform.backward(z, turned, d_coords), d_z), 1)
    decoded = q.new_full((), q.numel()) if active is None else active.sum()
    return Reconstruction(logp, d_z, decoded, logp if memory is None else memory)


def spatial_parameters(network: Network) -> list[Tensor]:
    """Weight and bias of the coordinate layer, the hidden layers and the output, in this order."""
    assert network.coordinates is not None  # its decoder is spatial
    return [network.coordinates, network.bias, *(t for layer in network.decoder for t in layer)]


def parameters(network: Network) -> list[Tensor]:
    """List all that `reconstruct` writes gradients of: the decoder's weights and biases."""
    own = [t for layer in network.decoder for t in layer]
    first = [network.latents, network.coordinates, network.bias]
    return [t for t in first if t is not None] + own


def _plain(network, gradient, images, latents, q, sigma):
    """Decode whole images: log p, shape (n, K), and the gradient of -Σ q log p at `latents`."""
    first = torch.tanh(latents + network.bias)  # (n, K, H)
    values = perceptron.forward(network.decoder, first.flatten(0, 1))
    logp, g = _pixels(values[-1].view(*q.shape, -1), images.unsqueeze(1), None, sigma)
    d = (g * -q.unsqueeze(-1)).flatten(0, 1)
    d = perceptron.backward(network.decoder, values, d, gradient.decoder) @ network.decoder[0][0]
    d = perceptron.through_tanh(d.view_as(first), first)
    torch.sum(d, (0, 1), out=gradient.bias)
    return logp, d


def _pixels(
    out: Tensor, images: Tensor, share: Tensor | None, sigma: float | None
) -> tuple[Tensor, Tensor]:
    """Log-likelihood summed over pixels, shape (...), and its gradient at each logit (..., P)."""
    if sigma is None:
        logp, g = images * out - F.softplus(out), images - torch.sigmoid(out)
    else:
        mean = torch.sigmoid(out)
        error = (images - mean) / sigma
        logp, g = -0.5 * error.square(), error / sigma * mean * (1 - mean)
    total = images.shape[-1]
    if share is not None:
        logp, g, total = logp * share, g * share, share.sum()
    logp = logp.sum(-1)
    return logp if sigma is None else logp - total * _constant(sigma), g


def _constant(sigma: float) -> float:
    return math.log(sigma) + 0.5 * math.log(2 * math.pi)


def decode_and_differentiate(
    images, share, active, sigma, coords, latents, weight, params, threads=1
):
    """Decode the active pairs and differentiate them in the same pass.

    Args:
        images: Shape (n, P).
        share: Weight of each pixel in its image's sum, shape (P,), or None for 1.
        active: Pairs to decode, shape (n, K), or None for all.
        sigma: Standard deviation of the Gaussian decoder; None for Bernoulli.
        coords: Shape (n, P, 2).
        latents: Latent and class part of the first layer, shape (n, K, H).
        weight: Of each pair in the sum that is differentiated, shape (n, K).
        params: Weight and bias of coordinate layer, hidden layers and output.
        threads: CPU threads for compiled code.

    Returns:
        log p, shape (n, K), of no meaning where not active, and the gradients of Σ weight log p at
        coords, latents (zero where not active) and each of params.
    """
    if compiled_for(params):
        return _compiled(images, share, active, sigma, coords, latents, weight, params, threads)
    if params[0].device.type == "cuda":
        widths = tuple(map(len, params[1:-1:2]))
        tf32 = torch.backends.cuda.matmul.allow_tf32
        given = sigma is not None, active is not None, share is not None
        if fused := _fused(params[0].device, params[0].dtype, widths, tf32, *given):
            return _in_slices(fused, images, share, active, sigma, coords, latents, weight, params)
    return _with_torch(images, share, active, sigma, coords, latents, weight, params)


def compiled_for(params: list[Tensor]) -> bool:
    """Tell whether there is compiled code for such layers; it needs float32 and even widths."""
    like = params[0]
    if like.device.type != "cpu" or like.dtype != torch.float32 or len(params) != 8:
        return False
    library = kernels.load()
    return library is not None and not any(len(b) % library.zbo_panel() for b in params[1:-1:2])


def _compiled(images, share, active, sigma, coords, latents, weight, params, threads=1):
    """`decode_and_differentiate` in C; ranges of images go to threads."""
    library = kernels.load()
    wc, bc, w1, b1, w2, b2, w3, b3 = (p.contiguous() for p in params)
    wc_rows = wc.T.contiguous()
    panel = library.zbo_panel()
    n, classes = weight.shape
    logp = torch.zeros_like(weight)
    images, coords, latents = (t.contiguous() for t in (images, coords, latents))
    active, share = (None if t is None else t.contiguous() for t in (active, share))
    d_coords, d_latents = torch.empty_like(coords), torch.zeros_like(latents)
    packed = [_panels(w, panel) for w in (w1.T, w1, w2.T, w2)]
    tensors = {
        **{"images": images, "coords": coords, "latents": latents, "q": weight},
        **{"share": share, "active": active},
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
    # Each range sums in a fixed order whichever thread takes it, and the ranges do not depend on
    # the threads: results repeat bit for bit for any number of them.
    ranges = max(1, min(n, images.numel() // _RANGE_ROWS, _MOST_RANGES))
    sums = torch.zeros(ranges, library.zbo_sums(ctypes.byref(batch)))

    def work(i):
        begin, end = n * i // ranges, n * (i + 1) // ranges
        if library.zbo_decode(ctypes.byref(batch), begin, end, sums[i].data_ptr()):
            raise MemoryError("the decoder found no memory for its tiles")

    if threads == 1 or ranges == 1:
        for i in range(ranges):
            work(i)
    else:
        list(_pool(threads).map(work, range(ranges)))
    shapes = (wc_rows, w1, b1, w2, b2, w3, b3)
    parts = sums.sum(0).split([t.numel() for t in shapes])
    d_wc, *rest = (part.view(t.shape) for part, t in zip(parts, shapes, strict=True))
    return logp, d_coords, d_latents, d_wc.T, d_latents.sum((0, 1)), *rest


def _panels(w: Tensor, width: int) -> Tensor:
    """Columns in groups of `width`, each group contiguous: the order in which the C reads them."""
    return w.reshape(len(w), -1, width).transpose(0, 1).contiguous()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="zbo-decoder")


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


@functools.cache
def _fused(device, dtype, widths, tf32, gaussian, pruned, shared) -> Callable[..., tuple] | None:
    """Load the pass for a GPU; None, logged once, where it does not build, run or agree with torch.

    Building depends on the GPU, its driver, Triton and a C compiler, and the result on how Triton
    translates it for that GPU: so it is tried on a few images first.
    """
    if dtype != torch.float32 or kernels.off():
        return None
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] not in _FUSED_ON:
        log.info("no fused decoder for this kind of GPU, using torch")
        return None
    if "TRITON_CACHE_DIR" not in os.environ:
        os.environ["TRITON_CACHE_DIR"] = kernels.triton_cache()
    generator = torch.Generator().manual_seed(0)

    def some(*shape):
        values = torch.randn(shape, generator=generator) / shape[-1] ** 0.5
        return values.to(device)

    try:
        from zbo.trainer.kernels import decoder_gpu

        if not decoder_gpu.fits(widths):
            return None
        run = functools.partial(decoder_gpu.decode_and_differentiate, tf32=tf32)
        ends = [2, *widths], [*widths, 1]
        params = [p for size in zip(*ends, strict=True) for p in (some(*size[::-1]), some(size[1]))]
        active = some(3, 2) > 0 if pruned else None
        share = some(70).exp() if shared else None
        given = some(3, 70).sigmoid(), share, active, 0.5 if gaussian else None, some(3, 70, 2)
        given = *given, some(3, 2, widths[0]), some(3, 2), params
        apart = 0.0
        for i, (a, b) in enumerate(zip(run(*given), _with_torch(*given), strict=True)):
            if i == 0 and pruned:  # log p means nothing where not active
                a, b = a[active], b[active]
            apart = max(apart, ((a - b).abs().max() / b.abs().max()).item())
        if not apart < (2e-2 if tf32 else 2e-4):  # NaN is not
            raise ArithmeticError(f"its results are {apart:.2g} from torch's")
    except Exception as error:  # whatever Triton raises
        log.warning("no fused decoder on this GPU, using torch, several times slower: %s", error)
        return None
    return run


def _in_slices(fused, images, share, active, sigma, coords, latents, weight, params):
    """Run a pass over slices of the batch that fit into memory; gradients of params add up."""
    step = max(1, _SLICE_ROWS["cuda"] // (images.shape[1] * weight.shape[1]))
    found = [
        fused(images[s], share, None if active is None else active[s], sigma, coords[s], latents[s],
              weight[s], params)
        for s in (slice(at, at + step) for at in range(0, len(images), step))
    ]  # fmt: skip
    if len(found) == 1:
        return found[0]
    of_pairs, of_params = zip(*((part[:3], part[3:]) for part in found), strict=True)
    return (
        *map(torch.cat, zip(*of_pairs, strict=True)),
        *map(sum, zip(*of_params, strict=True)),
    )


def _with_torch(images, share, active, sigma, coords, latents, weight, params):
    """`decode_and_differentiate` in torch, slice by slice."""
    if active is not None:
        weight = weight.masked_fill(~active, 0)
        if weight.device.type == "cpu":  # elsewhere a shape that depends on data is waited for
            kept = active.sort(1, descending=True).indices[:, : active.sum(1).amax()]
            index = kept.unsqueeze(-1).expand(-1, -1, latents.shape[-1])
            some = latents.gather(1, index), weight.gather(1, kept)
            logp, d_coords, d_latents, *rest = _with_torch(
                images, share, None, sigma, coords, *some, params
            )
            logp = torch.zeros_like(weight).scatter_(1, kept, logp)
            d_latents = torch.zeros_like(latents).scatter_(1, index, d_latents)
            return logp, d_coords, d_latents, *rest
    n, classes = weight.shape
    pixels = images.shape[1]
    weights, biases = params[0::2], params[1::2]
    logp = torch.zeros_like(weight)
    d_coords, d_latents = torch.empty_like(coords), torch.empty_like(latents)
    d_weights = [torch.zeros_like(w) for w in weights]
    d_biases = [torch.zeros_like(b) for b in biases]
    step = max(1, _SLICE_ROWS.get(weight.device.type, 1 << 13) // max(1, pixels * classes))
    for at in range(0, n, step):
        s = slice(at, at + step)
        first = torch.addmm(biases[0], coords[s].reshape(-1, 2), weights[0].T)
        first = first.view(-1, 1, pixels, len(biases[0])) + latents[s].unsqueeze(2)  # (b, K, P, H)
        hidden = [first.tanh_().flatten(0, 2)]
        for w, bias in zip(weights[1:-1], biases[1:-1], strict=True):
            hidden.append(torch.addmm(bias, hidden[-1], w.T).tanh_())
        out = torch.mv(hidden[-1], weights[-1][0]).add_(biases[-1]).view(*first.shape[:3])
        logp[s], g = _pixels(out, images[s].unsqueeze(1), share, sigma)

        g = (g * weight[s].unsqueeze(-1)).flatten()  # (b * K * P,)
        d_weights[-1][0].addmv_(hidden[-1].T, g)
        d_biases[-1].add_(g.sum())
        d = torch.outer(g, weights[-1][0])
        for layer in range(len(weights) - 2, 0, -1):
            d = perceptron.through_tanh(d, hidden[layer])
            d_weights[layer].addmm_(d.T, hidden[layer - 1])
            d_biases[layer].add_(d.sum(0))
            d = d @ weights[layer]
        d = perceptron.through_tanh(d, hidden[0]).view_as(first)
        d_latents[s] = d.sum(2)
        d_first = d.sum(1).flatten(0, 1)
        d_coords[s] = (d_first @ weights[0]).view(-1, pixels, 2)
        d_weights[0].addmm_(d_first.T, coords[s].reshape(-1, 2))
        d_biases[0].add_(d_first.sum(0))
    grads = (g for pair in zip(d_weights, d_biases, strict=True) for g in pair)
    return logp, d_coords, d_latents, *grads
