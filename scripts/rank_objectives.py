"""Ask the measuring ground how well each objective ranks models as their labels do.

Spearman's correlation with Hungarian accuracy, three ways: over all trainings; over trajectories,
each the mean of its seeds; and over the seeds of one trajectory, where only luck differs. 90 %
intervals from resampling trajectories. Beside them how far each spreads over latent points: between
the seeds of one, and between them.
"""

import numpy as np
from scipy.stats import rankdata, spearmanr
from tqdm import tqdm

from zbo.base import command, storage
from zbo.base.objectives import OBJECTIVES
from zbo.rivals import replay


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--ground", required=True, help="ground.h5")
    parser.add_argument("--judge", default="accuracy", help="label score to compare with")
    parser.add_argument("--resamples", type=int, default=500, help="bootstrap resamples")
    parser.add_argument("--output", required=True, help="objectives.csv")
    args = parser.parse_args(argv)
    table = replay.load(args.ground)
    measures = table.at()
    judge = measures[args.judge]
    rng = np.random.default_rng(args.settings["seed"])
    draws = rng.integers(0, len(judge), (args.resamples, len(judge)))
    rows = []
    ranked = {
        name: of(measures) for name, of in OBJECTIVES.items() if measures.keys() >= set(of.needs)
    } | {args.judge: judge}
    for name, objective in tqdm(ranked.items(), unit="objective"):
        row = {"objective": name, "trainings": int(np.isfinite(objective).sum())}
        seeds, trajectories = _spread(objective[~table.constant])
        row |= {"sd_of_seeds": f"{seeds:.4f}", "sd_of_trajectories": f"{trajectories:.4f}"}
        for way, correlate in WAYS.items():
            resampled = [correlate(objective[draw], judge[draw]) for draw in draws]
            low, high = np.quantile(resampled, [0.05, 0.95])
            row |= {way: f"{correlate(objective, judge):.3f}"}
            row |= {f"{way}_low": f"{low:.3f}", f"{way}_high": f"{high:.3f}"}
        rows.append(row)
    storage.write_table(args.output, rows)


def _spread(values: np.ndarray) -> tuple[float, float]:
    """Standard deviation between seeds, and between trajectories without the seeds' share."""
    count = np.isfinite(values).sum(1)
    if (several := count > 1).sum() < 2:
        return np.nan, np.nan
    noise = np.nanvar(values[several], axis=1, ddof=1)
    means = np.nanmean(values[several], axis=1)
    between = means.var(ddof=1) - np.mean(noise / count[several])
    return float(np.sqrt(noise.mean())), float(np.sqrt(max(between, 0)))


def _over_trainings(objective: np.ndarray, judge: np.ndarray) -> float:
    known = np.isfinite(objective) & np.isfinite(judge)
    return spearmanr(objective[known], judge[known]).statistic


def _over_trajectories(objective: np.ndarray, judge: np.ndarray) -> float:
    return spearmanr(np.nanmean(objective, 1), np.nanmean(judge, 1)).statistic


def _over_seeds(objective: np.ndarray, judge: np.ndarray) -> float:
    """Pool ranks within each trajectory, about their mean."""
    pairs = []
    for x, y in zip(objective, judge, strict=True):
        known = np.isfinite(x) & np.isfinite(y)
        if known.sum() > 1:
            ranks = np.stack([rankdata(x[known]), rankdata(y[known])])
            pairs.append((ranks - ranks.mean(1, keepdims=True)) / known.sum())
    x, y = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0))
    scale = np.sqrt((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / scale) if scale else np.nan


WAYS = {
    "over_trainings": _over_trainings,
    "over_trajectories": _over_trajectories,
    "over_seeds": _over_seeds,
}

if __name__ == "__main__":
    command.run(main)
