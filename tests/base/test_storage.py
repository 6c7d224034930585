"""Storage: files come back as written, whole or not at all, and bad ones are named."""

import errno
import itertools
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from zbo.base import storage
from zbo.base.errors import InputError

SCRIPTS = Path(storage.__file__).parents[2]


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype=np.int64).reshape(2, 3),
        np.array([0.1, np.nan, -np.inf], dtype=np.float32),
        np.array([True, False]),
        np.zeros((0, 2)),
        np.random.default_rng(0).random((50, 400)),  # big enough to be compressed
    ],
    ids=lambda value: f"{value.dtype}-{value.shape}",
)
def test_arrays_come_back_as_written(tmp_path, value):
    storage.write(tmp_path / "x.h5", {"value": value}, kind="test")
    found = storage.read(tmp_path / "x.h5", kind="test")["value"]
    assert found.dtype == value.dtype
    np.testing.assert_array_equal(found, value)


def test_large_files_are_written_where_there_is_room_and_twice_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "MUCH", 0)
    data = {"value": np.random.default_rng(0).random((50, 400)), "why": "β", "n": 3}
    for name in ("a", "b"):
        storage.write(tmp_path / f"{name}.h5", data, kind="test", seed=1)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    found = storage.read(tmp_path / "a.h5", kind="test")
    np.testing.assert_array_equal(found.pop("value"), data.pop("value"))
    assert found == data
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
    with pytest.raises(OSError, match=r"No space left.*full\.h5"):
        storage.write(tmp_path / "full.h5", data, kind="test")
    assert {path.name for path in tmp_path.iterdir()} == {"a.h5", "b.h5"}


def test_numbers_text_and_none(tmp_path):
    data = {"n": 3, "x": 0.1, "why": "β is 1 µ", "names": np.array(["ℓ1", "", "ten"]), "no": None}
    storage.write(tmp_path / "x.h5", data, kind="test")
    found = storage.read(tmp_path / "x.h5", kind="test")
    assert (found["n"], found["x"], found["why"]) == (3, 0.1, "β is 1 µ")
    assert found["names"].tolist() == ["ℓ1", "", "ten"]
    assert "no" not in found


def test_groups_are_picked_by_their_whole_name(tmp_path):
    data = {"weights/a.b": np.ones(2), "weights/c/d": np.zeros(3), "weights2/a": 1, "z": 2}
    storage.write(tmp_path / "x.h5", data, kind="test")
    found = storage.read(tmp_path / "x.h5", kind="test")
    assert set(found) == set(data)
    for prefix in ("weights", "weights/"):
        assert set(storage.group(found, prefix)) == {"a.b", "c/d"}
    assert storage.group(found, "nothing") == {}


def test_facts_come_back_beside_what_made_the_file(tmp_path):
    settings = {"n": 3, "deep": {"size": [8, 8], "path": None}}
    storage.write(tmp_path / "x.h5", {}, kind="test", settings=settings, seconds=1.5)
    found = storage.facts(tmp_path / "x.h5", kind="test")
    assert found["settings"] == settings
    assert found["seconds"] == 1.5
    assert found["versions"]["numpy"] == np.__version__
    assert {"commit", "machine", "versions"} <= set(found)
    assert "kind" not in found


def test_the_commit_can_be_told(monkeypatch):
    monkeypatch.setenv("ZBO_COMMIT", "abc")
    storage.commit.cache_clear()
    try:
        assert storage.commit() == "abc"
    finally:
        storage.commit.cache_clear()


def test_folders_are_made_and_files_replaced(tmp_path):
    path = tmp_path / "a" / "b" / "x.h5"
    storage.write(path, {"old": 1}, kind="test")
    storage.write(path, {"new": 2}, kind="test")
    assert storage.read(path, kind="test") == {"new": 2}
    assert [entry.name for entry in path.parent.iterdir()] == ["x.h5"]


@pytest.mark.parametrize("reader", [storage.read, storage.facts])
def test_files_that_are_not_there_or_of_another_kind_are_named(tmp_path, reader):
    with pytest.raises(InputError, match=r"x\.h5.*no such file"):
        reader(tmp_path / "x.h5", kind="trial")
    storage.write(tmp_path / "x.h5", {"a": 1}, kind="images")
    with pytest.raises(InputError, match=r"x\.h5.*'trial'.*'images'"):
        reader(tmp_path / "x.h5", kind="trial")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = 1
    with pytest.raises(InputError, match=r"x\.h5.*'trial'.*another origin"):
        reader(tmp_path / "x.h5", kind="trial")
    (tmp_path / "x.h5").write_text("not HDF5 at all")
    with pytest.raises(InputError, match=r"x\.h5"):
        reader(tmp_path / "x.h5", kind="trial")


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("reader", [storage.read, storage.facts])
def test_files_cut_short_are_named(tmp_path, share, reader):
    path = tmp_path / "x.h5"
    noise = np.random.default_rng(0).random((100, 1000))
    storage.write(path, {"first": noise, "last": noise[:3]}, kind="test")
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(InputError, match=r"x\.h5.*cut short"):
        reader(path, kind="test")


def test_damage_inside_is_named(tmp_path):
    path = tmp_path / "x.h5"
    storage.write(path, {"noise": np.random.default_rng(0).random((100, 1000))}, kind="test")
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(1000))
    with pytest.raises(InputError, match=r"x\.h5"):
        storage.read(path, kind="test")


@pytest.mark.parametrize(
    ("data", "facts"),
    [({"good": 1, "bad": object()}, {}), ({"good": 1}, {"bad": object()})],
    ids=["dataset", "fact"],
)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, data, facts):
    path = tmp_path / "x.h5"
    storage.write(path, {"old": 1}, kind="test")
    with pytest.raises(TypeError):
        storage.write(path, data, kind="test", **facts)
    assert storage.read(path, kind="test") == {"old": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.h5"]


def test_a_failed_first_write_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        storage.write(tmp_path / "x.h5", {"bad": object()}, kind="test")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    path = tmp_path / "x.h5"
    program = f"""
import sys
import numpy as np
sys.path.insert(0, {str(SCRIPTS)!r})
from zbo.base import storage
for n in range(10**9):
    data = dict(n=n, filled=np.full(300_000, n), noise=np.random.default_rng(n).random(500_000))
    storage.write({str(path)!r}, data, kind="test", n=n)
"""
    caught_midway = 0
    end = time.monotonic() + 300
    for k in itertools.count():
        if k >= 8 and caught_midway:
            break
        assert time.monotonic() < end  # else no kill fell into a write, and the test shows nothing
        # The commit is given: asking git would take longer than the writing.
        writer = subprocess.Popen(
            [sys.executable, "-c", program], env=os.environ | {"ZBO_COMMIT": "none"}
        )
        before = path.stat().st_mtime_ns if path.exists() else 0
        deadline = time.monotonic() + 60
        while not path.exists() or path.stat().st_mtime_ns == before:
            assert writer.poll() is None and time.monotonic() < deadline
            time.sleep(0.001)
        beside = tmp_path / f".x.h5.{platform.node()}-{writer.pid}.part"
        if k % 2:
            time.sleep(0.007 * (k % 8))  # somewhere else in the loop each time
        else:
            while not beside.exists():  # in the middle of a write
                assert writer.poll() is None and time.monotonic() < deadline
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        caught_midway += beside.exists()
        found = storage.read(path, kind="test")
        assert (found["filled"] == found["n"]).all()
        assert found["noise"][0] == np.random.default_rng(found["n"]).random()
        assert storage.facts(path, kind="test")["n"] == found["n"]
    elsewhere = tmp_path / ".x.h5.another-node-1.part"
    elsewhere.touch()
    storage.write(path, {}, kind="test")
    assert sorted(tmp_path.iterdir()) == sorted([path, elsewhere])


def test_attributes_are_plain_json(tmp_path):
    storage.write(tmp_path / "x.h5", {}, kind="test", seed=3)
    with h5py.File(tmp_path / "x.h5") as file:
        assert json.loads(file.attrs["seed"]) == 3
        assert file.attrs["kind"] == "test"


def test_a_file_that_grows_is_the_one_written_at_once(tmp_path):
    images = np.random.default_rng(0).random((70, 40, 30)).astype(np.float32)
    names = np.array(["a", "b"])
    with storage.growing(tmp_path / "grown.h5", kind="images", source="x") as add:
        for start in (0, 33, 34):
            stop = {0: 33, 33: 34, 34: 70}[start]
            add({"images": images[start:stop]})
        add({"names": names, "pixel_unit": "nm", "labels": None})
    data = {"images": images, "names": names, "pixel_unit": "nm"}
    storage.write(tmp_path / "whole.h5", data, kind="images", source="x")
    grown, whole = (storage.read(tmp_path / f"{n}.h5", kind="images") for n in ("grown", "whole"))
    assert grown.keys() == whole.keys()
    np.testing.assert_array_equal(grown["images"], images)
    assert storage.facts(tmp_path / "grown.h5", kind="images")["source"] == "x"
    with h5py.File(tmp_path / "grown.h5") as file:
        assert file["images"].attrs["text"]


def test_a_file_that_grows_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    def grow():
        with storage.growing(tmp_path / "x.h5", kind="images") as add:
            add({"images": np.zeros((5, 8, 8))})
            monkeypatch.setattr("shutil.disk_usage", lambda folder: Full())
            add({"images": np.zeros((5, 8, 8))})

    class Full:
        free = 2**20

    with pytest.raises(OSError, match="No space left") as caught:
        grow()
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_some_rows_are_read_in_the_order_asked_for(tmp_path):
    values = np.arange(1000.0).reshape(500, 2)
    storage.write(tmp_path / "x.h5", {"a": values}, kind="test")
    for index in ([3, 1, 1, 2], [499, 0, 250, 0], []):
        index = np.array(index, int)
        found = storage.take(tmp_path / "x.h5", "a", index, kind="test")
        np.testing.assert_array_equal(found, values[index])
    parts = list(storage.blocks(tmp_path / "x.h5", "a", 200, kind="test"))
    assert [len(part) for part in parts] == [200, 200, 100]
    np.testing.assert_array_equal(np.concatenate(parts), values)


def test_large_datasets_can_be_left_out(tmp_path):
    storage.write(tmp_path / "x.h5", {"a": np.ones(3), "b/c": 2}, kind="test")
    assert set(storage.read(tmp_path / "x.h5", kind="test", without=("a",))) == {"b/c"}
