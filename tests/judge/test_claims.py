"""The rules that judge the paper's claims, on scores made by hand."""

import csv
import importlib

import numpy as np
import pytest

from zbo.base import storage
from zbo.judge import claims
from zbo.judge.claims import HOLDS, NOT, PARTLY, UNKNOWN, Study
from zbo.judge.paper_claims import CLAIMS

FALLING, RISING = np.linspace(5, 1, 30), np.linspace(1, 5, 30)


def study(trials=50, stopped=True, optimum=FALLING, labels=3, **models):
    """A study whose models are given as {score: values of its seeds}."""
    scores = {
        name.replace("_", "-"): {
            score: np.array(of_model.get(score, [np.nan] * 5), float) for score in claims.SCORES
        }
        for name, of_model in models.items()
    }
    return Study(scores, optimum, (1.0, 5.0), trials, stopped, labels)


GOOD = {"accuracy": [0.80, 0.82, 0.81, 0.79, 0.83]}
FAIR = {"accuracy": [0.70, 0.73, 0.70, 0.70, 0.72]}


def verdict(rule, *of):
    return rule(*of).verdict


def test_a_comparison_holds_where_the_interval_of_paired_differences_is_on_one_side():
    one = study(**{"vanilla": FAIR, "beta-1": GOOD})
    assert verdict(claims.higher("accuracy", "beta-1", "vanilla"), one) == HOLDS
    assert verdict(claims.higher("accuracy", "vanilla", "beta-1"), one) == NOT
    assert verdict(claims.lower("accuracy", "vanilla", "beta-1"), one) == HOLDS
    noisy = {"accuracy": [0.9, 0.5, 0.9, 0.6, 0.8]}  # mean 0.74: above 0.71, seeds disagree
    unsure = study(**{"vanilla": FAIR, "beta-1": noisy})
    assert verdict(claims.higher("accuracy", "beta-1", "vanilla"), unsure) == PARTLY
    shifted = {"accuracy": [v + 0.01 for v in noisy["accuracy"]]}  # as noisy, but always better
    paired = study(**{"beta-1": noisy, "transfer": shifted})
    assert verdict(claims.higher("accuracy", "transfer", "beta-1"), paired) == HOLDS


def test_the_best_is_compared_with_the_one_that_comes_closest_but_not_the_control():
    of = study(**{"vanilla": {"accuracy": [0.1] * 5}, "beta-1": FAIR, "transfer": GOOD})
    assert verdict(claims.higher("accuracy", "transfer"), of) == HOLDS
    assert "(beta-1)" in claims.higher("accuracy", "transfer")(of).ours
    with_control = study(**{"constant": GOOD, "beta-1": {"accuracy": [0.1] * 5}, "transfer": FAIR})
    assert verdict(claims.higher("accuracy", "transfer"), with_control) == HOLDS
    assert verdict(claims.higher("accuracy", "transfer", "constant"), with_control) == NOT
    assert verdict(claims.lower("accuracy", "beta-1"), with_control) == HOLDS
    warmed = study(**{"warmup": GOOD, "beta-1": {"accuracy": [0.1] * 5}, "transfer": FAIR})
    assert verdict(claims.higher("accuracy", "transfer"), warmed) == HOLDS


def test_factors_that_carry_enough_in_every_seed_or_in_some():
    rule = claims.carries("transfer", least=2)
    for factors, expected in (([2.0, 3.5], HOLDS), ([1.9, 3.5], PARTLY), ([0.0, 0.1], NOT)):
        assert verdict(rule, study(transfer={"factors": factors})) == expected
    assert "1 of 2 seeds" in rule(study(transfer={"factors": [1.9, 3.5]})).ours
    assert verdict(rule, study(transfer=GOOD)) == UNKNOWN


def test_a_failed_seed_is_left_out_and_a_missing_model_is_said_to_be():
    failed = {"accuracy": [np.nan, *GOOD["accuracy"][1:]]}
    of = study(**{"vanilla": FAIR, "beta-1": failed})
    assert verdict(claims.higher("accuracy", "beta-1", "vanilla"), of) == HOLDS
    all_failed = study(**{"vanilla": {}, "beta-1": GOOD, "transfer": FAIR})
    assert "(transfer)" in claims.higher("accuracy", "beta-1")(all_failed).ours
    assert verdict(claims.higher("accuracy", "beta-1", "vanilla"), all_failed) == UNKNOWN
    assert verdict(claims.extracts("vanilla", 3), all_failed) == UNKNOWN
    missing = claims.higher("accuracy", "transfer", "vanilla")(of)
    assert missing == claims.Finding("no model transfer is compared", UNKNOWN)


@pytest.mark.parametrize(
    ("extracted", "least", "most", "expected"),
    [
        ([3, 3, 3, 3, 3], 3, None, HOLDS),
        ([3, 3, 2, 3, 3], 3, None, PARTLY),
        ([1, 2, 2, 1, 0], 3, None, NOT),
        ([1, 2, 2, 1, 0], 0, 2, HOLDS),
        ([2, 2, 2, 2, 1], 2, 2, PARTLY),
    ],
)
def test_labels_are_counted_seed_by_seed(extracted, least, most, expected):
    of = study(vanilla={"extracted": extracted})
    assert verdict(claims.extracts("vanilla", least, most), of) == expected


def test_only_one_model_extracts_everything():
    every, some, none = ({"extracted": e} for e in ([3] * 5, [3, 2, 2, 2, 2], [2] * 5))
    rule = claims.only("transfer")
    assert verdict(rule, study(transfer=every, vanilla=none, constant=every)) == HOLDS
    assert verdict(rule, study(transfer=every, vanilla=some)) == PARTLY
    assert verdict(rule, study(transfer=some, vanilla=none)) == PARTLY
    assert verdict(rule, study(transfer=every, vanilla=every)) == NOT
    assert verdict(rule, study(transfer=none, vanilla=none)) == NOT
    assert verdict(rule, study(transfer=every, vanilla={})) == HOLDS


def test_mixing_is_the_share_outside_the_majority():
    of = study(vanilla={"purity": [0.99, 0.96, 0.97, 0.98, 1.0]}, vae={"purity": [0.9, 0.97, 1]})
    assert verdict(claims.mixes("vanilla", negligibly=True), of) == HOLDS
    assert verdict(claims.mixes("vanilla", negligibly=False), of) == NOT
    assert verdict(claims.mixes("vae", negligibly=True), of) == PARTLY


def test_an_early_stop_is_one_by_the_stopping_rule():
    rule = claims.stops_before(100)
    assert verdict(rule, study(trials=80, stopped=True)) == HOLDS
    assert verdict(rule, study(trials=120, stopped=True)) == NOT
    assert verdict(rule, study(trials=120, stopped=False)) == NOT
    assert verdict(rule, study(trials=30, stopped=False)) == UNKNOWN


def test_rank_correlation_by_hand():
    x = np.arange(8.0)
    assert claims.rank_correlation(np.stack([x, x**3]).reshape(2, 4, 2).swapaxes(0, 1))[0] == 1
    y = np.array([1.0, 0, 3, 2, 5, 4, 7, 6])  # 8 differences of 1: 1 - 6 * 8 / (8 * 63)
    models = [np.stack([x[i : i + 2], y[i : i + 2]]) for i in range(0, 8, 2)]
    models[0] = np.append(models[0], [[np.nan], [3]], axis=1)
    rho, low, high = claims.rank_correlation(models)
    assert rho == pytest.approx(1 - 48 / 504)
    assert low < rho <= high <= 1
    assert np.isnan(claims.rank_correlation(models[:3])).tolist() == [False, True, True]
    assert np.isnan(claims.rank_correlation([np.ones((2, 9))] * 4)).all()


def test_many_seeds_of_few_models_tell_little():
    """One model of four lies apart from the rest: without it nothing is left of the correlation."""
    rng = np.random.default_rng(0)
    models = [place + rng.normal(size=(2, 30)) for place in (0, 0, 0, 5)]
    rho, low, _ = claims.rank_correlation(models)
    assert low < 0.05 < 0.3 < rho


def test_an_objective_that_ranks_models_wrongly_does_not_hold():
    names = ("beta-1", "beta-0.01", "constant", "transfer")

    def models(slope):
        l1 = np.arange(4)[:, None] + np.array([0, 0.1, 0.2, 0.3, 0.4])
        return {n: {"l1": x, "accuracy": 0.5 + slope * x} for n, x in zip(names, l1, strict=True)}

    rising, falling = models(0.1), models(-0.1)
    assert verdict(claims.follows("l1"), study(**rising)) == HOLDS
    assert verdict(claims.follows("l1"), study(**falling)) == NOT
    # A model without classes has nothing between classes: it does not count.
    without = {"vanilla": rising["transfer"], "vae": rising["beta-1"]}
    assert verdict(claims.follows("l1"), study(**falling, **without)) == NOT
    rising.pop("transfer")
    assert verdict(claims.follows("l1"), study(**rising, **without)) == UNKNOWN


def test_shapes_of_optima():
    assert verdict(claims.cools(), study(optimum=FALLING)) == HOLDS
    assert verdict(claims.cools(), study(optimum=RISING)) == NOT
    assert verdict(claims.differs(), study(optimum=RISING), study(optimum=FALLING)) == HOLDS
    assert verdict(claims.differs(), study(optimum=FALLING), study(optimum=FALLING)) == NOT
    # Half the range apart, but of the same shape.
    lower = study(optimum=np.linspace(3, 1, 77))
    assert verdict(claims.differs(), study(optimum=FALLING), lower) == PARTLY


def test_a_gain_is_compared_between_studies():
    large = study(**{"transfer": GOOD, "vanilla": FAIR})
    small = study(**{"transfer": FAIR, "vanilla": FAIR})
    rule = claims.gains_more("accuracy", "transfer", "vanilla")
    assert verdict(rule, large, small) == HOLDS
    assert verdict(rule, small, large) == NOT


@pytest.fixture
def results(tmp_path):
    """Files of three finished studies, as the workflow leaves them."""
    for name in ("mnist-reduced", "nanoparticles-3", "nanoparticles-7"):
        folder = tmp_path / name
        folder.mkdir()
        models = ["vanilla", "beta-1", "constant", "optimum"]
        if name.startswith("nano"):
            models += ["vae", "beta-0.01", "transfer"]
        rng = np.random.default_rng(0)
        columns = ["model", "replicate", *claims.SCORES]
        with open(folder / "scores.csv", "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(columns)
            for model in models:
                for seed in range(5):
                    table.writerow([model, seed, *rng.random(len(claims.SCORES)).round(3)])
        best = {"beta": FALLING[None], "trials": 33, "stop": "budget of iterations spent"}
        storage.write(folder / "optimum.h5", best, kind="candidates")
        bounds = {"trajectories": {"bounds": [1, 5]}}
        storage.write(folder / "space.h5", {"z": np.zeros((1, 2))}, kind="space", settings=bounds)
        source = {"source": name.partition("-")[0]}
        storage.write(
            folder / "images.h5",
            {"images": np.zeros((9, 8, 8)), "labels": np.arange(9) % 3, "simulated": True},
            kind="images",
            settings={"images": source},
        )
    return tmp_path


def files(folder, name):
    return [
        str(folder / of / name) for of in ("mnist-reduced", "nanoparticles-3", "nanoparticles-7")
    ]


def test_every_claim_gets_a_row_with_its_verdict_and_what_it_is_of(results):
    importlib.import_module("judge_claims").main(
        [
            *("--scores", *files(results, "scores.csv")),
            *("--optima", *files(results, "optimum.h5")),
            *("--spaces", *files(results, "space.h5")),
            *("--images", *files(results, "images.h5")),
            *("--output", str(results / "claims.csv"), str(results / "claims.html")),
        ]
    )
    with open(results / "claims.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(CLAIMS)
    assert {row["verdict"] for row in rows} <= {HOLDS, PARTLY, NOT, UNKNOWN}
    assert not [row for row in rows if "is compared" in row["ours"]]  # every model is there
    early = [row for row in rows if "before 100" in row["claim"]]
    assert [row["verdict"] for row in early] == [UNKNOWN] * 2
    assert rows[0]["images"] == "MNIST, 9 of 8 x 8, reduced scale"
    assert rows[-1]["images"] == "simulated, 9 of 8 x 8, paper's scale"
    page = (results / "claims.html").read_text()
    assert page.count('<td class="verdict') == len(CLAIMS)
    assert "http" not in page  # nothing is fetched


def test_the_objective_is_drawn_against_accuracy(results):
    out = [str(results / f"objective.{suffix}") for suffix in ("pdf", "png")]
    figure = importlib.import_module("figures.objective")
    figure.main(["--scores", *files(results, "scores.csv"), "--output", *out])
    assert (results / "objective.png").read_bytes().startswith(b"\x89PNG")
