"""What pruning changes: what it writes, goes on with and concludes."""

import csv

import numpy as np
import pytest

from bench import pruning
from zbo.base.errors import InputError


def start(path, *more, seeds=1, change=""):
    pruning.main(
        [
            *("--study", "test", "--set", f"images.subset=40 {change}", "--output", str(path)),
            *("--thresholds", "0.4", "--seeds", str(seeds), "--trajectories", "1"),
            *("--pyroved", "1", *more),
        ]
    )
    with open(path) as file:
        return list(csv.DictReader(file))


def test_rows_come_by_seed_and_more_seeds_go_on(tmp_path, capsys):
    first = start(tmp_path / "a.csv")
    assert [float(row["threshold"]) for row in first] == [0, 0.4]
    assert float(first[0]["classes_decoded"]) == 3
    assert float(first[1]["classes_decoded"]) < 3
    both = start(tmp_path / "a.csv", seeds=2)
    assert both[:2] == first  # to the last digit of their seconds: not trained again
    assert [row["seed"] for row in both] == ["0", "0", "1", "1"]
    assert len({row["objective"] for row in both}) == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv"]
    with pytest.raises(InputError, match="rows of other settings"):
        start(tmp_path / "a.csv", change="seed=1")
    assert "largest threshold within the seeds' spread" in capsys.readouterr().out


def a_row(threshold, seed, objective, accuracy=0.7, loss=20.0):
    row = {"threshold": threshold, "seed": seed, "trajectory": 0, "objective": objective}
    row |= {"accuracy": accuracy + 0.01 * seed, "loss": loss + 0.1 * seed}
    return row | {"classes_decoded": 3.0, "ratio_to_exact": 2.0, "ratio_to_pyroved": 8.0}


def test_a_threshold_is_safe_while_its_differences_are_within_the_spread():
    rows = [a_row(0.0, seed, value) for seed, value in enumerate((1.0, 2.0, 3.0))]  # sd 1
    rows += [a_row(1e-3, seed, value) for seed, value in enumerate((1.5, 1.5, 3.0))]
    rows += [a_row(1e-2, seed, value) for seed, value in enumerate((3.0, 2.0, 1.0))]  # mean 0
    said = pruning.table(rows)
    assert "sd 1 " in said and "+0 (0.408)" in said and "+0 (1.63)" in said
    assert said.endswith("largest threshold within the seeds' spread: 0.001")
    worse = [row | {"accuracy": 0.2} if row["threshold"] == 1e-3 else row for row in rows]
    assert pruning.table(worse).endswith("spread: 0")


def test_families_take_turns():
    from zbo.base import config

    study = config.load("digits", "trajectories.families=[constant,segments]")
    beta = pruning.trajectories(study, 3)
    assert [np.ptp(b) == 0 for b in beta] == [True, False, True]
    assert not np.array_equal(beta[0], beta[2])
