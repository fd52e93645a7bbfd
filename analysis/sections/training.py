"""Units, codes and KL of every trial over the epochs, as maps."""

from __future__ import annotations

from analysis import figures
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep

HEAT_MAPS = ("health/au", "health/codebook_usage", "health/kl_raw")


class Training(Section):
    title = "Over training"
    order = 120
    template = """\
<p class="note">A row per trial, a column per epoch, the same trials in the same order in every map; the strip on the left is what became of the trial.
Empty where it had ended, orange where the health verdict condemned it.
{% if rows < all %}Shown are {{ rows }} of {{ all }} trials, evenly spaced by their last {{ figures[0][0]|label }}; the folder <code>epochs</code> has all of them.{% endif %}</p>
<div class="pair">
{% for metric, figure in figures %}
<figure><div role="img" aria-label="{{ metric|label }} by trial and epoch">{{ figure }}</div></figure>
{% endfor %}
</div>
"""

    def content(self, sweep: Sweep) -> Content | None:
        drawn = [metric for metric in HEAT_MAPS if sweep.curve(metric)]
        if not drawn or sweep.epochs < 2:
            return None
        rows = figures.heat_map_rows(sweep, drawn)
        return {
            "figures": [(metric, figures.heat_map(sweep, metric, rows)) for metric in drawn],
            "rows": len(rows),
            "all": len(sweep.curve(drawn[0])),
        }
