"""A Lightning callback that stops a collapsed VAE, alone or under a sweep. Needs the package `lightning`.

    Trainer(callbacks=[StopCollapsed()]).fit(module, data)          # alone
    Trainer(callbacks=[StopCollapsed(monitor)]).fit(module, data)   # in `train(config, monitor)`, or to read its rows

Shapes: B samples of a validation batch, K latent dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor

from trainables.health import HealthConfig
from trainables.monitor import Monitor

MOST_SAMPLES = 512  # of the validation set, over all processes

Module = Any  # the user's LightningModule, whose methods are the user's own


def first(batch: Any) -> Any:
    """The data of a batch: the batch itself, or the first of a tuple or list."""
    return batch[0] if isinstance(batch, tuple | list) else batch


def encode_first(module: Module, batch: Any) -> tuple[Tensor, Tensor]:
    """`module.encode` of the data."""
    mu, logvar = module.encode(first(batch))
    return mu, logvar


def decode_z(module: Module, z: Tensor) -> Any:
    """`module.decode`."""
    return module.decode(z)


class StopCollapsed(lightning.Callback):
    """Judges the module after every epoch with a validation, and stops the training when it is condemned.

    Args:
        monitor: hears the epochs; None makes one of the Trainer's `max_epochs`.
        encode: the posterior of a batch, mu and logvar (B, K) each.
        decode: z (B, K) → the mean of what is predicted, in the space of `target`; None judges without the decoder.
        target: what a batch is compared with, (B, …).
        kl_weight: the KL's weight now and at the end of its warm-up; None: there is none, as far as is known.
        health: thresholds, where `monitor` is None.

    Raises:
        MisconfigurationException: at the start of `fit`, where neither a monitor nor `max_epochs` says the budget.
    """

    def __init__(
        self,
        monitor: Monitor | None = None,
        *,
        encode: Callable[[Module, Any], tuple[Tensor, Tensor]] = encode_first,
        decode: Callable[[Module, Tensor], Tensor] | None = decode_z,
        target: Callable[[Any], Tensor] = first,
        kl_weight: Callable[[Module], tuple[float, float]] | None = None,
        health: HealthConfig | None = None,
    ) -> None:
        self.monitor = monitor
        self._encode, self._decode, self._target, self._kl_weight = encode, decode, target, kl_weight
        self._health = health
        self._seen: list[tuple[Tensor, ...]] = []

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Make the monitor."""
        if self.monitor is None:
            if not trainer.max_epochs or trainer.max_epochs < 0:
                raise MisconfigurationException(
                    "StopCollapsed needs the budget: give the Trainer max_epochs, or StopCollapsed(Monitor(epochs=…))"
                )
            evaluations = max(1, trainer.max_epochs // (trainer.check_val_every_n_epoch or 1))
            self.monitor = Monitor(evaluations, self._health)

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Forget the validation before."""
        self._seen = []

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Encode the batch, as long as there are not samples enough."""
        if trainer.sanity_checking or sum(len(mu) for mu, *_ in self._seen) >= MOST_SAMPLES / trainer.world_size:
            return
        with torch.no_grad():
            mu, logvar = self._encode(pl_module, batch)
        self._seen.append((mu, logvar, self._target(batch)) if self._decode else (mu, logvar))

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Hear of the epoch's last validation."""
        if not self._seen or self.monitor is None:
            return
        parts = [_gathered(trainer, torch.cat(part)) for part in zip(*self._seen, strict=True)]
        self._seen = []
        decode = self._decode
        weight, final = self._kl_weight(pl_module) if self._kl_weight else (None, 1.0)
        logged: dict[str, Any] = {_named(name): float(value) for name, value in trainer.callback_metrics.items()}
        training = pl_module.training
        pl_module.eval()
        self.monitor.epoch(
            parts[0],
            parts[1],
            decode=(lambda z: decode(pl_module, z)) if decode else None,
            target=parts[2] if decode else None,
            kl_weight=weight,
            kl_weight_final=final,
            **logged,
        )
        pl_module.train(training)
        if self.monitor.condemned:
            trainer.should_stop = True
            if trainer.is_global_zero:
                print(f"{self.monitor.stopping_reason}: {self.monitor.stopping_reason_message}")


def _gathered(trainer: lightning.Trainer, part: Tensor) -> Tensor:
    """Of all processes, so that all of them judge alike; they hold equally many samples, as a sampler deals them."""
    return trainer.strategy.all_gather(part).reshape(-1, *part.shape[1:])


def _named(name: str) -> str:
    """`train_loss` and `val_loss` as the epoch log has them."""
    family, _, rest = name.partition("_")
    return f"{family}/{rest}" if family in ("train", "val", "test") and rest else name
