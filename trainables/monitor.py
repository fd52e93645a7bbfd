"""The one object that hears an epoch, whoever trains: it measures the latent, judges, and says whether to go on.

    monitor = Monitor(epochs=100)
    for _ in range(monitor.epochs):
        train_one_epoch()
        mu, logvar = encoder(x_val)
        row = monitor.epoch(mu, logvar, decode=decoder, target=x_val, kl_weight=beta, nelbo=loss)
        if monitor.condemned:
            print(monitor.stopping_reason, monitor.stopping_reason_message)
            break

To go on after an interruption, a loop hands over its state with every epoch that it could go on from, just before it
tells of the epoch, and begins with what it finds:

    if monitor.state is not None:
        model.load_state_dict(monitor.state["model"])
    for _ in range(monitor.done, monitor.epochs):
        train_one_epoch()
        monitor.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
        monitor.epoch(…)

A row has the names of the epoch log (`trainables.epoch_log`). Shapes: N samples, K latent dimensions, S draws of each
posterior. Needs torch alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from trainables.diagnostics import DecoderStatistics, LatentStatistics, draws_of
from trainables.epoch_log import BY_DIMENSION
from trainables.health import Health, HealthConfig, Verdict, judge
from trainables.losses.kl import antithetic
from trainables.metrics import is_metric
from trainables.nets.codebook import CodebookStatistics

DECODE_BATCH = 64  # samples
FEWEST = 2  # samples
UNWEIGHED = "no kl_weight was given, so a warm-up of the KL would not have been seen"

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
        stops: False where a sweep stops the loop, which may let a condemned trial run on: the monitor only judges.
    """

    def __init__(self, epochs: int, health: HealthConfig | None = None, seed: int = 0, *, stops: bool = True) -> None:
        self.epochs, self.seed, self.stops = epochs, seed, stops
        self.rows: list[Row] = []
        self.state: Mapping[str, Any] | None = None  # to go on from: what was saved before an interruption
        self.saved: Mapping[str, Any] | None = None  # with the last row
        self._handed: Mapping[str, Any] | None = None
        self.health = Health(Verdict.HEALTHY)
        self.handover: Callable[[Row], None] | None = None  # hears every row once it is judged
        self._thresholds = health or HealthConfig()

    @property
    def condemned(self) -> bool:
        """True if the loop should stop."""
        return self.stops and self.health.verdict.condemned

    @property
    def done(self) -> int:
        """Epochs heard so far, those before an interruption included."""
        return len(self.rows)

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
        kl_weight: float | None = None,
        kl_weight_final: float | None = None,
        **metrics: float,
    ) -> Row:
        """Hear of an epoch; its row, with the verdict.

        Args:
            mu, logvar: the posterior of held-out samples, (N, K) each; N of 64 or more, or the numbers are noisy.
            decode: z (B, K) → the mean of what is predicted, (B, …). With `target`, the same samples (N, …), it is
                seen whether the decoder uses z; without, only active units are judged, and for longer.
            codes: of a vector-quantised model, (N, P) integers, instead of `mu` and `logvar`; with `codebook_size`.
            kl_weight, kl_weight_final: the weight now and at the end of a warm-up. A final weight that is not
                given is taken for 1 at least while the weight rises, and for the weight once it does not.
                Without either a warm-up cannot be seen, and a model that is to wake up late may be condemned,
                with a sentence that says so.
            metrics: further numbers. A name without a slash gets `val/`; one with replaces what was measured, as
                `**{"health/kl_raw": kl}` does where the prior is not N(0, 1).

        Raises:
            MonitorError: shapes do not fit, or neither a posterior nor codes are given.
        """
        problems = _problems(mu, logvar, decode, target, codes, codebook_size)
        if problems:
            raise MonitorError("; ".join(problems))
        row: Row = {"epoch": len(self.rows) + 1}
        weight = 1.0 if kl_weight is None else float(kl_weight)
        final = self._final(weight) if kl_weight_final is None else float(kl_weight_final)
        row |= {"schedule/kl_weight": weight, "schedule/kl_weight_final": final}
        with torch.no_grad():
            if codes is not None and codebook_size is not None:
                row |= _codebook(codes, codebook_size)
            if mu is not None and logvar is not None:
                row |= self._posterior(mu.detach(), logvar.detach(), decode, target)
        row |= {_named(name): float(value) for name, value in metrics.items()}
        return self.hear(row, weighed=kl_weight is not None)

    def save(self, state: Mapping[str, Any]) -> None:
        """Hand over what the loop can go on from, just before it tells of the epoch that led there.

        Under a sweep it becomes the trial's checkpoint, whole or not at all; alone it is `saved` and no more.

        Raises:
            MonitorError: `state` holds something else than tensors, numbers, strings, None, and lists, tuples and
                dictionaries of them.
        """
        problems: list[str] = []
        plain = _plain("state", dict(state), problems)
        if problems:
            raise MonitorError("; ".join(problems))
        self._handed = plain

    def resume(self, rows: list[Row], state: Mapping[str, Any] | None) -> None:
        """Go on after `rows`, from the `state` that was saved with the last of them."""
        self.rows, self.state = rows, state

    def hear(self, row: Row, weighed: bool = True) -> Row:
        """Judge a row that has been measured already, and keep it; `weighed`: the loop has told its KL weight."""
        self.saved, self._handed = self._handed, None
        self.health = judge([*self.rows, row], self.epochs, self._thresholds)
        if not weighed and self.health.verdict is Verdict.COLLAPSED:
            self.health = Health(Verdict.COLLAPSED, f"{self.health.detail}; {UNWEIGHED}")
        row |= {"verdict": self.health.verdict.value, "verdict_detail": self.health.detail}
        self.rows.append(row)
        if self.handover is not None:
            self.handover(row)
        return row

    def _final(self, weight: float) -> float:
        """The final KL weight, if nobody says it."""
        rises = not self.rows or weight > self.rows[-1].get("schedule/kl_weight", weight)
        return max(1.0, weight) if rises else weight

    def _posterior(self, mu: Tensor, logvar: Tensor, decode: Decode | None, target: Tensor | None) -> Row:
        generator = torch.Generator(mu.device).manual_seed(self.seed)
        z_SNK = torch.stack(antithetic(mu.float(), logvar.float(), draws_of(len(mu)), generator))
        latent = LatentStatistics()
        latent.add_posterior(mu, logvar, z_SNK)
        row = {**latent.metrics(), **latent.by_dimension()}
        return row | _decoder(z_SNK.to(mu.dtype), decode, target) if decode and target is not None else row


def _decoder(z_SNK: Tensor, decode: Decode, target: Tensor) -> Row:
    """Whether z is used, and the error beside that of the best constant; over all values alike."""
    statistics = DecoderStatistics(axis=1)
    for start in range(0, len(target), DECODE_BATCH):
        part = slice(start, start + DECODE_BATCH)
        expected = target[part].flatten(1).unsqueeze(1)
        decodes = [decode(z_NK[part]).flatten(1).unsqueeze(1) for z_NK in z_SNK]
        if decodes[0].shape != expected.shape:
            raise MonitorError(
                f"decode(z) returned {decodes[0].shape[2]} values a sample; target has {expected.shape[2]}"
            )
        statistics.add_decodes(expected, decodes)
    return statistics.use()


def _codebook(codes: Tensor, size: int) -> Row:
    statistics = CodebookStatistics(torch.ones(size))
    statistics.add_codes(codes.flatten(1))
    return statistics.metrics() | {"schedule/codebook_ready": 1.0}


def _plain(place: str, value: Any, problems: list[str]) -> Any:
    """A state as a checkpoint holds it; what it cannot hold is added to `problems`, each with its place."""
    if isinstance(value, dict):
        return {key: _plain(f"{place}[{key!r}]", part, problems) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(f"{place}[{number}]", part, problems) for number, part in enumerate(value)]
    if value is None or isinstance(value, Tensor | bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    problems.append(
        f"{place} is a {type(value).__name__}; expected tensors, numbers, strings, None, and lists and dicts of them"
    )
    return None


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
