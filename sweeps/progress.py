"""One live view of a running sweep; plain lines where there is no terminal."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sweeps.records.journal import TrialRecord
from sweeps.records.outcomes import Status
from sweeps.run_state import SweepRun
from sweeps.tracking.process import TrackingProcess

REFRESH_SECONDS = 1.0
PLAIN_SECONDS = 30.0
SHOWN = 12  # running and latest trials in the table


class Progress:
    """Shows a `SweepRun` while its context is open."""

    def __init__(self, run: SweepRun, tracking: TrackingProcess, console: Console) -> None:
        self.run, self.tracking, self.console = run, tracking, console
        self.started = time.monotonic()
        self.ended_before = sum(record.status.ended for record in run.records.values())
        self._stop = threading.Event()
        self._told: set[int] = {trial for trial, record in run.records.items() if record.status.ended}
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _show(self) -> None:
        if self.console.is_terminal:
            with Live(console=self.console, auto_refresh=False, transient=True) as live:
                while not self._stop.wait(REFRESH_SECONDS):
                    live.update(self._table(), refresh=True)
            return
        spoken = time.monotonic()
        while not self._stop.wait(REFRESH_SECONDS):
            self._tell_ended()
            if time.monotonic() - spoken >= PLAIN_SECONDS:
                spoken = time.monotonic()
                self.console.print(self._summary().plain, highlight=False, soft_wrap=True)
        self._tell_ended()

    def _tell_ended(self) -> None:
        with self.run.lock:
            ended = [record for record in self.run.records.values() if record.status.ended]
        for record in ended:
            if record.trial not in self._told:
                self._told.add(record.trial)
                what = f"{record.status} {record.reason}".strip()
                line = f"trial {record.trial}: {what} after epoch {record.epoch}, {self._score_text(record)}"
                self.console.print(
                    line + (f" ({record.detail})" if record.detail else ""), highlight=False, soft_wrap=True
                )

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for column, is_number in (
            ("trial", True), ("state", False), ("epoch", True), (self.run.config.metric[0], True),
            ("health", False), ("why", False),
        ):  # fmt: skip
            table.add_column(column, justify="right" if is_number else "left")
        with self.run.lock:
            records = list(self.run.records.values())
            running = [record for record in records if record.status is Status.RUNNING]
            ended = sorted((r for r in records if r.status.ended), key=lambda r: r.ended_at or 0.0)
            for record in running + ended[len(ended) - min(len(ended), max(0, SHOWN - len(running))) :]:
                row = self.run.latest.get(record.trial, {})
                table.add_row(
                    f"{record.trial}", record.status.lower(), f"{record.epoch}/{self.run.config.epochs}",
                    self._score_text(record), _health_text(row), f"{record.reason} {record.detail}"[:70],
                )  # fmt: skip
        return Group(self._summary(), table)

    def _summary(self) -> Text:
        with self.run.lock:
            records = list(self.run.records.values())
            best = self.run.best_so_far()
            sick = sum(r.status is Status.STOPPED and r.reason.is_sickness for r in records)
            saved = sum(self.run.config.epochs - r.epoch for r in records if r.status is Status.STOPPED)
            states = Counter(record.status.lower() for record in records)
            waiting = self.run.to_start
        parts = [f"{count} {state}" for state, count in sorted(states.items())]
        parts += [f"{waiting} to come"] * (waiting > 0) + [f"{sick} collapsed or sick", f"{saved} epochs saved"]
        if best is not None:
            health = _health_text(self.run.latest[best])
            parts.append(f"best trial {best}: {self._score_text(self.run.records[best])}, {health}")
        if left := self._time_left(records):
            parts.append(f"about {left} left")
        return Text(", ".join(parts) + ". " + self.tracking.status_line())

    def _score_text(self, record: TrialRecord) -> str:
        value = self.run.best.get(record.trial, {}).get(self.run.config.metric[0], math.nan)
        return "–" if math.isnan(value) else f"{value:.4f}"

    def _time_left(self, records: list[TrialRecord]) -> str:
        """From the pace so far; stops to come are not foreseen, so it is on the high side."""
        ended = sum(record.status.ended for record in records) - self.ended_before
        elapsed = time.monotonic() - self.started
        if ended < 2:
            return ""
        seconds = elapsed / ended * self.run.remaining
        return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"


def _health_text(row: Mapping[str, Any]) -> str:
    """What the verdict looks at: the codes in use of a codebook, active units and raw KL (nats) of a posterior."""
    if "health/codebook_usage" in row:
        return f"{row['health/codebook_usage']:.0%} of the codes"
    return f"AU {row['health/au']:.0f}, KL {row['health/kl_raw']:.1f}" if "health/au" in row else ""
