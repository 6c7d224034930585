"""Replayed searches: the table they read, which seeds they see, who judges them, what they cost."""

import csv

import numpy as np
import pytest

import compare_searches
import rank_objectives
from zbo.base import storage
from zbo.base.errors import InputError
from zbo.base.objectives import OBJECTIVES
from zbo.rivals import ground, replay
from zbo.rivals.arena import Belief
from zbo.rivals.searches import lottery


@pytest.fixture
def table(tmp_path):
    """A ground whose accuracy peaks at z = 0, with l1 its noisy sight of it."""
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.uniform(-1, 1, (60, 2)), [[2, 2], [3, 3]]])
    repeats = np.array([4] * 60 + [10, 10])
    pairs = np.array(ground.rows(repeats))
    accuracy = 1 - np.square(z).sum(1)[pairs[:, 0]]
    noise = rng.normal(0, 0.1, (len(pairs), 5))
    path = tmp_path / "ground.h5"
    rows = {
        "trajectory": pairs[:, 0],
        "repeat": pairs[:, 1],
        "seed": np.arange(len(pairs)),
        "seconds": np.ones(len(pairs)),
        "accuracy": np.repeat(accuracy[:, None], 5, 1),
        "l1": accuracy[:, None] + noise,
    }
    for name in (
        "l2",
        "information",
        "usage",
        "confidence",
        "agreement",
        "reconstruction",
        "kl_c",
        "kl_d",
    ):
        rows[name] = rng.normal(size=(len(pairs), 5))
    storage.write(
        path,
        {
            "z": z,
            "beta": np.repeat(np.linspace(0.1, 2, 62)[:, None], 7, 1),
            "constant": np.arange(62) >= 60,
            "repeats": repeats,
            "unit_beta": 0.1,
            "cycles": np.arange(1, 6),
            **{f"rows/{name}": values for name, values in rows.items()},
        },
        kind="ground table",
        settings={"trajectories": {"bounds": [0.1, 2.0], "families": ["constant"]}},
    )
    return path


def test_rows_take_each_trajectory_once_before_any_twice():
    assert ground.rows(np.array([1, 3, 2])) == [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1), (1, 2)]


def test_fifths_end_with_the_last_cycle():
    assert ground.checkpoints(50) == [10, 20, 30, 40, 50]
    assert ground.checkpoints(4) == [1, 2, 3, 4]


def arena(table, objective=OBJECTIVES["l1"], **options):
    return replay.Replay(replay.load(table), objective, np.random.default_rng(0), **options)


def test_what_judges_was_not_seen(table):
    numbered = np.arange(62 * 10, dtype=float).reshape(62, 10)  # each training its own number
    one = arena(table, lambda of: numbered)
    beta = one.ground.beta[7]
    seen = {int(one.train(beta)) for _ in range(9)}
    assert len(seen) == 2
    unseen = set(range(70, 74)) - seen
    assert one.judge(numbered, beta) == np.mean(list(unseen))


def test_a_training_given_up_costs_what_was_trained(table):
    one = arena(table)
    beta = one.ground.beta[7]
    told = []
    assert np.isnan(one.train_while(beta, 2, lambda early: told.append(early)))
    assert told == [one.objective[*one.trained[0], 2]]
    assert one.spent == pytest.approx(3 / 5)
    assert one.train_while(beta, 2, lambda early: True) == one.objective[*one.trained[1], -1]
    assert one.spent == pytest.approx(8 / 5)


def test_a_trajectory_not_in_the_table_stands_for_the_nearest_in_log_beta(table):
    one = arena(table)
    loaded = one.ground
    between = np.sqrt(loaded.beta[3] * loaded.beta[4])  # halfway in the logarithm
    assert one.nearest(between * 1.001) == 4
    assert one.nearest(between / 1.001) == 3


def test_a_lottery_keeps_its_luckiest_seed(table):
    one = arena(table, split=False)
    beta = one.ground.beta[61]
    told = Belief(beta[None], np.zeros(1))
    assert [b.best.tolist() for b in lottery(told)(one, 10)] == [beta.tolist()] * 10
    assert sorted(one.trained) == [(61, repeat) for repeat in range(10)]
    assert one.values[one.best] == np.nanmax(one.objective[61, :, -1])


def test_searching_beats_chance_where_there_is_something_to_find(table, tmp_path):
    out = tmp_path / "searches.csv"
    arguments = f"--settings digits --ground {table} --budget 20 --replays 6 --output {out}"
    compare_searches.main([*arguments.split(), "--searches", "random", "zbo"])
    rows = [row for row in csv.DictReader(out.open()) if row["trainings"] == "20"]
    found = {row["search"]: float(row["recommended"]) for row in rows}
    assert found["zbo"] > found["random"]
    # The lottery sees every seed, a search that is judged does not.
    compare_searches.main([*arguments.split(), "--searches", "lottery"])
    rows = list(csv.DictReader(out.open()))
    assert [int(row["trainings"]) for row in rows] == list(range(1, 11))  # as many as it has
    assert len({row["recommended"] for row in rows}) == 1


def test_two_objectives_are_judged_at_each_floor(table, tmp_path):
    out = tmp_path / "searches.csv"
    arguments = f"--settings digits --ground {table} --budget 12 --replays 3 --output {out}"
    both = ["--objective", "l1", "kl_c", "--at-least", "0", "0.5"]
    compare_searches.main([*arguments.split(), *both, "--searches", "zbo", "constants", "lottery"])
    rows = {row["search"]: row for row in csv.DictReader(out.open()) if row["trainings"] == "12"}
    assert len(rows) == 3
    loaded = replay.load(table)
    means = {name: np.nanmean(of, 1) for name, of in loaded.at().items()}
    for floor in ("0", "0.5"):
        held = loaded.constant & (means["kl_c"] >= float(floor))
        best = means["l1"][held].max() if held.any() else None
        told = float(rows["lottery"][f"recommended_{floor}"])
        if best is not None:
            assert told == pytest.approx(means["accuracy"][means["l1"] == best][0], abs=1e-3)
        assert float(rows["zbo"][f"second_{floor}"]) > -2
    assert float(rows["zbo"]["hypervolume"]) >= 0


def test_a_search_for_one_objective_is_refused_two(table, tmp_path):
    arguments = f"--settings digits --ground {table} --output {tmp_path / 'searches.csv'}"
    both = ["--objective", "l1", "kl_c", "--searches", "cma-es"]
    with pytest.raises(InputError, match="there is no 'cma-es'; choose from lottery"):
        compare_searches.main([*arguments.split(), *both])


def test_a_search_that_stops_stands_as_it_did(table, tmp_path):
    out = tmp_path / "searches.csv"
    arguments = f"--settings digits --ground {table} --budget 40 --replays 3 --output {out}"
    compare_searches.main([*arguments.split(), "--searches", "zbo, stops by itself"])
    rows = list(csv.DictReader(out.open()))
    assert {row["replays"] for row in rows} == {"3"}
    spent = [float(row["spent"]) for row in rows]
    assert spent == sorted(spent)
    assert 10 <= spent[-1] < float(rows[-1]["trainings"])


def test_a_search_that_is_not_there_is_refused(table, tmp_path):
    arguments = f"--settings digits --ground {table} --output {tmp_path / 'searches.csv'}"
    with pytest.raises(InputError, match="there is no 'luck'; choose from lottery"):
        compare_searches.main([*arguments.split(), "--searches", "luck"])


@pytest.mark.parametrize(("budget", "there"), [(3, False), (4, True)])
def test_two_seeds_a_point_are_replayed_where_the_budget_pays_two(
    table, tmp_path, monkeypatch, budget, there
):
    monkeypatch.setattr(compare_searches, "NAMES", ["lottery", compare_searches.TWO_SEEDS])
    out = tmp_path / "searches.csv"
    arguments = f"--settings digits --ground {table} --budget {budget} --replays 1 --output {out}"
    compare_searches.main(arguments.split())
    found = {row["search"] for row in csv.DictReader(out.open())}
    assert (compare_searches.TWO_SEEDS in found) == there


def test_a_training_that_would_overspend_is_not_begun(table):
    one = arena(table)
    list(compare_searches.given_up(2)(one, 20))
    assert 19 < one.spent <= 20


def test_ranks_of_an_objective_that_sees_the_truth(table, tmp_path):
    out = tmp_path / "objectives.csv"
    arguments = f"--settings digits --ground {table} --resamples 20 --output {out}"
    rank_objectives.main(arguments.split())
    rows = {row["objective"]: row for row in csv.DictReader(out.open())}
    assert float(rows["l1"]["over_trainings"]) > 0.9
    assert abs(float(rows["usage"]["over_trainings"])) < 0.3
    low, high = (float(rows["l1"][f"over_trainings_{end}"]) for end in ("low", "high"))
    assert low <= float(rows["l1"]["over_trainings"]) <= high
    # Accuracy has no noise here and l1 has one of 0.1; latent points spread both alike.
    assert float(rows["accuracy"]["sd_of_seeds"]) == 0
    assert float(rows["l1"]["sd_of_seeds"]) == pytest.approx(0.1, rel=0.15)
    apart = [float(rows[name]["sd_of_trajectories"]) for name in ("l1", "accuracy")]
    assert apart[0] == pytest.approx(apart[1], rel=0.1)


def test_the_workflow_measures_a_ground_and_ranks_on_it(snakemake, checkout):
    small = "ground.points=2 ground.seeds=2 ground.constants=1 ground.constant_seeds=1"
    snakemake("results/test/objectives.csv", change=f"{small} ground.block=3")
    loaded = replay.load(checkout / "results/test/ground.h5")
    assert loaded.repeats.tolist() == [2, 2, 1]
    accuracy, information = (loaded.measures[name] for name in ("accuracy", "information"))
    assert accuracy.shape == (3, 2, 4)  # the study has four cycles
    assert np.isfinite(accuracy).sum() == 5 * 4
    assert np.nanmax(information) <= np.log(3)
