"""Train along many trajectories with several seeds each and keep what any search could ask.

One block of the measuring ground, on which searches and objectives are compared without training
again (scripts/collect_ground.py makes one table of all blocks).
"""

import logging
import time
from dataclasses import asdict

import numpy as np
import torch

from zbo import channels, command, evaluation, ground, jrvae, objective, scores, storage, training


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
    design = storage.read(args.design, kind="candidates")
    rows = ground.rows(design["repeats"])
    size = settings["ground"]["block"]
    rows = rows[args.block * size : (args.block + 1) * size]
    show = command.progress_bar(len(rows), f"block {args.block}")
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
    """Train once; measure at several cycles on the way, so that cheap looks can be replayed."""
    beta_c, beta_d = channels.along(beta, settings["trajectories"]["beta_d"])
    everything, labels = images["images"], images.get("labels")
    seen = everything[images["subset"]]  # all that a search may look at; labels judge on the whole
    scoring = objective.ObjectiveSettings(**settings["objective"])
    name = f"ground {trajectory}"
    seed = evaluation.seeds_of(name, repeat + 1, settings["seed"])[-1]
    network = jrvae.build(evaluation.model_settings(settings["model"], seen.shape[1:]), seed)
    when = ground.checkpoints(len(beta_c))
    found: dict[str, list] = {}
    manifolds, encoding = np.empty(0), None  # of the last look

    def look(cycle: int, _: float) -> None:
        nonlocal manifolds, encoding
        if cycle + 1 not in when:
            return
        manifolds = jrvae.manifolds(network, scoring.grid)
        encoding = jrvae.encode(network, everything)
        decoded = torch.as_tensor(manifolds)
        judged = dict.fromkeys(scores.LABEL_SCORES, np.nan)
        if labels is not None:
            judged = asdict(scores.label_scores(encoding.probabilities.argmax(1), labels))
        measures = {
            "l1": objective.between_classes(decoded, scoring),
            "l2": objective.within_classes(decoded, scoring),
            **ground.posterior_measures(encoding.probabilities[images["subset"]]),
        }
        for key, value in (measures | judged).items():
            found.setdefault(key, []).append(value)

    begin = time.perf_counter()
    schedule = training.TrainingSettings(**settings["training"])
    history = training.train(network, seen, beta_c, beta_d, schedule, seed, progress=look)
    at = np.array(when) - 1
    return {
        **{key: np.array(values, dtype=np.float32) for key, values in found.items()},
        "reconstruction": history.reconstruction[at].astype(np.float32),
        "kl_c": history.kl_c[at].astype(np.float32),
        "kl_d": history.kl_d[at].astype(np.float32),
        "seed": np.int64(seed),
        "seconds": np.float32(time.perf_counter() - begin),
        # What an objective not thought of yet may want.
        "manifolds": (manifolds * 255).round().astype(np.uint8),
        "probabilities": encoding.probabilities.astype(np.float16),
        "z_mean": encoding.z_mean.astype(np.float16),
        "z_sd": encoding.z_sd.astype(np.float16),
    }


if __name__ == "__main__":
    command.run(main)
