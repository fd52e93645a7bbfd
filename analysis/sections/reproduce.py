"""The commands that train again what is shown, and what they rest on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from analysis import formats, tables
from analysis.sections.base import Content, Section
from analysis.sweep import Sweep, Trial

PACKAGES_FIRST = ("python", "torch", "ray", "optuna", "mlflow", "numpy", "pyarrow")


class Reproduce(Section):
    title = "Reproduce"
    order = 170
    template = """\
{% if command %}
<p>The whole sweep:</p>
<pre>{{ command }}</pre>
{% endif %}
{% if flags %}
<p>The best configuration, trial {{ best.number }}, in full:</p>
<pre>{{ flags }}</pre>
{% endif %}
{% if not outside %}
<p>Any trial alone, with its numbers compared with those recorded:</p>
<pre>python sweeps/run.py --trial {{ sweep.name }}:{{ best.number if best else 1 }}{{ " " ~ storage if storage }}</pre>
{% endif %}
<dl class="facts plain">
{% for name, value in facts.items() %}
<dt>{{ name }}</dt> <dd>{{ value }}</dd>
{% endfor %}
</dl>
"""

    def content(self, sweep: Sweep) -> Content:
        record, best = sweep.record, tables.best_trial(sweep)
        code, packages = record.code, record.packages
        command = record.command
        command = ["python", *command] if command and command[0].endswith(".py") else command
        commit = code.commit or "not recorded"
        facts = {
            "Seed": record.config.seed,
            "Code": f"{commit}, with changes not committed" if code.dirty else commit,
            "Code, fingerprint": code.fingerprint,
            "Packages": ", ".join(f"{name} {packages[name]}" for name in sorted(packages, key=_package_order)),
            "Data": _data_source(sweep),
            "Fingerprint": record.data.fingerprint,
            "Machine": ", ".join(f"{key} {value}" for key, value in record.machine.items()),
            "Sweep id": record.id,
        }
        return {
            "command": shlex.join(command),
            "storage": shlex.join(_option(command, "--storage")),
            "facts": {key: value for key, value in facts.items() if value not in (None, "")},
            "best": best,
            "outside": record.outside,
            "flags": _flags(best) if best and not record.outside else "",
        }


def _flags(trial: Trial) -> str:
    return " \\\n".join(f"--set {name}={formats.exact(value)}" for name, value in trial.record.config.items())


def _data_source(sweep: Sweep) -> str:
    data = sweep.record.data
    return "the model's embedded data" if data.embedded else data.source or data.path or ""


def _option(command: Sequence[str], name: str) -> list[str]:
    """An option as it was given, [] if it was not."""
    for place, argument in enumerate(command):
        if argument == name or argument.startswith(f"{name}="):
            return list(command[place : place + (2 if argument == name else 1)])
    return []


def _package_order(name: str) -> tuple[int, str]:
    return (PACKAGES_FIRST.index(name) if name in PACKAGES_FIRST else len(PACKAGES_FIRST), name)
