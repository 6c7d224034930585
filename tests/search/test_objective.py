"""SSIM, ℓ1 and ℓ2: equal to scikit-image, right by hand, and with the invariants of table 2."""

import itertools

import numpy as np
import pytest
import torch
from conftest import on_gpu
from skimage.metrics import structural_similarity

from zbo.base.errors import InputError
from zbo.base.objectives import OF_STUDY
from zbo.search import objective
from zbo.search.objective import Learned, ObjectiveSettings

SETTINGS = ObjectiveSettings()


def manifolds(classes=3, grid=3, shape=(9, 8), seed=0):
    return torch.rand(
        classes, grid, grid, *shape, generator=torch.Generator().manual_seed(seed)
    ).double()


def score(phi, settings, probabilities=None):
    """Score manifolds; what else a training gives is even where a test does not care."""
    k = len(phi)
    q = np.full((6, k), 1 / k) if probabilities is None else np.asarray(probabilities)
    return objective.score(learned(phi, q), settings)


def learned(phi, q, **terms):
    terms = {"reconstruction": 1.0, "kl_c": 0.0, "kl_d": 0.0, "latents": 2} | terms
    z = {"z_mean": np.zeros((len(q), 3)), "z_sd": np.ones((len(q), 3))}
    return Learned(phi.numpy(), q, **(z | terms))


def loss(x, y):
    return min(max((1 - float(objective.ssim(x, y, SETTINGS))) / 2, 0), 1)


def test_ssim_equals_scikit_image():
    """Its Gaussian window for sigma 1.5 is 11 pixels wide."""
    settings = ObjectiveSettings(window=11, sigma=1.5)
    rng = np.random.default_rng(0)
    for _ in range(5):
        x, y = rng.random((2, 23, 19)).astype(np.float32)
        expected = structural_similarity(
            x, y, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        found = objective.ssim(torch.tensor(x), torch.tensor(y), settings)
        assert float(found) == pytest.approx(expected, abs=1e-5)


def test_ssim_of_equal_and_of_flat_images_by_hand():
    x = torch.rand(8, 8)
    assert float(objective.ssim(x, x, SETTINGS)) == pytest.approx(1)
    black, grey = torch.zeros(8, 8), torch.full((8, 8), 0.5)
    by_hand = objective.C1 / (0.25 + objective.C1)  # no variance: the luminance term alone
    assert float(objective.ssim(black, grey, SETTINGS)) == pytest.approx(by_hand, rel=1e-4)


def test_l1_is_the_sum_over_pairs_of_classes_image_by_image():
    phi = manifolds()
    by_hand = sum(
        np.mean([loss(phi[i, a, b], phi[j, a, b]) for a in range(3) for b in range(3)])
        for i, j in itertools.combinations(range(3), 2)
    )
    assert objective.between_classes(phi, SETTINGS) == pytest.approx(by_hand, rel=1e-9)


def test_l2_is_the_mean_over_distinct_pairs_summed_over_classes():
    """With more pairs asked for than there are, it is the mean over all of them."""
    phi = manifolds(grid=2)
    by_hand = sum(
        np.mean([loss(x, y) for x, y in itertools.combinations(of_class.flatten(0, 1), 2)])
        for of_class in phi
    )
    assert objective.within_classes(phi, SETTINGS) == pytest.approx(by_hand, rel=1e-9)


@on_gpu
def test_a_gpu_scores_alike():
    phi = manifolds(classes=4, grid=5, shape=(28, 28)).float()
    for measure in (objective.between_classes, objective.within_classes):
        assert measure(phi.cuda(), SETTINGS) == pytest.approx(measure(phi, SETTINGS), rel=1e-5)


def test_pairs_are_distinct_and_never_of_an_image_with_itself():
    first, second = objective.random_pairs(144, 1000)
    assert len(first) == 1000
    assert (first < second).all()
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == 1000


def test_collapsed_models_score_zero():
    one = torch.rand(8, 8)
    same_everywhere = one.expand(4, 3, 3, 8, 8)
    found = score(same_everywhere, SETTINGS)
    assert found.l1 == pytest.approx(0, abs=1e-6)
    assert found.l2 == pytest.approx(0, abs=1e-6)


def test_order_of_classes_does_not_matter():
    phi = manifolds()
    for name in ("l1", "l1-l2"):
        settings = ObjectiveSettings(name=name)
        forth, back = score(phi, settings), score(phi.flip(0), settings)
        assert forth.objective == pytest.approx(back.objective, rel=1e-12)


def test_bounds():
    found = score(manifolds(classes=4), SETTINGS)
    assert 0 < found.l1 <= 6
    assert 0 < found.l2 <= 4


def test_objectives_by_name_and_ones_own(tmp_path, monkeypatch):
    phi = manifolds()
    plain, both = score(phi, SETTINGS), score(phi, ObjectiveSettings(name="l1-l2"))
    assert plain.objective == plain.l1
    assert both.objective == plain.l1 - plain.l2
    (tmp_path / "own.py").write_text(
        "def brightness(learned, settings): return learned.manifolds.mean()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = score(phi, ObjectiveSettings(name="own:brightness"))
    assert own.objective == pytest.approx(float(phi.mean()))
    known = "l1, l1-l2, information, factors, elbo"
    with pytest.raises(InputError, match=f"no objective 'l3'; choose from {known}, or"):
        score(phi, ObjectiveSettings(name="l3"))


@pytest.mark.parametrize(
    ("returned", "said"), [("None", "NoneType None"), ("learned.manifolds", r"ndarray array\(")]
)
def test_an_objective_of_ones_own_that_is_no_number_is_named(tmp_path, monkeypatch, returned, said):
    module = f"own_{returned.partition('.')[0]}"
    (tmp_path / f"{module}.py").write_text(f"def odd(learned, settings): return {returned}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=f"objective.name: '{module}:odd' returned {said}"):
        score(manifolds(), ObjectiveSettings(name=f"{module}:odd"))


def without_classes(name, **terms):
    seen = learned(manifolds(classes=1), np.empty((6, 0)), **terms)
    return objective.score(seen, ObjectiveSettings(name=name))


def test_the_evidence_lower_bound_by_hand():
    """Every term counts once, whatever the trajectory made of them, with classes or without."""
    terms = {"reconstruction": 10.0, "kl_c": 2.5, "kl_d": 0.25}
    assert without_classes("elbo", **terms).objective == -12.75
    seen = learned(manifolds(), np.full((6, 3), 1 / 3), **terms)
    found = objective.score(seen, ObjectiveSettings(name="elbo"))
    assert found.objective == -12.75
    assert found.l1 == score(manifolds(), SETTINGS).l1  # the parts are told all the same


@pytest.mark.parametrize("name", OF_STUDY)
def test_without_classes_what_is_about_classes_is_unknown(name):
    found = without_classes(name)
    assert np.isnan([found.l1, found.l2, found.information]).all()
    assert np.isnan(found.objective) == OF_STUDY[name].about_classes


def test_information_by_hand():
    """Sure and even: log K. Sure of one class, or sure of nothing: 0. Half sure: in between."""
    phi, information = manifolds(classes=2), ObjectiveSettings(name="information")
    for q, expected in [
        ([[1, 0], [0, 1]], np.log(2)),
        ([[1, 0], [1, 0]], 0),
        ([[0.5, 0.5], [0.5, 0.5]], 0),
        ([[0.75, 0.25], [0.25, 0.75]], np.log(2) + 0.75 * np.log(0.75) + 0.25 * np.log(0.25)),
    ]:
        assert score(phi, information, q).objective == pytest.approx(expected, abs=1e-12)


def test_a_window_larger_than_the_images_is_refused():
    with pytest.raises(InputError, match=r"objective.window: 5 pixels .* 4 x 9"):
        score(manifolds(shape=(4, 9)), SETTINGS)


def test_factors_by_hand_without_the_angle():
    """KL of N(m, s) to N(0, 1) is (m^2 + s^2 - 1) / 2 - log s; the first column is an angle."""
    z = {
        "z_mean": np.array([[9.0, 2.0, 0.0], [9.0, -2.0, 0.0]]),
        "z_sd": np.array([[0.001, 1.0, 1.0], [0.001, 1.0, 1.0]]),
    }
    seen = learned(manifolds(), np.full((2, 3), 1 / 3), **z)
    np.testing.assert_allclose(objective.nats(*(at[:, 1:] for at in z.values())), [2.0, 0.0])
    found = objective.score(seen, ObjectiveSettings(name="factors"))
    assert found.objective == found.factors == 2.0
    assert found.active == 1  # the second never moves


def test_several_objectives_are_told_in_the_order_named():
    seen = learned(manifolds(), np.eye(3)[[0, 1, 2, 0, 1, 2]], reconstruction=7.0)
    settings = ObjectiveSettings(name=["information", "elbo"], at_least={"factors": 1})
    found = objective.score(seen, settings)
    assert settings.names == ("information", "elbo", "factors")
    assert settings.floors == (None, None, 1)
    np.testing.assert_allclose(found.objectives, (np.log(3), -7.0, 0.0))
    assert found.objective == found.objectives[0]


def test_a_floor_alone_and_an_unknown_one_are_refused():
    with pytest.raises(InputError, match="nothing is left to maximize"):
        ObjectiveSettings(name="factors", at_least={"factors": 1})
    with pytest.raises(InputError, match=r"objective\.at_least: there is no objective 'factor'"):
        score(manifolds(), ObjectiveSettings(name="l1", at_least={"factor": 1}))
