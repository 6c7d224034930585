"""A run of the workflow in its folder: alone there, and with all it reads in the image's sight."""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

MARK = "ZBO_RUN"  # environment variable of everything that a run starts


class Lock:
    """A lock on a folder, held until this process ends, however it ends.

    Unlike Snakemake's own it needs no unlocking after a kill.

    Attributes:
        taken: True if another process holds the lock.
        error: Why there can be no lock here, as on a file system without flock, or "".
    """

    def __init__(self, path: str | Path, patience: float = 0) -> None:
        """Try to take a lock.

        Args:
            path: File to lock; it is made if it is not there.
            patience: Seconds to wait for another process to let go of it.
        """
        self.taken, self.error = False, ""
        deadline = time.monotonic() + patience
        try:
            self._file = open(path, "a")  # noqa: SIM115
            while self._is_taken() and time.monotonic() < deadline:
                time.sleep(0.2)
        except OSError as error:
            self.error = os.strerror(error.errno or 0)

    def _is_taken(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.taken = False
        except BlockingIOError:
            self.taken = True
        return self.taken


def jobs_of_killed_run() -> list[int]:
    """List the processes that another run has started and left at work in this folder."""
    import psutil  # comes with Snakemake, and is not in the image

    found = []
    here, own = os.getcwd(), {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            elsewhere = process.pid in own or process.cwd() != here
            if not elsewhere and MARK in process.environ():
                found.append(process.pid)
        except psutil.Error:  # another person's, or ended
            continue
    return found


def slurm_jobs(script: str | Path) -> list[str]:
    """List the Slurm jobs at work for this folder, as profiles/slurm/jobs.sh prints them."""
    asked = subprocess.run([script], capture_output=True, text=True, check=False)
    return asked.stdout.split()


def reached(path: str | Path) -> Iterator[str]:
    """Name a path and, of each link on its way, where that leads; a container has to see them all.

    Args:
        path: A file or folder, absolute or of the working folder.

    Yields:
        Absolute paths of the same file, each with one link followed more than the one before.
    """
    place = Path(os.path.abspath(path))
    for _ in range(40):  # as many links as Linux follows
        yield str(place)
        link = next((p for p in [*reversed(place.parents), place] if p.is_symlink()), None)
        if link is None:
            return
        target = os.path.join(link.parent, os.readlink(link))
        place = Path(os.path.normpath(target)) / place.relative_to(link)


def bound(paths: list[str | Path], already: str = "") -> str:
    """Name what Apptainer has to bind for a container to see some files as this machine does.

    Args:
        paths: Files and folders; one that does not exist is left out.
        already: What is bound in any case, as APPTAINER_BIND has it.

    Returns:
        The value of APPTAINER_BIND: folders outside the working folder, which is always bound.
    """
    here = os.getcwd()
    binds = dict.fromkeys(filter(None, already.split(",")))
    for path in [*paths, *links(here)]:
        for place in reached(path):
            folder = place if os.path.isdir(place) else os.path.dirname(place)
            inside = Path(folder).is_relative_to(here)
            if not inside and os.path.exists(place) and folder != "/":
                binds[folder] = None
    return ",".join(binds)


def bind(paths: Iterable[str | Path]) -> None:
    """Have Apptainer bind what `bound` names, in this process and all that it starts."""
    already = os.environ.get("APPTAINER_BIND", "")
    os.environ["APPTAINER_BIND"] = bound(list(paths), already)


def links(folder: str | Path) -> list[str | Path]:
    """List the links in a folder and in its results, where large ones are put on another disk."""
    places = [Path(folder), Path(folder) / "results"]
    return [
        each for place in places if place.is_dir() for each in place.iterdir() if each.is_symlink()
    ]
