"""What further seeds say of the best of a search."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape
from rich.console import Console

from analysis import confirmed, outputs, report, sweep
from analysis.confirmed import Confirmed
from sweeps.ablation import Ablation, Contrast, Variant
from sweeps.confirm import Confirm
from sweeps.exit_codes import ExitCode
from sweeps.records.journal import Ended
from sweeps.records.outcomes import Outcome
from sweeps.result import SweepResult, recorded_result
from sweeps.summary import show
from tests.analysis.conftest import CONFIG, SweepWriter

CONFIGS = {"trial 1": 256, "trial 2": 512, "documented": 1024}
NOISE = (0.0, 0.02, -0.01, 0.03, -0.04)  # of a seed, the same for all
OWN = (0.001, -0.002, 0.002, -0.001, 0.0)  # of a configuration and a seed

Scores = Mapping[str, Sequence[float | str]]


@pytest.fixture
def writer(tmp_path: Path) -> SweepWriter:
    """A search of three configurations, of which the first is the best."""
    writer = SweepWriter(tmp_path, confirm=Confirm(2, 5))
    for place, (name, latent) in enumerate(CONFIGS.items()):
        origin = "documented" if name == "documented" else "search"
        writer.trial([0.9 - 0.1 * place], config={"latent_dim": latent}, origin=origin)
    writer.finish()
    return writer


def confirm(
    writer: SweepWriter, scores: Scores, seeds: int = 5, test: bool = True, finish: bool = True
) -> SweepWriter:
    """Add the confirmation; text stands for the verdict of a trial that ended sick, or for FAILED."""
    variants = [Variant(name, CONFIG | {"latent_dim": CONFIGS[name]}) for name in scores]
    others = [name for name in scores if name != "documented"] if "documented" in scores else []
    compared = [Contrast("confirmation", name, "documented", name) for name in others]
    design = Ablation(seeds, variants, compared)
    again = SweepWriter(writer.path, "confirm", seed=8, ablation=design, test=test, scheduler="none")
    for variant in variants:
        for number, score in enumerate(scores[variant.name]):
            _trial(again, variant, 8 + number, score)
    if finish:
        again.finish()
    return again


def _trial(writer: SweepWriter, variant: Variant, seed: int, score: float | str) -> None:
    trial = writer.suggest(variant.config, variant.name, seed=seed)
    writer.start(trial)
    if score == "FAILED":
        writer.journal.append(Ended(trial, "FAILED", "ERROR", "KeyError"))
        return
    verdict, value = ("HEALTHY", score) if isinstance(score, float) else (score, -0.1)
    told = {"val/elbo_gain": value + 0.05 - 0.01 * seed, "health/au": 3.0}
    writer.log(trial, [told | {"verdict": verdict, "best_epoch": 1}], variant.config)
    writer.journal.append(Ended(trial, "FINISHED", "", "", 1, told | {"test/elbo_gain": value}))


def around(mean: float, shift: int = 0) -> list[float]:
    return [mean + seed + own for seed, own in zip(NOISE, np.roll(OWN, shift).tolist(), strict=True)]


def found(writer: SweepWriter) -> Confirmed:
    read = confirmed.confirmed(sweep.load(writer.path))
    assert read is not None
    return read


CLEAR = {"trial 1": around(0.6), "trial 2": around(0.5, 1), "documented": around(0.3, 2)}
DRAWN = {"trial 1": around(0.6), "trial 2": around(0.601, 1), "documented": around(0.3, 2)}


def test_nothing_is_confirmed_where_nothing_was_trained_again(writer) -> None:
    assert confirmed.confirmed(sweep.load(writer.path)) is None
    assert "Every configuration was trained with one seed" in report.render(sweep.load(writer.path))


def test_a_winner_has_its_interval_its_probability_and_beats_the_documented_one(writer) -> None:
    confirm(writer, CLEAR)
    read = found(writer)
    assert [each.name for each in read.configurations] == ["trial 1", "trial 2", "documented"]
    best = read.configurations[0]
    values = np.array(CLEAR["trial 1"])
    half = 2.7764451 * values.std(ddof=1) / np.sqrt(5)  # Student's 97.5 % point, 4 degrees of freedom
    assert (best.low, best.high) == pytest.approx((values.mean() - half, values.mean() + half))
    assert best.probability > 0.99
    assert best.effect.mean == pytest.approx(0.3)
    assert best.effect.significant
    assert read.draws == []
    first, beats = confirmed.verdicts(read)
    assert first.startswith("Confirmed: trial 1 is best, with test ELBO gain 0.600 [0.5")
    assert "over 5 further seeds, the best of 3 with probability >0.99; the search had 0.900 for it." in first
    assert beats.startswith("It beats the documented configuration by 0.300 (p = ")


def test_a_draw_is_called_a_draw_with_the_difference_that_would_have_been_found(writer) -> None:
    confirm(writer, DRAWN)
    read = found(writer)
    (draw,) = read.draws
    assert (read.leader.name, draw.other.name, draw.seeds) == ("trial 2", "trial 1", 5)
    differences = np.array(DRAWN["trial 2"]) - DRAWN["trial 1"]
    spread = differences.std(ddof=1)
    assert draw.detectable == pytest.approx(1.68 * spread, rel=0.01)  # 5 pairs, one test at 5 %, found with 80 %
    text = " ".join(confirmed.verdicts(read))
    assert "Confirmed: trial 2 has the highest mean: test ELBO gain 0.601" in text
    assert (
        "Trial 2 and trial 1 cannot be told apart with 5 seeds: they differ by 0.00100; a difference of 0.0050"
        in text
    )
    assert "is best" not in text


def test_the_documented_one_may_be_the_best_or_in_a_draw(writer) -> None:
    confirm(writer, {"trial 1": around(0.6), "documented": around(0.601, 1)})
    read = found(writer)
    assert (read.leader.name, [draw.other.name for draw in read.draws]) == ("documented", ["trial 1"])
    assert "The documented configuration and trial 1 cannot be told apart" in " ".join(confirmed.verdicts(read))


def test_one_configuration_alone_is_no_winner(writer) -> None:
    confirm(writer, {"documented": around(0.3)})
    (line,) = confirmed.verdicts(found(writer))
    assert line.startswith("Confirmed: the documented configuration has test ELBO gain 0.300 [")
    assert "probability" not in line


def test_the_score_of_a_part_of_the_budget_is_not_set_beside_that_of_the_whole(tmp_path) -> None:
    writer = SweepWriter(tmp_path)
    writer.trial([0.9], config={"latent_dim": CONFIGS["trial 1"]})
    writer.trial([0.7], status="STOPPED", reason="RUNG", config={"latent_dim": CONFIGS["documented"]})
    confirm(writer, {"trial 1": around(0.6), "documented": around(0.3, 2)})
    best, documented = found(writer).configurations
    assert (best.searched.number, documented.searched) == (1, None)


def test_sick_and_failed_seeds_are_told_and_the_sick_count(writer) -> None:
    sick = [*around(0.6)[:3], "COLLAPSED", "COLLAPSED"]
    failed = [*around(0.5, 1)[:4], "FAILED"]
    confirm(writer, {"trial 1": sick, "trial 2": failed, "documented": around(0.3, 2)})
    read = found(writer)
    one, two = (next(each for each in read.configurations if each.name == f"trial {k}") for k in (1, 2))
    assert (one.healthy, one.ends) == (3, {Outcome.COLLAPSED: 2})
    assert one.mean == pytest.approx((sum(sick[:3]) - 0.2) / 5)
    assert (two.healthy, two.ends, len(two.scores)) == (4, {Outcome.FAILED: 1}, 4)
    assert read.leader.name == "trial 2"
    text = " ".join(confirmed.verdicts(read))
    assert "Trial 1 ended collapsed with 2 of 5 seeds." in text
    assert "Trial 2 ended failed with 1 of 5 seeds." in text


def test_too_few_seeds_have_no_winner(writer) -> None:
    few = {name: scores[:2] for name, scores in CLEAR.items()}
    confirm(writer, few, seeds=5, finish=False)
    read = found(writer)
    assert (read.leader, read.winner, read.unfinished) == (None, None, 9)
    assert confirmed.verdicts(read) == ["The confirmation has not ended: 9 trials are left."]
    assert recorded_result(writer.path).resumable
    assert np.isnan(read.configurations[0].low)


def test_no_seed_with_a_score(writer) -> None:
    confirm(writer, {"trial 1": ["FAILED"] * 3}, seeds=3)
    assert confirmed.verdicts(found(writer))[0] == "No configuration has a score with 3 seeds that others have too."


def test_the_winning_weights_are_chosen_by_the_validation_score(writer) -> None:
    confirm(writer, CLEAR)
    read = found(writer)
    assert read.winner.record.origin == "trial 1"
    best = max(
        (trial for trial in read.sweep.trials if trial.record.origin == "trial 1"),
        key=lambda trial: trial.metric("val/elbo_gain"),
    )
    assert read.winner.number == best.number
    assert read.winner.metric("test/elbo_gain") < max(CLEAR["trial 1"])


def test_report_and_console_and_tables_tell_the_same(writer) -> None:
    confirm(writer, DRAWN)
    read = sweep.load(writer.path)
    page = report.render(read)
    told = confirmed.verdicts(found(writer))
    for line in told:
        assert page.count(escape(line)) == 2  # on the first page and in its section
    assert '<section id="confirmed"' in page
    assert "Every configuration was trained with one seed" not in page
    gathered = outputs.gather(read)["confirmed"]
    json.dumps(gathered, allow_nan=False)
    assert (gathered["leader"], gathered["verdicts"], gathered["unfinished"]) == ("trial 2", told, 0)
    assert gathered["configurations"][0]["scores"]["8"] == pytest.approx(DRAWN["trial 2"][0])
    markdown = outputs.write(writer.path, "md").read_text()
    assert f"## Confirmed\n\n{told[0]}" in markdown
    file = io.StringIO()
    show(Console(file=file, width=400), SweepResult(writer.path, ExitCode.FINISHED, ""))
    assert all(line in file.getvalue() for line in told)


def test_it_is_told_where_there_was_no_test_part(writer) -> None:
    again = confirm(writer, CLEAR, test=False)
    read = found(writer)
    assert read.metric == "val/elbo_gain"
    assert again.record.config.told_by == "val/elbo_gain"
    assert "once more, for no test part is known" in report.render(sweep.load(writer.path))


def test_the_search_stays_as_it_was(writer) -> None:
    before = sweep.load(writer.path)
    confirm(writer, {"trial 2": around(0.9), "documented": around(0.3, 2)})
    after = sweep.load(writer.path)
    assert [trial.metrics for trial in after.trials] == [trial.metrics for trial in before.trials]
    result = SweepResult(writer.path, ExitCode.FINISHED, "")
    assert (result.best.number, result.confirmed.leader.name) == (1, "trial 2")


def test_equal_configurations_are_nearly_always_told_as_a_draw() -> None:
    rng, told_apart, repeats = np.random.default_rng(4), 0, 600
    for _ in range(repeats):
        table = rng.normal(size=(5, 1)) + rng.normal(size=(5, 3))
        compared = [confirmed.Configuration(f"trial {place}", None, []) for place in range(3)]
        told_apart += len(confirmed._draws(compared, table, int(table.mean(axis=0).argmax()))) < 2
    assert told_apart / repeats <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repeats)
