"""A Slurm of one node, and zBO in folders of their own to run on it."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from conftest import ROOT, environment

HERE = Path(__file__).parent


class Folder:
    """A copy of the project, its Slurm profile edited as a person would."""

    def __init__(self, path: Path, image: Path | None = None, **values: str) -> None:
        self.path = path
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file() and name.split("/")[0] not in (".venv", "tests"):
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, path / name)
        self.edit(
            **{"slurm_partition": "gpu", "runtime": "10 * attempt", "mem_mb": "1000"} | values
        )
        if image:
            (path / "containers/zbo.sif").symlink_to(image)
        else:
            self.change(r"^(software-deployment-method|apptainer-args):.*\n", "")

    def edit(self, **values: str) -> None:
        for key, value in values.items():
            self.change(rf"^(  {key}:) .*?( +#.*)?$", rf"\1 {value}\2")

    def change(self, pattern: str, new: str) -> None:
        profile = self.path / "profiles/slurm/config.yaml"
        text, count = re.subn(pattern, new, profile.read_text(), flags=re.MULTILINE)
        assert count, pattern
        profile.write_text(text)

    def prepare(self, finished: Path) -> None:
        """Take everything before the first trial from a finished search."""
        shutil.copytree(finished / ".snakemake/metadata", self.path / ".snakemake/metadata")
        for path in (finished / "results/test").glob("*.h5"):
            if path.name != "optimum.h5":
                (self.path / "results/test").mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, self.path / "results/test" / path.name)

    def start(self, *options: str, command="profiles/slurm/run.sh", change="") -> subprocess.Popen:
        """Start a run; what it says is appended to run.log."""
        with open(self.path / "run.log", "a") as log:
            return subprocess.Popen(
                [
                    *(*command.split(), *(options or ("search",)), "--config", "studies=test"),
                    *(f"set={change}", "--slurm-init-seconds-before-status-checks", "1"),
                ],
                cwd=self.path, env=environment() | {"ZBO_DEVICE": "cpu"},
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def run(self, *options: str, **how: str) -> None:
        self.finish(self.start(*options, **how))

    def finish(self, running: subprocess.Popen, code: int = 0, seconds: float = 1500) -> None:
        try:
            assert running.wait(seconds) == code, self.said
        except BaseException:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGINT)
            raise

    @property
    def said(self) -> str:
        return (self.path / "run.log").read_text()

    def jobs(self) -> list[dict[str, str]]:
        """What Slurm has on record of this folder's jobs, the last run of each."""
        asked = subprocess.run(
            ["scontrol", "show", "job", "--oneliner"], check=True, capture_output=True, text=True
        )
        found = [fields(line) for line in asked.stdout.splitlines()]
        return [job for job in found if job.get("WorkDir") == str(self.path)]

    def trials(self, *states: str) -> list[dict[str, str]]:
        """Those of rule train_trial, in some states or any."""
        return [
            job for job in self.jobs()
            if job.get("Comment", "").startswith("rule_train_trial_")
            and (not states or job["JobState"] in states)
        ]  # fmt: skip

    def running(self) -> dict[str, str]:
        """Wait for a trial that runs."""
        until(lambda: self.trials("RUNNING"))
        return self.trials("RUNNING")[0]


def fields(line: str) -> dict[str, str]:
    """Read a line of scontrol's."""
    return dict(re.findall(r"(\S+?)=(\S*)", line))


def until(holds: Callable[[], object], seconds: float = 600) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def slurm(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
