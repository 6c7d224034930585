"""Put the figures, scores and facts of one or more studies into one page that needs nothing else.

The page tells each study in the order of the method, every figure with its caption, and holds its
pictures itself: it can be mailed, and read on a phone without a network.
"""

import argparse
import base64
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from zbo.base import channels, command, config, storage
from zbo.base.errors import InputError
from zbo.base.storage import DONE
from zbo.drawing import panels, plots
from zbo.judge import spread
from zbo.judge.scores import CONSENSUS, called, is_trained, kinds
from zbo.search.course import Course

# Figures of a study in the order of the story, and the headings they begin.
TITLES = {
    "members": "Which image is which",
    "map": "Where they lie",
    "latents": "What varies",
    "kinds": "How many kinds",
    "overview": "In a row",
    "patches": "What was cut out",
    "images": "Data",
    "trajectories": "Trajectories",
    "latent_space": "Latent space",
    "surrogate": "Search",
    "convergence": "",
    "optimum": "Optimum",
    "front": "Classes and factors",
    "manifolds": "Models",
    "scores": "Scores",
    "objective": "Objective and accuracy",
}
# Columns of scores.csv that are shown, and how.
COLUMNS = {
    "accuracy": ("accuracy", ".2f"),
    "ari": ("ARI", ".2f"),
    "nmi": ("NMI", ".2f"),
    "purity": ("purity", ".2f"),
    "extracted": ("labels extracted", ".1f"),
    "rotation": ("rotation in latents", ".2f"),
    "l1": ("ℓ1", ".2f"),
    "l2": ("ℓ2", ".2f"),
    "objective": ("objective", ".2f"),
    "loss": ("loss", ".1f"),
    "seconds": ("training, s", ".0f"),
}
PIXELS_PER_INCH = 200  # of the figures' PNGs (plots.STYLE)


@dataclass(frozen=True)
class Picture:
    """A figure to show.

    Attributes:
        title: Heading it begins, or "".
        alt: What it is, for those who do not see it.
        caption: What to see in it.
        data: The PNG, base64.
        inches: Its width.
    """

    title: str
    alt: str
    caption: str
    data: str
    inches: float


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", required=True, nargs="+", help="results/NAME")
    parser.add_argument("--figures", required=True, nargs="+", help="their figures/*.png")
    parser.add_argument("--paper", nargs="*", default=[], help="claims.csv and figures, *.png")
    parser.add_argument("--captions", required=True, help="folder of captions, NAME.rst")
    parser.add_argument("--template", required=True, help="the page, Jinja2")
    parser.add_argument("--output", required=True, help="the page")
    args = parser.parse_args(argv)
    captions = Path(args.captions)
    studies = [
        study(folder, _drawn(folder, args.figures), captions, Course.ended_search(folder))
        for folder in map(Path, args.studies)
    ]
    write(args.output, Path(args.template), captions, studies, args.paper)


def _drawn(folder: Path, figures: Sequence[str]) -> dict[str, Path]:
    """Pick one study's figures, by name, in the order of the story."""
    own = {path.stem: path for path in map(Path, figures) if path.parents[1] == folder}
    place = {name: number for number, name in enumerate(TITLES)}
    return dict(sorted(own.items(), key=lambda named: place.get(named[0], len(place))))


def write(
    output: str | Path,
    template: Path,
    captions: Path,
    studies: list[dict[str, Any]],
    of_paper: Sequence[str] = (),
) -> None:
    """Write the page.

    Args:
        output: Where.
        template: The page, Jinja2.
        captions: Folder of captions.
        studies: What `study` gathered of each.
        of_paper: The paper's claims.csv and figures.
    """
    told = {each["name"]: each["words"] for each in studies}
    paper = [
        picture(path, captions, _of_paper(path, told))
        for path in map(Path, of_paper)
        if path.suffix == ".png"
    ]
    tables = [storage.read_table(path) for path in of_paper if path.endswith(".csv")]
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(template.read_text()).render(
        studies=studies,
        balanced=", ".join(each["name"] for each in studies if each["words"]["balanced"]),
        paper=paper,
        claims=tables[0] if tables else [],
        how_judged=(captions / "claims.rst").read_text(),
        scale=_scale(each["name"] for each in studies),
    )
    with storage.whole(output) as beside:
        beside.write_text(page)


def study(
    folder: Path, drawn: Mapping[str, Path], captions: Path, course: Course, scored: bool = True
) -> dict[str, Any]:
    """Gather all the page says of one study.

    Args:
        folder: results/NAME.
        drawn: Its figures, in the order of the story.
        captions: Folder of captions.
        course: Of its search.
        scored: Whether its models are.

    Returns:
        Name, words for captions, description, facts, pictures and table of scores.
    """
    images = storage.read(folder / "images.h5", kind="images")
    simulated = bool(images.get("simulated", False))
    chosen = storage.facts(folder / "images.h5", kind="images")["settings"]["images"]
    balanced = chosen["balance"] is not None or chosen["balance_subset"]
    # Where several objectives were asked for, what was traded comes first, but for people who came
    # with images of their own.
    several = "means" in (course.last or {})
    opening = "front" if several and chosen["source"] != "files" else "members"
    words = {
        "simulated": "simulated " if simulated else "",
        "balanced": ", though they balance the classes of the images" if balanced else "",
        "scaled": scaled(folder, images) if scored else "",
    }
    return {
        "name": folder.name,
        "words": words,
        "description": config.load(folder.name)["description"],
        "simulated": simulated,
        "facts": facts(folder, images, course, scored),
        "pictures": [
            picture(path, captions, words)
            for name, path in sorted(drawn.items(), key=lambda item: item[0] != opening)
            if (name != "map" or panels.in_micrographs(images))
            and (name != "patches" or chosen.get("patches"))
        ],
        "scores": score_table(folder / "scores.csv") if scored else None,
    }


def facts(
    folder: Path, images: dict[str, Any], course: Course, scored: bool = True
) -> dict[str, str]:
    """Say what ran: how many, from which seed, how long, where, with what, and what failed.

    Args:
        folder: results/NAME.
        images: Datasets of its images.h5.
        course: Of its search.
        scored: Whether its models are.

    Returns:
        Name to words, in the order to show.
    """
    count, h, w = images["images"].shape
    labels = images.get("labels")
    whose = "simulated images" if images.get("simulated", False) else "images"
    labelled = f", {kinds(labels)} labels" if labels is not None else ", no labels"
    searched = len(images["subset"])
    told = {"images": f"{count:,} {whose} of {h} × {w}{labelled}; the search sees {searched:,}"}
    if (path := folder / "trajectories.h5").exists():
        sampled = storage.read(path, kind="trajectories")
        beta = sampled["beta"]
        what = " and ".join(channels.NAMES[: len(channels.split(beta))])
        named = ", ".join(map(plots.readable, sampled["names"]))
        told["trajectories"] = f"{len(beta):,} of {what}, {beta.shape[-1]} cycles, {named}"
    if (path := folder / "space.h5").exists():
        feasible = storage.read(path, kind="space", only=("feasible",))["feasible"]
        told["search space"] = f"{feasible.sum():,} feasible points of {len(feasible):,}"
    told["trials"] = _trials(course)
    made = [storage.facts(path, kind="trial") for path in [*course.told, *course.arrived]]
    seconds = [f"trials {duration(sum(of['seconds'] for of in made))}"]
    if scored:
        rows = _trained(folder)
        models = [folder / f"models/{row['model']}-{row['replicate']}.h5" for row in rows]
        made += [storage.facts(path, kind="model") for path in models]
        failed = ", ".join(
            f"{row['model']}-{row['replicate']}" for row in rows if row["status"] != DONE
        )
        told["models"] = f"{len(rows)}, " + (f"failed: {failed}" if failed else "none failed")
        seconds.append(f"models {duration(sum(float(row['seconds']) for row in rows))}")
    told["time"] = f"{', '.join(seconds)} of training in all"
    versions = (
        ", ".join(f"{name} {number}" for name, number in of["versions"].items()) for of in made
    )
    return told | {
        "seed": _each(of["settings"]["seed"] for of in made),
        "device": _each(f"{of['device']} ({of['machine']})" for of in made),
        "commit": _each(of["commit"] for of in made),
        "versions": _each(versions),
    }


def _trials(course: Course) -> str:
    """Say how many trials there are, how many failed, and how the search ended, if it has."""
    last = course.last or {"observed/index": [], "observed/failed": np.zeros(0, bool)}
    said = f"{len(last['observed/index'])}, {int(last['observed/failed'].sum())} failed; search "
    if course.ended:
        optimum = storage.read(course.folder / "optimum.h5", kind="optimum", only=("stop",))
        return f"{said}ended: {optimum['stop']}"
    return f"{said}goes on, {len(course.arrived)} of the next {len(course.asked)} done"


def scaled(folder: Path, images: dict[str, Any]) -> str:
    """Say what β_c models beta-NUMBER really had, where it is not the number they are called by.

    Args:
        folder: results/NAME.
        images: Datasets of its images.h5.

    Returns:
        A sentence, or "".
    """
    had = {}
    for row in _trained(folder):
        if row["model"].startswith("beta-"):
            path = folder / f"models/{row['model']}-{row['replicate']}.h5"
            beta_c = storage.read(path, kind="model", only=("beta_c",))["beta_c"]
            had[row["model"].removeprefix("beta-")] = beta_c[0]
    if all(np.isclose(beta_c, float(number)) for number, beta_c in had.items()):
        return ""
    unit = storage.facts(path, kind="model")["settings"]["compare"]["unit_pixels"]
    return (
        f"β_c = {' and '.join(had)} {'are' if len(had) > 1 else 'is'} meant at {unit:,} pixels and "
        f"scaled by the number of pixels, here {images['images'][0].size:,}: "
        f"{' and '.join(f'{beta_c:.3g}' for beta_c in had.values())}."
    )


def _trained(folder: Path) -> list[dict[str, str]]:
    """Give the rows of scores.csv that are trainings, neither a consensus nor a yardstick."""
    rows = storage.read_table(folder / "scores.csv")
    return [row for row in rows if is_trained(row["model"])]


def _each(values: Iterable[Any]) -> str:
    """Name every value there is once: more than one means that files were made differently."""
    return "; ".join(dict.fromkeys(map(str, values)))


def _of_paper(path: Path, told: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Give a figure of the paper the words of the paper's studies at its folder's scale."""
    ending = config.REDUCED if path.parent.name.endswith(config.REDUCED) else ""
    studies = {name: name + ending for name in config.PAPER_STUDIES}
    return {"study": {name: told[study] for name, study in studies.items() if study in told}}


def _scale(folders: Iterable[str]) -> str:
    """Say "reduced" if any study is."""
    return "reduced" if any(name.endswith(config.REDUCED) for name in folders) else "paper's"


def duration(seconds: float) -> str:
    """Write a time as a person would: 42 s, 3.1 min, 2.0 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def score_table(path: Path) -> dict[str, Any]:
    """Make the table of scores: mean ± standard deviation over the seeds of each model.

    Args:
        path: scores.csv.

    Returns:
        `head`, names of the columns; `rows`, one a model: its name, seeds, and cells; and
        `collapsed`, what collapsed in which model, in sentences.
    """
    rows = storage.read_table(path)
    shown = [name for name in COLUMNS if any(row.get(name) for row in rows)]
    table = []
    for model in dict.fromkeys(row["model"] for row in rows):
        of_model = [row for row in rows if row["model"] == model]
        trained = sum(row["status"] == DONE for row in of_model)
        seeds = f"{trained} of {len(of_model)}" if trained < len(of_model) else f"{trained}"
        if model.startswith(CONSENSUS):
            seeds = f"{of_model[0]['replicate']} as one"
        cells = [
            spread.in_words(np.array([float(row[name] or "nan") for row in of_model]), form)
            for name, form in ((name, COLUMNS[name][1]) for name in shown)
        ]
        table.append([called(model, int(of_model[0]["classes"])), seeds, *cells])
    head = ["model", "seeds", *(COLUMNS[name][0] for name in shown)]
    collapsed = [
        f"{called(row['model'], int(row['classes']))}, seed {row['replicate']}: {row['collapse']}."
        for row in rows
        if row.get("collapse")
    ]
    return {"head": head, "rows": table, "collapsed": collapsed}


def picture(path: Path, captions: Path, words: dict[str, Any]) -> Picture:
    """Read a figure and the caption of its name.

    Args:
        path: The figure, a PNG.
        captions: Folder of captions, NAME.rst.
        words: What names in a caption stand for: `simulated` for "simulated " or "", `balanced`
            for what labels did to the images or "", `scaled` for what `scaled` says.

    Raises:
        InputError: If either is missing.
    """
    caption = captions / f"{path.stem}.rst"
    for file in (path, caption):
        if not file.exists():
            raise InputError(f"{file}: there is no such file")
    raw = path.read_bytes()
    (width,) = struct.unpack(">I", raw[16:20])  # first field of a PNG's header
    said = jinja2.Template(caption.read_text()).render(words)
    name = path.stem
    title = TITLES.get(name, f"Figure {name[3:].lstrip('0')}" if name.startswith("fig") else "")
    return Picture(
        title=title,
        alt=plots.readable(name),
        caption=said,
        data=base64.b64encode(raw).decode(),
        inches=width / PIXELS_PER_INCH,
    )


if __name__ == "__main__":
    command.run(main)
