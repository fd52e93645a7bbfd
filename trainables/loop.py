"""The training loop: torch alone, deterministic by seed, resumable to the same numbers.

All randomness of an epoch (order, node shuffling, noise) comes from generators seeded with (seed, epoch), so a
resumed trial needs no random state to go on exactly as it would have.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables import models
from trainables.data.store import Dataset
from trainables.diagnostics import LatentStatistics, evaluate
from trainables.schedules import linear_warmup

EVALUATION_SHARE = 1 / 8  # of the number of training samples; keeps evaluation below a tenth of the time
EVALUATION_MINIMUM = 64  # samples
FINITE_CHECK_STEPS = 32  # reading the loss waits for the GPU


class Trainer:
    """Trains one configuration, an epoch per call.

    Args:
        model_name: see `search_spaces.names()`.
        config: every hyperparameter of the model's space.
        dataset: the memory-mapped data.
        epochs: the budget; schedules are shares of it.
        seed: of the weights, the data order and all noise.
        device: `cuda` if there is one, else `cpu`. On CUDA the forward pass runs in bfloat16.
    """

    def __init__(
        self,
        model_name: str,
        config: Mapping[str, Any],
        dataset: Dataset,
        epochs: int,
        seed: int,
        device: str | None = None,
    ) -> None:
        self.model_name, self.config, self.dataset, self.epochs, self.seed = (
            model_name,
            dict(config),
            dataset,
            epochs,
            seed,
        )
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.definition = models.load(model_name)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(_seed(seed, "weights"))
            model = self.definition.Model(config, dataset.shape, dataset.statistics)
        self.model = model.to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=config["learning_rate"], weight_decay=config["weight_decay"]
        )
        self.epoch = 0
        self.batches = math.ceil(len(dataset.train) / config["batch_size"])
        evaluated = min(len(dataset.val), max(EVALUATION_MINIMUM, int(len(dataset.train) * EVALUATION_SHARE)))
        self.evaluation_index = dataset.val[:evaluated]

    def run_epoch(self) -> dict[str, float]:
        """Train one epoch and evaluate: the flat metrics of the epoch log (names: `trainables.epoch_log`)."""
        started = time.perf_counter()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        metrics = self._train()
        trained = time.perf_counter()
        metrics |= self.evaluate()[0]
        self.epoch += 1
        ended = time.perf_counter()
        metrics |= {
            "epoch": self.epoch,
            "schedule/kl_weight_final": self.definition.term_weights(self.config, 1.0)["kl"],
            "time/train_seconds": trained - started,
            "time/eval_seconds": ended - trained,
            "time/epoch_seconds": ended - started,
            "time/samples_per_second": len(self.dataset.train) / (trained - started),
        }
        if self.device.type == "cuda":
            metrics["memory/device_peak_mib"] = torch.cuda.max_memory_allocated(self.device) / 2**20
        return metrics

    def evaluate(self) -> tuple[dict[str, float], LatentStatistics]:
        """Every `val/` and `health/` metric on the fixed evaluation set, and the posterior statistics."""
        batches = self._batches(self.evaluation_index)
        with self._autocast():
            return evaluate(self.model, batches, self._generator("evaluation"))

    def evaluation_labels(self) -> list[str] | None:
        """The labels of the evaluation set, if the data has any."""
        labels = self.dataset.labels
        return None if labels is None else [labels[index] for index in self.evaluation_index]

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds; the optimiser's state only while there is training left."""
        return {
            "model_name": self.model_name,
            "config": self.config,
            "shape": list(self.dataset.shape),
            "statistics": {name: list(np.shape(value)) for name, value in self.dataset.statistics.items()},
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict() if self.epoch < self.epochs else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.model.load_state_dict(state["model"])
        if state["optimizer"] is not None:
            self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]

    def train_steps(self, steps: int) -> None:
        """The first `steps` steps of the next epoch, for measuring; the epoch does not count."""
        self._train(steps)

    def _train(self, steps: int | None = None) -> dict[str, float]:
        self.model.train()
        order = torch.randperm(len(self.dataset.train), generator=self._generator("order", "cpu")).numpy()
        order = order[: steps * self.config["batch_size"]] if steps else order
        generator = self._generator("noise")
        totals: dict[str, Tensor] = {}
        weights, rate = {}, 0.0
        for step, x in enumerate(self._batches(self.dataset.train[order])):
            progress = (self.epoch * self.batches + step + 1) / (self.epochs * self.batches)
            weights = self.definition.term_weights(self.config, progress)
            rate = self.config["learning_rate"] * linear_warmup(progress, self.config["lr_warmup"])
            for name, value in self._step(x, generator, weights, rate).items():
                totals[name] = totals.get(name, 0.0) + value * len(x)
            if step % FINITE_CHECK_STEPS == 0 and not math.isfinite(float(totals["loss"])):
                break
        averages = {f"train/{name}": float(total) / len(order) for name, total in totals.items()}
        return averages | {"schedule/kl_weight": weights["kl"], "schedule/lr": rate}

    def _step(
        self, x: Tensor, generator: torch.Generator, weights: Mapping[str, float], rate: float
    ) -> dict[str, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with self._autocast():
            terms = self.model.loss_terms(x, generator)
        loss = sum(weights[name] * term for name, term in terms.items())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.config["grad_clip_norm"] is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config["grad_clip_norm"])
        self.optimizer.step()
        return {"loss": loss.detach()} | {name: term.detach() for name, term in terms.items()}

    def _batches(self, index: np.ndarray) -> Iterator[Tensor]:
        size = self.config["batch_size"]
        for start in range(0, len(index), size):
            batch = torch.from_numpy(self.dataset.x[index[start : start + size]])
            yield batch.to(self.device, non_blocking=True)

    def _generator(self, purpose: str, device: str | None = None) -> torch.Generator:
        epoch = "" if purpose == "evaluation" else f"{self.epoch}"
        generator = torch.Generator(device=device or self.device)
        return generator.manual_seed(_seed(self.seed, f"{purpose}{epoch}"))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda")


def _seed(seed: int, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{purpose}".encode()).digest()[:8], "big") >> 1
