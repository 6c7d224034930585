"""Every setting of a study: its type, range, unit, meaning and default, once and for all.

One class per section of a study file; `Study` holds them all. The library takes the same classes,
so that a default stands here alone. config/schema.yaml, which editors read, and the table of keys
in config/README.md are made from them (`python -m zbo.base.manual`).
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import AfterValidator, Discriminator, Field, Strict, Tag, model_validator

from zbo.base import compared
from zbo.base.errors import InputError
from zbo.base.objectives import OBJECTIVES, OF_STUDY
from zbo.base.searches import SEARCHES
from zbo.base.section import Section

# Strict: True is no number, 1.5 no whole number, and "3", a text, is neither.
Integer = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
Count = Annotated[Integer, Ge(1)]
Whole = Annotated[Integer, Ge(0)]
Positive = Annotated[Number, Gt(0)]
Percent = Annotated[Number, Ge(0), Le(100)]
Share = Annotated[Number, Ge(0)]
Side = Annotated[Integer, Ge(5)]  # pixels
Widths = Annotated[tuple[Count, ...], Len(1)]


def _ascending(ends: tuple[float, ...]) -> tuple[float, ...]:
    low, high = ends
    if low >= high:
        raise ValueError(
            f"[{low:g}, {high:g}] are the wrong way round or equal; give the smaller first"
        )
    return ends


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError(f"{list(names)} has non-unique elements; name each once")
    return names


def _objective(name: str) -> str:
    if name not in OBJECTIVES and ":" not in name:
        known = ", ".join(OF_STUDY)
        raise ValueError(
            f"there is no objective '{name}'; choose from {known}, or give module:function"
        )
    return name


def _odd(side: int) -> int:
    if side % 2 == 0:
        raise ValueError(f"{side} is even")
    return side


Range = Annotated[tuple[Positive, ...], Len(2, 2), AfterValidator(_ascending)]
NumberOrRange = Annotated[
    Annotated[Share, Tag("number")] | Annotated[Range, Tag("range")],
    Discriminator(lambda given: "range" if isinstance(given, list | tuple) else "number"),
]
# The patterns of one type say nothing about the other.
CountOrWord = Annotated[
    Annotated[Count, Tag("number")] | Annotated[str, Field(pattern=r"^(all|auto)$"), Tag("word")],
    Discriminator(lambda given: "word" if isinstance(given, str) else "number"),
]
NumberOrLearned = Annotated[
    Annotated[Positive, Tag("number")] | Annotated[str, Field(pattern=r"^learned$"), Tag("word")],
    Discriminator(lambda given: "word" if isinstance(given, str) else "number"),
]
Names = Annotated[
    Annotated[str, AfterValidator(_objective), Tag("one")]
    | Annotated[
        tuple[Annotated[str, AfterValidator(_objective)], ...],
        Len(1, 2),
        AfterValidator(_distinct),
        Tag("several"),
    ],
    Discriminator(lambda given: "several" if isinstance(given, list | tuple) else "one"),
]
Compared = Annotated[str, Field(pattern=rf"^({compared.PATTERN})$")]
if TYPE_CHECKING:  # a literal of a table is more than a type checker reads
    Search = str
else:
    Search = Literal[tuple(SEARCHES)]


def refuse_oblong(shape: Sequence[int], invariances: Collection[str], where: str) -> None:
    """Refuse images that are not square where the model may turn them.

    The decoder's rows and columns both run from -1 to 1 (pyroVED, `coord.py`): a rotation of these
    is a shear of an oblong image.

    Args:
        shape: Rows and columns.
        invariances: Of the model.
        where: What has that shape, for the message.

    Raises:
        InputError: If they differ and "r" is among the invariances.
    """
    if "r" in invariances and len(set(shape)) > 1:
        raise InputError(
            f"{where}: {' x '.join(map(str, shape))} pixels are not square, and turning by "
            "model.invariances: r would shear them; set images.size to a square such as "
            f"[{min(shape)}, {min(shape)}], or leave r out"
        )


def _whole_section() -> Any:
    """Let a study leave a section out; its required keys are asked for all the same."""
    return Field(default_factory=dict)


class ParticleSettings(Section):
    """Particles found in pictures by scikit-image: thresholds, and a watershed where they touch."""

    section: ClassVar = "images.patches.particles"
    diameter: Range | None = None
    """Smallest and largest, in `unit`. null takes what each picture's own sizes suggest."""
    contrast: Literal["dark", "bright"] = "dark"
    """Whether particles are darker or brighter than their ground."""


class PatchSettings(Section):
    """Windows cut out of pictures, square; those that do not lie whole within one are left out."""

    section: ClassVar = "images.patches"
    size: Positive | None = None
    """Side of the window, in `unit`. One of this and `relative`."""
    relative: Positive | None = None
    """Side of the window in units of each particle's own diameter, so that size does not tell."""
    unit: Literal["pixels", "nm"] = "pixels"
    """Of `size`, `grid` and diameters; nm where the pictures know their pixel size."""
    coordinates: str | None = None
    """Where: a table (.csv, .txt, .tsv) with columns y and x, and file, page, diameter where it has
    them; COCO outlines (.json); or a folder of masks or label images named as the pictures."""
    particles: ParticleSettings | None = None
    """Where: at the particles found."""
    grid: Positive | None = None
    """Where: side by side, so far apart, in `unit`."""
    function: str | None = None
    """Where: your own as module:function, of a picture (h, w), giving (n, 2) of y and x, (n, 3)
    with diameters, or a label image."""
    neighbours: Literal["keep", "paint"] = "keep"
    """keep - windows as they are. paint - all but the particle, with a margin of 6 % and at least
    two pixels, is painted over with the ground around it, where outlines are known."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        where = ("coordinates", "particles", "grid", "function")
        if sum(getattr(self, key) is not None for key in where) != 1:
            raise InputError(f"images.patches: give exactly one of {', '.join(where)}")
        if (self.size is None) == (self.relative is None):
            raise InputError("images.patches: give either size or relative")
        if self.grid is not None and self.size is None:
            raise InputError("images.patches.size: a grid needs it; give the side of its windows")
        return self


class ImageSettings(Section):
    """The image set, scaled to [0, 1]."""

    section: ClassVar = "images"
    source: Literal["digits", "mnist", "nanoparticles", "files"]
    """digits - the 1,797 8 x 8 digits in scikit-learn. mnist - 60,000 IDX images from `path`, the
    folder in ZBO_MNIST, or downloaded and checked. nanoparticles - electron micrographs of clusters
    of gold spheres, labelled by their count: measured, the authors' from `path`, or simulated.
    files - your own, from `path`."""
    path: str | None = None
    """Folder of IDX files (mnist); file or folder of pictures (TIFF, PNG, JPEG, MRC, dm4, ...), or
    array file (.npy, .npz, HDF5), environment variables filled in (files); folder or address that
    holds train_plas.npy and plasmonic_labels.npy, or the first of them (nanoparticles; null
    simulates)."""
    labels: str | None = None
    """File of labels (.npy, .npz, HDF5, .csv, .txt; of nanoparticles .npy or its address), in the
    images' order, or a table with columns label and file, and y and x of patches. Blank, NaN or -1
    is unlabelled. They judge the models; they never guide the search."""
    channel: Annotated[str, Strict()] | Whole | None = None
    """Which of several channels, detectors or unlike pages of a file, by name or number from 0."""
    pixel_size: Positive | None = None
    """Side of a pixel of the pictures, nm, where the files do not know it."""
    crop: Annotated[tuple[Whole, ...], Len(4, 4)] | None = None
    """Pixels left out at the top, bottom, left and right of each picture, such as a data bar."""
    patches: PatchSettings | None = None
    """Windows cut out of the pictures (files). null takes each picture whole."""
    counts: Annotated[tuple[Count, ...], Len(1)] | None = None
    """Particles in an image (nanoparticles); others are left out or not simulated. null keeps all,
    1 to 7 if simulated."""
    size: Annotated[tuple[Side, ...], Len(2, 2)] | None = None
    """Height and width to resize to (or, simulated, to render), pixels. null keeps the size (96 x
    96 if simulated)."""
    fit: Literal["crop", "pad"] = "crop"
    """What becomes of a picture of another aspect than `size`, which is kept. crop - its middle.
    pad - the whole of it, the rest filled with the median of its border."""
    normalize: Literal["range", "set", "image", "picture"] = "range"
    """Scaling to [0, 1]. range - by the range of the data type (digits 16). set - minimum and
    maximum of the whole set. image - of each image (the paper's nanoparticles). picture - of the
    picture a patch is cut from."""
    percentiles: Annotated[tuple[Percent, ...], Len(2, 2)] = (0, 100)
    """What counts as an image's minimum and maximum (all but range), in percent of its pixels; of a
    set the least and the greatest of them. [0.1, 99.9] leaves hot pixels out."""
    count: Count | None = None
    """Keep so many images, drawn by seed. null keeps all. Of simulated ones, how many; null makes
    10,000."""
    balance: Count | None = None
    """Resample each class from itself to so many images. null leaves the set as it is."""
    subset: Count = 600
    """Images used during the search, drawn by seed; the final models see all."""
    balance_subset: Flag = False
    """Draw equally many images of each class into the subset."""
    turn: Flag = False
    """Turn each image about its middle by an angle of its own, drawn by seed, and keep the angle
    (turned in images.h5 and classes.csv): shows whether a model finds classes and angles again.
    What lies outside the inscribed circle is filled up, as it would tell the angle by itself."""


class TrajectorySettings(Section):
    """The trajectories the search may choose from (table 1, step 1)."""

    section: ClassVar = "trajectories"
    cycles: Annotated[Integer, Ge(2)]
    """N, training cycles of a jrVAE and length of a trajectory."""
    bounds: Range
    """Smallest and largest beta_c, dimensionless."""
    beta_d: NumberOrRange
    """Scale factor of the discrete KL term, dimensionless. A number - the same at every cycle.
    [low, high] - searched with beta_c in one latent space, from the same families; constants then
    take its geometric middle."""
    families: Annotated[tuple[str, ...], Len(1)] = (
        "linear_cooldown",
        "segments",
        "periodic",
        "constant",
    )
    """Trajectory functions by name, or your own as module:function (see
    scripts/zbo/trajectories/families.py). Each is asked for beta_c and, where beta_d has bounds,
    once more for beta_d."""
    per_family: Count = 2500
    """Trajectories sampled from each family."""


class TrajectoryVAESettings(Section):
    """The VAE that compresses trajectories (table 1, steps 2 and 3).

    Trajectories are scaled to [0, 1] by the bounds.
    """

    section: ClassVar = "trajectory_vae"
    latent_dim: Count = 2
    """Dimensions of the search space."""
    hidden_dim: Widths = (128, 128)
    """Width of each hidden layer."""
    decoder_sigma: Positive = 0.3
    """Standard deviation of the Gaussian decoder, in units of the bounds' range."""
    learning_rate: Positive = 0.0001
    """Learning rate of the Adam optimizer."""
    cycles: Count = 1000
    """Training cycles."""
    batch_size: Count = 100
    """Trajectories per step."""
    scale: Literal["linear", "log"] = "linear"
    """What is scaled to [0, 1] by the bounds. linear - beta (the paper's). log - its logarithm,
    for bounds over decades: a small beta is then told as finely as a large one."""


class SpaceSettings(Section):
    """The feasible search space (table 1, step 4)."""

    section: ClassVar = "space"
    coordinates: Literal["latents", "parameters"] = "latents"
    """What a point is. latents - of the trajectory VAE (the paper's). parameters - what the one
    family named in `trajectories.families` draws at random of each trajectory, as quantiles: no VAE
    stands between, and nothing but this family is searched."""
    grid: Annotated[Integer, Ge(2)] = 100
    """Points per dimension, over the bounding box of the encoded trajectories. In more than two
    dimensions its square is the number of points, spread evenly (a Sobol sequence)."""
    constraint: str = "bounds"
    """What a decoded trajectory must satisfy. bounds - within `trajectories.bounds`, widened by
    `tolerance`, and positive. positive - above 0 alone (the paper's). Or your own as
    module:function. Where beta_d has bounds, it has to hold for beta_c and for beta_d, each with
    its own bounds."""
    tolerance: Share = 0.05
    """How far a trajectory may overshoot the bounds, as a share of their range."""


class ModelSettings(Section):
    """The jrVAE (pyroVED's jiVAE), or without classes the rVAE (its iVAE)."""

    section: ClassVar = "model"
    classes: Annotated[Integer, Ge(0)]
    """K (the paper's D_c), discrete classes; 0 for a model without. With fewer than 2 the objective
    is elbo or your own."""
    latent_dim: Annotated[Integer, Ge(2)] = 2
    """Continuous latents beside the angle."""
    invariances: tuple[Literal["r", "t", "s"], ...] = ("r",)
    """Invariances: rotation, translation, scale."""
    hidden_dim: Widths = (128, 128)
    """Width of each hidden layer of encoder and decoder."""
    decoder: Literal["bernoulli", "gaussian"] = "bernoulli"
    """Distribution of a pixel."""
    decoder_sigma: NumberOrLearned = 0.5
    """Standard deviation of a Gaussian pixel; or learned - set at each step from what is left of
    the images (sigma-VAE, Rybkin et al. 2021): both terms of the loss are nats then, and beta near
    1 is right whatever the number of pixels."""


class TrainingSettings(Section):
    """Training of a jrVAE along one trajectory."""

    section: ClassVar = "training"
    learning_rate: Positive = 0.001
    """Learning rate of the Adam optimizer."""
    batch_size: Count = 100
    """Images per step."""
    prune_threshold: Annotated[Number, Ge(0), Lt(0.5)] = 0
    """Decode only classes whose posterior exceeds this; 0 is exact enumeration (the paper's). What
    is safe: 0.001 up to 14 x 14 pixels, 0.0001 at 28 x 28 (README, Speed)."""
    pixels: CountOrWord = "auto"
    """Decode at most so many pixels per image and step, one of each square block, drawn anew for
    each image and step; the gradient keeps its mean and gains noise. Blocks shrink in the last
    cycles, so that the last decodes all and its loss is exact; losses before are estimates. all -
    every pixel (the paper's). auto - all below 24 x 24, else 256. Scores always see all."""
    center: Flag = False
    """Train the encoder on images less their mean image, which changes the path of the training
    alone: without it images bright on the whole saturate the encoder in its first steps."""
    start: Literal["random", "mixture", "pixels"] = "random"
    """random - weights alone, the paper's. mixture - for the first start_share of the cycles the
    classes are those of a mixture of normals, fitted without labels to a description of the images
    that knows no angle. pixels - likewise, of the images themselves, where all lie one way up."""
    start_share: Annotated[Number, Ge(0), Le(1)] = 0.5
    """Share of the cycles that a start from classes lasts."""
    angle_weight: Share = 1
    """Of the angle's part in the continuous KL term. 1 - the paper's, which charges an object for
    being turned."""
    marginal: Share = 0
    """Weight of KL(mean of q(k|x) over the batch, uniform), nats per image: keeps all classes in
    use, and of one size. 0 - the paper's."""
    tf32: Flag = False
    """Let a GPU round the factors of matrix products to TF32; nothing on a CPU."""
    deterministic: Flag = True
    """Let a GPU use only algorithms that repeat bit for bit; nothing on a CPU."""


class ObjectiveSettings(Section):
    """What is maximized (table 2)."""

    section: ClassVar = "objective"
    name: Names = "l1"
    """l1, l1-l2, information (mutual information of image and class), factors (nats that the
    continuous latents carry, angle and shifts not counted), elbo (evidence lower bound), or your
    own as module:function (see scripts/zbo/search/objective.py). Two in a list are searched for
    together: the search looks for the front of their trade-off."""
    at_least: dict[str, Number] = Field(default={})
    """Floors, {factors: 1}: what is maximized among trajectories that keep to them. Any of the
    objectives above may have one."""
    choose: Literal["active", "knee"] = "active"
    """What is taken from the front of two objectives. active - the most of the other where factors
    is at least as many nats as there are latents (without factors among them, the knee). knee -
    the point farthest above the line between the front's ends."""
    grid: Annotated[Integer, Ge(2)] = 12
    """B, images per side of a manifold."""
    window: Annotated[Integer, AfterValidator(_odd), Ge(3)] = 5
    """Side of the Gaussian SSIM window, pixels (odd)."""
    sigma: Positive = 1.5
    """Standard deviation of the SSIM window, pixels."""
    pairs: Count = 1000
    """Pairs of grid locations per class in l2."""

    @property
    def names(self) -> tuple[str, ...]:
        """All that is asked of a training: what is maximized, then what has a floor alone."""
        named = (self.name,) if isinstance(self.name, str) else self.name
        return *named, *(name for name in self.at_least if name not in named)

    @property
    def floors(self) -> tuple[float | None, ...]:
        """The floor of each of `names`, or None."""
        return tuple(self.at_least.get(name) for name in self.names)

    @model_validator(mode="after")
    def _something_to_maximize(self) -> Self:
        if all(floor is not None for floor in self.floors):
            raise InputError(
                f"objective.at_least: {', '.join(self.names)}: each has a floor and nothing is "
                "left to maximize; name one more in objective.name"
            )
        return self


class SurrogateSettings(Section):
    """How the surrogate is fitted and the next candidates are proposed (table 1, steps 7 to 9)."""

    section: ClassVar = "search"
    surrogate: Literal["default", "paper"] = "default"
    """default - Matern kernel, noise inferred, maximum likelihood by L-BFGS. paper - RBF, min-max
    scaling, 150 Adam steps."""
    acquisition: Literal["ei", "logei", "pi", "ucb"] = "logei"
    """Acquisition function."""
    ucb_beta: Share = 4
    """Weight of the variance in ucb: mean + sqrt(ucb_beta) sd."""
    batch_size: Count = 1
    """q, candidates per iteration, trained side by side."""


class OptimizerSettings(SurrogateSettings):
    """The loop around the surrogate: starting design, budget and stopping rule."""

    initial: Annotated[Integer, Ge(2)] = 20
    """j, trials of the starting design."""
    design: Literal["sobol", "random"] = "sobol"
    """Starting design: space-filling Sobol points, or random as the paper's."""
    iterations: Annotated[Integer, Ge(0)] = 120
    """M, iterations at most. Raise it and the search goes on where it stopped."""
    stop_threshold: Share = 0.01
    """Stop when the largest expected improvement falls below this share of the objective's standard
    deviation over all trials. 0 never stops."""
    stop_patience: Count = 2
    """Iterations in a row below the threshold before stopping."""


class SearchSettings(OptimizerSettings):
    """The Bayesian optimization (table 1, steps 5 to 10)."""

    replicates: Count = 1
    """Seeds per trial. The default surrogate is told the mean and how much, over all trials, it
    varies; paper sees the mean."""
    seeds: Literal["independent", "fixed"] = "independent"
    """Seeds of trials. fixed - the same for each, as the paper, whose objective then measures the
    seed as well."""


class CompareSettings(Section):
    """The models compared on all images (figures 7, 9, 11, 12)."""

    section: ClassVar = "compare"
    seeds: Count = 5
    """Trainings of each model."""
    forms: Count = 5
    """Forms tried of each schedule made by hand (constant, warmup, cyclical, cooldown), their
    heights evenly spaced in the logarithm of the bounds; the best by the objective is the model."""
    models: Annotated[tuple[Compared, ...], Len(1), AfterValidator(_distinct)] = (
        "vanilla",
        "beta-1",
        "constant",
        "optimum",
    )
    """vanilla - VAE without classes and invariances, at pyroVED's defaults and beta_c = 1, whatever
    the study has. vae - the same with the study's other settings and beta_c as beta-1. beta-NUMBER
    (beta-1, beta-0.01) - jrVAE, this beta_c throughout, scaled by the pixel count, since the
    reconstruction term grows with it (see unit_pixels). constant - jrVAE, best constant. warmup -
    jrVAE, best linear warm-up (Bowman et al. 2016, Sonderby et al. 2016). cyclical - jrVAE, best of
    four warm-ups in a row (Fu et al. 2019). cooldown - jrVAE, best of the paper's cooldown in its
    plainest form. optimum - jrVAE, the trajectory found. transfer - jrVAE, the trajectory found in
    the study `transfer`."""
    kinds: Annotated[Integer, Ge(2)] | None = None
    """Into how many classes the consensus of the seeds puts those of the models: fewer than
    `model.classes` where models are given more than there are kinds. null - as many."""
    transfer: str | None = None
    """Study whose optimum model transfer follows (figure B2), resampled to this study's cycles and
    rescaled from its bounds to these. Its search runs first."""
    unit_pixels: Count = 784
    """Pixels at which beta-NUMBER is NUMBER; on other images it is in proportion to theirs."""


class KindSettings(Section):
    """How many kinds there are, asked of models with other numbers of classes.

    They are trained by `snakemake results/NAME/kinds.csv`, along the trajectory the search
    recommends; see rules/judge.smk.
    """

    section: ClassVar = "kinds"
    max: Annotated[Integer, Ge(3)] = 8
    """Classes up to which it is asked, from 2."""
    seeds: Annotated[Integer, Ge(2)] = 4
    """Trainings of each number of classes."""


class GroundSettings(Section):
    """The measuring ground, on which searches and objectives are compared.

    It is made by `snakemake ground`; see rules/ground.smk.
    """

    section: ClassVar = "ground"
    points: Annotated[Integer, Ge(2)] = 192
    """Latent points measured."""
    seeds: Count = 4
    """Trainings of each."""
    constants: Count = 8
    """Constant trajectories measured, evenly spaced in the logarithm of the bounds."""
    constant_seeds: Count = 32
    """Trainings of each constant: the seed lottery draws from them."""
    block: Count = 32
    """Trainings per job, one after another; what is lost when one is stopped."""


class RivalSettings(Section):
    """Searches run for real at equal cost.

    They are run by `snakemake results/NAME/rivals.csv`; see rules/rivals.smk.
    """

    section: ClassVar = "rivals"
    searches: Annotated[tuple[Search, ...], Len(1)] = (
        "zbo",
        "zbo-seeds",
        "zbo-knots",
        "zbo-cooldown",
        "random",
        "random-mean",
        "lottery",
        "constants",
        "warmup",
        "cyclical",
        "cooldown",
        "tpe",
        "cma-es",
        "bo-knots",
        "bo-cycles",
        "turbo",
        "population",
    )
    """random - random latent points, the luckiest recommended. random-mean - the same, recommending
    as zbo does. lottery - seeds at the ground's best constant. constants, warmup, cyclical,
    cooldown - eight forms of the schedule in turn, then seeds of the best. zbo - latent Bayesian
    optimization. zbo-paper - the same as the paper fits and recommends. zbo-seeds - half of it,
    then seeds of what it recommends. zbo-knots, zbo-cooldown - its surrogate over five values of
    log beta, or over what a late cooldown is drawn of, instead of latents. tpe, cma-es - Optuna's,
    on the families' own parameters. bo-knots - its Gaussian process over five values of log beta.
    bo-cycles - over all N. turbo - a trust region in all N. population - population based training.
    Two objectives: zbo, zbo-knots, zbo-cooldown, random, random-mean, tpe, lottery and the four
    schedules."""
    repeats: Count = 5
    """Runs of each, seeds apart."""
    replays: Count = 200
    """Replays of each on the measuring ground, at the same budget."""
    budget: Annotated[Integer, Ge(2), Le(900)] = 40
    """Trainings of each run, or members of the population."""
    fresh_seeds: Annotated[Integer, Ge(1), Le(90)] = 4
    """Trainings along the trajectory each run recommends, with seeds it has not seen."""
    at_least: Annotated[tuple[Number, ...], Len(1)] = (2, 3, 4)
    """Of two objectives, floors of the second: at each a run recommends the trajectory with the
    most of the first."""


class Study(Section):
    """One study."""

    description: str
    """What the study is, in a sentence; opens its report."""
    seed: Annotated[Integer, Ge(0)] = 0
    """Every random number of the study derives from it."""
    images: ImageSettings = _whole_section()
    trajectories: TrajectorySettings = _whole_section()
    trajectory_vae: TrajectoryVAESettings = _whole_section()
    space: SpaceSettings = _whole_section()
    model: ModelSettings = _whole_section()
    training: TrainingSettings = _whole_section()
    objective: ObjectiveSettings = _whole_section()
    search: SearchSettings = _whole_section()
    compare: CompareSettings = _whole_section()
    kinds: KindSettings = _whole_section()
    ground: GroundSettings = _whole_section()
    rivals: RivalSettings = _whole_section()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Refuse what no section can see alone."""
        if self.images.size is not None:
            refuse_oblong(self.images.size, self.model.invariances, "images.size")
        classes = self.model.classes
        if isinstance(self.trajectories.beta_d, tuple) and classes < 2:
            raise InputError(
                f"trajectories.beta_d: {classes} classes have no discrete KL term to search for; "
                "give a number"
            )
        if self.space.coordinates == "parameters" and len(self.trajectories.families) != 1:
            raise InputError(
                "space.coordinates: parameters are those of one family; name one alone in "
                "trajectories.families, or set latents"
            )
        about_classes = [
            name
            for name in self.objective.names
            if name in OF_STUDY and OF_STUDY[name].about_classes
        ]
        if classes < 2 and about_classes:
            objective = about_classes[0]
            raise InputError(
                f"objective.name: '{objective}' is about classes and model.classes is {classes}: "
                "there are none to tell apart; set objective.name to elbo or to your own as "
                "module:function, or model.classes to 2 or more"
            )
        if self.compare.kinds is not None and self.compare.kinds > classes:
            raise InputError(
                f"compare.kinds: {self.compare.kinds} cannot be put together from model.classes "
                f"({classes}); give as many or fewer"
            )
        if self.compare.kinds is not None and self.compare.seeds < 2:
            raise InputError(
                "compare.kinds: what one seed cuts in parts, only others can put together; set "
                "compare.seeds to 5 or so"
            )
        if "transfer" in self.compare.models and self.compare.transfer is None:
            raise InputError(
                "compare.transfer: name the study whose optimum model transfer follows"
            )
        return self
