"""jrvae: the loss is pyroVED's, training is reproducible, weights go both ways."""

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceEnum_ELBO, config_enumerate

from zbo import jrvae
from zbo.jrvae import ModelSettings, TrainingSettings

SHAPE = (6, 5)  # not square: a swapped height and width must fail
SAMPLED = TrainingSettings(sampled_kl=True)


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


@pytest.mark.parametrize("dtype, rtol", [(torch.float64, 1e-9), (torch.float32, 1e-4)])
@pytest.mark.parametrize("decoder", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("invariances", [(), ("r",), ("r", "t"), ("t", "s"), ("r", "t", "s")])
@pytest.mark.parametrize("classes", [0, 1, 2, 10])
def test_loss_and_gradients_are_pyroveds(classes, invariances, decoder, dtype, rtol, monkeypatch):
    settings = small(classes, invariances=invariances, decoder=decoder, decoder_sigma=0.3)
    model = shaken(settings, dtype)
    x = torch.from_numpy(some_images()).to(dtype)
    noise = torch.randn(7, model.z_dim, generator=torch.Generator().manual_seed(5)).to(dtype)
    expected, expected_grads = pyroved_loss(model, x, noise, 0.3, 2.5, monkeypatch)

    loss, parts = jrvae.batch_loss(model, x.flatten(1), noise, 0.3, 2.5, SAMPLED)
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=rtol)
    assert parts[0].item() == loss.item()
    for name, grad in gradients(model).items():
        scale = expected_grads[name].abs().max().item()
        torch.testing.assert_close(
            grad, expected_grads[name], rtol=rtol, atol=rtol * max(scale, 1e-3), msg=name
        )
