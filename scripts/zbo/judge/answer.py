"""The answer of a study: the model to keep, and what it says of images, old and new.

What is kept are all seeds of the recommended trajectory: together they say of which class an image
is, and the one with the highest objective says how it is turned and what else varies.
"""

import csv
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zbo.base import storage
from zbo.base.errors import InputError
from zbo.data import unseen
from zbo.data.images import ImageSet
from zbo.judge import angles, consensus
from zbo.judge.consensus import Consensus
from zbo.search import evaluation
from zbo.trainer import jrvae
from zbo.trainer.loss import LEAST_SIGMA

UNLIKE = 0.99  # quantile of the errors seen beyond which an image is unlike those
TEXT = ("file", "label")  # columns of classes.csv that hold no numbers
WARNED = 0.05  # share of unlike images from which on to warn; of a study's own 1 % are
MEMBERS = 200  # of a class, at most, that its symmetry is found from
ROWS = 1 << 16  # image x pixel decoded at a time


@dataclass(frozen=True)
class Answer:
    """What is known of each image; classes count from 0, in the order of their size.

    Attributes:
        classes: Shape (n,), int.
        probability: Of that class: the seeds' share, shape (n,).
        agreement: Share of seeds whose own class means this one, shape (n,).
        part: Class of the kept model, shape (n,), int: what several of them make up
            (`compare.kinds`) has angles, symmetry and latents part by part.
        angle: Degrees counter-clockwise from how its part lies on average, modulo the part's
            symmetry, shape (n,); NaN for a round one or a model without rotation.
        angle_sd: Circular standard deviation of its posterior, degrees.
        symmetry: Order of the part's rotational symmetry, shape (n,); 0 if it is round, and 2 as
            well where it holds an object both ways up.
        shift: Of the object from the middle, pixels down and to the right, shape (n, 2); NaN
            without shifts.
        scale: Size over that of its part, shape (n,); NaN without scaling.
        latents: Posterior means of the other latents, shape (n, L).
        latents_sd: Their standard deviations, shape (n, L).
        error: Root mean squared error of the reconstruction, units of intensity, shape (n,).
        unlike: Whether that is beyond what all but 1 % of the study's own images have, shape (n,).
    """

    classes: np.ndarray
    probability: np.ndarray
    agreement: np.ndarray
    part: np.ndarray
    angle: np.ndarray
    angle_sd: np.ndarray
    symmetry: np.ndarray
    shift: np.ndarray
    scale: np.ndarray
    latents: np.ndarray
    latents_sd: np.ndarray
    error: np.ndarray
    unlike: np.ndarray


@dataclass(frozen=True)
class Kept:
    """The model to keep, with the seeds that vote.

    Attributes:
        models: Of each seed that trained, as `jrvae.build` builds them.
        best: Index of the one kept.
        consensus: What the seeds agree on.
        means: Which classes of the kept model make up each class of the consensus, shape (K, C),
            bool, at least one each.
        symmetry: Of each class of the kept model, shape (K,), int.
        zero: Angle at which each of these lies on average, radians, shape (K,).
        errors: Quantiles (0 to 1 in hundredths) of the study's reconstruction errors, shape (101,).
        sigma: Standard deviation of the kept model's Gaussian decoder, units of intensity; where it
            was learned, that which suits the study's images best. NaN for a Bernoulli decoder.
    """

    models: Sequence[Any]
    best: int
    consensus: Consensus
    means: np.ndarray
    symmetry: np.ndarray
    zero: np.ndarray
    errors: np.ndarray
    sigma: float

    @property
    def model(self) -> Any:
        """The model kept."""
        return self.models[self.best]

    def look(self, images: np.ndarray) -> Answer:
        """Say of images all that the kept models know, in batches of bounded memory.

        Args:
            images: Shape (n, h, w), in [0, 1], prepared as the study's were.

        Returns:
            A row an image.
        """
        if not len(images):
            raise InputError("images: there are none to apply the model to")
        batch = max(1, ROWS // images[0].size)
        parts = [self._look(images[i : i + batch]) for i in range(0, len(images), batch)]
        fields = zip(*(vars(part).values() for part in parts), strict=True)
        return Answer(*(np.concatenate(field) for field in fields))

    def _look(self, images: np.ndarray) -> Answer:
        encodings = [jrvae.encode(model, images) for model in self.models]
        posteriors = [voted(one.probabilities) for one in encodings]
        shares = self.consensus.probabilities(posteriors)
        classes = shares.argmax(1)
        mine = encodings[self.best]
        part = _part(self.means, classes, posteriors[self.best])
        z, symmetry = mine.z_mean.copy(), self.symmetry[part]
        turns = "r" in self.model.settings.invariances
        angle = sd = np.full(len(images), np.nan)
        if turns:
            found = angles.likelihood(self.model, images, z, part, self.sigma)
            z[:, 0], _ = angles.angle(found, np.ones_like(symmetry))
            angle, sd = angles.angle(found, symmetry)
            angle = angles.wrapped(angle - self.zero[part], symmetry)
        made = angles.reconstructed(self.model, z, part)
        error = np.sqrt(((made - images) ** 2).mean((1, 2)))
        shift, scale = _placed(self.model, z)
        latents = self.model.settings.latent_dim
        return Answer(
            classes=classes,
            probability=shares.max(1),
            agreement=self.consensus.agreement(posteriors, classes),
            part=part,
            angle=np.rad2deg(angle),
            angle_sd=np.rad2deg(sd),
            symmetry=symmetry,
            shift=shift,
            scale=scale,
            latents=mine.z_mean[:, -latents:],
            latents_sd=mine.z_sd[:, -latents:],
            error=error,
            unlike=error > self.errors[round(100 * UNLIKE)],
        )


def keep(
    images: np.ndarray,
    models: Sequence[Any],
    objectives: Sequence[float],
    seed: int = 0,
    kinds: int | None = None,
) -> Kept:
    """Make the model to keep of a trajectory's seeds.

    Args:
        images: All of the study's, shape (n, h, w), in [0, 1].
        models: Of each seed that trained.
        objectives: What each reached; the highest is kept.
        seed: Of the consensus.
        kinds: Classes of the consensus; as many as the models have by default.

    Returns:
        The kept models, with classes, symmetries and angles that fit together.
    """
    best = int(np.argmax(objectives))
    encodings = [jrvae.encode(model, images) for model in models]
    posteriors = [voted(one.probabilities) for one in encodings]
    agreed = consensus.find(posteriors, seed, kinds)
    classes = agreed.probabilities(posteriors).argmax(1)
    means = _means(agreed.parts[best], posteriors[best].T @ np.eye(agreed.parts.shape[2])[classes])
    part = _part(means, classes, posteriors[best])
    symmetry = np.ones(len(means), int)
    if "r" in models[best].settings.invariances:
        symmetry = _symmetries(models[best], encodings[best].z_mean, part, len(means))
    sigma = _sigma(models[best], images, part)
    none = np.zeros(len(means)), np.full(101, np.inf)
    first = Kept(models, best, agreed, means, symmetry, *none, sigma).look(images)
    zero = [
        angles.mean(np.deg2rad(first.angle[first.part == k]), symmetry[k])
        for k in range(len(means))
    ]
    errors = np.quantile(first.error, np.linspace(0, 1, 101))
    return Kept(models, best, agreed, means, symmetry, np.array(zero), errors, sigma)


def _means(parts: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Tell which classes of a seed make up each of the consensus, shape (K, C), bool.

    Args:
        parts: P(class of the consensus | class of the seed), shape (K, C).
        shared: Images they have in common, shape (K, C). A class that holds none means nothing; one
            of the consensus that no class means gets the class with the most of its images.
    """
    used = shared.sum(1, keepdims=True) > 0.5  # half an image: probabilities, summed
    means = (parts.argmax(1)[:, None] == np.arange(parts.shape[1])) & used
    lost = ~means.any(0)
    means[shared.argmax(0)[lost], np.flatnonzero(lost)] = True
    return means


def _part(means: np.ndarray, classes: np.ndarray, posterior: np.ndarray) -> np.ndarray:
    """Give each image's most probable class of the kept model among those that make up its own."""
    return np.where(means[:, classes].T, posterior, -1).argmax(1)


def voted(probabilities: np.ndarray) -> np.ndarray:
    """Give a model without classes, K = 0, a single one."""
    return probabilities if probabilities.shape[1] else np.ones((len(probabilities), 1))


def write(path: str, kept: Kept, about: Mapping[str, Any], **facts: Any) -> None:
    """Write the kept model: its weights as in models/*.h5, and what goes with them.

    Args:
        path: model.h5.
        kept: What to write.
        about: Datasets beside it: of which seed it is, and why.
        **facts: What made it.
    """
    data = dict(about)
    for i, model in enumerate(kept.models):
        at = f"members/{i}/weights"
        data |= {f"{at}/{name}": values for name, values in jrvae.weights(model).items()}
    data |= {f"weights/{name}": values for name, values in jrvae.weights(kept.model).items()}
    data |= {
        "best": kept.best,
        "consensus/weights": kept.consensus.weights,
        "consensus/parts": kept.consensus.parts,
        "classes/means": kept.means,
        "classes/symmetry": kept.symmetry,
        "classes/zero": kept.zero,
        "errors": kept.errors,
        "sigma": kept.sigma,
    }
    what = kept.model.settings.model_dump(mode="json")
    storage.write(path, data, kind="kept model", model=what, **facts)


def read(path: str | Path) -> Kept:
    """Read what `write` wrote.

    Raises:
        InputError: If the file is missing or of another kind.
    """
    data = storage.read(path, kind="kept model")
    settings = evaluation.model_in(path, kind="kept model")
    if "classes/means" not in data:
        raise InputError(
            f"{path}: was kept by an earlier version, which knew no parts of classes; run the "
            "study again, which keeps its trainings"
        )
    models = [
        evaluation.network(storage.group(data, f"members/{i}"), settings)
        for i in range(len(data["consensus/weights"]))
    ]
    return Kept(
        models,
        int(data["best"]),
        Consensus(data["consensus/weights"], data["consensus/parts"]),
        data["classes/means"],
        data["classes/symmetry"],
        data["classes/zero"],
        data["errors"],
        float(data["sigma"]),
    )


def apply(study: str | Path, path: str, coordinates: str | None = None) -> tuple[ImageSet, Answer]:
    """Say of new images all that a study's kept model knows of them.

    All of them are in memory at once; `make apply` takes them block by block.

    Args:
        study: Folder of a finished study, results/NAME.
        path: File or folder of new pictures, read and prepared as the study's were.
        coordinates: Where patches lie in them, if the study has `images.patches.coordinates`.

    Returns:
        The images, and a row of answers for each.

    Raises:
        InputError: If the study has not been run, or the pictures are not there or not alike.
    """
    kept = read(Path(study) / "model.h5")
    images = unseen.load(Path(study) / "images.h5", path, coordinates)
    return images, kept.look(images.images)


def columns(path: str) -> dict[str, np.ndarray]:
    """Read classes.csv.

    Args:
        path: The file.

    Returns:
        Column to values, shape (n,): numbers, NaN where there is none, or, of files and labels,
        text.
    """
    with open(storage.existing(path), newline="") as file:
        table = csv.reader(file)
        names = next(table)
        kept: list[Any] = [[] if name in TEXT else array("d") for name in names]
        for row in table:  # a million of them as dictionaries would fill the memory
            for name, column, cell in zip(names, kept, row, strict=True):
                column.append(sys.intern(cell) if name in TEXT else float(cell or "nan"))
    return {
        name: np.array(column, dtype=object if name in TEXT else float)
        for name, column in zip(names, kept, strict=True)
    }


def rows(
    answer: Answer, images: Mapping[str, np.ndarray], first: int = 0
) -> Iterator[dict[str, Any]]:
    """Give the rows of classes.csv.

    Args:
        answer: Of these images.
        images: Datasets of images.h5: where there are any, sources and labels.
        first: Which of these images the first of the answer is.

    Yields:
        Column to value each, numbers rounded to what they are worth.
    """
    files, names, labels = (images.get(name) for name in ("files", "names", "labels"))
    for i in range(len(answer.classes)):
        at = first + i
        row: dict[str, Any] = {"image": at}
        if files is not None:
            row["file"] = files[images["file"][at]]
        row |= {key: f"{images[key][at]:g}" for key in ("page", "y", "x") if key in images}
        row |= {
            "class": int(answer.classes[i]) + 1,
            "probability": f"{answer.probability[i]:.3f}",
            "agreement": f"{answer.agreement[i]:.3f}",
            "part": int(answer.part[i]) + 1,
            "angle": _number(answer.angle[i], ".1f"),
            "angle_sd": _number(answer.angle_sd[i], ".1f"),
            "symmetry": int(answer.symmetry[i]),
            "shift_y": _number(answer.shift[i, 0], ".2f"),
            "shift_x": _number(answer.shift[i, 1], ".2f"),
            "scale": _number(answer.scale[i], ".3f"),
        }
        for j in range(answer.latents.shape[1]):
            row[f"latent_{j + 1}"] = f"{answer.latents[i, j]:.4f}"
            row[f"latent_{j + 1}_sd"] = f"{answer.latents_sd[i, j]:.4f}"
        row |= {"error": f"{answer.error[i]:.4f}", "unlike": int(answer.unlike[i])}
        if "turned" in images:
            row["turned"] = f"{images['turned'][at]:.1f}"
        if labels is not None:
            assert names is not None  # images.h5 holds both or neither
            label = labels[at]
            row["label"] = names[label] if label >= 0 else ""
        yield row


def _number(value: float, form: str) -> str:
    return f"{value:{form}}" if np.isfinite(value) else ""


def _sigma(model: Any, images: np.ndarray, own: np.ndarray) -> float:
    """Standard deviation of the decoder; a learned one as in training, by what the encoder says."""
    if model.settings.decoder != "gaussian":
        return float("nan")
    if model.settings.decoder_sigma != "learned":
        return model.settings.decoder_sigma
    batch, squares = max(1, ROWS // images[0].size), 0.0
    for i in range(0, len(images), batch):
        part = images[i : i + batch]
        made = angles.reconstructed(model, jrvae.encode(model, part).z_mean, own[i : i + batch])
        squares += ((made - part) ** 2).sum(dtype=float)
    return max(np.sqrt(squares / images.size), LEAST_SIGMA)


def _symmetries(model: Any, z: np.ndarray, part: np.ndarray, count: int) -> np.ndarray:
    """Find the symmetry of each part: of what some of its members are taken for, upright."""
    at = angles.Polar(tuple(model.settings.image_shape)).coordinates
    batch = max(1, ROWS // len(at))
    found = np.ones(count, int)
    for k in range(count):
        members = np.flatnonzero(part == k)
        some = members[np.linspace(0, len(members) - 1, min(len(members), MEMBERS)).astype(int)]
        lying = [
            angles.decoded(model, z[few], np.full(len(few), k), at)
            for few in (some[i : i + batch] for i in range(0, len(some), batch))
        ]
        if lying:
            upright = np.concatenate(lying).reshape(len(some), -1, angles.SAMPLED)
            found[k] = angles.common_symmetry(upright)
    return found


def _placed(model: Any, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where objects are, pixels from the middle down and to the right, and how large."""
    invariances, at = model.settings.invariances, 1 if "r" in model.settings.invariances else 0
    shift, scale = np.full((len(z), 2), np.nan), np.full(len(z), np.nan)
    if "t" in invariances:
        moved = z[:, at : at + 2] * np.asarray(model.t_prior, np.float32)
        at += 2
    if "s" in invariances:
        scale = 1 / (1 + float(model.sc_prior) * z[:, at])
    if "t" in invariances:
        # The middle of the decoder's coordinates lies where grid @ turn * scale + moved = 0.
        phi = z[:, 0] if "r" in invariances else np.zeros(len(z))
        middle = -moved * (np.nan_to_num(scale, nan=1.0))[:, None]
        down = middle[:, 0] * np.cos(phi) + middle[:, 1] * np.sin(phi)
        left = -middle[:, 0] * np.sin(phi) + middle[:, 1] * np.cos(phi)
        h, w = model.settings.image_shape
        shift = np.stack((down * (h - 1) / 2, -left * (w - 1) / 2), 1)
    return shift, scale
