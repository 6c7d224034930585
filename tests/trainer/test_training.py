"""training: the loss is pyroVED's, it is reproducible, resumed or beside others the same."""

import math
from contextlib import contextmanager

import numpy as np
import pyro
import pytest
import torch
from conftest import on_gpu
from made_model import SHAPE, shaken, small, some_images
from pyro.infer import Trace_ELBO, TraceEnum_ELBO, config_enumerate
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from zbo.trainer import jrvae, training
from zbo.trainer.adam import Adam
from zbo.trainer.jrvae import ModelSettings
from zbo.trainer.pyroved import pyroved
from zbo.trainer.training import Problem, Training, TrainingDiverged, TrainingSettings

SAMPLED = TrainingSettings(sampled_kl=True)
EIGHTS = TrainingSettings(batch_size=8)


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


def several(device="cpu", hidden=(32, 32), count=3, **changes):
    """Trainings that differ in seed and trajectory; 20 images in batches of 8, 8 and 4."""
    settings = TrainingSettings(**{"batch_size": 8} | changes)
    return [
        Training(
            jrvae.build(small(hidden_dim=hidden), seed), some_images(20), np.linspace(2, 0.1, 3),
            np.full(3, 0.5 + seed), settings, seed, device,
        )
        for seed in range(count)
    ]  # fmt: skip


def outcome(trained):
    return [trained.history().loss, *jrvae.weights(trained.model).values()]


def assert_same(some, others):
    for one, other in zip(some, others, strict=True):
        for a, b in zip(outcome(one), outcome(other), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("hidden", [(32, 32), (16, 24)], ids=["compiled", "torch"])
@pytest.mark.parametrize("changes", [{}, {"pixels": 4, "prune_threshold": 0.2}])
def test_several_at_once_get_the_numbers_of_each_alone(threads, hidden, changes):
    if hidden == (16, 24):  # torch's numbers depend on its threads
        torch.set_num_threads(threads)
    alone = several(hidden=hidden, **changes)
    for one in alone:
        training.run([one])
    torch.set_num_threads(threads)
    together = several(hidden=hidden, **changes)
    training.run(together)
    assert torch.get_num_threads() == threads
    assert_same(together, alone)
    assert not np.array_equal(outcome(together[0])[0], outcome(together[1])[0])


def test_one_that_diverges_leaves_the_others_alone():
    torch.set_num_threads(2)
    expected, found = several(), several()
    found[1].problem.network.flat.values.fill_(math.nan)
    training.run(found)
    training.run(expected)
    assert "cycle 0 of 3 is nan" in str(found[1].diverged)
    assert_same(found[::2], expected[::2])


def test_the_numbers_do_not_depend_on_the_threads():
    """Large enough for the decoder to hand out several ranges and torch to use its threads."""
    images, found = some_images(90, (28, 28)), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        model = jrvae.build(ModelSettings(image_shape=(28, 28), classes=2, hidden_dim=(32, 32)), 0)
        loss = train(model, cycles=1, images=images, settings=TrainingSettings(batch_size=60)).loss
        found.append([loss, *jrvae.weights(model).values()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "pixels, replays",
    [("all", [8, 8, 8, 4, 8, 8, 4]), (9, [8, 8, 8, 4, 8])],  # blocks of 2 x 2 twice, then of 1
)
def test_captured_steps_train_on_each_batch_once(pixels, replays, monkeypatch):
    """With stand-ins for CUDA's graphs: a capture runs nothing, a replay what was captured."""
    expected, found = several(count=1, pixels=pixels), several(count=1, pixels=pixels)
    state = found[0].problem.network.flat.values, *vars(found[0].adam).values(), found[0].sums
    replayed = []

    @contextmanager
    def capture(graph, pool, stream):
        before = [t.clone() if torch.is_tensor(t) else t for t in state]
        yield
        for t, b in zip(state, before, strict=True):
            if torch.is_tensor(t):
                t.copy_(b)
        graph.size = next(size for (size, *_), g in found[0].graphs.items() if g is graph)

    class Graph:
        def pool(self):
            return "its memory"

        def replay(self):
            replayed.append(self.size)
            found[0]._train_batch(self.size)

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    found[0].captured = True
    training.run(found)
    training.run(expected)
    assert_same(found, expected)
    assert replayed == replays  # the first of each size ran by itself


def test_a_step_that_cannot_be_captured_runs_without(monkeypatch, caplog):
    expected, found = several(count=1), several(count=1)

    @contextmanager
    def capture(graph, pool, stream):
        raise RuntimeError("no memory for its pool")
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    found[0].captured = True
    training.run(found)
    training.run(expected)
    assert_same(found, expected)
    assert caplog.text.count("no memory for its pool") == 1


class OnDevice(TorchDispatchMode):
    """Every tensor of every operation is where the model is, and no number becomes a tensor."""

    def __torch_dispatch__(self, operation, _, arguments=(), options=None):
        assert "scalar_tensor" not in str(operation), "on a GPU a copy from the host, waited for"
        tensors = [t for t in tree_leaves((arguments, options)) if torch.is_tensor(t)]
        assert {t.device.type for t in tensors} <= {"meta"}, operation
        return operation(*arguments, **options or {})


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("invariances", [(), ("r",), ("r", "t", "s")])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"prune_threshold": 0.2},
        {"sampled_kl": True},
        {"prune_threshold": 0.2, "pixels": 4},
        {
            "center": True,
            "start": "mixture",
            "start_share": 0.34,
            "angle_weight": 0.1,
            "marginal": 1.0,
        },
    ],
)
def test_a_step_neither_waits_for_its_data_nor_leaves_the_device(classes, invariances, changes):
    """What capturing it on a GPU takes; tensors of the meta device have no data to wait for."""
    learned = {"decoder": "gaussian", "decoder_sigma": "learned"} if "center" in changes else {}
    model = jrvae.build(small(classes, invariances=invariances, **learned), 0)
    settings = TrainingSettings(batch_size=8, **changes)
    trained = Training(model, some_images(20), [1.0] * 3, [1.0] * 3, settings, 0, device="meta")
    with torch.no_grad(), OnDevice():
        trained._train_batch(8)
        trained.cycle += trained.starting  # once more, without classes given
        trained._train_batch(8)


@on_gpu
@pytest.mark.parametrize("changes", [{}, {"prune_threshold": 1e-2}, {"pixels": 4}])
def test_gpu_training_follows_cpu(changes):
    pairs = [several(device, count=1, **changes)[0] for device in ("cpu", "cuda")]
    training.run(pairs[:1])
    training.run(pairs[1:])
    for a, b in zip(*map(outcome, pairs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert next(pairs[1].model.parameters()).device.type == "cpu"


@on_gpu
@pytest.mark.parametrize("threshold", [0.0, 0.2])
@pytest.mark.parametrize("invariances", [(), ("r",), ("r", "t", "s")])
def test_gpu_loss_and_gradient_are_the_cpus(invariances, threshold):
    model = shaken(small(invariances=invariances, hidden_dim=(32, 32)))
    x = torch.from_numpy(some_images()).flatten(1)
    noise = torch.randn(7, model.z_dim, generator=torch.Generator().manual_seed(5))
    found = []
    for device in ("cpu", "cuda"):
        made = Problem.of(model, TrainingSettings(prune_threshold=threshold), device)
        beta = torch.tensor([0.3, 2.5], device=device)
        parts, _ = training.loss_and_gradient(made, x.to(device), noise.to(device), beta)
        found.append((parts.cpu(), made.gradient.flat.values.cpu()))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * a.abs().max().item())


@on_gpu
@pytest.mark.parametrize("changes", [{}, {"prune_threshold": 0.1}, {"pixels": 4}, {"tf32": True}])
def test_gpu_repeats_captured_or_not_alone_or_not(changes):
    first, again, eager = (several("cuda", **changes) for _ in range(3))
    training.run(first)
    for one in again:
        training.run([one])
    for one in eager:
        one.captured = False
    training.run(eager)
    if "pixels" not in changes:  # then the last cycle has a batch of 4 once, and so none to replay
        assert all(None not in one.graphs.values() for one in first)
    assert_same(again, first)
    assert_same(eager, first)


@on_gpu
def test_tf32_changes_digits_alone():
    wide = [several("cuda", hidden=(128, 128), count=1, tf32=flag)[0] for flag in (False, True)]
    for one in wide:
        training.run([one])
    losses = [one.history().loss for one in wide]
    assert not np.array_equal(*losses)
    np.testing.assert_allclose(*losses, rtol=1e-2)
    assert not torch.backends.cuda.matmul.allow_tf32


def test_gpu_settings_do_nothing_on_a_cpu():
    alone, changed = several(count=1), several(count=1, tf32=True, deterministic=False)
    training.run(alone)
    training.run(changed)
    assert_same(alone, changed)
