import base64
import re
from dataclasses import replace

import pytest

from analysis import figures, outputs, report
from analysis.sections.base import Section
from analysis.sweep import load
from sweeps.records.journal import Extended
from tests.analysis.page import Page, page


@pytest.fixture(scope="module")
def whole(realistic) -> tuple[str, Page]:
    html = report.write(realistic).read_text(encoding="utf-8")
    return html, Page(html)


def test_the_page_has_every_section(whole):
    assert " ".join(whole[1].sections) == (
        "summary leaderboard targets rate curves units training stops importance forecast pictures reproduce"
    )


def test_nothing_comes_from_outside(whole):
    html, parsed = whole
    for tag, name, value in parsed.attributes:
        if name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster"):
            assert value.startswith(("#", "data:image/png;base64,")), (tag, name, value[:60])
    styles = "".join(re.findall(r"<style.*?</style>", html, re.S))
    assert "@import" not in styles
    assert not re.search(r"url\((?!#)", styles)
    assert not {tag for tag, _, _ in parsed.attributes} & {"link", "iframe", "object", "embed"}


def test_ids_are_unique_and_links_lead_somewhere(whole):
    ids = [value for _, name, value in whole[1].attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = {value[1:] for _, name, value in whole[1].attributes if name.endswith("href") and value.startswith("#")}
    assert links <= set(ids)


def test_pictures_that_are_drawn_are_shown_as_they_are(whole, realistic):
    images = [value for tag, name, value in whole[1].attributes if (tag, name) == ("img", "src")]
    assert len(images) == 9
    best = (realistic / "trials" / "00003" / "artifacts" / "reconstructions.png").read_bytes()
    assert base64.b64decode(images[0].partition(",")[2]) == best


def test_a_sweep_that_was_only_planned(writer):
    parsed = page(writer)
    assert "No trial has been suggested yet." in parsed.words("summary")
    assert parsed.sections == ["summary", "reproduce"]


def test_a_running_or_killed_sweep(writer):
    writer.trial([0.1, 0.2], status="RUNNING")
    writer.suggest()
    parsed = page(writer)
    assert "not ended: it is still running, or its driver was killed" in parsed.words("")
    writer.journal.append(Extended(2, 9))
    assert "; extended from 2 to 9 trials on 2" in page(writer).words("")
    assert "No trial has finished healthy yet, so there is no best configuration." in parsed.words("summary")
    assert "1 running and 1 waiting" in parsed.words("summary")
    assert "Not ended 2" in parsed.words("leaderboard")


def test_a_trial_without_epochs_and_one_without_columns(writer):
    writer.trial([0.1], metric="val/other")
    trial = writer.suggest()
    writer.start(trial)
    writer.end(trial, "FAILED", "ERROR", "ValueError: no", epoch=0)
    parsed = page(writer)
    assert "ValueError: no" in parsed.words("stops")
    assert "curves" not in parsed.sections


def test_what_people_write_is_escaped(make_writer):
    planted = '<script>alert("1")</script>'
    writer = make_writer(metric=["val/<i>"])
    data = replace(writer.record.data, embedded=False, source="", path=planted)
    writer.save(name=planted, model=planted, command=["python", planted], data=data, machine={"host": planted})
    writer.trial([0.1], metric="val/<i>", config={planted: planted})
    writer.trial([0.1], status="FAILED", reason="ERROR", detail=planted, config={planted: "other"})
    writer.trial([0.1], status="STOPPED", reason="RUNG", detail=planted)
    writer.finish("interrupted", planted)
    html = report.render(load(writer.path))
    assert "<script>alert" not in html
    assert "<i>" not in html
    assert Page(html).words("stops").count('<script>alert("1")</script>') == 2


def test_a_record_with_the_bare_minimum(writer):
    config = {"epochs": 10, "metric": ["val/elbo_gain"], "mode": ["max"]}
    writer.save_as({"name": "demo", "model": "imc_vae", "config": config})
    writer.trial([0.5], au=1.0, kl_raw=1.0, forecast={"au": 1.0, "collapsed": False})
    sections = ["summary", "leaderboard", "targets", "curves", "units", "training", "forecast", "reproduce"]
    assert page(writer).sections == sections


def test_what_cannot_be_read_is_told(writer):
    writer.trial([0.1])
    writer.trial([0.2])
    (writer.path / "epochs" / "trial-00002.parquet").write_bytes(b"not parquet at all")
    told = "trial-00002.parquet cannot be read"
    assert told in page(writer).words("summary")
    assert any(told in line for line in outputs.gather(load(writer.path))["sweep"]["problems"])
    assert f"| Cannot be read | {writer.path}/epochs/{told}" in outputs.write(writer.path, "md").read_text()


def test_long_tables_scroll(writer):
    for _ in range(report.LONG_TABLE + 1):
        writer.trial([0.1], status="STOPPED", reason="RUNG")
    html = report.render(load(writer.path))
    assert 'class="table wide long"' in html
    assert 'class="table  long"' in html


def test_the_same_sweep_gives_the_same_page(realistic):
    assert report.render(load(realistic)) == report.render(load(realistic))


def test_tables_of_very_many_trials_are_cut_and_say_so(writer, monkeypatch):
    monkeypatch.setattr(Section, "most_rows", 2)
    for _ in range(3):
        writer.trial([0.1], status="STOPPED", reason="RUNG", au=1.0, forecast={"au": 1.0, "collapsed": False})
        writer.trial([0.1], au=1.0, forecast={"au": 1.0, "collapsed": False})
    words = page(writer).words
    assert "Shown are 4 of 6 trials, the first of every group. --format parquet writes every trial." in words(
        "leaderboard"
    )
    assert "Shown are 2 of 3 early ends, the first." in words("stops")
    assert "Shown are 2 of 6 trials, the first." in words("forecast")
    assert "RUNG327" in words("stops")


def test_too_many_trials_are_thinned_and_the_page_says_so(realistic, monkeypatch):
    monkeypatch.setattr(figures, "HEAT_MAP_ROWS", 10)
    monkeypatch.setattr(figures, "MOST_CURVES", 9)
    shown = Page(report.render(load(realistic)))
    assert "Shown are 8 of 24 trials" in shown.words("training")
    assert "at most 9, every k-th of the 24" in shown.words("curves")


def test_what_is_required_stands_where_trials_are_ranked(writer):
    writer.save(config=replace(writer.record.config, require=["health/au>=4"]))
    writer.trial([0.9], au=3.0)
    writer.finish()
    parsed = page(writer)
    told = "No trial finished healthy and with health/au>=4, so there is no best configuration."
    assert told in parsed.words("summary")
    assert "Only trials that finished healthy and with health/au>=4 have a rank." in parsed.words("leaderboard")
    assert "Finished and healthy, not as required 1" in parsed.words("leaderboard")
