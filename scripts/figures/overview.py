"""Show the whole study in one row: trajectories, search, optimum, what the model learned."""

import argparse

from zbo.base import command, storage
from zbo.drawing import panels, plots

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
    search = panels.Search.read(args.space, args.design, args.iteration)
    model = storage.read(args.model, kind="model")
    mean, sd = search.last["mean"], search.last["sd"]
    with plots.style():
        figure = plots.figure(plots.PAGE, 2.1)
        axes = figure.subplots(1, 4)
        panels.families(axes[0], sampled)
        axes[0].set_title("1  sample trajectories")
        if search.grid.shape[1] == 1:
            plots.surrogate_line(axes[1], search.z, mean, sd, search.point)
        else:
            place = search.grid, search.feasible
            plots.surrogate_map(axes[1], *place, mean, "viridis", "", search.point)
            search.mark(axes[1])
        where = "latent space" if search.point == "latent" else "parameters"
        axes[1].set_title(f"2  search their {where}")
        panels.optimum(axes[2], search.beta[[search.recommended]])
        axes[2].set_title("3  take the optimum")
        if "traversal" in model:
            learned = panels.manifold(model, None, None, COLUMNS)
            plots.mosaic(axes[3], learned.images, across=learned.across, down=learned.down)
        else:
            plots.nothing(axes[3], "its training failed")
        axes[3].set_title("4  train along it")
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
