"""Show a few sampled trajectories of each family (the paper, figures 5(a) and 8(a))."""

import argparse

from zbo.base import channels, command, storage
from zbo.drawing import plots

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
    split = channels.split(sampled["beta"])
    with plots.style():
        figure = plots.figure(0.4 + 1.65 * columns, 0.3 + 1.35 * rows * len(split))
        # Where a trajectory holds beta_d, too, it is drawn below its beta_c.
        axes = figure.subplots(rows * len(split), columns, sharex=True, squeeze=False)
        for place, ax in enumerate(axes.flat):
            row, column = divmod(place, columns)
            number, channel = row // len(split) * columns + column, row % len(split)
            if number >= len(names):
                ax.set_visible(False)
                continue
            if place != channel * columns:
                ax.sharey(axes[channel, 0])
                ax.tick_params(labelleft=column == 0)
            beta = split[channel][sampled["family"] == number][:SHOWN]
            look = {"color": plots.colour_of(number), "lw": 0.9, "alpha": 0.8}
            title = plots.readable(names[number]) if channel == 0 else ""
            plots.trajectories(ax, beta, title, **look)
            ax.set_ylabel(plots.CHANNELS[channel] if column == 0 else "")
        figure.supxlabel("training cycle", fontsize="medium")
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
