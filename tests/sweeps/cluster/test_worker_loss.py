"""What is said of dead workers, and Ray Tune's own reading of it."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import pytest
from ray._private import serialization
from ray._private.serialization import SerializationContext
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.core.generated.common_pb2 import ErrorType, RayErrorInfo
from ray.exceptions import OutOfMemoryError

from sweeps.cluster.worker_loss import explain, survive_memory_monitor

MONITOR = (
    "Failure # 1 (occurred at 2026-11-21_09-52-30)\n"
    "2 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2, ID: ed1f) was "
    "7.62GB used / 23.54GB limit (0.323722)\nOOM kill reason: Memory usage 8140476416B exceeded threshold"
)
DIED = "The actor died unexpectedly before finishing this task.\n\tpid: 17765\nThe actor is dead because its {}"
KILLED = DIED.format("worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: … (1) OOM killer")
NODE = DIED.format("node has died. Node Id: 3088c1d7")


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (MONITOR, "OUT_OF_MEMORY", "ran out of memory (7.62GB of 23.54GB used); run fewer trials at once"),
        (KILLED, "WORKER_LOST", "its process was killed, perhaps by the kernel for want of memory"),
        (NODE, "WORKER_LOST", "its node died"),
        ("Failure # 1\nModuleNotFoundError: No module named 'x'\n", "WORKER_LOST", "No module named 'x'"),
        ("", "WORKER_LOST", "no cause given"),
    ],
)
def test_an_end_is_explained_in_a_sentence(error: str, reason: str, words: str) -> None:
    found, detail = explain(error)
    assert found == reason
    assert words in detail
    assert "\n" not in detail


def test_the_memory_monitor_does_not_break_off_ray_tune(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialization, "OutOfMemoryError", OutOfMemoryError)  # restored afterwards
    survive_memory_monitor()
    told = RayErrorInfo(error_message=MONITOR)
    monkeypatch.setattr(SerializationContext, "_deserialize_error_info", lambda self, data, metadata: told)
    error = SerializationContext(None)._deserialize_object(
        b"", str(ErrorType.Value("OUT_OF_MEMORY")).encode(), object_ref=None, out_of_band_tensors=None
    )
    heard: list[str] = []
    manager = RayActorManager(SimpleNamespace(free_resources=lambda acquired_resource: heard.append("freed")))
    actor = TrackedActor(0, on_error=lambda actor, error: heard.append("actor"))
    manager._live_actors_to_ray_actors_resources[actor] = (None, None)
    task = TrackedActorTask(actor, on_error=lambda actor, error: heard.append("task"))
    manager._actor_task_failed(task, error)
    assert heard == ["freed", "actor", "task"]
    assert not error.preempted
    assert explain(str(pickle.loads(pickle.dumps(error)))) == explain(MONITOR)
