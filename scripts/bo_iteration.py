"""Score the latest trials, fit the surrogate to all so far, choose the next (table 1, 6 to 9).

Iteration k takes the observations of iteration k - 1 and scores the trials that it asked for, so
that each file stands for the whole search up to it. Trials know no objective: under another one the
design is scored anew, not trained, and only what the search then asks for differs.
"""

import json
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from zbo.base import command, files, storage
from zbo.base.errors import InputError
from zbo.base.storage import DONE
from zbo.search import evaluation, objective, optimize, pareto


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--space", required=True, help="space.h5")
    parser.add_argument("--candidates", required=True, help="design.h5 or the previous iteration")
    parser.add_argument("--trials", required=True, nargs="+", help="the trials it asked for")
    parser.add_argument("--trained", type=json.loads, help="JSON settings all trials must have")
    parser.add_argument("--iteration", required=True, type=int)
    parser.add_argument("--budget", type=int, default=0, help="iterations, for the time left")
    parser.add_argument("--output", required=True, help="iterations/*.h5")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    space = storage.read(args.space, kind="space")
    z, beta = files.feasible(space)
    before = storage.read(args.candidates, kind=("design", "iteration"))
    scoring = objective.ObjectiveSettings(**args.settings["objective"])
    seen = _observations(before, args.trials, args.trained, scoring)

    # Neither budget nor stopping rule is ours to know: they may change later, and what this file
    # says stays true.
    settings = optimize.settings_of(args.settings, iterations=sys.maxsize)
    several = len(scoring.names) > 1
    latents = evaluation.model_in(args.trials[0], kind="trial").latent_dim
    chosen = pareto.choice(scoring, latents)
    optimizer = optimize.Optimizer(z, settings, args.settings["seed"], scoring.floors, chosen)
    optimizer.improvements = list(before.get("improvements", []))
    for observed in zip(seen["index"], seen["objectives"], seen["variances"], strict=True):
        optimizer.tell(*observed)
    fit = optimizer.fit()
    optimizer.count_improvement()
    best, estimated = optimizer.best_evaluated, optimizer.best_estimated

    storage.write(
        args.output,
        {
            "iteration": args.iteration,
            "index": fit.candidates,
            "z": z[fit.candidates],
            "beta": beta[fit.candidates],
            **{f"observed/{name}": values for name, values in seen.items()},
            "observed/z": z[seen["index"]],
            # Of the first objective, which every figure shows, and of all where there are more.
            "mean": fit.mean.reshape(len(z), -1)[:, 0].astype(np.float32),
            "sd": fit.sd.reshape(len(z), -1)[:, 0].astype(np.float32),
            "means": fit.mean.astype(np.float32) if several else None,
            "sds": fit.sd.astype(np.float32) if several else None,
            "front": optimizer.front if scoring.floors.count(None) > 1 else None,
            "acquisition": fit.acquisition.astype(np.float32),
            "improvements": np.array(optimizer.improvements),
            "spread": optimizer.spread,
            "best_evaluated": best,
            "best_estimated": estimated,
            **{f"surrogate/{name}": value for name, value in fit.hyperparameters.items()},
        },
        kind="iteration",
        settings=args.settings,
    )
    _show(args, seen, fit, optimizer)


def _observations(
    before: dict,
    trials: list[str],
    settings: dict | None,
    scoring: objective.ObjectiveSettings,
) -> dict[str, np.ndarray]:
    """Score the trials that were asked for and add them to those observed before them."""
    facts = [storage.facts(path, kind="trial") for path in trials]
    for path, fact in zip(trials, facts, strict=True):
        # Snakemake cannot tell where a job outlived the run that started it.
        if settings and fact["settings"] != settings:
            raise InputError(f"{path}: trained with other settings than now; delete it, run again")
    if len(trials) != len(before["index"]):
        raise InputError(f"--trials: {len(trials)} given, {len(before['index'])} were asked for")
    for path, z in zip(trials, before["z"], strict=True):
        if not np.array_equal(storage.read(path, kind="trial", only=["z"])["z"], z):
            raise InputError(f"{path}: trained at another point than was asked for; delete it")
    scored = [evaluation.score(*evaluation.read_trial(path), scoring) for path in trials]
    new = {
        "index": before["index"],
        "objective": np.array([trial.objective for trial in scored]),
        "objectives": np.array([trial.objectives for trial in scored]),
        "variances": np.array([trial.variances for trial in scored]),
        **{part: np.array([trial.mean(part) for trial in scored]) for part in objective.PARTS[1:]},
        "failed": np.array([trial.status != DONE for trial in scored]),
        "seconds": np.array([fact["seconds"] for fact in facts]),
    }
    old = storage.group(before, "observed")
    return {k: np.concatenate([old[k], v]) if old else v for k, v in new.items()}


def _show(args, seen, fit, optimizer) -> None:
    # An iteration's trials run side by side, so it takes as long as one of them. Time is counted
    # from the trainings, not from a clock, so that a search resumed a week later tells it, too.
    done = args.iteration + 1
    line = tqdm.format_meter(
        n=done,
        total=args.budget + 1,
        elapsed=done * seen["seconds"].mean(),
        unit="iteration",
        prefix=Path(args.output).resolve().parts[-3],
        postfix=f"{len(seen['index'])} trials, best {np.nanmax(seen['objective']):.4g}, "
        f"estimated optimum {_estimated(optimizer)}, "
        f"expected improvement {optimizer.improvements[-1]:.2g}",
        ncols=170,
    )
    print(line)


def _estimated(optimizer: optimize.Optimizer) -> str:
    """Posterior mean of what is recommended, of each objective."""
    mean = np.atleast_1d(optimizer.fit().mean[optimizer.best_estimated])
    return " and ".join(f"{value:.4g}" for value in mean)


if __name__ == "__main__":
    command.run(main)
