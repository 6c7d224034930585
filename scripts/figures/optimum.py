"""Show the trajectory the search recommends beside what it is compared with (figure 6(c))."""

import argparse
import math

import numpy as np

from zbo.base import channels, command, storage
from zbo.drawing import panels, plots


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--optimum", required=True, help="optimum.h5")
    parser.add_argument("--best-constant", nargs="?", help="best_constant.h5, if compared")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    found = storage.read(args.optimum, kind="optimum")
    digits = max(0, -math.floor(math.log10(found["sd"])))  # as many as the uncertainty leaves
    lines = [
        (
            found["beta"],
            f"recommended: {found['mean']:.{digits}f} ± {found['sd']:.{digits}f} (estimated)",
            {"color": plots.RECOMMENDED, "lw": 2},
        ),
        (
            found["evaluated/beta"][None],
            f"best of {found['trials']} trials: "
            f"{np.nanmax(found['evaluated/objective']):.{digits}f}",
            {"color": "black", "ls": "--"},
        ),
    ]
    if args.best_constant:
        constant = storage.read(args.best_constant, kind="best_constant")
        objective = constant["objective"]
        look = {"color": plots.COLOURS[0], "ls": ":", "lw": 1.6}
        label = f"best of {len(objective)} constants: {np.nanmax(objective):.{digits}f}"
        lines.append((constant["beta"], label, look))
    with plots.style():
        figure = plots.figure(plots.COLUMN, 1.5 + 1.2 * len(channels.split(found["beta"])))
        ax = figure.subplots()
        panels.trajectories(ax, [(beta, look | {"label": label}) for beta, label, look in lines])
        legend = {"title": "objective", "loc": "outside lower left", "alignment": "left"}
        figure.legend(*ax.get_legend_handles_labels(), **legend)
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
