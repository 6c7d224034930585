"""Search learning-rate schedules of a small classifier: any trajectory, any objective.

zBO's families, trajectory VAE and ask/tell loop without its workflow and its models. A trajectory
is the logarithm of the rate at each epoch, in decades; what is minimized is the validation loss. At
the same cost the same loop searches constant rates, and what each recommends is trained again with
fresh seeds and judged on images that neither has seen.
"""

import argparse
from functools import cache

import numpy as np
import torch
from matplotlib.ticker import LogLocator
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from zbo import command, families, plots, spread, trajectory_vae
from zbo.optimize import Optimizer, Settings

FAMILIES = ["linear_cooldown", "segments", "periodic", "constant"]
# Families ask for bounds above 0: a trajectory is decades above 10^LOWEST.
LOWEST, BOUNDS = -5, (1.0, 5.0)  # rates of 0.0001 to 1
GUESSING = np.log(10)  # loss of it, nats: whatever is worse counts as much
KINDS = {"schedule": "best schedule", "constant": "best constant rate"}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10, help="of a training (default 10)")
    parser.add_argument("--trials", type=int, default=40, help="a search (default 40)")
    parser.add_argument("--searches", type=int, default=5, help="of each kind (default 5)")
    parser.add_argument("--seeds", type=int, default=10, help="fresh, of each result (default 10)")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    command.use_threads(1)
    spaces = {"schedule": schedules(args.epochs), "constant": constants(args.epochs)}
    found, test = {kind: [] for kind in KINDS}, {kind: [] for kind in KINDS}
    for number in tqdm(range(args.searches), unit="search of each kind"):
        for kind, (z, decades) in spaces.items():
            best = decades[search(z, decades, args.trials, number)]
            found[kind].append(best)
            # The same seeds for both kinds, and none that a search has used.
            fresh = [train(best, 10**6 + number * args.seeds + s)[1] for s in range(args.seeds)]
            test[kind].append(np.mean(fresh, axis=0))
    print("mean ± standard deviation over searches      test loss          test accuracy")
    for kind, name in KINDS.items():
        loss, accuracy = (spread.in_words(column, ".4f") for column in np.array(test[kind]).T)
        print(f"{name:<44} {loss:<18} {accuracy}")
    draw(found, args.output)


def schedules(epochs: int) -> tuple[np.ndarray, np.ndarray]:
    """Compress sampled schedules: latent points (m, 2), what they decode to (m, epochs)."""
    sampled, _ = families.sample(FAMILIES, 1000, epochs, BOUNDS, seed=0)
    settings = trajectory_vae.TrajectoryVAESettings(learning_rate=1e-3, cycles=200)
    model, _ = trajectory_vae.train(sampled, BOUNDS, settings, seed=0)
    z, decades, feasible = trajectory_vae.search_space(
        model, model.encode(sampled), grid=50, constraint="bounds", tolerance=0.05
    )
    return z[feasible], decades[feasible]


def constants(epochs: int) -> tuple[np.ndarray, np.ndarray]:
    """Lay out constant rates: points (m, 1), the same as schedules (m, epochs)."""
    z = np.linspace(*BOUNDS, 201)[:, None]
    return z, np.repeat(z, epochs, axis=1)


def search(z: np.ndarray, decades: np.ndarray, trials: int, seed: int) -> int:
    """Return the index of the point that a search recommends, each trial with a seed of its own."""
    initial = trials // 4
    settings = Settings(initial=initial, iterations=trials - initial, stop_threshold=0)
    optimizer = Optimizer(z, settings, seed)
    while not optimizer.stopped:
        for index in optimizer.ask():
            loss, _ = train(decades[index], seed * trials + len(optimizer.observed.index))
            optimizer.tell(index, -np.log(min(loss, GUESSING)))
    return optimizer.best_estimated


def train(decades: np.ndarray, seed: int) -> tuple[float, tuple[float, float]]:
    """Train a classifier of digits, one rate an epoch, by stochastic gradient descent.

    Args:
        decades: Logarithm of the rate, above 10^LOWEST, shape (epochs,).
        seed: Of weights and order.

    Returns:
        Validation loss, nats; test loss and accuracy.
    """
    (x, y), validation, test = digits()
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9)
    for rate in 10.0 ** (LOWEST + decades):
        optimizer.param_groups[0]["lr"] = rate
        for batch in torch.randperm(len(x)).split(30):
            optimizer.zero_grad()
            cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        loss = [cross_entropy(model(x), y).item() for x, y in (validation, test)]
        accuracy = (model(test[0]).argmax(1) == test[1]).float().mean().item()
    return loss[0], (loss[1], accuracy)


@cache
def digits() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Split scikit-learn's digits into thirds: training, validation, test."""
    images, labels = load_digits(return_X_y=True)
    x, y = torch.as_tensor(images, dtype=torch.float32) / 16, torch.as_tensor(labels)
    parts = np.array_split(np.random.default_rng(0).permutation(len(x)), 3)
    return [(x[part], y[part]) for part in parts]


def draw(found: dict[str, list[np.ndarray]], paths: list[str]) -> None:
    """Draw what each search recommends, a line a search."""
    with plots.style():
        figure = plots.figure(plots.COLUMN, 2.4)
        ax = figure.subplots()
        for number, (kind, name) in enumerate(KINDS.items()):
            rates = 10.0 ** (LOWEST + np.array(found[kind]))
            words = [name, *[""] * (len(rates) - 1)]
            plots.trajectories(ax, rates, label=words, color=plots.COLOURS[number], alpha=0.8)
        ax.set(yscale="log", xlabel="epoch", ylabel="learning rate")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("")
        figure.legend(loc="outside lower center", ncols=len(KINDS))
        plots.save(figure, paths)


if __name__ == "__main__":
    command.run(main)
