"""Two sweeps side by side."""

from __future__ import annotations

from analysis import compare
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep


class Compare(Section):
    """Not one of `known()`, for only an instance has a title: it names the other sweep."""

    order = 20
    template = """\
{% set here, there = comparison.sides %}
{% if not comparison.same_data %}
<p class="callout"><strong>The two sweeps are on different data: their scores cannot be compared.</strong></p>
{% else %}
<p>{% if comparison.shared %}{{ comparison.shared|plural("trial") }} finished in both with the same configuration and seed: mean difference
{{ comparison.difference|number }}{% if comparison.interval[0] == comparison.interval[0] %} (95 % interval, Student's, {{ comparison.interval[0]|number }} to {{ comparison.interval[1]|number }}){% else %}, without an interval: too few, or all the same{% endif %}.
{% else %}No configuration finished in both with the same seed.{% endif %}</p>
{% endif %}
<div class="table" tabindex="0">
<table class="compare">
<thead><tr><th scope="col"></th><th scope="col">{{ here.sweep.name }}</th><th scope="col">{{ there.sweep.name }}</th></tr></thead>
<tbody>
<tr><th scope="row">Best {{ objective.metric|label }}</th>{% for side in (here, there) %}<td>{{ side.score|number }}{% if side.best %} <small>trial {{ side.best.number }}</small>{% endif %}</td>{% endfor %}</tr>
<tr><th scope="row">Median of the healthy</th>{% for side in (here, there) %}<td>{{ side.median|number }}</td>{% endfor %}</tr>
<tr><th scope="row">Healthy, finished, all trials</th>{% for side in (here, there) %}<td>{{ side.healthy }}, {{ side.finished }}, {{ side.sweep.trials|length }}</td>{% endfor %}</tr>
<tr><th scope="row">Epochs trained</th>{% for side in (here, there) %}<td>{{ side.epochs }}</td>{% endfor %}</tr>
</tbody>
{% if comparison.settings %}
<tbody>
<tr class="group"><th colspan="3" scope="rowgroup">What differs in their settings</th></tr>
{% for name, one, other in comparison.settings %}
<tr><th scope="row"><code>{{ name }}</code></th><td>{{ one }}</td><td>{{ other }}</td></tr>
{% endfor %}
</tbody>
{% endif %}
</table>
</div>
"""

    def __init__(self, other: Sweep) -> None:
        self.other = other
        self.title = f"Beside {other.name}"

    def content(self, sweep: Sweep) -> Content:
        return {"comparison": compare.compare(sweep, self.other), "objective": sweep.objectives[0]}
