"""The codebook of a VQ-VAE, and what its codes tell about it.

Shapes: B samples, D dimensions of a code, H × W positions, P = H·W, K codes. Information is in nats.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NO_CODE = -1
DEAD_SHARE = math.exp(-1)  # of the average count: what an average code has after 1 / (1 − decay) steps out of use
READY_STEPS = 2.0  # times 1 / (1 − decay): as long again for the codes that were reset


class Quantised(NamedTuple):
    """Encodings and their codes."""

    codes_BP: Tensor  # int64, row-major positions; −1 where there is no code
    encoded_BDHW: Tensor  # float32
    embedded_BDHW: Tensor  # the codes' vectors, 0 where there is none; differentiable where learnt by gradient
    straight_through_BDHW: Tensor  # their values, with the gradient of `encoded`

    def commitment(self) -> Tensor:
        """Squared distance of the encodings to their codes, mean over coded positions and dimensions."""
        return self._distance(self.encoded_BDHW, self.embedded_BDHW.detach())

    def codebook(self) -> Tensor:
        """The same with the gradient of the codes."""
        return self._distance(self.embedded_BDHW, self.encoded_BDHW.detach())

    def relative_error(self) -> Tensor:
        """`commitment` as a share of the variance of the encodings over the coded positions, means over dimensions:
        encodings that merely shrink do not lower it.
        """
        encodings_XD = self.encoded_BDHW.flatten(2).transpose(1, 2)[self.codes_BP != NO_CODE]
        return self.commitment() / encodings_XD.var(dim=0, correction=0).mean().clamp(min=1e-30)

    def _distance(self, first_BDHW: Tensor, second_BDHW: Tensor) -> Tensor:
        coded_BP = self.codes_BP != NO_CODE
        square_BP = (first_BDHW - second_BDHW).square().mean(dim=1).flatten(1)
        return (square_BP * coded_BP).sum() / coded_BP.sum()


class _State(Protocol):
    """What is used of the library's codebook, which has one head: 1 before all shapes."""

    embed: Tensor  # (1, K, D), the codes e
    embed_avg: Tensor  # (1, K, D), the sums m
    cluster_size: Tensor  # (1, K), the counts N
    threshold_ema_dead_code: Tensor | float
    reset_cluster_size: Tensor | float


class Codebook(nn.Module):
    """Nearest-code quantisation (van den Oord, Vinyals, Kavukcuoglu 2017) by vector-quantize-pytorch.

    With `ema` a code is the moving average of the encodings nearest to it (their appendix A.1: counts N and sums m
    decay by `decay`, e = m / N, N smoothed by Laplace); the update happens in the forward pass of training and takes
    effect in the next. Without, the codes are parameters that a codebook loss moves.

    With `reset` a code whose count falls below 1 / e of the average is put onto a random encoding of the batch and
    gets the average count. The library's own threshold is a number of encodings, at which fresh codes start too and
    die in the next step.

    Args:
        size: K.
        dim: D.
        init: `normal`, N(0, 1), or `uniform`, within ± 1 / K.
    """

    updates: Tensor
    counts_K: Tensor

    def __init__(
        self, size: int, dim: int, *, ema: bool, decay: float, reset: bool, init: Literal["normal", "uniform"]
    ) -> None:
        from vector_quantize_pytorch import VectorQuantize

        super().__init__()
        self.size, self.decay, self.reset = size, decay, reset
        self.quantiser = VectorQuantize(
            dim,
            size,
            decay=decay,
            ema_update=ema,
            learnable_codebook=not ema,
            threshold_ema_dead_code=DEAD_SHARE if reset else 0,
            commitment_weight=0.0,
            rotation_trick=False,
        )
        with torch.no_grad():
            self.quantiser.codebook = INITIAL[init](size, dim)
            self._state.embed_avg.copy_(self._state.embed)  # m = e: the counts start at 1
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("counts_K", torch.zeros(size))  # of the codes in training, decaying by `decay` a step

    @property
    def vectors_KD(self) -> Tensor:
        """The codes' vectors."""
        return self.quantiser.codebook

    @property
    def ready(self) -> bool:
        """True once dead codes had time to be reset and to be used again."""
        return int(self.updates) >= READY_STEPS / (1.0 - self.decay)

    def forward(self, encoded_BDHW: Tensor, coded_BP: Tensor) -> Quantised:
        """Quantise the positions where `coded` is true; in training also update averages and reset dead codes."""
        encoded_BDHW = encoded_BDHW.float()
        vectors_KD = self.vectors_KD.clone()  # the update works in place
        codes_BP = self.nearest(encoded_BDHW, coded_BP, update=self.training)
        embedded_BDHW = _look_up(vectors_KD, codes_BP, encoded_BDHW.shape[2:])
        coded_B1HW = coded_BP.view(len(coded_BP), 1, *encoded_BDHW.shape[2:])
        straight_BDHW = (encoded_BDHW + (embedded_BDHW - encoded_BDHW).detach()) * coded_B1HW
        return Quantised(codes_BP, encoded_BDHW, embedded_BDHW, straight_BDHW)

    def nearest(self, encoded_BDHW: Tensor, coded_BP: Tensor, update: bool = False) -> Tensor:
        """The code of every position, (B, P), −1 where `coded` is false."""
        if update:
            self.updates += 1
            if self.reset:
                average = self._state.cluster_size.mean()
                self._state.threshold_ema_dead_code = DEAD_SHARE * average
                self._state.reset_cluster_size = average
        vectors_BPD = encoded_BDHW.float().flatten(2).transpose(1, 2)
        codes_BP = self.quantiser(vectors_BPD, mask=coded_BP, freeze_codebook=not update)[1]
        if update:
            used_K = torch.bincount(codes_BP[codes_BP != NO_CODE], minlength=self.size)
            self.counts_K.mul_(self.decay).add_(used_K)
        return codes_BP

    def embed(self, codes_BP: Tensor, grid: tuple[int, int]) -> Tensor:
        """The vectors of `codes` at their positions, (B, D, H, W), 0 where there is no code."""
        return _look_up(self.vectors_KD, codes_BP, grid)

    @property
    def _state(self) -> _State:
        """The library's buffers."""
        return self.quantiser._codebook


def _look_up(vectors_KD: Tensor, codes_BP: Tensor, grid: tuple[int, ...]) -> Tensor:
    vectors_BPD = F.embedding(codes_BP.clamp(min=0), vectors_KD) * (codes_BP != NO_CODE)[..., None]
    return vectors_BPD.transpose(1, 2).unflatten(2, grid)


def _normal(size: int, dim: int) -> Tensor:
    return torch.randn(size, dim)


def _uniform(size: int, dim: int) -> Tensor:
    return torch.empty(size, dim).uniform_(-1.0 / size, 1.0 / size)


INITIAL = {"normal": _normal, "uniform": _uniform}


class CodebookStatistics:
    """How often each code is used over the evaluation set.

    Args:
        training_K: how often each was used in training, for the price of a code.
    """

    def __init__(self, training_K: Tensor) -> None:
        self._training_K = training_K.double().cpu()
        self._counts_K = torch.zeros(len(training_K), dtype=torch.int64)
        self._samples = 0

    def add(self, outputs: Any, decodes: Any) -> None:
        """Add a batch's `codes`."""
        self.add_codes(outputs.codes)

    def add_codes(self, codes_BP: Tensor) -> None:
        """Add a batch's codes; −1 where there is none."""
        self._counts_K += torch.bincount(codes_BP[codes_BP != NO_CODE], minlength=len(self._counts_K)).cpu()
        self._samples += len(codes_BP)

    def counts(self) -> Tensor:
        """How often each code was used, (K,)."""
        return self._counts_K

    def entropy(self) -> float:
        """Of the use of the codes, nats per coded position; between 0 and ln K."""
        share_K = self._counts_K.double() / self._counts_K.sum()
        return float(torch.special.entr(share_K).sum())

    def rate(self) -> float:
        """What the codes of a sample cost, nats: −Σ ln p over its coded positions, p from the counts in training
        plus ½ each (Krichevsky and Trofimov 1981). The frequencies of the evaluated codes themselves would
        undercharge a large codebook by about (K − 1) / 2 nats in all.
        """
        price_K = -torch.log((self._training_K + 0.5) / (self._training_K.sum() + 0.5 * len(self._training_K)))
        return float((self._counts_K * price_K).sum()) / self._samples

    def metrics(self) -> dict[str, float]:
        """Share of the codes in use, exp(entropy) and the number of codes out of use."""
        used = int((self._counts_K > 0).sum())
        return {
            "health/codebook_usage": used / len(self._counts_K),
            "health/perplexity": math.exp(self.entropy()),
            "health/dead_codes": float(len(self._counts_K) - used),
        }

    def by_dimension(self) -> dict[str, list[float]]:
        """Nothing: there are no dimensions."""
        return {}
