"""Show how the search went: the objective of each trial and the improvement still expected."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from zbo.base import command, storage
from zbo.drawing import plots


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--design", required=True, help="design.h5")
    parser.add_argument("--iteration", required=True, help="the last of iterations/*.h5")
    parser.add_argument("--optimum", required=True, help="optimum.h5")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    initial = len(storage.read(args.design, kind="design")["index"])
    last = storage.read(args.iteration, kind="iteration")
    optimum = storage.read(args.optimum, kind="optimum")
    ended = f"search ended: {optimum['stop']}"
    draw(args.output, last["observed/objective"], initial, last, ended, optimum["negligible"])


def draw(
    outputs: Sequence[str | Path],
    objective: np.ndarray,
    initial: int,
    last: Mapping[str, Any] | None,
    ended: str,
    negligible: float = 0,
) -> None:
    """Draw the course of a search, also of one that goes on.

    Args:
        outputs: Where to, .pdf and .png.
        objective: Of each trial, NaN if it failed, shape (t,).
        initial: Trials of the starting design, the first ones.
        last: Datasets of the last iteration; None if there is none yet.
        ended: Under the figure: how the search ended.
        negligible: Expected improvement that counts as none, units of the objective; 0 if unknown.
    """
    with plots.style():
        figure = plots.figure(plots.PAGE * 0.7, 3.6 if last else 2.4)
        rows = 2 if last else 1
        axes = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=[1.6, 1][:rows])
        axes = axes[:, 0]
        objective_history(axes[0], objective, initial)
        if last:
            estimated = int(last["best_estimated"])
            recommended(axes[0], len(objective), last["mean"][estimated], last["sd"][estimated])
            # The first fit knew the starting design, the last all that it was told; each between,
            # one batch more.
            improvements = last["improvements"]
            told = np.linspace(initial, len(last["observed/objective"]), len(improvements))
            improvement_history(axes[1], told, improvements, float(negligible))
        axes[-1].set_xlabel("trials")
        figure.supxlabel(ended, fontsize="small")
        axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        for ax in axes:
            if ax.get_legend_handles_labels()[0]:
                ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        plots.save(figure, outputs)


def objective_history(ax: Axes, objective: np.ndarray, initial: int) -> None:
    """Draw the objective of each trial in order, and the best so far.

    Args:
        ax: Where.
        objective: Of each trial, NaN if it failed, shape (t,).
        initial: Trials of the starting design, the first ones.
    """
    trial = np.arange(1, len(objective) + 1)
    failed = np.isnan(objective)
    ax.axvspan(0.5, initial + 0.5, color="0.93", lw=0, label="starting design")
    ax.plot(trial, objective, "o", ms=3, color=plots.COLOURS[0], zorder=3, label="trial")
    ax.step(trial, np.fmax.accumulate(objective), where="post", color="black", label="best so far")
    if failed.any():
        bottom = ax.get_xaxis_transform()
        y = np.full(failed.sum(), 0.03)
        look = {"color": plots.FAILED, "mec": "black", "mew": 0.7, "ms": 5}
        ax.plot(trial[failed], y, "X", transform=bottom, label=f"{failed.sum()} failed", **look)
    ax.set_xlim(0.5, max(initial, len(objective)) + 0.5)
    ax.set_ylabel("objective")


def recommended(ax: Axes, trials: int, mean: float, sd: float) -> None:
    """Draw what is estimated behind the last trial.

    Args:
        ax: Where.
        trials: How many there are.
        mean: Posterior mean at the recommended point, units of the objective.
        sd: Posterior standard deviation there.
    """
    end = trials + 1 + trials // 25
    look = {"fmt": "*", "ms": 8, "capsize": 2, "color": plots.RECOMMENDED}
    ax.errorbar(end, mean, sd, label="recommended, ± sd", **look)
    ax.set_xlim(0.5, end + (end - 1) * 0.03)


def improvement_history(
    ax: Axes, told: np.ndarray, improvement: np.ndarray, negligible: float
) -> None:
    """Draw the largest expected improvement at each iteration, and what counts as negligible.

    Args:
        ax: Where.
        told: Trials the iteration knew, shape (k,).
        improvement: Shape (k,), units of the objective.
        negligible: The stopping threshold, same units; 0 if there is none.
    """
    # An improvement of 0 has no place on a logarithmic axis.
    shown = np.where(improvement > 0, improvement, np.nan)
    ax.plot(told, shown, "o-", ms=3, color=plots.COLOURS[0])
    if np.isfinite(shown).any():
        ax.set_yscale("log")
        top = max(np.nanmax(shown), negligible)
        if ax.get_ylim()[0] < 1e-6 * top:  # it may fall to 1e-100; the rest has to stay in sight
            ax.set_ylim(1e-6 * top, 3 * top)
    else:
        plots.nothing(ax, "none left")
    if negligible > 0:
        ax.axhline(negligible, color=plots.GREY, ls="--", lw=1, label="stops below")
    ax.set_ylabel("expected\nimprovement")


if __name__ == "__main__":
    command.run(main)
