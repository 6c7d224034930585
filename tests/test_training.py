"""training: the loss is pyroVED's, it is reproducible, resumed or beside others the same."""

import math

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceEnum_ELBO, config_enumerate

from zbo import jrvae, training
from zbo.adam import Adam
from zbo.jrvae import ModelSettings
from zbo.pyroved_import import pyroved
from zbo.training import Problem, TrainingDiverged, TrainingSettings

SHAPE = (6, 5)  # not square: a swapped height and width must fail
SAMPLED = TrainingSettings(sampled_kl=True)
EIGHTS = TrainingSettings(batch_size=8)


def some_images(n=7, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).random((n, *shape), dtype=np.float32)


def small(classes=3, **changes):
    return ModelSettings(
        **{"image_shape": SHAPE, "hidden_dim": (16, 24)} | changes, classes=classes
    )


def shaken(settings, dtype=torch.float32, seed=1):
    """A model away from its initial weights, where classes differ and q is far from uniform."""
    model = jrvae.build(settings, seed=seed).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.5 * torch.randn(p.shape, generator=generator).to(dtype))
    return model


def gradients(model):
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    return found


def pyroved_loss(model, x, noise, beta_c, beta_d, monkeypatch):
    """Loss and gradients of pyroVED's own model and guide under Pyro, with the noise given."""

    def given(shape, dtype, device):
        assert tuple(shape) == tuple(noise.shape)
        return noise

    grid = model.grid if model.coord else None
    if model.coord:  # a plain attribute, left behind by model.double()
        model.grid = grid.to(x.dtype)
    with monkeypatch.context() as patch, pyro.get_param_store().scope():
        patch.setattr(torch.distributions.normal, "_standard_normal", given)
        if model.settings.classes:
            guide = config_enumerate(model.guide, "parallel", expand=True)
            elbo = TraceEnum_ELBO(max_plate_nesting=1, strict_enumeration_warning=False)
            scale = torch.tensor([beta_c, beta_d], dtype=x.dtype)
        else:
            guide, elbo, scale = model.guide, Trace_ELBO(), beta_c
        value = elbo.loss_and_grads(model.model, guide, x, scale_factor=scale)
    if model.coord:
        model.grid = grid
    return value, gradients(model)


@pytest.mark.parametrize(
    "dtype, rtol, hidden",
    [
        (torch.float64, 1e-9, (16, 24)),
        (torch.float32, 1e-4, (16, 24)),
        (torch.float32, 1e-4, (64, 32)),
    ],
    ids=["float64", "float32", "float32-compiled"],  # in C where the widths allow it
)
@pytest.mark.parametrize("decoder", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("invariances", [(), ("r",), ("r", "t"), ("t", "s"), ("r", "t", "s")])
@pytest.mark.parametrize("classes", [0, 1, 2, 10])
def test_loss_and_gradients_are_pyroveds(
    classes, invariances, decoder, dtype, rtol, hidden, monkeypatch
):
    settings = small(
        classes, invariances=invariances, decoder=decoder, decoder_sigma=0.3, hidden_dim=hidden
    )
    model = shaken(settings, dtype)
    x = torch.from_numpy(some_images()).to(dtype)
    noise = torch.randn(7, model.z_dim, generator=torch.Generator().manual_seed(5)).to(dtype)
    expected, expected_grads = pyroved_loss(model, x, noise, 0.3, 2.5, monkeypatch)

    problem = Problem.of(model, SAMPLED)
    problem.gradient.flat.values.fill_(torch.nan)  # every gradient has to be written
    beta = torch.tensor([0.3, 2.5], dtype=dtype)
    parts, _ = training.loss_and_gradient(problem, x.flatten(1), noise, beta)
    loss = parts[0] + 0.3 * parts[1] + 2.5 * parts[2]
    assert loss.item() == pytest.approx(expected, rel=rtol)
    for name in expected_grads:
        grad = problem.gradient.flat[name]
        scale = expected_grads[name].abs().max().item()
        torch.testing.assert_close(
            grad, expected_grads[name], rtol=rtol, atol=rtol * max(scale, 1e-3), msg=name
        )


@pytest.mark.parametrize("classes", [0, 3])
def test_analytic_kl_is_the_sampled_kl_in_expectation(classes):
    model = shaken(small(classes), torch.float64)
    x = torch.from_numpy(some_images(2)).double().flatten(1)
    n = 40_000
    noise = torch.randn(2 * n, model.z_dim, generator=torch.Generator().manual_seed(0)).double()
    mean, sd, log_q = (t.detach() for t in jrvae.infer(model, x))
    z = mean.repeat(n, 1) + sd.repeat(n, 1) * noise
    sampled = (
        torch.distributions.Normal(mean.repeat(n, 1), sd.repeat(n, 1)).log_prob(z)
        - torch.distributions.Normal(0.0, 1.0).log_prob(z)
    ).sum(1)
    parts, ours = (
        training.loss_and_gradient(Problem.of(model, chosen), x, noise[:2], torch.ones(2))[0]
        for chosen in (TrainingSettings(), SAMPLED)
    )
    assert ours[1].item() == pytest.approx(sampled[:2].sum().item(), rel=1e-9)
    error = 2 * sampled.std().item() / math.sqrt(2 * n)
    assert parts[1].item() == pytest.approx(2 * sampled.mean().item(), abs=5 * error)
    exact = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, sd), torch.distributions.Normal(0.0, 1.0)
    ).sum()
    assert parts[1].item() == pytest.approx(exact.item(), rel=1e-9)
    uniform = torch.distributions.Categorical(torch.ones(1, log_q.shape[1]).double())
    exact = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=log_q), uniform
    ).sum()
    assert parts[2].item() == pytest.approx(exact.item(), rel=1e-9, abs=1e-12)


def train(model, cycles=3, images=None, settings=EIGHTS, seed=4, **more):
    images = some_images(20) if images is None else images
    beta_c, beta_d = np.linspace(2, 0.1, cycles), np.full(cycles, 0.5)
    return training.train(model, images, beta_c, beta_d, settings, seed, **more)


def test_loss_is_the_weighted_sum_of_its_parts_and_falls():
    model, calls = jrvae.build(small(hidden_dim=(32, 32)), seed=0), []
    faster = TrainingSettings(batch_size=8, learning_rate=1e-2)
    history = train(model, 12, settings=faster, progress=lambda *call: calls.append(call))
    beta_c = np.linspace(2, 0.1, 12)
    np.testing.assert_allclose(
        history.loss,
        history.reconstruction + beta_c * history.kl_c + 0.5 * history.kl_d,
        rtol=1e-6,
    )
    assert history.reconstruction[-1] < history.reconstruction[0]
    assert np.all(history.active_classes == 3)
    assert history.kl_c.min() >= 0 and history.kl_d.min() >= 0
    assert calls == [(i, pytest.approx(value)) for i, value in enumerate(history.loss)]
    assert history.loss.dtype == np.float64 and history.seconds > 0


@pytest.mark.parametrize("hidden", [(16, 24), (32, 32)])
def test_training_repeats_bit_for_bit_whatever_the_global_state(hidden):
    settings, runs = small(hidden_dim=hidden), []
    for junk in (0, 1):
        torch.manual_seed(junk)
        np.random.seed(junk)
        model = jrvae.build(settings, seed=3)
        runs.append((train(model).loss, jrvae.weights(model)))
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    for name, value in runs[0][1].items():
        np.testing.assert_array_equal(value, runs[1][1][name], err_msg=name)
    other = jrvae.build(settings, seed=3)
    assert not np.array_equal(train(other, seed=5).loss, runs[0][0])


def test_training_follows_pyroveds_trainer(monkeypatch):
    """Same data order and noise: the same losses as SVItrainer, three cycles of Adam long."""
    images = some_images(20)
    settings = TrainingSettings(batch_size=20, sampled_kl=True)  # one batch: order cannot matter
    ours, theirs = (jrvae.build(small(), seed=3) for _ in range(2))
    history = train(ours, images=images, settings=settings)

    generator, draws = torch.Generator().manual_seed(4), []
    for _ in range(3):
        order = torch.randperm(20, generator=generator)
        draws.append((order, torch.randn(20, theirs.z_dim, generator=generator)))
    with pyro.get_param_store().scope(), torch.random.fork_rng():
        trainer = pyroved.trainers.SVItrainer(theirs, lr=1e-3, enumerate_parallel=True)
        losses = []
        for (order, noise), beta_c in zip(draws, np.linspace(2, 0.1, 3), strict=True):
            monkeypatch.setattr(
                torch.distributions.normal, "_standard_normal", lambda *_, noise=noise, **__: noise
            )
            batch = [(torch.from_numpy(images)[order],)]
            losses.append(trainer.svi.step(batch[0][0], scale_factor=[beta_c, 0.5]) / 20)
    np.testing.assert_allclose(history.loss, losses, rtol=1e-5)
    for name, value in jrvae.weights(theirs).items():
        np.testing.assert_allclose(jrvae.weights(ours)[name], value, atol=2e-5, err_msg=name)


def test_adam_is_torchs_bit_for_bit():
    a, b = torch.ones(37), torch.nn.Parameter(torch.ones(37))
    ours, theirs = Adam(a, 0.01), torch.optim.Adam([b], lr=0.01, fused=True)
    x = torch.rand(37, generator=torch.Generator().manual_seed(0))
    for _ in range(10):
        b.grad = x * (2 * x * b).cos()
        ours.step(x * (2 * x * a).cos())
        theirs.step()
        assert torch.equal(a, b)
    assert not torch.equal(a, torch.ones(37))


def test_divergence_is_named():
    model = jrvae.build(small(), seed=0)
    with torch.no_grad():
        model.decoder.out.bias.fill_(math.nan)
    with pytest.raises(TrainingDiverged, match="cycle 0 of 3 is nan"):
        train(model)
    model = jrvae.build(small(hidden_dim=(32, 32)), seed=0)  # the compiled decoder keeps NaN too
    with torch.no_grad():
        model.decoder.fc_layers[0].weight[3, 5] = math.nan
    with pytest.raises(TrainingDiverged, match="nan"):
        train(model)


@pytest.mark.parametrize(
    "images, beta_d",
    [
        (some_images(4, (5, 6)), [1.0]),
        (some_images(4) + 1, [1.0]),
        (np.full((4, *SHAPE), np.nan, np.float32), [1.0]),
        (some_images(0), [1.0]),
        (some_images(4), [1.0, 1.0]),
    ],
    ids=["transposed", "range", "nan", "none", "lengths"],
)
def test_wrong_input_is_refused(images, beta_d):
    with pytest.raises(ValueError):
        training.train(jrvae.build(small(), 0), images, [1.0], beta_d, TrainingSettings(), 0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("threshold", [0.0, 1e-2])
def test_gpu_training_follows_cpu(threshold):
    settings = TrainingSettings(batch_size=8, prune_threshold=threshold)
    models = [jrvae.build(small(hidden_dim=(32, 32)), seed=0) for _ in range(2)]
    ours = [
        train(m, settings=settings, device=d).loss
        for m, d in zip(models, ("cpu", "cuda"), strict=True)
    ]
    np.testing.assert_allclose(*ours, rtol=1e-4)
    assert next(models[1].parameters()).device.type == "cpu"
