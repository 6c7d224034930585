"""The measuring ground: what it looks at, and when."""

import json

import numpy as np
import pytest
import torch
from made_model import some_images

import collect_ground
import measure_ground
from zbo.base import config, storage
from zbo.base.errors import InputError
from zbo.base.objectives import OBJECTIVES
from zbo.judge import scores
from zbo.rivals import ground, population, replay
from zbo.search import evaluation, objective
from zbo.trainer import jrvae, training

CYCLES = 6


@pytest.fixture
def settings():
    of = config.load("test")
    of["trajectories"]["cycles"] = CYCLES
    return of


@pytest.fixture
def images():
    return {
        "images": some_images(40, (8, 8)),
        "labels": np.arange(40) % 3,
        "subset": np.arange(30),
    }


def test_a_look_sees_the_model_as_it_is_then(settings, images):
    """A look halfway is what a training along half the trajectory ends with."""
    beta = np.geomspace(0.05, 1, CYCLES)
    measures, last = ground.measure(settings, images, beta, 5, [3, CYCLES])
    network = jrvae.build(evaluation.model_settings(settings["model"], (8, 8)), 5)
    training.train(
        network,
        images["images"][:30],
        beta[:3],
        np.full(3, settings["trajectories"]["beta_d"]),
        training.TrainingSettings(**settings["training"]),
        5,
    )
    scoring = objective.ObjectiveSettings(**settings["objective"])
    half = ground.look(network, images, scoring).measures
    for name, value in half.items():
        assert measures[name][0] == pytest.approx(value, rel=1e-6), name
    assert measures["reconstruction"][1] < measures["reconstruction"][0]
    assert not np.array_equal(last.manifolds, jrvae.manifolds(network, scoring.grid))
    assert set(measures) == set(ground.MEASURES)


def test_what_a_search_may_see_is_the_subset(settings, images):
    """Another image outside the subset moves label scores alone."""
    beta = np.full(CYCLES, 0.3)
    before, _ = ground.measure(settings, images, beta, 1, [CYCLES])
    other = {**images, "images": images["images"].copy(), "labels": images["labels"][::-1]}
    other["images"][30:] = 1 - other["images"][30:]
    after, _ = ground.measure(settings, other, beta, 1, [CYCLES])
    for name in set(ground.MEASURES) - set(scores.LABEL_SCORES):
        assert before[name] == after[name], name
    assert any(before[name] != after[name] for name in scores.LABEL_SCORES)


def test_without_classes_what_is_about_classes_is_unknown(settings, images):
    """The rest can be searched for and judged: the evidence lower bound, and clusters by labels."""
    settings["model"]["classes"] = 0
    measures, _ = ground.measure(settings, images, np.full(CYCLES, 0.3), 1, [CYCLES])
    assert set(measures) == set(ground.MEASURES)
    unknown = {name for name, values in measures.items() if np.isnan(values).any()}
    assert unknown == {"l1", "l2", "information", "usage", "ambiguity", "confidence"}
    assert np.isfinite(OBJECTIVES["elbo"](measures)).all()


def test_a_ground_without_classes_is_collected(settings, images, tmp_path):
    settings["model"]["classes"] = 0
    beta = np.full((2, CYCLES), 0.3)
    design = {
        "z": np.zeros((2, 2)),
        "beta": beta,
        "constant": np.array([False, True]),
        "repeats": np.array([1, 1]),
    }
    storage.write(tmp_path / "images.h5", images, kind="images")
    storage.write(tmp_path / "design.h5", design, kind="candidates")
    given = ["--settings", json.dumps(settings)]
    given += [f"--{name}={tmp_path / name}.h5" for name in ("images", "design")]
    measure_ground.main([*given, "--block=0", f"--output={tmp_path / '0.h5'}"])
    table = str(tmp_path / "ground.h5")
    collect_ground.main([*given, f"--blocks={tmp_path / '0.h5'}", f"--output={table}"])
    found = replay.load(table).at()
    assert np.isnan(found["agreement"]).all()
    assert np.isfinite(OBJECTIVES["elbo"](found)).all()


def test_a_training_that_diverges_says_so(settings, images):
    beta = np.full(CYCLES, 1e30)
    with pytest.raises(training.TrainingDiverged):
        ground.measure(settings, images, beta * 1e30, 1, [CYCLES])


def test_a_population_passes_on_weights_and_trajectory(settings, images):
    """Members that are judged best when β is small: their β spreads."""
    seen = images["images"][:30]
    low, high = settings["trajectories"]["bounds"]
    seeds = list(range(8))
    first = {}

    def judge(network):
        seed = next(s for s, n in first.items() if n is network)
        return -float(seed)  # seed 0 is always best

    class Recorded(training.Training):
        def __init__(self, model, *arguments):
            first[arguments[-1]] = model
            super().__init__(model, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(population.training, "Training", Recorded)
        _, beta, values = population.train(settings, seen, seeds, judge, np.random.default_rng(0))
    assert values.tolist() == [-float(s) for s in seeds]
    assert beta.shape == (8, CYCLES) and beta.min() >= low and beta.max() <= high
    # The worst members began again from the best ones' past and went on with another β.
    assert beta[7, 0] in beta[:2, 0] and beta[6, 0] in beta[:2, 0]
    assert beta[7, -1] != beta[7, 0]
    assert np.unique(beta[:2]).size == 2  # the best are left alone


def test_a_member_that_diverges_is_replaced_and_a_lost_population_named(settings, images):
    class Broken(training.Training):
        broken = (3,)

        def train_to(self, cycle):
            if self.cycle == 0 and self.generator.initial_seed() in self.broken:
                self.adam.weights.fill_(np.nan)
            super().train_to(cycle)

    def trained():
        return population.train(
            settings, images["images"][:30], list(range(8)), lambda _: 1.0, np.random.default_rng(0)
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(population.training, "Training", Broken)
        networks, _, values = trained()
        assert values.tolist() == [1] * 8
        assert all(torch.isfinite(w).all() for net in networks for w in net.parameters())
        Broken.broken = range(8)
        with pytest.raises(InputError, match="the whole population has diverged by cycle"):
            trained()


def test_a_training_continues_from_another_s_past(settings, images):
    seen = images["images"][:30]
    model = evaluation.model_settings(settings["model"], (8, 8))
    schedule = training.TrainingSettings(**settings["training"])

    def begin(seed, beta):
        line = np.full(CYCLES, beta)
        return training.Training(jrvae.build(model, seed), seen, line, line, schedule, seed)

    one, other = begin(0, 0.1), begin(1, 0.9)
    for each in (one, other):
        with training.surroundings([each]):
            each.train_to(2)
    other.continue_from(one)
    assert other.history().loss[:2].tolist() == one.history().loss[:2].tolist()
    other.beta[2:] = 0.1
    with training.surroundings([one, other]):
        one.train_to(3)
        other.train_to(3)
    # The same weights and β, another order and noise.
    assert other.history().loss[2] == pytest.approx(one.history().loss[2], rel=0.2)
    assert other.history().loss[2] != one.history().loss[2]
    with pytest.raises(ValueError, match="same cycle"):
        other.continue_from(begin(2, 0.1))


def test_agreement_is_with_what_others_find():
    """Five trainings find the same classes under other names, one finds none of it."""
    rng = np.random.default_rng(0)
    classes = np.arange(60) % 3
    found = np.stack([rng.permutation(3)[classes] for _ in range(5)] + [np.arange(60) // 20])
    agreed = ground.agreement(found, rng)
    assert agreed[:5] == pytest.approx(agreed[0])
    assert agreed[0] > 0.7 > 0.1 > agreed[5]
