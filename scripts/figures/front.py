"""Show what a search traded: classes against factors, and what models learned along the front."""

import argparse

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from zbo.base import command, storage
from zbo.base.objectives import OBJECTIVES
from zbo.base.settings import ObjectiveSettings
from zbo.drawing import panels, plots
from zbo.search import evaluation, optimize, pareto
from zbo.trainer import jrvae

LETTERS = "abc"
ACROSS = 6  # images along a latent


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", required=True, help="space.h5")
    parser.add_argument("--design", required=True, help="design.h5")
    parser.add_argument("--iteration", required=True, help="the last of iterations/*.h5")
    parser.add_argument("--trials", required=True, nargs="+", help="those of the search, in order")
    parser.add_argument("--schedules", nargs="*", default=[], help="best_*.h5, if compared")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    search = panels.Search.read(args.space, args.design, args.iteration)
    made = storage.facts(args.iteration, kind="iteration")["settings"]["objective"]
    scoring = ObjectiveSettings(**made)
    model = evaluation.model_in(args.trials[0], kind="trial")
    pair = shown_of(scoring, model.classes)
    found = measured(search.last, "observed/", scoring, pair)
    mean, sd, front = posterior(search, scoring, pair, found)
    # The ends of the front, and between them what is, or would have been, taken from it.
    floors = [model.latent_dim if name == "factors" else None for name in pair]
    taken = search.recommended if "means" in search.last else pareto.recommended(mean, sd, floors)
    places = nearest(found, mean[[front[-1], taken, front[0]]])
    with plots.style():
        figure = plots.figure(plots.PAGE, 3.7)
        left, right = figure.subfigures(1, 2, width_ratios=[1.2, 1])
        ax = left.subplots()
        draw_front(ax, mean[front], sd[front])
        for number, path in enumerate(args.schedules):
            what, best = panels.schedule(path)
            look = {"color": plots.COLOURS[number + 1], "marker": "s^vD"[number], "ms": 3.5}
            tried = measured(best, "", scoring, pair)
            ax.plot(*tried.T[::-1], label=f"{what.removeprefix('best ')}, tried", lw=0.8, **look)
        mark_trials(ax, search, found, mean)
        for letter, at in zip(LETTERS, places, strict=True):
            look = {"boxstyle": "circle,pad=0.2", "facecolor": "white", "linewidth": 0.8}
            where = {"xytext": (9, 9), "textcoords": "offset points", "weight": "bold"}
            ax.annotate(letter, found[at, ::-1], bbox=look, zorder=6, **where)
        ax.set_ylabel(words(pair[0]))
        ax.set_xlabel(words(pair[1]))
        left.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=3)
        for ax, letter, at in zip(right.subplots(1, len(places)), LETTERS, places, strict=True):
            learned = decoded(args.trials[at], model)
            plots.mosaic(ax, learned.images, (), "", learned.across)
            plots.letter(ax, letter)
        plots.save(figure, args.output)


def shown_of(scoring: ObjectiveSettings, classes: int) -> tuple[str, str]:
    """Name the two measures to show: those searched for, or what classes tell, and factors."""
    maximized = [scoring.names[k] for k in pareto.maximized(scoring.floors)]
    if len(maximized) < 2:
        return "information" if classes > 1 else maximized[0], "factors"
    first, second = sorted(maximized, key="factors".__eq__)
    return first, second


def measured(
    data: dict[str, np.ndarray], where: str, scoring: ObjectiveSettings, pair: tuple[str, str]
) -> np.ndarray:
    """Read both measures of trials or of a schedule's forms, shape (t, 2), NaN where one failed."""
    of = dict(zip(scoring.names, data[f"{where}objectives"].T, strict=True))
    return np.stack([of.get(name, data.get(f"{where}{name}")) for name in pair], 1)


def posterior(
    search: panels.Search, scoring: ObjectiveSettings, pair: tuple[str, str], found: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give what the surrogates say of both measures, and the front.

    A search for another objective has asked for neither surrogate: they are fitted here.

    Returns:
        Posterior means and standard deviations at the feasible points, shape (m, 2) each; indices
        of the points on the front of the means, the first measure rising.
    """
    if set(pair) <= set(scoring.names):
        columns = [scoring.names.index(name) for name in pair]
        mean, sd = search.last["means"][:, columns], search.last["sds"][:, columns]
    else:
        optimizer = optimize.Optimizer(search.z, optimize.Settings(), seed=0)
        for told in zip(search.last["observed/index"], found, strict=True):
            optimizer.tell(*told)
        mean, sd = optimizer.fit().mean, optimizer.fit().sd
    front = np.flatnonzero(pareto.non_dominated(mean))
    return mean, sd, front[np.argsort(mean[front, 0])]


def nearest(found: np.ndarray, places: np.ndarray) -> list[int]:
    """Choose for each place (p, 2) the trial nearest to it, each once; as many as there are."""
    left = np.isfinite(found).all(1)
    chosen: list[int] = []
    unit = found[left].std(0) if left.any() else 1
    for place in places[: left.sum()]:
        apart = np.square((found - place) / np.maximum(unit, 1e-12)).sum(1)
        chosen.append(int(np.where(left, apart, np.inf).argmin()))
        left[chosen[-1]] = False
    return chosen


def draw_front(ax: Axes, mean: np.ndarray, sd: np.ndarray) -> None:
    """Draw posterior means along a front (f, 2) over ellipses of their standard deviations."""
    for (y, x), (high, wide) in zip(mean, sd, strict=True):
        ax.add_patch(Ellipse((x, y), 2 * wide, 2 * high, color="#cfe2ef", lw=0, zorder=0.5))
    ax.plot(mean[:, 1], mean[:, 0], color=plots.COLOURS[0], label="front, ± sd")


def mark_trials(ax: Axes, search: panels.Search, found: np.ndarray, mean: np.ndarray) -> None:
    """Mark each trial that worked and, at its posterior mean, what is recommended."""
    worked = np.isfinite(found).all(1)
    best = found[search.last["observed/index"] == search.best][:1]
    at = np.concatenate([found[worked], mean[[search.recommended]], best])[:, ::-1]
    initial = int(worked[: search.initial].sum())
    plots.evaluated(ax, at, initial, np.zeros(worked.sum(), dtype=bool), -2, -1)


def words(name: str) -> str:
    """Call a measure in words, a person's own by its function's name."""
    return plots.symbols(OBJECTIVES[name].label) if name in OBJECTIVES else plots.readable(name)


def decoded(path: str, model: jrvae.ModelSettings) -> panels.Mosaic:
    """Decode what the first replicate of a trial learned."""
    trial, _ = evaluation.read_trial(path)
    kept = {name: values[0] for name, values in trial.kept.items()}
    network = evaluation.network(kept, model)
    kept["traversal"] = jrvae.traversal(network, ACROSS)
    kept["manifolds"] = jrvae.manifolds(network, ACROSS)
    return panels.manifold(kept, None, None, ACROSS)


if __name__ == "__main__":
    command.run(main)
