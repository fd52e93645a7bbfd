"""Real sweeps of models of one's own, started as a user starts them, whose files then go away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sweeps.exit_codes import ExitCode
from sweeps.records import journal
from trainables import epoch_log
from trainables.references import FOLDER

DONE = (ExitCode.FINISHED, ExitCode.NO_HEALTHY_TRIAL)
EPOCHS = 12
HEALTHY = ("--epochs", EPOCHS, "--subset", 400, "--set", "learning_rate=0.005", "--set", "kl_weight=0.2")
Run = Callable[..., tuple[int, str]]


def test_the_code_travels(run: Run, copied: Callable[[str], Path], tmp_path: Path) -> None:
    """Swept, its file deleted, resumed, a trial repeated, exported and loaded, and from MLflow in a bare process."""
    path = copied("my_vae")
    (path.parent / "helpers.py").write_text("HIDDEN = 1\n")
    path.write_text(path.read_text().replace("import numpy as np", "import helpers\nimport numpy as np", 1))
    code, output = run(path, "--name", "own", "--trials", 2, *HEALTHY, "--scheduler", "none")
    assert code == ExitCode.FINISHED, output
    folder = tmp_path / "results" / "own"
    record = json.loads((folder / "sweep.json").read_text())
    assert (record["model"], record["claims"], record["metrics"]) == ("my_vae", 0, ["val/elbo_gain"])
    assert len(record["code"]["model"]["sha256"]) == 64
    assert {file.name for file in (folder / "code").glob("*.py")} == {"my_vae.py", "helpers.py"}
    assert [trial.origin for trial in journal.read(folder).trials.values()] == ["documented", "search"]
    assert len(list((folder / FOLDER).iterdir())) == 1, "the best constant is not one number of the sweep"
    for file in path.parent.glob("*.py"):
        file.unlink()

    code, output = run("--extend", "own", "--trials", 3)
    assert code in DONE, output
    assert len(epoch_log.read_trial(folder, 3)) == EPOCHS
    code, output = run("--trial", "own:1")
    assert code in DONE, output
    assert "are reproduced to the last digit" in output

    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    script = (
        "import sys, warnings; warnings.simplefilter('ignore'); import mlflow, torch;"
        f"mlflow.set_tracking_uri('sqlite:///{tmp_path}/results/mlflow.db');"
        "found = [m for e in mlflow.search_experiments() for m in mlflow.search_logged_models([e.experiment_id], "
        "output_format='list')];"
        "model = mlflow.pytorch.load_model(found[0].model_uri);"
        "print(type(model).__module__, tuple(model.reconstruct(torch.zeros(2, 8, 8)).shape))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=bare, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["my_vae (2, 8, 8)"], done.stderr


def test_a_bad_model_is_refused_in_a_line(run: Run, copied: Callable[[str], Path]) -> None:
    path = copied("my_vae")
    path.write_text(path.read_text().replace('config["hidden"]', 'config["hiden"]'))
    code, output = run(path, "--plan")
    assert code == ExitCode.REFUSED, output
    assert "error: my_vae: Model(config, shape, statistics): KeyError: 'hiden' (my_vae.py:" in output
    assert "Traceback" not in output


def test_data_that_fails_is_refused_in_a_line(run: Run, copied: Callable[[str], Path]) -> None:
    code, output = run(copied("my_vae"), "--data", "absent.npz", "--plan")
    assert code == ExitCode.REFUSED, output
    assert "data('absent.npz') raised FileNotFoundError" in output
    assert "my_vae.py:" in output
    assert "Traceback" not in output


def test_an_item_that_fails_is_named_and_refused_in_a_line(run: Run, copied: Callable[[str], Path]) -> None:
    path = copied("my_vae")
    path.write_text(path.read_text().partition("def data")[0] + FAILING)
    code, output = run(path, "--data", "slides", "--plan")
    assert code == ExitCode.REFUSED, output
    assert "item 31: raised OSError: slide 31 is cut short (my_vae.py:" in output
    assert "Traceback" not in output


FAILING = """
class Slides:
    def __len__(self):
        return 60

    def __getitem__(self, index):
        if index == 31:
            raise OSError(f"slide {index} is cut short")
        return {"x": np.full((8, 8), index / 60)}

def data(source):
    return Slides()
"""


def test_a_quantised_and_a_counting_model_are_swept(run: Run, copied: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("my_vq", "my_counts"):
        code, output = run(copied(name), "--name", name, "--trials", 1, "--epochs", 2, "--subset", 60)
        assert code in DONE, output
        (row, _) = epoch_log.read_trial(tmp_path / "results" / name, 1)
        assert ("health/codebook_usage" in row) == (name == "my_vq")


def test_new_writes_what_plan_takes(run: Run, tmp_path: Path) -> None:
    assert run("--new", "faces.py")[0] == ExitCode.FINISHED
    code, output = run("faces.py", "--plan")
    assert code == ExitCode.FINISHED, output
    assert "faces on the model's own data" in output


def test_the_plan_of_a_loop_says_what_is_not_known(run: Run, copied: Callable[[str], Path], tmp_path: Path) -> None:
    path = copied("my_loop")
    code, output = run(path, "--plan", "--trials", 3)
    assert code == ExitCode.FINISHED, output
    assert "my_loop trains by its own loop, on data that it reads itself." in output
    assert "goes on from what the loop last handed to monitor.save(state), and begins again" in output
    assert "No forecast: your own loop: no loss is known." in output
    assert "Time and disk are not known" in output
    assert [line.split()[:2] for line in output.splitlines() if "kl_weight=" in line] == [
        ["2", "search"], ["3", "search"],
    ]  # fmt: skip
    path.write_text(path.read_text().replace("def train(config, monitor)", "def train(config)"))
    code, output = run(path, "--plan")
    assert code == ExitCode.REFUSED, output
    assert "error: my_loop: train cannot be called as train(config, monitor): too many positional" in output
