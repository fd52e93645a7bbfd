"""What is done before a sweep is done once, and what it finds is handed on."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.completion import complete
from sweeps.config import ConfigError
from sweeps.options import SweepOptions
from sweeps.preparation import Prepared, prepare
from trainables import definition, likelihood
from trainables.references import FOLDER, References

COUNTS = Path(__file__).parents[2] / "examples" / "my_counts.py"


def prepared(model: str, storage: Path, **options: object) -> Prepared:
    return prepare(complete(SweepOptions(model=model, storage=str(storage), subset=64, **options)))


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were built, by name."""
    found: list[str] = []
    build = definition.Definition.build

    def counted(self: definition.Definition, *arguments: object) -> object:
        found.append(self.name)
        return build(self, *arguments)

    monkeypatch.setattr(definition.Definition, "build", counted)
    return found


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many samples each best constant was fitted to."""
    found: list[int] = []
    fit = likelihood.constant_nll

    def counted(model: object, x: object, fields: object = None) -> float:
        found.append(len(x))
        return fit(model, x, fields)

    monkeypatch.setattr(likelihood, "constant_nll", counted)
    return found


def test_a_documented_model_is_built_once(tmp_path: Path, built: list[str]) -> None:
    found = prepared("imc_vae", tmp_path)
    assert built == ["imc_vae"]
    assert found.cost.epoch_seconds > 0
    assert found.cost.checkpoint_bytes > 1e4


def test_a_model_that_cannot_be_trained_is_refused_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its author has tested it on: the data are the user's."""
    model = definition.load("imc_vae").Model
    monkeypatch.setattr(model, "terms", lambda self, outputs: {}["kl"])
    with pytest.raises(ConfigError, match=r"^imc_vae: the first steps of training: KeyError: 'kl' \(test_"):
        prepared("imc_vae", tmp_path)


def test_the_best_constant_is_fitted_once_and_travels_to_the_trials(tmp_path: Path, fits: list[int]) -> None:
    found = prepared(str(COUNTS), tmp_path)
    index = found.dataset.val[:64]
    assert fits == [len(index)]
    found.references.keep(tmp_path / "sweep")
    (kept,) = (tmp_path / "sweep" / FOLDER).iterdir()
    model = definition.load(str(COUNTS))
    trial = References(model, found.dataset, tmp_path / "sweep")
    assert trial.of(index) == found.references.of(index) == float(kept.read_text())
    assert fits == [len(index)]
    assert References(model, found.dataset).of(index) == trial.of(index), "it is not the same to the last digit"


def test_other_samples_are_fitted_by_the_first_trial_that_is_judged_on_them(tmp_path: Path, fits: list[int]) -> None:
    found = prepared(str(COUNTS), tmp_path)
    other = found.dataset.split(1)[1]
    model = definition.load(str(COUNTS))
    numbers = [References(model, found.dataset, tmp_path / "sweep").of(other) for _ in range(2)]
    assert fits == [len(found.dataset.val), len(other)]
    assert numbers[0] == numbers[1] != found.references.of(found.dataset.val)


def test_a_resume_finds_it_in_the_folder(tmp_path: Path, fits: list[int]) -> None:
    first = prepared(str(COUNTS), tmp_path, name="again")
    first.references.keep(first.config.folder)
    assert prepare(first.config).references.of(first.dataset.val) == first.references.of(first.dataset.val)
    assert len(fits) == 1


def test_a_likelihood_without_a_best_constant_is_refused_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "unbounded.py"
    text = COUNTS.with_name("my_vae.py").read_text().replace("my_vae", "unbounded")
    text = text.replace(
        "\n    def encode", "\n        self.log_scale = nn.Parameter(torch.zeros(shape))\n\n    def encode"
    )
    path.write_text(f"import torch\n{text.partition('    def reconstruction')[0]}{UNBOUNDED}")
    with pytest.raises(ConfigError, match=r"^unbounded: reconstruction\(prediction, x\): .* has no least value"):
        prepared(str(path), tmp_path)


UNBOUNDED = """
    def reconstruction(self, prediction, target):
        density = torch.distributions.Normal(prediction, self.log_scale.exp())
        return -density.log_prob(target).flatten(1).sum(1)

def data(source):
    return np.random.default_rng(0).random((64, 4, 4), np.float32) * np.eye(4, dtype=np.float32)
"""
