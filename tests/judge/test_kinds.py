"""How many kinds there are, of seeds made up: classes that are there are found again."""

import numpy as np
import pytest

import count_kinds
from zbo.base import storage
from zbo.base.errors import InputError
from zbo.judge import kinds

TRUTH = np.repeat(np.arange(4), 50)


def trainings(classes, seeds=4, truth=TRUTH):
    """Seeds that merge kinds at random where there are too few classes, and cut where too many."""
    there = len(np.unique(truth))
    made = []
    for seed in range(seeds):
        rng = np.random.default_rng(100 * classes + seed)
        names = np.concatenate([np.arange(classes), rng.integers(0, classes, there)])[:there]
        own = rng.permutation(names)[truth]
        if classes > there:  # each further class takes half of another's, at random
            for extra in range(there, classes):
                half = (own == rng.integers(0, there)) & (rng.random(len(own)) < 0.5)
                own[half] = extra
        made.append(np.eye(classes)[own])
    return made


def asked(largest, **truth):
    return [kinds.found(k, trainings(k, **truth)) for k in range(2, largest + 1)]


@pytest.mark.parametrize("there", [3, 4])
def test_kinds_that_are_there_are_recommended(there):
    found = asked(7, truth=np.repeat(np.arange(there), 50))
    number, why = kinds.recommend(found)
    assert number == there and "seeds agree by 1.00" in why


def test_of_numbers_agreed_on_alike_the_largest_is_taken():
    """Two kinds, one of which falls into two: two and three classes are both found again."""
    three = np.repeat(np.arange(3), 50)
    found = [
        kinds.found(2, [np.eye(2)[(three > 0).astype(int)]] * 4),
        kinds.found(3, [np.eye(3)[three]] * 4),
        kinds.found(5, trainings(5, truth=three)),
    ]
    number, why = kinds.recommend(found)
    assert (number == 3 and "within a standard error" not in why) or "on 2" in why


def test_the_most_that_was_asked_may_not_be_enough():
    assert "raise kinds.max" in kinds.recommend(asked(4))[1]
    assert "raise kinds.max" not in kinds.recommend(asked(5))[1]


def test_little_agreement_is_said():
    rng = np.random.default_rng(0)
    found = [kinds.found(k, list(rng.dirichlet(np.ones(k), (4, 200)))) for k in (2, 3)]
    assert "that is little" in kinds.recommend(found)[1]


def test_classes_that_hold_nothing_are_not_used():
    collapsed = np.tile([1.0, 0, 0], (200, 1))
    assert kinds.found(3, [collapsed, collapsed]).used.tolist() == [1, 1]


def models(folder, classes, posteriors):
    paths = []
    for seed, own in enumerate(posteriors):
        paths.append(str(folder / f"models/optimum-k{classes}-{seed}.h5"))
        data = {"status": "failed"} if own is None else {"status": "done", "probabilities": own}
        storage.write(paths[-1], data, kind="model")
    return paths


def test_the_table_is_made_of_those_that_trained(tmp_path, capsys):
    paths = [*models(tmp_path, 3, trainings(3)), *models(tmp_path, 4, [*trainings(4), None])]
    paths += models(tmp_path, 12, [trainings(12)[0], None])
    count_kinds.main(["--models", *paths, "--output", str(tmp_path / "kinds.csv")])
    rows = storage.read_table(tmp_path / "kinds.csv")
    assert [(row["classes"], row["seeds"]) for row in rows] == [("3", "4"), ("4", "4")]
    assert [row["recommended"] for row in rows] == ["0", "1"]
    assert float(rows[1]["agreement"]) == 1 and rows[1]["why"] and not rows[0]["why"]
    assert float(rows[1]["information"]) == pytest.approx(np.log(4), abs=1e-3)
    assert "4 classes: seeds agree" in capsys.readouterr().out
    with pytest.raises(InputError, match="no two seeds"):
        count_kinds.main(["--models", *paths[-2:], "--output", str(tmp_path / "none.csv")])
