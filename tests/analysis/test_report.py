import base64
import math
import re
from html.parser import HTMLParser

import pytest

from analysis import figures, report
from analysis.sweep import SweepError, load

VOID = {"meta", "wbr", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Parses strictly: every tag is closed in order. Collects text by section, tags and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.stack, self.attributes, self.section, self.text = [], [], "", {}
        self.feed(html)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "section":
            self.section = dict(attrs)["id"]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if not {"style", "script", "svg"} & set(self.stack):
            self.text[self.section] = self.text.get(self.section, "") + data

    def words(self, section: str) -> str:
        return " ".join(self.text[section].replace("\N{NARROW NO-BREAK SPACE}", " ").split())

    @property
    def sections(self) -> list[str]:
        return [value for tag, name, value in self.attributes if (tag, name) == ("section", "id")]


def page(writer) -> Page:
    return Page(report.render(load(writer.path)))


@pytest.fixture(scope="module")
def whole(realistic) -> tuple[str, Page]:
    html = report.write(realistic).read_text(encoding="utf-8")
    return html, Page(html)


def test_the_page_has_every_section(whole):
    assert whole[1].sections == [
        section.id for section in report.SECTIONS if section.id not in ("ablation", "claims")
    ]


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


def test_pictures_are_the_files_of_the_workers(whole, realistic):
    images = [value for tag, name, value in whole[1].attributes if (tag, name) == ("img", "src")]
    assert len(images) == 9
    best = (realistic / "trials" / "00003" / "artifacts" / "reconstructions.png").read_bytes()
    assert base64.b64decode(images[0].partition(",")[2]) == best


def test_the_summary_in_words(writer):
    writer.trial([0.1] * 9 + [0.25], origin="documented")
    writer.trial([0.0] * 3, origin="baseline", status="STOPPED", reason="COLLAPSED", verdicts={3: "COLLAPSED"})
    writer.trial([0.1] * 9 + [0.5])
    writer.trial([0.2] * 2, status="STOPPED", reason="RUNG")
    writer.trial([0.1] * 9 + [0.3], control=True, verdicts={4: "COLLAPSED"})
    writer.finish()
    words = page(writer).words("summary")
    assert (
        "The best configuration is trial 3 with ELBO gain 0.500, 0.250 better than the documented configuration "
        "(trial 1) and 0.500 better than the documented “before” (trial 2, collapsed at epoch 3 of 10)." in words
    )
    assert "5 trials of 10 epochs: 2 finished, 1 kept as control, 1 stopped at a rung and 1 collapsed." in words
    assert "35 epochs of 50 were trained; stops saved 15 (30 %): 7 by the health verdict, 8 at rungs." in words
    assert "1 of 1 control recovered, a rate of 100 % (95 % Wilson interval 21 % to 100 %)" in words
    assert "val/elbo_gain, higher is better: the evidence bound" in words
    assert "embedded demonstration data" in words


def test_a_best_documented_trial_is_not_compared_with_itself(writer):
    writer.trial([0.5], origin="documented")
    writer.trial([math.nan], origin="baseline", status="STOPPED", reason="NUMERIC")
    words = page(writer).words("summary")
    assert "The best configuration is trial 1, the documented configuration, with ELBO gain 0.500" in words
    assert "while the documented “before” (trial 2, numeric) has no score." in words


def test_without_a_healthy_trial_there_is_no_best(writer):
    writer.trial([0.0] * 2, status="STOPPED", reason="COLLAPSED", verdicts={2: "COLLAPSED"})
    writer.finish()
    parsed = page(writer)
    assert "No trial finished healthy, so there is no best configuration." in parsed.words("summary")
    assert "there is no control among the 1 condemned" in parsed.words("summary")
    assert "--set" not in parsed.words("reproduce")


def test_a_lower_metric_is_better_where_the_sweep_says_so(make_writer):
    writer = make_writer(metric=["val/mse"], mode=["min"])
    writer.trial([0.5], metric="val/mse", origin="documented")
    writer.trial([0.2], metric="val/mse")
    words = page(writer).words("summary")
    assert "trial 2 with MSE 0.200, 0.300 better than the documented configuration" in words
    assert "val/mse, lower is better" in words


def test_a_sweep_that_was_only_planned(writer):
    parsed = page(writer)
    assert "No trial has been suggested yet." in parsed.words("summary")
    assert parsed.sections == ["summary", "reproduce"]


def test_a_running_or_killed_sweep(writer):
    writer.trial([0.1, 0.2], status="RUNNING")
    writer.suggest()
    parsed = page(writer)
    assert "not ended: it is still running, or its driver was killed" in parsed.words("")
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


def test_nan_and_infinity_are_shown_as_such(writer):
    writer.trial([0.3], au=math.nan, kl_raw=math.inf)
    writer.trial([math.nan], status="STOPPED", reason="NUMERIC", au=2.0, kl_raw=3.0)
    words = page(writer).words("leaderboard")
    assert "1 1 finished 1 0.3000 NaN ∞" in words
    assert "2 numeric 1 NaN 2 3" in words


def test_several_metrics(make_writer):
    writer = make_writer(metric=["val/a", "val/b"], mode=["max", "max"])
    for a, b in ((1.0, 3.0), (2.0, 2.0), (1.0, 1.0)):
        trial = writer.suggest()
        writer.log(trial, [{"val/a": a, "val/b": b}])
        writer.end(trial, "FINISHED")
    html = report.render(load(writer.path))
    parsed = Page(html)
    assert "1* 2 finished 1 2 2 2* 1 finished 1 1 3 3 3 finished" in parsed.words("leaderboard")
    assert html.count("<svg") == 2


def test_no_front_without_a_healthy_trial(make_writer):
    writer = make_writer(metric=["val/a", "val/b"], mode=["max", "max"])
    trial = writer.suggest()
    writer.log(trial, [{"val/a": 1.0, "val/b": 1.0}])
    writer.end(trial, "STOPPED", "RUNG")
    assert "*" not in page(writer).words("leaderboard")


def test_what_people_write_is_escaped(make_writer):
    planted = '<script>alert("1")</script>'
    writer = make_writer(metric=["val/<i>"])
    writer.record |= {"name": planted, "model": planted, "command": ["python", planted]}
    writer.record["data"] |= {"embedded": False, "path": planted}
    writer.record["machine"] = {"host": planted}
    writer.save_record()
    writer.trial([0.1], metric="val/<i>", config={planted: planted})
    writer.trial([0.1], status="FAILED", reason="ERROR", detail=planted, config={planted: "other"})
    writer.trial([0.1], status="STOPPED", reason="RUNG", detail=planted)
    writer.finish("interrupted", planted)
    html = report.render(load(writer.path))
    assert "<script>alert" not in html
    assert "<i>" not in html
    assert Page(html).words("stops").count('<script>alert("1")</script>') == 2


def test_how_to_reproduce(writer):
    writer.record["command"] = ["python", "sweeps/run.py", "imc_vae", "--data", "my grids.parquet"]
    writer.save_record()
    writer.trial([0.5], config={"learning_rate": 0.00031234567891, "clip": None, "two_stage": True})
    words = page(writer).words("reproduce")
    assert "python sweeps/run.py imc_vae --data 'my grids.parquet'" in words
    for part in ("--set learning_rate=0.00031234567891", "--set clip=none", "--set two_stage=on"):
        assert part in words
    for part in ("Seed 7", "4fb070d2, with changes not committed", "torch 2.13.0", "sha256:9f2c41d07b5e", "cpus 16"):
        assert part in words


def test_a_record_with_the_bare_minimum(writer):
    writer.record = {
        "name": "demo",
        "model": "imc_vae",
        "config": {"epochs": 10, "metric": ["val/elbo_gain"], "mode": ["max"]},
    }
    writer.save_record()
    writer.trial([0.5], au=1.0, kl_raw=1.0, forecast={"au": 1.0, "collapsed": False})
    assert page(writer).sections == ["summary", "leaderboard", "curves", "units", "training", "forecast", "reproduce"]


def test_long_tables_scroll(writer):
    for _ in range(report.LONG_TABLE + 1):
        writer.trial([0.1], status="STOPPED", reason="RUNG")
    html = report.render(load(writer.path))
    assert 'class="table wide long"' in html
    assert 'class="table  long"' in html


def test_the_same_sweep_gives_the_same_page(realistic):
    assert report.render(load(realistic)) == report.render(load(realistic))


def test_an_ablation_shows_effects_and_claims(ablated):
    words = page(ablated).words
    assert "ablation" in page(ablated).sections
    assert "importance" not in page(ablated).sections
    assert re.search(r"fixes\+ KL \+0.250 \[0.1\d*, 0.3\d*\]", words("ablation"))
    claims = words("claims")
    assert re.search(r"supportedTwo is better \(notes\)", claims)
    assert re.search(r"contradictedTwo is worse \(notes\)", claims)
    assert re.search(r"cannot be tested on this dataTwo has sharper vessels.*no trial has val/vessels", claims)
    assert "Bonferroni: each at 1 − 0.05 / 2" in claims


def test_two_sweeps_side_by_side(ablated, make_writer):
    other = make_writer(name="other", epochs=5, scheduler="asha")
    other.trial([0.5] * 5, config=ablated.record["config"]["ablation"]["variants"][0]["config"], seed=2)
    html = report.render(load(ablated.path), load(other.path))
    words = Page(html).words("compare")
    assert "ablatedother" in words
    assert "Best ELBO gain3.40 (trial 8)0.500 (trial 1)" in words
    assert "1 trial finished in both with the same configuration and seed: mean difference 1.50" in words
    assert "epochs105" in words
    assert "schedulerhealth-ashaasha" in words
    assert "different data" not in words
    other.record["data"]["fingerprint"] = "another"
    other.save_record()
    assert "different data" in Page(report.render(load(ablated.path), load(other.path))).words("compare")


def test_sweeps_of_two_models_are_not_compared(writer, make_writer):
    other = make_writer(name="other")
    other.record["model"] = "vq_vae"
    other.save_record()
    with pytest.raises(SweepError, match="nothing to compare"):
        report.render(load(writer.path), load(other.path))


def test_too_many_trials_are_thinned_and_the_page_says_so(realistic, monkeypatch):
    monkeypatch.setattr(figures, "HEAT_MAP_ROWS", 10)
    monkeypatch.setattr(figures, "MOST_CURVES", 9)
    shown = Page(report.render(load(realistic)))
    assert "Shown are 8 of 24 trials" in shown.words("training")
    assert "at most 9, every k-th of the 24" in shown.words("curves")
