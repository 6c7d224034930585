"""What shortcuts change: what it writes, goes on with and concludes."""

import csv

import numpy as np
import pytest

from bench import shortcuts
from zbo.base.errors import InputError


def start(path, *more, seeds=1, change=""):
    shortcuts.main(
        [
            *("--study", "test", "--set", f"images.subset=40 {change}", "--output", str(path)),
            *(
                "--shortcuts",
                "prune_threshold=0.4 pixels=16",
                "--seeds",
                str(seeds),
                "--trajectories",
                "1",
            ),
            *("--pyroved", "1", *more),
        ]
    )
    with open(path) as file:
        return list(csv.DictReader(file))


def test_rows_come_by_seed_and_more_seeds_go_on(tmp_path, capsys):
    first = start(tmp_path / "a.csv")
    assert [row["shortcut"] for row in first] == ["exact", "prune_threshold=0.4 pixels=16"]
    assert float(first[0]["classes_decoded"]) == 3
    assert float(first[1]["classes_decoded"]) < 3
    assert [float(row["pixels_decoded"]) for row in first] == [64, (16 + 16 + 16 + 64) / 4]
    both = start(tmp_path / "a.csv", seeds=2)
    assert both[:2] == first  # to the last digit of their seconds: not trained again
    assert [row["seed"] for row in both] == ["0", "0", "1", "1"]
    assert len({row["objective"] for row in both}) == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv"]
    with pytest.raises(InputError, match="rows of other settings"):
        start(tmp_path / "a.csv", change="seed=1")
    assert "within the seeds' spread" in capsys.readouterr().out
    with pytest.raises(InputError, match="give key=value of prune_threshold, pixels"):
        shortcuts.changes("learning_rate=1")


def a_row(shortcut, seed, objective, accuracy=0.7, loss=20.0):
    row = {"shortcut": shortcut, "seed": seed, "trajectory": 0, "objective": objective}
    row |= {"accuracy": accuracy + 0.01 * seed, "loss": loss + 0.1 * seed}
    row |= {"information": 2.0 + 0.1 * seed, "kl_c": 3.0 - 0.1 * seed}
    row |= {"classes_decoded": 3.0, "pixels_decoded": 64.0}
    return row | {"ratio_to_exact": 2.0, "ratio_to_pyroved": 8.0}


def test_a_shortcut_is_safe_while_its_differences_are_within_the_spread():
    rows = [a_row("exact", seed, value) for seed, value in enumerate((1.0, 2.0, 3.0))]  # sd 1
    rows += [a_row("a", seed, value) for seed, value in enumerate((1.5, 1.5, 3.0))]
    rows += [a_row("b", seed, value) for seed, value in enumerate((3.0, 2.0, 1.0))]  # reshuffled
    rows += [a_row("c", seed, value) for seed, value in enumerate((2.5, 3.0, 3.8))]  # all higher
    rows += [a_row("d", seed, value) for seed, value in enumerate((4.0, 2.0, 0.0))]  # wilder
    said = shortcuts.table(rows)
    assert "sd 1 " in said and "+0 (0.408)" in said and "+0 (1.63)" in said
    assert said.endswith("within the seeds' spread: a; b")
    worse = [row | {"accuracy": 0.2} if row["shortcut"] == "a" else row for row in rows]
    assert shortcuts.table(worse).endswith("spread: b")


def test_families_take_turns():
    from zbo.base import config

    study = config.load("digits", "trajectories.families=[constant,segments]")
    beta = shortcuts.trajectories(study, 3)
    assert [np.ptp(b) == 0 for b in beta] == [True, False, True]
    assert not np.array_equal(beta[0], beta[2])
