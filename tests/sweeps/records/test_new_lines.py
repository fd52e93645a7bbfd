"""A file that grows, is cut, and is replaced."""

import os

import pytest

from sweeps.records.new_lines import NewLines


@pytest.fixture
def path(tmp_path):
    return tmp_path / "told.jsonl"


def texts(lines: NewLines) -> tuple[list[bytes], bool]:
    found, again = lines.read()
    return [line.text for line in found], again


def test_every_line_is_read_once_and_only_whole(path):
    lines = NewLines(path)
    assert texts(lines) == ([], True)  # not there yet
    path.write_bytes(b"one\ntw")
    assert texts(lines) == ([b"one"], True)
    assert texts(lines) == ([], False)
    with open(path, "ab") as file:
        file.write(b"o\nthree\n")
    found, _ = lines.read()
    assert [str(line) for line in found] == [f"{path}, line 2", f"{path}, line 3"]
    assert texts(lines) == ([], False)


def test_what_a_crash_left_behind_may_be_cut_away(path):
    lines = NewLines(path)
    path.write_bytes(b"one\ntor")
    lines.read()
    os.truncate(path, 4)
    with open(path, "ab") as file:
        file.write(b"two\n")
    assert texts(lines) == ([b"two"], False)


def test_a_shorter_file_and_another_one_are_read_from_their_beginning(path):
    lines = NewLines(path)
    path.write_bytes(b"one\ntwo\n")
    lines.read()
    os.truncate(path, 4)
    assert texts(lines) == ([b"one"], True)
    other = path.with_suffix(".new")
    other.write_bytes(b"1\n2\n3\n")  # as long as, or longer than, what was read
    other.replace(path)
    assert texts(lines) == ([b"1", b"2", b"3"], True)
    path.unlink()
    assert texts(lines) == ([], True)
