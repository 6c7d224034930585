"""Show how the search went: the objective of each trial and the improvement still expected."""

import argparse

import numpy as np
from matplotlib.ticker import MaxNLocator

from zbo import command, plots, storage


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--design", required=True, help="design.h5")
    parser.add_argument("--iteration", required=True, help="the last of iterations/*.h5")
    parser.add_argument("--optimum", required=True, help="optimum.h5")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    initial = len(storage.read(args.design, kind="candidates")["index"])
    last = storage.read(args.iteration, kind="candidates")
    optimum = storage.read(args.optimum, kind="candidates")
    objective, improvements = last["observed/objective"], last["improvements"]
    # The first fit knew the starting design, the last every trial; each between, one batch more.
    told = np.linspace(initial, len(objective), len(improvements))
    estimated = int(last["best_estimated"])
    mean, sd = last["mean"][estimated], last["sd"][estimated]
    with plots.style():
        figure = plots.figure(plots.PAGE * 0.7, 3.6)
        axes = figure.subplots(2, 1, sharex=True, height_ratios=[1.6, 1])
        plots.objective_history(axes[0], objective, initial, mean, sd)
        plots.improvement_history(axes[1], told, improvements, float(optimum["negligible"]))
        axes[1].set_xlabel("trials")
        figure.supxlabel(f"search ended: {optimum['stop']}", fontsize="small")
        axes[1].xaxis.set_major_locator(MaxNLocator(integer=True))
        for ax in axes:
            if ax.get_legend_handles_labels()[0]:
                ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
