"""The training loop: torch alone, deterministic by seed, resumable to the same numbers.

All randomness of an epoch (order, noise, what libraries draw) is seeded with (seed, epoch), so a resumed trial needs
no random state to go on exactly as it would have.
"""

from __future__ import annotations

import functools
import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from search_spaces.training import DEFAULTS
from trainables import definition
from trainables.data.splitting import FEWEST
from trainables.data.store import Dataset
from trainables.diagnostics import LatentStatistics, evaluate
from trainables.loader import Loader
from trainables.losses.kl import kl_per_dim
from trainables.metrics import ENVIRONMENT, TEST, TEST_ENVIRONMENT, VALIDATION
from trainables.references import References
from trainables.schedules import END, Plateau, Progress, cycle_ends, learning_rate
from trainables.vae import Batch

EVALUATION_SHARE = 1 / 20  # of the number of training samples
EVALUATION_MINIMUM = 64  # samples
EVALUATION_BATCH = 32  # samples, the same noise and swaps whatever batch size is searched …
BATCHES_WITHOUT_GRADIENT = 4  # … but no more than so many training batches: a small one may be for want of memory
FINITE_CHECK_STEPS = 32  # reading the loss waits for the GPU
OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}


class Trainer:
    """Trains one configuration, an epoch per call.

    Args:
        model: a reference; see `search_spaces.reference`.
        config: every hyperparameter of the model's space.
        dataset: the memory-mapped data.
        epochs: the budget; schedules are shares of it.
        seed: of the split, the weights, the data order and all noise.
        device: `cuda` if there is one, else `cpu`. On CUDA the forward pass runs in bfloat16.
        sweep: its folder, for what is fitted once for all trials.
    """

    def __init__(
        self,
        model: str,
        config: Mapping[str, Any],
        dataset: Dataset,
        epochs: int,
        seed: int,
        device: str | None = None,
        sweep: Path | None = None,
    ) -> None:
        config = DEFAULTS | dict(config)  # those of older sweeps do not have them all
        self.config, self.dataset, self.epochs, self.seed = config, dataset, epochs, seed
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.definition = definition.load(model)
        chosen = parts(dataset, config, seed)
        self.train_index, self.evaluation_index, self.test_index, self.environment_index = chosen
        with self._seeded("weights"):
            built = self.definition.build(config, dataset.shape, dataset.statistics)
        self.model = built.to(self.device)
        self.optimizer = OPTIMIZERS[config["optimizer"]](
            self.model.parameters(), lr=config["learning_rate"], weight_decay=config["weight_decay"]
        )
        self.loader = Loader(dataset, self.device)
        self.references = References(self.definition, dataset, sweep)
        self.plateau = Plateau()
        self.epoch = 0
        self._latent: tuple[int, LatentStatistics] | None = None  # of the epoch that was trained last
        self.evaluation_batch = min(EVALUATION_BATCH, BATCHES_WITHOUT_GRADIENT * config["batch_size"])
        self.batches = math.ceil(len(self.train_index) / config["batch_size"])
        self.steps = self.epochs * self.batches

    def run_epoch(self) -> dict[str, Any]:
        """Train one epoch and evaluate: a row of the epoch log (names: `trainables.epoch_log`)."""
        started = time.perf_counter()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        metrics: dict[str, Any] = self._train()
        trained = time.perf_counter()
        self.epoch += 1
        evaluated, latent = self.evaluate()
        self._latent = self.epoch, latent
        metrics |= evaluated | latent.by_dimension()
        ended = time.perf_counter()
        self.plateau.update(metrics["val/mse"])
        metrics |= self._schedule() | {
            "epoch": self.epoch,
            "time/train_seconds": trained - started,
            "time/eval_seconds": ended - trained,
            "time/epoch_seconds": ended - started,
            "time/samples_per_second": len(self.train_index) / (trained - started),
        }
        if self.device.type == "cuda":
            metrics["memory/device_peak_mib"] = torch.cuda.max_memory_allocated(self.device) / 2**20
        return metrics

    @property
    def converged(self) -> bool:
        """True once the validation error has not improved for `early_stopping_patience` epochs."""
        patience = self.config["early_stopping_patience"]
        return patience is not None and self.plateau.stale >= patience

    def evaluate(self) -> tuple[dict[str, float], LatentStatistics]:
        """Every `val/` and `health/` metric on the fixed evaluation set, and the posterior statistics.

        Where an environment is held out, the `val/` metrics on it as well, as `environment/`.
        """
        self.model.start_epoch(self.epoch / self.epochs)
        metrics, latent = self._evaluate(self.evaluation_index)
        return metrics | self._held_out(self.environment_index, ENVIRONMENT), latent

    def test(self) -> dict[str, float]:
        """The `val/` metrics of the weights as they are on the test part, as `test/`: for what has been chosen, once.

        Empty where the environment that is held out leaves fewer than two samples to test on.
        """
        self.model.start_epoch(self.epoch / self.epochs)
        return self._held_out(self.test_index, TEST)

    def latent(self) -> LatentStatistics:
        """The posterior statistics on the evaluation set, from the epoch just trained or measured anew."""
        if self._latent is not None and self._latent[0] == self.epoch:
            return self._latent[1]
        return self.evaluate()[1]

    @torch.no_grad()
    def pictures(self, index: np.ndarray) -> dict[str, Tensor]:
        """Those samples, their reconstructions and the decodes of mu and of z = 0, in the fixed space, by name."""
        model = self.model.eval()
        model.start_epoch(self.epoch / self.epochs)
        generator, parts = self._generator("evaluation"), []
        for batch in self.loader.batches(index, self.evaluation_batch):
            with self._autocast():
                parts.append(model.pictures(batch.x, generator, batch.fields))
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def evaluation_labels(self) -> list[str] | None:
        """The labels of the evaluation set, if the data has any."""
        labels = self.dataset.labels
        return None if labels is None else [labels[index] for index in self.evaluation_index]

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds; the optimiser's state only while there is training left."""
        return {
            "model_name": self.definition.name,
            "config": self.config,
            "shape": list(self.dataset.shape),
            "statistics": {name: _stored(value) for name, value in self.dataset.statistics.items()},
            "epoch": self.epoch,
            "share": self.epoch / self.epochs,
            "plateau": self.plateau.state_dict(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict() if self.epoch < self.epochs else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.model.load_state_dict(state["model"])
        if state["optimizer"] is not None:
            self.optimizer.load_state_dict(state["optimizer"])
        self.plateau.load_state_dict(state["plateau"])
        self.epoch = state["epoch"]

    def train_steps(self, steps: int) -> None:
        """The first `steps` steps of the next epoch, for measuring; the epoch does not count."""
        self._train(steps)

    def _train(self, steps: int | None = None) -> dict[str, float]:
        self.model.start_epoch(self.epoch / self.epochs)
        self.model.train()
        order = torch.randperm(len(self.train_index), generator=self._generator("order", "cpu")).numpy()
        order = order[: steps * self.config["batch_size"]] if steps else order
        generator = self._generator("noise")
        totals: dict[str, Tensor] = {}
        seen, peak = 0, torch.zeros((), device=self.device)
        with self._seeded(f"libraries{self.epoch}"):
            for step, batch in enumerate(self.loader.batches(self.train_index[order], self.config["batch_size"])):
                done = self.epoch * self.batches + step + 1
                terms, kl = self._step(batch, generator, Progress(done / self.steps, self.steps))
                for name, value in terms.items():
                    totals[name] = totals.get(name, 0.0) + value * len(batch.x)
                peak = torch.maximum(peak, kl)
                seen += len(batch.x)
                if step % FINITE_CHECK_STEPS == 0 and not math.isfinite(float(totals["loss"])):
                    break
        averages = {
            f"train/{name}": float(total / (totals["loss"] if name.startswith("share/") else seen))
            for name, total in totals.items()
        }
        return averages | ({"train/kl_peak": float(peak)} if "kl" in totals else {})

    def _step(self, batch: Batch, generator: torch.Generator, at: Progress) -> tuple[dict[str, Tensor], Tensor]:
        """One step; the loss, its terms before and (share/…) after their weights, and the raw KL of the batch before
        it, nats per sample."""
        weights = self.definition.term_weights(self.config, at)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(at)
        with self._autocast():
            outputs = self.model(batch, generator)
            terms = self.model.terms(outputs)
        weights = {name: weights.get(name, 1.0) for name in terms}
        loss = functools.reduce(torch.add, (weights[name] * term for name, term in terms.items()))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        limit = self.config["grad_clip_norm"]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), math.inf if limit is None else limit)
        self.optimizer.step()
        kl = _raw_kl(outputs) if "kl" in terms else loss.new_zeros(())
        told = {"loss": loss.detach(), "grad_norm": norm.detach()}
        for name, term in terms.items():
            told |= {name: term.detach(), f"share/{name}": weights[name] * term.detach()}
        return told, kl

    def _rate(self, at: Progress) -> float:
        factor = self.plateau.factor if self.config["lr_schedule"] == "plateau" else 1.0
        return factor * learning_rate(self.config, at.share)

    def _schedule(self) -> dict[str, float]:
        """What was in force in the last step of the epoch just trained."""
        at = Progress(self.epoch / self.epochs, self.steps)
        weights = self.definition.term_weights(self.config, at)
        metrics = {"schedule/lr": self._rate(at)}
        if "kl" in weights and self.model.posterior == "gaussian":
            metrics["schedule/kl_weight"] = weights["kl"]
            metrics["schedule/kl_weight_final"] = self.definition.term_weights(self.config, END)["kl"]
        cycles = self.definition.kl_cycles(self.config, self.steps)
        if cycles > 1:
            metrics["schedule/cycle_end"] = float(cycle_ends(at.share, 1 / self.epochs, cycles))
        return metrics

    def _held_out(self, index: np.ndarray, family: str) -> dict[str, float]:
        if len(index) < FEWEST:
            return {}
        metrics = self._evaluate(index)[0]
        return {
            family + name.removeprefix(VALIDATION): value
            for name, value in metrics.items()
            if name.startswith(VALIDATION)
        }

    def _evaluate(self, index: np.ndarray) -> tuple[dict[str, float], LatentStatistics]:
        constant = self.references.of(index) if self.model.nats else None
        with self._autocast():
            batches, generator = self.loader.batches(index, self.evaluation_batch), self._generator("evaluation")
            weights = self.definition.term_weights(self.config, END)
            return evaluate(self.model, batches, generator, len(index), weights, constant)

    @contextmanager
    def _seeded(self, purpose: str) -> Iterator[None]:
        """The global random state seeded for `purpose`, and as it was before afterwards."""
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed_of(self.seed, purpose))
            yield

    def _generator(self, purpose: str, device: str | None = None) -> torch.Generator:
        epoch = "" if purpose == "evaluation" else f"{self.epoch}"
        generator = torch.Generator(device=device or self.device)
        return generator.manual_seed(seed_of(self.seed, f"{purpose}{epoch}"))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda")


@torch.no_grad()
def _raw_kl(outputs: Any) -> Tensor:
    return kl_per_dim(outputs.mu.float(), outputs.logvar.float()).sum(dim=1).mean()


class Parts(NamedTuple):
    """Indices of samples, int64."""

    train: np.ndarray
    evaluation: np.ndarray  # of the validation set, what every epoch is judged on
    test: np.ndarray  # what is told of a model that has been chosen
    environment: np.ndarray  # of the environment that is held out, which is in none of the others; else empty


def parts(dataset: Dataset, config: Mapping[str, Any], seed: int) -> Parts:
    """The samples that a trial with `seed` trains and is judged on."""
    train, val, test = dataset.split(seed)
    environment = np.zeros(0, np.int64)
    if (number := config.get(TEST_ENVIRONMENT)) is not None:
        out = dataset.environment(number)
        environment = np.concatenate([index[out[index]] for index in (val, train)])
        train, val, test = (index[~out[index]] for index in (train, val, test))
    evaluated = max(EVALUATION_MINIMUM, int(len(train) * EVALUATION_SHARE))
    return Parts(train, val[:evaluated], test, environment[:evaluated])


def _stored(statistic: np.ndarray) -> Any:
    """A statistic as checkpoints keep it: numbers as a tensor, names as a list."""
    return torch.from_numpy(np.array(statistic)) if statistic.dtype.kind in "fiub" else statistic.tolist()


def seed_of(seed: int, purpose: str) -> int:
    """A seed for one purpose of a trial."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{purpose}".encode()).digest()[:8], "big") >> 1
