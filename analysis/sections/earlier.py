"""What earlier sweeps on the same data foretold of the trials, and whether it came true."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from analysis import formats, tables
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep, Trial
from sweeps import remembering
from sweeps.schedulers.agreement import LEAST


class Earlier(Section):
    title = "Earlier sweeps"
    order = 145
    template = """\
{% from "macros.html.j2" import mark, trial_number, table_box, left_out %}
{% for line in said %}
<p>{{ line }}</p>
{% endfor %}
{% if trials %}
<p class="note">A random forest foretells the place of a configuration, from 0 to 1 for the best, from its
hyperparameters and the places that earlier trials took. It orders the trials of a search that draws them all up front,
and counts in the scheduler only once this sweep's own ends show that it agrees with them.
{%- if tau is not none %} Over the {{ compared }} finished trials that are ranked, Kendall's τ of foretold and found is {{ tau|number(2) }} (1: the same order, 0: unrelated).{% endif %}</p>
{{ left_out(trials|length, all, "trials, the first") }}
{% call table_box(trials|length) %}
<table class="sortable">
<thead><tr><th scope="col">Trial</th><th scope="col" class="number">Place foretold</th><th scope="col" class="number">Rank found</th><th scope="col">Outcome</th></tr></thead>
<tbody>
{% for trial in trials %}
<tr><th scope="row" data-value="{{ trial.number }}">{{ trial_number(trial) }}</th>
<td class="number" data-value="{{ trial.record.foretold }}">{{ foretold[loop.index0] }}</td>
<td class="number" data-value="{{ rank.get(trial.number, "") }}">{{ rank.get(trial.number, "–") }}</td>
<td>{{ mark(trial.outcome) }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endcall %}
{% endif %}
"""

    def content(self, sweep: Sweep) -> Content | None:
        said = remembering.read(sweep.folder).said
        told = [trial for trial in sweep.trials if trial.record.foretold is not None]
        if not said and not told:
            return None
        ranked = tables.ranked(sweep.objectives, [trial for trial in sweep.trials if trial.ranked])
        rank = {trial.number: place for place, trial in enumerate(ranked, start=1)}
        told.sort(key=_foretold, reverse=True)
        shown, compared = told[: self.most_rows], [trial for trial in told if trial.number in rank]
        return {
            "said": said,
            "trials": shown,
            "all": len(told),
            "foretold": formats.column([_foretold(trial) for trial in shown], digits=2),
            "rank": rank,
            "compared": len(compared),
            "tau": _agreement(compared, rank) if len(compared) >= LEAST else None,
        }


def _foretold(trial: Trial) -> float:
    return -math.inf if trial.record.foretold is None else trial.record.foretold


def _agreement(trials: Sequence[Trial], rank: Mapping[int, int]) -> float:
    from scipy import stats

    found = [-rank[trial.number] for trial in trials]
    return float(stats.kendalltau([_foretold(trial) for trial in trials], found).statistic)
