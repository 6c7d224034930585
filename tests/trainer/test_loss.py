"""loss: options beside the paper's, against autograd; where a training may start from."""

import math

import numpy as np
import pytest
import torch
from made_model import shaken, small, some_images
from torch.nn import functional as F

from zbo.base.errors import InputError
from zbo.trainer import jrvae, loss, perceptron, start, training
from zbo.trainer.loss import Problem, TrainingSettings
from zbo.trainer.network import Transform


def by_autograd(model, x, noise, beta, settings, given, offset):
    """The loss of a batch, differentiated by torch: its value and gradients."""
    mean, sd, log_q = jrvae.infer(model, x)
    q = log_q.exp()
    used = q if given is None else given
    z = mean + sd * noise
    transform = Transform.of(model, mean)
    content = z[:, transform.latents :] if transform else z
    squares = []
    for k in range(q.shape[1]):
        code = content
        if model.settings.classes:
            code = torch.cat((content, F.one_hot(torch.full((len(x),), k), q.shape[1])), 1)
        decoded = model.decoder(transform.apply(z)[1], code) if transform else model.decoder(code)
        squares.append((decoded.reshape(x.shape) - x).square().sum(1))
    weighed = (used * torch.stack(squares, 1)).sum()
    variance = weighed / x.numel()
    reconstruction = x.numel() / 2 * (torch.log(2 * math.pi * variance) + 1)
    kl = (mean.square() + sd.square() - 1) / 2 - sd.log()
    kl_c = kl.sum()
    if "r" in model.settings.invariances:
        kl_c = settings.angle_weight * kl[:, 0].sum() + kl[:, 1:].sum()
    value = reconstruction + beta[0] * kl_c
    if given is not None:
        value = value - 10 * (given * log_q).sum()
    else:
        value = value + beta[1] * (q * (log_q + math.log(q.shape[1]))).sum()
        average = q.mean(0)
        value = value + settings.marginal * len(x) * (average * average.log()).sum()
    value.backward()
    # The encoder saw images less the offset, with a bias that makes up for it.
    return {
        name: p.grad - (torch.outer(model.encoder_z.fc_layers[0].bias.grad, offset)
                        if name == "encoder_z.fc_layers.0.weight" else 0)
        for name, p in model.named_parameters()
    }, reconstruction  # fmt: skip


@pytest.mark.parametrize("invariances", [(), ("r",), ("r", "t", "s")])
@pytest.mark.parametrize("classes, starting", [(0, False), (3, False), (3, True)])
def test_gradients_are_autograds(classes, starting, invariances):
    model = shaken(
        small(classes, invariances=invariances, decoder="gaussian", decoder_sigma="learned"),
        torch.float64,
    )
    x = torch.from_numpy(some_images()).double().flatten(1)
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(7, model.z_dim, generator=generator, dtype=torch.float64)
    given = None
    if starting:
        given = torch.rand(7, classes, generator=generator, dtype=torch.float64)
        given /= given.sum(1, keepdim=True)
    settings = TrainingSettings(angle_weight=0.3, marginal=4.0 * (classes > 0))
    problem, offset = Problem.of(model, settings), x.mean(0)
    weight, bias = problem.network.encoder[0]
    bias += weight @ offset
    beta = torch.tensor([0.3, 2.5], dtype=torch.float64)
    problem.gradient.flat.values.fill_(torch.nan)  # every gradient has to be written
    parts, _ = loss.loss_and_gradient(problem, x, noise, beta, given=given, mean_image=offset)
    expected, reconstruction = by_autograd(model, x, noise, beta, settings, given, offset)
    assert parts[0].item() == pytest.approx(reconstruction.item(), rel=1e-9)
    for name, grad in expected.items():
        scale = max(grad.abs().max().item(), 1e-3)
        ours = problem.gradient.flat[name]
        torch.testing.assert_close(ours, grad, rtol=1e-8, atol=1e-8 * scale, msg=name)


def kinds(n=60, side=12, noise=0.05, seed=0, angles=(0, np.pi)):
    """Bars and crosses at random angles on a bright ground."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    labels = np.arange(n) % 2
    images = []
    for label, angle in zip(labels, rng.uniform(*angles, n), strict=True):
        along, across = (x * np.cos(a) + y * np.sin(a) for a in (angle, angle + np.pi / 2))
        bars = np.exp(-(across**2) / 2), np.exp(-(along**2) / 2)
        images.append(0.8 - 0.6 * (np.maximum(*bars) if label else bars[0]))
    images = np.array(images) + noise * rng.standard_normal((n, side, side))
    return images.clip(0, 1).astype(np.float32), labels


def agreement(labels, probabilities):
    same = (probabilities.argmax(1) == labels).mean()
    return max(same, 1 - same)


def test_the_description_knows_no_angle():
    images, labels = kinds()
    one, turned = (start.describe(x) for x in (images, np.rot90(images, axes=(1, 2))))
    np.testing.assert_allclose(one, turned, atol=1e-4)
    assert np.abs(one[labels == 0].mean(0) - one[labels == 1].mean(0)).max() > 0.02


def test_a_mixture_parts_kinds_at_any_angle():
    images, labels = kinds()
    found = start.mixture(start.describe(images), 2, seed=0)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert agreement(labels, found) == 1
    with pytest.raises(InputError, match="too few"):
        start.mixture(start.describe(images[:3]), 2, seed=0)


def trained(cycles=12, angles=(0, np.pi), **options):
    images, labels = kinds(angles=angles)
    settings = jrvae.ModelSettings(
        image_shape=images.shape[1:],
        classes=2,
        hidden_dim=(32, 32),
        decoder="gaussian",
        decoder_sigma="learned",
    )
    model = jrvae.build(settings, 0)
    schedule = TrainingSettings(learning_rate=3e-3, batch_size=10, **options)
    history = training.train(model, images, np.ones(cycles), np.ones(cycles), schedule, 0)
    return model, history, images, labels


def test_the_encoder_learns_the_classes_it_starts_from():
    model, _, images, labels = trained(start="mixture", start_share=1.0, center=True)
    assert agreement(labels, jrvae.encode(model, images).probabilities) > 0.9


def test_images_of_one_way_up_may_start_from_their_pixels():
    model, _, images, labels = trained(
        angles=(-0.2, 0.2), start="pixels", start_share=1.0, center=True
    )
    assert agreement(labels, jrvae.encode(model, images).probabilities) > 0.9
    # A bar and the same bar turned are one kind to the description, two to the pixels.
    bars = images[labels == 0]
    both = np.concatenate((bars, np.rot90(bars, axes=(1, 2))))
    way = np.arange(len(both)) // len(bars)
    assert agreement(way, start.mixture(both.reshape(len(both), -1), 2, seed=0)) == 1
    assert agreement(way, start.mixture(start.describe(both), 2, seed=0)) < 0.8


def test_the_sigma_learned_is_that_of_the_noise():
    rng = np.random.default_rng(0)
    images = (0.4 + 0.05 * rng.standard_normal((200, 10, 10))).clip(0, 1).astype(np.float32)
    settings = jrvae.ModelSettings(
        image_shape=(10, 10), classes=0, decoder="gaussian", decoder_sigma="learned"
    )
    model = jrvae.build(settings, 0)
    history = training.train(
        model,
        images,
        np.ones(20),
        np.ones(20),
        TrainingSettings(learning_rate=3e-3, batch_size=20),
        0,
    )
    sigmas = [loss.sigma_of(value, 100) for value in history.reconstruction]
    assert sigmas[0] > 0.055  # it starts wide
    assert sigmas[-1] == pytest.approx(0.05, rel=0.03)


def test_a_centred_training_is_of_the_model_as_it_was():
    images, _ = kinds()
    model = jrvae.build(
        jrvae.ModelSettings(image_shape=images.shape[1:], classes=2, hidden_dim=(32, 32)), 0
    )
    before = jrvae.encode(model, images)
    schedule = TrainingSettings(center=True)
    centred = training.Training(model, images, np.ones(2), np.ones(2), schedule, 0)
    centred.train_to(0)
    np.testing.assert_allclose(jrvae.encode(model, images).z_mean, before.z_mean, atol=1e-5)
    centred.finish()
    x = torch.from_numpy(images).flatten(1)
    inside = perceptron.forward(centred.problem.network.encoder, x - x.mean(0))[-1]
    found = jrvae.encode(model, images).z_mean
    np.testing.assert_allclose(found, inside[:, : found.shape[1]], atol=1e-5)
    assert np.abs(found - before.z_mean).max() > 1e-3
