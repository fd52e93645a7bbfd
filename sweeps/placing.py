"""The trials of a sweep that has run, from the best to the condemned."""

from __future__ import annotations

import math
from pathlib import Path

from sweeps.config import SweepConfig
from sweeps.records import journal, ranking
from sweeps.records.journal import TrialRecord
from sweeps.records.outcomes import Status
from trainables import epoch_log
from trainables.health import Verdict
from trainables.requirements import unmet

CONDEMNED = 4  # the last group


def placed(config: SweepConfig, folder: Path) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """The trials that were neither condemned nor failed, the best first: those that are ranked, those that miss what
    is required, those that were cut short, those that were not healthy at their end. Then the condemned, in no order.

    Args:
        config: says what ranks and what is required.
        folder: of the sweep.

    Raises:
        LogError: the epochs of a finished trial cannot be read.
    """
    objectives = ranking.objectives(config.metric, config.mode)
    records = journal.read(folder).trials
    groups: dict[int, dict[int, list[float]]] = {group: {} for group in range(CONDEMNED + 1)}
    for trial, record in records.items():
        if (group := _group(config, folder, record)) is not None:
            groups[group][trial] = [record.metrics.get(name, math.nan) for name in config.metric]
    condemned = [records[trial] for trial in groups.pop(CONDEMNED)]
    return [records[trial] for scores in groups.values() for trial in ranking.ranked(objectives, scores)], condemned


def _group(config: SweepConfig, folder: Path, record: TrialRecord) -> int | None:
    """Which of those, from 0; None for a trial that failed or has not ended."""
    if record.status is Status.FINISHED:
        verdict = _verdict(folder, record.trial)
        if verdict is Verdict.HEALTHY:
            return 1 if unmet(config.requirements, record.metrics) else 0
        return CONDEMNED if verdict.condemned else 3
    if record.status is Status.STOPPED:
        return CONDEMNED if record.reason.is_sickness else 2
    return 2 if record.status is Status.INTERRUPTED else None


def _verdict(folder: Path, trial: int) -> Verdict:
    """At the end of the trial."""
    rows = epoch_log.read_trial(folder, trial)
    return Verdict(rows[-1]["verdict"]) if rows else Verdict.GRACE
