"""Fit the probability of collapse on the recorded sweeps, and measure it on sweeps and models left out.

    python benchmarks/forecast.py            print the table, write trainables/collapse.json
    python benchmarks/forecast.py --check    print the table alone

Peers, on the same trials: theory alone (collapse is foretold where no eigenvalue of the data exceeds σ²; ranked by
σ²/λ₁), and scikit-learn's logistic regression on σ²/λ₁ alone.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from sweeps import forecasting, journal, record
from sweeps.config import SweepConfig
from trainables import collapse, models
from trainables.data.cache import prepare
from trainables.forecast import Budget, Forecaster

RECORDED = Path(__file__).resolve().parents[1] / "analysis" / "recorded"
SURE = 0.9


@dataclass(frozen=True)
class Trials:
    """Recorded trials whose end is known, N of them."""

    seen: np.ndarray  # (N, features)
    collapsed: np.ndarray  # (N,)
    theory: np.ndarray  # (N,): no unit active at the optimum
    sweep: np.ndarray  # (N,) names
    model: np.ndarray  # (N,) names


def recorded(data: Path) -> Trials:
    """Every trial of `analysis/recorded`; the embedded data are made anew in folder `data`."""
    rows = [row for path in sorted(RECORDED.glob(f"*/{record.FILE}")) for row in _of_sweep(path.parent, data)]
    seen, collapsed, theory, sweep, model = zip(*rows, strict=True)
    return Trials(np.array(seen), np.array(collapsed, float), np.array(theory), np.array(sweep), np.array(model))


def _of_sweep(folder: Path, data: Path) -> list[tuple[tuple[float, ...], bool, bool, str, str]]:
    config = SweepConfig(**record.read(folder)["config"])
    definition = models.load(config.model)
    dataset = prepare(definition.READER, config.data, data, config.data_settings())
    forecaster = Forecaster.of(definition, dataset, Budget(len(dataset.train), config.epochs))
    trials, rows = journal.read(folder).trials, []
    for number, collapsed in forecasting.outcomes(folder).items():
        forecast = forecaster.forecast(trials[number].config)
        if forecast is not None:
            rows.append((forecast.features, collapsed, forecast.collapsed, folder.name, config.model))
    return rows


def left_out(trials: Trials, groups: np.ndarray) -> np.ndarray:
    """The probability of every trial, by a fit without its group."""
    found = np.full(len(groups), np.nan)
    for group in np.unique(groups):
        inside = groups == group
        fitted = collapse.fit(trials.seen[~inside], trials.collapsed[~inside])
        found[inside] = [fitted.probability(row) for row in trials.seen[inside]]
    return found


def ratio_alone(trials: Trials, groups: np.ndarray) -> np.ndarray:
    """As `left_out`, by scikit-learn's logistic regression on the first feature."""
    found = np.full(len(groups), np.nan)
    for group in np.unique(groups):
        inside = groups == group
        fitted = LogisticRegression().fit(trials.seen[~inside, :1], trials.collapsed[~inside])
        found[inside] = fitted.predict_proba(trials.seen[inside, :1])[:, 1]
    return found


def score(probability: np.ndarray, trials: Trials) -> dict[str, float | int | None]:
    """AUC over all trials and in the mean over sweeps, and what is foretold for sure."""
    sick = trials.collapsed == 1
    within = [
        roc_auc_score(trials.collapsed[inside], probability[inside])
        for inside in (trials.sweep == name for name in np.unique(trials.sweep))
        if 0 < trials.collapsed[inside].sum() < inside.sum()
    ]
    sure = probability > SURE
    return {
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
    names = ("", "AUC", "AUC within sweeps", "Brier", f"p > {SURE}", "of them wrong", "foreseen", "wrongly foretold")
    for name in names:
        table.add_column(name, justify="left" if not name else "right")
    for name, row in rows.items():
        table.add_row(name, *(f"{value}" for value in row.values()))
    Console(width=118).print(table)


def main(check: bool = False) -> None:
    """Fit, measure, and unless `check` write."""
    with tempfile.TemporaryDirectory() as data:
        trials = recorded(Path(data))
    fitted = collapse.fit(trials.seen, trials.collapsed, np.unique(trials.model).tolist())
    measured = {"sweeps left out": score(left_out(trials, trials.sweep), trials)}
    if len(np.unique(trials.model)) > 1:
        measured["models left out"] = score(left_out(trials, trials.model), trials)
    peers = {
        "theory alone, sharp": score(trials.theory.astype(float), trials),
        "σ²/λ₁ alone, sweeps left out": score(ratio_alone(trials, trials.sweep), trials),
    }
    show(measured | peers, trials)
    for name, coefficient in zip(("intercept", *collapse.FEATURES), fitted.coefficients, strict=True):
        Console().print(f"{name}: {coefficient:+.2f}", highlight=False)
    if not check:
        sweeps = np.unique(trials.sweep).tolist()
        told = fitted.to_dict() | {"sweeps": sweeps, "trials": len(trials.collapsed), "left_out": measured}
        collapse.FILE.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    tyro.cli(main)
