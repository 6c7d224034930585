"""Replay searches on the measuring ground at equal cost, many times each.

For each search and cost: what a person would get. `recommended` is the mean score of the
recommended trajectory over seeds the search has not seen, `kept` that of the one model with the
highest objective it has trained, `objective` the recommended trajectory's objective over the unseen
seeds. Mean over replays with a 90 % interval of that mean, and one of a single replay. `spent` is
less than `trainings` where a search stopped by itself. The intervals say how far replays of this
one table spread, not how far another table would differ.

Of two objectives a search recommends, and keeps, the most of the first where the second reaches a
floor: each column is there once a floor, `second` being the second objective of what is
recommended. `hypervolume` is the area that the front it believes in dominates; all by the unseen
seeds.
"""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial

import numpy as np
from tqdm import tqdm

from zbo.base import command, searches as known, storage
from zbo.base.errors import InputError
from zbo.base.objectives import OBJECTIVES, of_all
from zbo.rivals import replay, searches
from zbo.rivals.arena import Belief, at_least
from zbo.rivals.searches import SEARCHES, START, Search, zbo
from zbo.search import pareto

LOTTERIES = ("lottery", "lottery, beta 1")
TWO_SEEDS = "zbo, two seeds a point"


def given_up(look: int) -> Search:
    """Run zBO, giving up trainings that are below the median of all at an early look.

    Args:
        look: Which of the ground's looks: 2 is after 60 % of the cycles, 3 after 80 %.
    """

    def search(arena: replay.Replay, budget: int) -> Iterator[Belief]:
        seen: list[float] = []

        def promising(value: float) -> bool:
            seen.append(value)
            return len(seen) <= START or value >= np.median(seen)

        def train(arena: replay.Replay, beta: np.ndarray) -> float:
            return arena.train_while(beta, look, promising)

        yield from zbo(iterations=10 * budget, train=train)(arena, budget)

    return search


# One thing changed at a time.
VARIANTS = {
    "zbo, given up at 60 %": given_up(2),
    "zbo, given up at 80 %": given_up(3),
    "zbo, stops by itself": zbo(stop_threshold=0.01),
    "zbo, lucky best": zbo(recommend="lucky"),
    TWO_SEEDS: zbo(initial=START // 2, replicates=2),
    "zbo, two at once": zbo(batch_size=2),
    "zbo, four at once": zbo(batch_size=4),
    "zbo, ucb": zbo(acquisition="ucb"),
    "zbo, ei": zbo(acquisition="ei"),
    "zbo, random start": zbo(design="random"),
    "zbo, start of 20": zbo(initial=20),
    "zbo, start of 5": zbo(initial=5),
}
COMPARED = {name: s for name, s in SEARCHES.items() if known.SEARCHES[name].replayed} | VARIANTS
NAMES = [*LOTTERIES, *COMPARED]


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--ground", required=True, help="ground.h5")
    parser.add_argument(
        "--objective", nargs="+", default=["l1"], help="what is searched for, or two (default l1)"
    )
    parser.add_argument(
        "--at-least",
        nargs="+",
        type=float,
        help="of two, floors of the second (default: rivals.at_least)",
    )
    parser.add_argument("--judge", default="accuracy", help="label score (default accuracy)")
    parser.add_argument("--searches", nargs="+", help="by default all")
    parser.add_argument("--budget", type=int, help="trainings (default: rivals.budget)")
    parser.add_argument("--replays", type=int, help="of each search (default: rivals.replays)")
    parser.add_argument("--output", required=True, help="searches.csv")
    args = parser.parse_args(argv)
    command.use_threads(1)  # a fit is too small for more; replays run side by side instead
    budget = args.budget or args.settings["rivals"]["budget"]
    replays = args.replays or args.settings["rivals"]["replays"]
    joint = _load(args.ground).beta.ndim == 3
    names = [name for name in NAMES if not joint or name not in SEARCHES or name in known.LATENT]
    if budget < 4:  # does not pay the two points that a surrogate needs
        names.remove(TWO_SEEDS)
    floors: tuple[float, ...] = ()
    if len(args.objective) > 1:
        names = [name for name in names if name in known.SEARCHES and known.SEARCHES[name].several]
        floors = tuple(args.at_least or args.settings["rivals"]["at_least"])
    chosen = args.searches or names
    for given, offered in [
        *((name, OBJECTIVES) for name in args.objective),
        *((name, names) for name in chosen),
    ]:
        if given not in offered:
            raise InputError(f"there is no '{given}'; choose from {', '.join(offered)}")
    rows = []
    with ProcessPoolExecutor(args.threads or 1) as pool:
        for name in (bar := tqdm(chosen, unit="search")):
            bar.set_description(name)
            seeds = [[args.settings["seed"], number] for number in range(replays)]
            goal = tuple(args.objective), floors
            one = partial(_replay, args.ground, name, *goal, args.judge, budget)
            rows += _rows(name, pool.map(one, seeds, chunksize=4))
    storage.write_table(args.output, rows)


_load = cache(replay.load)  # once a process


def _replay(
    path: str,
    name: str,
    objectives: tuple[str, ...],
    floors: tuple[float, ...],
    judge: str,
    budget: int,
    seed: list[int],
) -> dict[int, dict[str, float]]:
    """One replay of one search: what stood after so many trainings."""
    table, maximized = _load(path), of_all(objectives)
    values, judged = maximized(table.at()), table.at()[judge]
    one = replay.Replay(table, maximized, np.random.default_rng(seed), split=name not in LOTTERIES)
    if name in LOTTERIES:
        told = _told(name, table, values)
        search = searches.lottery(told)
        # More would be some of them again.
        budget = min(budget, sum(int(table.repeats[one.nearest(beta)]) for beta in told.beta))
    else:
        search = COMPARED[name]
    found = {}
    for belief in search(one, budget):
        if not floors:
            stands = {
                "objective": one.judge(values, belief.best),
                "recommended": one.judge(judged, belief.best),
                "kept": float(judged[one.trained[one.best]]),
            }
        else:
            stands = _at_floors(one, belief, floors, values, judged)
        found[math.ceil(one.spent)] = stands
    return found


def _at_floors(
    one: replay.Replay,
    belief: Belief,
    floors: tuple[float, ...],
    values: np.ndarray,
    judged: np.ndarray,
) -> dict[str, float]:
    """What is recommended, and kept, of two objectives, once a floor of the second."""
    stands = {}
    for floor in floors:
        beta = belief.at_least(floor)
        kept = one.trained[at_least(np.array(one.values), floor)]
        stands |= {
            f"recommended_{floor:g}": one.judge(judged, beta),
            f"second_{floor:g}": one.judge(values[..., 1], beta),
            f"kept_{floor:g}": float(judged[kept]),
        }
    front = belief.beta[pareto.non_dominated(belief.values)]
    reached = np.array(
        [[one.judge(values[..., k], beta) for k in range(2)] for beta in front]
    ).reshape(-1, 2)
    above = pareto.reference_point(np.nanmean(values, 1))  # of the table: the same for every search
    return stands | {"hypervolume": pareto.hypervolume(reached, above)}


def _told(lottery: str, table: replay.Ground, values: np.ndarray) -> Belief:
    """What a lottery is told of the ground's constants, and so which it draws seeds of."""
    if lottery == "lottery":
        return table.told(values)
    return Belief(table.beta[[table.constant_nearest(table.unit_beta)]], np.zeros(1))


def _rows(name: str, replays: Iterable[dict[int, dict[str, float]]]) -> list[dict]:
    """One row a cost; a replay that stopped before stands as it did."""
    every = list(replays)
    rows = []
    for cost in sorted({cost for found in every for cost in found}):
        begun = [found for found in every if min(found) <= cost]
        reached = [max(at for at in found if at <= cost) for found in begun]
        values = [found[at] for found, at in zip(begun, reached, strict=True)]
        rows.append(_row(name, cost, float(np.mean(reached)), values))
    return rows


def _row(name: str, cost: int, spent: float, values: list[dict[str, float]]) -> dict:
    row = {"search": name, "trainings": cost, "spent": f"{spent:.1f}", "replays": len(values)}
    for what in values[0]:
        drawn = np.array([value[what] for value in values])
        error = 1.645 * drawn.std(ddof=1) / np.sqrt(len(drawn)) if len(drawn) > 1 else np.nan
        low, high = np.quantile(drawn, [0.05, 0.95])
        row |= {what: f"{drawn.mean():.4f}", f"{what}_error": f"{error:.4f}"}
        row |= {f"{what}_low": f"{low:.4f}", f"{what}_high": f"{high:.4f}"}
    return row


if __name__ == "__main__":
    command.run(main)
