"""Put searches that were run for real into one table, the seed lotteries of the ground beside them.

A row a run: `recommended`, mean accuracy over fresh seeds of the trajectory recommended at the end;
`kept`, accuracy of the model with the highest objective that the run trained; `objective`, mean
over the fresh seeds. A lottery's row is a draw of as many seeds from the ground's constant.
"""

from pathlib import Path

import numpy as np

from zbo import command, ground, replay, storage


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--searches", required=True, nargs="+", help="rivals/*.h5")
    parser.add_argument("--ground", required=True, help="ground.h5")
    parser.add_argument("--output", required=True, help="rivals.csv")
    args = parser.parse_args(argv)
    rows = [_row(path) for path in args.searches]
    table = replay.load(args.ground)
    name = args.settings["objective"]["name"]
    rows += _lotteries(table, name, args.settings["rivals"]["budget"])
    storage.write_table(args.output, rows)


def _row(path: str) -> dict:
    run = storage.read(path, kind="search")
    search, _, repeat = Path(path).stem.rpartition("-")
    return {
        "search": search,
        "repeat": repeat,
        "trainings": len(run["objective"]),
        "objective": f"{np.nanmean(run['fresh_objective']):.4f}",
        "recommended": f"{np.nanmean(run['fresh/accuracy']):.4f}",
        "kept": f"{run['search/accuracy'][np.nanargmax(run['objective'])]:.4f}",
        "seconds": f"{storage.facts(path, kind='search')['seconds']:.0f}",
    }


def _lotteries(table: replay.Ground, name: str, budget: int) -> list[dict]:
    measures = table.at()
    values, accuracy = ground.OBJECTIVES[name](measures), measures["accuracy"]
    best, unit = table.best_constant(values), table.constant_nearest(table.unit_beta)
    rows = []
    for search, at in (("lottery, best constant", best), ("lottery, beta 1", unit)):
        drawn = slice(0, min(budget, table.repeats[at]))
        kept = np.nanargmax(values[at, drawn])
        rows.append(
            {
                "search": search,
                "repeat": 0,
                "trainings": drawn.stop,
                "objective": f"{np.nanmean(values[at, drawn]):.4f}",
                "recommended": f"{np.nanmean(accuracy[at, drawn]):.4f}",
                "kept": f"{accuracy[at, kept]:.4f}",
                "seconds": "",
            }
        )
    return rows


if __name__ == "__main__":
    command.run(main)
