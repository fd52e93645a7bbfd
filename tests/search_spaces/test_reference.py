"""What names a model, and what is said of what does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import search_spaces
from search_spaces import ModelError, resolve
from search_spaces.reference import MANIFEST, write_copy
from search_spaces.training import DEFAULTS

TEXT = """
from search_spaces import Parameter, SearchSpace
SPACE = SearchSpace("mine", (Parameter("latent_dim", "choice", 2, choices=(2, 3)),))
class Model: ...
"""


def written(path: Path, text: str = TEXT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_name_is_shorthand():
    found = resolve("vae3d")
    assert (found.name, found.root, found.own_files(), found.sha256()) == ("vae3d", None, {}, "")


def test_a_helper_file_is_no_model():
    assert search_spaces.names() == ("conv_vae", "dip_vae_sbd", "imc_vae", "tc_vae_sbd", "vae3d", "vae_dg", "vq_vae")


def test_a_file_with_what_it_imports_from_its_folder(tmp_path):
    written(tmp_path / "unused.py", "")
    written(tmp_path / "helper_one.py", "VALUE = 1\n")
    found = resolve(str(written(tmp_path / "mine.py", "import helper_one\nimport json\n" + TEXT)))
    assert found.name == "mine"
    assert list(found.own_files()) == ["helper_one.py", "mine.py"]


def test_a_module_of_a_package(tmp_path, monkeypatch):
    written(tmp_path / "mylab" / "__init__.py", "")
    written(tmp_path / "mylab" / "nets.py", "")
    written(tmp_path / "mylab" / "model.py", "from mylab import nets\n" + TEXT)
    monkeypatch.syspath_prepend(tmp_path)
    found = resolve("mylab.model")
    assert (found.name, found.root) == ("mine", tmp_path)
    assert list(found.own_files()) == ["mylab/__init__.py", "mylab/model.py", "mylab/nets.py"]
    write_copy(found, tmp_path / "code")
    (tmp_path / "mylab" / "nets.py").write_text("raise RuntimeError('the original was imported')\n")
    copied = resolve(str(tmp_path / "code"))
    assert copied.sha256() == json.loads((tmp_path / "code" / MANIFEST).read_text())["sha256"]
    assert Path(copied.module.nets.__file__).is_relative_to(tmp_path / "code")


def test_a_changed_file_is_read_anew_and_has_another_hash(tmp_path):
    path = written(tmp_path / "changing.py")
    before = resolve(str(path))
    was = before.sha256()
    written(path, TEXT.replace("(2, 3)", "(2, 3, 4)"))
    after = resolve(str(path))
    assert after.space["latent_dim"].choices == (2, 3, 4)
    assert after.sha256() != was


def test_helpers_of_two_models_do_not_mix(tmp_path):
    for name in ("first", "second"):
        written(tmp_path / name / "common_part.py", f"CHOICES = ({len(name)}, 9)\n")
        text = "from common_part import CHOICES\n" + TEXT.replace("(2, 3)", "CHOICES")
        written(tmp_path / name / f"{name}_model.py", text)
    found = [resolve(str(tmp_path / name / f"{name}_model.py")) for name in ("first", "second")]
    assert [each.space["latent_dim"].choices for each in found] == [(5, 9), (6, 9)]


def test_the_loop_has_its_hyperparameters_and_no_space_needs_to_name_them(tmp_path):
    space = search_spaces.load(str(written(tmp_path / "mine.py")))
    assert space.documented() == {"latent_dim": 2} | DEFAULTS
    assert not space.has_baseline
    assert search_spaces.load("imc_vae").has_baseline


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("mine.py", "x = (\n", "was never closed (mine.py:1)"),
        (
            "mine.py",
            "import nothing_of_that_name\n",
            "ModuleNotFoundError: No module named 'nothing_of_that_name' (mine.py:1)",
        ),
        ("mine.py", "SPACE = Model = 3\n", "SPACE is 3; expected SPACE = SearchSpace("),
        ("mine.py", TEXT.replace('"mine"', '"imc_vae"'), "as a model of this project; choose another name"),
        ("mine.py", TEXT.replace('"mine"', '"My VAE"'), "expected a name of a-z, 0-9 and _"),
        ("mine.py", TEXT.partition("class")[0], "it has no Model and no train; expected a class Model"),
        ("json.py", TEXT, "there is another module called json; rename the file"),
        ("my-vae.py", TEXT, "cannot be imported by the name my-vae; rename it"),
        ("mine.txt/", TEXT, "no such file"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(name, text, expected, tmp_path):
    if not name.endswith("/"):
        written(tmp_path / name, text)
    with pytest.raises(ModelError) as error:
        resolve(str(tmp_path / name))
    assert [expected in problem for problem in error.value.problems] == [True]


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    written(tmp_path / "analysis" / "__init__.py", "")
    written(tmp_path / "sweeps.py", "")
    with pytest.raises(ModelError) as error:
        resolve(str(written(tmp_path / "mine.py")))
    assert [problem.partition("has a module called ")[2].split(",")[0] for problem in error.value.problems] == [
        "sweeps",
        "analysis",
    ]


def test_a_report_never_runs_a_users_model():
    code = "import sys; import analysis.__main__, analysis.report; print('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
    )
