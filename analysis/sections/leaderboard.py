"""Every trial with its metrics and hyperparameters, the best first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis import formats, names, tables, targets
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep, Trial
from search_spaces.space import show


@dataclass(frozen=True)
class Column:
    """A metric or hyperparameter; `cells` and `values` (to sort by) by trial number."""

    label: str
    title: str
    kind: str
    cells: dict[int, str]
    values: dict[int, Any]


class Leaderboard(Section):
    title = "Leaderboard"
    order = 60
    template = """\
{% from "macros.html.j2" import mark, trial_number, table_box, left_out %}
<p class="note">Values are those of a trial's best epoch by the first metric, of its last if it ended sick; hyperparameters that are the same in every trial are left out.
Only trials that finished healthy{% if sweep.record.config.require %} and with {{ sweep.record.config.require|join(" and ") }}{% endif %} have a rank.<span class="screen-only"> Click a column to sort within the groups.</span></p>
{{ left_out(shown, sweep.trials|length, "trials, the first of every group") }}
{% call table_box(shown, "wide") %}
<table class="board sortable">
<thead>
<tr class="over"><th colspan="4"></th><th colspan="{{ metrics }}" scope="colgroup">Metrics</th>{% if hyperparameters %}<th colspan="{{ hyperparameters }}" scope="colgroup" class="first">Hyperparameters</th>{% endif %}</tr>
<tr>
<th scope="col" class="number stick">Rank</th><th scope="col" class="stick second">Trial</th><th scope="col">Outcome</th><th scope="col" class="number">Epochs</th>
{% for column in columns %}
<th scope="col" class="{{ "number " if column.kind != "word" }}{{ column.kind }}{{ " first" if loop.index0 in (0, metrics) }}" title="{{ column.title }}">{{ column.label|breakable }}</th>
{% endfor %}
</tr>
</thead>
{% for group, trials in groups %}
<tbody>
<tr class="group"><th colspan="{{ 4 + columns|length }}" scope="rowgroup"><span>{{ group.title }} <small>{{ group.trials|length }}{% if group.note %} · {{ group.note }}{% endif %}</small></span></th></tr>
{% for trial in trials %}
<tr{% if group.ranked and loop.first %} class="best"{% endif %}>
<td class="number stick" data-value="{{ loop.index }}">{% if group.ranked %}{{ loop.index }}{{ "*" if trial.number in front }}{% endif %}</td>
<th scope="row" class="stick second" data-value="{{ trial.number }}">{{ trial_number(trial) }}</th>
<td>{{ mark(trial.outcome) }}</td>
<td class="number">{{ trial.epochs }}</td>
{% for column in columns %}
<td class="{{ "number " if column.kind != "word" }}{{ column.kind }}{{ " first" if loop.index0 in (0, metrics) }}" data-value="{{ column.values.get(trial.number, "") }}">{{ column.cells.get(trial.number, "–") }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
{% endfor %}
</table>
{% endcall %}
{% if front %}<p class="note">* no other healthy trial is at least as good in every metric and better in one.</p>{% endif %}
"""

    def content(self, sweep: Sweep) -> Content | None:
        if not sweep.trials:
            return None
        board = tables.leaderboard(sweep)
        groups = [(group, group.trials[: self.most_rows]) for group in board.groups]
        shown = [trial for _, trials in groups for trial in trials]
        hyperparameters = [_hyperparameter_column(sweep, shown, name) for name in board.hyperparameters]
        objectives = {objective.metric for objective in sweep.objectives}
        metrics = [
            _metric_column(shown, name, "score" if name in objectives else "measure") for name in board.metrics
        ]
        metrics += _targets_column(sweep, shown)
        ranked = [trial for group in board.groups if group.ranked for trial in group.trials]
        front = tables.pareto_front(sweep.objectives, ranked) if len(objectives) > 1 else set()
        return {
            "groups": groups,
            "shown": len(shown),
            "columns": metrics + hyperparameters,
            "metrics": len(metrics),
            "hyperparameters": len(hyperparameters),
            "front": front,
        }


def _metric_column(trials: Sequence[Trial], metric: str, kind: str) -> Column:
    values = {trial.number: trial.metrics[metric] for trial in trials if metric in trial.metrics}
    title = ": ".join(part for part in (metric, names.meaning(metric)) if part)
    return Column(names.label(metric), title, kind, _cells(values, 4 if kind == "score" else 3), values)


def _targets_column(sweep: Sweep, trials: Sequence[Trial]) -> list[Column]:
    """How many of the model's stated targets each trial meets; no column where none is stated."""
    counts = {trial.number: counted for trial in trials if (counted := targets.count(sweep, trial)).measured}
    if not counts:
        return []
    title = "how many of the numbers that the model's source states for success the trial meets; never ranked by"
    cells = {number: f"{counted.met} of {counted.measured}" for number, counted in counts.items()}
    return [Column("targets", title, "measure", cells, {number: one.met for number, one in counts.items()})]


def _hyperparameter_column(sweep: Sweep, trials: Sequence[Trial], name: str) -> Column:
    parameter = sweep.parameters.get(name)
    values = {trial.number: trial.record.config[name] for trial in trials if name in trial.record.config}
    title = ", ".join(part for part in (parameter.doc, parameter.unit) if part) if parameter else ""
    kind = "word" if any(isinstance(value, str) for value in values.values()) else "setting"
    cells = _cells(values, 3, parameter is not None and parameter.kind == "log")
    cells |= {number: show(value) for number, value in values.items() if value is None}
    return Column(name, title, kind, cells, values)


def _cells(values: dict[int, Any], digits: int = 4, scientific: bool = False) -> dict[int, str]:
    return dict(zip(values, formats.column(list(values.values()), digits, scientific), strict=True))
