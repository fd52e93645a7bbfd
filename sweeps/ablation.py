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
OUTCOMES: dict[str, Callable[[str | None], bool]] = {  # metrics that are 1 for a trial whose verdict is such, else 0
    "outcome/collapsed": is_collapse,
    "outcome/numeric": lambda verdict: verdict == Verdict.NUMERIC,
}


@dataclass(frozen=True)
class Variant:
    """A whole configuration under a name of its own; its trials have the name for an origin."""

    name: str
    config: dict[str, Any]


@dataclass(frozen=True)
class Contrast:
    """What is compared: two variants, for the step of a study or for a claim.

    Args:
        study: the name of the study; `CLAIMS` for a claim.
        name: the step in words, or the text of the claim.
        before, after: names of variants.
        metric: what a claim is about; '' for the step of a study.
        direction: up or down, as the claim says.
        source: where the claim stands.
        metric_before: of `before`, where that is another.
    """

    study: str
    name: str
    before: str
    after: str
    metric: str = ""
    direction: str = ""
    source: str = ""
    metric_before: str | None = None

    @property
    def is_claim(self) -> bool:
        """True for a claim, False for the step of a study."""
        return self.study == CLAIMS

    def sides(self, metric: str) -> tuple[tuple[str, str], tuple[str, str]]:
        """Variant and metric before and after, where `metric` is what is compared."""
        return (self.before, self.metric_before or metric), (self.after, metric)


@dataclass(frozen=True)
class Ablation:
    """What is compared. The trials come seed by seed, all variants with each (`sweeps.seeds`), so that an ablation
    that is cut off is still paired.

    Args:
        seeds: the most of a variant.
        variants: all different, in the order in which they run.
        comparisons: what is compared.
        looks: after how many seeds verdicts are looked for; the last is `seeds`, and the only one unless seeds are
            added where a verdict is open.
    """

    seeds: int
    variants: list[Variant]
    comparisons: list[Contrast]
    looks: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.looks:
            object.__setattr__(self, "looks", [self.seeds])

    @property
    def trials(self) -> int:
        """How many trials it takes at most."""
        return self.seeds * len(self.variants)

    @property
    def steps(self) -> list[Contrast]:
        """The steps of the studies."""
        return [each for each in self.comparisons if not each.is_claim]

    @property
    def claims(self) -> list[Contrast]:
        """The claims."""
        return [each for each in self.comparisons if each.is_claim]

    def to_dict(self) -> dict[str, Any]:
        """As in `sweep.json`."""
        return asdict(self)


def build(space: SearchSpace, studies: Sequence[Study], claims: Sequence[Claim], seeds: int | str) -> Ablation:
    """The ablation of `studies` and `claims`, with so many seeds or as many as it takes (`AUTO`); a configuration
    that several of them need is one variant.
    """
    looks = list(AUTO_LOOKS) if seeds == AUTO else [int(seeds)]
    ablation = Ablation(looks[-1], [], [], looks)
    for study in studies:
        for comparison in study.comparisons(space):
            ablation.comparisons.append(Contrast(study.name, comparison.name, *_sides(ablation, space, comparison)))
    for claim in claims:
        sides = _sides(ablation, space, claim.comparison(space))
        ablation.comparisons.append(
            Contrast(CLAIMS, claim.text, *sides, claim.metric, claim.direction, claim.source, claim.metric_before)
        )
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


def _sides(ablation: Ablation, space: SearchSpace, comparison: Comparison) -> tuple[str, str]:
    """The names of the variants before and after; variants that are new are added."""
    return _variant(ablation, space, comparison.before), _variant(ablation, space, comparison.after)


def _variant(ablation: Ablation, space: SearchSpace, config: dict[str, Value]) -> str:
    for variant in ablation.variants:
        if variant.config == config:
            return variant.name
    name = _name(space, config)
    if any(variant.name == name for variant in ablation.variants):  # values are shown with six digits
        name += f" ({len(ablation.variants) + 1})"
    ablation.variants.append(Variant(name, config))
    return name


def _name(space: SearchSpace, config: dict[str, Value]) -> str:
    """What a configuration differs in from the documented one or the one before the fixes, whichever is nearer."""
    bases = {"documented": space.documented(), "baseline": space.baseline()}
    differences = {
        base: [f"{name}={show(value)}" for name, value in config.items() if value != other[name]]
        for base, other in bases.items()
    }
    nearest = min(differences, key=lambda base: len(differences[base]))
    return ", ".join([nearest, *differences[nearest]])
