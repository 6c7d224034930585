"""Simulated micrographs: the clusters' geometry, their counts, and what the images show."""

import importlib
import json

import numpy as np
import pytest
from scipy import ndimage

from zbo.base import storage
from zbo.base.settings import ImageSettings
from zbo.data import nanoparticles
from zbo.data.nanoparticles import (
    COUNTS,
    FIELD,
    Clusters,
    assemble,
    expose,
    frequencies,
    simulate,
    touching,
)


@pytest.fixture(scope="module")
def clusters():
    return assemble(3000, np.random.default_rng(0))


def spheres(clusters, i):
    """Centres in space, (count, 3), and radii of one cluster."""
    count = clusters.counts[i]
    centres, radii = clusters.centres[i, :count], clusters.radii[i, :count]
    return np.column_stack([centres, radii]), radii


def gaps(clusters, i):
    """Gap between every two spheres in space, nm."""
    centres, radii = spheres(clusters, i)
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    return (apart - radii[:, None] - radii[None])[np.triu_indices(len(radii), 1)]


def test_spheres_on_a_plane_touch_where_their_radii_add_up():
    apart = touching(np.array(30.0), np.array(50.0))
    assert np.hypot(apart, 50 - 30) == pytest.approx(30 + 50)


def test_spheres_touch_and_none_overlap(clusters):
    for i, count in enumerate(clusters.counts):
        apart = gaps(clusters, i)
        assert (apart > -1e-5).all()
        contacts = np.zeros((count, count))
        contacts[np.triu_indices(count, 1)] = apart < 1e-5
        # Grown sphere by sphere: each but the first touches one before it.
        assert (contacts.sum(0)[1:] >= 1).all()


def test_there_are_chains_and_close_packed_islands(clusters):
    many = np.flatnonzero(clusters.counts >= 4)
    contacts = np.array([(gaps(clusters, i) < 1e-5).sum() for i in many])
    least, most = clusters.counts[many] - 1, 2 * clusters.counts[many] - 3
    assert (contacts == least).mean() > 0.1
    assert (contacts >= most).mean() > 0.1


def test_clusters_lie_within_the_field(clusters):
    for i in range(len(clusters.counts)):
        centres, radii = spheres(clusters, i)
        assert (np.abs(centres[:, :2]) + radii[:, None]).max() < FIELD / 2


def test_orientations_are_random(clusters):
    dimers = clusters.centres[clusters.counts == 2]
    angle = np.arctan2(*(dimers[:, 1] - dimers[:, 0]).T)
    assert len(angle) > 50
    # Of a uniform angle, the resultant's length squared times 2n is chi squared: 13.8 at 0.1 %.
    for fold in (1, 2):
        assert 2 * np.abs(np.exp(1j * fold * angle).sum()) ** 2 / len(angle) < 13.8


def test_sizes_spread_by_a_few_percent():
    radii = assemble(500, np.random.default_rng(1)).radii
    assert radii.mean() == pytest.approx(40, rel=0.01)
    assert 0.03 < radii.std() / radii.mean() < 0.06


def test_counts_fall_as_in_coagulation():
    # t = 1.5 half lives: each count has 1.5 / 2.5 times the clusters of the one below.
    np.testing.assert_allclose(frequencies([1, 2, 3]), np.array([1, 0.6, 0.36]) / 1.96)
    counts = assemble(4000, np.random.default_rng(2)).counts
    expected = 4000 * frequencies(COUNTS)
    found = np.bincount(counts, minlength=8)[1:]
    assert ((found - expected) ** 2 / expected).sum() < 22.5  # chi squared of 6, 0.1 %


def test_seed_decides_and_an_image_does_not_depend_on_how_many():
    images, labels = simulate(70, 3)
    again, same = simulate(nanoparticles.BLOCK + 1, 3)
    np.testing.assert_array_equal(images[: len(again)], again)
    np.testing.assert_array_equal(labels[: len(again)], same)
    other, _ = simulate(2, 4)
    assert (other != images[:2]).any((1, 2)).all()
    assert len(np.unique(images, axis=0)) == 70


def test_images_are_of_the_size_and_counts_asked_for():
    images, labels = simulate(40, 0, counts=[5, 2], size=(24, 40))
    assert images.shape == (40, 24, 40)
    assert images.dtype == np.uint8
    assert set(labels) == {2, 5}


@pytest.mark.parametrize("side", [32, 48, 96, 128])
def test_the_bright_area_is_that_of_the_spheres_at_any_size(side):
    clusters = assemble(64, np.random.default_rng(5))
    images = expose(clusters, np.random.default_rng(6), (side, side)).astype(float)
    threshold = (np.quantile(images, 0.5) + np.quantile(images, 0.99)) / 2
    for i, image in enumerate(images):
        radii = spheres(clusters, i)[1]
        area = (image > threshold).sum() * (FIELD / side) ** 2
        assert area == pytest.approx((np.pi * radii**2).sum(), rel=0.25)


def test_rims_are_bright_and_clefts_dark():
    one = Clusters(np.full(200, 1), np.zeros((200, 7, 2)), np.full((200, 7), 40.0))
    mean = expose(one, np.random.default_rng(0), (96, 96)).mean(0)
    y, x = np.indices(mean.shape) - 47.5
    ring = ndimage.mean(mean, np.hypot(x, y).astype(int), np.arange(48))
    assert ring[6:9].max() > 1.1 * ring[0] > 1.5 * ring[30:].mean()
    centres = np.zeros((200, 7, 2))
    centres[:, :2, 0] = -40, 40
    two = Clusters(np.full(200, 2), centres, one.radii)
    pair = expose(two, np.random.default_rng(0), (96, 96)).mean(0)
    contact, middles = pair[46:50, 47:49], pair[46:50, [38, 39, 56, 57]]  # 40 nm are 8.9 pixels
    assert contact.mean() < 0.9 * middles.mean()


def test_the_file_of_images_says_that_they_are_simulated(tmp_path):
    prepare = importlib.import_module("prepare_images")
    for source, simulated in (("nanoparticles", True), ("digits", False)):
        chosen = ImageSettings(source=source, count=70, size=(24, 24), subset=10)
        images = chosen.model_dump(mode="json")
        given = {"seed": 0, "images": images, "model": {"invariances": ["r"]}}
        settings, output = json.dumps(given), tmp_path / f"{source}.h5"
        prepare.main(["--settings", settings, "--output", str(output)])
        assert bool(storage.read(output, kind="images")["simulated"]) is simulated
