"""An ablation as data: every distinct configuration of its comparisons, and with how many seeds each is run."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import search_spaces
from search_spaces.space import SearchSpace, Value, show
from search_spaces.study import FORMS, Claim, Comparison, Study
from trainables.health import Verdict, is_collapse

AUTO = "auto"
AUTO_LOOKS = (5, 8, 12, 20)  # seeds; found by simulation: of changes worth finding most, in few seeds
CLAIMS = "claims"  # what the comparisons of claims have for a study
CLAIM_FIELDS = ("metric", "direction", "source", "metric_before")
OUTCOMES: dict[str, Callable[[str | None], bool]] = {  # metrics that are 1 for a trial whose verdict is such, else 0
    "outcome/collapsed": is_collapse,
    "outcome/numeric": lambda verdict: verdict == Verdict.NUMERIC,
}


@dataclass(frozen=True)
class Ablation:
    """What is compared. The trials come seed by seed, all variants with each (`sweeps.seeds`), so that an ablation
    that is cut off is still paired.

    Args:
        seeds: the most of a variant.
        variants: name and whole configuration of each, all different.
        comparisons: what is compared: study or claim, name, the places of `before` and `after` among the variants,
            and for a claim its metric, direction and source, and the metric of `before` where that is another.
        looks: after how many seeds verdicts are looked for; the last is `seeds`, and the only one unless seeds are
            added where a verdict is open.
    """

    seeds: int
    variants: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    looks: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.looks:
            object.__setattr__(self, "looks", [self.seeds])

    @property
    def trials(self) -> int:
        """How many trials it takes at most."""
        return self.seeds * len(self.variants)

    def to_dict(self) -> dict[str, Any]:
        """As in `sweep.json`."""
        return asdict(self)


def build(space: SearchSpace, studies: Sequence[Study], claims: Sequence[Claim], seeds: int | str) -> Ablation:
    """The ablation of `studies` and `claims`, with so many seeds or as many as it takes (`AUTO`); a configuration
    that several of them need is one variant.
    """
    ablation = Ablation(AUTO_LOOKS[-1], [], [], list(AUTO_LOOKS)) if seeds == AUTO else Ablation(int(seeds), [], [])
    for study in studies:
        for comparison in study.comparisons(space):
            places = _places(ablation, space, comparison)
            ablation.comparisons.append({"study": study.name, "name": comparison.name, **places})
    for claim in claims:
        places = _places(ablation, space, claim.comparison(space))
        told = {key: value for key, value in asdict(claim).items() if key in CLAIM_FIELDS and value is not None}
        ablation.comparisons.append({"study": CLAIMS, "name": claim.text, **places, **told})
    return ablation


def chosen(model: str, study: str | None, file: str | None) -> tuple[list[Study], list[Claim], list[str]]:
    """The studies and claims of `model` that are asked for, and every problem.

    Args:
        model: its own studies are in `search_spaces`.
        study: one name, `claims`, or several separated by commas; None: all studies and claims.
        file: a TOML file with further studies, which then are the ones asked for if `study` is None.
    """
    studies, claims = search_spaces.studies(model), search_spaces.claims(model)
    more, problems = ([], []) if file is None else read_file(Path(file))
    if study is None:
        return (more, [], problems) if file else (studies, claims, problems)
    known = {each.name: each for each in [*studies, *more]}
    names = [name.strip() for name in study.split(",")]
    problems += [
        f"--study {name}: {model} has {', '.join([*known, CLAIMS])}"
        for name in names
        if name not in known and name != CLAIMS
    ]
    return [known[name] for name in names if name in known], claims if CLAIMS in names else [], problems


def read_file(path: Path) -> tuple[list[Study], list[str]]:
    """Studies from a TOML file, and every problem. One table a study:

    [study.warmup]
    form = "one-at-a-time"
    base = "documented"
    [study.warmup.steps.short]
    kl_warmup = 0.05
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("study", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return [], [f"--file {path}: cannot be read as TOML ({error})"]
    if not tables:
        return [], [f"--file {path}: expected tables [study.NAME] with form and steps"]
    studies, problems = [], []
    for name, table in tables.items():
        unknown = set(table) - {"form", "base", "doc", "changes", "steps"}
        checks = [
            (not unknown, f"unknown {', '.join(sorted(unknown))}; expected form, base, doc, changes, steps"),
            (table.get("form") in FORMS, f"form {table.get('form')!r}; expected one of {', '.join(FORMS)}"),
            (table.get("base", "documented") in ("documented", "baseline"), "base: expected documented or baseline"),
            (bool(table.get("steps")), "no steps; expected [study.NAME.steps.STEP] tables"),
        ]
        found = [f"--file {path}, study {name}: {text}" for fine, text in checks if not fine]
        problems += found
        if not found:
            changes, steps = (_plain(table.get(key, {})) for key in ("changes", "steps"))
            doc, base = table.get("doc", ""), table.get("base", "documented")
            studies.append(Study(name, doc, path.name, table["form"], steps, base, changes))
    return studies, problems


def _plain(table: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: the text "none" stands for it."""
    return {
        key: _plain(value) if isinstance(value, dict) else None if value == "none" else value
        for key, value in table.items()
    }


def _places(ablation: Ablation, space: SearchSpace, comparison: Comparison) -> dict[str, int]:
    return {side: _place(ablation, space, getattr(comparison, side)) for side in ("before", "after")}


def _place(ablation: Ablation, space: SearchSpace, config: dict[str, Value]) -> int:
    configs = [variant["config"] for variant in ablation.variants]
    if config not in configs:
        name = _name(space, config)
        taken = any(variant["name"] == name for variant in ablation.variants)  # values are shown with six digits
        name += f" ({len(configs) + 1})" if taken else ""
        ablation.variants.append({"name": name, "config": config})
        return len(configs)
    return configs.index(config)


def _name(space: SearchSpace, config: dict[str, Value]) -> str:
    """What a configuration differs in from the documented one or the one before the fixes, whichever is nearer."""
    bases = {"documented": space.documented(), "baseline": space.baseline()}
    differences = {
        base: [f"{name}={show(value)}" for name, value in config.items() if value != other[name]]
        for base, other in bases.items()
    }
    nearest = min(differences, key=lambda base: len(differences[base]))
    return ", ".join([nearest, *differences[nearest]])
