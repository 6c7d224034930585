"""Show the surrogate's mean and uncertainty over the latent space (the paper, figure 6(a, b))."""

import argparse

import numpy as np

from zbo import command, plots, storage


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", required=True, help="space.h5")
    parser.add_argument("--design", required=True, help="design.h5")
    parser.add_argument("--iteration", required=True, help="the last of iterations/*.h5")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    space = storage.read(args.space, kind="space")
    initial = len(storage.read(args.design, kind="candidates")["index"])
    last = storage.read(args.iteration, kind="candidates")
    z, feasible, mean, sd = space["z"], space["feasible"], last["mean"], last["sd"]
    recommended, best = int(last["best_estimated"]), int(last["best_evaluated"])
    points = [*last["observed/index"], recommended, best]
    at = z[feasible][points]
    with plots.style():
        if z.shape[1] == 1:
            figure = plots.figure(plots.PAGE, 2.8)
            axes = [figure.subplots()]
            plots.surrogate_line(axes[0], z[feasible], mean, sd)
            height = [*last["observed/objective"], mean[recommended]]
            height.append(last["observed/objective"][last["observed/index"] == best].max())
            at = np.column_stack([at[:, 0], np.nan_to_num(height, nan=np.nanmin(height))])
        else:
            figure = plots.figure(plots.PAGE, 3.1)
            axes = figure.subplots(1, 2, sharex=True, sharey=True)
            for ax, values, cmap, title in (
                (axes[0], mean, "viridis", "objective: posterior mean"),
                (axes[1], sd, "cividis", "its uncertainty: posterior standard deviation"),
            ):
                figure.colorbar(plots.surrogate_map(ax, z, feasible, values, cmap, title), ax=ax)
            axes[1].set_ylabel("")
        for ax in axes:
            plots.evaluated(ax, at[:, :2], initial, last["observed/failed"], -2, -1)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
