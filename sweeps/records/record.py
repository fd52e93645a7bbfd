"""What is needed to repeat a sweep: settings, space, data, code, packages, machine. Written to `sweep.json`.

`read` takes the records of older programs (`upgraded`) and of newer ones, whose fields this program does not know:
they are left out, and named in `unread`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from pydantic import JsonValue, TypeAdapter, ValidationError

import search_spaces
from search_spaces import Target
from search_spaces.reference import CODE, MANIFEST
from search_spaces.space import Parameter, Value
from sweeps.config import SweepConfig
from sweeps.records.folder import SweepFolder
from trainables.files import write_text
from trainables.health import HealthConfig

if TYPE_CHECKING:
    from trainables.data.store import Dataset
    from trainables.data.unprepared import Unprepared

SCHEMA = 2  # 1: comparisons of an ablation named their variants by place
ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = "a script of one's own"  # the search of a sweep that `sweeps.recorder` alone has written down
SOURCES = ("search_spaces", "trainables", "sweeps")  # the packages that decide the numbers of a trial
PACKAGES = (
    *("ray", "torch", "optuna", "mlflow", "pyarrow", "numpy", "torchmetrics", "vector-quantize-pytorch"),
    *("scikit-learn", "scipy", "pillow", "nibabel"),
)


class RecordError(ValueError):
    """A record that cannot be read; the message names file, field, value and what was expected, a line each."""


@dataclass(frozen=True)
class DataRecord:
    """What the sweep was trained on. `shape` is that of a sample; `train`, `val` and `test` are numbers of
    samples. A loop of the user's own reads its data itself: all but `source` is empty then."""

    source: str = ""
    path: str | None = None  # of the Arrow file
    fingerprint: str = ""
    shape: list[int] = field(default_factory=list)
    train: int = 0
    val: int = 0
    test: int = 0
    grouping: str = ""  # what the parts keep together
    embedded: bool = False

    @classmethod
    def of(cls, dataset: Dataset | Unprepared) -> DataRecord:
        """That of prepared data, or of what stands for it."""
        return cls(
            source=dataset.source,
            path=str(dataset.path) or None,
            fingerprint=dataset.fingerprint,
            shape=list(dataset.shape),
            train=len(dataset.train),
            val=len(dataset.val),
            test=len(dataset.test),
            grouping=dataset.grouping,
            embedded=dataset.embedded,
        )


@dataclass(frozen=True)
class ParameterRecord:
    """A hyperparameter as it was defined; the fields are those of `search_spaces.Parameter`, none of them checked:
    another program may know other kinds."""

    name: str
    kind: str
    default: Value = None
    baseline: Value = None
    doc: str = ""
    source: str = ""
    unit: str = ""
    low: float | int | None = None
    high: float | int | None = None
    choices: list[Value] = field(default_factory=list)
    unsearched: list[Value] = field(default_factory=list)
    minimum: float | int = 0.0
    maximum: float | int = math.inf
    when: list[Value] | None = None
    demo: Value = None
    data: bool = False
    memory: bool = False

    @classmethod
    def of(cls, parameter: Parameter) -> ParameterRecord:
        """That of a parameter of this program."""
        return TypeAdapter(cls).validate_python(asdict(parameter))


@dataclass(frozen=True)
class OwnModel:
    """The copy of a model of the user's own: its module, the reference it was made of, sha256 (hex)."""

    module: str
    reference: str
    sha256: str


@dataclass(frozen=True)
class CodeRecord:
    """Which code ran. `fingerprint`: of its sources, None once the sweep is of no one code any more; `commit` and
    `dirty`: of this repository, None outside a checkout; `before`: what it was before each resume that changed it;
    `model`: None for a model of this project."""

    fingerprint: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    before: list[CodeRecord] = field(default_factory=list)
    model: OwnModel | None = None


@dataclass(frozen=True)
class SweepRecord:
    """A sweep as it is written down.

    Args:
        name, id, model: `id` is unique over all storages.
        config: the settings.
        created: unix seconds.
        space: the parameters of the search space with the ranges of this sweep.
        data, health, code: what was trained on, the thresholds of the verdict, the code.
        packages: versions by name.
        machine: facts by name.
        command: as it was typed.
        notes: what the user should know, by what it is about.
        targets, metrics, claims: numbers that the model's source states, its metrics on held-out data, how many
            claims are made for it; None where an older program did not write them.
        schema: of the file.
        unread: fields of the file that this program does not know.
    """

    name: str
    id: str
    model: str
    config: SweepConfig
    created: float = 0.0
    space: list[ParameterRecord] = field(default_factory=list)
    data: DataRecord = field(default_factory=DataRecord)
    health: HealthConfig = field(default_factory=HealthConfig)
    code: CodeRecord = field(default_factory=CodeRecord)
    packages: dict[str, str] = field(default_factory=dict)
    machine: dict[str, JsonValue] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    targets: list[Target] | None = None
    metrics: list[str] | None = None
    claims: int | None = None
    schema: int = SCHEMA
    unread: tuple[str, ...] = ()

    @property
    def outside(self) -> bool:
        """True for a search that a script of the user's own drove: nothing here can train its trials again."""
        return self.config.search == OUTSIDE

    def not_ours(self, folder: Path) -> str:
        """Of an outside search: why its trials cannot be trained or loaded here, and what its folder is good for."""
        return (
            f"{self.name} is the record of a search that another script ran ({self.config.scheduler}), which alone "
            f"has its code, data and weights; here there are python -m analysis report {folder}, "
            f"python -m analysis replay {folder} and python -m sweeps.tracking {folder}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As in `sweep.json`."""
        return {name: value for name, value in asdict(self).items() if name != "unread"}


def new(
    config: SweepConfig,
    dataset: Dataset | Unprepared,
    health: HealthConfig,
    notes: Mapping[str, list[str]] | None = None,
) -> SweepRecord:
    """The record of a sweep that starts now."""
    space = config.search_space()
    return replace(
        started(config, DataRecord.of(dataset), health),
        space=[ParameterRecord.of(parameter) for parameter in space.parameters],
        metrics=list(config.metric if config.own_loop else space.metrics),
        claims=len(search_spaces.claims(config.reference)),
        notes=dict(notes or {}),
        targets=list(space.targets),
    )


def started(config: SweepConfig, data: DataRecord, health: HealthConfig) -> SweepRecord:
    """The record of a sweep that starts now, of a model and a search space that nothing is known of."""
    return SweepRecord(
        name=config.name,
        id=uuid.uuid4().hex,
        model=config.model,
        created=time.time(),
        config=config,
        data=data,
        health=health,
        metrics=list(config.metric),
        claims=0,
        code=replace(code(), model=own_model(config)),
        packages=packages(),
        machine={
            "python": platform.python_version(),
            "system": platform.platform(),
            "processor": platform.machine(),
            "cpus": os.cpu_count(),
        },
        command=list(sys.argv),
        targets=[],
    )


def resumed(record: SweepRecord, config: SweepConfig) -> SweepRecord:
    """`record` of a sweep that goes on, with the settings of the resume. Where the code or the packages have changed
    since, `code.fingerprint` is None: the sweep is of no one code any more. What it was is kept in `code.before`.
    """
    was, now, installed = record.code, code(), packages()
    if was.fingerprint == now.fingerprint and record.packages == installed:
        return replace(record, config=config, schema=SCHEMA)
    changed = replace(now, fingerprint=None, before=[*was.before, replace(was, before=[])], model=own_model(config))
    return replace(record, config=config, code=changed, packages=installed, schema=SCHEMA)


def write(record: SweepRecord, folder: Path) -> None:
    """Write `sweep.json`."""
    write_text(SweepFolder(folder).record, json.dumps(record.to_dict(), indent=1, default=str))


def read(folder: Path) -> SweepRecord:
    """The record in a sweep's folder.

    Raises:
        RecordError: there is none, or it lacks what no default can stand for.
    """
    path = SweepFolder(folder).record
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(
            f"{path} does not exist: expected the folder of a sweep, for example results/NAME"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RecordError(f"{path}: cannot be read as JSON ({error})") from None
    try:
        return of(written)
    except RecordError as error:
        raise RecordError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None


def of(written: Any) -> SweepRecord:
    """The record whose JSON is `written`.

    Raises:
        RecordError: every field that is missing or wrong, a line each.
    """
    if not isinstance(written, dict):
        raise RecordError(f"expected an object, found {type(written).__name__}")
    current = upgraded(written)
    try:
        record = TypeAdapter(SweepRecord).validate_python(current)
    except ValidationError as error:
        raise RecordError("\n".join(_problem(found) for found in error.errors())) from None
    unread = tuple(_unread(current, SweepRecord))
    if record.schema > SCHEMA:
        unread = (f"schema {record.schema}, this program writes {SCHEMA}", *unread)
    return replace(record, unread=unread)


def upgraded(written: dict[str, Any]) -> dict[str, Any]:
    """A record of any older schema as this program would have written it."""
    config = written.get("config")
    if not isinstance(config, dict):
        return written
    known = {"model": written.get("model", ""), "name": written.get("name", ""), "storage": "results", "trials": 0}
    config = known | {"seed": 0, "search": "", "scheduler": ""} | config
    ablation = config.get("ablation")
    if isinstance(ablation, dict) and written.get("schema", 1) < 2:
        names = [variant["name"] for variant in ablation["variants"]]
        named = [each | {side: names[each[side]] for side in ("before", "after")} for each in ablation["comparisons"]]
        config |= {"ablation": ablation | {"comparisons": named}}
    schema = max(written.get("schema", 1), SCHEMA)
    return {"id": "", **written, "config": config, "schema": schema}


def _problem(found: Any) -> str:
    place = ".".join(map(str, found["loc"])) or "record"
    if found["type"] == "missing":
        return f"{place} missing"
    return f"{place}: {found['input']!r}: {found['msg']}"


def _unread(written: Any, kind: Any, place: str = "") -> Iterator[str]:
    """The fields of `written` that `kind` does not have, those inside of it too."""
    if get_origin(kind) is UnionType:
        kind = next((each for each in get_args(kind) if is_dataclass(each) or get_origin(each) is list), None)
    if get_origin(kind) is list and isinstance(written, list):
        for each in written:
            yield from _unread(each, get_args(kind)[0], place)
    elif is_dataclass(kind) and isinstance(kind, type) and isinstance(written, dict):
        types, known = get_type_hints(kind), {each.name for each in fields(kind)}
        for name, value in written.items():
            if name not in known:
                yield f"{place}{name}"
            else:
                yield from _unread(value, types[name], f"{place}{name}.")


def code() -> CodeRecord:
    """Which code is running."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    changes = git("status", "--porcelain", "--untracked-files=no")
    return CodeRecord(fingerprint(), git("rev-parse", "HEAD"), None if changes is None else bool(changes))


def own_model(config: SweepConfig) -> OwnModel | None:
    """The copy in the sweep's folder; None for a model of this project."""
    manifest = config.folder / CODE / MANIFEST
    return TypeAdapter(OwnModel).validate_json(manifest.read_bytes()) if manifest.exists() else None


def fingerprint(names: Sequence[str] = SOURCES) -> str:
    """sha256 (hex) over path and content of every file of the packages `names` as imported, bytecode aside."""
    digest = hashlib.sha256()
    for package in names:
        folder = Path(importlib.import_module(package).__path__[0])
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                content = path.read_bytes()
                digest.update(f"{package}/{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
                digest.update(content)
    return digest.hexdigest()


def packages() -> dict[str, str]:
    """The versions of the libraries that are installed here, by name."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}
