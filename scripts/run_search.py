"""Run one search for real, zBO or a rival, and judge what it recommends on fresh seeds.

Every training has a seed of its own. Labels judge each model and what is recommended; no search
sees them. Of two objectives a run recommends one trajectory a floor of the second
(`rivals.at_least`).
"""

import time
from collections.abc import Callable

import numpy as np

from zbo.base import channels, command, files, storage
from zbo.base.errors import InputError
from zbo.base.objectives import OBJECTIVES, of_all
from zbo.base.searches import LATENT, SEARCHES as KNOWN
from zbo.rivals import ground, population, replay
from zbo.rivals.arena import Arena, Belief
from zbo.rivals.searches import SEARCHES, Search, lottery
from zbo.search import evaluation
from zbo.search.objective import ObjectiveSettings
from zbo.trainer import training

POPULATION = "population"  # trains in its own way
LOTTERY = "lottery"  # is told the best constant of the ground


class Real(Arena):
    """An arena that trains."""

    def __init__(self, args, images: dict, space: dict) -> None:
        settings = args.settings
        trajectories = settings["trajectories"]
        z, beta = files.feasible(space)
        self.settings, self.images = settings, images
        self.measured: list[dict[str, float]] = []
        self.seeds: list[int] = []
        name = f"{args.search} {args.repeat}"
        self.stream = evaluation.seeds_of(name, 1000, settings["seed"])
        self.maximized = ObjectiveSettings(**settings["objective"]).names
        super().__init__(
            z=z,
            beta=beta,
            bounds=channels.bounds(trajectories),
            families=tuple(trajectories["families"]),
            rng=np.random.default_rng(self.stream.pop()),
            objectives=len(self.maximized),
        )

    def _train(self, beta: np.ndarray) -> float | np.ndarray:
        return self.objective(self.measure(beta))

    def objective(self, measures: dict[str, float]) -> float | np.ndarray:
        """What is searched for, a number or both of two."""
        try:
            return of_all(self.maximized)(measures)
        except KeyError as missing:
            raise InputError(
                f"objective.name: '{', '.join(self.maximized)}' needs {missing}, which this search "
                "does not know; choose another, or leave it out of rivals.searches"
            ) from None

    def recommended(self, belief: Belief) -> np.ndarray:
        """What follows from a search's belief: a trajectory, or one a floor of the second."""
        if self.objectives == 1:
            return belief.best
        floors = self.settings["rivals"]["at_least"]
        return np.stack([belief.at_least(floor) for floor in floors])

    def measure(self, beta: np.ndarray) -> dict[str, float]:
        """Train with the next seed and measure; NaN where it diverged."""
        self.seeds.append(self.stream[len(self.seeds)])
        try:
            found, _ = ground.measure(
                self.settings, self.images, beta, self.seeds[-1], [beta.shape[-1]]
            )
        except training.TrainingDiverged:
            self.measured.append(dict.fromkeys(ground.MEASURES, np.nan))
        else:
            self.measured.append({name: float(values[0]) for name, values in found.items()})
        return self.measured[-1]


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--space", required=True, help="space.h5")
    parser.add_argument("--search", required=True, help="which")
    parser.add_argument("--repeat", required=True, type=int, help="which repeat; seeds derive")
    parser.add_argument("--ground", help="ground.h5, for the lottery")
    parser.add_argument("--output", required=True, help="rivals/{search}-{repeat}.h5")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    if args.search not in KNOWN:
        known = ", ".join(KNOWN)
        raise InputError(f"rivals.searches: there is no '{args.search}'; choose from {known}")
    _check(args)
    begin = time.perf_counter()
    chosen = args.settings["rivals"]
    images = storage.read(args.images, kind="images")
    arena = Real(args, images, storage.read(args.space, kind="space"))
    spent, recommended = [], []
    if args.search == POPULATION:
        show = command.progress_bar(population.STEPS, args.search, "step", "best")
        values, beta = _population(arena, show)
        spent, recommended = [chosen["budget"]], [beta]
    else:
        show = command.progress_bar(chosen["budget"], args.search, "training", "best")
        for belief in _search(args)(arena, chosen["budget"]):
            spent.append(arena.spent)
            recommended.append(arena.recommended(belief))
            values = np.array(arena.values)
            show(arena.spent - 1, float(np.nanmax(values.reshape(len(values), -1)[:, 0])))
    searching = time.perf_counter() - begin
    during = list(arena.measured)
    judged = recommended[-1].reshape(-1, *arena.beta.shape[1:])
    fresh = [arena.measure(beta) for beta in judged for _ in range(chosen["fresh_seeds"])]
    by_floor = (len(judged), -1) if arena.objectives > 1 else (-1,)

    def of_fresh(values: list) -> np.ndarray:
        array = np.array(values)
        return array.reshape(*by_floor, *array.shape[1:])

    storage.write(
        args.output,
        {
            "spent": np.array(spent),
            "recommended": np.stack(recommended),
            "objective": values,
            "seeds": np.array(arena.seeds),
            **{f"search/{name}": np.array([one[name] for one in during]) for name in during[0]},
            **{f"fresh/{name}": of_fresh([one[name] for one in fresh]) for name in fresh[0]},
            "fresh_objective": of_fresh([arena.objective(one) for one in fresh]),
            "floors": np.array(chosen["at_least"]) if arena.objectives > 1 else None,
        },
        kind="search",
        settings=args.settings,
        seconds=searching,
    )
    accuracy = np.mean([one["accuracy"] for one in fresh])
    print(f"{args.output}: accuracy {accuracy:.3f} over {len(fresh)} fresh seeds")


def _check(args) -> None:
    """Refuse a search that cannot look for what the study does."""
    names = ObjectiveSettings(**args.settings["objective"]).names
    if unknown := [name for name in names if name not in OBJECTIVES]:
        known = ", ".join(OBJECTIVES)
        raise InputError(f"objective.name: '{unknown[0]}' cannot be compared; choose from {known}")
    if len(names) > 1 and not KNOWN[args.search].several:
        several = ", ".join(name for name, search in KNOWN.items() if search.several)
        raise InputError(
            f"objective.name: '{args.search}' searches for one; for two only {several} "
            "(rivals.searches)"
        )
    joint = channels.has_bounds(args.settings["trajectories"]["beta_d"])
    if joint and args.search not in LATENT:
        raise InputError(
            f"trajectories.beta_d: '{args.search}' searches β_c alone and needs a number here; "
            f"with bounds only {', '.join(LATENT)} can run (rivals.searches)"
        )


def _search(args) -> Search:
    if args.search != LOTTERY:
        return SEARCHES[args.search]
    if not args.ground:
        raise InputError(f"--search {LOTTERY}: needs --ground, which knows the best constant")
    table = replay.load(args.ground)
    names = ObjectiveSettings(**args.settings["objective"]).names
    return lottery(table.told(of_all(names)(table.at())))


def _population(arena: Real, show: Callable[[int, float], None]) -> tuple[np.ndarray, np.ndarray]:
    settings, images = arena.settings, arena.images
    scoring = ObjectiveSettings(**settings["objective"])

    def judge(network) -> float:
        return arena.objective(ground.look(network, images, scoring).measures)

    arena.seeds = arena.stream[: settings["rivals"]["budget"]]
    seen = images["images"][images["subset"]]
    networks, beta, values = population.train(
        settings, seen, list(arena.seeds), judge, arena.rng, show
    )
    arena.measured = [ground.look(network, images, scoring).measures for network in networks]
    return values, beta[int(np.nanargmax(values))]


if __name__ == "__main__":
    command.run(main)
