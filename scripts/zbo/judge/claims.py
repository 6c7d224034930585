"""The paper's claims as rules: what is measured, what counts as holding.

Biswas et al. 2023, Mach. Learn.: Sci. Technol. 4 015011, "the paper" below, judges by eye; here
labels judge, seed by seed. A claim is a rule on one or two studies; the rule gives a number and
one of HOLDS, PARTLY and NOT.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from zbo.base.compared import SCHEDULES
from zbo.judge import spread

HOLDS, PARTLY, NOT = "holds", "holds partly", "does not hold"
UNKNOWN = "not computed"
LEVEL = 0.9  # of every interval
MIXING = 0.05  # share of images outside their class's majority label that counts as negligible
# Columns of scores.csv.
SCORES = ("accuracy", "purity", "extracted", "rotation", "objective", "l1", "factors")
# What the paper compares; the best of several schedules made by hand are this project's controls.
WITHOUT_CLASSES = ("vanilla", "vae")


@dataclass(frozen=True)
class Study:
    """Results of one study.

    Args:
        scores: Model to score to the values of its seeds, shape (seeds,), NaN where there is none;
            seed i is the same for every model.
        optimum: The recommended trajectory, of β_c, shape (N,).
        bounds: Of the trajectories searched.
        trials: Evaluations of the search.
        stopped: Whether it stopped before its budget was spent.
        labels: Labels there are.
    """

    scores: Mapping[str, Mapping[str, np.ndarray]]
    optimum: np.ndarray
    bounds: tuple[float, float]
    trials: int
    stopped: bool
    labels: int


@dataclass(frozen=True)
class Finding:
    """Our number for a claim, and what it says about it."""

    ours: str
    verdict: str


@dataclass(frozen=True)
class Rule:
    """How a claim is judged: in words, and as a function of one study or two."""

    text: str
    judge: Callable[..., Finding]

    def __call__(self, *of: Study) -> Finding:
        try:
            return self.judge(*of)
        except KeyError as error:
            return Finding(f"no model {error.args[0]} is compared", UNKNOWN)


def interval_of_mean(values: np.ndarray) -> tuple[float, float]:
    """Student's interval of a mean at LEVEL; infinite for fewer than two values."""
    if len(values) < 2:
        return -np.inf, np.inf
    half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean() - half), float(values.mean() + half)


def rank_correlation(models: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """Spearman's correlation over all pairs and its interval at LEVEL from resampled models.

    Seeds of one model say little about how models compare, so the bootstrap draws models whole.

    Args:
        models: Of each the pairs, shape (2, seeds); those not both finite are left out.

    Returns:
        Correlation, NaN where one side is constant; lower and upper end, NaN with fewer than four
        models.
    """
    models = [pairs[:, np.isfinite(pairs).all(0)] for pairs in models]
    models = [pairs for pairs in models if pairs.size]

    def correlation(chosen: Sequence[np.ndarray]) -> float:
        x, y = np.concatenate(chosen, axis=1)
        if not np.ptp(x) or not np.ptp(y):
            return np.nan
        return float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])

    if not models or np.isnan(rho := correlation(models)):
        return np.nan, np.nan, np.nan
    if len(models) < 4:
        return rho, np.nan, np.nan
    draws = np.random.default_rng(0).integers(0, len(models), (2000, len(models)))
    again = [correlation([models[i] for i in draw]) for draw in draws if len(set(draw)) > 1]
    low, high = np.nanquantile(again, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return rho, float(low), float(high)


def correlation_in_words(rho: float, low: float, high: float) -> str:
    """Say what `rank_correlation` found."""
    if np.isnan(rho):
        return "unknown"
    return f"{rho:.2f}, too few models" if np.isnan(low) else f"{rho:.2f} [{low:.2f}, {high:.2f}]"


def judge(difference: np.ndarray) -> str:
    """HOLDS if the interval of the mean is above 0, PARTLY if only the mean is, else NOT."""
    difference = difference[np.isfinite(difference)]
    if not len(difference):
        return UNKNOWN
    if difference.mean() <= 0:
        return NOT
    return HOLDS if interval_of_mean(difference)[0] > 0 else PARTLY


def higher(score: str, of: str, than: str | None = None) -> Rule:
    """`of` has a higher score than `than`, or than every other model the paper compares."""
    return _compare(score, of, than, sign=1)


def lower(score: str, of: str, than: str | None = None) -> Rule:
    """`of` has a lower score than `than`, or than every other model the paper compares."""
    return _compare(score, of, than, sign=-1)


def _compare(score: str, of: str, than: str | None, sign: int) -> Rule:
    def rule(study: Study) -> Finding:
        one = study.scores[of]
        others = [m for m in study.scores if m not in (of, *SCHEDULES)] if than is None else [than]
        others = [m for m in others if len(_values(study, m, score))]
        if not others:
            return Finding("nothing to compare with", UNKNOWN)
        # The one that comes closest, by its mean.
        rival = max(others, key=lambda m: sign * np.nanmean(study.scores[m][score]))
        two = study.scores[rival]
        verdict = judge(sign * (one[score] - two[score]))
        return Finding(f"{_spread(one[score])} against {_spread(two[score])} ({rival})", verdict)

    word = "higher" if sign > 0 else "lower"
    return Rule(f"{score} of {of} is {word} than of {than or 'any other model'}", rule)


def extracts(model: str, least: int = 0, most: int | None = None) -> Rule:
    """`model` extracts so many labels: HOLDS in every seed, PARTLY in some, else NOT."""

    def rule(study: Study) -> Finding:
        found = _values(study, model, "extracted")
        top = study.labels if most is None else most
        right = (found >= least) & (found <= top)
        ours = f"{_spread(found, '.1f')} of {study.labels}; {right.sum()} of {len(right)} seeds"
        return Finding(ours, _share(right))

    bounds = [f"at least {least}"] * (least > 0) + [f"at most {most}"] * (most is not None)
    return Rule(f"{model} extracts {' and '.join(bounds)} labels, seed by seed", rule)


def only(model: str) -> Rule:
    """`model` extracts all labels and no other does; PARTLY if it does more often than others."""

    def rule(study: Study) -> Finding:
        share = {
            name: float((found == study.labels).mean())
            for name in study.scores
            if name not in SCHEDULES and len(found := _values(study, name, "extracted"))
        }
        own = share.pop(model)
        others = {name: often for name, often in share.items() if often}
        verdict = HOLDS if own == 1 and not others else NOT
        if verdict == NOT and own > max(share.values(), default=0):
            verdict = PARTLY
        listed = ", ".join(f"{name} {often:.0%}" for name, often in others.items()) or "none"
        return Finding(f"in {own:.0%} of its seeds; others: {listed}", verdict)

    return Rule(f"{model} extracts all labels in every seed, any other model in none", rule)


def mixes(model: str, negligibly: bool) -> Rule:
    """Images outside their class's majority label: at most MIXING of all, or more than that."""

    def rule(study: Study) -> Finding:
        mixing = 1 - _values(study, model, "purity")
        right = mixing <= MIXING if negligibly else mixing > MIXING
        ours = f"{_spread(mixing)} of the images; {right.sum()} of {len(right)} seeds"
        return Finding(ours, _share(right))

    word = "at most" if negligibly else "more than"
    return Rule(f"{model} mixes {word} {MIXING:.0%} of the images (1 - purity), seed by seed", rule)


def carries(model: str, least: float) -> Rule:
    """`model`'s continuous latents carry so many nats: HOLDS in every seed, PARTLY in some."""

    def rule(study: Study) -> Finding:
        found = _values(study, model, "factors")
        right = found >= least
        ours = f"{_spread(found, '.1f')} nats; {right.sum()} of {len(right)} seeds"
        return Finding(ours, _share(right))

    return Rule(f"the factors of {model} carry {least:g} nats or more, seed by seed", rule)


def stops_before(evaluations: int) -> Rule:
    """The search ends by its stopping rule; UNKNOWN where its budget was smaller anyway."""

    def rule(study: Study) -> Finding:
        early = study.stopped and study.trials < evaluations
        why = "by itself" if study.stopped else "with its budget spent"
        verdict = HOLDS if early else NOT
        if study.trials < evaluations and not study.stopped:
            verdict = UNKNOWN  # the budget was smaller: nothing can be said
        return Finding(f"{study.trials} evaluations, ended {why}", verdict)

    return Rule(f"the search stops by itself before {evaluations} evaluations", rule)


def follows(score: str) -> Rule:
    """Models with a higher `score` have a higher accuracy: rank correlation over their seeds."""

    def rule(study: Study) -> Finding:
        rho, low, high = rank_correlation(paired_scores(study.scores, score))
        verdict = HOLDS if low > 0 else PARTLY if rho > 0 else NOT
        return Finding(correlation_in_words(rho, low, high), UNKNOWN if np.isnan(low) else verdict)

    return Rule(f"rank correlation of {score} and accuracy over models and seeds is above 0", rule)


def cools() -> Rule:
    """The optimum falls with the cycles: correlation with their number below -0.5."""

    def rule(study: Study) -> Finding:
        rho = float(stats.spearmanr(np.arange(len(study.optimum)), study.optimum).statistic)
        verdict = HOLDS if rho < -0.5 else PARTLY if rho < 0 else NOT
        return Finding(f"{rho:.2f}", verdict)

    return Rule("rank correlation of the optimum's β and its cycle is below -0.5", rule)


def differs() -> Rule:
    """Two optima, as shares of their bounds, correlate below 0.5 and are 0.1 apart on average."""

    def rule(study: Study, other: Study) -> Finding:
        share = np.linspace(0, 1, 200)
        one, two = (
            np.interp(share, np.linspace(0, 1, len(s.optimum)), s.optimum) for s in (study, other)
        )
        one, two = (
            (beta - s.bounds[0]) / (s.bounds[1] - s.bounds[0])
            for beta, s in ((one, study), (two, other))
        )
        rho = float(stats.spearmanr(one, two).statistic)
        apart = float(np.abs(one - two).mean())
        met = (rho < 0.5) + (apart > 0.1)
        ours = f"correlation {rho:.2f}, {apart:.2f} apart"
        return Finding(ours, (NOT, PARTLY, HOLDS)[met])

    return Rule(
        "as shares of their bounds, the optima's rank correlation is below 0.5 and they are more "
        "than 0.1 apart on average",
        rule,
    )


def gains_more(score: str, of: str, over: str) -> Rule:
    """The gain of one model over another is larger in the first study than in the second."""

    def rule(study: Study, other: Study) -> Finding:
        first, second = (s.scores[of][score] - s.scores[over][score] for s in (study, other))
        count = min(len(first), len(second))
        ours = f"{_spread(first)} against {_spread(second)}"
        return Finding(ours, judge(first[:count] - second[:count]))

    return Rule(f"{score} of {of} less that of {over} is higher with the first study", rule)


def paired_scores(scores: Mapping[str, Mapping[str, np.ndarray]], score: str) -> list[np.ndarray]:
    """A score and the accuracy of every seed, shape (2, seeds), of each model with classes."""
    return [
        np.stack([of_model[score], of_model["accuracy"]])
        for name, of_model in scores.items()
        if name not in WITHOUT_CLASSES
    ]


def _values(study: Study, model: str, score: str) -> np.ndarray:
    values = study.scores[model][score]
    return values[np.isfinite(values)]


def _share(right: np.ndarray) -> str:
    if not len(right):
        return UNKNOWN
    return HOLDS if right.all() else PARTLY if right.any() else NOT


def _spread(values: np.ndarray, form: str = ".2f") -> str:
    return spread.in_words(values, form) or "none"
