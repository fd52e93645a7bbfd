"""One process at a time holds a lock; that of a dead one of this host is taken over, that of another host is told."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sweeps.records import lock

HOLD = """
import sys, time
from pathlib import Path
from sweeps.records import lock
with lock.exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


LIKE_NFS = "import filelock._soft; filelock._soft.exchange_names = lambda source, target: False"


@pytest.fixture(params=["", LIKE_NFS], ids=["exchanges names", "refuses to"])
def file_system(request, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of two kinds; the second leaves the taking over to us. The code that makes it so in another process."""
    if request.param:
        monkeypatch.setattr("filelock._soft.exchange_names", lambda source, target: False)
    return request.param


@pytest.fixture
def held(tmp_path: Path):
    path = tmp_path / "driver.lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield path, process
    process.kill()
    process.communicate()


def test_a_living_holder_is_named_and_a_killed_one_is_followed(held, file_system):
    path, process = held
    with pytest.raises(lock.Held, match=f"process {process.pid} of this host"), lock.exclusive(path):
        pass
    process.kill()
    process.wait()
    with lock.exclusive(path):
        assert path.exists()
    assert not path.exists()


def test_who_waits_comes_next(held, file_system):
    path, process = held

    def kill() -> None:
        process.kill()
        process.wait()

    timer = threading.Timer(0.5, kill)
    timer.start()
    with lock.exclusive(path, wait=True):
        timer.join()
        assert process.returncode < 0
    assert not path.exists()


COUNT = """
import sys
from pathlib import Path
from sweeps.records import lock
counter = Path(sys.argv[1])
for _ in range(20):
    with lock.exclusive(counter.with_suffix(".lock"), wait=True):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_several_that_wait_for_a_dead_one_go_one_by_one(held, file_system):
    path, process = held
    process.kill()
    process.wait()
    counter = path.with_suffix(".txt")
    counter.write_text("0")
    waiting = [subprocess.Popen([sys.executable, "-c", file_system + COUNT, str(counter)]) for _ in range(3)]
    assert [each.wait() for each in waiting] == [0, 0, 0]
    assert counter.read_text() == "60"


def test_a_lock_of_another_host_is_told(tmp_path: Path):
    path = tmp_path / "driver.lock"
    path.write_text("7\nelsewhere\n")
    with (
        pytest.raises(lock.Held, match=r"process 7 of host elsewhere .*; if it is dead, remove that file"),
        lock.exclusive(path),
    ):
        pass
    assert path.exists()
