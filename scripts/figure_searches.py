"""Show zBO and its rivals at equal cost: replayed on the measuring ground, and run for real.

Left and middle, mean over replays with the 90 % interval of the mean; right, a point a run.
"""

import argparse

import numpy as np

from zbo import command, plots, storage

NAMES = {
    "zbo": "zBO",
    "zbo-paper": "zBO, the paper's fit",
    "zbo-seeds": "zBO, then seeds",
    "random-mean": "random points, surrogate",
    "random": "random points, luckiest",
    "tpe": "TPE on family parameters",
    "cma-es": "CMA-ES on family parameters",
    "bo-knots": "BO on 5 knots",
    "bo-cycles": "BO on all cycles",
    "turbo": "trust region, all cycles",
    "population": "population based",
    "constants": "constants, then seeds",
    "lottery": "seed lottery, best constant",
    "lottery, beta 1": rf"seed lottery, {plots.BETA} = 1",
}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replayed", required=True, help="searches-*.csv")
    parser.add_argument("--rivals", required=True, help="rivals.csv")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    replayed, runs = (storage.read_table(path) for path in (args.replayed, args.rivals))
    shown, ran = (
        [name for name in NAMES if any(row["search"] == name for row in rows)]
        for rows in (replayed, runs)
    )
    every = dict.fromkeys([*shown, *ran])
    colours = {name: plots.colour_of(number) for number, name in enumerate(every)}
    with plots.style():
        figure = plots.figure(plots.PAGE, 3.4)
        axes = figure.subplots(1, 3, width_ratios=[1, 1, 0.8])
        for ax, what, letter in zip(axes, ("recommended", "kept"), "ab", strict=False):
            for name in shown:
                rows = [row for row in replayed if row["search"] == name]
                cost, mean, error = (
                    np.array([float(row[key]) for row in rows])
                    for key in ("trainings", what, f"{what}_error")
                )
                dashed = "--" if name.startswith("lottery") else "-"
                ax.plot(cost, mean, dashed, color=colours[name], label=NAMES[name])
                ax.fill_between(cost, mean - error, mean + error, color=colours[name], alpha=0.2)
            ax.set_xlabel("trainings")
            plots.letter(ax, letter, f"{what}, replayed")
        axes[0].set_ylabel("accuracy")
        axes[1].sharey(axes[0])
        values = [
            np.array([float(row["recommended"]) for row in runs if row["search"] == name])
            for name in ran
        ]
        plots.strip(axes[2], values, "", [colours[name] for name in ran])
        axes[2].set_xlabel("accuracy")
        axes[2].set_yticks(range(len(ran)), [NAMES[name] for name in ran])
        axes[2].yaxis.tick_right()
        plots.letter(axes[2], "c", "recommended, trained")
        handles, words = axes[0].get_legend_handles_labels()
        figure.legend(handles, words, loc="outside lower center", ncols=4)
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
