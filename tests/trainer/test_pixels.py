"""pixels: a sample estimates loss and gradient without bias; a training with samples behaves."""

import itertools

import numpy as np
import pytest
import torch
from made_model import SHAPE, shaken, small, some_images

from zbo.base.errors import InputError
from zbo.trainer import decoder, jrvae, kernels, pixels, training
from zbo.trainer.pixels import Blocks, Sample
from zbo.trainer.training import Problem, Training, TrainingSettings

LIKE = torch.zeros((), dtype=torch.float64)


def every_place(side):
    """Offsets that meet each pixel of blocks of 1 to `side` pixels a side equally often."""
    steps = int(np.lcm.reduce(range(1, side + 1)))
    middles = [(i + 0.5) / steps for i in range(steps)]
    return torch.tensor(list(itertools.product(middles, middles)), dtype=LIKE.dtype)


@pytest.mark.parametrize("decoder", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("invariances", [("r",), ("r", "t"), ("s",), ("r", "t", "s")])
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("side", [2, 3])  # of 6 x 5 pixels: 5 is no multiple of either
def test_the_mean_over_all_places_is_the_exact_loss_and_gradient(
    side, classes, invariances, decoder
):
    settings = small(classes, invariances=invariances, decoder=decoder, decoder_sigma=0.3)
    model = shaken(settings, torch.float64)
    x = torch.from_numpy(some_images()).double().flatten(1)
    noise = torch.randn(7, model.z_dim, generator=torch.Generator().manual_seed(5)).double()
    beta = torch.tensor([0.3, 2.5], dtype=LIKE.dtype)
    problem, blocks = Problem.of(model, TrainingSettings()), Blocks.of(SHAPE, side, LIKE)

    def found(sample):
        parts, _ = training.loss_and_gradient(problem, x, noise, beta, sample=sample)
        return torch.cat((parts, problem.gradient.flat.values))

    exact = found(None)
    each = [found(blocks.draw(place.expand(7, 2))) for place in every_place(side)]
    apart = max((one - exact).abs().max().item() for one in each)
    assert apart > 0.01  # a sample is not exact
    error = (torch.stack(each).mean(0) - exact).abs().max()
    assert error <= 1e-9 * max(1, exact.abs().max().item())


@pytest.mark.parametrize("shape", [(6, 5), (1, 7), (28, 28), (3, 96)])
@pytest.mark.parametrize("side", [1, 2, 3, 5])
def test_one_pixel_of_each_block_and_every_pixel_equally_often(shape, side):
    blocks, total = Blocks.of(shape, side, LIKE), shape[0] * shape[1]
    places = every_place(side)
    index, share = (draw := blocks.draw(places)).index, draw.share
    assert index.shape == (len(places), pixels.count(shape, side)) and share.sum() == total
    assert share.max() <= side**2
    weight = torch.zeros(total, dtype=LIKE.dtype).scatter_add_(
        0, index.flatten(), share.repeat(len(places))
    )
    torch.testing.assert_close(weight / len(places), torch.ones_like(weight))
    assert all(len(set(row.tolist())) == len(row) for row in index)
    last = blocks.draw(torch.full((1, 2), 1 - 2**-24)).index  # the largest torch.rand gives
    assert last.max() == total - 1


def test_blocks_shrink_towards_the_end_and_the_last_cycle_decodes_all():
    assert pixels.sides("all", (28, 28), 4) == [1, 1, 1, 1]
    assert pixels.sides(49, (28, 28), 8) == [4, 4, 4, 4, 4, 3, 2, 1]
    assert pixels.sides(49, (28, 28), 2) == [2, 1]
    assert pixels.sides(1, (2, 3), 5) == [3, 3, 3, 2, 1]
    assert pixels.sides(784, (28, 28), 2) == [1, 1]
    assert pixels.sides("auto", (23, 24), 4) == [1, 1, 1, 1]
    assert [pixels.sides("auto", (size, size), 9)[0] for size in (24, 28, 96)] == [2, 2, 6]
    assert [pixels.count((28, 28), side) for side in (1, 2, 3, 4)] == [784, 196, 100, 49]
    for wrong in (0, -3, "some"):
        with pytest.raises(InputError, match=r"training\.pixels"):
            pixels.sides(wrong, (28, 28), 8)


def train(settings, shape=SHAPE, cycles=5, **model):
    chosen = small(**{"image_shape": shape, "hidden_dim": (32, 32)} | model)
    how = TrainingSettings(**{"learning_rate": 3e-3, "batch_size": 8} | settings)
    return Training(
        jrvae.build(chosen, 1), some_images(20, shape), np.linspace(2, 0.1, cycles),
        np.full(cycles, 0.5), how, 4,
    )  # fmt: skip


def outcome(trained):
    training.run([trained])
    return [trained.history().loss, *jrvae.weights(trained.model).values()]


def test_history_says_how_many_pixels_each_loss_is_from():
    trained = train({"pixels": 4})
    outcome(trained)
    assert trained.history().pixels.tolist() == [4, 4, 4, 9, 30]
    assert np.isfinite(trained.history().loss).all()
    assert train({}).history().pixels.tolist() == [30] * 5


def test_each_image_is_seen_elsewhere_each_cycle():
    trained, seen = train({"pixels": 4}), []
    for _ in range(6):
        trained.step()
        seen.append(trained.offsets.clone())
    assert len(torch.cat(seen[:2]).unique(dim=0)) == 16
    assert not torch.equal(seen[0], seen[3])


@pytest.mark.parametrize("threshold", [0.0, 0.2])
def test_compiled_and_torch_agree(threshold, monkeypatch):
    found = []
    for library in (kernels.load(), None):
        monkeypatch.setattr(kernels, "load", lambda library=library: library)
        settings = {"pixels": 30, "prune_threshold": threshold}
        found.append(outcome(train(settings, (9, 8), decoder="gaussian"))[0])
    np.testing.assert_allclose(*found, rtol=1e-4)


def test_a_plain_decoder_decodes_whole_images():
    sampled, exact = (train({"pixels": p}, invariances=()) for p in (4, "all"))
    for a, b in zip(outcome(sampled), outcome(exact), strict=True):
        np.testing.assert_array_equal(a, b)
    assert sampled.history().pixels.tolist() == [30] * 5


def test_it_learns_as_from_all_pixels():
    losses = [outcome(train({"pixels": p}, (12, 12), 60))[0] for p in ("all", 36)]
    fell = losses[0][0] - losses[0][-1]
    assert abs(losses[1][-1] - losses[0][-1]) < 0.1 * fell


def test_pruning_remembers_how_far_classes_are_apart_not_the_noise():
    """Where a sample meets bright pixels, all log-likelihoods are other ones; the gap stays."""
    model = shaken(small(3), torch.float64)
    x = torch.from_numpy(some_images()).double().flatten(1)
    z = torch.randn(7, model.z_dim, generator=torch.Generator().manual_seed(5)).double()
    problem = Problem.of(model, TrainingSettings())
    q = torch.tensor([0.9, 0.099, 0.001], dtype=LIKE.dtype).expand(7, 3)
    blocks = Blocks.of(SHAPE, 3, LIKE)

    def reconstruct(place, last):
        return decoder.reconstruct(
            problem.network, problem.gradient, problem.transform, x, z, q, None, 0.01, last,
            sample=blocks.draw(torch.tensor([place]).expand(7, 2)),
        )  # fmt: skip

    first = reconstruct((0.0, 0.0), torch.full_like(q, torch.inf))  # decodes all
    assert first.decoded == 21
    gap = first.log_likelihood[:, 2] - first.log_likelihood[:, 0]
    second = reconstruct((0.9, 0.5), first.memory)
    assert second.decoded == 14
    best, other, charged = second.log_likelihood.unbind(1)
    torch.testing.assert_close(charged, torch.minimum(best + gap, torch.minimum(best, other)))
    torch.testing.assert_close(second.memory[:, 2], gap)  # of the last time it was decoded
    torch.testing.assert_close(second.memory[:, :2], torch.stack((0 * best, other - best), 1))
    forgotten = reconstruct((0.9, 0.5), None)
    assert torch.isfinite(forgotten.log_likelihood).all()


def test_a_sample_of_every_pixel_is_exact():
    model = shaken(small(3, hidden_dim=(32, 32)))
    x, noise = torch.from_numpy(some_images()).flatten(1), torch.zeros(7, model.z_dim)
    problem, beta, found = Problem.of(model, TrainingSettings()), torch.ones(2), []
    every = Sample(torch.arange(30).expand(7, 30), torch.ones(30))
    for sample in (None, every):
        parts, memory = training.loss_and_gradient(problem, x, noise, beta, sample=sample)
        found.append((parts, memory, problem.gradient.flat.values.clone()))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
