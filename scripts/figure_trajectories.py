"""Show a few sampled trajectories of each family (the paper, figures 5(a) and 8(a))."""

import argparse

from zbo import command, plots, storage

SHOWN = 5


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trajectories", required=True, help="trajectories.h5")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    sampled = storage.read(args.trajectories, kind="trajectories")
    names = sampled["names"]
    columns = min(len(names), 4)
    rows = -(-len(names) // columns)
    with plots.style():
        figure = plots.figure(0.4 + 1.65 * columns, 0.3 + 1.35 * rows)
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for number, (ax, name) in enumerate(zip(axes.flat, names, strict=False)):
            beta = sampled["beta"][sampled["family"] == number][:SHOWN]
            look = {"color": plots.colour_of(number), "lw": 0.9, "alpha": 0.8}
            plots.trajectories(ax, beta, plots.readable(name), **look)
        for ax in axes.flat[len(names) :]:
            ax.set_visible(False)
        figure.supxlabel("training cycle", fontsize="medium")
        figure.supylabel(plots.BETA, fontsize="medium")
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
