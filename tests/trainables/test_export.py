"""Exported models are read by others, and by us, as they were."""

import json

import pytest
import torch
from safetensors import safe_open

from trainables import checkpoint, export


def test_an_exported_model_reconstructs_the_same(trainer, few, tmp_path):
    one = trainer(epochs=1, normalize="learned")
    one.run_epoch()
    checkpoint.save(tmp_path / "trial", one.state_dict())
    export.export(tmp_path / "trial", tmp_path / "out", "# card")
    model = export.load(tmp_path / "out")
    x = torch.from_numpy(few.read(few.val))
    expected = checkpoint.load_model(tmp_path / "trial").reconstruct(x, torch.Generator().manual_seed(0))
    assert torch.equal(model.reconstruct(x, torch.Generator().manual_seed(0)), expected)
    assert expected.shape == x.shape
    with safe_open(tmp_path / "out" / export.WEIGHTS, "pt") as weights:
        assert set(weights.keys()) == set(one.model.state_dict())
        assert weights.metadata()["model"] == "imc_vae"
    assert json.loads((tmp_path / "out" / export.CONFIG).read_text())["config"] == one.config
    assert (tmp_path / "out" / export.CARD).read_text() == "# card"


def test_a_trial_without_a_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="has not completed an epoch"):
        export.export(tmp_path, tmp_path / "out", "")
    assert not (tmp_path / "out").exists()
