"""Show the trajectory the search recommends beside what it is compared with (figure 6(c))."""

import argparse
import math

import numpy as np

from zbo.base import channels, command, storage
from zbo.drawing import panels, plots


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--optimum", required=True, help="optimum.h5")
    parser.add_argument("--schedules", nargs="*", default=[], help="best_*.h5, if compared")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    found = storage.read(args.optimum, kind="optimum")
    # As many digits as the uncertainty leaves.
    digits = [max(0, -math.floor(math.log10(sd))) for sd in found["sds"]]

    def said(values: np.ndarray) -> str:
        return ", ".join(f"{v:.{d}f}" for v, d in zip(values, digits, strict=True))

    estimated = ", ".join(
        f"{mean:.{d}f} ± {sd:.{d}f}"
        for mean, sd, d in zip(found["means"], found["sds"], digits, strict=True)
    )
    tried = found["evaluated/objectives"]
    lines = [
        (
            found["beta"],
            f"recommended: {estimated} (estimated)",
            {"color": plots.RECOMMENDED, "lw": 2},
        ),
        (
            found["evaluated/beta"][None],
            f"best of {found['trials']} trials: {said(tried[np.nanargmax(tried[:, 0])])}",
            {"color": "black", "ls": "--"},
        ),
    ]
    for number, path in enumerate(args.schedules):
        what, best = panels.schedule(path)
        reached = best["objectives"]
        label = f"{what} of {len(reached)}: {said(reached[int(best['best'])])}"
        look = {"color": plots.COLOURS[number], "ls": (":", "-.", (0, (1, 1)), (0, (5, 1)))[number]}
        lines.append((best["beta"], label, look | {"lw": 1.6}))
    with plots.style():
        figure = plots.figure(plots.COLUMN, 1.5 + 1.2 * len(channels.split(found["beta"])))
        ax = figure.subplots()
        panels.trajectories(ax, [(beta, look | {"label": label}) for beta, label, look in lines])
        legend = {"title": "objective", "loc": "outside lower left", "alignment": "left"}
        figure.legend(*ax.get_legend_handles_labels(), **legend)
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
