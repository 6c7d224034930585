"""Images of one's own, a folder of TIFFs without labels: the README's example, to its report."""

import csv
import subprocess

import numpy as np
import pytest
import tifffile
import yaml
from test_readme import example

from zbo.base import storage
from zbo.judge.scores import is_trained

# The README's study, cut down to seconds.
REDUCED = (
    "images.subset=40 trajectories.cycles=6 trajectories.per_family=50 trajectory_vae.cycles=30 "
    "trajectory_vae.learning_rate=0.003 space.grid=20 model.hidden_dim=[32,32] objective.grid=4 "
    "objective.pairs=20 search.initial=3 search.iterations=1 compare.seeds=2 compare.forms=2"
)


def particle(kind, rng, side=48):
    """A disk, a ring or a rod, turned anyhow, bright on a grey ground, as 16-bit counts."""
    y, x = np.indices((side, side)) - (side - 1) / 2
    angle = rng.uniform(0, np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    r = np.hypot(x, y)
    inside = [r < 11, (r > 7) & (r < 13), (abs(along) < 16) & (abs(across) < 5)][kind]
    counts = 9000 + 30000 * inside + rng.normal(0, 3000, (side, side))
    return counts.clip(0, 65535).astype(np.uint16)


@pytest.fixture
def folder(installed):
    """A clone with the README's study and 60 TIFFs where it looks for them."""
    clone = installed()
    study = example("# config/studies/mine.yaml")
    (clone / "config/studies/mine.yaml").write_text(study)
    images = clone / yaml.safe_load(study)["images"]["path"]
    images.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(60):
        tifffile.imwrite(images / f"{number:03d}.tif", particle(number % 3, rng))
    return clone


@pytest.mark.timeout(1800)
def test_from_a_folder_of_tiffs_to_a_report(folder):
    done = subprocess.run(
        ["make", "run", "STUDY=mine", f"SET={REDUCED}"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = folder / "results/mine"
    prepared = storage.read(results / "images.h5", kind="images")
    assert prepared["images"].shape == (60, 32, 32)
    assert "labels" not in prepared
    with open(results / "scores.csv") as file:
        scored = list(csv.DictReader(file))
    rows = [row for row in scored if is_trained(row["model"])]
    assert len(scored) == 4 * 2 + 3  # and a consensus of each model with classes
    assert len(rows) == 4 * 2 and all(row["status"] == "done" for row in rows)
    for row in rows:
        assert not any(row[score] for score in ("accuracy", "ari", "nmi", "purity"))
        assert float(row["loss"]) > 0
        assert bool(row["objective"]) == (row["model"] != "vanilla")
    drawn = {path.stem for path in results.glob("figures/*.pdf")}
    assert drawn == {path.stem for path in results.glob("figures/*.png")}
    assert {"images", "optimum", "manifolds", "scores"} <= drawn
    report = (folder / "results/report.html").read_text()
    assert "mine" in report and len(report) > 100_000
