"""Results as JSON, Parquet and Markdown."""

import json
import math

import pyarrow.parquet as pq
import pytest

from analysis import outputs
from analysis.sweep import SweepError, load


def read_json(writer, other=None):
    return json.loads(outputs.write(writer.path, "json", other=other and other.path).read_text(encoding="utf-8"))


def test_the_fields_are_those_that_are_documented(ablated):
    told = outputs.__doc__.partition("`json`")[2].partition("`md`")[0]
    names = [line[4:].split()[0] for line in told.splitlines() if line.startswith("    ") and line[4] != " "]
    assert names == list(read_json(ablated))


def test_json_of_a_search(writer):
    writer.trial([0.1] * 10, origin="documented", forecast={"au": 3.0, "collapsed": False}, au=3.0)
    writer.trial([0.2] * 10, config={"learning_rate": 1e-3})
    writer.trial([math.nan] * 3, status="STOPPED", reason="NUMERIC", verdicts={3: "NUMERIC"})
    found = read_json(writer)
    assert found["best"]["trial"] == 2
    assert found["best"]["config"]["learning_rate"] == 1e-3
    assert found["best"]["next"] == {"trial": 1, "gap": pytest.approx(0.1), "wobble": 0.0}
    assert [(row["rank"], row["trial"], row["outcome"]) for row in found["leaderboard"]] == [
        (1, 2, "finished"),
        (2, 1, "finished"),
        (None, 3, "numeric"),
    ]
    assert found["leaderboard"][2]["metrics"]["val/elbo_gain"] is None
    assert found["stopping"]["outcomes"] == {"finished": 2, "numeric": 1}
    assert found["stopping"]["epochs"]["saved_by_health"] == 7
    assert found["stopping"]["controls"]["condemned"] == 1
    assert found["forecast"]["clear"] == 1
    assert (found["settings"], found["effects"], found["claims"], found["compare"]) == ([], [], [], None)


def test_json_of_an_ablation(ablated):
    found = read_json(ablated)
    assert [row["setting"] for row in found["settings"]] == ["two", "documented"]
    (effect,) = [row for row in found["effects"] if row["metric"] == "val/elbo_gain"]
    assert (effect["before"], effect["after"], effect["pairs"]) == ("documented", "two", 4)
    assert (effect["from"], effect["to"], effect["effect"]) == pytest.approx((1.5, 1.75, 0.25))
    findings = {claim["text"]: claim["finding"] for claim in found["claims"]}
    assert findings == {
        "Two is better": "supported",
        "Two is worse": "contradicted",
        "Two has sharper vessels": "untestable",
    }
    assert "effect" not in found["claims"][2]


def test_a_sweep_without_trials(writer):
    found = read_json(writer)
    assert (found["best"], found["leaderboard"], found["forecast"]) == (None, [], None)
    assert "none finished healthy" in outputs.write(writer.path, "md").read_text()
    assert pq.read_table(outputs.write(writer.path, "parquet")).num_rows == 0


def test_parquet_has_a_row_a_trial(writer):
    writer.trial([0.1, 0.2], config={"grad_clip_norm": None, "odd": 1.5}, au=3.0, seed=4)
    writer.trial([math.nan], status="STOPPED", reason="NUMERIC", detail="nan", config={"odd": "word"})
    table = pq.read_table(outputs.write(writer.path, "parquet"))
    first, second = table.to_pylist()
    assert {key: first[key] for key in ("sweep", "trial", "seed", "status", "healthy", "epochs")} == {
        "sweep": "demo",
        "trial": 1,
        "seed": 4,
        "status": "FINISHED",
        "healthy": True,
        "epochs": 2,
    }
    assert (first["val/elbo_gain"], first["health/au"], first["config/learning_rate"]) == (0.2, 3.0, 3e-4)
    assert (first["config/odd"], second["config/odd"]) == ("1.5", "word")
    assert (second["reason"], second["detail"], second["health/au"]) == ("NUMERIC", "nan", None)
    assert math.isnan(second["val/elbo_gain"])


def test_parquet_of_two_sweeps_has_the_rows_of_both(writer, make_writer):
    other = make_writer(name="other")
    writer.trial([0.1])
    other.trial([0.2], metric="val/other")
    path = outputs.write(writer.path, "parquet", other=other.path)
    assert pq.read_table(path, columns=["sweep", "val/other"]).to_pylist() == [
        {"sweep": "demo", "val/other": None},
        {"sweep": "other", "val/other": 0.2},
    ]


@pytest.mark.parametrize("form", outputs.FORMS)
def test_two_models_are_refused(writer, make_writer, form):
    other = make_writer(name="other")
    other.save(model="vq_vae")
    with pytest.raises(SweepError, match="nothing to compare"):
        outputs.write(writer.path, form, other=other.path)


def test_comparison_in_json(ablated, make_writer):
    other = make_writer(name="other", epochs=5)
    other.trial([0.5] * 5, config=ablated.record.config.ablation.variants[0].config, seed=2)
    found = read_json(ablated, other)["compare"]
    assert (found["here"]["name"], found["there"]["name"], found["there"]["score"]) == ("ablated", "other", 0.5)
    assert (found["shared"], found["difference"], found["low"]) == (1, 1.5, None)
    assert {"name": "epochs", "here": "10", "there": "5"} in found["settings"]


def test_markdown_tables_are_whole(ablated, realistic, make_writer):
    other = make_writer(name="other")
    other.trial([0.5], config={"note": "a|b\nc"})
    for folder, beside in ((ablated.path, other.path), (realistic, None), (other.path, None)):
        text = outputs.write(folder, "md", out=other.path / "report.md", other=beside).read_text(encoding="utf-8")
        blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
        assert len(blocks) >= 2
        for lines in blocks:
            widths = {line.replace("\\|", "").count("|") for line in lines}
            assert len(widths) == 1, lines
    assert "## Beside other" in outputs.write(ablated.path, "md", other=other.path).read_text()


def test_markdown_says_what_the_tables_say(ablated):
    text = outputs.write(ablated.path, "md").read_text(encoding="utf-8")
    assert "| Advice | 1 supported, 1 contradicted, 0 inconclusive, 1 untestable |" in text
    assert "| fixes | + KL | ELBO gain | 1.50 | 1.75 | 0.250 [" in text
    assert (
        "| untestable | Two has sharper vessels | notes | vessels ↑ | – | – | no trial has val/vessels | – |" in text
    )


def test_the_same_sweep_gives_the_same_object(realistic):
    assert outputs.gather(load(realistic)) == outputs.gather(load(realistic))
