"""Ablations: their trials, their files, and a real one from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import search_spaces
from search_spaces.study import Study
from sweeps import ablation
from sweeps.config import SweepConfig
from sweeps.exit_codes import ExitCode
from sweeps.records import journal, record
from sweeps.records.outcomes import Status
from sweeps.records.record import SweepRecord
from trainables import epoch_log

SPACE = search_spaces.load("imc_vae")
NEARLY = [("a", 0.30000001), ("b", 0.30000002)]
ABLATE = Path(__file__).resolve().parents[2] / "sweeps" / "ablate.py"


def test_a_configuration_that_several_comparisons_need_is_one_variant():
    fixes, without, _ = search_spaces.studies("imc_vae")
    built = ablation.build(SPACE, [fixes, without], [], seeds=2)
    # the ladder has five rungs; of the seven that are left out of all, the last is the ladder's second but last
    assert len(built.variants) == 5 + 7 - 1
    assert built.trials == 22
    names = [variant.name for variant in built.variants]
    assert [step.before for step in built.steps if step.study == "fixes"] == names[:4]
    assert {step.before for step in built.steps if step.study == "without one"} == {names[4]}


def test_an_ablation_survives_its_record():
    for seeds, looks in ((3, [3]), (ablation.AUTO, [5, 8, 12, 20])):
        built = ablation.build(SPACE, search_spaces.studies("imc_vae")[:1], [], seeds)
        assert (built.looks, built.trials) == (looks, looks[-1] * len(built.variants))
        config = SweepConfig(
            "imc_vae", "demo", "results", 1, 1, 0, "ablation", "none", ["m"], ["max"], ablation=built
        )
        written = json.loads(json.dumps(SweepRecord("demo", "5eeb", "imc_vae", config).to_dict()))
        assert record.of(written).config.ablation == built
    del written["config"]["ablation"]["looks"]
    assert record.of(written).config.ablation.looks == [20]


def test_values_that_look_the_same_are_variants_of_their_own():
    study = Study("s", "", "", "one-at-a-time", {name: {"kl_warmup": value} for name, value in NEARLY}, "documented")
    names = [variant.name for variant in ablation.build(SPACE, [study], [], 1).variants]
    assert len(set(names)) == 3


def test_variants_are_named_by_what_they_differ_in():
    names = [variant.name for variant in ablation.build(SPACE, [], search_spaces.claims("imc_vae"), 1).variants]
    assert "documented" in names
    assert "documented, kld_free_bits=0.5" in names


def test_studies_from_a_file(tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text(
        '[study.mine]\nform = "one-at-a-time"\nbase = "documented"\n'
        '[study.mine.steps.free]\ngrad_clip_norm = "none"\n[study.mine.steps.long]\nkl_warmup = 0.5\n'
    )
    (study,), claims, problems = ablation.chosen("imc_vae", None, str(file))
    assert (claims, problems, study.problems(SPACE)) == ([], [], [])
    assert [each.after["grad_clip_norm"] for each in study.comparisons(SPACE)] == [None, 1.0]
    studies, _, problems = ablation.chosen("imc_vae", "mine,fixes", str(file))
    assert ([study.name for study in studies], problems) == (["mine", "fixes"], [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[study", "cannot be read as TOML"),
        ("", "expected tables [study.NAME]"),
        ("[study.a]\nform = 'x'\n[study.a.steps.b]\nc = 1", "study a: form 'x'; expected one of ladder"),
        ("[study.a]\nform = 'ladder'", "study a: no steps"),
        ("[study.a]\nform = 'ladder'\nbas = 1\n[study.a.steps.b]\nc = 1", "unknown bas; expected form"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str, problem: str):
    (tmp_path / "mine.toml").write_text(text)
    studies, problems = ablation.read_file(tmp_path / "mine.toml")
    assert studies == []
    assert problem in "\n".join(problems)


def test_a_file_that_is_not_there(tmp_path: Path):
    assert "cannot be read" in ablation.read_file(tmp_path / "none.toml")[1][0]


def ablate(storage: Path, *arguments: str) -> tuple[int, str]:
    small = ["--set", "latent_dim=8", "--set", "hidden_dim=16", "--set", "layers=1", "--subset", "60"]
    command = [sys.executable, str(ABLATE), "imc_vae", "--data", "digits", *small, "--storage", str(storage)]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=300, env=os.environ | {"COLUMNS": "160"}
    )
    return done.returncode, done.stdout + done.stderr


def test_an_ablation_from_the_command_line(tmp_path: Path):
    code, output = ablate(tmp_path, "--vary", "kl_warmup=0,0.5", "--seeds", "2", "--epochs", "2", "--name", "one")
    assert code in (ExitCode.FINISHED, ExitCode.NO_HEALTHY_TRIAL), (
        output
    )  # two epochs may teach none to use its latent
    assert "effect on val/elbo_gain" in output
    trials = journal.read(tmp_path / "one").trials
    assert [trial.seed for trial in trials.values()] == [0, 0, 0, 1, 1, 1]
    assert all(trial.status is Status.FINISHED for trial in trials.values())
    rows = epoch_log.dataset(tmp_path / "one").to_table(columns=["trial", "seed", "val/elbo_gain"]).to_pylist()
    assert {(row["trial"], row["seed"]) for row in rows} == {(i, (i - 1) // 3) for i in range(1, 7)}
    by_seed = [{row["val/elbo_gain"] for row in rows if row["seed"] == seed} for seed in (0, 1)]
    assert by_seed[0].isdisjoint(by_seed[1])


def test_problems_are_told_at_once(tmp_path: Path):
    code, output = ablate(tmp_path, "--study", "nothing", "--vary", "foo=1", "--seeds", "0")
    assert code == 2
    assert all(part in output for part in ("--study nothing: imc_vae has", "--vary foo=1", "--seeds 0"))
    assert not list(tmp_path.iterdir())
