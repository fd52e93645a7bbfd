import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from trainables.data.errors import DataError
from trainables.data.samples import Samples
from trainables.data.splitting import split
from trainables.data.store import Dataset, open_dataset, write_dataset

STATISTICS = {"std_floor": np.float32(0.25), "fixed_mean": np.arange(24, dtype=np.float32).reshape(2, 3, 4)}


@pytest.fixture
def samples(x_NRCD: np.ndarray) -> Samples:
    labels = [f"class {index % 2}" for index in range(len(x_NRCD))]
    return Samples(x_NRCD, "grids.npy", labels, notes=("peculiar",), embedded=True)


@pytest.fixture
def dataset(samples: Samples, tmp_path: Path) -> Dataset:
    write_dataset(tmp_path / "data.arrow", samples, STATISTICS)
    return open_dataset(tmp_path / "data.arrow")


def test_round_trip(samples: Samples, dataset: Dataset, tmp_path: Path):
    assert dataset.path == tmp_path / "data.arrow"
    assert dataset.x.dtype == np.float32
    np.testing.assert_array_equal(dataset.x, samples.x)
    assert dataset.labels == samples.labels
    assert (dataset.source, dataset.notes, dataset.embedded) == ("grids.npy", ("peculiar",), True)
    assert (len(dataset), dataset.shape) == (12, (2, 3, 4))
    assert dataset.statistics.keys() == STATISTICS.keys()
    for name, value in STATISTICS.items():
        np.testing.assert_array_equal(dataset.statistics[name], value)
        assert dataset.statistics[name].shape == value.shape
    assert [path.name for path in tmp_path.iterdir()] == ["data.arrow"]


def test_no_labels(samples: Samples, tmp_path: Path):
    write_dataset(tmp_path / "data.arrow", replace(samples, labels=None), {})
    assert open_dataset(tmp_path / "data.arrow").labels is None


def test_samples_are_a_read_only_view_of_the_file(dataset: Dataset):
    assert not dataset.x.flags.owndata
    assert dataset.x.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        dataset.x[0] = 0
    batch = dataset.x[dataset.train[:3]]
    assert batch.flags.owndata
    assert batch.flags.writeable


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_opening_reads_no_sample(tmp_path: Path):
    """Of 64 MB, opening brings less than one into memory, and touching all of it brings all: the measure works."""
    x = np.random.default_rng(0).standard_normal((1000, 4, 4, 1000), np.float32)
    write_dataset(tmp_path / "data.arrow", Samples(x, "generated"), {})
    write_dataset(tmp_path / "small.arrow", Samples(x[:10], "generated"), {})
    program = """
import sys
from trainables.data.store import open_dataset
def resident():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("RssFile")).split()[1]) * 1024
libraries_loaded = open_dataset(sys.argv[2])
before = resident()
dataset = open_dataset(sys.argv[1])
opened = resident()
dataset.x.sum()
print(opened - before, resident() - opened)
"""
    command = [sys.executable, "-c", program, *(str(tmp_path / name) for name in ("data.arrow", "small.arrow"))]
    root = Path(__file__).parents[3]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    opening, reading = (int(value) for value in result.stdout.split())
    assert opening < 1e6
    assert reading > 0.9 * x.nbytes


def test_pickles_as_its_path(dataset: Dataset):
    content = pickle.dumps(dataset)
    assert len(content) < 1000
    np.testing.assert_array_equal(pickle.loads(content).x, dataset.x)


def test_split_is_stored(dataset: Dataset):
    for found, expected in zip((dataset.train, dataset.val, dataset.test), split(12), strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.int64


def test_fingerprint_tells_samples_and_labels_not_names(samples: Samples, tmp_path: Path):
    changed = samples.x.copy()
    changed[5, 1, 2, 3] = np.nextafter(changed[5, 1, 2, 3], np.float32(np.inf))
    variants = {
        "same": replace(samples, source="elsewhere.npy"),
        "value": replace(samples, x=changed),
        "shape": replace(samples, x=samples.x.reshape(12, 3, 2, 4)),
        "labels": replace(samples, labels=["x", *samples.labels[1:]]),
        "no labels": replace(samples, labels=None),
    }
    prints = {}
    for name, variant in {"first": samples, **variants}.items():
        write_dataset(tmp_path / name, variant, {})
        prints[name] = open_dataset(tmp_path / name).fingerprint
    assert prints.pop("same") == prints["first"]
    assert len(set(prints.values())) == len(prints)
    assert all(len(value) == 64 for value in prints.values())


def test_too_few_samples_are_refused(samples: Samples, tmp_path: Path):
    with pytest.raises(DataError, match=r"grids\.npy:\n  - 9 samples; at least 10 are needed"):
        write_dataset(tmp_path / "data.arrow", replace(samples, x=samples.x[:9]), {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("keep", [0, 7, 100, 0.5, -1])
def test_a_truncated_file_is_refused(dataset: Dataset, keep: float):
    content = dataset.path.read_bytes()
    cut = int(keep * len(content)) if 0 < keep < 1 else keep
    broken = dataset.path.with_name("broken.arrow")
    broken.write_bytes(content[:cut])
    with pytest.raises(DataError, match=r"broken\.arrow:\n  - not a complete data set file"):
        open_dataset(broken)


@pytest.mark.parametrize("part", [b"statistic/std_floor", b'"parts": [8', b"class 1class"])
def test_a_changed_byte_outside_the_samples_is_noticed(dataset: Dataset, part: bytes):
    content = bytearray(dataset.path.read_bytes())
    assert part in content
    content = content.replace(part, part[:-1] + bytes([part[-1] ^ 1]))
    broken = dataset.path.with_name("broken.arrow")
    broken.write_bytes(content)
    with pytest.raises(DataError, match="checksum does not match"):
        open_dataset(broken)


def test_files_that_are_something_else_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="not a complete data set file"):
        open_dataset(tmp_path / "absent.arrow")
    batch = pa.record_batch({"x": [1.0]})
    with pa.ipc.new_file(str(tmp_path / "other.arrow"), batch.schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(DataError, match="not a complete data set file"):
        open_dataset(tmp_path / "other.arrow")


def test_another_version_is_refused(samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("trainables.data.store.FORMAT_VERSION", 99)
    write_dataset(tmp_path / "data.arrow", samples, {})
    monkeypatch.undo()
    with pytest.raises(DataError, match="format version 99, expected 3"):
        open_dataset(tmp_path / "data.arrow")


def test_bytes_stay_bytes_and_are_read_as_shares(tmp_path: Path):
    x = np.arange(12 * 4, dtype=np.uint8).reshape(12, 1, 2, 2)
    write_dataset(tmp_path / "bytes.arrow", Samples(x, "bytes"), {})
    dataset = open_dataset(tmp_path / "bytes.arrow")
    assert dataset.x.dtype == np.uint8
    read = dataset.read(np.array([3, 0]))
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, x[[3, 0]] / 255)


def test_classes_and_environments(tmp_path: Path):
    labels, places = list("baacbabcabca"), ["north", "south"] * 6
    samples = Samples(np.zeros((12, 2), np.float32), "places", labels, environments=places)
    write_dataset(tmp_path / "places.arrow", samples, {})
    dataset = open_dataset(tmp_path / "places.arrow")
    assert dataset.classes.tolist() == ["abc".index(label) for label in labels]
    assert dataset.environment(1).tolist() == [False, True] * 6
    with pytest.raises(DataError, match=r"no environment 2; expected 0 to 1 \(north, south\)"):
        dataset.environment(2)


def test_without_labels_and_environments(tmp_path: Path):
    write_dataset(tmp_path / "plain.arrow", Samples(np.zeros((10, 2), np.float32), "plain"), {})
    dataset = open_dataset(tmp_path / "plain.arrow")
    assert set(dataset.classes) == {-1}
    assert (dataset.labels, dataset.environments) == (None, None)
    with pytest.raises(DataError, match="no environment 0; the data has none"):
        dataset.environment(0)


def test_seed_0_has_the_stored_split_and_others_their_own_but_for_the_test_part(dataset: Dataset):
    for seed, found in ((0, dataset.split(0)), (7, dataset.split(7))):
        for one, stored in zip(found, (dataset.train, dataset.val, dataset.test), strict=True):
            assert len(one) == len(stored)
        np.testing.assert_array_equal(found.test, dataset.test)
        assert (list(found.train) == list(dataset.train)) is (seed == 0)
