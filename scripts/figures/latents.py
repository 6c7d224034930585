"""Show what varies within classes: images in the plane of two latents, traversals beside images."""

import argparse

import numpy as np
from scipy.stats import norm
from skimage.transform import rotate

from zbo.base import command, storage
from zbo.drawing import panels, plots
from zbo.judge import answer

SIDE, STEPS, MOST = 9, 8, 6  # thumbnails a side; images along a latent; classes shown


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--classes", required=True, help="classes.csv")
    parser.add_argument("--model", required=True, help="model.h5, the model kept")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    prepared = storage.read(args.images, kind="images", without=("images",))
    found = answer.columns(args.classes)
    model = storage.read(args.model, kind="kept model")
    latents = len(model["traversal"])
    mean, sd = (
        np.stack([found[f"latent_{j + 1}{end}"] for j in range(latents)], 1) for end in ("", "_sd")
    )
    shown = panels.largest_classes(found["class"], MOST)
    across, h, w = min(latents, 2), *model["traversal"].shape[-2:]
    with plots.style():
        figure = plots.figure(plots.PAGE, 1.4 * len(shown) * max(h / w, 0.6) + 0.4)
        grid = figure.add_gridspec(len(shown), 1 + across, width_ratios=[1, *[1.6] * across])
        for i, number in enumerate(shown):
            parts = found["part"][found["class"] == number].astype(int)
            k = np.bincount(parts).argmax() - 1  # latents mean something within a part alone
            own = np.flatnonzero((found["class"] == number) & (found["part"] == k + 1))
            z = mean[own]

            def upright(index, own=own):
                """Read images of the class by number, turned upright; -1 leaves a place empty."""
                read = storage.take(args.images, "images", own[index.ravel()], kind="images")
                read = panels.upright(read, found["angle"][own[index.ravel()]])
                read[index.ravel() < 0] = np.nan
                return read.reshape(*index.shape, h, w)

            ax = figure.add_subplot(grid[i, 0])
            plots.mosaic(ax, upright(_plane(z)), (), "", "latent 1", "latent 2")
            of = f", {len(own) / len(parts):.0%} of it" if len(own) < len(parts) else ""
            ax.set_title(f"class {number:.0f}{of}", loc="left")
            # What the posteriors know beyond the prior, in nats (the KL term), says which latents
            # hold anything.
            known = (z**2 + sd[own] ** 2 - 1) / 2 - np.log(sd[own])
            taken = sorted(np.argsort(-known.mean(0), kind="stable")[:across].tolist())
            for j in taken:
                decoded = model["traversal"][j, k, ::-1]  # ascending, as the plane
                steps = np.linspace(0, len(decoded) - 1, min(STEPS, len(decoded))).round()
                decoded = decoded[steps.astype(int)]
                zero = np.rad2deg(model["classes/zero"][k])
                decoded = np.stack([rotate(one, zero, mode="edge") for one in decoded])
                rows = np.stack((decoded, upright(_beside(z, j, len(decoded)))))
                ax = figure.add_subplot(grid[i, 1 + taken.index(j)])
                title = f"latent {j + 1}: {known[:, j].mean():.2f} nats"
                plots.mosaic(ax, rows, ("decoded", "image"), title)
        panels.say_left_out(figure, found, shown)
        panels.say_simulated(figure, prepared)
        plots.save(figure, args.output)


def _plane(z: np.ndarray) -> np.ndarray:
    """Lay images out in the plane of two latents, where they lie.

    Args:
        z: Latent means, shape (n, L); of a single latent the plane is a row.

    Returns:
        Which image stands at each place, shape (SIDE, SIDE); -1 for none.
    """
    low, high = np.quantile(z, (0.02, 0.98), axis=0)
    cell = (z - low) / np.maximum(high - low, 1e-9) * SIDE
    held = np.full((SIDE if z.shape[1] > 1 else 1, SIDE), -1)
    for row in range(len(held)):
        for column in range(SIDE):
            middle = np.array([column + 0.5, SIDE - row - 0.5])[: z.shape[1]]
            off = np.abs(cell[:, :2] - middle).max(1)
            if off.min() < 0.5:
                held[row, column] = off.argmin()
    return held


def _beside(z: np.ndarray, j: int, steps: int) -> np.ndarray:
    """Choose the image nearest to each step of latent j's traversal; -1 where there is none near.

    The steps are those of `jrvae.traversal`, ascending: normal quantiles from 0.05 to 0.95, other
    latents 0.
    """
    at = np.zeros((steps, z.shape[1]))
    at[:, j] = norm.ppf(np.linspace(0.05, 0.95, steps))
    nearest = np.array([((z - one) ** 2).sum(1).argmin() for one in at])
    return np.where(np.abs(z[nearest, j] - at[:, j]) > 0.25, -1, nearest)


if __name__ == "__main__":
    command.run(main)
