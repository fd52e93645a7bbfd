"""What the first page answers: which setting, how sure, which advice holds, what stopping saved and what it cost."""

from __future__ import annotations

from typing import Any

import search_spaces
from analysis import ablation, confirmed, formats, settings, stops, tables
from analysis.ablation import Finding
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep, Trial, counts
from search_spaces.space import show
from sweeps.records.outcomes import Origin, Outcome

_REFERENCES = (
    ("documented configuration", Origin.DOCUMENTED),
    ("documented “before”", Origin.BASELINE),
)


class Summary(Section):
    title = "Summary"
    order = 10
    template = """\
{% from "macros.html.j2" import mark %}
{% set objective = objectives[0] %}
{% macro bounds(low, high) %}{% if low == low %} [{{ low|number }}, {{ high|number }}]{% endif %}{% endmacro %}
{% macro apart(gap) %}{{ gap.mean|abs|number }} {{ "better" if gap.mean >= 0 else "worse" }}{% endmacro %}
<div class="summary">
<div class="words">
{% if setting %}
<p class="lead">The best setting is <strong>{{ setting.name|variant }}</strong> with a mean {{ objective.metric|label }} of <strong>{{ setting.mean|number }}</strong>{{ bounds(setting.low, setting.high) }} over {{ setting.scores|length|plural("seed") }}
{%- for name, gap in gaps %}{{ ", " if loop.first else " and " }}{{ apart(gap) }} than the {{ name }}{% endfor %}.</p>
{% elif best %}
<p class="lead">The best configuration is <strong>trial {{ best.number }}</strong>
{%- if best_is %}, the {{ best_is|join(" and the ") }},{% endif %} with {{ objective.metric|label }}
<strong>{{ best.metric(objective.metric)|number }}</strong> at its best epoch, {{ best.best_epoch }} of {{ best.epochs }}
{%- for name, trial, gap in gaps %}{{ ", " if loop.first else " and " }}
{%- if gap == gap %}{{ gap|abs|number }} {{ "better" if gap >= 0 else "worse" }} than the {{ name }} (trial {{ trial.number }}
{%- if trial.epochs < sweep.epochs %}, {{ trial.outcome }} at epoch {{ trial.epochs }} of {{ sweep.epochs }}{% endif %})
{%- else %}while the {{ name }} (trial {{ trial.number }}, {{ trial.outcome }}) has no score{% endif %}
{%- endfor %}.</p>
{% elif sweep.trials %}
<p class="lead callout"><strong>{{ "No trial finished healthy" if sweep.ended else "No trial has finished healthy yet" }}{% if sweep.record.config.require %} and with {{ sweep.record.config.require|join(" and ") }}{% endif %}, so there is no best configuration.</strong></p>
{% else %}
<p class="lead callout"><strong>No trial has been suggested yet.</strong></p>
{% endif %}
{% if worthless %}
<p class="callout">{{ worthless }}</p>
{% endif %}
{% if chosen %}
<ul class="chosen">
{% for name, value, documented in chosen %}<li><code>{{ name|breakable }}</code> <b>{{ value }}</b>{% if documented is not none %} <small>documented {{ documented }}</small>{% endif %}</li>
{% endfor %}
</ul>
{% endif %}
{% if next %}
<p><b>How sure.</b> Next is {{ next.other.name|variant }}, {{ next.mean|abs|number }} {{ "behind" if next.mean >= 0 else "ahead" }} in {{ next.pairs|plural("pair") }} of the same seed
{%- if next.low == next.low %} (95 % interval {{ next.low|number }} to {{ next.high|number }}, Student's, of these two alone): {% if next.low <= 0 <= next.high %}the two cannot be told apart.
{% else %}more than the seeds explain, unless the best is it by luck: it was chosen for its score.{% endif %}
{%- else %}: too few for an interval, or all the same.{% endif %}
</p>
{% elif margin %}
<p><b>How sure.</b> Trial {{ margin.next.number }} is next, {{ margin.gap|number }} behind.
{%- if margin.wobble is not none %} From epoch to epoch the score of the best still moves by {{ margin.wobble|number(2) }}
{%- if margin.gap <= margin.wobble %}, more than that: the two cannot be told apart{% endif %}.{% endif %}
 {% if not confirmed %}Every configuration was trained with one seed; what another would change is not measured here.{% endif %}</p>
{% elif best %}
<p><b>How sure.</b> Nothing to compare with: no other trial finished healthy.</p>
{% endif %}
{% if confirmed %}
<p><b>With further seeds.</b> {{ confirmed|join(" ") }} <a href="#confirmed">All numbers</a>.</p>
{% endif %}
{% if advice.claims %}
<p><b>Advice.</b> Of {{ advice.tested|plural("documented claim") }} tested on this data,
{% for finding, claims in advice.claims.items() if finding.name != "UNTESTABLE" %}<a class="finding-{{ finding.name|lower }}" href="#claims">{{ claims|length }} {{ finding }}</a>{{ ", " if not loop.last else "." }}
{% endfor %}
{%- for finding, claims in advice.claims.items() if claims and finding.name in ("SUPPORTED", "CONTRADICTED") %}
 {{ finding.name|capitalize }}: {% for claim in claims %}<a href="#claim-{{ claim.number }}">{{ claim.result.text }}</a>{{ "; " if not loop.last else "." }}{% endfor %}
{%- endfor %}
</p>
{% elif advice.known and sweep.trials %}
<p><b>Advice.</b> The {{ advice.known|plural("documented claim") }} about {{ sweep.model }} {{ "is" if advice.known == 1 else "are" }} not tested by a search, which varies everything at once;
<code>python sweeps/ablate.py {{ sweep.model }} --study claims</code> does.</p>
{% endif %}
{% if sweep.trials %}
<p><b>Stopping.</b> {{ sweep.trials|length|plural("trial") }} of {{ sweep.epochs|plural("epoch") }}:
{% for outcome, count in counts.items() -%}
{{ count }} {{ outcome }}{{ " and " if loop.revindex == 2 else "" if loop.last else ", " }}
{%- endfor %}.
{% if unhealthy %} {{ unhealthy }} of those that trained to the end {{ "was" if unhealthy == 1 else "were" }} sick at the last epoch.
{% endif %}
{{ effort.spent|plural("epoch") }} of {{ effort.full }} were trained
{%- if effort.saved %}; stops saved {{ effort.saved }} ({{ (effort.saved / effort.full)|percent }}): {{ effort.saved_by_health }} by the health verdict, {{ effort.saved_at_rungs }} at rungs, {{ effort.saved_given_up }} of trials given up{% endif %}
{%- if effort.unused %}; trials that no longer improved left {{ effort.unused }}{% endif %}.
{% set rate = controls.of_verdicts %}
{% if rate.measured %}
False stops: {{ rate.wrong }} of {{ rate.measured|plural("control") }} recovered, a rate of
{{ (rate.wrong / rate.measured)|percent }} (95 % Wilson interval {{ rate.interval[0]|percent }} to {{ rate.interval[1]|percent }})
{%- if (rate.interval[1] * controls.stopped)|round >= 1 %}: of the {{ controls.stopped|plural("trial") }} that the verdict stopped, {{ (rate.interval[0] * controls.stopped)|round|int }} to {{ (rate.interval[1] * controls.stopped)|round|int }} would have recovered too{% endif %}.
{% elif controls.condemned %}
False stops: not measured, for there is no control among the {{ controls.condemned }} condemned.
{% else %}
No trial was condemned by the health verdict.
{% endif %}</p>
{% endif %}
<p class="note">{% for objective in objectives %}
<code>{{ objective.metric }}</code>, {{ "higher" if objective.mode == "max" else "lower" }} is better
{%- if objective.metric|meaning %}: {{ objective.metric|meaning }}{% endif %}. {% endfor %}
{% if objectives|length > 1 %}Trials are ranked by the first metric, those that no other dominates before the rest.{% endif %}</p>
{% for about, lines in sweep.notes.items() %}{% for line in lines %}
<p class="callout"><b>Note on the {{ about }}.</b> {{ line }}.</p>
{% endfor %}{% endfor %}
{% for line in sweep.problems %}
<p class="callout"><b>Not all of the sweep can be read.</b> {{ line }}.</p>
{% endfor %}
</div>
<dl class="facts">
{% set data, config = sweep.record.data, sweep.record.config %}
<dt>Model</dt> <dd>{{ sweep.model }}</dd>
<dt>Data</dt> <dd>{% if data.embedded %}embedded demonstration data{% else %}{{ data.source or data.path or "not recorded" }}{% endif %}</dd>
{% if data.shape %}<dt>Sample</dt> <dd>{{ data.shape|join(" × ") }}</dd>{% endif %}
{% if data.train %}<dt>Samples</dt> <dd>{{ data.train }} training, {{ data.val }} validation{% if data.test %}, {{ data.test }} test{% endif %}</dd>{% endif %}
<dt>Budget</dt> <dd>{{ sweep.epochs|plural("epoch") }}{% if config.steps %} ({{ config.steps|plural("step") }}){% endif %} a trial{% if config.trials %}, {{ config.trials|plural("trial") }}{% endif %}</dd>
{% if config.search %}<dt>Search</dt> <dd>{{ config.search }}{% if config.scheduler %}, {{ config.scheduler }}{% endif %}</dd>{% endif %}
<dt>Seed</dt> <dd>{{ config.seed }}</dd>
</dl>
</div>
{% if sweep.trials %}
<div class="bar" aria-hidden="true">
{% for outcome, count in counts.items() %}<span style="flex-grow: {{ count }}; background: var(--{{ outcome|slug }})"></span>{% endfor %}
</div>
<ul class="legend">
{% for outcome, count in counts.items() %}<li>{{ mark(outcome) }} <b>{{ count }}</b></li>{% endfor %}
</ul>
{% endif %}
"""

    def content(self, sweep: Sweep) -> Content:
        best = tables.best_trial(sweep)
        ranking = settings.settings(sweep)
        setting = ranking[0] if ranking and ranking[0].scores else None
        return {
            "best": best,
            "setting": setting,
            "chosen": _chosen(sweep, best) if best and not ranking else [],
            "objectives": sweep.objectives,
            "worthless": best is not None and tables.worth(best),
            "counts": counts(sweep.trials),
            **(_setting_gaps(sweep, ranking) if ranking else _trial_gaps(sweep, best)),
            "margin": None if ranking else settings.margin(sweep),
            "confirmed": confirmed.verdicts(found) if (found := confirmed.confirmed(sweep)) else [],
            "advice": _advice(sweep),
            "effort": tables.effort(sweep),
            "controls": stops.controls(sweep),
            "unhealthy": sum(
                trial.outcome in (Outcome.FINISHED, Outcome.CONTROL) and not trial.healthy for trial in sweep.trials
            ),
        }


def _trial_gaps(sweep: Sweep, best: Trial | None) -> dict[str, Any]:
    """How the best trial compares with the documented ones, and which of them it is."""
    references = [(name, sweep.origin(origin)) for name, origin in _REFERENCES]
    return {
        "gaps": [
            (name, trial, _gap(sweep.objectives[0], best, trial))
            for name, trial in references
            if trial and trial is not best
        ],
        "best_is": [name for name, trial in references if trial and trial is best],
        "next": None,
    }


def _setting_gaps(sweep: Sweep, ranking: list[settings.Setting]) -> dict[str, Any]:
    """How the best setting of an ablation compares with the next and the documented ones."""
    first = ranking[0]
    named = [(name, setting) for name, origin in _REFERENCES for setting in ranking if setting.name == origin]
    gaps = [(name, settings.gap(sweep, first, setting)) for name, setting in named if setting is not first]
    return {
        "gaps": [(name, gap) for name, gap in gaps if gap],
        "best_is": [],
        "next": next((gap for other in ranking[1:] if (gap := settings.gap(sweep, first, other))), None),
    }


def _chosen(sweep: Sweep, best: Trial) -> list[tuple[str, str, str | None]]:
    """The hyperparameters of the best trial that vary: name, value, and the documented value where it is another."""
    documented = sweep.origin(Origin.DOCUMENTED)
    rows = []
    for name in tables.varying_hyperparameters(sweep):
        if name in best.record.config:
            value = best.record.config[name]
            usual = documented.record.config.get(name, value) if documented else value
            rows.append((name, _setting_text(value), _setting_text(usual) if usual != value else None))
    return rows


def _setting_text(value: Any) -> str:
    return formats.short(value) if isinstance(value, float) else show(value)


def _advice(sweep: Sweep) -> dict[str, Any]:
    """What became of the documented advice: claims by finding, and whether there is any that could be tested."""
    found = ablation.claims(sweep)
    by_finding: dict[Finding, list[dict[str, Any]]] = {finding: [] for finding in Finding}
    for number, claim in enumerate(found, start=1):
        by_finding[claim.finding].append({"number": number, "result": claim})
    known = sweep.record.claims
    if known is None:  # an older record; the model's own claims stand for it
        known = len(search_spaces.claims(sweep.model)) if sweep.model in search_spaces.names() else 0
    tested = sum(claim.effect is not None for claim in found)
    return {"claims": by_finding if found else {}, "tested": tested, "known": known}


def _gap(objective: Any, best: Trial | None, reference: Trial) -> float | None:
    """How much better the best is; NaN if the reference has no score."""
    if best is None:
        return None
    return objective.sign * (best.metric(objective.metric) - reference.metric(objective.metric))
