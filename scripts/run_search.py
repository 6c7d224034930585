"""Run one search for real, zBO or a rival, and judge what it recommends on fresh seeds.

Every training has a seed of its own. Labels judge each model and what is recommended; no search
sees them.
"""

import time
from collections.abc import Callable

import numpy as np

from zbo.base import channels, command, files, storage
from zbo.base.errors import InputError
from zbo.base.objectives import OBJECTIVES
from zbo.base.searches import LATENT, SEARCHES as KNOWN
from zbo.rivals import ground, population, replay
from zbo.rivals.arena import Arena
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
        super().__init__(
            z=z,
            beta=beta,
            bounds=channels.bounds(trajectories),
            families=tuple(trajectories["families"]),
            rng=np.random.default_rng(self.stream.pop()),
        )

    def _train(self, beta: np.ndarray) -> float:
        return self.objective(self.measure(beta))

    def objective(self, measures: dict[str, float]) -> float:
        """What is searched for."""
        name = self.settings["objective"]["name"]
        try:
            return float(OBJECTIVES[name](measures))
        except KeyError as missing:
            raise InputError(
                f"objective.name: '{name}' needs {missing}, which this search does not know; "
                "choose another, or leave it out of rivals.searches"
            ) from None

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
    if (name := str(args.settings["objective"]["name"])) not in OBJECTIVES:
        known = ", ".join(OBJECTIVES)
        raise InputError(f"objective.name: '{name}' cannot be compared; choose from {known}")
    joint = channels.has_bounds(args.settings["trajectories"]["beta_d"])
    if joint and args.search not in LATENT:
        raise InputError(
            f"trajectories.beta_d: '{args.search}' searches β_c alone and needs a number here; "
            f"with bounds only {', '.join(LATENT)} can run (rivals.searches)"
        )
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
        for beta in _search(args)(arena, chosen["budget"]):
            spent.append(arena.spent)
            recommended.append(beta)
            show(arena.spent - 1, arena.values[arena.best])
        values = np.array(arena.values)
    searching = time.perf_counter() - begin
    during = list(arena.measured)
    fresh = [arena.measure(recommended[-1]) for _ in range(chosen["fresh_seeds"])]
    storage.write(
        args.output,
        {
            "spent": np.array(spent),
            "recommended": np.stack(recommended),
            "objective": values,
            "seeds": np.array(arena.seeds),
            **{f"search/{name}": np.array([one[name] for one in during]) for name in during[0]},
            **{f"fresh/{name}": np.array([one[name] for one in fresh]) for name in fresh[0]},
            "fresh_objective": np.array([arena.objective(one) for one in fresh]),
        },
        kind="search",
        settings=args.settings,
        seconds=searching,
    )
    accuracy = np.mean([one["accuracy"] for one in fresh])
    print(f"{args.output}: accuracy {accuracy:.3f} over {len(fresh)} fresh seeds")


def _search(args) -> Search:
    if args.search != LOTTERY:
        return SEARCHES[args.search]
    if not args.ground:
        raise InputError(f"--search {LOTTERY}: needs --ground, which knows the best constant")
    table = replay.load(args.ground)
    objective = OBJECTIVES[args.settings["objective"]["name"]](table.at())
    return lottery(table.beta[table.best_constant(objective)])


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
