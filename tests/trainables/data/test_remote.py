"""Data at an address, tried against a local S3 server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.data.cache import prepare
from trainables.data.errors import DataError
from trainables.data.remote import ADDRESSES, FOLDER, fetched
from trainables.data.user import UserReader

boto3 = pytest.importorskip("boto3", reason="pip install 'vae-sweeps[test]'")
server = pytest.importorskip("moto.server", reason="pip install 'vae-sweeps[test]'")
pytest.importorskip("s3fs", reason="pip install 'vae-sweeps[s3]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    s3 = server.ThreadedMotoServer(port=0)
    s3.start()
    host, port = s3.get_host_and_port()
    yield f"http://{host}:{port}"
    s3.stop()


@pytest.fixture
def bucket(address: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    found = boto3.resource("s3").create_bucket(Bucket="scans")
    yield found
    found.objects.all().delete()
    found.delete()


def put(bucket: Any, name: str, count: int = 20, seed: int = 0) -> None:
    file = io.BytesIO()
    np.save(file, np.random.default_rng(seed).random((count, 6), np.float32))
    bucket.put_object(Key=name, Body=file.getvalue())


def changed(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.npy")}


def test_a_file_is_prepared_under_its_address_once_and_again_when_it_changes(bucket: Any, tmp_path: Path) -> None:
    reader, source = UserReader("mine", None, ""), "s3://scans/a/x.npy"
    put(bucket, "a/x.npy")
    dataset = prepare(reader, source, tmp_path)
    assert (len(dataset), dataset.source) == (20, source)
    assert prepare(reader, source, tmp_path).path == dataset.path
    put(bucket, "a/x.npy", count=30, seed=1)
    assert len(prepare(reader, source, tmp_path)) == 30


def test_of_a_folder_only_what_changed_is_fetched_again_and_what_is_gone_goes(bucket: Any, tmp_path: Path) -> None:
    for name in ("set/a.npy", "set/sub/b.npy", "set/c.npy", "other/d.npy"):
        put(bucket, name)
    folder = fetched("s3://scans/set", tmp_path)
    first = changed(folder)
    assert sorted(first) == ["a.npy", "b.npy", "c.npy"]
    assert (folder / "sub" / "b.npy").is_file()
    put(bucket, "set/a.npy", seed=1)
    bucket.Object("set/c.npy").delete()
    assert fetched("s3://scans/set", tmp_path) == folder
    second = changed(folder)
    assert sorted(second) == ["a.npy", "b.npy"]
    assert second["b.npy"] == first["b.npy"]
    assert second["a.npy"] > first["a.npy"]


def test_an_interrupted_fetch_goes_on(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    monkeypatch.setattr("trainables.data.remote.AT_ONCE", 2)
    for number in range(6):
        put(bucket, f"set/{number}.npy")
    get, calls = s3fs.S3FileSystem.get, []

    def interrupted(system: Any, remote: list[str], local: list[str]) -> None:
        calls.append(remote)
        if len(calls) == 3:
            raise KeyboardInterrupt
        get(system, remote, local)

    monkeypatch.setattr(s3fs.S3FileSystem, "get", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetched("s3://scans/set", tmp_path)
    folder = fetched("s3://scans/set", tmp_path)
    assert [len(each) for each in calls] == [2, 2, 2, 2]
    assert len(changed(folder)) == 6


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("s3://scans/none", "FileNotFoundError: there is no file at this address"),
        ("s3://absent/x", "FileNotFoundError"),
        ("nowhere://x/y", "Protocol not known: nowhere"),
    ],
)
def test_what_cannot_be_fetched_is_refused_in_a_line(bucket: Any, tmp_path: Path, source: str, why: str) -> None:
    with pytest.raises(DataError) as refused:
        fetched(source, tmp_path)
    assert refused.value.source == source
    assert why in refused.value.problems[0]
    assert len(refused.value.problems) == 1


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import fsspec

    def absent(*arguments: Any, **options: Any) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", absent)
    with pytest.raises(DataError, match=r"Install s3fs to access S3: pip install 'vae-sweeps\[s3\]'"):
        fetched("s3://scans/x", tmp_path)


def test_what_is_wrong_with_fetched_data_is_said_of_its_address(bucket: Any, tmp_path: Path) -> None:
    put(bucket, "small.npy", count=3)
    with pytest.raises(DataError, match=r"cannot use the data s3://scans/small\.npy") as refused:
        prepare(UserReader("mine", None, ""), "s3://scans/small.npy", tmp_path)
    assert FOLDER not in str(refused.value)


def test_a_function_of_the_users_reads_addresses_itself(tmp_path: Path) -> None:
    seen: list[str | None] = []

    def data(source: str | None) -> np.ndarray:
        seen.append(source)
        return np.random.default_rng(0).random((20, 4), np.float32)

    assert prepare(UserReader("mine", data, "ab"), "s3://theirs/x", tmp_path).source == "s3://theirs/x"
    assert seen == ["s3://theirs/x"]


@pytest.mark.parametrize(
    ("source", "is_one"), [("s3://b/x", True), ("https://h/x.npz", True), ("C:/x", False), ("a", False)]
)
def test_what_is_an_address(source: str, is_one: bool) -> None:
    assert (source in ADDRESSES) is is_one
