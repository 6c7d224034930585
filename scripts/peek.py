"""See how far a study has come: its trials, its search, and the report of what is there so far.

Nothing is run and nothing waits: a run may be at work in the same folder.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from figures import convergence, report, surrogate
from zbo.base import command, config, storage
from zbo.base.errors import InputError
from zbo.base.settings import ObjectiveSettings
from zbo.search.course import Course, newer

PROJECT = Path(__file__).resolve().parents[1]
SHOWN = 10  # of the latest trials
# Figures that do not depend on how far the search is, and what they show.
LASTING = {
    "patches": "images.h5",
    "images": "images.h5",
    "trajectories": "trajectories.h5",
    "latent_space": "space.h5",
}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="+", help="their names; results are in results/NAME")
    parser.add_argument("--scale", default="paper", help="paper or reduced, as the run has it")
    parser.add_argument("--set", default="", help="what the run has as set=... in its config")
    args = parser.parse_args(argv)
    command.use_threads(1)
    for name in config.studies({"studies": args.studies, "scale": args.scale}):
        peek(Path("results") / name, config.load(name, args.set))


def peek(folder: Path, settings: dict[str, Any]) -> None:
    """Write trials.csv, the search's figures in peek/ and peek.html, of what is there.

    Args:
        folder: results/NAME.
        settings: Of the study.

    Raises:
        InputError: If nothing is there yet.
    """
    if not (folder / "images.h5").exists():
        raise InputError(f"{folder}: holds no images.h5 yet; see again once the run has begun")
    course = Course.of(folder)
    objective = settings["objective"]
    if course.iterations:  # what the run itself was told, whatever the study says by now
        objective = storage.facts(course.iterations[-1], kind="iteration")["settings"]["objective"]
    rows = list(course.rows(ObjectiveSettings(**objective)))
    if rows:
        storage.write_table(folder / "trials.csv", rows)
    drawn = _drawn(folder, course, rows)
    optimum, scores = folder / "optimum.h5", folder / "scores.csv"
    scored = course.ended and newer(scores, optimum)
    captions = PROJECT / "rules/captions"
    gathered = report.study(folder, drawn, captions, course, scored)
    gathered["missing"] = _missing(course, settings, drawn, scored)
    gathered["trials"] = rows[-SHOWN:]
    template = PROJECT / "scripts/figures/report.html"
    report.write(folder / "peek.html", template, captions, [gathered])
    print(f"{gathered['missing']} See {folder}/trials.csv and {folder}/peek.html")


def _drawn(folder: Path, course: Course, rows: list[dict[str, Any]]) -> dict[str, Path]:
    """Name the figures that are there and not of an earlier search; draw those of one at work."""
    if course.ended:
        shows = dict.fromkeys(report.TITLES, "optimum.h5")
        there = {name: folder / f"figures/{name}.png" for name in shows}
    else:
        searched = _searched(folder, course, rows)
        shows = LASTING | dict.fromkeys(searched, "images.h5")
        there = {name: folder / f"figures/{name}.png" for name in LASTING} | searched
    kept = {name: path for name, path in there.items() if newer(path, folder / shows[name])}
    return {name: kept[name] for name in report.TITLES if name in kept}


def _searched(folder: Path, course: Course, rows: list[dict[str, Any]]) -> dict[str, Path]:
    """Draw the course and the map of a search at work."""
    drawn = {}
    if rows:
        drawn["convergence"] = folder / "peek/convergence.png"
        objective = np.array([float(row["objective"] or "nan") for row in rows])
        initial = len(storage.read(folder / "design.h5", kind="design", only=("index",))["index"])
        outputs = [drawn["convergence"]]
        convergence.draw(outputs, objective, initial, course.last, "the search goes on")
    if course.iterations:
        drawn["surrogate"] = folder / "peek/surrogate.png"
        files = "--space", folder / "space.h5", "--design", folder / "design.h5"
        last = "--iteration", course.iterations[-1], "--output", drawn["surrogate"]
        surrogate.main([*map(str, (*files, *last))])
    return drawn


def _missing(course: Course, settings: dict[str, Any], drawn: dict[str, Path], scored: bool) -> str:
    """Say in words what there is and what is still to come."""
    search, compare = settings["search"], settings["compare"]
    most = search["initial"] + search["iterations"] * search["batch_size"]
    count = len(course.told) + len(course.arrived)
    said = f"{count} trials of at most {most}: the search goes on."
    if course.ended:
        said = f"{count} trials: the search has ended."
    elif not course.iterations and not course.asked:
        said = "The search has not begun."
    if scored:
        return said
    wanted = [f"{m}-{seed}.h5" for m in compare["models"] for seed in range(compare["seeds"])]
    folder, optimum = course.folder / "models", course.folder / "optimum.h5"
    there = [course.ended and newer(folder / name, optimum) for name in wanted]
    return (
        f"{said} {sum(there)} of {len(wanted)} models are trained since. Still missing: scores, "
        "classes and the figures that are not here."
    )


if __name__ == "__main__":
    command.run(main)
