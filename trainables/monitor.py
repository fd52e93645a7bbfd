"""The one object that hears an epoch, whoever trains: it measures the latent, judges, and says whether to go on.

    monitor = Monitor(epochs=100)
    for _ in range(monitor.epochs):
        train_one_epoch()
        mu, logvar = encoder(x_val)
        row = monitor.epoch(mu, logvar, decode=decoder, target=x_val, kl_weight=beta, nelbo=loss)
        if monitor.condemned:
            print(monitor.stopping_reason, monitor.stopping_reason_message)
            break

A row has the names of the epoch log (`trainables.epoch_log`). Shapes: N samples, K latent dimensions, S draws of each
posterior. Needs torch alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainables.diagnostics import LatentStatistics, draws_of
from trainables.epoch_log import BY_DIMENSION
from trainables.health import Health, HealthConfig, Verdict, judge
from trainables.metrics import is_metric
from trainables.nets.codebook import CodebookStatistics
from trainables.score import Errors, Pairs

DECODE_BATCH = 64  # samples
FEWEST = 2  # samples

Decode = Callable[[Tensor], Tensor]
Row = dict[str, Any]


class MonitorError(ValueError):
    """What was handed over cannot be a posterior; the message says what was expected."""


class Monitor:
    """Hears the epochs of one trial.

    Args:
        epochs: the budget, in evaluated epochs; the grace is a share of it.
        health: thresholds of the verdict.
        seed: of the draws; the same at every epoch, so that epochs are compared without their noise.
    """

    def __init__(self, epochs: int, health: HealthConfig | None = None, seed: int = 0) -> None:
        self.epochs, self.seed = epochs, seed
        self.rows: list[Row] = []
        self.health = Health(Verdict.HEALTHY)
        self.handover: Callable[[Row], None] | None = None  # hears every row once it is judged
        self._thresholds = health or HealthConfig()

    @property
    def condemned(self) -> bool:
        """True if the trial should be stopped."""
        return self.health.verdict.condemned

    @property
    def stopping_reason(self) -> Verdict:
        """The verdict after the last epoch."""
        return self.health.verdict

    @property
    def stopping_reason_message(self) -> str:
        """The sentence of that verdict, with its numbers."""
        return self.health.detail

    @property
    def tags(self) -> dict[str, str]:
        """For a tracker: why and when the trial was stopped; {} while it was not."""
        if not self.condemned:
            return {}
        epoch = str(self.rows[-1]["epoch"])
        return {"stop.reason": self.stopping_reason.value, "stop.detail": self.health.detail, "stop.epoch": epoch}

    def epoch(
        self,
        mu: Tensor | None = None,
        logvar: Tensor | None = None,
        *,
        decode: Decode | None = None,
        target: Tensor | None = None,
        codes: Tensor | None = None,
        codebook_size: int | None = None,
        kl_weight: float = 1.0,
        kl_weight_final: float = 1.0,
        **metrics: float,
    ) -> Row:
        """Hear of an epoch; its row, with the verdict.

        Args:
            mu, logvar: the posterior of held-out samples, (N, K) each; N of 64 or more, or the numbers are noisy.
            decode: z (B, K) → the mean of what is predicted, (B, …). With `target`, the same samples (N, …), it is
                seen whether the decoder uses z; without, only active units are judged, and for longer.
            codes: of a vector-quantised model, (N, P) integers, instead of `mu` and `logvar`; with `codebook_size`.
            kl_weight, kl_weight_final: the weight now and at the end of a warm-up. Without them a warm-up cannot be
                seen, and a model that is to wake up late may be condemned.
            metrics: further numbers. A name without a slash gets `val/`; one with replaces what was measured, as
                `**{"health/kl_raw": kl}` does where the prior is not N(0, 1).

        Raises:
            MonitorError: shapes do not fit, or neither a posterior nor codes are given.
        """
        problems = _problems(mu, logvar, decode, target, codes, codebook_size)
        if problems:
            raise MonitorError("; ".join(problems))
        row: Row = {"epoch": len(self.rows) + 1}
        row |= {"schedule/kl_weight": float(kl_weight), "schedule/kl_weight_final": float(kl_weight_final)}
        with torch.no_grad():
            if codes is not None and codebook_size is not None:
                row |= _codebook(codes, codebook_size)
            if mu is not None and logvar is not None:
                row |= self._posterior(mu.detach(), logvar.detach(), decode, target)
        row |= {_named(name): float(value) for name, value in metrics.items()}
        return self.hear(row)

    def hear(self, row: Row) -> Row:
        """Judge a row that has been measured already, and keep it."""
        self.health = judge([*self.rows, row], self.epochs, self._thresholds)
        row |= {"verdict": self.health.verdict.value, "verdict_detail": self.health.detail}
        self.rows.append(row)
        if self.handover is not None:
            self.handover(row)
        return row

    def _posterior(self, mu: Tensor, logvar: Tensor, decode: Decode | None, target: Tensor | None) -> Row:
        generator = torch.Generator(mu.device).manual_seed(self.seed)
        noise_SNK = torch.randn((draws_of(len(mu)), *mu.shape), generator=generator, device=mu.device)
        z_SNK = mu.float() + noise_SNK * (0.5 * logvar.float()).exp()
        latent = LatentStatistics()
        latent.add_posterior(mu, logvar, z_SNK)
        row = {**latent.metrics(), **latent.by_dimension()}
        return row | _decoder(z_SNK.to(mu.dtype), decode, target) if decode and target is not None else row


def _decoder(z_SNK: Tensor, decode: Decode, target: Tensor) -> Row:
    """Whether z is used, and the error beside that of the best constant; over all values alike."""
    errors, pairs = Errors(1), Pairs(1)
    for start in range(0, len(target), DECODE_BATCH):
        part = slice(start, start + DECODE_BATCH)
        expected = target[part].flatten(1).unsqueeze(1)
        decodes = [decode(z_NK[part]).flatten(1).unsqueeze(1) for z_NK in z_SNK]
        if decodes[0].shape != expected.shape:
            raise MonitorError(
                f"decode(z) returned {decodes[0].shape[2]} values a sample; target has {expected.shape[2]}"
            )
        errors.add(expected, {"samples": decodes})
        pairs.add(expected, decodes)
    swapped = float(pairs.swapped_C())
    return {
        "val/mse": errors.mse("samples"),
        "val/mse_constant": errors.constant(),
        "val/mse_swapped": swapped,
        "health/z_gain": 1.0 - float(pairs.own_C()) / max(swapped, 1e-30),
    }


def _codebook(codes: Tensor, size: int) -> Row:
    statistics = CodebookStatistics(torch.ones(size))
    statistics.add_codes(codes.flatten(1))
    return statistics.metrics() | {"schedule/codebook_ready": 1.0}


def _named(name: str) -> str:
    """The metric's name in the epoch log."""
    return name if is_metric(name) or name.startswith(BY_DIMENSION) else f"val/{name}"


def _problems(
    mu: Tensor | None,
    logvar: Tensor | None,
    decode: Decode | None,
    target: Tensor | None,
    codes: Tensor | None,
    codebook_size: int | None,
) -> list[str]:
    """All that is wrong with what was handed over."""
    found = []
    if mu is None and codes is None:
        found.append("neither mu and logvar nor codes were given")
    if (mu is None) != (logvar is None):
        found.append("mu and logvar: one was given without the other")
    if mu is not None and logvar is not None:
        if mu.dim() != 2 or mu.shape != logvar.shape:
            found.append(f"mu has shape {tuple(mu.shape)}, logvar {tuple(logvar.shape)}; expected both (N, K)")
        elif len(mu) < FEWEST:
            found.append(
                f"mu has {len(mu)} sample; expected {FEWEST} or more, better 64, gathered over the held-out set"
            )
        if target is not None and len(target) != len(mu):
            found.append(f"target has {len(target)} samples, mu {len(mu)}; expected the same samples")
    if decode is not None and target is None:
        found.append("decode was given without target: what it is compared with")
    if (codes is None) != (codebook_size is None):
        found.append("codes and codebook_size: one was given without the other")
    if codes is not None and codes.is_floating_point():
        found.append(f"codes are {codes.dtype}; expected integers from 0 to codebook_size − 1")
    return found
