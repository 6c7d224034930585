"""Show the latent space of trajectories and what three of its points decode to (figure 5(b-e))."""

import argparse

from zbo.base import channels, command, storage
from zbo.drawing import panels, plots


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trajectories", required=True, help="trajectories.h5")
    parser.add_argument("--trajectory-vae", required=True, help="trajectory_vae.h5")
    parser.add_argument("--space", required=True, help="space.h5")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    panels.need_latents(args.space)

    sampled = storage.read(args.trajectories, kind="trajectories")
    encoded = storage.read(args.trajectory_vae, kind="trajectory_vae")["encoded"]
    space = storage.read(args.space, kind="space")
    z, feasible = space["z"], space["feasible"]
    chosen = panels.examples(z, feasible, encoded)
    with plots.style():
        figure = plots.figure(plots.PAGE, 3.6)
        right = len(channels.split(space["beta"]))
        grid = figure.add_gridspec(len(chosen), 2, width_ratios=[1.9, right])
        map_ax = figure.add_subplot(grid[:, 0])
        plots.latent_space(map_ax, encoded, sampled["family"], sampled["names"], z, feasible)
        panels.name_points(map_ax, z[chosen], "ABC")
        handles, words = map_ax.get_legend_handles_labels()
        figure.legend(handles, words, loc="outside upper left", ncols=5)
        cells = [grid[row, 1] for row in range(len(chosen))]
        axes = panels.decoded(figure, cells, space["beta"][chosen])
        for ax, letter in zip(axes, "ABC", strict=True):
            ax.set_title(letter, loc="left", weight="bold")
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
