"""Show the whole study in one row: trajectories, search, optimum, what the model learned."""

import argparse

import numpy as np

from zbo import command, plots, storage

COLUMNS = 6  # of the manifolds: thumbnails


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trajectories", required=True, help="trajectories.h5")
    parser.add_argument("--space", required=True, help="space.h5")
    parser.add_argument("--design", required=True, help="design.h5")
    parser.add_argument("--iteration", required=True, help="the last of iterations/*.h5")
    parser.add_argument("--model", required=True, help="models/optimum-0.h5")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    sampled = storage.read(args.trajectories, kind="trajectories")
    space = storage.read(args.space, kind="space")
    initial = len(storage.read(args.design, kind="candidates")["index"])
    last = storage.read(args.iteration, kind="candidates")
    model = storage.read(args.model, kind="model")
    z, feasible = space["z"], space["feasible"]
    best = int(last["best_estimated"])
    with plots.style():
        figure = plots.figure(plots.PAGE, 2.1)
        axes = figure.subplots(1, 4)
        for k in range(len(sampled["names"])):
            some = sampled["beta"][sampled["family"] == k][:3]
            plots.trajectories(axes[0], some, color=plots.colour_of(k), lw=0.9)
        axes[0].set(title="1  sample trajectories", xlabel="training cycle", ylabel=plots.BETA)
        if z.shape[1] == 1:
            plots.surrogate_line(axes[1], z[feasible], last["mean"], last["sd"])
        else:
            plots.surrogate_map(axes[1], z, feasible, last["mean"], "viridis", "")
            points = [*last["observed/index"], best, int(last["best_evaluated"])]
            at = z[feasible][points][:, :2]
            plots.evaluated(axes[1], at, initial, last["observed/failed"], -2, -1)
        axes[1].set_title("2  search their latent space")
        beta = space["beta"][feasible][best]
        plots.trajectories(axes[2], beta[None], color=plots.RECOMMENDED, lw=2)
        axes[2].set(title="3  take the optimum", xlabel="training cycle", ylabel=plots.BETA)
        axes[2].set_ylim(bottom=0)
        if "traversal" in model:
            images = model["traversal"][0]
            some = np.linspace(0, images.shape[1] - 1, COLUMNS).round().astype(int)
            plots.mosaic(axes[3], images[:, some], across="latent 1", down="class")
        else:
            plots.nothing(axes[3], "its training failed")
        axes[3].set_title("4  train along it")
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
