"""Why trials ended early, and how often that was wrong."""

from __future__ import annotations

from analysis import stops, tables
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep


class Stops(Section):
    title = "Stops"
    order = 130
    template = """\
{% from "macros.html.j2" import trial_number, table_box, left_out %}
{% macro reason(reason, outcome) %}<span class="mark" style="--colour: var(--{{ outcome|slug }})"><code>{{ reason }}</code></span>{% endmacro %}
{% if ends %}
<p class="note">Why trials ended before their budget of {{ sweep.epochs|plural("epoch") }}.</p>
<table class="small">
<thead><tr><th scope="col">Reason</th><th scope="col" class="number">Trials</th><th scope="col" class="number">Epochs saved</th></tr></thead>
<tbody>
{% for row in reasons %}
<tr><td>{{ reason(row.reason, row.outcome) }}</td><td class="number">{{ row.trials }}</td><td class="number">{{ row.saved or "–" }}</td></tr>
{% endfor %}
</tbody>
</table>
{% for row in reasons if row.rule %}
<p class="note"><code>{{ row.reason }}</code>: a trial is sick when {{ row.rule }}. {{ row.cure }}.</p>
{% endfor %}
{{ left_out(ends|length, all, "early ends, the first") }}
{% call table_box(ends|length) %}
<table class="sortable">
<thead><tr><th scope="col">Trial</th><th scope="col">Reason</th><th scope="col" class="number">Epoch</th><th scope="col" class="number">Saved</th><th scope="col" class="text">Evidence</th></tr></thead>
<tbody>
{% for end in ends %}
<tr><th scope="row" data-value="{{ end.trial.number }}">{{ trial_number(end.trial) }}</th><td>{{ reason(end.reason, end.trial.outcome) }}</td><td class="number">{{ end.epoch }}</td><td class="number">{{ end.saved or "–" }}</td><td class="text">{{ end.detail or "–" }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endcall %}
{% endif %}
{% if controls.measured %}
<h3>Controls</h3>
<p class="note">Condemned or given up, but trained to the end all the same. To stop it would have been wrong if a condemned one is healthy at its end, or one given up is the best of the sweep.
Over the {{ pooled.sweeps|plural("sweep") }} of this model in the storage, stops would have been wrong
{%- for rate, kind in ((pooled.of_verdicts, "controls that were condemned"), (pooled.of_outdone, "that were given up")) %}
 for {{ rate.wrong }} of {{ rate.measured }} {{ kind }}{% if rate.measured %} (95 % Wilson interval {{ rate.interval[0]|percent }} to {{ rate.interval[1]|percent }}){% endif %}{{ "," if loop.first else "." }}
{%- endfor %}</p>
{{ left_out(measured|length, controls.measured|length, "controls, the first") }}
{% call table_box(measured|length) %}
<table>
<thead><tr><th scope="col">Trial</th><th scope="col">Would have been stopped</th><th scope="col">At its end</th><th scope="col">The stop would have been</th><th scope="col" class="text">Evidence at the end</th></tr></thead>
<tbody>
{% for control in measured %}
<tr><th scope="row">{{ trial_number(control.trial) }}</th><td>{{ "given up" if control.outdone else "condemned" }} at epoch {{ control.stop_at }}</td><td>{{ control.trial.verdict|lower }}</td><td>{{ "wrong" if control.false_stop else "right" }}</td><td class="text">{{ control.trial.verdict_detail or "–" }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endcall %}
{% endif %}
"""

    def content(self, sweep: Sweep) -> Content | None:
        ends = tables.stop_reasons(sweep)
        controls = stops.controls(sweep)
        if not ends and not controls.measured:
            return None
        return {
            "ends": ends[: self.most_rows],
            "all": len(ends),
            "reasons": tables.reason_counts(ends, sweep.health),
            "controls": controls,
            "measured": controls.measured[: self.most_rows],
            "pooled": stops.pooled(sweep.folder.parent, sweep.model),
        }
