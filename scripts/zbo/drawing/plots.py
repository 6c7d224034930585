"""One function a panel, one shared style.

A panel draws arrays on the Axes it is given; the scripts figure_*.py choose panels and sizes.
Figures are made without pyplot, so that they need no display and hold no global state.
"""

import logging
import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from zbo.base import storage
from zbo.judge.scores import called as in_words

logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every glyph

# Okabe and Ito's colours, told apart by colour-blind readers too, less the pale yellow.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
RECOMMENDED, FAILED = "#D55E00", "#CC79A7"
GREY = "0.55"
INFEASIBLE = "0.85"
Look = dict[str, Any]  # keywords of a panel's marks
COLUMN, PAGE = 3.3, 7.0  # widths of one column and of two, inches
BETA = r"$\beta_c$"
CHANNELS = BETA, r"$\beta_d$"  # of a trajectory
SCORES = {  # columns of scores.csv
    "accuracy": "accuracy",
    "ari": "ARI",
    "nmi": "NMI",
    "purity": "purity",
    "objective": "objective",
    "loss": "loss (lower is better)",
}
STYLE: Any = {  # matplotlib has a type of its own for each key
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
}


def style() -> AbstractContextManager:
    """Give the style every figure is drawn and saved in."""
    return rc_context(STYLE)


def figure(width: float, height: float) -> Figure:
    """Start a figure, sizes in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def save(drawn: Figure, paths: Sequence[str | Path]) -> None:
    """Write a figure to each path, whole or not at all; the same figure gives the same bytes.

    Args:
        drawn: The figure.
        paths: Where to; the suffix says how (.pdf, .png).
    """
    undated = {".pdf": {"CreationDate": None}, ".png": {"Software": None}}
    for path in map(Path, paths):
        with storage.whole(path) as beside:
            drawn.savefig(beside, format=path.suffix[1:], metadata=undated.get(path.suffix))


def called(model: str, classes: int = 1) -> str:
    """Say what a row of scores.csv is, as figures do; without classes a jrVAE is an rVAE."""
    return symbols(in_words(model, classes))


def symbols(label: str) -> str:
    """Set the symbols of a label of the library's tables as the paper does."""
    for plain, set_in_italics in (("β_c", BETA), ("ℓ1", r"$\ell_1$"), ("ℓ2", r"$\ell_2$")):
        label = label.replace(plain, set_in_italics)
    return label


def letter(ax: Axes, name: str, title: str = "") -> None:
    """Call a panel (a), (b), ... over its left corner, beside its title."""
    ax.set_title(rf"$\mathbf{{({name})}}$ {title}", loc="left")


def colour_of(number: int) -> str:
    """Give the colour of family number so and so."""
    return COLOURS[number % len(COLOURS)]


def readable(name: str) -> str:
    """Turn a family's name into words, be it registered or a person's own "module:function"."""
    return name.rpartition(":")[2].replace("_", " ")


def mosaic(
    ax: Axes,
    images: np.ndarray,
    rows: Sequence[str] = (),
    title: str = "",
    across: str = "",
    down: str = "",
) -> None:
    """Draw images in rows and columns, white between them.

    Args:
        ax: Where.
        images: Shape (rows, columns, h, w), in [0, 1]; NaN leaves a place empty.
        rows: What to call each row, if anything.
        title: Over the images.
        across: Under the images: what changes from left to right.
        down: Beside the images: what the rows are called after.
    """
    count, columns, h, w = images.shape
    gap = max(1, round(max(h, w) / 12))
    tiles = np.pad(images, ((0, 0), (0, 0), (0, gap), (0, gap)), constant_values=np.nan)
    page = tiles.swapaxes(1, 2).reshape(count * (h + gap), columns * (w + gap))
    ax.imshow(page[:-gap, :-gap], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    if len(rows):
        ax.set_yticks(np.arange(count) * (h + gap) + (h - 1) / 2, rows)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(title)
    ax.set_xlabel(across)
    ax.set_ylabel(down)


def scale_bar(ax: Axes, pixel: float, across: float, beside: bool = False) -> None:
    """Draw a bar of a round length: 1, 2 or 5 times a power of ten.

    Args:
        ax: Where, a picture shown pixel by pixel.
        pixel: Side of a pixel as it is shown, nm.
        across: Longest that the bar may be, pixels.
        beside: Draw it below the picture, not into its corner.
    """
    longest = pixel * across
    power = 10.0 ** math.floor(math.log10(longest))
    bar = max(step * power for step in (1, 2, 5) if step * power <= longest * 1.0001)
    place: dict[str, Any] = {"loc": "lower left"}
    if beside:
        place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": ax.transAxes}
    drawn = AnchoredSizeBar(
        ax.transData, bar / pixel, length(bar), pad=0.3, sep=2, borderpad=0.3, **place
    )
    drawn.txt_label.get_children()[0].set(fontsize="small")
    drawn.size_bar.get_children()[0].set(facecolor="black", edgecolor="black", linewidth=1)
    drawn.patch.set(alpha=0 if beside else 0.8, linewidth=0)
    ax.add_artist(drawn)


def length(nm: float) -> str:
    """Write a length as a person would: 50 pm, 20 nm, 5 µm, 1 mm."""
    for unit, factor in (("mm", 1e6), ("µm", 1e3), ("nm", 1.0)):
        if nm >= factor * 0.9999:
            return f"{nm / factor:.3g} {unit}"
    return f"{nm * 1e3:.3g} pm"


def trajectories(ax: Axes, beta: np.ndarray, title: str = "", **line) -> None:
    """Draw trajectories over the training cycles.

    Args:
        ax: Where.
        beta: KL scale factors of one channel, shape (s, N), dimensionless.
        title: Over the panel.
        **line: Looks of the lines.
    """
    ax.plot(np.arange(1, beta.shape[1] + 1), beta.T, **line)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))
    ax.set_title(title)


def latent_space(
    ax: Axes,
    encoded: np.ndarray,
    family: np.ndarray,
    names: Sequence[str],
    z: np.ndarray,
    feasible: np.ndarray,
) -> None:
    """Draw the encoded training trajectories over the search space (the paper, figure 5(b)).

    In two dimensions the infeasible region is grey; in more, the first two are shown without it; a
    single one is spread out by family.

    Args:
        ax: Where.
        encoded: Latent means of the training trajectories, shape (s, d).
        family: Of each, shape (s,).
        names: Of the families.
        z: Points of the search space, shape (m, d).
        feasible: Which of them may be searched, shape (m,), bool.
    """
    if z.shape[1] == 2:
        blocked = np.where(feasible, np.nan, 1.0)
        ax.pcolormesh(*_grid(z, blocked), cmap=ListedColormap([INFEASIBLE]), rasterized=True)
    # Shuffled: drawn one after another, the last family would hide the others.
    order = np.random.default_rng(0).permutation(len(encoded))
    shown = encoded[order, :2] if encoded.shape[1] > 1 else _spread(encoded, family)[order]
    colours = [colour_of(number) for number in family[order]]
    size = np.clip(4000 / len(encoded), 1.5, 12)
    x, y = shown.T
    ax.scatter(x, y, c=colours, s=size, alpha=0.6, linewidths=0, rasterized=True)
    for number, name in enumerate(names):
        ax.scatter([], [], c=colour_of(number), s=16, label=readable(name))
    if z.shape[1] == 2 and not feasible.all():
        ax.fill([], [], color=INFEASIBLE, label="infeasible")
    name_axes(ax, z.shape[1])
    if z.shape[1] == 1:
        ax.set_yticks([])
        ax.set_ylabel("family")


def name_axes(ax: Axes, dimensions: int, point: str = "latent") -> None:
    """Name the axes of a search space, saying so if only two of its dimensions are shown."""
    of = f" of {dimensions}" if dimensions > 2 else ""
    ax.set_xlabel(f"{point} 1{of}")
    ax.set_ylabel(f"{point} 2{of}")


def surrogate_map(
    ax: Axes,
    z: np.ndarray,
    feasible: np.ndarray,
    values: np.ndarray,
    cmap: str,
    title: str,
    point: str = "latent",
) -> ScalarMappable:
    """Draw a map over the search space, infeasible cells grey (the paper, figure 6(a, b)).

    In more than two dimensions, points over the first two, the highest on top.

    Args:
        ax: Where.
        z: Points of the search space, shape (m, d), d at least 2.
        feasible: Which of them were searched, shape (m,), bool.
        values: Of the feasible points, in their order, shape (feasible.sum(),).
        cmap: Colour map.
        title: Over the panel.
        point: What the coordinates of a point are.

    Returns:
        What a colour bar is made of.
    """
    if z.shape[1] == 2:
        cells = np.full(len(z), np.nan)
        cells[feasible] = values
        ax.set_facecolor(INFEASIBLE)
        drawn = ax.pcolormesh(*_grid(z, cells), cmap=cmap, rasterized=True)
    else:
        order = np.argsort(values)
        x, y = z[feasible][order, :2].T
        drawn = ax.scatter(x, y, c=values[order], s=4, lw=0, cmap=cmap, rasterized=True)
    name_axes(ax, z.shape[1], point)
    ax.set_title(title)
    return drawn


def surrogate_line(
    ax: Axes, z: np.ndarray, mean: np.ndarray, sd: np.ndarray, point: str = "latent"
) -> None:
    """Draw a one-dimensional surrogate, mean and two standard deviations (the paper, figure 3).

    Args:
        ax: Where.
        z: Feasible points, shape (m, 1).
        mean: Posterior mean there, shape (m,), units of the objective.
        sd: Posterior standard deviation, shape (m,), the same units.
        point: What the coordinate of a point is.
    """
    order = np.argsort(z[:, 0])
    band(ax, z[order, 0], mean[order], sd[order])
    ax.set_xlabel(f"{point} 1")
    ax.set_ylabel("objective")


def band(ax: Axes, x: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> None:
    """Draw a mean and two standard deviations on either side of it."""
    ax.fill_between(x, mean - 2 * sd, mean + 2 * sd, color=COLOURS[0], alpha=0.2, lw=0)
    ax.plot(x, mean, color=COLOURS[0], label="posterior mean, ± 2 sd")


def evaluated(
    ax: Axes, at: np.ndarray, initial: int, failed: np.ndarray, recommended: int, best: int
) -> None:
    """Mark the trials in the search space, or over it.

    Args:
        ax: Where.
        at: Places, shape (t + 2, 2): the trials in order, the recommended point, the best trial.
        initial: Trials of the starting design, the first ones.
        failed: Which trials failed, shape (t,), bool.
        recommended: Index into `at` of the recommended point.
        best: Index into `at` of the best trial.
    """
    started = np.arange(len(failed)) < initial
    small: Look = {"s": 14, "linewidths": 0.7, "zorder": 3, "clip_on": False}
    for chosen, label, look in (
        (started & ~failed, "starting design", {"c": "white", "edgecolors": "black"}),
        (~started & ~failed, "iterations", {"c": "black", "edgecolors": "white"}),
        (failed, "failed", {"c": FAILED, "edgecolors": "black", "marker": "X", "s": 26}),
    ):
        if chosen.any():
            x, y = at[: len(failed)][chosen].T
            ax.scatter(x, y, label=label, **small | look)
    ring: Look = {"facecolors": "none", "edgecolors": RECOMMENDED, "linewidths": 1.4}
    x, y = at[best]
    ax.scatter(x, y, marker="D", s=50, label="best trial", zorder=4, clip_on=False, **ring)
    star: Look = {"c": RECOMMENDED, "edgecolors": "white", "linewidths": 0.7, "clip_on": False}
    x, y = at[recommended]
    ax.scatter(x, y, marker="*", s=110, label="recommended", zorder=5, **star)


def strip(ax: Axes, values: Sequence[np.ndarray], title: str, colours: Sequence[str] = ()) -> None:
    """Draw every seed's score, one row a model from the top, the mean as a bar.

    Args:
        ax: Where.
        values: Scores of each model, each of shape (seeds,), NaN where there is none.
        title: Over the panel: which score.
        colours: Of each row, if not one after the other.
    """
    for row, scores in enumerate(values):
        scores = scores[np.isfinite(scores)]
        if not len(scores):
            middle = ax.get_yaxis_transform()
            ax.text(0.5, row, "none", transform=middle, ha="center", va="center", color=GREY)
            continue
        colour = colours[row] if colours else colour_of(row)
        beside = row + (np.linspace(-0.16, 0.16, len(scores)) if len(scores) > 1 else np.zeros(1))
        ax.plot(scores, beside, "o", ms=3.5, mec="none", alpha=0.7, color=colour)
        if len(scores) > 1:
            ax.plot([scores.mean()] * 2, [row - 0.32, row + 0.32], color="black", lw=1.4)
    ax.set_ylim(len(values) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=3))
    ax.margins(x=0.12)
    ax.grid(axis="x", color="0.92", lw=0.6)
    ax.set_axisbelow(True)
    ax.set_title(title)


def nothing(ax: Axes, why: str, title: str = "") -> None:
    """Leave a panel empty and say why."""
    ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", va="center", color=GREY)
    ax.set_yticks([])
    ax.set_title(title)


def empty(why: str) -> Figure:
    """Make a figure that says why there is nothing to show."""
    made = figure(PAGE, 0.6)
    ax = made.subplots()
    nothing(ax, why)
    ax.set_axis_off()
    return made


def read_scores(
    path: str | Path, columns: Iterable[str] = SCORES
) -> dict[str, dict[str, np.ndarray]]:
    """Read scores.csv.

    Args:
        path: The file.
        columns: Scores to read.

    Returns:
        Model, in the file's order, to score to the values of its seeds, shape (seeds,), NaN where
        there is none.

    Raises:
        InputError: If the file is missing.
    """
    models: dict[str, dict[str, list[float]]] = {}
    for row in storage.read_table(path):
        of_model = models.setdefault(row["model"], {score: [] for score in columns})
        for score, values in of_model.items():
            values.append(float(row[score] or "nan"))
    return {
        model: {score: np.array(values) for score, values in scores.items()}
        for model, scores in models.items()
    }


def _grid(z: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # The two-dimensional search space is a full grid, first latent slowest (trajectory_vae).
    side = math.isqrt(len(z))
    x, y = z[::side, 0], z[:side, 1]
    return x, y, np.ma.masked_invalid(values.reshape(side, side).T)


def _spread(encoded: np.ndarray, family: np.ndarray) -> np.ndarray:
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(family))
    return np.column_stack([encoded[:, 0], family + jitter])
