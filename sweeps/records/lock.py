"""One process at a time, on a folder that several hosts share. Needs no lock of the file system, which NFS lacks."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

POLL = 0.2  # seconds between two looks of one who waits


class Held(RuntimeError):
    """Another process holds the lock; the message says which, and what to do if it is dead."""


@contextmanager
def exclusive(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold the lock `path`, a file that is there as long as it is held and names its holder.

    The lock of a process of this host that has died is taken over. Whether one of another host lives cannot be known
    here: it is told.

    Raises:
        Held: another process holds it, and `wait` is False.
    """
    lock = SoftFileLock(path, poll_interval=POLL)
    while True:
        try:
            with _alone_on_this_host(path):
                _acquire(lock)
            break
        except Timeout:
            if not wait:
                raise Held(_holder(path)) from None
            try:
                lock.acquire(timeout=POLL)
                break
            except Timeout:
                continue
    try:
        yield
    finally:
        lock.release()


def of_the_dead(path: Path) -> bool:
    """True if the file `path` names a process of this host, by number and host, that has died."""
    named = _named(path)
    if named is None or named[1] != socket.gethostname():
        return False
    try:
        os.kill(named[0], 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's, alive
        return False
    return False


def _acquire(lock: SoftFileLock) -> None:
    """Take it, from a dead process of this host too. The library does so where the file system can exchange two
    names, which NFS cannot."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not of_the_dead(Path(lock.lock_file)):
            raise
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.acquire(timeout=0)


def _alone_on_this_host(path: Path) -> FileLock:
    """Held while a lock is taken over, so that no two processes of this host remove each other's."""
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    return FileLock(Path(tempfile.gettempdir()) / f"vae-sweeps-{os.getuid()}-{name}.lock")


def holder(path: Path) -> str | None:
    """Who holds the lock, in a sentence; None if nobody does, or who did is known to be dead."""
    return _holder(path) if path.exists() and not of_the_dead(path) else None


def _named(path: Path) -> tuple[int, str] | None:
    """Process and host in the lock's file; None where it does not say."""
    try:
        process, host = path.read_text().splitlines()[:2]
        return int(process), host
    except (OSError, ValueError):
        return None


def _holder(path: Path) -> str:
    named = _named(path)
    if named is None:
        return f"{path} is held by a process that it does not name; if there is none, remove that file"
    process, host = named
    if host == socket.gethostname():
        return f"process {process} of this host holds {path}"
    return f"process {process} of host {host} holds {path}; if it is dead, remove that file"
