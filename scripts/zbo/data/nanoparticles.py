"""Simulated scanning electron micrographs of clusters of gold spheres, labelled by their count.

They stand in for the measured images of Biswas et al. 2023 (section 4, figure B1), of which the
paper tells pixels and labels only. What is known, what is chosen; lengths in nm:

Clusters. Spheres of 80 nm, 5 % spread (commercial colloids state 8 % or less), lie on a flat
substrate and touch, as when they stick where they meet. Counts follow Smoluchowski's coagulation
with a constant kernel (Z. Phys. Chem. 92 (1917) 129): n_k is proportional to [t / (1 + t)]^k at
time t in half lives of the number of clusters. Between chains (a sphere touches one other) and
close-packed islands (two, near the middle) each cluster has a tendency of its own. One that does
not fit the field of view is grown anew, as such crops are left out.

Contrast (Reimer, Scanning Electron Microscopy, 2nd ed., Springer 1998). The yield of secondary
electrons grows with tilt as 1 / cos^n, n = 0.8 for heavy elements, and saturates where the rim is
as thin as their escape depth, about 1 nm in metals (Seiler, J. Appl. Phys. 54 (1983) R1): rims
are bright. They leave by Lambert's cosine law, and those that meet a neighbouring sphere, its view
factor, are lost: clefts are dark, and so is the substrate at a cluster's foot. Gold is taken to
yield 2.5 times what the substrate does; measured yields scatter by as much (Joy, Scanning 17
(1995) 270).

Microscope, chosen as is usual for a field emission gun. A probe of about 4 nm (standard deviation)
with some astigmatism and defocus, drift during the frame, a gradient over the field, a detector
that sees one side better, shot noise, Gaussian at such doses. Saved with 8 bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft

COUNTS = (1, 2, 3, 4, 5, 6, 7)
FIELD = 432.0  # nm, shorter side of an image: 4.5 nm a pixel at 96
DIAMETER, SPREAD = 80.0, 0.05  # nm; relative standard deviation
TIME = 1.5  # half lives of the coagulation: each count has 0.6 times the clusters of the one below
MARGIN, OFF_CENTRE = 12.0, 4.0  # nm: least distance from the edge; centring error a side, at most
TILT_POWER, ESCAPE_DEPTH = 0.8, 1.0  # dimensionless; nm
GOLD = 2.5  # yield of flat gold, the substrate's being 1
PROBE, FOCUS, DRIFT = 4.0, 0.25, 6.0  # nm: standard deviation, its spread; mean path in a frame
GRADIENT, DETECTOR = 0.15, 0.12  # relative standard deviation over the field; lit side
DOSE, PIXEL = 50.0, 4.5  # electrons detected a pixel of PIXEL nm on the flat substrate
WHITE = 5.5  # substrate yields at the 8-bit scale's end
BLOCK = 64  # images drawn together; each block has a random stream of its own


@dataclass(frozen=True)
class Clusters:
    """Spheres on a plane, lengths in nm; slots from a cluster's count on are unused."""

    counts: np.ndarray  # (n,) int64
    centres: np.ndarray  # (n, 7, 2): x, y from the middle of the field
    radii: np.ndarray  # (n, 7): also the height of the centres


def simulate(
    n: int, seed: int, counts: Sequence[int] = COUNTS, size: tuple[int, int] = (96, 96)
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate micrographs of clusters of gold spheres.

    Image i depends on the seed, the counts and the size, not on n.

    Args:
        n: Images.
        seed: Seed of every draw.
        counts: Numbers of spheres a cluster may have, of `COUNTS`; the rarer, the larger.
        size: Height and width, pixels; the shorter side shows 432 nm.

    Returns:
        Images, shape (n, h, w), uint8, and the spheres in each, shape (n,), int64.
    """
    images, labels = np.empty((n, *size), np.uint8), np.empty(n, np.int64)
    for start in range(0, n, BLOCK):
        block = np.random.SeedSequence(seed, spawn_key=(start // BLOCK,))
        growth, exposure = map(np.random.default_rng, block.spawn(2))
        clusters = assemble(BLOCK, growth, counts)
        kept = slice(start, start + BLOCK)
        labels[kept] = clusters.counts[: n - start]
        images[kept] = expose(clusters, exposure, size)[: n - start]
    return images, labels


def frequencies(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Share of each count among clusters (Smoluchowski 1917, constant kernel), shape (k,)."""
    shares = (TIME / (1 + TIME)) ** np.asarray(counts, float)
    return shares / shares.sum()


def assemble(n: int, rng: np.random.Generator, counts: Sequence[int] = COUNTS) -> Clusters:
    """Grow clusters sphere by sphere, each where it touches one or two others and overlaps none.

    Args:
        n: Clusters.
        rng: Where the draws come from.
        counts: Numbers of spheres a cluster may have.

    Returns:
        Clusters that fit the field of view, near its middle.
    """
    ordered = np.unique(counts)
    clusters = Clusters(
        rng.choice(ordered, n, p=frequencies(ordered)),
        np.empty((n, max(COUNTS), 2)),
        np.empty((n, max(COUNTS))),
    )
    left = np.arange(n)
    while len(left):
        grown = _grow(clusters.counts[left], rng)
        clusters.centres[left], clusters.radii[left] = grown.centres, grown.radii
        left = left[_reach(grown) > FIELD / 2 - MARGIN]
    return clusters


def touching(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distance along the plane of the centres of two spheres that lie on it and touch, nm.

    Args:
        first: Radii, nm.
        second: Radii, nm, of a shape that broadcasts.
    """
    return 2 * np.sqrt(first * second)


def expose(clusters: Clusters, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Take a micrograph of each cluster.

    Args:
        clusters: What lies on the substrate.
        rng: Where gradients, probes, drifts and noise come from.
        size: Height and width, pixels.

    Returns:
        Images, shape (n, h, w), uint8.
    """
    # Coarse pixels average finer ones: no jagged edges, and less noise, as in a reduced image.
    finer = -(-round(FIELD / PIXEL) // min(size))
    height, width = size[0] * finer, size[1] * finer
    step = FIELD / min(height, width)
    y, x = (step * (np.arange(m, dtype=np.float32) - (m - 1) / 2) for m in (height, width))
    signal = _blur(_yield(clusters, x, y[:, None]), step, rng)
    slope = rng.normal(0, GRADIENT, (2, len(signal), 1, 1)).astype(np.float32)
    signal *= 1 + (slope[0] * x + slope[1] * y[:, None]) / FIELD
    dose = np.float32(DOSE * (step / PIXEL) ** 2)
    noise = rng.standard_normal(signal.shape, np.float32)
    signal += np.sqrt(np.maximum(signal, 0) / dose) * noise
    coarse = signal.reshape(-1, size[0], finer, size[1], finer).mean((2, 4))
    return (coarse * (255 / WHITE)).round().clip(0, 255).astype(np.uint8)


def _yield(clusters: Clusters, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Secondary electrons collected from each point, in yields of the flat substrate, (n, h, w)."""
    n = len(clusters.counts)
    centres, radii = clusters.centres.astype(np.float32), clusters.radii.astype(np.float32)
    z, nx, ny = np.zeros((3, n, y.size, x.size), np.float32)  # height and normal of the surface
    nz, signal, kept = np.ones((3, *z.shape), np.float32)
    step = x[1] - x[0]
    # Slot by slot, over the images that use it.
    slots = [np.flatnonzero(clusters.counts > k) for k in range(clusters.counts.max())]
    for k, rows in enumerate(slots):
        r = radii[rows, k, None, None]
        dx, dy = (a - centres[rows, k, i, None, None] for i, a in enumerate((x, y)))
        rho = np.sqrt(dx**2 + dy**2)
        cos = np.sqrt(np.maximum(1 - (rho / r) ** 2, 0))
        highest = r * (1 + cos) > z[rows]
        # A pixel that the rim crosses is covered in part, or rims would be jagged.
        covered = highest * np.clip((r - rho) / step + 0.5, 0, 1)
        glancing = 2 * ESCAPE_DEPTH / r  # cos^2 where the rim is an escape depth wide
        gold = GOLD * ((1 + glancing) / (cos**2 + glancing)) ** (TILT_POWER / 2)
        signal[rows] += covered * (gold - signal[rows])
        top = highest & (cos > 0)
        for array, value in ((z, r * (1 + cos)), (nx, dx / r), (ny, dy / r), (nz, cos)):
            array[rows] = np.where(top, value, array[rows])
    for k, rows in enumerate(slots):
        r = radii[rows, k, None, None]
        dx, dy = (centres[rows, k, i, None, None] - a for i, a in enumerate((x, y)))
        dz = r - z[rows]
        # View factor of the sphere; negative, and so none, from its own surface.
        facing = dx * nx[rows] + dy * ny[rows] + dz * nz[rows]
        distance = np.sqrt(dx**2 + dy**2 + dz**2)
        kept[rows] *= 1 - np.minimum(np.maximum(facing, 0) * r**2 / distance**3, 1)
    return signal * kept * (1 - DETECTOR * ny)  # the detector stands above the image


def _blur(signal: np.ndarray, step: float, rng: np.random.Generator) -> np.ndarray:
    """Blur by the probe, slightly astigmatic, and by drift along a line; pixels of `step` nm."""
    n, height, width = signal.shape
    probe = PROBE * rng.lognormal(0, FOCUS, (n, 2))
    path = np.asarray(rng.exponential(DRIFT, n))
    angle = rng.uniform(0, np.pi, (2, n))
    v, u = scipy.fft.fftfreq(height, step)[:, None], scipy.fft.rfftfreq(width, step)

    def along(direction):
        cos, sin = np.cos(direction)[:, None, None], np.sin(direction)[:, None, None]
        return cos * u + sin * v, cos * v - sin * u

    axes = zip(along(angle[0]), probe.T, strict=True)
    first, second = ((f * sigma[:, None, None]) ** 2 for f, sigma in axes)
    spread = first + second
    transfer = np.exp(-2 * np.pi**2 * spread) * np.sinc(along(angle[1])[0] * path[:, None, None])
    spectrum = scipy.fft.rfft2(signal) * transfer.astype(np.float32)
    return scipy.fft.irfft2(spectrum, s=(height, width))


def _grow(counts: np.ndarray, rng: np.random.Generator) -> Clusters:
    n, most = len(counts), max(COUNTS)
    radii = DIAMETER / 2 * (1 + SPREAD * rng.standard_normal((n, most)).clip(-2, 2))
    centres = np.zeros((n, most, 2))
    compact = rng.beta(0.5, 0.5, (n, 1))  # chance that a sphere settles between two others
    for k in range(1, counts.max()):
        sites, pairs, free = _sites(centres[:, :k], radii[:, : k + 1], rng)
        wanted = (rng.random((n, 1)) < compact) == pairs
        from_middle = np.linalg.norm(sites - centres[:, None, :k].mean(2), axis=-1)
        # Between two others near the middle is preferred; anywhere else chance decides.
        score = rng.random(sites.shape[:2]) + pairs * from_middle / DIAMETER + 100 * ~wanted
        best = np.argmin(np.where(free, score, np.inf), axis=1)[:, None]
        # A cluster that leaves no room is sent out of the field, and so grown anew.
        chosen = np.take_along_axis(sites, best[..., None], 1)[:, 0]
        centres[:, k] = np.where(free.any(1, keepdims=True), chosen, 1e6)
    used = (np.arange(most) < counts[:, None])[..., None]
    middle = (centres * used).sum(1, keepdims=True) / counts[:, None, None]
    shift = rng.uniform(-OFF_CENTRE, OFF_CENTRE, (n, 1, 2))
    return Clusters(counts, centres - middle + shift, radii)


def _sites(
    centres: np.ndarray, radii: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List where one more sphere may go: (n, s, 2), whether it touches two, whether it is free."""
    n, k = centres.shape[:2]
    reach = touching(radii[:, :k], radii[:, k:])  # (n, k) of the new sphere from each other
    parent = np.where(rng.random((n, 16)) < 0.7, k - 1, rng.integers(0, k, (n, 16)))
    rows = np.arange(n)[:, None]
    angle = rng.uniform(0, 2 * np.pi, (n, 16, 1))
    ring = np.concatenate([np.cos(angle), np.sin(angle)], -1)
    sites = [centres[rows, parent] + reach[rows, parent][..., None] * ring]
    i, j = np.triu_indices(k, 1)
    if len(i):
        apart = centres[:, j] - centres[:, i]  # (n, pairs, 2)
        far = np.linalg.norm(apart, axis=-1)
        along = (reach[:, i] ** 2 - reach[:, j] ** 2 + far**2) / (2 * far)
        with np.errstate(invalid="ignore"):  # NaN, and so never free: the two are too far apart
            aside = np.sqrt(reach[:, i] ** 2 - along**2)
        unit = apart / far[..., None]
        foot = centres[:, i] + along[..., None] * unit
        normal = np.stack([-unit[..., 1], unit[..., 0]], -1) * aside[..., None]
        sites += [foot + normal, foot - normal]
    sites = np.concatenate(sites, 1)
    distance = np.linalg.norm(sites[:, :, None] - centres[:, None], axis=-1)  # (n, s, k)
    free = (distance >= reach[:, None] * (1 - 1e-9)).all(2)
    return sites, np.arange(sites.shape[1]) >= 16, free


def _reach(clusters: Clusters) -> np.ndarray:
    """Farthest point of a cluster from the middle of the field, nm, shape (n,)."""
    used = np.arange(clusters.radii.shape[1]) < clusters.counts[:, None]
    farthest = np.linalg.norm(clusters.centres, axis=-1) + clusters.radii
    return np.where(used, farthest, 0).max(1)
