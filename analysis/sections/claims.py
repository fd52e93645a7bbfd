"""The documented advice, tested on this data."""

from __future__ import annotations

from analysis import ablation
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep


class Claims(Section):
    title = "Claims"
    order = 50
    template = """\
{% from "macros.html.j2" import table_box, effect %}
<p class="note">Each piece of documented advice, tested on this data by Student's t on pairs of runs with the same seed (0 / 1 outcomes: McNemar's
exact test). The {{ tested|plural("claim") }} that could be tested are judged together (Holm): where no advice has any effect, all verdicts but “inconclusive” are
wrong, and there is one with probability 5 % at most (more where the differences are skewed about a mean of 0). A claim is supported if its metric moves the claimed way, contradicted if it moves the other. The
intervals hold together at 95 % (Bonferroni); that of a claim with a verdict may just reach 0, for Holm's correction is the sharper one.
{%- if looks|length > 1 %} Both pay for looking after {{ looks|join(", ") }} seeds.{% endif %}</p>
{% call table_box(claims|length) %}
<table class="sortable effects">
<thead><tr><th scope="col">Finding</th><th scope="col" class="text">Claim</th><th scope="col">Metric</th><th scope="col" class="number">Before</th><th scope="col" class="number">After</th><th scope="col" class="number">Effect</th><th scope="col" class="number">Pairs</th></tr></thead>
<tbody>
{% for claim in claims %}
<tr id="claim-{{ loop.index }}"><td class="finding-{{ claim.finding.name|lower }}">{{ claim.finding }}</td><td class="text">{{ claim.text }} <small>({{ claim.source }})</small></td>
<td title="{{ claim.metric }}: {{ claim.metric|meaning }}">{{ claim.metric|label }} {{ "↑" if claim.direction == "up" else "↓" }}</td>
{% if claim.effect %}<td class="number">{{ claim.effect.before|number }}</td><td class="number">{{ claim.effect.after|number }}</td><td class="number" data-value="{{ claim.effect.mean }}">{{ effect(claim.effect) }}</td><td class="number">{{ claim.effect.pairs }}</td>
{% else %}<td class="number">–</td><td class="number">–</td><td class="number">{{ claim.note }}</td><td class="number">–</td>{% endif %}</tr>
{% endfor %}
</tbody>
</table>
{% endcall %}
"""

    def content(self, sweep: Sweep) -> Content | None:
        found, design = ablation.claims(sweep), ablation.design(sweep)
        if not found or design is None:
            return None
        tested = sum(claim.effect is not None for claim in found)
        return {"claims": found, "tested": tested, "looks": design.looks}
