"""How many codes of a codebook are in use, and what they are good for."""

from __future__ import annotations

from analysis import figures
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep
from trainables.health import SICKNESSES, Verdict


class Codes(Section):
    title = "Codes"
    order = 110
    template = """\
<figure class="half">
<div role="img" aria-label="Share of the codes in use against what they are good for, one mark per trial">{{ figure }}</div>
<figcaption>
<p>Each mark is a trial at its best epoch, at its last if it ended sick. Upwards: how much better the decoder without skips does with a sample's own codes than with those of another;
at 0 the decoder ignores them. Marks beyond the axis sit at its edge.</p>
<p>A trial is sick when {{ rule }}, left of the dashed line: it is condemned when this holds on
{{ health.consecutive|plural("evaluation") }} in a row, once dead codes have had time to be reset. Use is counted over the whole evaluation set.</p>
</figcaption>
</figure>
"""

    def content(self, sweep: Sweep) -> Content | None:
        if not sweep.measured("health/codebook_usage", "health/z_gain"):
            return None
        rule = SICKNESSES[Verdict.CODEBOOK_COLLAPSED].rule(sweep.health)
        return {"figure": figures.codes(sweep), "health": sweep.health, "rule": rule}
