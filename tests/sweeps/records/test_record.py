"""Records of any program that wrote them are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeps.ablation import Ablation
from sweeps.completion import resumed
from sweeps.options import ResumeOptions
from sweeps.records import record
from sweeps.records.folder import RECORD, SweepFolder

RECORDED = [
    *(Path(__file__).parent / "recorded").glob("*.json"),
    *(record.ROOT / "analysis" / "recorded").glob("*/" + RECORD),
]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_record_that_was_ever_written_is_read_and_comes_back_the_same(path: Path, tmp_path: Path):
    read = record.of(json.loads(path.read_text()))
    record.write(read, tmp_path)
    again = record.read(tmp_path)
    assert (again.config, again.health, again.data, again.code) == (read.config, read.health, read.data, read.code)
    assert (again.schema, again.unread) == (record.SCHEMA, ())


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_sweep_that_was_ever_recorded_can_go_on(path: Path, tmp_path: Path):
    read = record.of(json.loads(path.read_text()))
    config = resumed(read.config, ResumeOptions(storage=str(tmp_path)))
    config.folder.mkdir()
    record.write(record.resumed(read, config), config.folder)
    again = record.read(config.folder)
    assert again.config == config
    assert again.code.before[-1].fingerprint == read.code.fingerprint
    assert (again.schema, again.unread) == (record.SCHEMA, ())


def test_the_comparisons_of_an_older_ablation_name_their_variants():
    written = json.loads((Path(__file__).parent / "recorded" / "ablation-1.json").read_text())
    ablation = record.of(written).config.ablation
    assert isinstance(ablation, Ablation)
    names = [variant.name for variant in ablation.variants]
    before = [names[each["before"]] for each in written["config"]["ablation"]["comparisons"]]
    assert [each.before for each in ablation.comparisons] == before


def test_a_record_of_a_newer_program_is_read_and_what_is_not_known_is_named():
    written = json.loads((Path(__file__).parent / "recorded" / "search-1.json").read_text())
    written |= {"schema": 99, "config": written["config"] | {"new_option": 1}, "weather": "fine"}
    del written["config"]["strict"]
    read = record.of(written)
    assert read.config.strict is False
    assert {"config.new_option", "weather"} < set(read.unread)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path):
    written = {"name": "x", "config": {"epochs": "many", "mode": ["max"]}}
    SweepFolder(tmp_path).record.write_text(json.dumps(written))
    with pytest.raises(record.RecordError) as error:
        record.read(tmp_path)
    assert all(
        word in str(error.value) for word in ("model missing", "config.metric missing", "config.epochs: 'many'")
    )
