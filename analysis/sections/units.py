"""How many units of the latent are active, at what KL."""

from __future__ import annotations

from analysis import figures
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep
from sweeps.records.outcomes import Status
from trainables.health import SICKNESSES, Verdict

PARTIAL_SHARE = 0.1  # of the units active: fewer, but some, are a partial collapse
ON_THE_FLOOR = 0.99  # of the samples and dimensions: there the KL has no gradient
MOST_NAMED = 10  # trials in a sentence


class Units(Section):
    title = "Units and KL"
    order = 100
    template = """\
{% macro listed(numbers) %}{{ "trial" if numbers|length == 1 else "trials" }} {{ numbers[:most]|join(", ") }}{{ ", …" if numbers|length > most }}{% endmacro %}
<figure class="half">
<div role="img" aria-label="Active units against raw KL at its best epoch, one mark per trial">{{ figure }}</div>
<figcaption>
<p>Each mark is a trial at its best epoch, at its last if it ended sick. Both axes are logarithmic, but linear next to 0, so that 0 can be shown.</p>
<p>A trial is sick when {{ rule }}. The dashed lines are the thresholds of units and KL.
It is condemned when this holds on {{ health.consecutive|plural("evaluation") }} in a row after the grace, which ends at the later of {{ health.grace_share|percent }} of the budget and the epoch at which the KL weight reached half its final value.</p>
{% if partial %}
<p>Partial collapse: {{ partial|length|plural("trial") }} trained to the end with some, but less than {{ partial_share|percent }} of the units active ({{ listed(partial) }}). That is told, not stopped: data that needs few units leaves the others unused, and a smaller latent would do.</p>
{% endif %}
{% if floored %}
<p>KL on its floor: in {{ floored|length|plural("trial") }} ({{ listed(floored) }}) hardly a dimension of a sample exceeds the free bits at its best epoch. That is normal early, while the decoder learns first; later the active units, if any, cost what was free.</p>
{% endif %}
<p>A unit is active when its posterior mean varies over the data (variance above 0.01).</p>
</figcaption>
</figure>
"""

    def content(self, sweep: Sweep) -> Content | None:
        if not sweep.measured("health/au", "health/kl_raw"):
            return None
        ended = [trial for trial in sweep.trials if trial.record.status == Status.FINISHED]
        return {
            "figure": figures.units_and_kl(sweep),
            "health": sweep.health,
            "rule": SICKNESSES[Verdict.COLLAPSED].rule(sweep.health),
            "partial": [trial.number for trial in ended if 0 < trial.metric("health/au_frac") < PARTIAL_SHARE],
            "partial_share": PARTIAL_SHARE,
            "floored": [trial.number for trial in ended if trial.metric("health/kl_floor_frac") > ON_THE_FLOOR],
            "most": MOST_NAMED,
        }
