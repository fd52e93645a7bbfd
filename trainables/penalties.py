"""What a penalty on the posterior costs units that are independent, in the batches it is computed from.

Shapes: B samples, K latent dimensions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from trainables.forms import Penalty

DRAWS = 8  # batches, the same for every configuration: a comparison of two is not blurred by chance

BatchPenalty = Callable[[Tensor, Tensor, torch.Generator], Tensor]  # mu, logvar (B, K), noise → scalar


def expected_penalty(of_batch: BatchPenalty, batch: int) -> Penalty:
    """The mean of `of_batch` over simulated batches of `batch` samples, as a function of the variances (K,) of the
    units' means; the variance of a posterior is what is left to 1."""

    def penalty(carried_K: np.ndarray) -> float:
        noise = torch.Generator().manual_seed(0)
        variance_K = torch.from_numpy(np.asarray(carried_K, np.float32))
        logvar_BK = torch.log1p(-variance_K).expand(batch, -1)
        deviation_K = variance_K.sqrt()
        draws = (torch.randn(batch, len(carried_K), generator=noise) * deviation_K for _ in range(DRAWS))
        return float(np.mean([float(of_batch(mu_BK, logvar_BK, noise)) for mu_BK in draws]))

    return penalty
