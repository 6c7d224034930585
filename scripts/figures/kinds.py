"""Show how well seeds agree on 2, 3, ... classes, and what these tell about the images."""

import argparse

import numpy as np
from matplotlib.ticker import MaxNLocator

from zbo.base import command, storage
from zbo.drawing import plots


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", required=True, help="kinds.csv")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    rows = storage.read_table(args.kinds)
    numbers = [name for name in rows[0] if name != "why"]
    columns = {name: np.array([float(row[name]) for row in rows]) for name in numbers}
    (why,) = (row["why"] for row in rows if row["why"])
    classes, taken = columns["classes"], columns["recommended"] == 1
    with plots.style():
        figure = plots.figure(plots.PAGE, 2.8)
        axes = figure.subplots(1, 2)
        for ax, name in zip(axes, ("agreement", "information"), strict=True):
            line = {"fmt": "o-", "ms": 4, "capsize": 2, "color": plots.COLOURS[0]}
            ax.errorbar(classes, columns[name], columns[f"{name}_sd"], label="mean ± sd", **line)
            look = {"marker": "*", "ms": 11, "color": plots.RECOMMENDED, "ls": "none", "zorder": 4}
            ax.plot(classes[taken], columns[name][taken], label="recommended", **look)
            ax.set_xlabel("classes")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0].set_ylabel("agreement of seeds (ARI)")
        axes[1].set_ylabel("information of image and class, nats")
        most = {"color": plots.GREY, "ls": "--", "lw": 1, "label": "most there can be"}
        axes[1].plot(classes, np.log(classes), **most)
        axes[1].legend(loc="lower right")
        figure.supxlabel(f"{classes[taken][0]:.0f} classes: {why}", fontsize="small")
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
