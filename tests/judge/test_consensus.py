"""What seeds agree on, with seeds made up."""

import numpy as np
import pytest

from zbo.judge import consensus
from zbo.judge.scores import label_scores

TRUTH = np.repeat([0, 1, 2], (60, 50, 40))


def seed_of(order, wrong=0.0, rng=None, sure=0.9):
    """A seed's posteriors: the truth, classes renamed, some images at random."""
    found = np.array(order)[TRUTH]
    if wrong:
        lost = rng.random(len(found)) < wrong
        found[lost] = rng.integers(0, 3, lost.sum())
    return np.eye(3)[found] * (sure - (1 - sure) / 2) + (1 - sure) / 2


def test_seeds_that_agree_but_for_names_agree():
    seeds = [seed_of([0, 1, 2]), seed_of([2, 0, 1]), seed_of([1, 2, 0])]
    agreed = consensus.find(seeds)
    shares = agreed.probabilities(seeds)
    np.testing.assert_array_equal(shares.argmax(1), TRUTH)  # largest class first
    np.testing.assert_allclose(shares.sum(1), 1)
    np.testing.assert_array_equal(agreed.agreement(seeds, TRUTH), 1)
    np.testing.assert_allclose(consensus.agreement(seeds), 1)


def test_together_they_are_better_than_each():
    rng = np.random.default_rng(0)
    seeds = [seed_of(rng.permutation(3), 0.3, rng) for _ in range(9)]
    found = consensus.find(seeds).probabilities(seeds).argmax(1)
    each = [label_scores(one.argmax(1), TRUTH).accuracy for one in seeds]
    assert label_scores(found, TRUTH).accuracy > 0.97 > max(each)


def test_seeds_with_more_classes_than_kinds_come_to_the_kinds():
    """Each cuts another kind in two; what the others leave together comes together again."""
    rng = np.random.default_rng(0)
    seeds = []
    for cut in (0, 1, 2, 0, 1, 2):
        found = TRUTH.copy()
        found[(cut == TRUTH) & (rng.random(len(TRUTH)) < 0.5)] = 3
        seeds.append(np.eye(4)[found])
    agreed = consensus.find(seeds, kinds=3)
    assert agreed.parts.shape == (6, 4, 3)
    np.testing.assert_array_equal(agreed.probabilities(seeds).argmax(1), TRUTH)
    np.testing.assert_allclose(agreed.agreement(seeds, TRUTH), 1)


def test_one_seed_alone_keeps_its_classes(caplog):
    seeds = [np.eye(4)[np.arange(60) % 4], np.full((60, 4), 0.25)]
    assert consensus.find(seeds, kinds=2).parts.shape == (2, 4, 4)
    assert "no two seeds agree on how 4 classes make 2 kinds" in caplog.text


def test_kinds_are_no_more_than_the_seeds_have():
    assert consensus.find([seed_of([0, 1, 2])] * 2, kinds=9).parts.shape == (2, 3, 3)


def test_a_seed_that_collapsed_weighs_little_and_changes_nothing():
    collapsed = np.tile([0.0, 1.0, 0.0], (len(TRUTH), 1))
    seeds = [seed_of([0, 1, 2]), seed_of([2, 0, 1]), collapsed, seed_of([1, 2, 0])]
    weights = consensus.weigh(seeds)
    assert weights.sum() == pytest.approx(1) and weights[2] < weights[0] / 3
    assert weights[0] == pytest.approx(weights[1])
    agreed = consensus.find(seeds)
    np.testing.assert_array_equal(agreed.probabilities(seeds).argmax(1), TRUTH)


def test_seeds_that_are_nearly_alike_weigh_nearly_the_same():
    """Their scale is not their own spread: a hundredth of a nat is nothing, whatever the others."""
    seeds = [seed_of([0, 1, 2], sure=sure) for sure in (0.99, 0.989, 0.988)]
    weights = consensus.weigh(seeds)
    assert weights[0] > weights[1] > weights[2] > 0.95 * weights[0]


@pytest.mark.parametrize("classes", [3, 10])
def test_a_seed_that_merges_two_classes_weighs_a_seventh(classes):
    apart = np.eye(classes)[np.arange(30 * classes) % classes]
    merged = apart.copy()
    merged[:, 0] += merged[:, 1]
    merged[:, 1] = 0
    first, second = consensus.weigh([apart, merged])
    assert second / first == pytest.approx(np.exp(-2))


def test_an_image_the_seeds_are_torn_about_is_doubtful():
    seeds = [seed_of([0, 1, 2]) for _ in range(4)]
    for one in seeds[:2]:
        one[0] = one[-1]  # two of four say that the first image is of the last class
    agreed = consensus.find(seeds)
    shares = agreed.probabilities(seeds)
    assert shares[0].max() < 0.65 < shares[1].max()
    right = agreed.weights[2:].sum()  # of the two seeds that say so
    assert agreed.agreement(seeds, TRUTH)[0] == pytest.approx(right)


def test_a_single_class_needs_no_agreement():
    agreed = consensus.find([np.ones((5, 1))] * 2)
    np.testing.assert_allclose(agreed.probabilities([np.ones((5, 1))] * 2), 1)
