"""What each step of an ablation changes, and its settings from best to worst."""

from __future__ import annotations

from analysis import ablation, figures, settings, tables
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep

EFFECT_COLUMNS = 6


class Ablation(Section):
    title = "Ablation"
    order = 40
    template = """\
{% from "macros.html.j2" import table_box, effect, bounds %}
{% if rows %}
<p class="note">Mean change over pairs of runs with the same seed, {{ looks[0] }} {% if looks|length > 1 %}to {{ looks[-1] }} of them as far as verdicts needed more{% else %}at most{% endif %}. In bold what Student's t
tells from no change: in each column, all steps are judged together (Holm), so that with probability 95 % none is bold that changes
nothing; the columns by themselves. The intervals of a column hold together at 95 % (Bonferroni).{% if looks|length > 1 %} Both pay for looking after {{ looks|join(", ") }} seeds, by the first metric.{% endif %}</p>
{% if figure %}
<figure class="broad">
<div role="img" aria-label="Change of {{ objective.metric|label }} by each step, with its interval">{{ figure }}</div>
<figcaption>Change of <code>{{ objective.metric }}</code> by each step: blue is better, orange worse, grey what cannot be told from no change.</figcaption>
</figure>
{% endif %}
{% call table_box(rows|length) %}
<table class="effects">
<thead><tr><th scope="col">Study</th><th scope="col">Step</th>{% for metric in metrics %}<th scope="col" class="number" title="{{ metric }}: {{ metric|meaning }}">{{ metric|label }}</th>{% endfor %}<th scope="col" class="number">Pairs</th></tr></thead>
<tbody>
{% for comparison, effects in rows %}
<tr><th scope="row">{{ comparison.study if loop.first or rows[loop.index0 - 1][0].study != comparison.study }}</th><td>{{ comparison.name }}</td>
{% for metric in metrics %}<td class="number">{% if metric in effects %}{{ effect(effects[metric]) }}{% else %}–{% endif %}</td>{% endfor %}
<td class="number">{{ effects.values()|map(attribute="pairs")|max if effects else 0 }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endcall %}
{% endif %}
<h3>Settings, by mean {{ objective.metric|label }}</h3>
<p class="note">Over the seeds with which a setting ended healthy, with the 95 % interval (Student) of each by itself. The intervals of two settings may overlap although one is better with every seed: pairs tell more.</p>
{% call table_box(settings|length) %}
<table>
<thead><tr><th scope="col">Setting</th><th scope="col" class="number">{{ objective.metric|label }}</th><th scope="col" class="number">Healthy</th><th scope="col">Trials</th></tr></thead>
<tbody>
{% for setting in settings %}
<tr><td>{{ setting.name|variant }}</td><td class="number">{{ setting.mean|number }}{{ bounds(setting.low, setting.high) }}</td><td class="number">{{ setting.scores|length }} of {{ setting.trials|length }}</td><td class="muted">{{ setting.trials|map(attribute="number")|join(", ") }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endcall %}
"""

    def content(self, sweep: Sweep) -> Content | None:
        ranking, design = settings.settings(sweep), ablation.design(sweep)
        if not ranking or design is None:
            return None
        metrics = tables.measures(sweep)
        rows = ablation.steps(sweep, metrics)
        shown = [metric for metric in metrics if any(metric in effects for _, effects in rows)]
        objective = sweep.objectives[0]
        drawn = [(step, effects[objective.metric]) for step, effects in rows if objective.metric in effects]
        return {
            "rows": rows,
            "metrics": shown[:EFFECT_COLUMNS],
            "looks": design.looks,
            "settings": ranking,
            "objective": objective,
            "figure": figures.effects(drawn, objective) if drawn else None,
        }
