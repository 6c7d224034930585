"""Train along many trajectories with several seeds each and keep what any search could ask.

One block of the measuring ground, on which searches and objectives are compared without training
again (scripts/collect_ground.py makes one table of all blocks).
"""

import logging
import time

import numpy as np

from zbo.base import command, storage
from zbo.rivals import ground
from zbo.search import evaluation
from zbo.trainer import training


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--design", required=True, help="ground/design.h5")
    parser.add_argument("--block", required=True, type=int, help="which rows: block-th of them")
    parser.add_argument("--output", required=True, help="ground/{block}.h5")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    settings = args.settings
    images = storage.read(args.images, kind="images")
    design = storage.read(args.design, kind="ground_design")
    rows = ground.rows(design["repeats"])
    size = settings["ground"]["block"]
    rows = rows[args.block * size : (args.block + 1) * size]
    show = command.progress_bar(len(rows), f"block {args.block}", "training", "l1")
    begin = time.perf_counter()
    measured = []
    for done, (trajectory, repeat) in enumerate(rows):
        beta = design["beta"][trajectory]
        try:
            found = _measure(settings, images, beta, trajectory, repeat)
        except training.TrainingDiverged as error:  # a result, too: no row, and searches see NaN
            logging.warning("trajectory %d, repeat %d: %s", trajectory, repeat, error)
            continue
        measured.append({"trajectory": trajectory, "repeat": repeat, **found})
        show(done, found["l1"][-1])
    storage.write(
        args.output,
        {name: np.stack([one[name] for one in measured]) for name in measured[0]}
        if measured
        else {},
        kind="ground",
        settings=settings,
        seconds=time.perf_counter() - begin,
    )


def _measure(settings: dict, images: dict, beta: np.ndarray, trajectory: int, repeat: int) -> dict:
    seed = evaluation.seeds_of(f"ground {trajectory}", repeat + 1, settings["seed"])[-1]
    begin = time.perf_counter()
    when = ground.checkpoints(beta.shape[-1])
    measures, last = ground.measure(settings, images, beta, seed, when)
    return {
        **measures,
        "seed": np.int64(seed),
        "seconds": np.float32(time.perf_counter() - begin),
        # What an objective not thought of yet may want.
        "manifolds": (last.manifolds * 255).round().astype(np.uint8),
        "probabilities": last.encoding.probabilities.astype(np.float16),
        "z_mean": last.encoding.z_mean.astype(np.float16),
        "z_sd": last.encoding.z_sd.astype(np.float16),
    }


if __name__ == "__main__":
    command.run(main)
