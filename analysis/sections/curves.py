"""The score of every trial by epoch."""

from __future__ import annotations

from analysis import figures
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep


class Curves(Section):
    title = "Learning curves"
    order = 90
    template = """\
{% for objective, figure in figures %}
<figure class="broad">
<div role="img" aria-label="{{ objective.metric }} by epoch, one line per trial">{{ figure }}</div>
<figcaption><code>{{ objective.metric }}</code> after every epoch, one line per trial
{%- if sweep.trials|length > most %} (at most {{ most }}, every k-th of the {{ sweep.trials|length }}){% endif %}; a mark is where a trial ended early.
The axis spans the 5th to the 99th percentile and the ends of the healthy trials: wilder values leave it, and marks beyond it sit at its edge.</figcaption>
</figure>
{% endfor %}
"""

    def content(self, sweep: Sweep) -> Content | None:
        drawn = [
            (objective, figures.learning_curves(sweep, objective))
            for objective in sweep.objectives
            if sweep.curve(objective.metric)
        ]
        return {"figures": drawn, "most": figures.MOST_CURVES} if drawn else None
