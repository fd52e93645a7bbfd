"""A scheduler that lets trials wait, live on Ray.

Hyperband of 3 epochs: three trials to epoch 1, the best of them to the end; then the fourth, to the end at once.
"""

from collections import Counter

from sweeps.records.folder import SweepFolder
from sweeps.records.outcomes import Status
from tests.sweeps.conftest import DONE, Sweeps
from trainables import epoch_log

HALVED = ["--trials", "4", "--epochs", "3", "--scheduler", "hyperband", "--search", "random", "--max-concurrent", "1"]


def test_who_waits_is_taken_up_at_its_checkpoint_even_by_another_driver(sweeps: Sweeps) -> None:
    def paused() -> list[int]:
        return [event["trial"] for event in sweeps.events("halved") if event["event"] == "paused"]

    process = sweeps.start(*HALVED, "--name", "halved", *sweeps.untracked)
    sweeps.wait(process, lambda: len(paused()) >= 2, seconds=240)
    process.kill()
    process.wait()
    assert 3 not in paused()
    code, output = sweeps.resume("halved")
    assert code in DONE, output

    assert sorted(paused()) == [1, 2, 3]  # each once: nobody's wait is forgotten or begun again
    records = sweeps.state("halved").trials
    assert Counter(record.status for record in records.values()) == {Status.STOPPED: 2, Status.FINISHED: 2}
    logs = {trial: epoch_log.read_trial(sweeps.folder("halved"), trial) for trial in records}
    assert {trial: [row["epoch"] for row in rows] for trial, rows in logs.items()} == {
        trial: list(range(1, 2 if record.status is Status.STOPPED else 4)) for trial, record in records.items()
    }
    (promoted,) = {1, 2, 3} & {trial for trial, record in records.items() if record.status is Status.FINISHED}
    first = {trial: logs[trial][0]["val/elbo_gain"] for trial in (1, 2, 3)}
    assert promoted == max(first, key=first.__getitem__)
    stopped = [record for record in records.values() if record.status is Status.STOPPED]
    for record in stopped:
        assert record.reason == "RUNG"
        assert record.detail == (
            f"val/elbo_gain {first[record.trial]:.4g} below the cutoff {first[promoted]:.4g} of 3 trials "
            "of its bracket at epoch 1"
        )
    starts = Counter(event["trial"] for event in sweeps.events("halved") if event["event"] == "started")
    assert all(starts[record.trial] == 1 for record in stopped if record.trial != 3)  # 3 may have lost its driver
    assert starts[promoted] >= 2
    assert {path.suffix for path in SweepFolder(sweeps.folder("halved")).epochs.iterdir()} == {".parquet"}
