"""The VAE of trajectories: it learns, comes back from a file, and its space is feasible."""

import numpy as np
import pytest
import torch

from zbo.base.errors import InputError
from zbo.trainer import perceptron
from zbo.trajectories import families, space, vae

BOUNDS = (0.5, 20.0)
SETTINGS = vae.TrajectoryVAESettings(
    hidden_dim=(32, 32), learning_rate=3e-3, cycles=60, batch_size=50
)


@pytest.fixture(scope="module")
def trained():
    beta, family = families.sample(["linear_cooldown", "constant"], 150, 40, BOUNDS, seed=0)
    model, history = vae.train(beta, BOUNDS, SETTINGS, seed=0)
    return model, history, beta, family


def test_it_learns_to_reconstruct(trained):
    model, history, beta, _ = trained
    error = np.abs(model.decode(model.encode(beta)) - beta).mean()
    untrained = vae.TrajectoryVAE(40, BOUNDS, SETTINGS)
    assert error < 0.3 * np.abs(untrained.decode(untrained.encode(beta)) - beta).mean()
    assert history[-1] < 0.5 * history[0]


def test_families_lie_apart_in_latent_space(trained):
    model, _, beta, family = trained
    z = model.encode(beta)
    a, b = z[family == 0], z[family == 1]
    nearest = np.linalg.norm(z[:, None] - z[None], axis=-1)
    np.fill_diagonal(nearest, np.inf)
    assert (family[nearest.argmin(1)] == family).mean() > 0.9
    assert len(a) == len(b)


def test_same_seed_same_weights_and_global_randomness_untouched():
    beta, _ = families.sample(["constant"], 20, 10, BOUNDS, seed=0)
    settings = vae.TrajectoryVAESettings(hidden_dim=(8,), cycles=2)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, _ = vae.train(beta, BOUNDS, settings, seed=1)
    torch.testing.assert_close(torch.rand(3), expected)
    second, _ = vae.train(beta, BOUNDS, settings, seed=1)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_loss_is_the_negative_elbo():
    """One cycle, one batch, a learning rate of nothing: the loss by hand from the same noise."""
    beta, _ = families.sample(["segments"], 6, 10, BOUNDS, seed=0)
    settings = vae.TrajectoryVAESettings(
        hidden_dim=(8,), cycles=1, learning_rate=1e-30, batch_size=6
    )
    model, history = vae.train(beta, BOUNDS, settings, seed=2)
    torch.manual_seed(2)
    vae.TrajectoryVAE(10, BOUNDS, settings)
    x = (torch.tensor(beta) - BOUNDS[0]) / (BOUNDS[1] - BOUNDS[0])
    x = x[torch.randperm(6)]
    mean, sd = model(x)
    z = mean + sd * torch.randn_like(mean)
    normal = torch.distributions.Normal
    decoded = normal(model.decoder(z), settings.decoder_sigma)
    constant = normal(0.0, settings.decoder_sigma).log_prob(torch.zeros(()))
    reconstruction = -(decoded.log_prob(x) - constant).sum()
    kl = torch.distributions.kl_divergence(normal(mean, sd), normal(0.0, 1.0)).sum()
    assert history[0] == pytest.approx(((reconstruction + kl) / 6).item(), rel=1e-5)


def test_the_gradient_is_autograds():
    beta, _ = families.sample(["segments"], 6, 10, BOUNDS, seed=0)
    model = vae.TrajectoryVAE(10, BOUNDS, SETTINGS).double()
    x = model._scaled(beta).double()
    torch.manual_seed(3)
    mean, sd = model(x)
    z = mean + sd * torch.randn_like(mean)
    kl = (mean.square() + sd.square() - 1).sum() / 2 - sd.log().sum()
    loss = (model.decoder(z) - x).square().sum() / (2 * 0.3**2) + kl
    (loss / len(x)).backward()
    weights = perceptron.Flat(model)
    gradient = weights.zeros()
    layers, slopes = ([flat.layers(model, n) for n in vae.NETS] for flat in (weights, gradient))
    torch.manual_seed(3)
    found = vae._loss_and_gradient(layers, slopes, x, 0.3)
    assert found.item() == pytest.approx(loss.item(), rel=1e-9)
    for name, p in model.named_parameters():
        torch.testing.assert_close(gradient[name], p.grad, rtol=1e-9, atol=1e-9)


def test_restored_from_weights_it_decodes_the_same(trained):
    model = trained[0]
    weights = {name: w.numpy() for name, w in model.state_dict().items()}
    again = vae.restore(weights, BOUNDS, SETTINGS)
    z = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    np.testing.assert_array_equal(again.decode(z), model.decode(z))


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_space_covers_the_encoded_set_and_marks_the_infeasible(dimensions):
    torch.manual_seed(0)
    settings = vae.TrajectoryVAESettings(latent_dim=dimensions, hidden_dim=(8,))
    model = vae.TrajectoryVAE(12, BOUNDS, settings)
    with torch.no_grad():
        model.decoder[-1].bias.add_(0.8)  # above 0 here, below it there
    encoded = np.random.default_rng(0).normal(size=(30, dimensions)).astype(np.float32) * 3
    z, beta, feasible = space.search_space(model, encoded, 15, "positive", 0.0)
    assert len(z) == {1: 15, 2: 225, 3: 225}[dimensions]
    assert (z >= encoded.min(0) - 1e-5).all() and (z <= encoded.max(0) + 1e-5).all()
    np.testing.assert_array_equal(feasible, (beta > 0).all(1))
    assert 0 < feasible.sum() < len(z)


def test_constraints_by_hand():
    beta = np.array([[1, 2, 3], [0.4, 2, 3], [-0.1, 2, 3], [1, 2, 4.2]])
    assert space.positive(beta, (1, 4), 0.0).tolist() == [True, True, False, True]
    within = space.within_bounds
    assert within(beta, (1, 4), 0.0).tolist() == [True, False, False, False]
    assert within(beta, (1, 4), 0.2).tolist() == [True, True, False, True]
    assert within(beta, (1, 4), 9.0).tolist() == [True, True, False, True]  # never below 0


def test_no_feasible_point_says_what_to_do(trained, tmp_path, monkeypatch):
    (tmp_path / "constraints.py").write_text(
        "import numpy as np\n"
        "def never(beta, bounds, tolerance): return np.zeros(len(beta), bool)\n"
        "def wrong(beta, bounds, tolerance): return beta.min()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    model, _, beta, _ = trained
    encoded = model.encode(beta)
    with pytest.raises(InputError, match=r"space.constraint: .* none of the 25 .* loosen"):
        space.search_space(model, encoded, 5, "constraints:never", 0.0)
    with pytest.raises(InputError, match="expected one bool a trajectory"):
        space.search_space(model, encoded, 5, "constraints:wrong", 0.0)


BOTH = (BOUNDS, (0.05, 0.8))


def test_a_space_of_parameters_is_what_the_family_draws():
    """Points are quantiles, trajectories the family's; those of beta_d stand behind."""
    z, beta, feasible = space.parameter_space("late_cooldown", 12, BOTH, 8, "bounds", 0.0)
    assert z.shape == (64, 8) and beta.shape == (64, 2, 12) and feasible.all()
    for k, part in enumerate((z[:, :4], z[:, 4:])):
        drawn = families.of_quantiles("late_cooldown", part, 12, BOTH[k])
        np.testing.assert_array_equal(beta[:, k], drawn)
    cells = np.floor(z * 4).astype(int)  # a Sobol sequence: as many in each quarter of each side
    assert all((np.bincount(of) == 16).all() for of in cells.T)


@pytest.mark.parametrize(
    ("family", "dimensions", "points"), [("constant", 1, 8), ("warmup", 2, 64)]
)
def test_one_or_two_parameters_are_a_grid(family, dimensions, points):
    """As figures draw it."""
    z, _, _ = space.parameter_space(family, 12, BOUNDS, 8, "bounds", 0.0)
    assert z.shape == (points, dimensions)
    assert all(len(np.unique(of)) == 8 for of in z.T)


def test_a_family_without_chance_has_no_space_of_parameters(monkeypatch):
    def fixed(samples, cycles, bounds, rng):
        return np.full((samples, cycles), bounds[0])

    monkeypatch.setitem(families.FAMILIES, "fixed", fixed)
    with pytest.raises(InputError, match="'fixed' draws nothing but noise"):
        space.parameter_space("fixed", 12, BOUNDS, 8, "bounds", 0.0)


def test_each_channel_is_scaled_by_its_own_bounds_and_back():
    model = vae.TrajectoryVAE(7, BOTH, SETTINGS)
    low, high = (np.repeat([[of[end] for of in BOTH]], 7, 0).T[None] for end in (0, 1))
    assert model._scaled(low).tolist() == [[0] * 14]
    torch.testing.assert_close(model._scaled(high), torch.ones(1, 14))
    beta, _ = families.sample(["segments"], 5, 7, BOTH, seed=0)
    model.decoder = torch.nn.Identity()
    np.testing.assert_allclose(model.decode(model._scaled(beta)), beta, rtol=1e-5)


def test_one_latent_space_holds_both_channels_and_comes_back_from_a_file():
    """Two levels in two latents: each is found again, though their bounds lie 25 times apart."""
    beta, _ = families.sample(["constant"], 300, 10, BOTH, seed=0)
    model, _ = vae.train(beta, BOTH, SETTINGS, seed=0)
    z = model.encode(beta)
    decoded = model.decode(z)
    assert decoded.shape == beta.shape
    for channel in range(2):
        assert np.corrcoef(*(b[:, channel].mean(1) for b in (beta, decoded)))[0, 1] > 0.9
    weights = {name: w.numpy() for name, w in model.state_dict().items()}
    again = vae.restore(weights, BOTH, SETTINGS)
    np.testing.assert_array_equal(again.decode(z), decoded)


def test_the_constraint_has_to_hold_for_each_channel_with_its_bounds():
    torch.manual_seed(0)
    model = vae.TrajectoryVAE(6, BOTH, SETTINGS)
    with torch.no_grad():
        model.decoder[-1].bias.add_(0.2)
    encoded = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32) * 5
    z, beta, feasible = space.search_space(model, encoded, 15, "bounds", 0.05)
    assert beta.shape == (len(z), 2, 6)
    held = [space.within_bounds(beta[:, k], BOTH[k], 0.05) for k in range(2)]
    np.testing.assert_array_equal(feasible, held[0] & held[1])
    assert 0 < feasible.sum() < min(of.sum() for of in held)  # each forbids something


def test_in_the_logarithm_a_small_beta_is_told_as_finely_as_a_large_one():
    """Late cooldowns over two and a half decades come back at both ends; nothing is negative."""
    bounds = (0.05, 15.0)
    beta, _ = families.sample(["late_cooldown"], 600, 40, bounds, seed=0)
    error = {}
    for scale in ("linear", "log"):
        settings = vae.TrajectoryVAESettings(
            hidden_dim=(64, 64), learning_rate=0.003, cycles=60, scale=scale, decoder_sigma=0.1
        )
        model, _ = vae.train(beta, bounds, settings, seed=0)
        again = model.decode(model.encode(beta))
        error[scale] = np.median(np.abs(np.log(np.maximum(again, 1e-3) / beta))[:, -5:])
        restored = vae.restore(
            {name: w.numpy() for name, w in model.state_dict().items()}, bounds, settings
        )
        np.testing.assert_array_equal(restored.decode(model.encode(beta)), again)
        if scale == "log":
            assert (again > 0).all()
    assert error["log"] < 0.5 * error["linear"]
    assert error["log"] < 0.4
