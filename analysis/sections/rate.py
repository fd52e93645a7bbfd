"""What the latent costs against what its reconstructions miss."""

from __future__ import annotations

from analysis import figures
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep


class Rate(Section):
    title = "Rate and distortion"
    order = 80
    template = """\
<figure class="half">
<div role="img" aria-label="Held-out error against rate, one mark per trial">{{ figure }}</div>
<figcaption>
<p>What the latent costs (raw KL, or the codes' cross-entropy under their counts in training) against what the reconstruction of a sampled latent still
misses, at each trial's best epoch. The dashed line is the front: no trial reconstructs better at a lower rate. Errors above the 95th percentile sit at the upper edge.</p>
<p>Left at the top lies collapse: nothing is paid and nothing is known. The score weighs the two without any loss weight.</p>
</figcaption>
</figure>
"""

    def content(self, sweep: Sweep) -> Content | None:
        if not sweep.measured("health/rate", "val/mse"):
            return None
        return {"figure": figures.rate_and_distortion(sweep)}
