"""zBO and its rivals at equal cost: each a few lines, over one interface.

A search is a function `(arena, budget) -> iterator`: it trains through `arena.train(beta)` until
the budget is spent and gives, after each training or batch of them, what it believes. What it
recommends follows from that: of one objective the highest, of two the most of the first where the
second reaches a floor. Which searches know two, `zbo.base.searches` says.
"""

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
import optuna
import torch

from zbo.base.channels import Range
from zbo.base.errors import InputError
from zbo.rivals.arena import Arena, Belief
from zbo.search import optimize
from zbo.search.optimize import Optimizer
from zbo.trajectories import families, schedules, space

optuna.logging.set_verbosity(optuna.logging.WARNING)

Search = Callable[[Arena, int], Iterator[Belief]]

_GRID = 100  # of a space other than the latent one: as many points as that has by default
START = 10  # trainings by chance or design before a search begins to learn


def random_search(recommend: str = "lucky") -> Search:
    """Train random points of the latent space, one seed each.

    Args:
        recommend: As of `zbo`; the mean, whose fit takes a while, at every fifth training.
    """

    def search(arena: Arena, budget: int) -> Iterator[Belief]:
        points = arena.rng.permutation(len(arena.z))[:budget]
        optimizer = Optimizer(arena.z, optimize.Settings(stop_threshold=0), seed=0)
        for point in points:
            optimizer.tell(point, arena.train(arena.beta[point]))
            if recommend == "lucky":
                yield arena.luck
            elif arena.spent == len(points) or (arena.spent >= START and arena.spent % 5 == 0):
                yield Belief(arena.beta, optimizer.fit().mean)

    return search


def lottery(told: Belief) -> Search:
    """Train seed after seed along trajectories whose worth it is told: only seeds are chosen.

    Args:
        told: Of one objective the best constant; of two all: each floor has a best of its own.
    """

    def search(arena: Arena, budget: int) -> Iterator[Belief]:
        while arena.spent < budget:
            arena.train(told.beta[len(arena.values) % len(told.beta)])
            yield told

    return search


def by_hand(schedule: str, count: int = 8, explore: float = 0.5) -> Search:
    """Try forms of a schedule in turn; then, of one objective, seed after seed of the best.

    Args:
        schedule: One of `zbo.trajectories.schedules`.
        count: Forms, their heights evenly spaced in log β.
        explore: Share of the budget after which only the one of the highest mean is trained; of two
            objectives each floor has a best of its own, and all are trained to the end.
    """

    def search(arena: Arena, budget: int) -> Iterator[Belief]:
        beta = schedules.forms(schedule, arena.bounds, arena.beta.shape[1], count)
        found: list[list] = [[] for _ in beta]
        best = 0
        while arena.spent < budget:
            exploring = arena.objectives > 1 or arena.spent < explore * budget
            turn = len(arena.values) % count if exploring else best
            value = arena.train(beta[turn])
            if np.isfinite(value).all():
                found[turn].append(value)
            unknown = np.full_like(value, np.nan)
            means = np.stack([np.mean(values, 0) if values else unknown for values in found])
            best = int(np.argmax(np.nan_to_num(means.reshape(count, -1)[:, 0], nan=-np.inf)))
            yield Belief(beta, means)

    return search


def zbo(
    replicates: int = 1,
    recommend: str = "mean",
    explore: float = 1,
    train: Callable[[Arena, np.ndarray], float | np.ndarray] = Arena.train,
    **changes,
) -> Search:
    """Run `zbo.search.optimize.Optimizer` over the latent space.

    Args:
        replicates: Trainings of each point it asks for.
        recommend: "mean", by posterior means, or "lucky", by what single points have shown.
        explore: Share of the budget after which it trains only what it recommends, with more seeds.
        train: How a trajectory is trained; NaN counts as the worst seen.
        **changes: Of `optimize.Settings`.

    Raises:
        InputError: If the budget does not pay the two points that a surrogate needs.
    """

    def search(arena: Arena, budget: int) -> Iterator[Belief]:
        if budget < 2 * replicates:
            raise InputError(
                f"rivals.budget: {budget} do not pay two points of {replicates} trainings each; "
                f"raise it to {2 * replicates} or more"
            )
        chosen = {"initial": START, "iterations": budget, "stop_threshold": 0} | changes
        chosen["initial"] = min(chosen["initial"], budget // replicates)
        settings = optimize.Settings(**chosen)
        optimizer = Optimizer(arena.z, settings, int(arena.rng.integers(2**31)))
        while (left := int((budget - arena.spent) // replicates)) and not optimizer.stopped:
            if arena.spent >= explore * budget:
                asked = [optimizer.best_estimated]
            else:
                asked = optimizer.ask()
            for index in asked[:left]:
                values = np.array([train(arena, arena.beta[index]) for _ in range(replicates)])
                variance = values.var(0, ddof=1) / replicates if replicates > 1 else np.nan
                optimizer.tell(index, values.mean(0), variance)
            if recommend == "mean":
                yield Belief(arena.beta, optimizer.fit().mean)
            else:
                seen = np.array(optimizer.observed.objective)
                values = seen[:, 0] if arena.objectives == 1 else seen
                yield Belief(arena.beta[optimizer.observed.index], values)

    return search


def within(lay_out: Callable[[Arena, np.ndarray], np.ndarray], dimensions: int) -> Search:
    """Run `zbo` over other coordinates of a trajectory than the latents of a VAE.

    Args:
        lay_out: Makes trajectories, shape (m, N), of points in the unit cube, shape (m, d).
        dimensions: d.
    """

    def search(arena: Arena, budget: int) -> Iterator[Belief]:
        seed = int(arena.rng.integers(2**31))
        arena.z = space.laid_out(np.zeros(dimensions), np.ones(dimensions), _GRID, seed)
        arena.beta = lay_out(arena, arena.z)
        yield from zbo()(arena, budget)

    return search


def at_knots(arena: Arena, points: np.ndarray) -> np.ndarray:
    """Take points for log β at evenly spaced cycles, from bound to bound."""
    low, high = np.log(arena.bounds)
    return np.stack([joined(one, arena.beta.shape[1]) for one in low + points * (high - low)])


def of_cooldown(arena: Arena, points: np.ndarray) -> np.ndarray:
    """Take points for what a late cooldown is drawn of: height, fall, hold and pace."""
    return _of_family(arena, "late_cooldown", points)


def sampler(
    make: Callable[[int], optuna.samplers.BaseSampler],
    suggest: Callable[[optuna.Trial, Arena], np.ndarray],
) -> Search:
    """Run one of Optuna's samplers; it believes what it has seen.

    Args:
        make: Makes the sampler from a seed.
        suggest: Makes a trajectory of what a trial suggests.
    """

    def search(arena: Arena, budget: int) -> Iterator[Belief]:
        chance = make(int(arena.rng.integers(2**31)))
        study = optuna.create_study(directions=["maximize"] * arena.objectives, sampler=chance)
        while arena.spent < budget:
            trial = study.ask()
            values = np.array(arena.train(suggest(trial, arena)), ndmin=1)
            failed = None if np.isfinite(values).all() else optuna.trial.TrialState.FAIL
            study.tell(trial, None if failed else values.tolist(), state=failed)
            yield arena.luck

    return search


def family_parameters(trial: optuna.Trial, arena: Arena) -> np.ndarray:
    """Suggest a family and what it would draw at random, each as a quantile."""
    name = trial.suggest_categorical("family", arena.families)
    chosen = [trial.suggest_float(f"{name}-{i}", 0, 1) for i in range(_parameters(arena, name))]
    return _of_family(arena, name, np.array([chosen]))[0]


def flat_family_parameters(trial: optuna.Trial, arena: Arena) -> np.ndarray:
    """Suggest the same for samplers without choices: the family is one more quantile."""
    choice = int(trial.suggest_float("family", 0, 1) * len(arena.families))
    most = max(_parameters(arena, name) for name in arena.families)
    chosen = [trial.suggest_float(f"{i}", 0, 1) for i in range(most)]
    name = arena.families[min(choice, len(arena.families) - 1)]
    return _of_family(arena, name, np.array([chosen]))[0]


def _parameters(arena: Arena, name: str) -> int:
    bounds = cast(Range, arena.bounds)  # of one channel: these searches know no other
    return families.parameters(name, arena.beta.shape[1], bounds)


def _of_family(arena: Arena, name: str, quantiles: np.ndarray) -> np.ndarray:
    bounds = cast(Range, arena.bounds)
    return families.of_quantiles(name, quantiles, arena.beta.shape[1], bounds)


def knots(count: int | None = None) -> Callable[[optuna.Trial, Arena], np.ndarray]:
    """Suggest β, in its logarithm, at evenly spaced cycles and join them; at each cycle by None."""

    def suggest(trial: optuna.Trial, arena: Arena) -> np.ndarray:
        cycles = arena.beta.shape[1]
        values = [
            trial.suggest_float(f"{i}", *arena.bounds, log=True) for i in range(count or cycles)
        ]
        return joined(np.log(values), cycles)

    return suggest


def joined(log_beta: np.ndarray, cycles: int) -> np.ndarray:
    """Join values of log β at evenly spaced cycles by straight lines, shape (cycles,)."""
    at = np.linspace(0, len(log_beta) - 1, cycles)
    return np.exp(np.interp(at, np.arange(len(log_beta)), log_beta))


def turbo(initial: int = 10, patience: int = 4, candidates: int = 512) -> Search:
    """Search all N values of log β inside a trust region (TuRBO, Eriksson et al. 2019).

    The region lies about the best point, as wide as 0.8 of the space at first; `patience` failures
    in a row halve it, three successes double it. The next point is the best of a Thompson sample
    over candidates that differ from the best point in about 20 coordinates.
    """

    def search(arena: Arena, budget: int) -> Iterator[Belief]:
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from gpytorch.mlls import ExactMarginalLogLikelihood

        cycles = arena.beta.shape[1]
        low, high = np.log(arena.bounds)
        sobol = torch.quasirandom.SobolEngine(
            cycles, scramble=True, seed=int(arena.rng.integers(2**31))
        )

        def decode(one: np.ndarray) -> np.ndarray:
            return np.exp(low + one * (high - low))

        x, length, streak = list(sobol.draw(initial).numpy().astype(float)), 0.8, 0
        for one in x[:budget]:
            arena.train(decode(one))
            yield arena.luck
        while arena.spent < budget:
            values = np.array(arena.values)
            values = np.where(np.isfinite(values), values, np.nanmin(values))
            seen, y = torch.tensor(np.array(x)), torch.tensor(values)[:, None]
            model = SingleTaskGP(seen, y)
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            best = x[arena.best]
            box = np.clip([best - length / 2, best + length / 2], 0, 1)
            inside = box[0] + sobol.draw(candidates).numpy() * (box[1] - box[0])
            moved = arena.rng.random(inside.shape) < min(1, 20 / cycles)
            pool = np.where(moved, inside, best)
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(arena.rng.integers(2**31)))
                drawn = model.posterior(torch.tensor(pool)).rsample(torch.Size([1]))
            x.append(pool[int(drawn.argmax())])
            before = np.nanmax(arena.values)
            value = arena.train(decode(x[-1]))
            streak = max(streak, 0) + 1 if value > before else min(streak, 0) - 1
            if streak in (3, -patience):
                length = min(length * 2, 1.6) if streak > 0 else length / 2
                streak = 0
            yield arena.luck

    return search


# Those of `zbo.base.searches` that work on an arena alone.
SEARCHES: dict[str, Search] = {
    "random": random_search(),
    "random-mean": random_search(recommend="mean"),
    "zbo": zbo(),
    "zbo-paper": zbo(surrogate="paper", acquisition="ei", design="random", recommend="lucky"),
    "zbo-seeds": zbo(explore=0.5),
    "zbo-knots": within(at_knots, 5),
    "zbo-cooldown": within(of_cooldown, 4),
    "constants": by_hand("constant"),
    "warmup": by_hand("warmup"),
    "cyclical": by_hand("cyclical"),
    "cooldown": by_hand("cooldown"),
    "tpe": sampler(
        lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=START),
        family_parameters,
    ),
    "cma-es": sampler(
        lambda seed: optuna.samplers.CmaEsSampler(
            seed=seed, popsize=8, warn_independent_sampling=False
        ),
        flat_family_parameters,
    ),
    "bo-knots": sampler(
        lambda seed: optuna.samplers.GPSampler(seed=seed, n_startup_trials=START), knots(5)
    ),
    "bo-cycles": sampler(
        lambda seed: optuna.samplers.GPSampler(seed=seed, n_startup_trials=START), knots()
    ),
    "turbo": turbo(START),
}
