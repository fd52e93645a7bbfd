"""The numbers that the model's source states for success, and who meets them."""

from __future__ import annotations

from analysis import tables, targets
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep


class Targets(Section):
    title = "Stated targets"
    order = 70
    template = """\
{% from "macros.html.j2" import table_box %}
{% macro cell(reached) %}{% if reached is none %}<td class="number">–</td>{% else %}<td class="number finding-{{ "supported" if reached.met else "contradicted" }}" data-value="{{ reached.value }}">{{ reached.value|number }} {{ "✓" if reached.met else "✗" }}</td>{% endif %}{% endmacro %}
<p class="note">Numbers that the model's source states for success, on its own data and budget; here they are told, never ranked by or stopped for.
The last column counts the trials that trained to their end and for whose configuration the number is stated.</p>
{% call table_box(rows|length) %}
<table class="effects">
<thead><tr><th scope="col">Metric</th><th scope="col">Stated</th><th scope="col" class="text">Meaning</th><th scope="col" class="number">Best{% if best %} (trial {{ best.number }}){% endif %}</th><th scope="col" class="number">Documented</th><th scope="col" class="number">Before</th><th scope="col" class="number">Met by</th></tr></thead>
<tbody>
{% for row in rows %}
<tr><td title="{{ row.target.metric }}: {{ row.target.metric|meaning }}">{{ row.target.metric|label }}</td><td>{{ row.target.range_text }}</td>
<td class="text">{{ row.target.text }}{% for name, value in row.target.when.items() %}{{ ", for " if loop.first else " and " }}<code>{{ name }}={{ value }}</code>{% endfor %} <small>({{ row.target.source }})</small></td>
{{ cell(row.best) }}{{ cell(row.documented) }}{{ cell(row.before) }}<td class="number">{% if row.trials %}{{ row.met }} of {{ row.trials }}{% else %}–{% endif %}</td></tr>
{% endfor %}
</tbody>
</table>
{% endcall %}
"""

    def content(self, sweep: Sweep) -> Content | None:
        rows = targets.outcomes(sweep)
        return {"rows": rows, "best": tables.best_trial(sweep)} if rows else None
