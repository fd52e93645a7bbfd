"""Fit the probability that z is ignored on the recorded sweeps of each model, and measure it on sweeps left out.

    python benchmarks/forecast.py            print the table, write trainables/collapse.json
    python benchmarks/forecast.py --check    print the table alone

Peers: a fit on the sweeps of all other models, which shows that it does not carry over; theory alone (collapse is
foretold where no eigenvalue of the data exceeds σ²; ranked by σ²/λ₁), and scikit-learn's logistic regression on
σ²/λ₁ alone.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from sweeps import forecasting
from sweeps.records import journal, record
from sweeps.records.folder import sweeps_in
from trainables import collapse, definition
from trainables.data.cache import prepare
from trainables.forecast import Budget, Forecaster

RECORDED = Path(__file__).resolve().parents[1] / "analysis" / "recorded"
SURE = 0.9
Foretell = Callable[[np.ndarray, np.ndarray, np.ndarray], Sequence[float]]


@dataclass(frozen=True)
class Trials:
    """Recorded trials whose end is known, N of them."""

    seen: np.ndarray  # (N, features)
    collapsed: np.ndarray  # (N,)
    theory: np.ndarray  # (N,): no unit active at the optimum
    sweep: np.ndarray  # (N,) names
    model: np.ndarray  # (N,) names

    def of(self, chosen: np.ndarray) -> Trials:
        """Those that are `chosen`, (N,) bool."""
        return Trials(*(getattr(self, field.name)[chosen] for field in fields(self)))


def recorded(data: Path) -> Trials:
    """Every trial of `analysis/recorded`; the embedded data are made anew in folder `data`."""
    rows = [row for path in sweeps_in(RECORDED) for row in _of_sweep(path.path, data)]
    seen, collapsed, theory, sweep, model = zip(*rows, strict=True)
    return Trials(np.array(seen), np.array(collapsed, float), np.array(theory), np.array(sweep), np.array(model))


def _of_sweep(folder: Path, data: Path) -> list[tuple[tuple[float, ...], bool, bool, str, str]]:
    config = record.read(folder).config
    model = definition.load(config.model)
    dataset = prepare(model.reader, config.data, data, config.data_settings())
    forecaster = Forecaster.of(model, dataset, Budget(len(dataset.train), config.epochs))
    trials, rows = journal.read(folder).trials, []
    for number, collapsed in forecasting.outcomes(folder).items():
        forecast = forecaster.forecast(trials[number].config)
        if forecast is not None:
            rows.append((forecast.features, collapsed, forecast.collapsed, folder.name, config.model))
    return rows


def by_collapse(seen: np.ndarray, collapsed: np.ndarray, left_out: np.ndarray) -> list[float]:
    """The probabilities of the trials `left_out`, by a fit on the others."""
    fitted = collapse.fit(seen, collapsed)
    return [fitted.probability(row) for row in left_out]


def by_ratio(seen: np.ndarray, collapsed: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """The same by scikit-learn's logistic regression on the first feature."""
    return LogisticRegression().fit(seen[:, :1], collapsed).predict_proba(left_out[:, :1])[:, 1]


def left_out(trials: Trials, groups: np.ndarray, foretell: Foretell, same_model: bool) -> np.ndarray:
    """The probability of every trial from those of other groups, of its model alone or of all; NaN without any."""
    found = np.full(len(groups), np.nan)
    for group in np.unique(groups):
        inside = groups == group
        others = ~inside & (trials.model == trials.model[inside][0]) if same_model else ~inside
        if others.any():
            found[inside] = foretell(trials.seen[others], trials.collapsed[others], trials.seen[inside])
    return found


def score(probability: np.ndarray, trials: Trials) -> dict[str, float | int | None]:
    """AUC over all trials that have a probability and in the mean over sweeps, and what is foretold for sure."""
    known = np.isfinite(probability)
    probability, trials = probability[known], trials.of(known)
    sick = trials.collapsed == 1
    within = [
        roc_auc_score(trials.collapsed[inside], probability[inside])
        for inside in (trials.sweep == name for name in np.unique(trials.sweep))
        if 0 < trials.collapsed[inside].sum() < inside.sum()
    ]
    sure = probability > SURE
    return {
        "trials": len(sick),
        "auc": round(float(roc_auc_score(trials.collapsed, probability)), 4),
        "auc_within_sweeps": round(float(np.mean(within)), 4),
        "brier": round(float(np.mean((probability - trials.collapsed) ** 2)), 4),
        "sure": int(sure.sum()),
        "false_alarms": int((sure & ~sick).sum()),
        "foreseen": int(((probability > 0.5) & sick).sum()),
        "wrongly_foretold": int(((probability > 0.5) & ~sick).sum()),
    }


def show(rows: dict[str, dict[str, float | int | None]], trials: Trials) -> None:
    """Print the table."""
    sick = int(trials.collapsed.sum())
    table = Table(title=f"{len(trials.collapsed)} trials of {len(np.unique(trials.sweep))} sweeps, {sick} collapsed")
    names = (
        "",
        "trials",
        "AUC",
        "AUC within sweeps",
        "Brier",
        f"p > {SURE}",
        "of them wrong",
        "foreseen",
        "wrongly foretold",
    )
    for name in names:
        table.add_column(name, justify="left" if not name else "right")
    for name, row in rows.items():
        table.add_row(name, *(f"{value}" for value in row.values()))
    Console(width=118).print(table)


def main(check: bool = False) -> None:
    """Fit, measure, and unless `check` write."""
    with tempfile.TemporaryDirectory() as data:
        trials = recorded(Path(data))
    measured = {"sweeps left out": score(left_out(trials, trials.sweep, by_collapse, same_model=True), trials)}
    peers = {
        "models left out": score(left_out(trials, trials.model, by_collapse, same_model=False), trials),
        "theory alone, sharp": score(trials.theory.astype(float), trials),
        "σ²/λ₁ alone, sweeps left out": score(left_out(trials, trials.sweep, by_ratio, same_model=True), trials),
    }
    show(measured | peers, trials)
    if not check:
        told = {"features": list(collapse.FEATURES), "left_out": measured["sweeps left out"], "models": fits(trials)}
        collapse.FILE.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def fits(trials: Trials) -> dict[str, dict[str, Any]]:
    """The fit of every model of which at least two sweeps are recorded."""
    found = {}
    for model in np.unique(trials.model):
        inside = trials.model == model
        sweeps = np.unique(trials.sweep[inside]).tolist()
        if len(sweeps) > 1:
            found[model] = collapse.fit(trials.seen[inside], trials.collapsed[inside], sweeps).to_dict()
    return found


if __name__ == "__main__":
    tyro.cli(main)
