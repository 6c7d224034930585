"""What each kind of HDF5 file holds: the dimensions, unit and meaning of every dataset.

`storage.write` puts them on the datasets, so that any viewer of HDF5 shows them, and
`zbo.base.manual` makes the table of config/README.md of them. A new dataset needs its line here: a
test looks into every file of a study.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np

# Files that hold a trajectory per candidate, in `beta`.
CANDIDATES = "design", "iteration", "schedules", "optimum", "best_schedule", "transfer"


class Dataset(NamedTuple):
    """One dataset of a file.

    Attributes:
        dims: Names of its dimensions, in order; "[channel]" is there only where β_d is searched,
            too (β_c, then β_d), and "" is a single value.
        unit: "1" where it is dimensionless, "" where it is no quantity.
        text: What it is.
    """

    dims: str
    unit: str
    text: str


class Kind(NamedTuple):
    """One kind of file: where it lies in results/NAME, what it is, what it holds."""

    path: str
    text: str
    datasets: Mapping[str, Dataset]


BETA = Dataset("candidate, [channel], cycle", "1", "KL scale factors at each cycle")
Z = Dataset("candidate, latent", "1", "points of the search space")
STATUS = Dataset("", "", "done, or why it failed")
CYCLES = {
    "loss": "loss, mean over images",
    "reconstruction": "-log p(x|z, k), mean over images",
    "kl_c": "KL term of the continuous latents before scaling, mean over images",
    "kl_d": "KL term of the discrete latent before scaling, mean over images",
}


def _learned(each: str) -> dict[str, Dataset]:
    """Describe what a training learned; of a trial once per replicate."""
    cycles = {name: Dataset(f"{each}cycle", "nat per image", text) for name, text in CYCLES.items()}
    return cycles | {
        "weights/*": Dataset(f"{each}...", "1", "weights under pyroVED's names"),
        "z_mean": Dataset(
            f"{each}image, latent",
            "rad, side/2, 1",
            "means of q(z|x): angle, shifts, scale where the model has them, then the latents",
        ),
        "z_sd": Dataset(f"{each}image, latent", "as z_mean", "standard deviations of q(z|x)"),
        "probabilities": Dataset(f"{each}image, class", "1", "q(k|x) of the images trained on"),
    }


KINDS: dict[str, Kind] = {
    "images": Kind(
        "images.h5",
        "The images, prepared.",
        {
            "images": Dataset("image, row, column", "1", "grey values in [0, 1]"),
            "labels": Dataset("image", "", "class of each image, if known; an index into names"),
            "subset": Dataset("chosen", "", "indices of the images used during the search"),
            "names": Dataset("label", "", "what the source calls each label"),
            "simulated": Dataset("", "", "true where the images are not measured"),
            "limits": Dataset(
                "end",
                "of the source; of whole full range for 8 and 16 bits",
                "grey values that became 0 and 1, with normalize: range or set",
            ),
            "files": Dataset("file", "", "files that were read, or what else held the images"),
            "file": Dataset("image", "", "which of them"),
            "page": Dataset("image", "", "page of that file, from 0"),
            "y": Dataset("image", "pixel of the page", "row of the window's centre, from 0"),
            "x": Dataset("image", "pixel of the page", "column of the window's centre, from 0"),
            "window": Dataset("image", "pixel of the page", "rows of the window"),
            "source": Dataset("image", "", "index in the source, before any were drawn or copied"),
            "turned": Dataset("image", "degree", "counter-clockwise, with images.turn"),
            "pixel_size": Dataset("image", "nm", "side of a pixel of the page; NaN if unknown"),
            "pixel_unit": Dataset("", "", "unit of pixel_size"),
        },
    ),
    "trajectories": Kind(
        "trajectories.h5",
        "The trajectories sampled (table 1, step 1).",
        {
            "beta": BETA._replace(dims="trajectory, [channel], cycle"),
            "family": Dataset("trajectory", "", "family of each; an index into names"),
            "names": Dataset("family", "", "the families, as the study names them"),
        },
    ),
    "trajectory_vae": Kind(
        "trajectory_vae.h5",
        "The VAE of trajectories (table 1, steps 2 and 3).",
        {
            "weights/*": Dataset("...", "1", "weights under torch's names"),
            "loss": Dataset("cycle", "nat per trajectory", "loss at each cycle of its training"),
            "encoded": Dataset("trajectory, latent", "1", "latent means of the trajectories"),
        },
    ),
    "space": Kind(
        "space.h5",
        "The search space (table 1, step 4).",
        {
            "z": Dataset("point, latent", "1", "latents, or what a family draws, as quantiles"),
            "beta": BETA._replace(dims="point, [channel], cycle"),
            "feasible": Dataset(
                "point", "", "whether the constraint holds: the search may go there"
            ),
        },
    ),
    "design": Kind(
        "design.h5",
        "The starting design (table 1, step 5).",
        {
            "index": Dataset("candidate", "", "which of the feasible points of space.h5"),
            "z": Z,
            "beta": BETA,
        },
    ),
    "iteration": Kind(
        "iterations/*.h5",
        "One iteration: what was observed until then, the surrogate, the next candidates.",
        {
            "iteration": Dataset("", "", "its number, from 0"),
            "index": Dataset("candidate", "", "which of the feasible points of space.h5"),
            "z": Z,
            "beta": BETA,
            "observed/index": Dataset("trial", "", "which feasible point was tried"),
            "observed/z": Dataset("trial, latent", "1", "its point"),
            "observed/objective": Dataset(
                "trial", "of the objective", "mean over its seeds; of several objectives the first"
            ),
            "observed/objectives": Dataset(
                "trial, objective", "of each objective", "mean over its seeds"
            ),
            "observed/variances": Dataset(
                "trial, objective",
                "of each objective, squared",
                "noise variance of that mean; NaN if unknown",
            ),
            "observed/failed": Dataset("trial", "", "whether it failed"),
            "observed/seconds": Dataset("trial", "s", "wall time of its training"),
            "observed/*": Dataset("trial", "of the objective", "part of the objective"),
            "mean": Dataset("point", "of the objective", "posterior mean at the feasible points"),
            "sd": Dataset("point", "of the objective", "posterior standard deviation there"),
            "means": Dataset(
                "point, objective", "of each objective", "posterior means, if there are several"
            ),
            "sds": Dataset(
                "point, objective", "of each objective", "posterior standard deviations, likewise"
            ),
            "front": Dataset(
                "point of the front", "", "feasible points on the front of two objectives"
            ),
            "acquisition": Dataset("point", "", "acquisition function there"),
            "improvements": Dataset(
                "iteration", "of the objective", "largest expected improvement at each iteration"
            ),
            "spread": Dataset("", "of the objective", "standard deviation over all trials"),
            "best_evaluated": Dataset("", "", "feasible point of the best trial"),
            "best_estimated": Dataset("", "", "feasible point that is recommended"),
            "surrogate/*": Dataset("...", "", "hyperparameters of the Gaussian process"),
        },
    ),
    "optimum": Kind(
        "optimum.h5",
        "What the search recommends, and why it ended.",
        {
            "z": Z,
            "beta": BETA,
            "means": Dataset("objective", "of each objective", "posterior mean at the optimum"),
            "sds": Dataset("objective", "of each objective", "posterior standard deviation there"),
            "evaluated/z": Dataset("latent", "1", "latent point of the best single trial"),
            "evaluated/beta": BETA._replace(dims="[channel], cycle"),
            "evaluated/objectives": Dataset(
                "trial, objective", "of each objective", "what it reached"
            ),
            "iterations": Dataset("", "", "iterations until the end"),
            "trials": Dataset("", "", "trials until then"),
            "failed": Dataset("", "", "how many of them failed"),
            "negligible": Dataset("", "of the objective", "improvement that counts as none"),
            "stop": Dataset("", "", "why the search ended"),
        },
    ),
    "schedules": Kind(
        "schedules/*.h5",
        "A schedule made by hand (constant, warmup, cyclical, cooldown): the forms tried.",
        {"beta": BETA},
    ),
    "best_schedule": Kind(
        "best_*.h5",
        "The best of a schedule's forms.",
        {
            "beta": BETA,
            "best": Dataset("", "", "which form it is"),
            "tried": Dataset("form", "1", "height of each form: its largest beta_c"),
            "objective": Dataset(
                "form", "of the objective", "what each reached; of several objectives the first"
            ),
            "objectives": Dataset("form, objective", "of each objective", "what each reached"),
            "*": Dataset("form", "of the objective", "part of the objective"),
        },
    ),
    "transfer": Kind(
        "transfer.h5", "The optimum of another study, brought to this one.", {"beta": BETA}
    ),
    "trial": Kind(
        "trials/*.h5",
        "One trial: what trainings along one candidate learned from the subset.",
        {
            "z": Dataset("latent", "1", "latent point of its trajectory; schedules have none"),
            "beta_c": Dataset("cycle", "1", "scale factor of the continuous KL term"),
            "beta_d": Dataset("cycle", "1", "scale factor of the discrete KL term"),
            "status": STATUS,
            "seeds": Dataset("replicate", "", "seed of each training"),
            **_learned("replicate, "),
        },
    ),
    "model": Kind(
        "models/*.h5",
        "One of the compared models, trained on all images.",
        {
            "beta_c": Dataset("cycle", "1", "scale factor of the continuous KL term"),
            "beta_d": Dataset("cycle", "1", "scale factor of the discrete KL term"),
            "status": STATUS,
            "seed": Dataset("", "", "seed of its training"),
            **_learned(""),
            "traversal": Dataset(
                "latent, class, step, row, column", "1", "images decoded along each latent"
            ),
            "manifolds": Dataset(
                "class, step, step, row, column", "1", "images decoded over the plane of latents"
            ),
        },
    ),
    "kept model": Kind(
        "model.h5",
        "The model to keep, and the seeds that vote on classes.",
        {
            "name": Dataset("", "", "which of models/*.h5 it is"),
            "why": Dataset("", "", "why that one"),
            "seed": Dataset("", "", "seed of its training"),
            "best": Dataset("", "", "its number among the members"),
            "objectives": Dataset("member", "of the objective", "what each member reached"),
            "beta_c": Dataset("cycle", "1", "scale factor of the continuous KL term"),
            "beta_d": Dataset("cycle", "1", "scale factor of the discrete KL term"),
            "traversal": Dataset(
                "latent, class, step, row, column", "1", "images decoded along each latent"
            ),
            "weights/*": Dataset("...", "1", "its weights under pyroVED's names"),
            "members/*": Dataset("...", "1", "weights of each seed that trained"),
            "consensus/weights": Dataset("member", "1", "how much each member's vote weighs"),
            "consensus/parts": Dataset(
                "member, own class, class", "1", "P(class of the consensus | class of the member)"
            ),
            "classes/means": Dataset(
                "own class, class", "", "whether this class of the model kept is part of that class"
            ),
            "classes/symmetry": Dataset("own class", "", "what its angles are modulo; 0 if round"),
            "classes/zero": Dataset("own class", "rad", "angle at which it lies on average"),
            "errors": Dataset("hundredth", "1", "quantiles of the images' reconstruction errors"),
            "sigma": Dataset("", "1", "of a Gaussian decoder, given or learned; else NaN"),
        },
    ),
    "yardsticks": Kind(
        "yardsticks.h5",
        "What clustering the pixels gives, upright and less rotation.",
        {
            "seeds": Dataset("seed", "", "seed of each clustering"),
            "*-seconds": Dataset("", "s", "wall time of one clustering"),
            "*": Dataset("image", "", "cluster of each image"),
        },
    ),
    "search": Kind(
        "rivals/*.h5",
        "One search run for real, zBO or a rival.",
        {
            "spent": Dataset("step", "training", "trainings paid at each recommendation"),
            "recommended": BETA._replace(dims="step, [floor], [channel], cycle"),
            "floors": Dataset(
                "floor", "of the second objective", "at which it recommends, if there are two"
            ),
            "objective": Dataset(
                "training, [objective]", "of the objective", "what each training reached"
            ),
            "seeds": Dataset("training", "", "seed of each training, fresh ones included"),
            "search/*": Dataset("training", "", "measures of each training"),
            "fresh/*": Dataset(
                "[floor], repeat", "", "measures of the last recommendation, seeds unseen"
            ),
            "fresh_objective": Dataset(
                "[floor], repeat, [objective]", "of the objective", "what those reached"
            ),
        },
    ),
    "ground_design": Kind(
        "ground/design.h5",
        "The trajectories that the ground measures.",
        {
            "index": Dataset("trajectory", "", "feasible point of space.h5; -1 for a constant"),
            "z": Dataset("trajectory, latent", "1", "its point"),
            "beta": BETA._replace(dims="trajectory, [channel], cycle"),
            "constant": Dataset("trajectory", "", "whether it is a constant"),
            "repeats": Dataset("trajectory", "", "how often it is trained"),
        },
    ),
    "ground": Kind(
        "ground/*.h5",
        "A block of the ground's trainings.",
        {
            "trajectory": Dataset("training", "", "which trajectory of ground/design.h5"),
            "repeat": Dataset("training", "", "which of its repeats"),
            "seed": Dataset("training", "", "seed of the training"),
            "seconds": Dataset("training", "s", "wall time"),
            "manifolds": Dataset(
                "training, class, step, step, row, column", "1/255", "decoded images at the end"
            ),
            "probabilities": Dataset("training, image, class", "1", "q(k|x) of all images"),
            "z_mean": Dataset("training, image, latent", "as in models", "means of q(z|x)"),
            "z_sd": Dataset("training, image, latent", "as in models", "its standard deviations"),
            "*": Dataset("training, moment", "", "measure at fifths of the training"),
        },
    ),
    "ground table": Kind(
        "ground.h5",
        "The measuring ground: many trajectories, several seeds each.",
        {
            "z": Dataset("trajectory, latent", "1", "latent point"),
            "beta": BETA._replace(dims="trajectory, [channel], cycle"),
            "constant": Dataset("trajectory", "", "whether it is a constant"),
            "repeats": Dataset("trajectory", "", "how often it was trained"),
            "unit_beta": Dataset("", "1", "beta_c of model beta-1 on these images"),
            "cycles": Dataset("moment", "", "cycles after which a training was measured"),
            "rows/trajectory": Dataset("training", "", "which trajectory"),
            "rows/repeat": Dataset("training", "", "which of its repeats"),
            "rows/seed": Dataset("training", "", "its seed"),
            "rows/seconds": Dataset("training", "s", "wall time"),
            "rows/*": Dataset("training, moment", "", "measure at each moment"),
        },
    ),
}

# Tables for people, a column each; "*" stands for a number.
TABLES = {
    "classes.csv": (
        "What is known of each image, by all seeds of the recommended trajectory together and, "
        "from `part` on, by the model kept. Empty where the model has no such thing.",
        {
            "image": "which, from 0: a row of images.h5 and images.csv",
            "file": "the file it comes from",
            "page": "page of that file, from 0",
            "y": "row of its middle there, pixels",
            "x": "column likewise",
            "class": "from 1, the largest first",
            "probability": "of that class: the seeds' votes",
            "agreement": "share of the seeds whose own class means this one",
            "part": "class of the model kept, from 1; several may make up a class (compare.kinds), "
            "and what follows is told part by part",
            "angle": "degrees counter-clockwise from how its part lies on average, known up to a "
            "full turn / symmetry; empty where that is round",
            "angle_sd": "how sure that is: standard deviation, degrees",
            "symmetry": "of its part: turned by a full turn / this, it looks the same; 0 is "
            "round, 2 also where it holds an object both ways up",
            "shift_y": "of the object from the middle, pixels down",
            "shift_x": "likewise to the right",
            "scale": "size of the object over that of its part",
            "latent_*": "what else varies, each about normal with mean 0 and deviation 1",
            "latent_*_sd": "how sure that is: standard deviation",
            "error": "of the model's reconstruction: root mean square, of a range from 0 to 1",
            "unlike": "1 where that is larger than for 99 % of the images the model was trained on",
            "turned": "degrees by which it was turned, with images.turn",
            "label": "what it is labelled, where labels are given",
        },
    ),
    "images.csv": (
        "Where each image comes from.",
        {
            "image": "which, from 0",
            "file": "the file it comes from",
            "page": "page of that file, from 0",
            "y": "row of its middle there, pixels",
            "x": "column likewise",
            "window": "rows of the window it was cut out by, pixels",
            "source_index": "which in the source, before any were drawn or copied",
            "label": "what it is labelled",
            "subset": "1 where the search uses it",
            "pixel_size_nm": "side of a pixel, where known",
        },
    ),
    "scores.csv": (
        "Every model and seed; what the seeds of a model agree on (consensus-NAME); and, where "
        "there are labels, clusters of the pixels and of what no turn changes (turned-NAME).",
        {
            "model": "which, see compare.models",
            "classes": "of the model; 0 where it has none",
            "replicate": "which of its seeds, or of a consensus how many",
            "seed": "its seed",
            "status": "done, or why it failed",
            "accuracy": "share rightly sorted, each class given a label of its own, as suits best",
            "ari": "adjusted Rand index with the labels: 1 the same, 0 chance",
            "nmi": "normalized mutual information with the labels, 0 to 1",
            "purity": "share rightly sorted where several classes may have the same label",
            "extracted": "labels that make up half of a class or more",
            "rotation": "share of the latents that is rotation",
            "objective": "what is searched for; of two the first",
            "l1": "how far classes are apart (table 2)",
            "l2": "how far images within a class are apart (table 2)",
            "information": "what the class tells about the image, nats",
            "factors": "what the latents tell about it beside the class, nats",
            "active": "latents that tell anything",
            "loss": "of the last cycle, nats per image",
            "seconds": "the training took",
            "collapse": "what it failed to learn, and what to change",
        },
    ),
}

# Older results: seven kinds were one.
FORMER = {kind: "candidates" for kind in (*CANDIDATES, "ground_design")}


def describe(kind: str, name: str) -> Dataset | None:
    """Give what is known of a dataset; None where nothing is.

    Args:
        kind: The file's.
        name: The dataset's; a whole name in the table goes before one with "*".
    """
    known = KINDS[kind].datasets if kind in KINDS else {}
    if name in known:
        return known[name]
    return next((known[each] for each in known if fnmatchcase(name, each)), None)


def ranks(dims: str) -> range | None:
    """Give the numbers of dimensions an array may have; None where any ("...")."""
    names = [name for name in dims.split(", ") if name]
    if "..." in names:
        return None
    optional = sum(name.startswith("[") for name in names)
    return range(len(names) - optional, len(names) + 1)


def feasible(space: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Give the latent points that a search may choose from, and their trajectories.

    Args:
        space: Content of space.h5.

    Returns:
        z, shape (m, d), and beta, shape (m, N) or (m, 2, N).
    """
    chosen = space["feasible"]
    return space["z"][chosen], space["beta"][chosen]
