"""One table of symptoms: what is added to it is known to judge, schedulers, replay, forecast, report and advice."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from analysis import palette, report, stops
from analysis import sweep as sweeps_read
from analysis.replay.verdicts import JudgedVerdicts
from analysis.sweep import Outcome
from sweeps import forecasting, summary
from sweeps.ablation import OUTCOMES
from sweeps.exit_codes import ExitCode
from sweeps.records.journal import TrialRecord
from sweeps.records.outcomes import Status
from sweeps.result import SweepResult
from sweeps.schedulers import parse
from sweeps.schedulers.base import LoggedRow, Task
from tests.analysis.conftest import SweepWriter
from tests.analysis.replay.conftest import SCORE, curves_of
from trainables import health
from trainables.health import SICKNESSES, HealthConfig, Sickness, Symptom, Verdict, judge, looks_sick

NAME = "TEMPLATE"
WELL = {"health/au": 4.0, "health/au_frac": 0.5, "health/dims": 8.0, "health/kl_raw": 5.0, "health/mi": 1.0,
        "health/z_gain": 0.5}  # fmt: skip
FLAT = WELL | {"val/sample_diversity": 0.01}
DETAIL = "samples 0.01 as diverse as data at epoch 3, the same since epoch 2"


@pytest.fixture
def template(monkeypatch) -> Verdict:
    """A verdict, its entry in the table and the symptom that shows it, as one adds them to `trainables/health.py`."""
    verdict = str.__new__(Verdict, NAME)
    verdict._name_ = verdict._value_ = NAME
    monkeypatch.setattr(Verdict, "_member_names_", [*Verdict._member_names_, NAME])
    monkeypatch.setitem(Verdict._member_map_, NAME, verdict)
    monkeypatch.setitem(Verdict._value2member_map_, NAME, verdict)
    symptom = Symptom(
        verdict,
        shows=lambda metric, config: metric("val/sample_diversity") < 0.1,
        explain=lambda row, config: f"samples {row['val/sample_diversity']:g} as diverse as data",
        counts=lambda row: True,
    )
    told = Sickness(health.COLLAPSE, lambda config: "its samples are all alike", "Draw them apart", "#1", "#2", "X")
    monkeypatch.setattr(health, "SYMPTOMS", (*health.SYMPTOMS, symptom))
    monkeypatch.setitem(SICKNESSES, verdict, told)
    return verdict


def rows(*changes: dict) -> list[dict]:
    return [{"epoch": epoch, SCORE: 0.1} | change for epoch, change in enumerate(changes, start=1)]


def test_every_verdict_that_a_symptom_has_is_told():
    assert set(SICKNESSES) == set(Verdict) - {Verdict.HEALTHY, Verdict.GRACE, Verdict.OTHER}
    assert {symptom.verdict for symptom in health.SYMPTOMS} | {Verdict.NUMERIC} == set(SICKNESSES)
    assert {Outcome(sickness.outcome) for sickness in SICKNESSES.values()} <= set(palette.STYLES)
    for sickness in SICKNESSES.values():
        assert sickness.rule(HealthConfig())
        assert not sickness.cure.endswith(".")


def test_the_rule_tells_the_thresholds():
    rule = SICKNESSES[Verdict.COLLAPSED].rule
    assert rule(HealthConfig()).startswith(
        "no unit is active and its raw KL is below 0.1 nats or its z gain below 0.01"
    )
    assert rule(HealthConfig(au_frac_floor=0.1)).startswith("less than 10% of the units are active")


def test_the_judge_knows_a_new_symptom(template):
    found = judge(rows(WELL, FLAT, FLAT), 20)
    assert (found.verdict, found.detail) == (template, DETAIL)
    assert found.verdict.condemned
    assert looks_sick(lambda name: FLAT.get(name, float("nan")), HealthConfig())


def test_the_scheduler_lets_it_wait_behind_the_others(template):
    scheduler = parse("health-asha").make(Task(20, SCORE, "max"))
    scheduler.start(1)
    decision = scheduler.on_epoch(
        1, LoggedRow({"epoch": 3, "verdict": NAME, "verdict_detail": DETAIL}, scheduler.task)
    )
    assert decision.pause
    assert (decision.reason, decision.detail) == (template, DETAIL)


def test_the_replay_judges_by_it(template):
    curves = curves_of([[WELL] * 2 + [FLAT] * 4, [WELL] * 6])
    curves = replace(curves, table=curves.table.drop_columns(["verdict", "verdict_detail"]))
    verdicts = JudgedVerdicts(curves, HealthConfig())
    judged = [judge(curves.rows(trial)[: epoch + 1], 6) for trial in range(2) for epoch in range(6)]
    assert [verdicts[at] for at in range(12)] == judged
    assert template in {one.verdict for one in judged}


def test_report_forecast_and_ablation_tell_it(template, tmp_path):
    writer = SweepWriter(tmp_path)
    writer.trial([0.1] * 3, status="STOPPED", reason=NAME, detail=DETAIL, verdicts={3: NAME}, au=3.0)
    writer.trial([0.1] * 5, verdicts={5: NAME}, au=3.0)
    writer.finish()
    sweep = sweeps_read.load(writer.path)
    assert [trial.outcome for trial in sweep.trials] == [Outcome.COLLAPSED] * 2
    assert [trial.condemned_at for trial in sweep.trials] == [3, 5]
    assert stops.controls(sweep).stopped == 1
    page = report.write(writer.path).read_text()
    assert f"<code>{NAME}</code>: a trial is sick when its samples are all alike. Draw them apart." in page
    assert OUTCOMES["outcome/collapsed"](NAME)
    assert not OUTCOMES["outcome/numeric"](NAME)
    stopped = TrialRecord(1, {}, "search", status=Status.STOPPED, reason=NAME)
    assert forecasting._outcome(stopped, {}) is True


def test_the_advice_is_its_cure(template, tmp_path):
    writer = SweepWriter(tmp_path)
    writer.trial([0.1] * 5, verdicts={5: NAME}, au=3.0)
    writer.finish()
    told = io.StringIO()
    summary.show(Console(file=told, width=200), SweepResult(writer.path, ExitCode.NO_HEALTHY_TRIAL, ""))
    assert "Draw them apart, or give the trials more epochs." in told.getvalue()
