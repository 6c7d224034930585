"""Families of trajectories, by name: functions that sample how β evolves over training.

A family is a function `(samples, cycles, bounds, generator) -> (samples, cycles)`. Register one of
your own under a name, or name it in the study file by import path (`my_module:my_family`).
The paper uses linear cooldown and random segments (MNIST) and periodic (nanoparticles); parameter
ranges are those of the authors' scripts, as shares of the bounds and of the cycles, each parameter
drawn by itself where the scripts sweep all four of the cooldown together. The others are ours, in
the logarithm of β, since what a factor of β changes is alike over decades: the schedules people use
by hand (warm-up, cycles) and those in which classes part first and factors are learned afterwards.

Where β_d is searched as well, a family is called once more with β_d's bounds: it always samples one
of the two, and need not know which.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.random import Generator
from scipy.special import ndtri

from zbo.base import channels
from zbo.base.channels import Bounds, Range
from zbo.base.errors import InputError
from zbo.base.own import by_path

Family = Callable[[int, int, Range, np.random.Generator], np.ndarray]

FAMILIES: dict[str, Family] = {}


def register(family: Family) -> Family:
    """Register a family under its function's name."""
    FAMILIES[family.__name__] = family
    return family


def sample(
    names: list[str], per_family: int, cycles: int, bounds: Bounds, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sample trajectories from several families (Biswas et al. 2023, table 1, step 1).

    Those of β_d come from the same families, dealt out at random: any family of β_c meets any of
    β_d. With `constant` among them, what a search of β_c alone can find is sampled, too.

    Args:
        names: Families, registered names or import paths.
        per_family: Trajectories a family.
        cycles: N, values a trajectory.
        bounds: Smallest and largest β, dimensionless; of β_c and of β_d where both are searched.
        seed: Of the study; each family draws from its own stream.

    Returns:
        β, shape (s, N) or (s, 2, N), s = len(names) * per_family, float32; and the index into
        `names` of the family of each β_c, shape (s,), int64.

    Raises:
        InputError: If a family is unknown, or gives another shape or values that are not finite.
    """
    samples = [
        np.concatenate(
            [_draw(name, per_family, cycles, of, [seed, i, k]) for i, name in enumerate(names)]
        )
        for k, of in enumerate(channels.each(bounds))
    ]
    dealing = np.random.default_rng([seed, len(names)])  # a stream that is no family's
    samples[1:] = [dealing.permutation(beta_d) for beta_d in samples[1:]]
    return channels.join(samples), np.repeat(np.arange(len(names)), per_family)


def named(name: str) -> Family:
    """Find a family by its registered name or import path.

    Raises:
        InputError: If there is none.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    if ":" not in name:
        known = ", ".join(FAMILIES)
        raise InputError(
            f"trajectories.families: there is no family '{name}'; choose from {known}, "
            "or give module:function"
        )
    return by_path(name, "trajectories.families")


def _draw(name: str, samples: int, cycles: int, bounds: Range, seed: list[int]) -> np.ndarray:
    """Draw one channel's trajectories, shape (samples, N), from one family."""
    drawn = named(name)(samples, cycles, bounds, np.random.default_rng(seed))
    beta = np.asarray(drawn, dtype=np.float32)
    if beta.shape != (samples, cycles) or not np.isfinite(beta).all():
        raise InputError(
            f"trajectories.families: '{name}' gave shape {beta.shape}, "
            f"{np.isfinite(beta).mean():.0%} of it finite; expected {(samples, cycles)}, all"
        )
    return beta


def parameters(name: str, cycles: int, bounds: Range) -> int:
    """Count what a family draws at random of a trajectory, its noise apart.

    Raises:
        InputError: As `of_quantiles`.
    """
    counting = _Quantiles()
    named(name)(1, cycles, bounds, cast(Generator, counting))
    return counting.used


def of_quantiles(name: str, quantiles: np.ndarray, cycles: int, bounds: Range) -> np.ndarray:
    """Make the trajectories that a family would draw, had chance given these quantiles.

    Args:
        name: Of the family, registered or an import path.
        quantiles: In [0, 1], shape (m, d), in the order in which the family draws, d at least
            `parameters`; what more there is has no effect. Noise is left out.
        cycles: N.
        bounds: Smallest and largest β.

    Returns:
        Shape (m, N), float32.

    Raises:
        InputError: If the family draws in a way that has no quantiles.
    """
    family = named(name)
    drawn = [family(1, cycles, bounds, cast(Generator, _Quantiles(row)))[0] for row in quantiles]
    return np.asarray(drawn, dtype=np.float32)


class _Quantiles:
    """A generator that gives quantiles of one trajectory instead of chance; noise is none."""

    def __init__(self, values: np.ndarray | None = None) -> None:
        self.values, self.used = values, 0  # None: counts what is asked for

    def _next(self, size: int | tuple[int, ...] | None, *parameters) -> np.ndarray:
        shape = np.broadcast_shapes(*map(np.shape, parameters)) if size is None else size
        first, self.used = self.used, self.used + int(np.prod(shape))
        if self.values is None:
            return np.full(shape, 0.5)
        if self.used > len(self.values):
            raise InputError(
                "trajectories.families: a family draws now more, now less of a trajectory; draw "
                "as much of each"
            )
        return self.values[first : self.used].reshape(shape)

    def random(self, size=None) -> np.ndarray:
        return self._next(size)

    def uniform(self, low=0.0, high=1.0, size=None) -> np.ndarray:
        return low + (high - low) * self._next(size, low, high)

    def integers(self, low, high=None, size=None) -> np.ndarray:
        low, high = (0, low) if high is None else (low, high)
        drawn = low + np.floor((high - low) * self._next(size, low, high))
        return np.minimum(drawn, high - 1).astype(int)

    def lognormal(self, mean=0.0, sigma=1.0, size=None) -> np.ndarray:
        quantile = np.clip(self._next(size, mean, sigma), 0.01, 0.99)
        return np.exp(mean + sigma * ndtri(quantile))

    def normal(self, loc=0.0, scale=1.0, size=None) -> np.ndarray:
        shape = np.broadcast_shapes(np.shape(loc), np.shape(scale)) if size is None else size
        return np.broadcast_to(loc, shape)

    def __getattr__(self, name: str):
        raise InputError(
            f"trajectories.families: a family draws with rng.{name}, which has no quantiles to "
            "choose; draw with random, uniform, integers, lognormal or normal"
        )


def rescale(beta: np.ndarray, bounds: Range) -> np.ndarray:
    """Scale each trajectory so that its smallest and largest values are the bounds."""
    low, high = beta.min(1, keepdims=True), beta.max(1, keepdims=True)
    return bounds[0] + (beta - low) / (high - low) * (bounds[1] - bounds[0])


def transfer(beta: np.ndarray, of: Bounds, cycles: int, bounds: Bounds) -> np.ndarray:
    """Stretch trajectories of one problem to the cycles and bounds of another (figure B2).

    Args:
        beta: KL scale factors, shape (s, n) or (s, 2, n), dimensionless.
        of: Bounds they were searched in.
        cycles: N of the other problem.
        bounds: Its bounds; what lies a share of the range above `of[0]` comes to lie that share
            of the other range above `bounds[0]`.

    Returns:
        Shape (s, N), or (s, 2, N) where both problems search β_d; the first and last cycles
        correspond, those between are interpolated.
    """
    parts = []
    at = np.linspace(0, beta.shape[-1] - 1, cycles)
    ranges = zip(channels.split(beta), channels.each(of), channels.each(bounds), strict=False)
    for values, old, new in ranges:
        resampled = np.stack([np.interp(at, np.arange(values.shape[1]), one) for one in values])
        share = (resampled - old[0]) / (old[1] - old[0])
        parts.append(new[0] + share * (new[1] - new[0]))
    return channels.join(parts)


@register
def linear_cooldown(samples: int, cycles: int, bounds: Range, rng: np.random.Generator):
    """Hold a high β, cool it linearly to a low one, stay there (figure 5(a)).

    Start in 60..100 %, stop in 2..10 % of the upper bound (not below the lower), held for up to a
    sixth of the training, cooled over up to two thirds of it.
    """
    low, high = bounds
    start = rng.uniform(0.6, 1.0, (samples, 1)) * high
    stop = np.maximum(rng.uniform(0.02, 0.1, (samples, 1)) * high, low)
    hold = rng.uniform(1 / 120, 20 / 120, (samples, 1)) * cycles
    cooling = rng.uniform(1 / 120, 80 / 120, (samples, 1)) * cycles
    progress = np.clip((np.arange(cycles) - hold) / cooling, 0, 1)
    return np.maximum(start + progress * (stop - start), low)


@register
def segments(samples: int, cycles: int, bounds: Range, rng: np.random.Generator):
    """Join random values by straight lines over two random knots, with noise (figure 5(a)).

    Values uniform in the bounds, knots uniform over the training, noise with a standard deviation
    of 2 % of the bounds' range, clipped to them.
    """
    low, high = bounds
    knots = np.sort(rng.uniform(0, 1, (samples, 2)), axis=1)
    at = np.column_stack([np.zeros(samples), knots, np.ones(samples)])
    values = rng.uniform(low, high, (samples, 4))
    when = np.linspace(0, 1, cycles)
    beta = np.stack([np.interp(when, *line) for line in zip(at, values, strict=True)])
    return np.clip(beta + rng.normal(0, 0.02 * (high - low), beta.shape), low, high)


@register
def periodic(samples: int, cycles: int, bounds: Range, rng: np.random.Generator):
    """Oscillate: A exp(αx) cos(ωx) + Bx on x in 0..2, each rescaled to the bounds (figure 8(a)).

    A lognormal(1, 1), α in -2..2, ω in 8..14, B in -1..1.
    """
    x = np.linspace(0, 2, cycles)
    amplitude = rng.lognormal(1, 1, (samples, 1))
    growth = rng.uniform(-2, 2, (samples, 1))
    frequency = rng.uniform(8, 14, (samples, 1))
    drift = rng.uniform(-1, 1, (samples, 1))
    beta = amplitude * np.exp(growth * x) * np.cos(frequency * x) + drift * x
    return rescale(beta, bounds)


@register
def late_cooldown(samples: int, cycles: int, bounds: Range, rng: np.random.Generator):
    """Hold a high β for up to 70 % of the training, let it fall 5 to 50 times, stay there.

    Start log-uniform in the upper half of the bounds' decades; the fall is straight in log β and
    takes 5 % of the training or more; never below the lower bound.
    """
    low, high = np.log(bounds)
    start = rng.uniform((low + high) / 2, high, (samples, 1))
    stop = np.maximum(start - rng.uniform(np.log(5), np.log(50), (samples, 1)), low)
    hold = rng.uniform(0, 0.7, (samples, 1))
    falling = rng.uniform(0.05, 1 - hold)
    progress = np.clip((np.linspace(0, 1, cycles) - hold) / falling, 0, 1)
    return np.clip(np.exp(start + progress * (stop - start)), *bounds)


@register
def warmup(samples: int, cycles: int, bounds: Range, rng: np.random.Generator):
    """Raise β linearly from the lower bound, then hold it.

    Linear warm-up (Bowman et al. 2016, Sønderby et al. 2016). The height is log-uniform in the
    bounds, reached after 5 to 80 % of the training.
    """
    low, high = bounds
    top = np.exp(rng.uniform(np.log(low), np.log(high), (samples, 1)))
    rising = rng.uniform(0.05, 0.8, (samples, 1))
    progress = np.clip(np.linspace(0, 1, cycles) / rising, 0, 1)
    return np.clip(low + progress * (top - low), low, high)


@register
def cyclical(samples: int, cycles: int, bounds: Range, rng: np.random.Generator):
    """Raise β linearly from the lower bound and hold it, again and again (Fu et al. 2019).

    Two to eight times, rising for 25 to 100 % of each, to a height log-uniform in the bounds.
    """
    low, high = bounds
    top = np.exp(rng.uniform(np.log(low), np.log(high), (samples, 1)))
    times = rng.integers(2, 9, (samples, 1))
    rising = rng.uniform(0.25, 1, (samples, 1))
    phase = np.arange(cycles) / cycles * times % 1
    return np.clip(low + np.minimum(phase / rising, 1) * (top - low), low, high)


@register
def monotone(samples: int, cycles: int, bounds: Range, rng: np.random.Generator):
    """Rise or fall throughout: six values log-uniform in the bounds, sorted, joined in log β."""
    low, high = np.log(bounds)
    values = np.sort(rng.uniform(low, high, (samples, 6)), axis=1)
    values = np.where(rng.random((samples, 1)) < 0.5, values, values[:, ::-1])
    when, at = np.linspace(0, 1, cycles), np.linspace(0, 1, 6)
    joined = np.stack([np.interp(when, at, one) for one in values])
    return np.clip(np.exp(joined), *bounds)


@register
def constant(samples: int, cycles: int, bounds: Range, rng: np.random.Generator):
    """Keep one β throughout, uniform in the bounds: what a search over trajectories has to beat."""
    return np.repeat(rng.uniform(*bounds, (samples, 1)), cycles, axis=1)
