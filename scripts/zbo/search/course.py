"""How far a search has come: its trials in order, from the files that are there at any moment.

Nothing is planned or run. What an earlier run left behind is told by its age: it is older than what
asked for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from zbo.base import storage
from zbo.base.settings import ObjectiveSettings
from zbo.base.storage import DONE

PARTS = ("information", "factors", "active")  # of a trial's scores, beside the objectives


@dataclass(frozen=True)
class Course:
    """How far a search has come.

    Attributes:
        folder: results/NAME.
        iterations: Paths of iterations/*.h5, in order, those of this search.
        ended: Whether it has: optimum.h5 is there.
        told: Paths of the trials that the last iteration knew, in order.
        asked: Paths of those asked for since, whether they are there or not; none if it has ended.
    """

    folder: Path
    iterations: list[Path]
    ended: bool
    told: list[Path]
    asked: list[Path]

    @classmethod
    def of(cls, folder: str | Path) -> "Course":
        """Look at the files of results/NAME, of a search that may be at work."""
        folder = Path(folder)
        design, optimum = folder / "design.h5", folder / "optimum.h5"
        if not design.exists():
            return cls(folder, [], False, [], [])
        iterations: list[Path] = []
        while newer(_iteration(folder, len(iterations)), [design, *iterations][-1]):
            iterations.append(_iteration(folder, len(iterations)))
        if iterations and optimum.exists():
            end = _end(folder)
            if end < len(iterations) and newer(optimum, iterations[end]):
                return cls.ended_search(folder)
        trials = [_asked_by(path) for path in (design, *iterations)]
        return cls(folder, iterations, False, [*chain(*trials[:-1])], trials[-1])

    @classmethod
    def ended_search(cls, folder: str | Path) -> "Course":
        """Look at the files of results/NAME, of a search that has ended, whatever their age."""
        folder = Path(folder)
        iterations = [_iteration(folder, k) for k in range(_end(folder) + 1)]
        trials = [_asked_by(path) for path in (folder / "design.h5", *iterations[:-1])]
        return cls(folder, iterations, True, [*chain(*trials)], [])

    @cached_property
    def last(self) -> dict[str, Any] | None:
        """Datasets of the last iteration, if there is one."""
        return storage.read(self.iterations[-1], kind="iteration") if self.iterations else None

    @property
    def arrived(self) -> list[Path]:
        """Those of `asked` that are there."""
        asking = self.iterations[-1] if self.iterations else self.folder / "design.h5"
        return [path for path in self.asked if newer(path, asking)]

    def rows(self, scoring: ObjectiveSettings) -> Iterator[dict[str, Any]]:
        """Give the rows of trials.csv, a trial each, the starting design first.

        Args:
            scoring: What is maximized, for trials that no iteration has scored yet.

        Yields:
            Its name, seeds, state (done, or why it failed), objectives, `PARTS`, seconds, cycles.
        """
        from zbo.search import evaluation  # torch comes with it

        last = self.last or {}
        for i, path in enumerate(self.told):
            found = {part: last[f"observed/{part}"][i] for part in PARTS}
            objectives = [last["observed/objective"][i]]
            if len(scoring.names) > 1:
                objectives = last["observed/objectives"][i]
            yield _row(path, scoring, objectives, found)
        for path in self.arrived:
            scored = evaluation.score(*evaluation.read_trial(str(path)), scoring)
            found = {part: scored.mean(part) for part in PARTS}
            yield _row(path, scoring, scored.objectives, found)


def newer(path: Path, than: Path) -> bool:
    """Tell whether two files are there, and the first is not left from before the other."""
    return path.exists() and than.exists() and path.stat().st_mtime_ns >= than.stat().st_mtime_ns


def _iteration(folder: Path, number: int) -> Path:
    return folder / f"iterations/{number:03d}.h5"


def _end(folder: Path) -> int:
    """Give the number of the iteration that ended the search."""
    return int(
        storage.read(folder / "optimum.h5", kind="optimum", only=("iterations",))["iterations"]
    )


def _asked_by(path: Path) -> list[Path]:
    """Name the trials that the design or an iteration asked for."""
    count = len(storage.read(path, kind=("design", "iteration"), only=("index",))["index"])
    folder = path.parent if path.stem == "design" else path.parents[1]
    return [folder / f"trials/{path.stem}-{index}.h5" for index in range(count)]


def _row(
    path: Path, scoring: ObjectiveSettings, objectives: Any, found: dict[str, float]
) -> dict[str, Any]:
    trial = storage.read(path, kind="trial", only=("status", "seeds", "beta_c"))
    failed = trial["status"] == DONE and not np.isfinite(objectives).all()
    row = {
        "trial": path.stem,
        "seeds": " ".join(map(str, trial["seeds"])),
        "state": "failed: the objective is not finite" if failed else trial["status"],
    }
    numbers = dict(zip(["objective", *scoring.names[1:]], objectives, strict=True)) | found
    row |= {name: f"{value:.4f}" if np.isfinite(value) else "" for name, value in numbers.items()}
    row["seconds"] = f"{storage.facts(path, kind='trial')['seconds']:.1f}"
    row["cycles"] = len(trial["beta_c"])
    return row
