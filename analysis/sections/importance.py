"""Which hyperparameters set the best trials apart."""

from __future__ import annotations

from analysis import figures, tables
from analysis.importance import FEWEST_TRIALS, importances
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep

PARALLEL_AXES = 9  # hyperparameters, the most important ones


class Importance(Section):
    title = "Importance"
    order = 140
    template = """\
{% if found %}
<p class="note">How differently the best fifth of the trials is spread over each hyperparameter, compared with all trials
(PED-ANOVA, Watanabe, Bansal and Hutter 2023). All trials are compared at one epoch, so that stopped ones count too. Importance is not
direction, and it is relative to the ranges that were searched.</p>
<div class="pair">
{% for one in found %}
<table class="bars">
<caption>{{ one.metric|label }} at epoch {{ one.epoch }}, {{ one.trials|plural("trial") }}{% if not one.shares %}: the best fifth does not stand out from the rest{% endif %}</caption>
<tbody>
{% for name, share in one.shares.items() %}
<tr><th scope="row"><code>{{ name|breakable }}</code></th><td><span style="width: {{ (100 * share)|round(1) }}%"></span></td><td class="number">{{ share|percent }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endfor %}
</div>
{% else %}
<p class="note">Importance needs at least {{ fewest }} trials that reached a common epoch.</p>
{% endif %}
<figure class="broad">
<div role="img" aria-label="Hyperparameters and score, one line per trial">{{ figure }}</div>
<figcaption>One line per trial through its hyperparameters{% if found %}, the most important first{% endif %}, to its score after its best epoch
(scores below the 5th percentile lie at the bottom). Logarithmic where the search is.</figcaption>
</figure>
"""

    def content(self, sweep: Sweep) -> Content | None:
        if sweep.record.config.ablation:
            return None
        objective, found = sweep.objectives[0], importances(sweep)
        names = list(found[0].shares) if found and found[0].shares else tables.varying_hyperparameters(sweep)
        scored = [trial for trial in sweep.trials if trial.measured(objective.metric)]
        if not names or len(scored) < 2:
            return None
        figure = figures.parallel_coordinates(sweep, names[:PARALLEL_AXES], objective)
        return {"found": found, "fewest": FEWEST_TRIALS, "figure": figure}
