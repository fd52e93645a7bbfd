"""python -m analysis replay: which scheduler would have done best on what was recorded?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from analysis.replay.curves import Curves
    from analysis.replay.output import Replay
    from sweeps.schedulers import Spec

EPOCHS = 100  # of a made-up trial
FIGURES = (".svg", ".png", ".pdf")
MORE = ("asha:grace=0.15", "asha-stopping:grace=0.15")  # beside every scheduler as it is
WIDTH = 110  # columns of a table that does not go to a terminal


def _named(metavar: str) -> Any:
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


@dataclass(frozen=True)
class ReplayCommand:
    """Replay schedulers over recorded learning curves, in simulated time and many random orders, and recommend one.

    Only trials that were trained to their end can be replayed: record a sweep with --scheduler none for it.
    """

    logs: Annotated[tuple[str, ...], tyro.conf.Positional, _named("[LOG ...]")] = ()
    """Sweeps by name, their folders, a folder of sweeps, or Parquet files with the columns of an epoch log."""
    scheduler: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, _named("NAME[:KEY=VALUE,...]")] = ()
    """asha, asha-stopping, health-asha, hyperband, median, none or pasha, as --scheduler of sweeps/run.py takes it,
    with other settings after a colon, as in health-asha:eta=4,grace=0.1,patience=3,control=0, where grace and control
    are shares. May be repeated (default: each of them, and both forms of asha with grace=0.15)."""
    synthetic: Annotated[int | None, _named("TRIALS")] = None
    """Replay that many made-up trials instead of a log."""
    epochs: Annotated[int | None, _named("INT")] = None
    """Epochs of a made-up trial (default: 100)."""
    workers: int = 4
    """Trials at once."""
    orders: int = 200
    """Random orders in which the trials are suggested."""
    seed: int = 0
    """Of the orders, the controls, the bootstrap and the made-up curves."""
    metric: Annotated[str | None, _named("TEXT")] = None
    """Metric to rank trials by (default: the sweep's first)."""
    mode: Annotated[Literal["max", "min"] | None, _named("{max,min}")] = None
    """Whether more of the metric is better (default: as in the sweep, or max)."""
    storage: Path = Path("results")
    """The folder that holds the sweeps."""
    format: Literal["table", "json", "md"] = "table"
    """What to print."""
    figure: Annotated[Path | None, _named("FILE")] = None
    """Draw the regret against the epochs spent into this file (.svg, .png or .pdf)."""


def run(command: ReplayCommand) -> int:
    """The exit code: 0, or 2 with every problem told if the replay is not possible."""
    from trainables.data.errors import DataError

    specs, problems = _specs(command)
    problems += _problems(command)
    if not problems:
        try:
            replay = _replay(_curves(command), specs, command)
        except DataError as error:
            problems.append(str(error))
        else:
            _print(replay, command.format)
            problems += _draw(replay, command.figure)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 2 if problems else 0


def _specs(command: ReplayCommand) -> tuple[list[Spec], list[str]]:
    from sweeps.schedulers import known, parse

    specs, problems = [], []
    for text in dict.fromkeys(command.scheduler or (*known(), *MORE)):
        try:
            specs.append(parse(text))
        except ValueError as error:
            problems.append(str(error))
    return specs, problems


def _problems(command: ReplayCommand) -> list[str]:
    checks = [
        (command.workers >= 1, f"--workers {command.workers}: expected at least 1"),
        (command.orders >= 1, f"--orders {command.orders}: expected at least 1"),
        (command.seed >= 0, f"--seed {command.seed}: expected 0 or more"),
        (command.epochs is None or command.epochs >= 2, f"--epochs {command.epochs}: expected at least 2"),
        (command.synthetic is not None or command.epochs is None, "--epochs is of made-up trials: see --synthetic"),
        (
            command.synthetic is None or (command.metric is None and command.mode is None),
            "--metric and --mode are of logs: made-up trials have val/elbo_gain, max",
        ),
        (
            command.synthetic is None or command.synthetic >= 2,
            f"--synthetic {command.synthetic}: expected at least 2",
        ),
        (
            bool(command.logs) != (command.synthetic is not None),
            "expected either LOGS, as in: python -m analysis replay NAME, or --synthetic TRIALS",
        ),
        (
            command.figure is None or command.figure.suffix in FIGURES,
            f"--figure {command.figure}: expected a file that ends in {', '.join(FIGURES)}",
        ),
    ]
    return [problem for fine, problem in checks if not fine]


def _curves(command: ReplayCommand) -> Curves:
    from analysis.replay import logs, synthetic

    if command.synthetic is not None:
        return synthetic.generate(command.synthetic, command.epochs or EPOCHS, command.seed)
    return logs.read(command.logs, command.storage, command.metric, command.mode)


def _replay(curves: Curves, specs: list[Spec], command: ReplayCommand) -> Replay:
    import numpy as np

    from analysis.replay import regret
    from analysis.replay.output import Replay, Result
    from analysis.replay.recommend import recommend
    from analysis.replay.simulate import Variant

    truth = regret.truth(curves)
    rng = np.random.default_rng(command.seed)
    orders = [rng.permutation(len(curves)).tolist() for _ in range(command.orders)]
    results = []
    with _progress(len(specs) * (len(orders) + 1)) as advance:
        for spec in specs:
            variant, measures = Variant(spec, curves), []
            for number, order in enumerate(orders):
                ends = variant.ends(command.seed + number, order, command.workers)
                measures.append(regret.measure(ends, truth))
                advance()
            results.append(
                Result(
                    spec.text,
                    regret.summarise(measures, truth, command.seed),
                    regret.regret_curve(measures, truth, command.seed),
                )
            )
        recommended = recommend(curves, truth, specs, command.workers, advance)
    return Replay(curves, truth, results, command.workers, command.orders, recommended)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr, on a terminal only; yields what advances it."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("replaying", total=total)
        yield lambda: progress.advance(task)


def _print(replay: Replay, form: str) -> None:
    from rich.console import Console

    from analysis.replay import output

    if form == "table":
        Console(width=None if sys.stdout.isatty() else WIDTH).print(output.table(replay), highlight=False)
    else:
        print({"json": output.as_json, "md": output.markdown}[form](replay))


def _draw(replay: Replay, path: Path | None) -> list[str]:
    """The problem, if the figure cannot be written."""
    if path is None:
        return []
    from analysis.replay import figure

    try:
        figure.draw(replay, path)
    except OSError as error:
        return [f"--figure {path}: {error}"]
    return []
