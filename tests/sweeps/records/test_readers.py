"""Nothing is recorded that nothing reads."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from sweeps import config
from sweeps.records import journal, record

ROOT = Path(__file__).resolve().parents[3]
RECORDS = (  # but for `ParameterRecord`, a copy of the parameter as it was defined
    record.SweepRecord,
    record.DataRecord,
    record.OwnModel,
    record.CodeRecord,
    journal.TrialRecord,
    journal.SweepState,
    config.SweepConfig,
)


@cache
def read_in(path: Path) -> frozenset[str]:
    """The attributes that a file reads, those in templates included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    read = {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return frozenset(read | {name for text in texts if "{{" in text for name in re.findall(r"\.(\w+)", text)})


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_every_field_of_a_record_is_read_outside_of_the_module_that_writes_it(kind: type) -> None:
    own = ROOT / Path(*kind.__module__.split(".")).with_suffix(".py")
    packages = ("sweeps", "trainables", "analysis")
    files = [path for package in packages for path in (ROOT / package).rglob("*.py") if path != own]
    read = set().union(*map(read_in, files))
    assert [each.name for each in fields(kind) if each.name not in read] == []
