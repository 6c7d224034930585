"""The state of long trainings, kept in files beside their output, so that a restart continues.

Snakemake deletes the declared outputs of a failed job; these are not declared and stay.
"""

import hashlib
import logging
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from zbo.base import storage
from zbo.base.errors import InputError

log = logging.getLogger(__name__)

_stop = threading.Event()


class Interrupted(SystemExit):
    """A SIGTERM came and the state is saved; ends the process as the signal would have."""


class Checkpoint:
    """A file that holds the state of one training.

    Args:
        path: The file; named for the output it belongs to.
        first: Seconds before it is first written: short trainings write nothing.
        every: Seconds between writings after that.
    """

    def __init__(self, path: str | Path, first: float = 120.0, every: float = 300.0):
        self.path, self.every = Path(path), every
        self.next = time.monotonic() + first

    @staticmethod
    def beside(output: str | Path, count: int) -> list["Checkpoint"]:
        """Make one for each training whose results go into an output file."""
        return [Checkpoint(f"{output}.{i}.state") for i in range(count)]

    def due(self) -> bool:
        """Tell whether it is time to save; raise `Interrupted` where a SIGTERM has come."""
        if _stop.is_set():
            raise Interrupted(128 + signal.SIGTERM)
        return time.monotonic() >= self.next

    def save(self, state: Mapping[str, Any], key: str) -> None:
        """Write a state, whole or not at all, with the key of its training; a warning if not."""
        try:
            storage.write(self.path, state, kind="state", key=key, code=_code())
        except OSError as error:
            log.warning("%s: %s; the training goes on without its state saved", self.path, error)
        self.next = time.monotonic() + self.every

    def load(self, key: str) -> dict[str, np.ndarray] | None:
        """Read the state of the training of this key; one of another, or damaged, is removed."""
        if not self.path.exists():
            return None
        try:
            state = storage.read(self.path, kind="state")
            facts = storage.facts(self.path, kind="state")
            if (facts["key"], facts.get("code")) == (key, _code()):
                return state
            reason = "of other settings, images, trajectory or code"
        except InputError:
            reason = "damaged"
        log.warning("%s: %s, so this training starts from its beginning", self.path, reason)
        self.remove()
        return None

    def remove(self) -> None:
        """Remove the file, if there is one: what it was kept for is written."""
        self.path.unlink(missing_ok=True)


def key(*parts: object) -> str:
    """Digest of what a training depends on: arrays by their bytes, the rest by their repr."""
    digest = hashlib.sha256()
    for part in parts:
        whole = isinstance(part, np.ndarray)
        digest.update(np.ascontiguousarray(part).data if whole else repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()


@cache
def _code() -> str:
    """Digest of the library's sources: no commit knows of changes that are not committed."""
    library = Path(__file__).parents[1]
    sources = sorted(f for f in library.rglob("*") if f.suffix in (".py", ".c"))
    return key(*(f.read_bytes() for f in sources))


@contextmanager
def interruptible() -> Iterator[None]:
    """Let a SIGTERM, which Slurm sends before it ends a job, wait until the state is saved."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGTERM, lambda *_: _stop.set())
    try:
        yield
    finally:
        _stop.clear()
        signal.signal(signal.SIGTERM, before)
