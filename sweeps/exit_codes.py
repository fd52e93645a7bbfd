"""How a sweep ended, as the exit status of `sweeps/run.py`."""

from enum import IntEnum


class ExitCode(IntEnum):
    """0: finished with a healthy best trial; the rest tell what was wrong apart."""

    FINISHED = 0
    FAILED = 1  # every trial failed, or the orchestration itself did
    REFUSED = 2  # bad settings or data, or the cluster cannot run it; nothing was started
    NO_HEALTHY_TRIAL = 3  # all trials ended, none of them healthy
    INTERRUPTED = 130  # by a signal; `--resume NAME` goes on
