"""zBO and its rivals, in one table: what `zbo.rivals.searches` and `population` implement.

To add one: an entry here, in the order in which figures show them, and its function there.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Search:
    """A search that can be run at equal cost.

    Attributes:
        label: What figures call it.
        latent: Whether it searches the latent space of trajectories, and so β_d with β_c.
        replayed: Whether the measuring ground can stand in for its trainings. What a search in all
            N values of β would propose is unlike anything in its table, and of one trajectory the
            table has few seeds.
        several: Whether it can search for two objectives at once.
    """

    label: str
    latent: bool = False
    replayed: bool = True
    several: bool = False


SEARCHES = {
    "zbo": Search("zBO", latent=True, several=True),
    "zbo-paper": Search("zBO, the paper's fit", latent=True),
    "zbo-seeds": Search("zBO, then seeds", latent=True, replayed=False),
    "zbo-knots": Search("zBO's surrogate, 5 knots", several=True),
    "zbo-cooldown": Search("zBO's surrogate, late cooldowns", several=True),
    "random-mean": Search("random points, surrogate", latent=True, several=True),
    "random": Search("random points, luckiest", latent=True, several=True),
    "tpe": Search("TPE on family parameters", several=True),
    "cma-es": Search("CMA-ES on family parameters"),
    "bo-knots": Search("BO on 5 knots"),
    "bo-cycles": Search("BO on all cycles", replayed=False),
    "turbo": Search("trust region, all cycles", replayed=False),
    "population": Search("population based", replayed=False),  # trains in its own way
    "constants": Search("constants, then seeds", several=True),
    "warmup": Search("warm-ups, then seeds", several=True),
    "cyclical": Search("cyclical schedules, then seeds", several=True),
    "cooldown": Search("plain cooldowns, then seeds", several=True),
    # Is told the best constant of the ground.
    "lottery": Search("seed lottery, best constant", several=True),
}
LATENT = tuple(name for name, search in SEARCHES.items() if search.latent)
