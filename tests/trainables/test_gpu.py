"""Training on a CUDA device: bfloat16 forward pass, finite metrics, resumable, drawable."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import search_spaces
from trainables import artifacts, checkpoint, definition
from trainables.data.cache import prepare
from trainables.loop import Trainer

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def test_documented_configuration_learns_on_the_gpu(tmp_path: Path) -> None:
    dataset = prepare(definition.load("imc_vae").reader, None, tmp_path)
    trainer = Trainer("imc_vae", search_spaces.load("imc_vae").documented(), dataset, epochs=3, seed=0)
    rows = [trainer.run_epoch() for _ in range(3)]
    assert trainer.device.type == "cuda"
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert rows[-1]["train/loss"] < rows[0]["train/loss"]
    assert rows[-1]["memory/device_peak_mib"] > 0
    artifacts.write(trainer, tmp_path)
    checkpoint.save(tmp_path, trainer.state_dict())
    x = torch.from_numpy(dataset.read(dataset.val[:4]))
    again = checkpoint.load_model(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(
            again.encode(x)[0], trainer.model.eval().encode(x.cuda())[0].cpu(), rtol=1e-3, atol=1e-3
        )
