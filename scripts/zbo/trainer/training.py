"""Training of a model along a trajectory of KL scale factors, or of several at once."""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zbo.base.errors import InputError
from zbo.trainer import checkpoint as checkpoints, decoder, pixels, start
from zbo.trainer.adam import Adam
from zbo.trainer.checkpoint import Checkpoint
from zbo.trainer.jrvae import flat_images
from zbo.trainer.loss import Problem, TrainingSettings, loss_and_gradient

log = logging.getLogger(__name__)


class TrainingDiverged(ArithmeticError):
    """The loss of a cycle is not finite; the message names the cycle and the loss."""


@dataclass(frozen=True)
class History:
    """A training, cycle by cycle: means over images, each array of shape (N,), float64."""

    loss: np.ndarray  # reconstruction + β_c kl_c + β_d kl_d, nats
    reconstruction: np.ndarray  # -Σ_k q(k|x) log p(x|z,k), nats
    kl_c: np.ndarray  # continuous KL term before scaling, nats
    kl_d: np.ndarray  # discrete KL term before scaling, nats
    active_classes: np.ndarray  # classes the decoder ran for, of K
    pixels: np.ndarray  # pixels the decoder ran for: with fewer than all, losses are estimates
    seconds: float  # wall time of the whole training


class Training:
    """One model on its way along one trajectory, batch by batch.

    Shuffling, noise and the choice of pixels come from a generator of its own, on the CPU whatever
    the device, so that none depends on torch's global state or moves with the hardware.

    Args:
        model: Built by `jrvae.build`; it gets its weights at the end.
        images: Shape (n, h, w), in [0, 1].
        beta_c: Scale of the continuous KL term at each cycle, shape (N,).
        beta_d: Scale of the discrete KL term at each cycle, shape (N,).
        settings: How to train.
        seed: Seed of shuffling and noise.
        device: "cpu" or "cuda".
        progress: Called with the cycle and its loss after each cycle.
        checkpoint: Where to keep the state, and to continue from it if there is one.

    Attributes:
        diverged: Why it ended before its time, or None.

    Raises:
        InputError: If shapes do not fit, or an image leaves [0, 1].
    """

    def __init__(
        self,
        model,
        images,
        beta_c,
        beta_d,
        settings: TrainingSettings,
        seed: int,
        device: str = "cpu",
        progress: Callable[[int, float], None] | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        beta_c, beta_d = (np.asarray(b, dtype=np.float64) for b in (beta_c, beta_d))
        if beta_c.ndim != 1 or beta_c.shape != beta_d.shape:
            raise InputError(
                f"beta_c and beta_d must be (N,), got {beta_c.shape} and {beta_d.shape}"
            )
        data = flat_images(model, images)
        if not (data.min() >= 0 and data.max() <= 1):
            raise InputError("images must lie in [0, 1] and hold no NaN")
        if device == "cuda":  # read when the first matrix product is made
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        self.model, self.settings, self.progress = model, settings, progress
        self.beta = np.stack((beta_c, beta_d), 1)
        self.mean_image = None
        if settings.center:
            self.mean_image = data.mean(0).to(device)
        self.problem = Problem.of(model, settings, device)
        if self.mean_image is not None:
            weight, bias = self.problem.network.encoder[0]
            bias += weight @ self.mean_image
        self.threads, self.captured = 1, device == "cuda"
        self.compiled = self.problem.transform is not None and decoder.compiled_for(
            decoder.spatial_parameters(self.problem.network)
        )
        self.stream = torch.cuda.Stream() if device == "cuda" else None
        self.graphs: dict[tuple[int, int, bool], torch.cuda.CUDAGraph | None] = {}
        self.data = data.to(device)
        self.given, self.given_cycles = None, round(settings.start_share * len(self.beta))
        if settings.start != "random" and self.problem.classes > 1:
            upright = data.view(-1, *model.settings.image_shape).numpy()
            described = start.describe(upright) if settings.start == "mixture" else data.numpy()
            given = start.mixture(described, self.problem.classes, seed)
            self.given = torch.as_tensor(given).to(self.data)
        # What a step reads and a captured step finds at the same place each time:
        size = min(settings.batch_size, len(data))
        self.batch = torch.zeros(size, dtype=torch.int64, device=device)
        self.noise = self.data.new_zeros(size, model.z_dim)
        self.offsets = self.data.new_zeros(size, 2)
        self.beta_now = self.data.new_zeros(2)
        shape = model.settings.image_shape
        self.sides = [1] * len(self.beta)
        if self.problem.transform is not None:
            self.sides = pixels.sides(settings.pixels, shape, len(self.beta))
        self.blocks = {}
        if set(self.sides) - {1}:
            self.blocks = {b: pixels.Blocks.of(shape, b, self.data) for b in set(self.sides)}
        # The state:
        self.adam = Adam(self.problem.network.flat.values, settings.learning_rate)
        self.generator = torch.Generator().manual_seed(seed)
        self.drawn_from = self.generator.get_state()
        self.cycle, self.at, self.seconds = 0, 0, 0.0
        self.sums = torch.zeros(4, dtype=torch.float64, device=device)
        self.parts = np.full((len(self.beta), 4), np.nan)
        self.likelihood = None
        if settings.prune_threshold > 0 and self.problem.classes:  # infinite: not seen yet
            self.likelihood = self.data.new_full((len(data), self.problem.classes), math.inf)
        self.diverged: TrainingDiverged | None = None
        self.checkpoint = checkpoint
        if checkpoint is not None:
            self.key = checkpoints.key(
                data.numpy(), self.beta, settings, model.settings, seed,
                self.problem.network.flat.values.cpu().numpy(),
            )  # fmt: skip
            if state := checkpoint.load(self.key):
                self._restore(state, checkpoint.path)
        if self.stream:
            self.stream.wait_stream(torch.cuda.current_stream())  # which made all of this

    @property
    def done(self) -> bool:
        """Whether all cycles are trained, or it diverged."""
        return self.cycle == len(self.beta) or self.diverged is not None

    @property
    def starting(self) -> bool:
        """Whether classes are still given, see `start`."""
        return self.given is not None and self.cycle < self.given_cycles

    def step(self) -> None:
        """Train on one batch; save the state where it is time to.

        Raises:
            Interrupted: If a SIGTERM came, and there is a checkpoint to save to.
        """
        began = time.perf_counter()
        if self.checkpoint is not None and self.checkpoint.due():
            self.save()
        with torch.no_grad(), self._on_stream():
            if self.at == 0:
                self.sums.zero_()
                self._draw()
            batch = slice(self.at, self.at + len(self.batch))
            size = len(self.order[batch])
            self.batch[:size].copy_(self.order[batch])
            self.noise[:size].copy_(self.noises[batch])
            if self.blocks:
                self.offsets[:size].copy_(self.places[batch])
            self._run(size)
            self.at += size
            if self.at == len(self.data):
                self._end_cycle()
        self.seconds += time.perf_counter() - began

    def finish(self) -> None:
        """Train to the end."""
        self.train_to(len(self.beta))

    def train_to(self, cycle: int) -> None:
        """Train until so many cycles are done, or it diverges; the model has its weights then."""
        while self.cycle < cycle and self.diverged is None:
            self.step()
        self._store()

    def continue_from(self, other: "Training") -> None:
        """Take over the weights, optimizer and past of another training of the same cycle.

        Order and noise stay its own, so that the two part even where their β are the same. One
        that diverged is whole again.

        Raises:
            ValueError: If the other diverged, they stand at different cycles, or in one's middle.
        """
        apart = self.diverged is None and (self.at or self.cycle != other.cycle)
        if apart or other.at or other.diverged is not None:
            raise ValueError("a training can continue from another at the end of the same cycle")
        if other.stream:
            other.stream.synchronize()
        with self._on_stream():
            for name, tensor in other._tensors().items():
                self._tensors()[name].copy_(tensor)
            if self.likelihood is not None and other.likelihood is not None:
                self.likelihood.copy_(other.likelihood)
        self.parts[:] = other.parts
        self.cycle, self.at, self.diverged = other.cycle, 0, None
        self.drawn_from = self.generator.get_state()
        self.beta[: self.cycle] = other.beta[: self.cycle]

    def history(self) -> History:
        """What happened, cycle by cycle; NaN from where it diverged."""
        reconstruction, kl_c, kl_d, runs = np.ascontiguousarray(self.parts.T)
        loss = reconstruction + self.beta[:, 0] * kl_c + self.beta[:, 1] * kl_d
        shape = self.model.settings.image_shape
        decoded = np.array([pixels.count(shape, side) for side in self.sides])
        return History(loss, reconstruction, kl_c, kl_d, runs, decoded, self.seconds)

    def save(self) -> None:
        """Write the state to the checkpoint."""
        if self.stream:
            self.stream.synchronize()
        likelihood = None if self.likelihood is None else self.likelihood.cpu().numpy()
        assert self.checkpoint is not None  # or else nothing asks for it
        self.checkpoint.save(
            {
                **{name: t.cpu().numpy() for name, t in self._tensors().items()},
                "generator": self.drawn_from.numpy(),
                "likelihood": likelihood,
                "parts": self.parts,
                "clock": np.array([self.cycle, self.at]),
                "seconds": self.seconds,
            },
            self.key,
        )

    def _store(self) -> None:
        """Give the model its weights; what was taken off its images goes into the first bias."""
        self.problem.network.flat.store(self.model)
        if self.mean_image is not None:
            first = self.model.encoder_z.fc_layers[0]
            with torch.no_grad():
                first.bias -= first.weight @ self.mean_image.to(first.weight)

    def _on_stream(self) -> AbstractContextManager:
        return torch.cuda.stream(self.stream) if self.stream else nullcontext()

    def _tensors(self) -> dict[str, Tensor]:
        adam = self.adam
        named = {"weights": adam.weights, "mean": adam.mean, "square": adam.square}
        return named | {"count": adam.count, "sums": self.sums}

    def _restore(self, state: dict[str, np.ndarray], path: Path) -> None:
        for name, tensor in self._tensors().items():
            tensor.copy_(torch.as_tensor(state[name]))
        if self.likelihood is not None:
            self.likelihood.copy_(torch.as_tensor(state["likelihood"]))
        self.parts[:] = state["parts"]
        self.cycle, self.at = state["clock"].tolist()
        self.seconds = float(state["seconds"])
        self.drawn_from = torch.as_tensor(state["generator"])
        self.generator.set_state(self.drawn_from)
        if self.at:
            self._draw()
        if self.done:
            self._store()
        log.info("%s: continues at cycle %d", path, self.cycle)
        if self.progress is not None:
            for cycle, loss in enumerate(self.history().loss[: self.cycle].tolist()):
                self.progress(cycle, loss)

    def _draw(self) -> None:
        """Draw a cycle's order, noise and places in the blocks."""
        n = len(self.data)
        order = torch.randperm(n, generator=self.generator)
        noise = torch.randn(n, self.noise.shape[1], generator=self.generator)
        self.order, self.noises = order.to(self.batch.device), noise.to(self.data)
        if self.blocks:
            self.places = torch.rand(n, 2, generator=self.generator).to(self.data)
        self.beta_now.copy_(torch.as_tensor(self.beta[self.cycle]))

    def _run(self, size: int) -> None:
        """Train on the batch that was laid out, on a GPU by a captured graph.

        The first batch of a size and a size of blocks runs step by step, which lets the libraries
        set themselves up; the second is captured.
        """
        kind = size, self.sides[self.cycle], self.starting
        if not self.captured or kind not in self.graphs:
            self.graphs[kind] = None
            self._train_batch(size)
            return
        graph = self.graphs[kind]
        if graph is None:
            # One after the other on one stream, and nothing lives on in them: they share memory.
            pool = next((made.pool() for made in self.graphs.values() if made), None)
            graph = self.graphs[kind] = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.graph(graph, pool=pool, stream=self.stream):
                    self._train_batch(size)
            except RuntimeError as error:
                why = error.__context__ or error  # what went wrong, then what ending it made of it
                log.warning("a step cannot be captured, so it runs without: %s", why)
                self.captured = False
                self._train_batch(size)
                return
        graph.replay()

    def _train_batch(self, size: int) -> None:
        batch, last, sample = self.batch[:size], None, None
        if self.likelihood is not None:
            last = self.likelihood[batch]
        if self.blocks:
            sample = self.blocks[self.sides[self.cycle]].draw(self.offsets[:size])
        given = self.given[batch] if self.given is not None and self.starting else None
        parts, memory = loss_and_gradient(
            self.problem, self.data[batch], self.noise[:size], self.beta_now, last, self.threads,
            sample, given, self.mean_image,
        )  # fmt: skip
        if self.likelihood is not None:
            self.likelihood.index_copy_(0, batch, memory)
        self.adam.step(self.problem.gradient.flat.values)
        self.sums += parts

    def _end_cycle(self) -> None:
        self.parts[self.cycle] = self.sums.cpu().numpy() / len(self.data)  # the only wait
        loss = self.parts[self.cycle, :3] @ (1, *self.beta[self.cycle])
        if not math.isfinite(loss):
            beta_c, beta_d = self.beta[self.cycle]
            self.diverged = TrainingDiverged(
                f"the loss of cycle {self.cycle} of {len(self.beta)} is {loss} "
                f"(beta_c {beta_c:g}, beta_d {beta_d:g}): lower the learning rate"
            )
            return
        self.at = 0
        self.cycle += 1
        ended = self.given is not None and self.cycle == self.given_cycles
        if ended and self.likelihood is not None:
            self.likelihood.fill_(math.inf)  # no class is skipped before it was tried
        self.drawn_from = self.generator.get_state()
        if self.progress is not None:
            self.progress(self.cycle - 1, float(loss))
        if self.done:
            self._store()


def train(*arguments, **options) -> History:
    """Train a model in place, one cycle over the images for each pair of KL scale factors.

    Takes what `Training` takes.

    Raises:
        InputError: If shapes do not fit, or an image leaves [0, 1].
        TrainingDiverged: If a cycle's loss is not finite.
    """
    training = Training(*arguments, **options)
    run([training])
    if training.diverged is not None:
        raise training.diverged
    return training.history()


def run(trainings: Sequence[Training]) -> None:
    """Train several models to their ends at once; each gets the numbers it would get alone.

    On the CPU as many are trained side by side as torch may use threads, where there is compiled
    code for them; a GPU gets one batch of each in turn, in streams of their own.

    Raises:
        Interrupted: If a SIGTERM came; the states of those with a checkpoint are saved.
    """
    with surroundings(trainings) as threads:
        if any(t.stream for t in trainings):
            while waiting := [t for t in trainings if not t.done]:
                for training in waiting:
                    training.step()
            return
        workers = min(threads, len(trainings)) if all(t.compiled for t in trainings) else 1
        for training in trainings:
            training.threads = 1 if workers == threads else threads
        if workers == 1:
            for training in trainings:
                training.finish()
            return
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(Training.finish, trainings))


@contextmanager
def surroundings(trainings: Sequence[Training]) -> Iterator[int]:
    """Set torch's global switches for some trainings and put them back; gives the threads.

    A SIGTERM ends what happens in between once the states of those with a checkpoint are saved.
    """
    threads = torch.get_num_threads()
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32, torch.are_deterministic_algorithms_enabled()
    with ExitStack() as after:
        if any(t.checkpoint is not None for t in trainings):
            after.enter_context(checkpoints.interruptible())
        if any(t.stream for t in trainings):
            after.callback(setattr, matmul, "allow_tf32", before[0])
            after.callback(torch.use_deterministic_algorithms, before[1])
            # Or else each tensor that is about to be written whole is filled with NaN before.
            deterministic: Any = torch.utils.deterministic
            filling = deterministic.fill_uninitialized_memory
            after.callback(setattr, deterministic, "fill_uninitialized_memory", filling)
            deterministic.fill_uninitialized_memory = False
            matmul.allow_tf32 = any(t.settings.tf32 for t in trainings)
            torch.use_deterministic_algorithms(all(t.settings.deterministic for t in trainings))
        if all(t.compiled for t in trainings):
            # What is left to torch is too small for threads; on one its numbers do not depend on
            # how many there are.
            after.callback(torch.set_num_threads, threads)
            torch.set_num_threads(1)
        try:
            yield threads
        except checkpoints.Interrupted:
            for training in trainings:
                if training.checkpoint is not None and training.cycle + training.at:
                    training.save()
            log.warning("interrupted; the state is saved, the next start continues from it")
            raise
