"""Put searches that were run for real into one table.

A row a run: `recommended`, mean accuracy over fresh seeds of the trajectory recommended at the end;
`kept`, accuracy of the model with the highest objective that the run trained; `objective`, mean
over the fresh seeds. Of two objectives there are, once a floor of the second, `recommended`, `kept`
and both over the fresh seeds.
"""

import argparse
from pathlib import Path

import numpy as np

from zbo.base import command, storage
from zbo.rivals.arena import at_least


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", required=True, nargs="+", help="rivals/*.h5")
    parser.add_argument("--output", required=True, help="rivals.csv")
    args = parser.parse_args(argv)
    storage.write_table(args.output, [_row(path) for path in args.searches])


def _row(path: str) -> dict:
    run = storage.read(path, kind="search")
    search, _, repeat = Path(path).stem.rpartition("-")
    row = {"search": search, "repeat": repeat, "trainings": len(run["objective"])}
    if "floors" not in run:
        row |= {
            "objective": f"{np.nanmean(run['fresh_objective']):.4f}",
            "recommended": f"{np.nanmean(run['fresh/accuracy']):.4f}",
            "kept": f"{run['search/accuracy'][np.nanargmax(run['objective'])]:.4f}",
        }
    else:
        reached = np.nanmean(run["fresh_objective"], 1)
        for k, floor in enumerate(run["floors"]):
            kept = at_least(run["objective"], floor)
            row |= {
                f"first_{floor:g}": f"{reached[k, 0]:.4f}",
                f"second_{floor:g}": f"{reached[k, 1]:.4f}",
                f"recommended_{floor:g}": f"{np.nanmean(run['fresh/accuracy'][k]):.4f}",
                f"kept_{floor:g}": f"{run['search/accuracy'][kept]:.4f}",
            }
    return row | {"seconds": f"{storage.facts(path, kind='search')['seconds']:.0f}"}


if __name__ == "__main__":
    command.run(main)
