"""What further seeds say of the best configurations."""

from __future__ import annotations

from analysis import confirmed
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep


class Confirmed(Section):
    title = "Confirmed"
    order = 30
    template = """\
{% from "macros.html.j2" import table_box, effect, bounds %}
{% for line in verdicts %}
<p>{{ line }}</p>
{% endfor %}
{% call table_box(found.configurations|length) %}
<table>
<thead><tr><th scope="col">Configuration</th><th scope="col" class="number">In the search, {{ score|label }}</th><th scope="col" class="number" title="{{ found.metric }}">Confirmed, {{ found.metric|label }}</th><th scope="col" class="number">Best with probability</th><th scope="col" class="number">Against the documented</th><th scope="col" class="number">Healthy seeds</th></tr></thead>
<tbody>
{% for each in found.configurations %}
<tr><th scope="row">{{ each.name|variant }}</th>
<td class="number">{% if each.searched %}{{ each.searched.metric(score)|number }}{% else %}–{% endif %}</td>
<td class="number">{{ each.mean|number }}{{ bounds(each.low, each.high) }}</td>
<td class="number">{% if each.probability == each.probability %}{{ chance(each.probability) }}{% else %}–{% endif %}</td>
<td class="number">{% if each.effect %}{{ effect(each.effect) }}{% else %}–{% endif %}</td>
<td class="number">{{ each.healthy }} of {{ each.trials|length }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endcall %}
<p class="note">The search chose the best of many scores, each of one seed, so its number for them errs to the good side; the confirmed one is of {{ found.seeds }} further seeds, which draw weights, noise, order and the split of training and validation{% if on_test %}, measured on the test part, the same for all and seen by no choice, with the weights of each trial's best epoch{% else %}; it is <code>{{ found.metric }}</code> once more, for no test part is known{% endif %}.
Means have the 95 % interval (Student) of each by itself: what another seed would change, not another test part. Sick seeds count with their score.
The probability is of a model with one noise for all and means shrunk as if half of their differences were noise; the change against the documented configuration is in pairs of the same seed, in bold where Student's t tells it from none (Holm), its intervals together at 95 %.
Details: <code>python -m analysis report {{ found.sweep.name }}</code>.</p>
"""

    def content(self, sweep: Sweep) -> Content | None:
        found = confirmed.confirmed(sweep)
        if found is None:
            return None
        return {
            "found": found,
            "verdicts": confirmed.verdicts(found),
            "chance": confirmed.chance_text,
            "score": sweep.objectives[0].metric,
            "on_test": found.sweep.record.config.test,
        }
