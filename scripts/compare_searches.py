"""Replay searches on the measuring ground at equal cost, many times each.

For each search and cost: what a person would get. `recommended` is the mean score of the
recommended trajectory over seeds the search has not seen, `kept` that of the one model with the
highest objective it has trained. Mean over replays with a 90 % interval of one replay.
"""

import csv
from collections import defaultdict

import numpy as np
from tqdm import tqdm

from zbo import command, replay, storage
from zbo.errors import InputError

SEARCHES = {
    "random": replay.random_search,
    "lottery, best constant": replay.lottery(),
    "lottery, beta 1": replay.lottery(1.0),
    "zBO": replay.bayesian(),
    "zBO, lucky best": replay.bayesian(recommend="lucky"),
    "zBO, two seeds a point": replay.bayesian(replicates=2, initial=5),
    "zBO, four at once": replay.bayesian(batch_size=4),
    "zBO, ucb": replay.bayesian(acquisition="ucb"),
    "zBO, random start": replay.bayesian(design="random"),
    "zBO, start of 20": replay.bayesian(initial=20),
    "zBO, the paper's": replay.bayesian(
        surrogate="paper", acquisition="ei", design="random", initial=20, recommend="lucky"
    ),
}


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--ground", required=True, help="ground.h5")
    parser.add_argument("--objective", default="l1", help="what is searched for (default l1)")
    parser.add_argument("--judge", default="accuracy", help="label score (default accuracy)")
    parser.add_argument("--searches", nargs="+", default=list(SEARCHES), help="by default all")
    parser.add_argument("--budget", type=int, default=40, help="trainings (default 40)")
    parser.add_argument("--replays", type=int, default=100, help="of each search (default 100)")
    parser.add_argument("--output", required=True, help="searches.csv")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    ground = replay.load(args.ground)
    known = replay.objectives(ground)
    for given, offered in [(args.objective, known), *((s, SEARCHES) for s in args.searches)]:
        if given not in offered:
            raise InputError(f"there is no '{given}'; choose from {', '.join(offered)}")
    objective, judge = known[args.objective], ground.measures[args.judge][..., -1]
    rows = []
    for name in tqdm(args.searches, unit="search"):
        found = defaultdict(list)  # cost to what each replay had then
        for number in range(args.replays):
            rng = np.random.default_rng([args.settings["seed"], number])  # the same for each search
            one = replay.Replay(ground, objective, rng)
            for standing in SEARCHES[name](one, args.budget):
                found[standing.trainings].append(
                    {
                        "objective": one.judge(objective, standing.trajectory),
                        "recommended": one.judge(judge, standing.trajectory),
                        "kept": judge[standing.training],
                    }
                )
        rows += [_row(name, trainings, values) for trainings, values in sorted(found.items())]
    with storage.whole(args.output) as beside, open(beside, "w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def _row(name: str, trainings: int, values: list[dict[str, float]]) -> dict:
    row = {"search": name, "trainings": trainings, "replays": len(values)}
    for what in values[0]:
        drawn = np.array([value[what] for value in values])
        low, high = np.quantile(drawn, [0.05, 0.95])
        row |= {what: f"{drawn.mean():.4f}", f"{what}_low": f"{low:.4f}"}
        row |= {f"{what}_high": f"{high:.4f}"}
    return row


if __name__ == "__main__":
    command.run(main)
