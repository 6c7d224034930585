"""Show how objectives rank the measuring ground's trainings beside how their labels do."""

import argparse

import numpy as np
from scipy.stats import spearmanr

from zbo.base import command
from zbo.base.objectives import OBJECTIVES
from zbo.drawing import plots
from zbo.rivals import replay

SHOWN = ("l1", "elbo", "information")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ground", required=True, help="ground.h5")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    table = replay.load(args.ground)
    measures = table.at()
    with plots.style():
        figure = plots.figure(plots.PAGE, 2.6)
        axes = figure.subplots(1, len(SHOWN), sharey=True)
        for ax, name, letter in zip(axes, SHOWN, "abc", strict=True):
            values, accuracy = OBJECTIVES[name](measures), measures["accuracy"]
            known = np.isfinite(values) & np.isfinite(accuracy)
            for constant, label, colour in (
                (False, "latent points", plots.COLOURS[0]),
                (True, "constants", plots.COLOURS[1]),
            ):
                of = known & (table.constant == constant)[:, None]
                ax.plot(values[of], accuracy[of], "o", ms=2, mec="none", alpha=0.6, color=colour)
                ax.plot([], [], "o", ms=4, mec="none", color=colour, label=label)
            rank = spearmanr(values[known], accuracy[known]).statistic
            plots.letter(ax, letter, f"rank correlation {rank:.2f}")
            ax.set_xlabel(plots.symbols(OBJECTIVES[name].label))
        axes[0].set_ylabel("accuracy")
        axes[0].legend(loc="lower right")
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
