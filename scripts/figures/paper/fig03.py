"""Show Bayesian optimization of a function of one variable, step by step (the paper, figure 3)."""

import argparse

import numpy as np
from matplotlib.axes import Axes

from zbo.base import command
from zbo.drawing import plots
from zbo.search.optimize import Optimizer, Settings
from zbo.search.surrogate import Proposal

SHOWN = (1, 2, 4, 50)  # the paper's iterations
NOISE = 1e-5  # variance: the function has none, and the surrogate is told so


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=3, help="of the starting design (default 3)")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    command.use_threads(1)
    # Shuffled, so that ties of the acquisition are broken anywhere, not at the left edge.
    x = np.random.default_rng(args.seed).permutation(np.linspace(0, 10, 201))
    steps = search(x, truth(x), args.seed)
    with plots.style():
        figure = plots.figure(plots.PAGE, 3.2)
        axes = figure.subplots(
            2, len(steps), sharex=True, sharey="row", height_ratios=[1.7, 1], squeeze=False
        )
        for (top, bottom), letter, number in zip(axes.T, "abcd", SHOWN, strict=True):
            _draw(top, bottom, x, *steps[number])
            plots.letter(top, letter, f"iteration {number}")
            bottom.set_xlabel("$x$")
        axes[0, 0].set_ylabel("$f(x)$")
        axes[1, 0].set(ylabel="probability of\nimprovement", yticks=[0, 0.5, 1])
        handles, words = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, words, loc="outside lower center", ncols=len(words))
        plots.save(figure, args.output)


def truth(x: np.ndarray) -> np.ndarray:
    """Give the function searched, of several hills."""
    return np.sin(x) + np.sin(2.1 * x) + 0.1 * x


def search(x: np.ndarray, y: np.ndarray, seed: int) -> dict[int, tuple[np.ndarray, ...]]:
    """Search for the maximum of y by probability of improvement.

    Args:
        x: Where to search, shape (m,).
        y: The function there, shape (m,).
        seed: Of the starting design.

    Returns:
        Each iteration in `SHOWN` to y, the points evaluated before it and its proposal.
    """
    settings = Settings(
        initial=3, iterations=max(SHOWN), design="random", acquisition="pi", stop_threshold=0
    )
    optimizer = Optimizer(x[:, None], settings, seed)
    steps = {}
    for number in range(max(SHOWN) + 1):
        asked = optimizer.ask()
        if number in SHOWN:  # 0 asks for the starting design
            steps[number] = y, np.array(optimizer.observed.index), optimizer.fit()
        for index in asked:
            optimizer.tell(index, y[index], NOISE)
    return steps


def _draw(
    top: Axes, bottom: Axes, x: np.ndarray, y: np.ndarray, seen: np.ndarray, fit: Proposal
) -> None:
    order = np.argsort(x)
    plots.band(top, x[order], fit.mean[order], fit.sd[order])
    top.plot(x[order], y[order], color="black", ls=":", lw=1, label="function")
    top.plot(x[seen], y[seen], "o", ms=3.5, color="black", mec="white", mew=0.5, label="evaluated")
    still = order[~np.isin(order, seen)]
    bottom.plot(x[still], fit.acquisition[still], color=plots.COLOURS[0])
    bottom.set_ylim(-0.05, 1.05)
    chosen = fit.candidates
    look = {"marker": "D", "ms": 5, "ls": "", "color": plots.RECOMMENDED, "mec": "white"}
    top.plot(x[chosen], y[chosen], label="next", zorder=3, **look)
    bottom.plot(x[chosen], fit.acquisition[chosen], clip_on=False, zorder=3, **look)


if __name__ == "__main__":
    command.run(main)
