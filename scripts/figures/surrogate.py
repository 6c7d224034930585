"""Show the surrogate's mean and uncertainty over the search space (the paper, figure 6(a, b))."""

import argparse

import numpy as np

from zbo.base import command
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
        if search.grid.shape[1] == 1:
            figure = plots.figure(plots.PAGE, 2.8)
            ax = figure.subplots()
            plots.surrogate_line(ax, search.z, search.last["mean"], search.last["sd"], search.point)
            search.mark(ax, _on_the_line(search))
        else:
            figure = plots.figure(plots.PAGE, 3.1)
            axes = figure.subplots(1, 2, sharex=True, sharey=True)
            panels.maps(figure, axes, search)
            axes[0].set_title("objective: posterior mean")
            axes[1].set_title("its uncertainty: posterior standard deviation")
            ax = axes[0]
            axes[1].set_ylabel("")
        handles, labels = ax.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        plots.save(figure, args.output)


def _on_the_line(search: panels.Search) -> np.ndarray:
    """Place the trials at their objective, failed ones at the lowest, the rest as `mark` asks."""
    last, recommended, best = search.last, search.recommended, search.best
    height = [*last["observed/objective"], last["mean"][recommended]]
    height.append(last["observed/objective"][last["observed/index"] == best].max())
    at = search.z[[*last["observed/index"], recommended, best], 0]
    return np.column_stack([at, np.nan_to_num(height, nan=np.nanmin(height))])


if __name__ == "__main__":
    command.run(main)
