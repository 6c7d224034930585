"""Score the constant trajectories and take the one with the highest objective; no labels."""

import numpy as np

from zbo.base import command, storage
from zbo.base.errors import InputError
from zbo.search import evaluation, pareto
from zbo.search.objective import ObjectiveSettings


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--constants", required=True, help="constants.h5")
    parser.add_argument("--trials", required=True, nargs="+", help="its trials, in order")
    parser.add_argument("--output", required=True, help="best_constant.h5")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    scoring = ObjectiveSettings(**args.settings["objective"])
    beta = storage.read(args.constants, kind="constants")["beta"]
    scored = [evaluation.score(*evaluation.read_trial(path), scoring) for path in args.trials]
    objectives = np.array([trial.objectives for trial in scored])
    worked = np.flatnonzero(np.isfinite(objectives).all(1))
    if not len(worked):
        raise InputError(
            f"{args.constants}: every constant trajectory failed to train; lower "
            "training.learning_rate (reasons: status in trials/constant-*.h5)"
        )
    latents = evaluation.model_in(args.trials[0], kind="trial").latent_dim
    best = int(
        worked[
            pareto.recommended(
                objectives[worked],
                np.zeros_like(objectives[worked]),
                pareto.choice(scoring, latents),
            )
        ]
    )
    storage.write(
        args.output,
        {"beta": beta[[best]], "tried": beta[..., 0], "objective": objectives[:, 0]},
        kind="best_constant",
        settings=args.settings,
    )


if __name__ == "__main__":
    command.run(main)
