import os
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.data.cache import cache_path, prepare
from trainables.data.errors import DataError
from trainables.data.grids import GridReader
from trainables.data.samples import Samples
from trainables.data.splitting import split


class Reader(GridReader):
    """Reads grids and counts how often it does."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, source: str, settings: Mapping[str, Any]) -> Samples:
        self.reads += 1
        return super().read(source, settings)

    def embedded(self, settings: Mapping[str, Any]) -> Samples:
        self.reads += 1
        return super().embedded(settings)


class FolderReader(Reader):
    """Reads a folder of .npy files, one a sample."""

    name = "folder"

    def read(self, source: str, settings: Mapping[str, Any]) -> Samples:
        self.reads += 1
        return Samples(np.stack([np.load(path) for path in sorted(Path(source).iterdir())]), source)


@pytest.fixture
def source(x_NRCD: np.ndarray, tmp_path: Path) -> str:
    np.save(tmp_path / "grids.npy", x_NRCD)
    return str(tmp_path / "grids.npy")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results" / "data"


def test_read_once(x_NRCD: np.ndarray, source: str, root: Path):
    reader = Reader()
    first = prepare(reader, source, root)
    second = prepare(reader, source, root)
    assert reader.reads == 1
    assert first.path == second.path
    assert first.source == source
    np.testing.assert_array_equal(second.x, x_NRCD)
    expected = GridReader.statistics(Samples(x_NRCD, source), split(len(x_NRCD)).train)
    for name, value in expected.items():
        np.testing.assert_array_equal(second.statistics[name], value)


def test_relative_and_absolute_paths_are_one_source(source: str, root: Path, monkeypatch: pytest.MonkeyPatch):
    reader = Reader()
    prepare(reader, source, root)
    monkeypatch.chdir(Path(source).parent)
    prepare(reader, "grids.npy", root)
    assert reader.reads == 1


def test_a_changed_source_is_read_again_and_the_old_data_stay(x_NRCD: np.ndarray, source: str, root: Path):
    reader = Reader()
    first = prepare(reader, source, root)
    state = os.stat(source)
    np.save(source, x_NRCD + 1)
    os.utime(source, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    second = prepare(reader, source, root)
    assert reader.reads == 2
    assert first.fingerprint != second.fingerprint
    assert first.path.exists()
    np.testing.assert_array_equal(first.x + 1, second.x)


def test_another_version_of_the_reader_reads_again(source: str, root: Path):
    reader = Reader()
    prepare(reader, source, root)
    reader.version = 99
    prepare(reader, source, root)
    assert reader.reads == 2


def test_named_and_embedded_data(root: Path):
    reader = Reader()
    for _ in range(2):
        embedded, digits = prepare(reader, None, root), prepare(reader, "digits", root)
    assert reader.reads == 2
    assert (embedded.embedded, embedded.shape) == (True, (6, 6, 512))
    assert (digits.embedded, digits.shape, digits.source) == (False, (4, 4, 4), "digits")


def test_a_folder_is_known_by_its_files(x_NRCD: np.ndarray, root: Path, tmp_path: Path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for index, x in enumerate(x_NRCD):
        np.save(folder / f"{index:02d}.npy", x)
    reader = FolderReader()
    prepare(reader, str(folder), root)
    prepare(reader, str(folder), root)
    assert reader.reads == 1
    (folder / "00.npy").unlink()
    assert len(prepare(reader, str(folder), root)) == len(x_NRCD) - 1


@pytest.mark.parametrize("keep", [0, 100, -10])
def test_a_damaged_file_is_made_again(x_NRCD: np.ndarray, source: str, root: Path, keep: int):
    path = prepare(GridReader, source, root).path
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    dataset = prepare(GridReader, source, root)
    np.testing.assert_array_equal(dataset.x, x_NRCD)
    assert path.read_bytes() == whole


def test_nothing_is_kept_of_a_refused_source(x_NRCD: np.ndarray, source: str, root: Path):
    np.save(source, x_NRCD[:3])
    with pytest.raises(DataError, match="3 samples"):
        prepare(GridReader, source, root)
    assert not root.exists()


def _start(source: str, root: Path) -> str:
    return prepare(GridReader, source, root).fingerprint


def test_concurrent_starts(x_NRCD: np.ndarray, source: str, root: Path):
    with get_context("spawn").Pool(3) as pool:
        prints = pool.starmap(_start, [(source, root)] * 12, chunksize=1)
    assert set(prints) == {prepare(GridReader, source, root).fingerprint}
    assert len(list(root.iterdir())) == 1


def test_other_settings_read_again(source: str, root: Path):
    reader = Reader()
    for settings in ({"image_size": 4}, {"image_size": 8}, {"image_size": 8, "strict": True}, {"image_size": 4}):
        prepare(reader, source, root, settings)
    assert reader.reads == 3


def test_a_subset_is_a_fixed_choice(x_NRCD: np.ndarray, source: str, root: Path):
    few = prepare(GridReader, source, root, {"subset": 10})
    assert len(few) == 10
    assert all(any(np.array_equal(x, one) for one in x_NRCD) for x in few.x)
    assert few.fingerprint == prepare(GridReader, source, root / "other", {"subset": 10}).fingerprint
    with pytest.raises(DataError, match="4 samples"):
        prepare(GridReader, source, root, {"subset": 4})


def test_a_change_in_a_linked_folder_is_seen_and_a_loop_of_links_ends(x_NRCD: np.ndarray, root: Path, tmp_path: Path):
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    np.save(elsewhere / "0.npy", x_NRCD[0])
    (folder / "link").symlink_to(elsewhere)
    (elsewhere / "loop").symlink_to(folder)
    before = cache_path(Reader(), str(folder), root, {})
    assert before == cache_path(Reader(), str(folder), root, {})
    np.save(elsewhere / "1.npy", x_NRCD[1])
    assert cache_path(Reader(), str(folder), root, {}) != before
