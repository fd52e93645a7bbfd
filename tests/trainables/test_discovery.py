"""What lies in a folder is found there."""

from __future__ import annotations

from sweeps.schedulers.base import Scheduler
from sweeps.tracking.trackers.base import Tracker
from trainables.discovery import subclasses_in


def test_every_class_with_the_attribute_of_its_own_is_found_once_and_the_base_is_not():
    found = subclasses_in("sweeps.schedulers", Scheduler, "name")
    assert len(found) == len(set(found))
    assert Scheduler not in found
    assert {"asha", "pasha", "none"} <= {kind.name for kind in found}
    assert {kind.__name__ for kind in subclasses_in("sweeps.tracking.trackers", Tracker, "schemes")} == {
        "Mlflow", "TensorBoard",
    }  # fmt: skip
