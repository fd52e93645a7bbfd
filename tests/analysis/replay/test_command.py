"""The command line as a user meets it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from analysis.__main__ import main
from analysis.replay import synthetic

ROOT = Path(__file__).parents[3]
FEW = ["--synthetic", "40", "--epochs", "20", "--orders", "5"]


def replayed(capsys, *arguments: str) -> dict:
    assert main(["replay", *arguments, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_scheduler_by_default(capsys):
    assert main(["replay", *FEW]) == 0
    shown = capsys.readouterr()
    assert "40 trials of 20 epochs, 4 workers, 5 random orders" in shown.out
    for name in ("none", "asha", "median", "hyperband", "health-asha"):
        assert f"\n {name} " in shown.out
    assert "1 % of the way back to 0 (a decoder that ignores z for free)" in " ".join(shown.out.split())
    assert "made up" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 110
    assert shown.err == ""


def test_json_has_every_number(capsys):
    found = replayed(capsys, *FEW, "--scheduler", "none", "--scheduler", "health-asha:eta=4,control=0")
    assert (found["trials"], found["epochs"], found["workers"], found["orders"]) == (40, 20, 4, 5)
    assert found["target"] == pytest.approx(0.99 * found["best"])
    none, ours = found["schedulers"]
    assert (none["scheduler"], ours["scheduler"]) == ("none", "health-asha:eta=4,control=0")
    assert none["spent"] == {"value": 800.0, "low": 800.0, "high": 800.0}
    assert none["saved"]["value"] == none["regret"]["value"] == none["condemned"]["value"] == 0
    assert none["reached"]["value"] == 1
    assert none["target_seconds"]["low"] <= none["target_seconds"]["value"] <= none["seconds"]["value"]
    assert ours["spent"]["value"] < 400
    assert ours["condemned"]["value"] > 0
    assert ours["yields"]["value"] > none["yields"]["value"]
    assert len(ours["curve"]["regret"]) == len(ours["curve"]["spent"]) == 101


def test_the_seed_repeats_a_replay(capsys):
    first, again, other = (replayed(capsys, *FEW, "--seed", seed) for seed in ("1", "1", "2"))
    assert first == again
    assert first != other


def test_more_workers_take_less_time_for_the_same_epochs(capsys):
    one, four = (
        replayed(capsys, *FEW, "--workers", workers, "--scheduler", "none")["schedulers"][0] for workers in ("1", "4")
    )
    assert one["spent"] == four["spent"]
    assert 3 < one["seconds"]["value"] / four["seconds"]["value"] <= 4


def test_markdown(capsys):
    assert main(["replay", *FEW, "--format", "md", "--scheduler", "asha"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "**40 trials of 20 epochs, 4 workers, 5 random orders**"
    assert lines[4].startswith("| asha | ")
    assert {line.count("|") for line in lines[2:5]} == {10}


def test_a_recorded_sweep(writer, tmp_path, capsys):
    for score in (0.1, 0.2, 0.3):
        writer.trial([score] * 10)
    writer.trial([0.1], status="STOPPED", reason="RUNG")
    found = replayed(capsys, "demo", "--storage", str(tmp_path), "--scheduler", "asha", "--orders", "6")
    assert (found["trials"], found["best"], found["metric"]) == (3, 0.3, "val/elbo_gain")
    assert found["schedulers"][0]["spent"]["value"] < 30
    assert any("3 of 4 trials are complete" in note for note in found["notes"])


def test_a_sweep_without_any_good_trial_has_no_target(writer, tmp_path, capsys):
    for score in (-0.1, -0.2):
        writer.trial([score] * 10)
    found = replayed(capsys, "demo", "--storage", str(tmp_path))
    assert found["best"] is found["target"] is None
    assert found["schedulers"][0]["regret"]["value"] is None
    assert main(["replay", "demo", "--storage", str(tmp_path)]) == 0
    assert "there is no target" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_figure(tmp_path, suffix):
    path = tmp_path / f"regret.{suffix}"
    assert main(["replay", *FEW, "--figure", str(path)]) == 0
    start = path.read_bytes()[:200]
    assert b"<?xml" in start if suffix == "svg" else start.startswith(b"\x89PNG")


def test_all_problems_at_once(capsys):
    arguments = ["--workers", "0", "--orders", "0", "--seed", "-1", "--scheduler", "pbt", "--scheduler", "asha:eta=0"]
    assert main(["replay", *arguments, "--figure", "curve.gif"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    for part in ("--workers 0", "--orders 0", "--seed -1", "'pbt'", "eta=0", "curve.gif: expected a file that ends"):
        assert part in shown.err
    assert "either LOGS" in shown.err
    assert all(line.startswith("error: ") for line in shown.err.splitlines())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["demo", "--synthetic", "10"], "either LOGS"),
        (["--synthetic", "1"], "--synthetic 1: expected at least 2"),
        (["--synthetic", "10", "--epochs", "1"], "--epochs 1: expected at least 2"),
        (["demo", "--epochs", "10"], "--epochs is of made-up trials"),
        ([*FEW, "--mode", "min"], "--metric and --mode are of logs"),
        (["nowhere"], "cannot use the data nowhere:\n  - no such log"),
        ([*FEW, "--figure", "{tmp_path}/absent/curve.png"], "absent"),
    ],
)
def test_what_is_refused(tmp_path, capsys, arguments, told):
    arguments = [argument.format(tmp_path=tmp_path) for argument in arguments]
    assert main(["replay", *arguments, "--storage", str(tmp_path)]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("main(['replay', '--help'])", {"numpy", "pyarrow", "matplotlib", "torch", "ray"}),
        (f"main(['replay', *{FEW}, '--figure', '{{path}}'])", {"torch", "ray", "mlflow", "matplotlib.pyplot"}),
    ],
)
def test_imports(tmp_path, code, heavy):
    code = (
        "import sys; from analysis.__main__ import main\n"
        f"try: {code.format(path=tmp_path / 'curve.png')}\n"
        "except SystemExit as end: assert end.code == 0\n"
        f"heavy = {heavy} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_ten_thousand_trials_in_under_a_minute(tmp_path):
    pq.write_table(synthetic.generate(10_000, 100).table, tmp_path / "log.parquet")
    arguments = ["--orders", "1", "--workers", "16", "--scheduler", "health-asha"]
    started = time.process_time()
    assert main(["replay", str(tmp_path / "log.parquet"), *arguments]) == 0
    assert time.process_time() - started < 60
