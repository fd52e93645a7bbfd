import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from trainables.data.errors import DataError
from trainables.data.folders import find_files, refuse_identical

ACCEPTED = "a folder of text"


def fill(root: Path, *names: str) -> str:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return str(root)


def is_text(path: Path) -> bool:
    return path.suffix == ".txt"


def test_files_are_found_below_and_sorted(tmp_path: Path):
    names = [f"{folder}/{number}.txt" for folder in ("b", "a/deep", "a") for number in range(4)]
    folder = find_files(fill(tmp_path, *names), is_text, ACCEPTED)
    assert folder.names(folder.files) == sorted(names)
    assert folder.notes == ()
    assert folder.labels(folder.files) == ["a"] * 4 + ["deep"] * 4 + ["b"] * 4


def test_one_folder_gives_no_labels(tmp_path: Path):
    folder = find_files(fill(tmp_path, *[f"all/{number}.txt" for number in range(10)]), is_text, ACCEPTED)
    assert folder.labels(folder.files) is None


def test_litter_does_not_count_and_others_are_named(tmp_path: Path):
    litter = [".DS_Store", "._0.txt", "Thumbs.db", "desktop.ini", ".cache/1.txt", "__MACOSX/2.txt", "DICOMDIR"]
    others = [f"table{number}.csv" for number in range(12)]
    wanted = [f"{number}.txt" for number in range(10)]
    folder = find_files(fill(tmp_path, *litter, *others, *wanted), is_text, ACCEPTED)
    assert folder.names(folder.files) == wanted
    (note,) = folder.notes
    assert note.startswith("left out are 12 files of another kind: table0.csv; ")
    assert note.endswith("and 2 more")


def test_links_to_folders_are_followed_once(tmp_path: Path):
    fill(tmp_path / "elsewhere", *[f"{number}.txt" for number in range(10)])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "data")
    folder = find_files(str(tmp_path / "data"), is_text, ACCEPTED)
    assert folder.names(folder.files) == [f"linked/{number}.txt" for number in range(10)]


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fill(tmp_path, *[f"{number}.txt" for number in range(10)], "secret/10.txt")
    scandir = os.scandir

    def denied(path: str) -> Iterator[os.DirEntry]:
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(DataError, match=r"secret cannot be listed \(Permission denied\)"):
        find_files(str(tmp_path), is_text, ACCEPTED)


def test_names_in_latin_1_are_read_as_such(tmp_path: Path):
    """As an old archive unpacks them; names in UTF-8 stay as they are."""
    for kind in (b"h\xe9", "bü".encode()):
        folder = os.path.join(os.fsencode(tmp_path), kind)
        os.mkdir(folder)
        for number in range(6):
            with open(os.path.join(folder, b"%d\xdf.txt" % number), "w"):
                pass
    with open(os.path.join(os.fsencode(tmp_path), b"n\xf6te.csv"), "w"):
        pass
    folder = find_files(str(tmp_path), is_text, ACCEPTED)
    assert folder.labels(folder.files) == ["bü"] * 6 + ["hé"] * 6
    assert folder.names(folder.files)[0] == "bü/0ß.txt"
    assert folder.notes == ("left out are 1 file of another kind: nöte.csv",)


def test_companions_are_no_samples(tmp_path: Path):
    names = [f"{number}{kind}.txt" for number in range(10) for kind in ("", "_mask")]
    folder = find_files(fill(tmp_path, *names), is_text, ACCEPTED, lambda path: path.stem.endswith("_mask"))
    assert len(folder.files) == len(folder.companions) == 10
    assert folder.notes == ()


def test_sources_that_are_no_folder_of_ten(tmp_path: Path):
    def refused(source: Path) -> list[str]:
        with pytest.raises(DataError) as error:
            find_files(str(source), is_text, ACCEPTED)
        assert error.value.source == str(source)
        return error.value.problems

    accepted = f"accepted is {ACCEPTED}"
    assert refused(tmp_path / "absent") == [f"no such folder; {accepted}"]
    empty = "the folder is empty; at least 10 are needed, a fifth of them for validation"
    assert refused(tmp_path) == [empty, accepted]
    fill(tmp_path, *[f"{number}.txt" for number in range(9)], "table.csv")
    few = "9 files; at least 10 are needed, a fifth of them for validation"
    assert refused(tmp_path) == [few, "1 file of another kind: table.csv", accepted]
    assert refused(tmp_path / "0.txt") == [f"a file, expected a folder; {accepted}"]


def test_identical_samples_are_refused():
    x = np.ones((12, 1, 3, 3), np.uint8)
    with pytest.raises(DataError, match="all 12 samples are identical"):
        refuse_identical("folder", x)
    x[11, 0, 2, 2] = 0
    refuse_identical("folder", x)
