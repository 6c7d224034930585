"""What every script does the same way: settings, threads, progress, one line for a mistake."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from zbo import config
from zbo.errors import InputError


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
        return json.loads(text) if text.lstrip().startswith("{") else config.load(text)
    except ValueError as error:  # argparse would replace its message
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: has to be 1 or more")
    return int(text)


def run(main: Callable[[], None]) -> None:
    """Run a script's main; a person's mistake ends it with one line and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def progress_bar(total: int, what: str) -> Callable[[int, float], None]:
    """Show a training's progress: cycles done, time left, loss.

    Args:
        total: Cycles.
        what: What is trained, shown before the bar.

    Returns:
        To be called after each cycle with its number and loss.
    """
    bar = tqdm(total=total, desc=what, unit="cycle", mininterval=1, file=sys.stderr)

    def show(cycle: int, loss: float) -> None:
        bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
        bar.update(1)
        if cycle + 1 == total:
            bar.close()

    return show


def use_threads(count: int) -> None:
    """Let torch use so many threads; numbers are reproducible for a given count."""
    import torch

    os.environ["OMP_NUM_THREADS"] = str(count)
    torch.set_num_threads(count)


def device(gpus: int) -> str:
    """Choose where to train: a GPU if one was asked for or is there, else the CPU.

    Args:
        gpus: GPUs the job was given; with 0 one is used if it is there.

    Returns:
        "cuda" or "cpu".

    Raises:
        InputError: If a GPU was asked for and none works: a silent day on the CPU helps nobody.
    """
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if gpus:
        raise InputError(
            f"resources: {gpus} GPU asked for, but torch {torch.__version__} finds none (driver, "
            "--nv, or a CPU build of torch?); set the rule's gpu resource to 0 to train on the CPU"
        )
    return "cpu"
