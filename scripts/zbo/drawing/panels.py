"""Panels that several figures share, each made of a study's files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from zbo.base import channels, files, storage
from zbo.base.compared import named
from zbo.base.errors import InputError
from zbo.base.storage import DONE
from zbo.drawing import plots
from zbo.judge import spread

SAMPLES, SAMPLE_ROWS, MOST_ROWS = 10, 5, 20  # images a row, rows without labels, labels at most
MEMBERS = 8  # images of a class a block
ACROSS = 8  # images along a latent, of those computed
EMPTY, MIXED = "–", "mixed"  # a class without images; one no label makes up half of


@dataclass(frozen=True)
class Search:
    """What a search knew at its end.

    Attributes:
        z: Feasible points, shape (m, d).
        grid: All points, shape (g, d).
        feasible: Which of them are, shape (g,), bool.
        beta: Trajectories of the feasible points, shape (m, N) or (m, 2, N).
        initial: Trials of the starting design.
        last: The last iteration's datasets.
        point: What the coordinates of a point are, "latent" or "parameter".
    """

    z: np.ndarray
    grid: np.ndarray
    feasible: np.ndarray
    beta: np.ndarray
    initial: int
    last: dict[str, np.ndarray]
    point: str

    @classmethod
    def read(cls, space: str, design: str, iteration: str) -> "Search":
        """Read space.h5, design.h5 and the last of iterations/*.h5."""
        latent = storage.read(space, kind="space")
        initial = len(storage.read(design, kind="design")["index"])
        last = storage.read(iteration, kind="iteration")
        z, beta = files.feasible(latent)
        return cls(z, latent["z"], latent["feasible"], beta, initial, last, point_of(space))

    @property
    def recommended(self) -> int:
        """The feasible point with the highest posterior mean."""
        return int(self.last["best_estimated"])

    @property
    def best(self) -> int:
        """The feasible point of the trial with the highest objective."""
        return int(self.last["best_evaluated"])

    def mark(self, ax: Axes, at: np.ndarray | None = None) -> None:
        """Mark the trials, the recommended point and the best trial; at other places if given."""
        if at is None:
            at = self.z[[*self.last["observed/index"], self.recommended, self.best], :2]
        plots.evaluated(ax, at, self.initial, self.last["observed/failed"], -2, -1)


def point_of(space: str) -> str:
    """What the coordinates of a point in space.h5 are, "latent" or "parameter"."""
    chosen = storage.facts(space, kind="space").get("settings", {}).get("space", {})
    return chosen.get("coordinates", "latents").removesuffix("s")


def need_latents(space: str) -> None:
    """Refuse a space without latents, for a figure of them.

    Raises:
        InputError: If the study searched parameters.
    """
    if point_of(space) != "latent":
        raise InputError(
            f"{space}: the study searched parameters (space.coordinates), so there is no latent "
            "space to draw; see figures/surrogate.pdf"
        )


def maps(figure: Figure, axes: Sequence[Axes], search: Search) -> None:
    """Draw the surrogate's mean and its uncertainty, trials marked (figures 6(a, b), 8(c, d)).

    Raises:
        InputError: If the search space has a single dimension: there is no map of a line.
    """
    if search.grid.shape[1] == 1:
        raise InputError("space: a search along one line has no map; see figures/surrogate.pdf")
    maps_of = ((search.last["mean"], "viridis"), (search.last["sd"], "cividis"))
    for ax, (values, cmap) in zip(axes, maps_of, strict=True):
        drawn = plots.surrogate_map(
            ax, search.grid, search.feasible, values, cmap, "", search.point
        )
        figure.colorbar(drawn, ax=ax)
        search.mark(ax)
        if search.grid.shape[1] == 2 and not search.feasible.all():
            ax.fill([], [], color=plots.INFEASIBLE, label="infeasible")


def families(ax: Axes, sampled: dict[str, np.ndarray], shown: int = 3) -> None:
    """Draw a few sampled trajectories of each family in one panel (figures 5(a), 8(a))."""
    drawn = []
    for number in range(len(sampled["names"])):
        beta = sampled["beta"][sampled["family"] == number][:shown]
        drawn.append((beta, {"color": plots.colour_of(number), "lw": 0.9, "alpha": 0.9}))
    trajectories(ax, drawn)


def name_points(ax: Axes, points: np.ndarray, letters: str) -> None:
    """Write letters at latent points, shape (letters, d)."""
    look = {"boxstyle": "circle,pad=0.25", "facecolor": "white", "linewidth": 0.8}
    for letter, point in zip(letters, points, strict=True):
        x, y = (*point[:2], 0)[:2]  # a single latent has no second
        ax.text(x, y, letter, ha="center", va="center", weight="bold", bbox=look)


def examples(z: np.ndarray, feasible: np.ndarray, encoded: np.ndarray) -> list[int]:
    """Choose the feasible points nearest to a triangle around the encoded trajectories."""
    angles = np.deg2rad([170, 290, 50])
    corners = np.repeat(encoded.mean(0)[None], len(angles), axis=0)
    around = 1.4 * encoded.std(0)[:2] * np.column_stack([np.cos(angles), np.sin(angles)])
    corners[:, :2] += around[:, : z.shape[1]]
    distance = np.linalg.norm((z - corners[:, None]) / encoded.std(0), axis=-1)
    return [int(index) for index in np.where(feasible, distance, np.inf).argmin(1)]


def decoded(figure: Figure, cells: Sequence[SubplotSpec], beta: np.ndarray) -> list[Axes]:
    """Draw the trajectories that some latent points decode to, one below the other (figure 5(c-e)).

    Args:
        figure: To draw on.
        cells: A column of its grid, from the top, one a trajectory.
        beta: The trajectories, shape (len(cells), N), or (len(cells), 2, N): β_d beside β_c.

    Returns:
        A panel a trajectory, β_c's, sharing their axes.
    """
    rows: list[list[Axes]] = []
    for cell, one in zip(cells, beta, strict=True):
        split = channels.split(one[None])
        axes = _divided(figure.add_subplot(cell), len(split), beside=True)
        for k, (ax, line) in enumerate(zip(axes, split, strict=True)):
            if rows:
                ax.sharex(rows[0][k])
                ax.sharey(rows[0][k])
            plots.trajectories(ax, line, color="black")
            ax.set_ylabel(plots.CHANNELS[k])
            ax.tick_params(labelbottom=len(rows) == len(cells) - 1)
        rows.append(axes)
    for first, last in zip(rows[0], rows[-1], strict=True):
        first.set_ylim(bottom=0)
        last.set_xlabel("training cycle")
    return [axes[0] for axes in rows]


def optimum(ax: Axes, beta: np.ndarray) -> None:
    """Draw the trajectory a search recommends, shape (1, N) or (1, 2, N) (figures 6(c), 8(e))."""
    trajectories(ax, [(beta, {"color": plots.RECOMMENDED, "lw": 2})])


def trajectories(ax: Axes, drawn: Sequence[tuple[np.ndarray, dict]]) -> None:
    """Draw trajectories in one panel; where they hold β_d, too, in two, β_d's below.

    Args:
        ax: Where; of two it becomes the upper one.
        drawn: Trajectories, shape (s, N) or (s, 2, N) each, and the looks of their lines.
    """
    split = [(channels.split(beta), look) for beta, look in drawn]
    axes = _divided(ax, len(split[0][0]))
    for k, panel in enumerate(axes):
        for values, look in split:
            plots.trajectories(panel, values[k], **look)
        panel.set_ylabel(plots.CHANNELS[k])
        panel.set_ylim(bottom=0)
        panel.tick_params(labelbottom=panel is axes[-1])
    axes[-1].set_xlabel("training cycle")


def _divided(ax: Axes, count: int, beside: bool = False) -> list[Axes]:
    """Make so many panels of one, below or beside each other; it becomes the first of them."""
    if count == 1:
        return [ax]
    place = ax.get_subplotspec()
    assert place is not None  # panels are parts of a grid
    cells = place.subgridspec(*((1, count) if beside else (count, 1)))
    ax.set_subplotspec(cells[0])
    return [ax, *(ax.figure.add_subplot(cells[k]) for k in range(1, count))]


@dataclass(frozen=True)
class Mosaic:
    """Images in rows and columns, and what to call these.

    Attributes:
        images: Shape (rows, columns, h, w); None if there are none.
        rows: What to call each row, if anything.
        across: What changes from left to right.
        down: What the rows are called after.
    """

    images: np.ndarray | None
    rows: Sequence[str] = ()
    across: str = ""
    down: str = ""

    @property
    def height(self) -> float:
        """In units of its width."""
        if self.images is None:
            return 0.3
        rows, columns, h, w = self.images.shape
        return rows * h / (columns * w)

    def draw(self, ax: Axes, title: str) -> None:
        """Draw it at the top of its place."""
        if self.images is None:
            plots.nothing(ax, "no training succeeded")
            ax.set_axis_off()
        else:
            plots.mosaic(ax, self.images, self.rows, "", self.across, self.down)
            ax.set_anchor("NW")
        ax.set_title(title, loc="left")


def samples(prepared: dict[str, np.ndarray]) -> Mosaic:
    """Take some images of images.h5, a row a label where there are labels (figures 7(a), B1)."""
    images, labels, names = prepared["images"], prepared.get("labels"), prepared.get("names")
    if labels is None or names is None:
        drawn = images[: SAMPLE_ROWS * SAMPLES]
        drawn = filled(drawn, -(-len(drawn) // SAMPLES) * SAMPLES)
        return Mosaic(drawn.reshape(-1, SAMPLES, *images.shape[1:]))
    kept = [label for label in range(len(names)) if (labels == label).any()][:MOST_ROWS]
    rows = [filled(images[labels == label][:SAMPLES], SAMPLES) for label in kept]
    return Mosaic(np.stack(rows), [names[label] for label in kept])


def manifold(
    model: dict | None,
    labels: np.ndarray | None,
    names: np.ndarray | None,
    across: int = ACROSS,
) -> Mosaic:
    """Choose what to show of a model: rows are classes, columns run through the liveliest latent.

    That is the one which carries most nats. A model without classes shows the plane of its latents.

    Args:
        model: Datasets of models/*.h5; None if no training succeeded.
        labels: Of the images, if there are any, shape (n,), int.
        names: Of the labels.
        across: Images along a latent, at most.

    Returns:
        The images; a row is called by the label that makes up half or more of its class.
    """
    from zbo.search.objective import active_units, nats  # torch comes with it

    if model is None:
        return Mosaic(None)
    probabilities = model["probabilities"]
    if not probabilities.shape[1]:
        plane = model["manifolds"][0]
        for _ in range(2):
            plane = _thinned(plane, across).swapaxes(0, 1)
        return Mosaic(plane, (), "latent 2", "latent 1")
    rows = []
    if labels is not None and names is not None:
        classes = probabilities.argmax(1)
        for k in range(probabilities.shape[1]):
            own = labels[classes == k]
            counts = np.bincount(own[own >= 0], minlength=len(names))
            rows.append(_called(counts, names))
    mean, sd = (model[z][:, -len(model["traversal"]) :] for z in ("z_mean", "z_sd"))
    most = int(nats(mean, sd).argmax())
    called = f"latent {most + 1}" + ("" if active_units(mean)[most] else ", dead")
    shown = _thinned(model["traversal"][most], across)
    return Mosaic(shown, rows, called, "label" if rows else "class")


def best_trained(
    paths: Sequence[str], name: str, scores: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray] | None:
    """Read the seed of a model with the highest objective, where it has none with the least loss.

    Args:
        paths: models/NAME-SEED.h5.
        name: Of the model.
        scores: Its seeds' `objective` and `loss`, in the order of the seeds.

    Returns:
        The datasets of models/*.h5; None if no seed trained.
    """
    own = [path for path in paths if Path(path).stem.rpartition("-")[0] == name]
    reached = np.where(np.isfinite(scores["objective"]).any(), scores["objective"], -scores["loss"])
    if not np.isfinite(reached).any():
        return None
    model = storage.read(own[int(np.nanargmax(reached))], kind="model")
    return model if model["status"] == DONE else None


def accuracy(values: np.ndarray) -> str:
    """Say a model's accuracy, mean ± standard deviation over its seeds, and how many failed."""
    words, failed = spread.in_words(values), int((~np.isfinite(values)).sum())
    if not words:
        return ""
    more = f"\n{failed} of {len(values)} failed" if failed else ""
    return f"accuracy {words}{more}"


def schedule(path: str) -> tuple[str, dict[str, np.ndarray]]:
    """Read best_*.h5 of a study: what its schedule is called, "best constant β_c", and its data."""
    model = named(Path(path).stem.removeprefix("best_"))
    called = plots.symbols(model.label.removeprefix("jrVAE, "))
    return called, storage.read(path, kind="best_schedule")


def say_scale(ax: Axes, prepared: Mapping[str, np.ndarray], shape: tuple[int, int]) -> None:
    """Say under images of images.h5 how long something in them is, where their pixels are known.

    A bar where all images have one scale; else how wide they are.

    Args:
        ax: Where, a mosaic of such images.
        prepared: Datasets of images.h5; the images themselves need not be among them.
        shape: Rows and columns of an image.
    """
    if "pixel_size" not in prepared or not np.isfinite(prepared["pixel_size"]).any():
        return
    h, w = shape
    wide = prepared["window"] * prepared["pixel_size"] * w / h
    low, high = np.nanmin(wide), np.nanmax(wide)
    if high < 1.02 * low and np.isfinite(wide).all():
        plots.scale_bar(ax, low / w, w, beside=True)
        return
    said = f"an image is {plots.length(low)} to {plots.length(high)} wide"
    look: plots.Look = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
    ax.annotate(said, (0, 0), (0, -4), fontsize="small", color="0.35", **look)


def say_simulated(figure: Figure, prepared: dict[str, np.ndarray]) -> None:
    """Say under a figure that the images of images.h5 are not measured, where they are not."""
    if prepared.get("simulated", False):
        figure.supxlabel("simulated images", x=0.99, ha="right", fontsize="small", color="0.35")


def _called(counts: np.ndarray, names: np.ndarray) -> str:
    if not counts.any():
        return EMPTY
    return names[counts.argmax()] if 2 * counts.max() >= counts.sum() else MIXED


def largest_classes(classes: np.ndarray, most: int = MOST_ROWS) -> list[int]:
    """List the classes of classes.csv that hold images, the largest ones, in order."""
    numbers, counts = np.unique(classes, return_counts=True)
    return sorted(numbers[np.argsort(-counts, kind="stable")[:most]].astype(int).tolist())


def class_in_words(found: Mapping[str, np.ndarray], number: int) -> str:
    """Say a class's number, count and share of the images, and how sure its images are of it.

    Args:
        found: Columns of classes.csv.
        number: The class.
    """
    own = found["class"] == number
    orders = np.unique(found["symmetry"][own])
    called = [{0: "round", 1: ""}.get(order, f"{order:.0f}-fold") for order in orders]
    turns = "".join(f", {name}" for name in called if name)
    if np.isnan(found["angle"]).all():
        turns = ""
    return (
        f"class {number}: {own.sum():,} ({own.mean():.0%})\n"
        f"sure {found['probability'][own].mean():.2f}{turns}"
    )


def upright(images: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Turn images back by their angles, degrees counter-clockwise; one without stays as it is."""
    from skimage.transform import rotate

    turned = [
        rotate(image, -angle, mode="edge") if np.isfinite(angle) else image
        for image, angle in zip(images, angles, strict=True)
    ]
    return np.stack(turned)


def in_micrographs(prepared: Mapping[str, np.ndarray]) -> bool:
    """Tell whether images of images.h5 were cut out of pictures that hold several."""
    if "y" not in prepared:
        return False
    places = np.stack((prepared["file"], prepared["page"]), 1)
    return len(np.unique(places, axis=0)) < len(places)


def say_left_out(figure: Figure, found: Mapping[str, np.ndarray], shown: Sequence[int]) -> None:
    """Say under a figure how many classes it leaves out, and how many images are unlike the seen.

    Args:
        figure: The figure.
        found: Columns of classes.csv.
        shown: The classes that are in the figure.
    """
    from zbo.judge.answer import WARNED  # torch comes with it

    said = []
    if left := len(np.unique(found["class"])) - len(shown):
        said.append(f"{left} smaller classes are not shown")
    if (share := found["unlike"].mean()) > WARNED:
        said.append(f"{share:.0%} of these images are unlike those the model was trained on")
    if said:
        look = {"x": 0.01, "ha": "left", "fontsize": "small", "color": "0.35"}
        figure.supxlabel("; ".join(said), **look)


def filled(images: np.ndarray, count: int) -> np.ndarray:
    """Fill images (n, h, w) up to a count with empty places."""
    missing = count - len(images)
    return np.pad(images, ((0, missing), (0, 0), (0, 0)), constant_values=np.nan)


def _thinned(images: np.ndarray, across: int) -> np.ndarray:
    """Keep at most so many columns, evenly from the first to the last."""
    columns = images.shape[1]
    return images[:, np.linspace(0, columns - 1, min(columns, across)).round().astype(int)]
