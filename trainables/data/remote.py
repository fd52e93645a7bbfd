"""Data at an address (s3://, gs://, hf://, https:// …): its files are fetched once, and those that change again.

Which addresses there are, and how to log in, is fsspec's affair: environment variables and files of each service.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainables.data.errors import DataError, first_line
from trainables.files import write_text

FOLDER = "fetched"  # of the prepared data: a folder an address, and what that held of each file when it was fetched
AT_ONCE = 64  # files
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "hf": "hf"}


class Addresses:
    """All addresses, as a collection: what a reader reads by itself."""

    def __contains__(self, source: object) -> bool:
        return isinstance(source, str) and _SCHEME.match(source) is not None


ADDRESSES = Addresses()


def fetched(source: str, cache_root: Path) -> Path:
    """The local copy of the file or folder at the address `source`, as it is there now.

    Raises:
        DataError: there is nothing, it cannot be reached, or a library is missing.
    """
    try:
        return _fetched(source, cache_root / FOLDER / hashlib.sha256(source.encode()).hexdigest()[:16])
    except ImportError as error:
        extra = _EXTRAS.get(source.partition("://")[0].lower())
        cure = f"pip install 'vae-sweeps[{extra}]'" if extra else "install what it names"
        raise DataError(source, [f"{error}: {cure}"]) from error
    except Exception as error:  # each service has errors of its own
        raise DataError(
            source, [f"cannot be fetched: {type(error).__name__}: {first_line(error) or 'no further word'}"]
        ) from error


def _fetched(source: str, folder: Path) -> Path:
    from fsspec.core import url_to_fs

    system, root = url_to_fs(source)
    system.invalidate_cache()
    if system.isfile(root):
        there, above, place = {root: system.info(root)}, root.rpartition("/")[0], folder / Path(root).name
    else:
        there, above, place = system.find(root, detail=True), root, folder
    wanted = {path.removeprefix(above).lstrip("/"): (path, _state(told)) for path, told in there.items()}
    if not wanted:
        raise FileNotFoundError("there is no file at this address")
    if outside := [name for name in wanted if ".." in Path(name).parts or Path(name).is_absolute()]:
        raise ValueError(f"{outside[0]}: expected a path below the address")
    _bring(system, source, wanted, folder)
    return place


def _state(told: Mapping[str, Any]) -> str:
    """Of a file, all that its service tells: size, time, checksum."""
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def _bring(system: Any, source: str, wanted: Mapping[str, tuple[str, str]], folder: Path) -> None:
    """Make `folder` hold the files of `wanted`, each with its path and its state there."""
    folder.mkdir(parents=True, exist_ok=True)
    had = _had(folder)
    for name in had.keys() - wanted.keys():
        (folder / name).unlink(missing_ok=True)
    held = {
        name: state for name, (_, state) in wanted.items() if had.get(name) == state and (folder / name).is_file()
    }
    missing = [name for name in wanted if name not in held]
    for start in range(0, len(missing), AT_ONCE):
        names = missing[start : start + AT_ONCE]
        coming = [folder.with_suffix(".partial") / name for name in names]
        for path in (*coming, *(folder / name for name in names)):
            path.parent.mkdir(parents=True, exist_ok=True)
        system.get([wanted[name][0] for name in names], [str(path) for path in coming])
        for name, path in zip(names, coming, strict=True):
            os.replace(path, folder / name)
            held[name] = wanted[name][1]
        _write_state(folder, source, held)
    _write_state(folder, source, held)
    shutil.rmtree(folder.with_suffix(".partial"), ignore_errors=True)


def _had(folder: Path) -> dict[str, str]:
    path = folder.with_suffix(".json")
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["files"] if path.exists() else {}
    return found


def _write_state(folder: Path, source: str, held: Mapping[str, str]) -> None:
    write_text(folder.with_suffix(".json"), json.dumps({"source": source, "files": held}))
