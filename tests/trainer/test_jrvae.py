"""jrvae: building leaves no trace, weights go both ways, manifolds are pyroVED's."""

import numpy as np
import pyro
import pytest
import torch
from made_model import SHAPE, shaken, small, some_images

from zbo.trainer import jrvae
from zbo.trainer.pyroved import pyroved


def test_build_leaves_no_trace():
    store, cudnn = pyro.get_param_store(), torch.backends.cudnn
    with store.scope():
        mine = pyro.param("mine", torch.ones(2))
        state, flags = torch.get_rng_state(), (cudnn.deterministic, cudnn.benchmark)
        first = jrvae.build(small(), seed=3)
        assert torch.equal(torch.get_rng_state(), state)
        assert (cudnn.deterministic, cudnn.benchmark) == flags
        assert list(store.keys()) == ["mine"] and pyro.param("mine") is mine
    again, other = jrvae.build(small(), seed=3), jrvae.build(small(), seed=4)
    a, b, c = (jrvae.weights(m)["encoder_z.fc11.weight"] for m in (first, again, other))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    assert first.settings == small()


@pytest.mark.parametrize("classes, kind", [(3, "jiVAE"), (0, "iVAE")])
def test_weights_go_both_ways(classes, kind, tmp_path, monkeypatch):
    # pyroVED moves what it encodes to any GPU there is, wherever its model lies
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    settings = small(classes)
    model = shaken(settings)
    images = torch.from_numpy(some_images())
    ours = jrvae.encode(model, images, batch_size=3)

    torch.save(model.state_dict(), tmp_path / "ours.pt")
    options = {"hidden_dim_e": [16, 24], "hidden_dim_d": [16, 24], "device": "cpu"}
    options |= {"discrete_dim": classes} if classes else {}
    with pyro.get_param_store().scope(), torch.random.fork_rng():
        theirs = getattr(pyroved.models, kind)(SHAPE, latent_dim=2, invariances=["r"], **options)
        theirs.load_weights(str(tmp_path / "ours.pt"))
        encoded = theirs.encode(images, logits=True) if classes else theirs.encode(images)
        np.testing.assert_allclose(ours.z_mean, encoded[0].numpy(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(ours.z_sd, encoded[1].numpy(), rtol=1e-5, atol=1e-6)
        if classes:
            np.testing.assert_allclose(ours.probabilities, encoded[2].numpy(), atol=1e-6)
        theirs.save_weights(str(tmp_path / "theirs"))
    assert ours.probabilities.shape == (7, classes)

    saved = torch.load(tmp_path / "theirs.pt")
    back = jrvae.load_weights(jrvae.build(settings, 9), {k: v.numpy() for k, v in saved.items()})
    np.testing.assert_array_equal(jrvae.encode(back, images, 3).z_mean, ours.z_mean)
    again = jrvae.load_weights(jrvae.build(settings, 9), jrvae.weights(model))
    np.testing.assert_array_equal(jrvae.encode(again, images, 3).z_mean, ours.z_mean)
    with pytest.raises(ValueError, match="not of this model"):
        jrvae.load_weights(jrvae.build(small(classes + 1), 9), jrvae.weights(model))


@pytest.mark.parametrize("invariances", [(), ("r",), ("r", "t")])
@pytest.mark.parametrize("classes", [0, 1, 3])
def test_manifolds_are_pyroveds(classes, invariances, monkeypatch):
    monkeypatch.setattr(jrvae, "_DECODE_ROWS", 100)  # several slices, none ending with a class
    model = shaken(small(classes, invariances=invariances))
    ours = jrvae.manifolds(model, grid=4)
    assert ours.shape == (max(classes, 1), 4, 4, *SHAPE) and ours.dtype == np.float32
    for k in range(max(classes, 1)):
        which = {"disc_idx": k} if classes else {}
        theirs = model.manifold2d(4, plot=False, **which).view(4, 4, *SHAPE)
        np.testing.assert_allclose(ours[k], theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_traversal_moves_one_latent_at_a_time():
    model = shaken(small(3, latent_dim=3))
    images = jrvae.traversal(model, steps=5)
    assert images.shape == (3, 3, 5, *SHAPE)
    for latent in range(3):  # the middle step is the origin, whichever latent moves
        np.testing.assert_allclose(images[latent, :, 2], images[0, :, 2], rtol=1e-6)
        for k in range(3):
            z = torch.zeros(1, 3)
            z[0, latent] = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(0.95))
            expected = model.decode(z, torch.eye(3)[k : k + 1])[0]
            np.testing.assert_allclose(images[latent, k, 0], expected.numpy(), rtol=1e-5)
    # further latents than two stay at 0 on a manifold
    assert jrvae.manifolds(model, 3)[:, 1, 1] == pytest.approx(images[0, :, 2], rel=1e-5)
