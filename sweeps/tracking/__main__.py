"""python -m sweeps.tracking SWEEP_FOLDER: send a sweep to MLflow, following it until it has ended.

Ends with exit code 0 when all was sent, 1 if something could not be (SWEEP_FOLDER/mlflow.log says what; run it
again to send the rest), 2 if it was called wrongly.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from sweeps.records import record
from sweeps.records.folder import SweepFolder
from sweeps.records.record import RecordError
from sweeps.tracking import state
from sweeps.tracking.follow import Follower
from sweeps.tracking.process import default_uri
from sweeps.tracking.trackers import open_tracker

_LOWER_PRIORITY = 10


def main() -> int:
    """Read the command line, then send or follow; the exit code."""
    arguments = _arguments()
    sweep = arguments.sweep.resolve()
    try:
        uri = arguments.tracking_uri or record.read(sweep).config.tracking_uri
    except RecordError as error:
        return _refuse(str(error))
    driven = arguments.driver is not None
    os.nice(_LOWER_PRIORITY)
    _log_to(SweepFolder(sweep).mirror_log, terminal=not driven)
    try:
        with state.exclusive(sweep, wait=driven):
            tracker = open_tracker(sweep, uri or default_uri(sweep.parent))
            follower = Follower(tracker, arguments.driver)
            return 0 if (follower.once() if arguments.once else follower.follow()) else 1
    except (ValueError, state.AlreadyMirrored) as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m sweeps.tracking", description="Send a sweep to MLflow.")
    parser.add_argument("sweep", type=Path, metavar="SWEEP_FOLDER", help="for example results/NAME")
    parser.add_argument("--tracking-uri", help="MLflow server or database (default: that of the sweep)")
    parser.add_argument("--once", action="store_true", help="send what is there now instead of following")
    parser.add_argument("--driver", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _log_to(file: Path, terminal: bool) -> None:
    handlers: list[logging.Handler] = [logging.FileHandler(file)]
    if terminal:
        handlers.append(logging.StreamHandler())
    log = logging.getLogger("sweeps.tracking")
    log.setLevel(logging.INFO)
    log.propagate = False
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        log.addHandler(handler)


def _refuse(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
