"""Measure what orchestration costs: seconds an iteration beyond the training, and their growth.

Part 1 runs the `test` study, its trainings cut to two cycles, in each layout: on this machine,
once more in the image if one is given, and where there is a Slurm, inside
one allocation and with one job a training. Part 2 follows the search to many iterations under the
project's own rules and Snakemake, while a copy of ready files stands in for every `python` command,
so that nothing but orchestration is left; then it starts again.
"""

import argparse
import csv
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

import numpy as np

from zbo.base import storage

COLUMNS = ("what", "iterations", "seconds", "cpu_seconds", "limit")
ROOT = Path(__file__).resolve().parents[2]
SETTINGS = "trajectories.cycles=2 search.initial=2 search.batch_size=1 search.iterations={}"
LOCAL = (sys.executable, "-m", "snakemake", "--nolock", "--cores", "1")
STAND_IN = """#!/bin/sh
# Every `python scripts/... --output FILE` becomes a copy of a file of the same kind, tables empty.
for word; do
    [ "$last" = --output ] && output=$word
    [ "$last" = --table ] && : >"$word"
    last=$word
done
case $output in
    */trials/*) kind=trial ;; */iterations/*) kind=iteration ;; *) kind=$(basename "$output" .h5) ;;
esac
cp "ready/$kind.h5" "$output.part" && mv "$output.part" "$output"
"""


class Folder:
    """A copy of the workflow without results, its Slurm profile without the image unless given."""

    def __init__(self, path: Path, image: Path | None, partition: str) -> None:
        self.path = path
        for name in ("rules", "scripts", "config", "profiles"):
            shutil.copytree(ROOT / name, path / name)
        shutil.copy(ROOT / "Snakefile", path)
        profile = path / "profiles/slurm/config.yaml"
        text = re.sub(
            "slurm_partition: [^ ]+", f"slurm_partition: {partition}", profile.read_text()
        )
        text = re.sub("mem_mb: .*", "mem_mb: 1000", text)
        if image:
            (path / "containers").mkdir()
            (path / "containers/zbo.sif").symlink_to(image.resolve())
        else:
            text = re.sub("(?m)^(software-deployment-method|apptainer-args).*\n", "", text)
        profile.write_text(text)

    def search(self, iterations: int, *command: str, stand_in: bool = False) -> tuple[float, float]:
        """Search up to an iteration; return the seconds it took, and those of CPU."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        if stand_in:
            path = f"{self.path}/bin:{path}"
        command = command or LOCAL
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [*command, "search", "--config", "studies=test", f"set={SETTINGS.format(iterations)}"],
            cwd=self.path,
            env=os.environ | {"PATH": path, "ZBO_DEVICE": "cpu"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return time.perf_counter() - begin, cpu

    def moments(self) -> np.ndarray:
        """When each iteration's file was written, seconds."""
        files = sorted((self.path / "results/test/iterations").glob("*.h5"))
        return np.array([path.stat().st_mtime for path in files])

    def parts(self) -> tuple[float, float, float]:
        """Return seconds an iteration: all, its training, its two commands from start to end."""
        results = self.path / "results/test"
        whole = np.diff(self.moments()).mean()
        trials = [path for path in (results / "trials").glob("*.h5") if path.stem[0].isdigit()]
        training = mean(storage.facts(path, kind="trial")["seconds"] for path in trials)
        ran = [*(self.path / "benchmarks/test").glob("train_trial/[0-9]*.tsv")]
        fits = [*(self.path / "benchmarks/test").glob("bo_iteration/*.tsv")]
        # Time is counted from the end of iteration 0: its own fit lies before.
        commands = sum(mean(map(_seconds, part)) for part in (ran, sorted(fits)[1:]))
        return whole, training, commands

    def stand_in(self, ready: Path) -> None:
        """Let copies of another folder's results stand in for every command."""
        (self.path / "bin").mkdir()
        shim = self.path / "bin/python"
        shim.write_text(STAND_IN)
        shim.chmod(0o755)
        (self.path / "ready").mkdir()
        for path in ready.glob("*.h5"):
            shutil.copy(path, self.path / "ready")
        for kind, folder in (("trial", "trials"), ("iteration", "iterations")):
            shutil.copy(next((ready / folder).glob("*.h5")), self.path / f"ready/{kind}.h5")


def _seconds(benchmark: Path) -> float:
    with open(benchmark) as file:
        return float(next(csv.DictReader(file, delimiter="\t"))["s"])


def layouts(work: Path, iterations: int, image: Path | None, partition: str) -> list[tuple]:
    """Measure an iteration in each layout that this machine has."""
    rows = []
    commands: dict[str, tuple[str, ...]] = {"local": ()}
    if image:
        commands["local, in the image"] = (*LOCAL, "--sdm", "apptainer", "--apptainer-args=--nv")
    # Its commands may be installed where no scheduler runs.
    if shutil.which("sinfo") and not subprocess.run(["sinfo"], capture_output=True).returncode:
        commands["in an allocation"] = (
            *("sbatch", "--wait", f"--partition={partition}", "--mem=1000", "--gpus=1"),
            "profiles/slurm/search.sh",
        )
        commands["a job a training"] = ("profiles/slurm/run.sh",)
    else:
        print("no Slurm here: measures the local layout alone", file=sys.stderr)
    for layout, command in commands.items():
        folder = Folder(work / re.sub("[, ]+", "-", layout), image, partition)
        folder.search(iterations, *command)
        whole, training, jobs = folder.parts()
        rows += [
            (
                f"{layout}: iteration beyond its training",
                iterations,
                whole - training,
                "",
                "" if "job" in layout else "at most 5",
            ),
            (f"{layout}: of it, Python's start and the fit", iterations, jobs - training, "", ""),
            (
                f"{layout}: of it, Snakemake and scheduler",
                iterations,
                whole - jobs,
                "",
                "the polling delay" if "job" in layout else "",
            ),
        ]
    return rows


def growth(work: Path, stages: list[int]) -> list[tuple]:
    """Measure running and restarting with ever more iterations behind."""
    folder = Folder(work / "growth", None, "")
    folder.stand_in(work / "local/results/test")
    rows, run, again = [], [], []
    for before, iterations in zip([0, *stages], stages, strict=False):
        _, cpu = folder.search(iterations, stand_in=True)
        steps = np.diff(folder.moments()[before:])
        # The last tenth: what an iteration takes with so many behind it.
        late = steps[-max(5, len(steps) // 10) :].mean()
        restart, cpu_restart = folder.search(iterations, stand_in=True)
        run.append(folder.moments()[-1] - folder.moments()[0])
        again.append(restart)
        rows += [
            ("Snakemake alone: an iteration", iterations, late, cpu / (iterations - before), 2),
            ("Snakemake alone: restart", iterations, restart, cpu_restart, 10),
        ]
        print(f"{iterations} iterations: {late:.2f} s each, restart {restart:.2f} s", flush=True)
    powers = np.polyfit(np.log(stages), np.log([run, again]).T, 1)[0]
    rows += [
        (f"exponent of {what}", stages[-1], power, "", "about 1")
        for what, power in zip(("running", "restarting"), powers, strict=True)
    ]
    return rows


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="results/bench/orchestration.csv", help="table")
    parser.add_argument("--image", type=Path, help="run in this image, too; on Slurm, only")
    parser.add_argument("--partition", default="gpu", help="Slurm partition (default gpu)")
    parser.add_argument("--iterations", type=int, default=8, help="of each layout (default 8)")
    parser.add_argument(
        "--growth",
        default=[50, 100, 200, 500],
        type=lambda text: [int(n) for n in text.split(",")],
        help="iterations to follow the growth to (default 50,100,200,500)",
    )
    args = parser.parse_args(argv)
    output = Path(args.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as work:  # where the nodes see it, too
        place = Path(work).resolve()
        rows = layouts(place, args.iterations, args.image, args.partition)
        rows += growth(place, args.growth)
    with output.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for what, iterations, seconds, cpu, limit in rows:
            texts = [f"{n:.3g}" if isinstance(n, float) else n for n in (seconds, cpu)]
            table.writerow((what, iterations, *texts, limit))
            print(f"{what:50}{iterations:>5}{texts[0]:>9}{texts[1]:>9}  {limit}")


if __name__ == "__main__":
    main()
