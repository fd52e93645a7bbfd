"""What was forecast of every trial before its first step, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence

from analysis import figures, formats, tables
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep
from trainables.forecast import MEANING


class Forecast(Section):
    title = "Forecast"
    order = 150
    template = """\
{% from "macros.html.j2" import mark, trial_number, table_box, left_out %}
<p class="note">Before the first step, the spectrum of the data and the weights of the loss forecast how many units are active at the
optimum of the loss (linear theory, Lucas et al. 2019){% if theory %}; trials of earlier sweeps, how probable it is that training ends
with a decoder that ignores z, which counts as forecast from one half on{% endif %}. It stops nothing{% if theory %}; a search that draws all trials up front starts those of one half or more last{% endif %}.</p>
<div class="beside">
{% if figure %}
<figure>
<div role="img" aria-label="Active units forecast against measured, one mark per trial">{{ figure }}</div>
<figcaption>On the dashed line the forecast was exact.
{%- if correlation is not none %} Correlation {{ correlation|number(2) }} over the trials whose outcome is known.{% endif %}</figcaption>
</figure>
{% endif %}
<div>
<table class="confusion">
<caption>{% if confusion.total %}{{ confusion.total|plural("trial") }} whose outcome is known: finished, or stopped as collapsed. Collapse here: z gains the decoder less than 1 %, whatever the number of active units{% else %}No trial's outcome is known yet{% endif %}</caption>
<thead><tr><td></td><th scope="col" class="number">collapsed</th><th scope="col" class="number">did not</th></tr></thead>
<tbody>
<tr><th scope="row">collapse forecast</th><td class="number right">{{ confusion.hits }}</td><td class="number">{{ confusion.false_alarms }}</td></tr>
<tr><th scope="row">not forecast</th><td class="number">{{ confusion.misses }}</td><td class="number right">{{ confusion.clear }}</td></tr>
</tbody>
</table>
{% if confusion.total %}<p>{{ confusion.hits }} of {{ (confusion.hits + confusion.misses)|plural("collapse") }} forecast,
{{ confusion.false_alarms|plural("false alarm") }}{% if theory %}; by theory alone {{ theory.hits }} and {{ theory.false_alarms }}{% endif %}.
{%- if auc is not none %} A trial that collapsed had the larger probability in {{ auc|percent }} of all pairs with one that did not.{% endif %}</p>{% endif %}
{% for reading, meaning in meanings.items() %}<p class="note"><strong>{{ reading }}</strong>: {{ meaning }}</p>
{% endfor %}
</div>
</div>
{{ left_out(rows|length, all, "trials, the first") }}
{% call table_box(rows|length) %}
<table class="sortable">
<thead><tr><th scope="col">Trial</th><th scope="col" class="number" title="effective decoder variance">σ²</th><th scope="col" class="number">AU forecast</th><th scope="col" class="number">AU measured</th><th scope="col" class="number" title="nats; free bits leave open where between a unit rests">KL forecast</th><th scope="col" class="number">KL measured</th>{% if theory %}<th scope="col" class="number" title="that training ends with a decoder that ignores z">p</th>{% endif %}<th scope="col">Forecast</th><th scope="col">Outcome</th></tr></thead>
<tbody>
{% for row in rows %}
{% set i = loop.index0 %}
<tr><th scope="row" data-value="{{ row.trial.number }}">{{ trial_number(row.trial) }}</th>
{% for name in ("sigma2", "forecast_au", "au") %}<td class="number" data-value="{{ row[name] if row[name] is not none }}">{{ cells[name][i] }}</td>{% endfor %}
<td class="number" data-value="{{ row.kl_low if row.kl_low is not none }}">{{ intervals[i] }}</td>
{% for name in ("kl", "probability") if name == "kl" or theory %}<td class="number" data-value="{{ row[name] if row[name] is not none }}">{{ cells[name][i] }}</td>{% endfor %}
<td>{{ row.reading or "–" }}</td><td>{{ mark(row.trial.outcome) }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endcall %}
"""

    def content(self, sweep: Sweep) -> Content | None:
        rows = tables.forecast_outcome(sweep)
        if not rows:
            return None
        fields = ("sigma2", "forecast_au", "au", "kl", "probability")
        shown = rows[: self.most_rows]
        learnt = any(row.probability is not None for row in rows)
        measured = any(row.au is not None for row in rows)
        return {
            "rows": shown,
            "all": len(rows),
            "cells": {name: formats.column([getattr(row, name) for row in shown], digits=3) for name in fields},
            "intervals": _intervals(shown),
            "confusion": tables.confusion(rows),
            "theory": tables.theory_confusion(rows) if learnt else None,
            "auc": tables.probability_auc(rows),
            "meanings": {one: MEANING[one] for one in MEANING if any(row.reading is one for row in rows)},
            "correlation": tables.au_correlation(rows),
            "figure": figures.forecast_and_outcome(sweep) if measured else None,
        }


def _intervals(rows: Sequence[tables.ForecastRow]) -> list[str]:
    """The forecast of the KL, one number where both ends of the interval read the same."""
    ends = formats.column([row.kl_low for row in rows] + [row.kl_high for row in rows], digits=3)
    pairs = zip(ends[: len(rows)], ends[len(rows) :], strict=True)
    return [low if low == high else f"{low}–{high}" for low, high in pairs]
