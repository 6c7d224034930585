"""Compare ways to make one answer of several seeds' classes, over resampled sets of seeds.

zbo - the project's: k-means on posteriors side by side, seeds weighed by the classes they lost.
even - the same, each seed weighing as much. voting - classes matched to those of the most informed
seed, posteriors averaged (Dudoit and Fridlyand 2003, Bioinformatics 19, 1090). meta - classes of
all seeds clustered by the images they share (MCLA; Strehl and Ghosh 2002, J. Mach. Learn. Res. 3,
583). linkage - average linkage of the images by how often they share a class (Fred and Jain 2005,
IEEE Trans. Pattern Anal. Mach. Intell. 27, 835), at most 2,000 images, as it takes n x n numbers.

Told without labels: agreement, the mean adjusted Rand index with the seeds that had no say. With
labels, which judge alone: accuracy and adjusted Rand index.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import squareform
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_rand_score

from zbo.base import storage
from zbo.judge import consensus, scores
from zbo.search.objective import information

MOST = 2000  # images that linkage is asked for


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", nargs="+", required=True, help="folders of studies that ended")
    parser.add_argument("--model", default="optimum")
    parser.add_argument("--seeds", type=int, default=5, help="that have a say")
    parser.add_argument("--repeats", type=int, default=20, help="resampled sets of seeds")
    parser.add_argument("--output", required=True, help="a row a study and way, .csv")
    args = parser.parse_args(argv)
    rows = []
    for folder in map(Path, args.results):
        labels, posteriors = _read(folder, args.model)
        if len(posteriors) <= args.seeds:
            parser.error(f"{folder}: {len(posteriors)} models, too few to leave one of them out")
        rng, told = np.random.default_rng(0), {}
        for _ in range(args.repeats):
            order = rng.permutation(len(posteriors))
            said, unheard = (
                [posteriors[i] for i in part] for part in np.split(order, [args.seeds])
            )
            for name, way in WAYS.items():
                told.setdefault(name, []).append(_judge(way(said), unheard, labels))
            single = [_judge(own.argmax(1), unheard, labels) for own in said]
            told.setdefault("single", []).append(np.mean(single, axis=0))
        for name, values in told.items():
            mean, spread = np.mean(values, 0), np.std(values, 0)
            row = {"study": folder.name, "way": name, "seeds": args.seeds, "of": len(posteriors)}
            for key, m, sd in zip(("agreement", "accuracy", "ari"), mean, spread, strict=True):
                row |= {key: f"{m:.4f}", f"{key}_sd": f"{sd:.4f}"}
            rows.append(row)
            print(row, flush=True)
    storage.write_table(args.output, rows)


def _read(folder: Path, model: str) -> tuple[np.ndarray | None, list[np.ndarray]]:
    """Read labels, shape (n,), and the posteriors of a model's seeds that trained."""
    images = storage.read(folder / "images.h5", kind="images", without=("images",))
    found = [
        storage.read(path, kind="model")
        for path in sorted(folder.glob(f"models/{model}-[0-9]*.h5"))
    ]
    return images.get("labels"), [one["probabilities"] for one in found if "probabilities" in one]


def _judge(
    classes: np.ndarray, unheard: list[np.ndarray], labels: np.ndarray | None
) -> list[float]:
    agreement = np.mean([adjusted_rand_score(own.argmax(1), classes) for own in unheard])
    if labels is None:
        return [float(agreement), np.nan, np.nan]
    judged = scores.label_scores(classes[labels >= 0], labels[labels >= 0])
    return [float(agreement), judged.accuracy, judged.ari]


def _zbo(posteriors: list[np.ndarray]) -> np.ndarray:
    return consensus.find(posteriors).probabilities(posteriors).argmax(1)


def _even(posteriors: list[np.ndarray]) -> np.ndarray:
    count = posteriors[0].shape[1]
    return KMeans(count, n_init=10, random_state=0).fit_predict(np.concatenate(posteriors, 1))


def _voting(posteriors: list[np.ndarray]) -> np.ndarray:
    reference = max(posteriors, key=information)
    votes = np.zeros_like(reference, dtype=np.float64)
    for own in posteriors:
        at = linear_sum_assignment(reference.T @ own, maximize=True)[1]
        votes += own[:, at]
    return votes.argmax(1)


def _meta(posteriors: list[np.ndarray]) -> np.ndarray:
    count, beside = posteriors[0].shape[1], np.concatenate(posteriors, 1)
    both = beside.T @ beside
    size = np.diag(both)
    apart = 1 - both / np.maximum(size[:, None] + size - both, 1e-9)  # of Jaccard's index
    groups = AgglomerativeClustering(count, metric="precomputed", linkage="average")
    member = np.eye(count)[groups.fit_predict(apart)]
    return (beside @ (member / member.sum(0))).argmax(1)


def _linkage(posteriors: list[np.ndarray]) -> np.ndarray:
    count, n = posteriors[0].shape[1], len(posteriors[0])
    some = np.random.default_rng(0).permutation(n)[:MOST]
    apart = 1 - np.mean([own[some] @ own[some].T for own in posteriors], 0)
    np.fill_diagonal(apart, 0)
    tree = linkage(squareform(apart, checks=False), "average")
    few = fcluster(tree, count, "maxclust") - 1
    if n == len(some):
        return few[np.argsort(some)]
    # The rest go to the class whose members' posteriors are most like theirs.
    beside = np.concatenate(posteriors, 1)
    means = np.stack([beside[some[few == c]].mean(0) for c in set(few)])
    return (beside @ means.T - (means**2).sum(1) / 2).argmax(1)


WAYS = {"zbo": _zbo, "even": _even, "voting": _voting, "meta": _meta, "linkage": _linkage}

if __name__ == "__main__":
    main()
