"""What the trials that tell most have drawn."""

from __future__ import annotations

from analysis import pictures
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep


class Pictures(Section):
    title = "Pictures"
    order = 160
    template = """\
{% from "macros.html.j2" import mark %}
{% for pictures in trials %}
<h3>{{ pictures.role }}: trial {{ pictures.trial.number }} <small>{{ mark(pictures.trial.outcome) }}</small></h3>
<div class="pictures">
{% for title, uri in pictures.images.items() %}
<figure{% if loop.first %} class="whole"{% endif %}><img src="{{ uri }}" alt="{{ title }} of trial {{ pictures.trial.number }}"><figcaption>{{ title }}</figcaption></figure>
{% endfor %}
</div>
{% for problem in pictures.problems %}
<p class="warning">{{ problem }}</p>
{% endfor %}
{% endfor %}
"""

    def content(self, sweep: Sweep) -> Content | None:
        chosen = pictures.representatives(sweep)
        return {"trials": chosen} if chosen else None
