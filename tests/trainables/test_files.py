"""Files are written whole or not at all."""

import os

import pytest

from trainables.files import replace_file, write_text


def test_the_new_content_replaces_the_old(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    write_text(path, "new: σ²")
    assert path.read_text(encoding="utf-8") == "new: σ²"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_reader_sees_the_old_content_until_the_end(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with replace_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_an_exception_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def fail():
        with replace_file(path) as file:
            file.write(b"half")
            raise RuntimeError("out of ink")

    with pytest.raises(RuntimeError, match="out of ink"):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "nowhere" / "file.txt", "text")
