"""Score the forms of a schedule and take the one with the highest objective; no labels."""

import numpy as np

from zbo.base import channels, command, storage
from zbo.base.errors import InputError
from zbo.search import evaluation, objective, pareto


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--schedules", required=True, help="schedules/*.h5")
    parser.add_argument("--trials", required=True, nargs="+", help="its trials, in order")
    parser.add_argument("--output", required=True, help="best_*.h5")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    scoring = objective.ObjectiveSettings(**args.settings["objective"])
    beta = storage.read(args.schedules, kind="schedules")["beta"]
    scored = [evaluation.score(*evaluation.read_trial(path), scoring) for path in args.trials]
    objectives = np.array([trial.objectives for trial in scored])
    worked = np.flatnonzero(np.isfinite(objectives).all(1))
    if not len(worked):
        raise InputError(
            f"{args.schedules}: along every one of them the training failed; lower "
            f"training.learning_rate (reason: status in {args.trials[0]})"
        )
    latents = evaluation.model_in(args.trials[0], kind="trial").latent_dim
    chosen = pareto.choice(scoring, latents)
    sure = np.zeros_like(objectives[worked])
    best = int(worked[pareto.recommended(objectives[worked], sure, chosen)])
    storage.write(
        args.output,
        {
            "beta": beta[[best]],
            "best": best,
            "tried": channels.split(beta)[0].max(1),
            **{part: np.array([one.mean(part) for one in scored]) for part in objective.PARTS[1:]},
            "objective": objectives[:, 0],
            "objectives": objectives,
        },
        kind="best_schedule",
        settings=args.settings,
    )


if __name__ == "__main__":
    command.run(main)
