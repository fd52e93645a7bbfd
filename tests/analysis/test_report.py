import base64
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import search_spaces
from analysis import figures, outputs, report, sections
from analysis.sweep import SweepError, load
from sweeps.records.journal import Extended

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
        section.id for section in report.SECTIONS if section.id not in ("ablation", "claims", "codes")
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


def test_pictures_that_are_drawn_are_shown_as_they_are(whole, realistic):
    images = [value for tag, name, value in whole[1].attributes if (tag, name) == ("img", "src")]
    assert len(images) == 9
    best = (realistic / "trials" / "00003" / "artifacts" / "reconstructions.png").read_bytes()
    assert base64.b64decode(images[0].partition(",")[2]) == best


def test_pictures_are_drawn_for_those_shown_alone_and_what_cannot_be_is_told(writer):
    for _ in range(4):
        writer.trial([0.1] * 9 + [0.25])
    writer.finish()
    images = np.zeros((2, 4, 4, 3), np.uint8)
    for trial in (1, 2, 3, 4):
        folder = writer.path / "trials" / f"{trial:05d}" / "artifacts"
        folder.mkdir(parents=True)
        np.savez(folder / "pictures.npz", samples=images)
    (writer.path / "trials" / "00001" / "artifacts" / "pictures-epoch-00005.npz").write_bytes(b"cut short")
    one = page(writer)
    assert len([value for tag, name, value in one.attributes if (tag, name) == ("img", "src")]) == 2
    assert "pictures-epoch-00005.npz cannot be drawn" in one.words("pictures")
    assert [path.parts[-3] for path in sorted(writer.path.rglob("samples.png"))] == ["00001", "00002"]


def test_the_summary_in_words(writer):
    writer.trial([0.1] * 9 + [0.25], origin="documented")
    writer.trial([0.0] * 3, origin="baseline", status="STOPPED", reason="COLLAPSED", verdicts={3: "COLLAPSED"})
    writer.trial([0.1] * 9 + [0.5])
    writer.trial([0.2] * 2, status="STOPPED", reason="RUNG")
    writer.trial([0.1] * 9 + [0.3], control=True, verdicts={4: "COLLAPSED"})
    writer.finish()
    words = page(writer).words("summary")
    assert (
        "The best configuration is trial 3 with ELBO gain 0.500 at its best epoch, 10 of 10, 0.250 better than the "
        "documented configuration "
        "(trial 1) and 0.500 better than the documented “before” (trial 2, collapsed at epoch 3 of 10)." in words
    )
    assert "5 trials of 10 epochs: 2 finished, 1 kept as control, 1 stopped at a rung and 1 collapsed." in words
    assert "35 epochs of 50 were trained; stops saved 15 (30 %): 7 by the health verdict, 8 at rungs." in words
    assert (
        "1 of 1 control recovered, a rate of 100 % (95 % Wilson interval 21 % to 100 %): of the 1 trial that the "
        "verdict stopped, 0 to 1 would have recovered too." in words
    )
    assert "Trial 5 is next, 0.200 behind. From epoch to epoch the score of the best still moves by 0.0" not in words
    known = len(search_spaces.claims("imc_vae"))
    assert f"The {known} documented claims about imc_vae are not tested by a search" in words
    assert "val/elbo_gain, higher is better: the evidence bound" in words
    assert "embedded demonstration data" in words


def test_a_best_documented_trial_is_not_compared_with_itself(writer):
    writer.trial([0.5], origin="documented")
    writer.trial([math.nan], origin="baseline", status="STOPPED", reason="NUMERIC")
    words = page(writer).words("summary")
    assert "The best configuration is trial 1, the documented configuration, with ELBO gain 0.500" in words
    assert "while the documented “before” (trial 2, numeric) has no score." in words


def test_the_setting_of_the_best_beside_the_documented_one(writer):
    writer.trial([0.1], origin="documented", config={"learning_rate": 3e-4, "normalize": "channel_wise"})
    writer.trial([0.2], config={"learning_rate": 0.000512345, "normalize": "channel_wise"})
    writer.trial([0.0], config={"learning_rate": 3e-4, "normalize": "learned"})
    words = page(writer).words("summary")
    assert "normalize channel_wise" in words
    assert "learning_rate 0.000512 documented 0.0003" in words
    assert "latent_dim" not in words


def test_how_sure_the_best_is(make_writer):
    writer = make_writer(epochs=20)
    writer.trial([0.1] * 15 + [0.50, 0.52, 0.50, 0.52, 0.50])
    assert "Nothing to compare with" in page(writer).words("summary")
    writer.trial([0.49] * 20)
    words = page(writer).words("summary")
    assert "Trial 2 is next, 0.0100 behind. From epoch to epoch the score of the best still moves by 0.020" in words
    assert "more than that: the two cannot be told apart" in words
    assert "trained with one seed" in words


def test_what_a_score_not_above_0_means_is_said(writer):
    writer.trial([-0.1], **{"val/r2": -0.02})
    assert "reconstructs held-out data no better than the best constant does" in page(writer).words("summary")
    writer.trial([-0.05], **{"val/r2": 0.9, "health/rate": 120.0})
    words = page(writer).words("summary")
    assert "it explains 90% of the held-out variance, but its rate of 120 nats costs more than that is worth" in words
    writer.trial([0.1])
    assert "not above 0" not in page(writer).words("summary")


def test_trials_that_no_longer_improved_left_epochs(writer):
    writer.trial([0.1] * 6)
    assert "trials that no longer improved left 4." in page(writer).words("summary")


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
    assert "trial 2 with MSE 0.200 at its best epoch, 1 of 1, 0.300 better than the documented configuration" in words
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


def test_how_to_reproduce(writer):
    writer.save(command=["python", "sweeps/run.py", "imc_vae", "--data", "my grids.parquet"])
    writer.trial([0.5], config={"learning_rate": 0.00031234567891, "clip": None, "two_stage": True})
    words = page(writer).words("reproduce")
    assert "python sweeps/run.py imc_vae --data 'my grids.parquet'" in words
    assert "python sweeps/run.py --trial demo:1 Seed" in words
    writer.save(command=["sweeps/run.py", "imc_vae", "--storage=my results"])
    again = page(writer).words("reproduce")
    assert "python sweeps/run.py imc_vae '--storage=my results'" in again
    assert "python sweeps/run.py --trial demo:1 '--storage=my results'" in again
    for part in ("--set learning_rate=0.00031234567891", "--set clip=none", "--set two_stage=on"):
        assert part in words
    for part in ("Seed 7", "4fb070d2, with changes not committed", "torch 2.13.0", "sha256:9f2c41d07b5e", "cpus 16"):
        assert part in words


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


def test_partial_collapse_is_told(writer):
    for share in (0.0, 0.02, 0.09, 0.1, 0.5):
        writer.trial([0.1], au=100 * share, au_frac=share, kl_raw=1.0)
    writer.trial([0.1], au=2.0, au_frac=0.02, kl_raw=1.0, status="STOPPED", reason="RUNG")
    writer.finish()
    words = page(writer).words("units")
    assert "Partial collapse: 2 trials trained to the end with some, but less than 10 % of the units" in words
    assert "(trials 2, 3)" in words
    assert "KL on its floor" not in words


def test_a_kl_that_ends_on_its_floor_is_told(writer):
    for share in (0.5, 1.0):
        writer.trial([0.1], au=3.0, au_frac=0.5, kl_raw=1.0, kl_floor_frac=share)
    writer.finish()
    words = page(writer).words("units")
    assert "KL on its floor: in 1 trial (trial 2) hardly a dimension" in words
    assert "Partial collapse" not in words


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
    assert "The 2 claims that could be tested are judged together (Holm)" in claims
    assert "Both pay for looking" not in claims


def test_the_summary_of_an_ablation(ablated):
    words = page(ablated).words("summary")
    assert "The best setting is two with a mean ELBO gain of 1.75 [" in words
    assert "over 4 seeds, 0.250 better than the documented configuration." in words
    assert (
        "Next is the documented configuration, 0.250 behind in 4 pairs of the same seed (95 % interval 0.1" in words
    )
    assert "more than the seeds explain, unless the best is it by luck: it was chosen for its score." in words
    assert "Of 2 documented claims tested on this data, 1 supported, 1 contradicted, 0 inconclusive." in words
    assert "Supported: Two is better. Contradicted: Two is worse." in words


def test_claims_in_the_summary_lead_to_their_rows(ablated):
    attributes = page(ablated).attributes
    ids = {value for tag, name, value in attributes if name == "id" and tag == "tr"}
    links = {value[1:] for tag, name, value in attributes if (tag, name) == ("a", "href") and "claim-" in value}
    assert links == {"claim-1", "claim-2"}
    assert links <= ids


def test_settings_of_an_ablation_stand_in_order(ablated):
    words = page(ablated).words("ablation")
    assert re.search(r"two1.75 \[.*\]4 of 42, 4, 6, 8 the documented configuration1.50 \[", words)


def test_a_codebook_has_codes_in_place_of_units(make_writer):
    writer = make_writer(epochs=3)
    for usage in (0.01, 0.5, 0.9):
        trial = writer.suggest()
        measured = {"health/codebook_usage": usage, "health/perplexity": 200 * usage, "health/z_gain": usage}
        writer.log(trial, [{"val/elbo_gain": usage, "val/mse": 1 - usage, "health/rate": 9.0, **measured}] * 3)
        writer.end(trial, "FINISHED")
    parsed = page(writer)
    assert {"rate", "codes", "training"} <= set(parsed.sections)
    assert not {"units", "forecast", "stops"} & set(parsed.sections)
    assert "codebook usageperplexity" in parsed.words("leaderboard").replace(" codebook", "codebook").replace(
        " p", "p"
    )
    assert "less than 2% of the codes are in use" in parsed.words("codes")


def test_the_held_out_environment_is_shown_and_never_ranked_by(writer):
    for score, held_out in ((0.1, 0.9), (0.2, 0.3)):
        trial = writer.suggest()
        writer.log(trial, [{"val/elbo_gain": score, "environment/accuracy": held_out, "environment/mse": 1.0}])
        writer.end(trial, "FINISHED")
    words = page(writer).words("leaderboard")
    assert "environmentaccuracy" in words.replace(" ", "")
    assert "environment MSE" not in words
    assert "1 2 finished 1 0.2000 0.300 2 1 finished 1 0.1000 0.900" in words


def test_tables_of_very_many_trials_are_cut_and_say_so(writer, monkeypatch):
    monkeypatch.setattr(sections, "MOST_ROWS", 2)
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


def test_two_sweeps_side_by_side(ablated, make_writer):
    other = make_writer(name="other", epochs=5, scheduler="asha")
    other.trial([0.5] * 5, config=ablated.record.config.ablation.variants[0].config, seed=2)
    html = report.render(load(ablated.path), load(other.path))
    words = Page(html).words("compare")
    assert "ablatedother" in words
    assert "Best ELBO gain3.30 trial 80.500 trial 1" in words
    assert "1 trial finished in both with the same configuration and seed: mean difference 1.50" in words
    assert "without an interval: too few, or all the same" in words
    assert "epochs105" in words
    assert "schedulerhealth-ashaasha" in words
    assert "different data" not in words
    other.save(data=replace(other.record.data, fingerprint="another"))
    words = Page(report.render(load(ablated.path), load(other.path))).words("compare")
    assert "different data" in words
    assert "mean difference" not in words


def test_sweeps_of_two_models_are_not_compared(writer, make_writer):
    other = make_writer(name="other")
    other.save(model="vq_vae")
    with pytest.raises(SweepError, match="nothing to compare"):
        report.render(load(writer.path), load(other.path))


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
