"""Repeat a tracker's pass until nothing is left to do."""

from __future__ import annotations

import logging
import os
import select
import sys
import time

from sweeps.tracking.trackers.base import Summary, Tracker

POLL_S = 2.0
LONGEST_WAIT_S = 30.0
_log = logging.getLogger("sweeps.tracking")


class Follower:
    """Follows a sweep; its log has one line for every change of fortune.

    Args:
        driver: process id of the sweep's driver, the parent of this process: standard input stays open as long as
            it may have more to send. None if a person started this.
    """

    def __init__(self, tracker: Tracker, driver: int | None) -> None:
        self._tracker = tracker
        self._driver = driver
        self._wait = POLL_S
        self._fortune = ""

    def once(self) -> bool:
        """One pass; True if all there is was sent."""
        summary = self._attempt()
        return summary is not None and not summary.problems

    def follow(self) -> bool:
        """Passes until the sweep has ended, or its driver is gone; True if all there is was sent.

        A server that does not answer is waited for as long as somebody cares: the driver, or who started this.
        """
        while True:
            last = self._driver is not None and _input_closed()
            orphan = os.getppid() != self._driver
            summary = self._attempt(driver_lost=last)
            if summary is None:
                if last and orphan:
                    return False
            elif last or (self._driver is None and summary.ended):
                return not summary.problems
            self._pause(last)

    def _attempt(self, driver_lost: bool = False) -> Summary | None:
        """One pass; None if the server did not answer or is broken."""
        try:
            summary = self._tracker.sync(driver_lost)
        except Exception as error:
            self._note("fails", f"{self._tracker.describe(error)}; trying again")
            return None
        if summary.problems:
            self._note("refuses", f"not everything could be sent: {'; '.join(summary.problems)}")
        else:
            fortune = "complete" if summary.complete else "sent"
            self._note(fortune, f"{summary.runs} runs, {summary.epochs} epochs sent")
        return summary

    def _note(self, fortune: str, line: str) -> None:
        """Log what is new; after a failure wait longer than before it."""
        if fortune != self._fortune:
            _log.info("%s: %s", self._tracker.uri, line)
        self._fortune = fortune
        failed = fortune in ("fails", "refuses")
        self._wait = min(2 * self._wait, LONGEST_WAIT_S) if failed else POLL_S

    def _pause(self, last: bool) -> None:
        """Wait, but no longer than until the driver's last word."""
        if last:
            time.sleep(POLL_S)
        elif self._driver is not None:
            _input_closed(self._wait)
        else:
            time.sleep(self._wait)


def _input_closed(timeout_s: float = 0.0) -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], timeout_s)
    return bool(readable) and not os.read(sys.stdin.fileno(), 1)
