"""Search a trajectory of your own model without the workflow: two examples at equal cost.

zBO's families, trajectory VAE and ask/tell loop around any function of a trajectory and a seed.
`learning-rate`: the rate of a small classifier at each epoch, by its validation loss. `rvae`: the
KL scale factor of a rotational VAE without classes at each cycle, by how well it reconstructs
micrographs it was not trained on. A trajectory is sampled in decades. At the same cost the same
loop searches constants, and what each recommends is trained again with fresh seeds and judged on
images that neither has seen.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from matplotlib.ticker import LogLocator
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from zbo.base import command
from zbo.data import images as image_sets
from zbo.drawing import plots
from zbo.judge import spread
from zbo.search.optimize import Optimizer, Settings
from zbo.trainer import jrvae, training
from zbo.trainer.pyroved import pyroved
from zbo.trajectories import families, space, vae

FAMILIES = ["linear_cooldown", "segments", "periodic", "constant"]
KINDS = {"schedule": "best schedule", "constant": "best constant"}


@dataclass(frozen=True)
class Problem:
    """What is searched, for the example of its name.

    Attributes:
        train: Makes of a trajectory, shape (steps,), and a seed what is maximized, and what a
            person would look at, both judged on unseen images.
        low, high: Bounds of a trajectory's values.
        steps: Its length.
        value, step: What its values and steps are called.
        judged: What the numbers a person looks at are called.
    """

    train: Callable[[np.ndarray, int], tuple[float, tuple[float, ...]]]
    low: float
    high: float
    steps: int
    value: str
    step: str
    judged: tuple[str, ...]

    @property
    def bounds(self) -> tuple[float, float]:
        """Of its decades; families ask for bounds above 0, so they are counted from 1."""
        return 1.0, 1 + np.log10(self.high / self.low)

    def values(self, decades: np.ndarray) -> np.ndarray:
        """Turn decades into what is trained with."""
        return self.low * 10 ** (decades - 1)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("problem", choices=PROBLEMS, help="which example")
    parser.add_argument("--trials", type=int, default=40, help="a search (default 40)")
    parser.add_argument("--searches", type=int, default=5, help="of each kind (default 5)")
    parser.add_argument("--seeds", type=int, default=10, help="fresh, of each result (default 10)")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)

    command.use_threads(1)
    problem = PROBLEMS[args.problem]
    spaces = {"schedule": schedules(problem), "constant": constants(problem)}
    found, judged = {kind: [] for kind in KINDS}, {kind: [] for kind in KINDS}
    for number in tqdm(range(args.searches), unit="search of each kind"):
        for kind, (z, values) in spaces.items():
            best = values[search(problem, z, values, args.trials, number)]
            found[kind].append(best)
            # The same seeds for both kinds, and none that a search has used.
            first = 10**6 + number * args.seeds
            fresh = [problem.train(best, first + s)[1] for s in range(args.seeds)]
            judged[kind].append(np.mean(fresh, axis=0))
    heads = "".join(f"{name:<26}" for name in problem.judged)
    print(f"{'mean ± standard deviation over searches':<44}{heads}")
    for kind, name in KINDS.items():
        cells = [spread.in_words(column, ".4f") for column in np.array(judged[kind]).T]
        print(f"{name:<44}" + "".join(f"{cell:<26}" for cell in cells))
    draw(problem, found, args.output)


def schedules(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Compress sampled schedules: latent points (m, 2), what they decode to (m, steps)."""
    sampled, _ = families.sample(FAMILIES, 1000, problem.steps, problem.bounds, seed=0)
    settings = vae.TrajectoryVAESettings(learning_rate=1e-3, cycles=200)
    model, _ = vae.train(sampled, problem.bounds, settings, seed=0)
    z, decades, feasible = space.search_space(
        model, model.encode(sampled), grid=50, constraint="bounds", tolerance=0.05
    )
    return z[feasible], problem.values(decades[feasible])


def constants(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Lay out constants: points (m, 1), the same as schedules (m, steps)."""
    z = np.linspace(*problem.bounds, 201)[:, None]
    return z, problem.values(np.repeat(z, problem.steps, axis=1))


def search(problem: Problem, z: np.ndarray, values: np.ndarray, trials: int, seed: int) -> int:
    """Return the index of the point that a search recommends, each trial with a seed of its own."""
    initial = trials // 4
    settings = Settings(initial=initial, iterations=trials - initial, stop_threshold=0)
    optimizer = Optimizer(z, settings, seed)
    while not optimizer.stopped:
        for index in optimizer.ask():
            number = seed * trials + len(optimizer.observed.index)
            optimizer.tell(index, problem.train(values[index], number)[0])
    return optimizer.best_estimated


def classify(rates: np.ndarray, seed: int) -> tuple[float, tuple[float, float]]:
    """Train a classifier of digits, one rate an epoch, by stochastic gradient descent.

    Args:
        rates: Learning rates, shape (epochs,).
        seed: Of weights and order.

    Returns:
        Minus the logarithm of the validation loss; test loss, nats, and accuracy.
    """
    (x, y), validation, test = digits()
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9)
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        for batch in torch.randperm(len(x)).split(30):
            optimizer.zero_grad()
            cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        loss = [cross_entropy(model(x), y).item() for x, y in (validation, test)]
        accuracy = (model(test[0]).argmax(1) == test[1]).float().mean().item()
    guessing = np.log(10)  # whatever is worse counts as much
    return -np.log(min(loss[0], guessing)), (loss[1], accuracy)


@cache
def digits() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Split scikit-learn's digits into thirds: training, validation, test."""
    images, labels = load_digits(return_X_y=True)
    x, y = torch.as_tensor(images, dtype=torch.float32) / 16, torch.as_tensor(labels)
    parts = np.array_split(np.random.default_rng(0).permutation(len(x)), 3)
    return [(x[part], y[part]) for part in parts]


def reconstruct(beta: np.ndarray, seed: int) -> tuple[float, tuple[float]]:
    """Train a rotational VAE on micrographs and reconstruct others.

    Args:
        beta: KL scale factor at each cycle, shape (cycles,).
        seed: Of weights, order and noise.

    Returns:
        Minus the logarithm of the validation error; the test error, root mean square of a pixel.
    """
    train, *unseen = micrographs()
    settings = jrvae.ModelSettings(
        image_shape=train.shape[1:],
        classes=0,
        hidden_dim=(64, 64),
        decoder="gaussian",
        decoder_sigma=0.2,
    )
    model = jrvae.build(settings, seed)
    how = training.TrainingSettings(learning_rate=0.003, batch_size=15)
    training.train(model, train, beta, np.zeros_like(beta), how, seed)
    validation, test = (error(model, images) for images in unseen)
    return -np.log(validation), (test,)


def error(model, images: np.ndarray) -> float:
    """Root mean square difference between images and what the model makes of their latents."""
    x = jrvae.flat_images(model, images)
    with torch.no_grad():
        z, _, _ = jrvae.infer(model, x)
        angle, shift, scale, content = model.split_latent(z)
        grid = model.grid.expand(len(z), *model.grid.shape)
        made = model.decoder(
            pyroved.utils.transform_coordinates(grid, angle, shift, scale), content
        )
    return (made.flatten(1) - x).square().mean().sqrt().item()


@cache
def micrographs() -> list[np.ndarray]:
    """Simulate clusters of two and three nanoparticles: training, validation, test."""
    settings = image_sets.ImageSettings(
        source="nanoparticles", counts=(2, 3), size=(16, 16), normalize="image", count=600
    )
    return np.array_split(image_sets.load(settings, seed=0).images, 3)


PROBLEMS = {
    "learning-rate": Problem(
        classify, 1e-4, 1.0, 10, "learning rate", "epoch", ("test loss", "test accuracy")
    ),
    "rvae": Problem(reconstruct, 0.01, 10, 40, plots.BETA, "cycle", ("test error",)),
}


def draw(problem: Problem, found: dict[str, list[np.ndarray]], paths: list[str]) -> None:
    """Draw what each search recommends, a line a search."""
    with plots.style():
        figure = plots.figure(plots.COLUMN, 2.4)
        ax = figure.subplots()
        for number, (kind, name) in enumerate(KINDS.items()):
            lines = np.array(found[kind])
            words = [name, *[""] * (len(lines) - 1)]
            plots.trajectories(ax, lines, label=words, color=plots.COLOURS[number], alpha=0.8)
        ax.set(yscale="log", xlabel=problem.step, ylabel=problem.value)
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("")
        figure.legend(loc="outside lower center", ncols=len(KINDS))
        plots.save(figure, paths)


if __name__ == "__main__":
    command.run(main)
