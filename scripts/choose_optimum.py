"""Take the optimum out of the last iteration: what the search recommends, not a lucky trial."""

import numpy as np

from zbo.base import command, files, storage
from zbo.search.stopping import negligible


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--space", required=True, help="space.h5")
    parser.add_argument("--iteration", required=True, help="the last of iterations/*.h5")
    parser.add_argument("--output", required=True, help="optimum.h5")
    args = parser.parse_args(argv)
    space = storage.read(args.space, kind="space")
    z, beta = files.feasible(space)
    last = storage.read(args.iteration, kind="iteration")
    estimated, evaluated = last["best_estimated"], last["best_evaluated"]
    search = args.settings["search"]
    why = negligible(
        last["improvements"].tolist(),
        last["spread"],
        search["stop_threshold"],
        search["stop_patience"],
    )
    # The highest single trial is a lucky seed; the posterior mean averages over its neighbours.
    storage.write(
        args.output,
        {
            "z": z[[estimated]],
            "beta": beta[[estimated]],
            "means": np.atleast_1d(last.get("means", last["mean"])[estimated]),
            "sds": np.atleast_1d(last.get("sds", last["sd"])[estimated]),
            "evaluated/z": z[evaluated],
            "evaluated/beta": beta[evaluated],
            "evaluated/objectives": last["observed/objectives"][
                last["observed/index"] == evaluated
            ],
            "iterations": last["iteration"],
            "trials": len(last["observed/index"]),
            "failed": int(last["observed/failed"].sum()),
            "negligible": search["stop_threshold"] * last["spread"],
            "stop": why or "budget of iterations spent",
        },
        kind="optimum",
        settings=args.settings,
    )


if __name__ == "__main__":
    command.run(main)
