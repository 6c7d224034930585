"""What every script does the same way: settings, threads, progress, one line for a mistake."""

import argparse
import errno
import fcntl
import json
import logging
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from zbo.base.errors import InputError

log = logging.getLogger(__name__)
_held: list[IO[str]] = []  # locks of the devices taken; the process's end lets them go


def parser(description: str | None) -> argparse.ArgumentParser:
    """Make a script's argument parser, with the options all of them share."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument(
        "--settings",
        required=True,
        type=_settings,
        help="a study's name (digits), or its settings as JSON, as the workflow gives them",
    )
    made.add_argument("--threads", type=_positive, default=1, help="CPU threads (default 1)")
    return made


def _settings(text: str) -> dict[str, Any]:
    try:
        if text.lstrip().startswith("{"):  # complete and checked: the workflow gives them
            return Given(json.loads(text))
        from zbo.base import config

        return config.load(text)
    except ValueError as error:  # argparse would replace its message
        raise argparse.ArgumentTypeError(str(error)) from error


class Given(dict):
    """The settings that a step's rule passes on: what is not among them is an error, not a default.

    Sections are of this class, too. One that the rule passes in part cannot be unpacked (`**`), as
    defaults would stand in for the rest; `items` gives the part.
    """

    def __init__(self, values: dict[str, Any], section: str = "") -> None:
        super().__init__(
            {name: Given(v, name) if isinstance(v, dict) else v for name, v in values.items()}
        )
        self.section = section

    def __missing__(self, name: str) -> Any:
        step = Path(sys.argv[0]).name
        raise InputError(
            f"the rule of {step} does not pass {f'{self.section}.{name}'.lstrip('.')}; "
            "name it in its params.settings"
        )

    def get(self, name: str, default: Any = None) -> Any:
        """Give a setting; one that was not passed is an error here too, whatever the default."""
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> Any:
        """List the keys, as unpacking does.

        Raises:
            InputError: If the section was passed in part.
        """
        from zbo.base.settings import Study

        if self.section in Study.model_fields:
            section: Any = Study.model_fields[self.section].annotation
            for name in section.model_fields:
                self[name]
        return super().keys()


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: has to be 1 or more")
    return int(text)


def gpus(text: str) -> int:
    """Count the GPUs that a job was given.

    Args:
        text: A number; behind a comma may stand what was asked for as Slurm's --gres ("0,gpu:1").

    Returns:
        The number; where it is 0 and --gres asks for a GPU, 1.
    """
    number, _, gres = text.partition(",")
    return int(number) or int("gpu" in gres)


def run(main: Callable[[], None]) -> None:
    """Run a script's main; what a person or a machine did wrong ends it with one line.

    Exit code 2 says that a mistake has to be mended, 1 that another attempt may succeed: a GPU was
    lost or a disk is full.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (OSError, RuntimeError) as error:
        if (said := _failure_of_the_machine(error)) is None:
            raise
        print(f"error: {said}", file=sys.stderr)
        sys.exit(1)


def _failure_of_the_machine(error: OSError | RuntimeError) -> str | None:
    """Say what the machine failed at, on which node; None if the error is of another kind."""
    node, text = platform.node(), " ".join(str(error).split())
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return f"{node}: disk full or over quota ({text}); make room, then run again"
    # torch's own classes, by name: not every script imports torch.
    if type(error).__name__ == "OutOfMemoryError":
        return f"{node}: out of GPU memory ({text}); see what else runs there, or lower batch_size"
    if type(error).__name__ == "AcceleratorError" or "CUDA error" in text:
        return f"{node}: the GPU failed ({text.partition('CUDA kernel errors')[0].strip()})"
    return None


def progress_bar(
    total: int, what: str, unit: str = "cycle", value: str = "loss"
) -> Callable[[int, float], None]:
    """Show a training's progress: cycles done, time left, loss; or another's.

    Args:
        total: Cycles.
        what: What is trained, shown before the bar.
        unit: What is counted.
        value: What is shown of each.

    Returns:
        To be called after each cycle with its number and loss.
    """
    bar = tqdm(total=total, desc=what, unit=unit, mininterval=1, file=sys.stderr)

    def show(number: int, latest: float) -> None:
        bar.set_postfix({value: f"{latest:.4g}"}, refresh=False)
        bar.update(1)
        if number + 1 == total:
            bar.close()

    return show


def use_threads(count: int) -> None:
    """Let torch use so many threads; numbers are reproducible for a given count."""
    import torch

    os.environ["OMP_NUM_THREADS"] = str(count)
    torch.set_num_threads(count)


def device(gpus: int) -> str:
    """Choose where to train: a GPU if one was asked for or is there, else the CPU.

    Of several GPUs a process takes one that no other zBO process of this user holds on the machine,
    so that trainings side by side each have their own.

    Args:
        gpus: GPUs the job was given; with 0 one is used if it is there.

    Returns:
        "cuda" (its current device the one taken) or "cpu".

    Raises:
        InputError: If a GPU was asked for and none works: a silent day on the CPU helps nobody.
            Only ZBO_DEVICE=cpu, for trying a scheduler out without GPUs, allows it, and says so.
    """
    if (wanted := os.environ.get("ZBO_DEVICE")) is not None:
        if wanted != "cpu":
            raise InputError(f"ZBO_DEVICE={wanted}: may only be cpu; leave it unset to use a GPU")
        log.warning("ZBO_DEVICE=cpu: trains on the CPU (%d GPUs asked for)", gpus)
        return "cpu"
    import torch

    if torch.cuda.is_available():
        if torch.cuda.device_count() > 1:
            found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
            torch.cuda.set_device(first_free([str(each.uuid) for each in found]))
        return "cuda"
    if gpus:
        raise InputError(
            f"resources: {gpus} GPU asked for, but torch {torch.__version__} finds none (driver, "
            "--nv, or a CPU build of torch?); set the rule's gpu resource to 0 to train on the CPU"
        )
    return "cpu"


def first_free(names: list[str], folder: str | Path | None = None) -> int:
    """Take the first of some devices that no other process of this user has taken.

    Args:
        names: One a device, the same for every process of the machine.
        folder: Where the locks lie; by default the machine's folder for temporary files.

    Returns:
        Its place in the list, held until this process ends, however it ends; the first if all are
        taken, as two trainings can share one.
    """
    folder = Path(folder or tempfile.gettempdir())
    for index, name in enumerate(names):
        lock = open(folder / f"zbo-{os.getuid()}-{name}.lock", "w")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _held.append(lock)
        return index
    log.warning("all %d GPUs are taken; shares the first", len(names))
    return 0
