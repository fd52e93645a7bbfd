import subprocess
import sys
from pathlib import Path

import pytest

from analysis.__main__ import main

ROOT = Path(__file__).parents[2]


def test_report_by_name(writer, tmp_path, capsys):
    writer.trial([0.1])
    assert main(["report", "demo", "--storage", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{writer.path / 'report.html'}\n"
    assert (writer.path / "report.html").read_text().startswith("<!doctype html>")


def test_report_of_a_folder_to_a_file(writer, tmp_path):
    out = tmp_path / "page.html"
    assert main(["report", str(writer.path), "--out", str(out)]) == 0
    assert out.exists()
    assert not (writer.path / "report.html").exists()


def test_an_unknown_name_lists_the_sweeps(writer, tmp_path, capsys):
    assert main(["report", "dmo", "--storage", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: no sweep 'dmo' in {tmp_path}; sweeps there: demo\n"


def test_a_page_that_cannot_be_written(writer, tmp_path, capsys):
    out = tmp_path / "absent" / "page.html"
    assert main(["report", str(writer.path), "--out", str(out)]) == 2
    assert "absent" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["report", "--help"]])
def test_help_needs_no_heavy_import(arguments):
    code = (
        "import sys; from analysis.__main__ import main\n"
        f"try: main({arguments})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'matplotlib', 'pyarrow', 'numpy', 'jinja2', 'torch', 'ray', 'mlflow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_no_torch_ray_mlflow_or_pyplot_state_is_imported():
    code = (
        "import sys, analysis.report\n"
        "heavy = {'torch', 'ray', 'mlflow', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
