"""The command line as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from sweeps import doors
from sweeps.console import resume_command
from sweeps.exit_codes import ExitCode
from sweeps.records.outcomes import Status
from tests.sweeps.conftest import DONE, ROOT, RUN, Sweeps
from trainables import epoch_log


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv = ['run.py', '--help']\n"
        "try:\n    runpy.run_path('sweeps/run.py', run_name='__main__')\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'ray', 'mlflow', 'optuna', 'pyarrow', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--time-budget" in done.stdout


def test_a_refusal_needs_no_heavy_import() -> None:
    code = "import sys, sweeps.driver; print({'torch', 'ray', 'mlflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_all_problems_are_reported_at_once_and_nothing_is_started(sweeps: Sweeps) -> None:
    code, output = sweeps.run(
        "--trials", "0", "--set", "nonsense=1", "--space", "kl_warmup=0.1..7", "--metric", "train/loss",
        "--scheduler", "magic", "--name", "refused",
    )  # fmt: skip
    assert code == ExitCode.REFUSED
    for part in ("--trials 0", "'nonsense'", "kl_warmup=7", "train/loss", "magic"):
        assert part in output
    assert "Traceback" not in output
    assert not sweeps.folder("refused").exists()


def test_unknown_model_lists_the_known_ones(sweeps: Sweeps) -> None:
    code, output = sweeps.run("imc_vea", tiny=False)
    assert code == ExitCode.REFUSED
    assert "unknown model 'imc_vea'" in output
    assert "Did you mean imc_vae?" in output


def test_bad_data_is_refused_before_anything_starts(sweeps: Sweeps) -> None:
    (sweeps.storage / "empty.npy").touch()
    code, output = sweeps.run("imc_vae", "--data", "empty.npy", "--name", "bad", tiny=False)
    assert code == ExitCode.REFUSED
    assert "empty.npy" in output
    assert "empty (0 bytes)" in output
    assert not sweeps.folder("bad").exists()


def test_preflight_refuses_what_the_cluster_cannot_run(sweeps: Sweeps) -> None:
    code, output = sweeps.run(
        "--trials", "2", "--name", "greedy", "--cpus-per-trial", "999", "--gpus-per-trial", "7",
        "--tracking-uri", "http://127.0.0.1:9",
    )  # fmt: skip
    assert code == ExitCode.REFUSED, output
    assert "--cpus-per-trial 999: the largest node has" in output
    assert "--gpus-per-trial 7: the largest node has 0 GPUs" in output
    assert "http://127.0.0.1:9" in output
    assert "Traceback" not in output
    assert not sweeps.folder("greedy").exists()


def test_plan_forecasts_and_runs_nothing(sweeps: Sweeps) -> None:
    collapsing = ["--set", "kld_free_bits=0", "--space", "kld_loss_scale=50..100"]
    code, output = sweeps.run("--plan", "--trials", "5", "--name", "planned", *collapsing)
    assert code == ExitCode.FINISHED
    assert "documented" in output
    assert "baseline" in output
    rows = [line.split() for line in output.splitlines() if line.split()[1:2] == ["search"]]
    assert len(rows) == 3  # the documented two keep their small weights
    assert {row[2] for row in rows} == {"collapses"}
    assert "100% collapses at its optimum" in output
    assert "kld_loss_scale (50 to 100) lies wholly beyond the critical weight" in output
    assert not sweeps.folder("planned").exists()


def test_a_finished_sweep_leaves_everything_behind(sweeps: Sweeps) -> None:
    quick = ("batch_size=8", "learning_rate=5e-3", "kl_warmup=0", "lr_warmup=0", "two_stage=off")
    code, output = sweeps.run(
        *("--trials", "4", "--epochs", "3", "--scheduler", "none", "--name", "whole"),
        *(word for value in quick for word in ("--set", value)),
    )
    assert code == ExitCode.FINISHED, output
    state, folder = sweeps.state("whole"), sweeps.folder("whole")
    assert [record.origin for record in state.trials.values()] == ["documented", "baseline", "search", "search"]
    assert all(record.status is Status.FINISHED for record in state.trials.values())
    assert state.status == "finished"
    assert f"Best: trial {state.best} " in output

    log = epoch_log.dataset(folder).to_table()
    assert log.num_rows == 4 * 3
    assert {"config/kld_loss_scale", "schedule/kl_weight", "verdict", "seconds", "val/elbo_gain"} <= set(
        log.column_names
    )
    assert ds.dataset(folder / "epochs").count_rows() == 4 * 3

    plan = json.loads((folder / "plan.json").read_text())
    assert [row["config"] for row in plan["configurations"]] == [r.config for r in state.trials.values()]
    record = json.loads((folder / "sweep.json").read_text())
    assert record["data"]["shape"] == [4, 4, 4]
    assert "<html" in (folder / "report.html").read_text()
    assert "0 of 4" not in output
    best = folder / "trials" / f"{state.best:05d}" / "artifacts"
    assert {path.name for path in best.glob("*.png")} == {
        *("reconstructions.png", "samples.png", "latent_pca.png", "kl_per_dim.png")
    }

    runs = sweeps.mlflow_runs()
    assert len(runs) == 5
    assert all(run.info.status == "FINISHED" for run in runs)

    before = sweeps.events("whole")
    code, output = sweeps.run("--trials", "4", "--name", "whole")
    assert code == ExitCode.REFUSED
    assert "--resume whole" in output
    assert sweeps.events("whole") == before


def test_a_sweep_in_which_all_collapse_has_no_best_trial(sweeps: Sweeps) -> None:
    collapse = ["--set", "kld_free_bits=0", "--set", "kld_loss_scale=30", "--set", "learning_rate=3e-3"]
    collapse += ["--set", "kl_warmup=0", "--set", "two_stage=off"]
    code, output = sweeps.run("--trials", "3", "--epochs", "20", "--name", "sick", *collapse, *sweeps.untracked)
    assert code == ExitCode.NO_HEALTHY_TRIAL, output
    assert "no trial ended healthy" in output
    assert "Best:" not in output
    records = sweeps.state("sick").trials
    first = records[1]
    assert (first.status, first.reason) == (Status.STOPPED, "COLLAPSED")
    assert "0 of 16 units active, raw KL" in first.detail
    assert first.epoch < 20
    assert all(record.forecast["collapsed"] for record in records.values())


def test_a_trial_that_goes_not_finite_is_stopped_at_once(sweeps: Sweeps) -> None:
    code, output = sweeps.run(
        "--trials", "2", "--epochs", "10", "--name", "nan", "--set", "learning_rate=1e12", "--set", "lr_warmup=0",
        "--set", "grad_clip_norm=none", *sweeps.untracked,
    )  # fmt: skip
    assert code == ExitCode.NO_HEALTHY_TRIAL, output
    for record in sweeps.state("nan").trials.values():
        assert (record.status, record.reason, record.epoch) == (Status.STOPPED, "NUMERIC", 1)


def test_a_trial_that_throws_fails_alone_with_its_reason(sweeps: Sweeps) -> None:
    code, output = sweeps.run(
        "--trials",
        "6",
        "--epochs",
        "2",
        "--scheduler",
        "none",
        "--name",
        "throws",
        "--space",
        "heads=2..8",
        *sweeps.untracked,
    )
    assert code in DONE, output
    records = sweeps.state("throws").trials.values()
    fits = {record.trial: 32 % record.config["heads"] == 0 for record in records}
    failed = [record for record in records if not fits[record.trial]]
    assert 0 < len(failed) < 6
    for record in failed:
        assert (record.status, record.reason) == (Status.FAILED, "ERROR")
        assert "divisible" in record.detail
        assert "Traceback" in (sweeps.folder("throws") / "trials" / f"{record.trial:05d}" / "error.txt").read_text()
    assert all(record.status is Status.FINISHED for record in records if fits[record.trial])


def test_a_name_longer_than_files_may_have_is_refused(sweeps: Sweeps) -> None:
    code, output = sweeps.run("--trials", "1", "--name", "n" * 300)
    assert code == ExitCode.REFUSED, output
    assert f"--name {'n' * 20}…: 300 characters; expected 100 at most" in output
    assert "Traceback" not in output


def test_a_plan_in_a_file_is_not_cut_to_a_terminal_of_80_columns(sweeps: Sweeps) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = [sys.executable, str(RUN), "imc_vae", "--plan", "--storage", str(sweeps.storage)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert max(map(len, done.stdout.splitlines())) > 100


def test_ctrl_c_before_anything_runs_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert doors.refusing(interrupted) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "interrupted before anything ran\n"


def test_what_goes_on_with_a_sweep_names_its_storage_where_it_is_not_the_usual(tmp_path: Path) -> None:
    assert resume_command(Path("results").absolute() / "mine") == "python sweeps/run.py --resume mine"
    elsewhere = tmp_path / "my results"
    expected = f"python sweeps/run.py --resume mine --storage '{elsewhere}'"
    assert resume_command(elsewhere / "mine") == expected
