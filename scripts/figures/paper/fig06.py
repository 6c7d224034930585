"""Show where a search ended: mean, uncertainty, optimal trajectory (the paper, figure 6)."""

import argparse

from zbo.base import channels, command
from zbo.drawing import panels, plots


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", required=True, help="space.h5")
    parser.add_argument("--design", required=True, help="design.h5")
    parser.add_argument("--iteration", required=True, help="the last of iterations/*.h5")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    search = panels.Search.read(args.space, args.design, args.iteration)
    with plots.style():
        figure = plots.figure(plots.PAGE, 2.5)
        right = 0.75 + 0.25 * len(channels.split(search.beta))
        axes = figure.subplots(1, 3, width_ratios=[1.15, 1.15, right])
        panels.maps(figure, axes[:2], search)
        axes[1].set_ylabel("")
        panels.optimum(axes[2], search.beta[[search.recommended]])
        plots.letter(axes[0], "a", "objective, mean")
        plots.letter(axes[1], "b", "objective, sd")
        plots.letter(axes[2], "c", "recommended")
        handles, words = axes[0].get_legend_handles_labels()
        figure.legend(handles, words, loc="outside lower center", ncols=len(words))
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
