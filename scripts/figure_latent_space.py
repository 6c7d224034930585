"""Show the latent space of trajectories and what three of its points decode to (figure 5(b-e))."""

import argparse

import numpy as np
from matplotlib.axes import Axes

from zbo import command, plots, storage


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trajectories", required=True, help="trajectories.h5")
    parser.add_argument("--trajectory-vae", required=True, help="trajectory_vae.h5")
    parser.add_argument("--space", required=True, help="space.h5")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    sampled = storage.read(args.trajectories, kind="trajectories")
    encoded = storage.read(args.trajectory_vae, kind="trajectory_vae")["encoded"]
    space = storage.read(args.space, kind="space")
    z, feasible = space["z"], space["feasible"]
    chosen = _examples(z, feasible, encoded)
    with plots.style():
        figure = plots.figure(plots.PAGE, 3.6)
        grid = figure.add_gridspec(len(chosen), 2, width_ratios=[1.9, 1])
        map_ax = figure.add_subplot(grid[:, 0])
        plots.latent_space(map_ax, encoded, sampled["family"], sampled["names"], z, feasible)
        _mark(map_ax, z[chosen])
        handles, words = map_ax.get_legend_handles_labels()
        figure.legend(handles, words, loc="outside upper left", ncols=5)
        first = None
        for row, (letter, index) in enumerate(zip("ABC", chosen, strict=True)):
            first = ax = figure.add_subplot(grid[row, 1], sharex=first, sharey=first)
            plots.trajectories(ax, space["beta"][[index]], color="black")
            ax.set_title(letter, loc="left", weight="bold")
            ax.set_ylabel(plots.BETA)
            ax.tick_params(labelbottom=row == len(chosen) - 1)
        first.set_ylim(bottom=0)
        ax.set_xlabel("training cycle")
        plots.save(figure, args.output)


def _mark(ax: Axes, points: np.ndarray) -> None:
    look = {"boxstyle": "circle,pad=0.25", "facecolor": "white", "linewidth": 0.8}
    for letter, point in zip("ABC", points, strict=True):
        x, y = (*point[:2], 0)[:2]  # a single latent has no second
        ax.text(x, y, letter, ha="center", va="center", weight="bold", bbox=look)


def _examples(z: np.ndarray, feasible: np.ndarray, encoded: np.ndarray) -> list[int]:
    """Choose the feasible points nearest to a triangle around the encoded trajectories."""
    angles = np.deg2rad([170, 290, 50])
    corners = np.repeat(encoded.mean(0)[None], len(angles), axis=0)
    around = 1.4 * encoded.std(0)[:2] * np.column_stack([np.cos(angles), np.sin(angles)])
    corners[:, :2] += around[:, : z.shape[1]]
    distance = np.linalg.norm((z - corners[:, None]) / encoded.std(0), axis=-1)
    return [int(index) for index in np.where(feasible, distance, np.inf).argmin(1)]


if __name__ == "__main__":
    command.run(main)
