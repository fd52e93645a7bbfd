"""Where the epochs go: schedulers on the recorded trials, by number of trials and slots.

    python benchmarks/search.py                       the table
    python benchmarks/search.py --json rows.json      the rows as well, all numbers parts of 1
    python benchmarks/search.py --trials 36 --slots 4 --replicates 100

Ours are the objects that a live sweep runs. Optuna's pruners are run by Optuna itself, which hears the recorded score
after every epoch and is asked whether to prune. Warm is a sweep whose trials the recorded sweeps of the model with
other seeds have ordered and foretold (`sweeps/memory.py`). Every model counts the same; intervals are over
replicates, which draw trials and order (`analysis/replay/cells.py`).
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import tyro
from rich.console import Console
from rich.table import Table

from analysis.replay.cells import SHARES, Make, Pool, Replicate, mean_and_interval, pools, replicates
from sweeps.schedulers import DEFAULT, parse
from sweeps.schedulers.base import GO_ON, RUNG, Decision, Row, Scheduler, Task, stop
from sweeps.schedulers.settings import Settings

RECORDED = Path(__file__).resolve().parents[1] / "analysis" / "recorded"
OURS = (
    "health-asha",
    "none",
    "median",
    *(f"{form}:grace={grace}" for form in ("asha", "asha-stopping") for grace in (0.05, 0.15, 0.33)),
    "hyperband",
    "pasha",
)
OPTUNA: dict[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "SuccessiveHalvingPruner": lambda epochs: optuna.pruners.SuccessiveHalvingPruner(),
    "HyperbandPruner": lambda epochs: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs),
    "MedianPruner": lambda epochs: optuna.pruners.MedianPruner(),
    "PatientPruner": lambda epochs: optuna.pruners.PatientPruner(optuna.pruners.MedianPruner(), patience=3),
}


class Pruned(Scheduler[Settings]):
    """A pruner of Optuna's, asked by Optuna's own trials."""

    name = ""

    def __init__(self, task: Task, pruner: optuna.pruners.BasePruner) -> None:
        super().__init__(task)
        self.study = optuna.create_study(direction="maximize", pruner=pruner)
        self.trials: dict[int, optuna.Trial] = {}

    def start(self, trial: int, control: bool = False) -> None:
        """Optuna begins a trial."""
        self.trials[trial] = self.study.ask()

    def decide(self, trial: int, row: Row) -> Decision:
        """Report and ask."""
        told = self.trials[trial]
        told.report(row.score, row.epoch)
        if not told.should_prune():
            return GO_ON
        self.study.tell(told, state=optuna.trial.TrialState.PRUNED)
        return stop(RUNG, f"pruned at epoch {row.epoch}")

    def end(self, trial: int, row: Row) -> Decision:
        """Its value is that of its last epoch."""
        told, finite = self.trials[trial], math.isfinite(row.score)
        state = optuna.trial.TrialState.COMPLETE if finite else optuna.trial.TrialState.FAIL
        self.study.tell(told, row.score if finite else None, state=state)
        return GO_ON


def makers() -> dict[str, Make]:
    """Every scheduler by name."""
    ours = {text: parse(text).make for text in OURS}
    peers = {name: lambda task, new=new: Pruned(task, new(task.epochs)) for name, new in OPTUNA.items()}
    return ours | {f"Optuna {name}": make for name, make in peers.items()}


def row(name: str, warm: bool, trials: int, slots: int, found: dict[str, list[Replicate]]) -> dict[str, Any]:
    """The numbers of a cell: every model counts the same."""

    def over_models(value: Callable[[Replicate], float]) -> tuple[float, float, float]:
        parts = [mean_and_interval([value(one) for one in of_model]) for of_model in found.values()]
        low, high = (math.sqrt(sum((part[0] - part[side]) ** 2 for part in parts)) for side in (1, 2))
        mean = float(np.mean([part[0] for part in parts]))
        return mean, mean - low / len(parts), mean + high / len(parts)

    regrets = {share: over_models(lambda one, at=at: one.regret[at]) for at, share in enumerate(SHARES)}
    everything = [one for of_model in found.values() for one in of_model]
    return {
        "scheduler": name,
        "warm": warm,
        "trials": trials,
        "slots": slots,
        "regret": {f"{share:g}": regrets[share][0] for share in SHARES},
        "interval": {f"{share:g}": regrets[share][1:] for share in SHARES},
        "share_to_1_percent": float(np.median([one.spent_to_found for one in everything])),
        "hit": over_models(lambda one: one.hit)[0],
        "best_stopped": over_models(lambda one: not one.hit)[0],
        "saved": over_models(lambda one: one.saved)[0],
        "models": sorted(found),
        "replicates": len(everything),
    }


def show(rows: list[dict[str, Any]]) -> None:
    """Print a table a cell."""
    for trials, slots in dict.fromkeys((row["trials"], row["slots"]) for row in rows):
        cell = [row for row in rows if (row["trials"], row["slots"]) == (trials, slots)]
        models = ", ".join(cell[0]["models"])
        table = Table(title=f"{trials} trials, {slots} slots: regret in % of the range, {models}")
        for name in ("", *(f"at {share:.0%}" for share in SHARES), "best finished", "saved", "to 1 %"):
            table.add_column(name, justify="right" if name else "left", no_wrap=True)
        for row in cell:
            regrets = [
                f"{100 * row['regret'][share]:.1f} ({100 * low:.0f}–{100 * high:.0f})"
                for share, (low, high) in row["interval"].items()
            ]
            reached = row["share_to_1_percent"]
            table.add_row(
                f"{row['scheduler']}, warm" if row["warm"] else row["scheduler"],
                *regrets,
                f"{row['hit']:.0%}",
                f"{row['saved']:.0%}",
                f"{reached:.0%}" if math.isfinite(reached) else "–",
            )
        Console(width=170).print(table)


def main(
    recorded: Path = RECORDED,
    trials: tuple[int, ...] = (12, 36, 100, 200),
    slots: tuple[int, ...] = (2, 4, 16),
    replicates: int = 50,
    schedulers: tuple[str, ...] = (),
    json: Path | None = None,
) -> None:
    """Replay.

    Args:
        recorded: Folder of recorded sweeps, MODEL-SEED each.
        trials: Sizes of the sweeps; a model with fewer recorded trials is left out of that size.
        slots: Trials at once.
        replicates: Of every model in every cell.
        schedulers: Only those.
        json: File for the rows.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    chosen = {name: make for name, make in makers().items() if not schedulers or name in schedulers}
    rows = [row for cell in cells(pools(recorded), chosen, trials, slots, replicates) for row in cell]
    show(rows)
    if json is not None:
        json.write_text(_dumped(rows), encoding="utf-8")


def cells(
    found: list[Pool], chosen: dict[str, Make], trials: tuple[int, ...], slots: tuple[int, ...], count: int
) -> Any:
    """The rows of every cell for which there are enough trials."""
    for size in trials:
        large_enough = [pool for pool in found if len(pool) >= size]
        for width in slots if large_enough else ():

            def played(pool: Pool, make: Make, warm: bool, size: int = size, width: int = width) -> list[Replicate]:
                return replicates(pool, make, size, width, count, pool.foretold if warm else None)

            yield [
                row(name, warm, size, width, {pool.model: played(pool, make, warm) for pool in large_enough})
                for name, make in chosen.items()
                for warm in ((False, True) if name == DEFAULT else (False,))
            ]


def _dumped(rows: list[dict[str, Any]]) -> str:
    return json.dumps([row | {"share_to_1_percent": _or_none(row["share_to_1_percent"])} for row in rows], indent=1)


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    tyro.cli(main)
