"""Recommend a number of classes: the largest that trainings from other seeds agree on."""

import argparse
import re
from pathlib import Path

import numpy as np

from zbo.base import command, storage
from zbo.base.errors import InputError
from zbo.base.storage import DONE
from zbo.judge import kinds


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", required=True, nargs="+", help="models/optimum-kK-SEED.h5")
    parser.add_argument("--output", required=True, help="kinds.csv")
    args = parser.parse_args(argv)
    posteriors: dict[int, list[np.ndarray]] = {}
    for path in args.models:
        (classes,) = re.findall(r"-k(\d+)-\d+$", Path(path).stem)
        own = posteriors.setdefault(int(classes), [])
        model = storage.read(path, kind="model", only=("status",))
        if model["status"] == DONE:
            own.append(storage.read(path, kind="model", only=("probabilities",))["probabilities"])
    asked = [kinds.found(classes, own) for classes, own in posteriors.items() if len(own) > 1]
    if not asked:
        raise InputError(f"{args.models[0]}: no two seeds of one number of classes trained")
    storage.write_table(args.output, kinds.rows(asked))
    number, why = kinds.recommend(asked)
    print(f"{args.output}: {number} classes: {why}")


if __name__ == "__main__":
    command.run(main)
