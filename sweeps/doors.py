"""What the command lines share: from parsed options to the exit status, everything told on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from search_spaces import ModelError
from sweeps.config import ConfigError
from sweeps.exit_codes import ExitCode
from sweeps.options import AblationOptions, SweepOptions, flag, given


def refusing(act: Callable[[], int]) -> int:
    """The exit status of `act`; what the user has to mend is told, a line each."""
    try:
        return act()
    except KeyboardInterrupt:  # before a sweep runs: a running one ends in order by itself
        print("interrupted before anything ran", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except (ConfigError, ModelError) as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return ExitCode.REFUSED


def start(options: SweepOptions | AblationOptions) -> int:
    """A new sweep or ablation."""
    from sweeps import api
    from sweeps.console import Console

    return api.start(options, Console()).status


def plan(options: SweepOptions | AblationOptions) -> int:
    """Print what would run."""
    from sweeps import completion
    from sweeps import plan as plans
    from sweeps.console import Console
    from sweeps.driver import Driver
    from sweeps.preparation import prepare

    console = Console()
    driver = Driver(prepare(completion.complete(options)), console)
    console.show(plans.render(driver.plan(), driver.config))
    return ExitCode.FINISHED


def resume(options: SweepOptions | AblationOptions, name: str) -> int:
    """Go on with the sweep called `name`; what is being compared cannot change."""
    from sweeps import api
    from sweeps.console import Console

    return api.go_on(name, options, Console()).status


def extend(options: SweepOptions, name: str) -> int:
    """Go on with the sweep called `name`, and with more trials."""
    from sweeps import api
    from sweeps.console import Console

    return api.go_on_further(name, options, Console()).status


def repeat(options: SweepOptions, trial: str) -> int:
    """Run the trial NAME:k again, alone."""
    from sweeps import api
    from sweeps.console import Console
    from sweeps.repetition import Repetition

    _only(options, ("trial", "storage", "name"), "--trial, which repeats what was recorded")
    return api.repeat(Repetition.parse(trial, options.storage), options.name, Console()).status


def stop(options: SweepOptions, what: str) -> int:
    """Ask the driver of a running sweep to end it, or one of its trials."""
    from sweeps import stopping

    _only(options, ("stop", "storage"), "--stop, which acts on a sweep that runs")
    print(stopping.ask(what, options.storage))
    return ExitCode.FINISHED


def _only(options: SweepOptions, allowed: tuple[str, ...], beside: str) -> None:
    """Refuse every option but those."""
    if more := [flag(each) for each in given(options) if each not in allowed]:
        raise ConfigError([f"{', '.join(more)}: cannot be given with {beside}"])


def new(path: Path) -> int:
    """Write a start for a model of the user's own."""
    from sweeps import new

    new.write(path)
    print(f"Wrote {path}. Look at it, then: python sweeps/run.py {path} --plan")
    return ExitCode.FINISHED
