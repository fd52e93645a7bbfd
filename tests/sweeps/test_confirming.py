"""The best of a real sweep trained again with further seeds: cut off in the middle, twice, and told at the end."""

from __future__ import annotations

import signal

from analysis import sweep as analysis
from analysis.confirmed import confirmed, verdicts
from sweeps import stopping
from sweeps.exit_codes import ExitCode
from sweeps.records.outcomes import Status
from sweeps.result import recorded_result
from tests.sweeps.conftest import ROOT, TIMEOUT, Sweeps

MODEL = str(ROOT / "examples" / "my_vae.py")
QUICK = (
    "--set",
    "hidden=16",
    "--space",
    "kl_weight=0.2..1",
    "--trials",
    "3",
    "--epochs",
    "12",
    "--confirm",
    "1",
    "--max-concurrent",
    "1",
)


def test_a_confirmation_outlives_its_driver_and_an_orderly_stop(sweeps: Sweeps) -> None:
    def ended() -> int:
        return sum(trial.status.ended for trial in sweeps.state("one/confirm").trials.values())

    first = sweeps.start(MODEL, *QUICK, *sweeps.untracked, "--name", "one", tiny=False)
    sweeps.wait(first, lambda: ended() >= 1, seconds=TIMEOUT)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before, searched = ended(), sweeps.state("one").trials
    assert before < 10
    assert recorded_result(sweeps.folder("one")).resumable

    second = sweeps.start("--resume", "one", tiny=False)
    sweeps.wait(second, lambda: ended() > before, seconds=TIMEOUT)
    stopping.ask("one", str(sweeps.storage))
    output, _ = second.communicate(timeout=TIMEOUT)
    assert second.returncode == ExitCode.INTERRUPTED, output
    assert "of the confirmation: interrupted" in output
    assert "Go on: python sweeps/run.py --resume one" in output

    code, output = sweeps.run_alone("--resume", "one", tiny=False)
    assert code == ExitCode.FINISHED, output
    again = sweeps.state("one/confirm").trials
    assert [trial.status for trial in again.values()] == [Status.FINISHED] * 10
    assert sorted(trial.seed for trial in again.values()) == [seed for seed in (1, 2, 3, 4, 5) for _ in range(2)]
    assert all("test/elbo_gain" in trial.metrics for trial in again.values())
    assert sweeps.state("one").trials == searched
    assert not any("test/elbo_gain" in trial.metrics for trial in searched.values())

    read = analysis.load(sweeps.folder("one"))
    told = verdicts(confirmed(read))
    assert told[0].startswith("Confirmed: ")
    assert all(line in output for line in told)
    result = recorded_result(sweeps.folder("one"))
    assert not result.resumable
    assert result.confirmed.winner.record.origin == result.confirmed.leader.name
    assert '<section id="confirmed"' in (sweeps.folder("one") / "report.html").read_text()
    card = (result.export() / "README.md").read_text()
    assert "one/confirm" in card
    assert told[0] in card
    assert f"seed {result.confirmed.winner.record.seed}" in card
    assert result.model() is not None
