"""imc_vae: a permutation-invariant VAE on grids of patch embeddings.

After Winter, Noé and Clevert, "Permutation-Invariant Variational Autoencoder for Graph-Level Representation
Learning" (NeurIPS 2021): a set encoder with a read-out token gives one latent per graph, a decoder with
position embeddings gives the nodes in their canonical order, and a permuter aligns the shuffled input with it.
Different here, because the canonical order (the grid) is known: the decoder is compared with the grid itself,
and the permuter's doubly stochastic matrix (Sinkhorn normalisation, Mena et al. 2018, of node-position
affinities) is trained against the true order instead of by an entropy penalty.

The fix notes' perceptual loss, by the encoder that the embeddings come from, has no counterpart: it needs a decoder
to images and that encoder, and here the embeddings are the data.

Shapes: B samples, R × C grid, P = R·C nodes, D channels, H hidden, K latent dimensions, M = ⌈K / H⌉ tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables import vae
from trainables.data.grids import GridReader as READER
from trainables.data.normalise import to_fixed_space
from trainables.forms import QuadraticForm
from trainables.losses.kl import free_bits, kl_per_dim, sample
from trainables.schedules import END, Progress, linear_warmup
from trainables.vae import Batch, Vae

__all__ = ["READER", "Model", "Outputs", "quadratic_form", "term_weights"]

SINKHORN_ITERATIONS = 8
BATCH_NORM_EPS = 1e-5


@dataclass(frozen=True)
class Outputs(vae.Outputs):
    """One pass over a batch; grids are in row-major order, nodes in the shuffled order of the input."""

    log_permutation: Tensor  # (B, P, P): log probability that node i belongs at grid position j
    position: Tensor  # (B, P): the grid position of node i


def attention_blocks(width: int, heads: int, layers: int) -> nn.TransformerEncoder:
    """Pre-norm self-attention blocks without dropout, (B, T, H) → (B, T, H); equivariant to the order of T."""
    block = nn.TransformerEncoderLayer(
        width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(block, layers, nn.LayerNorm(width), enable_nested_tensor=False)


class Normalisation(nn.Module):
    """Maps raw embeddings into the space a trial trains in, and its predictions into the fixed space, where every
    kind is given the offset and the scale of the target.

    `channel_wise`: per sample and channel over the grid, the fixed space itself. `learned`: batch norm over all
    nodes; its learned scale and shift act on the input alone, for on the target they could shrink the loss to
    nothing. `none`: raw.
    """

    std_floor: Tensor

    def __init__(self, kind: str, channels: int, std_floor: float) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("std_floor", torch.tensor(std_floor))
        if kind == "learned":
            self.batch_norm = nn.BatchNorm1d(channels, eps=BATCH_NORM_EPS, affine=False)
            self.scale = nn.Parameter(torch.ones(channels))
            self.shift = nn.Parameter(torch.zeros(channels))

    def target(self, x_BRCD: Tensor) -> Tensor:
        """`x` in the training space, (B, R, C, D)."""
        if self.kind == "channel_wise":
            return self.fixed(x_BRCD, x_BRCD)
        if self.kind == "learned":
            return self.batch_norm(x_BRCD.flatten(0, 2)).view_as(x_BRCD)
        return x_BRCD

    def network_input(self, target_BRCD: Tensor) -> Tensor:
        """What the encoder sees of a target."""
        return target_BRCD * self.scale + self.shift if self.kind == "learned" else target_BRCD

    def centred(self, prediction_BRCD: Tensor) -> Tensor:
        """A prediction of the training space with every channel's mean over the grid 0; raw units, `channel_wise`
        apart.

        So every kind is given the offset of its target, as `channel_wise` is by what it trains on.
        """
        if self.kind == "learned":
            prediction_BRCD = (
                prediction_BRCD * (self.batch_norm.get_buffer("running_var") + self.batch_norm.eps).sqrt()
            )
        return prediction_BRCD - prediction_BRCD.mean(dim=(1, 2), keepdim=True)

    def given(self, x_BRCD: Tensor) -> Tensor | None:
        """The target's scale, (B, 1, 1, D), by which a centred prediction in raw units is multiplied."""
        if self.kind == "channel_wise":
            return None
        return 1.0 / x_BRCD.std(dim=(1, 2), correction=0, keepdim=True).clamp(min=self.std_floor)

    def fixed(self, values_BRCD: Tensor, x_BRCD: Tensor) -> Tensor:
        """`values` normalised by the mean and standard deviation of `x` over its grid, per sample and channel.

        The population's standard deviation, so that the variance is 1; the fix notes divide by the root of n − 1,
        which on a grid of 6 × 6 makes all values smaller by the same 1.4 %.
        """
        origin = x_BRCD[:, :1, :1]  # a constant channel must give exactly 0, whatever its level
        x, values = x_BRCD - origin, values_BRCD - origin
        std = x.std(dim=(1, 2), correction=0, keepdim=True)
        return (values - x.mean(dim=(1, 2), keepdim=True)) / std.clamp(min=self.std_floor)


class Permuter(nn.Module):
    """The soft permutation between shuffled nodes and grid positions."""

    def __init__(self, width: int, positions: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.positions = nn.Parameter(torch.randn(positions, width) / math.sqrt(width))

    def forward(self, nodes_BPH: Tensor) -> Tensor:
        """Log of a doubly stochastic matrix (B, P, P), rows: nodes, columns: grid positions."""
        scores_BPP = (self.query(nodes_BPH) @ self.positions.T).float()
        for _ in range(SINKHORN_ITERATIONS):
            scores_BPP = scores_BPP.log_softmax(dim=1).log_softmax(dim=2)
        return scores_BPP


class Model(Vae):
    """The VAE. `statistics` are those of `trainables.data.normalise.grid_statistics`."""

    channel_axis = -1

    def __init__(
        self, config: Mapping[str, Any], shape: tuple[int, ...], statistics: Mapping[str, np.ndarray]
    ) -> None:
        super().__init__(config, shape, statistics)
        rows, columns, channels = shape
        width, latent = config["hidden_dim"], config["latent_dim"]
        self.latent_dim, self.free_bits = latent, config["kld_free_bits"]
        self.normalisation = Normalisation(config["normalize"], channels, float(statistics["std_floor"]))
        self.embed = nn.Linear(channels, width)
        self.graph_token = nn.Parameter(torch.randn(width) / math.sqrt(width))
        self.encoder = attention_blocks(width, config["heads"], config["layers"])
        self.head = nn.Linear(width, 2 * latent)
        self.permuter = Permuter(width, rows * columns)
        self.tokens = nn.Linear(latent, math.ceil(latent / width) * width)
        self.positions = nn.Parameter(torch.randn(rows * columns, width) / math.sqrt(width))
        self.decoder = attention_blocks(width, config["heads"], config["layers"])
        self.output = nn.Linear(width, channels)

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> Outputs:
        """Shuffle the nodes, encode, sample, decode. `generator` (on the device of `x`) draws order and noise."""
        x_BRCD = batch.x
        target = self.normalisation.target(x_BRCD)
        nodes_BPD = self.normalisation.network_input(target).flatten(1, 2)
        noise = torch.rand(nodes_BPD.shape[:2], generator=generator, device=x_BRCD.device)
        position = noise.argsort(dim=1)
        shuffled = nodes_BPD.gather(1, position[:, :, None].expand_as(nodes_BPD))
        mu, logvar, nodes_BPH = self._encode_nodes(shuffled)
        z = sample(mu, logvar, generator)
        return Outputs(mu, logvar, z, self.decode(z), target, self.permuter(nodes_BPH), position)

    def encode(self, x_BRCD: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar, each (B, K); the order of the nodes does not matter."""
        target = self.normalisation.target(x_BRCD)
        mu, logvar, _ = self._encode_nodes(self.normalisation.network_input(target).flatten(1, 2))
        return mu, logvar

    def decode(self, z_BK: Tensor) -> Tensor:
        """The grid, (B, R, C, D), in the training space."""
        batch, width = z_BK.shape[0], self.positions.shape[1]
        tokens_BMH = self.tokens(z_BK).view(batch, -1, width)
        grid_BPH = self.positions.expand(batch, -1, -1)
        hidden = self.decoder(torch.cat([tokens_BMH, grid_BPH], dim=1))[:, tokens_BMH.shape[1] :]
        return self.output(hidden).float().view(batch, *self.shape)

    def terms(self, outputs: Outputs) -> dict[str, Tensor]:
        """The unweighted terms of the loss, scalars.

        node: mean squared error. cosine: 1 − cosine similarity of a node's embedding. gradient: mean squared
        error of the differences between neighbours on the grid. permutation: negative log probability of the
        true order. kl: nats per sample, with free bits per sample and dimension.
        """
        error = outputs.prediction - outputs.target
        along_rows, along_columns = error.diff(dim=1).square(), error.diff(dim=2).square()
        differences = along_rows.numel() + along_columns.numel()
        true_order = outputs.log_permutation.gather(2, outputs.position[:, :, None])
        return {
            "node": error.square().mean(),
            "cosine": 1.0 - F.cosine_similarity(outputs.prediction, outputs.target, dim=-1).mean(),
            "gradient": (along_rows.sum() + along_columns.sum()) / differences,
            "permutation": -true_order.mean(),
            "kl": free_bits(kl_per_dim(outputs.mu, outputs.logvar), self.free_bits),
        }

    def to_fixed_but_for_target(self, prediction_BRCD: Tensor) -> Tensor:
        """A prediction with every channel's mean over the grid 0; see `Normalisation.centred`."""
        return self.normalisation.centred(prediction_BRCD)

    def given(self, x_BRCD: Tensor) -> Tensor | None:
        """The target's scale; see `Normalisation.given`."""
        return self.normalisation.given(x_BRCD)

    def fixed_target(self, x_BRCD: Tensor) -> Tensor:
        """The target in the fixed space."""
        return self.normalisation.fixed(x_BRCD, x_BRCD)

    def measures(self, outputs: Outputs, prediction_BRCD: Tensor, target_BRCD: Tensor) -> dict[str, Tensor]:
        """Means over the batch of the domain measures; prediction and target in the fixed space.

        cosine_similarity: of a node's embedding. permutation_accuracy: share of nodes whose most probable grid
        position is the true one (chance: 1 / P). feature_mean, feature_std: of the embeddings as the trial trains
        on them, over all nodes and channels; about 0 and 1 if the normalisation works.
        """
        from torchmetrics.functional.regression import cosine_similarity

        channels = target_BRCD.shape[-1]
        hit = outputs.log_permutation.argmax(dim=2) == outputs.position
        return {
            "val/cosine_similarity": cosine_similarity(
                prediction_BRCD.reshape(-1, channels), target_BRCD.reshape(-1, channels), reduction="mean"
            ),
            "val/permutation_accuracy": hit.float().mean(),
            "health/feature_mean": outputs.target.mean(),
            "health/feature_std": outputs.target.std(correction=0),
        }

    def panel(self, target_BRCD: Tensor, prediction_BRCD: Tensor) -> tuple[Tensor, Tensor]:
        """Both as images (B, R, C, 3) in [0, 1]: the first principal components of the targets as colours."""
        nodes = target_BRCD.flatten(0, 2).double()
        mean = nodes.mean(dim=0)
        axes = _principal(nodes - mean)
        colours = [(x.double() - mean) @ axes.T for x in (target_BRCD, prediction_BRCD)]
        shares = torch.tensor([0.02, 0.98], dtype=torch.float64, device=nodes.device)
        low, high = torch.quantile(colours[0].flatten(0, 2), shares, dim=0)
        images = [F.pad(((x - low) / (high - low).clamp(min=1e-12)).clamp(0, 1), (0, 3 - len(axes))) for x in colours]
        return images[0], images[1]

    def _encode_nodes(self, nodes_BPD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden_BPH = self.embed(nodes_BPD)
        token = self.graph_token.expand(hidden_BPH.shape[0], 1, -1)
        hidden = self.encoder(torch.cat([token, hidden_BPH], dim=1))
        mu, logvar = self.head(hidden[:, 0]).float().chunk(2, dim=-1)
        return mu, logvar, hidden[:, 1:]


def _principal(centred_NC: Tensor) -> Tensor:
    """The three first principal axes, (3, C) or fewer, each of length 1, or 0 where no variance is left; from the
    smaller of the two products of the matrix with itself, which takes a fifth of the time of its decomposition."""
    if centred_NC.shape[0] < centred_NC.shape[1]:
        axes = torch.linalg.eigh(centred_NC @ centred_NC.T).eigenvectors[:, -3:].T @ centred_NC
    else:
        axes = torch.linalg.eigh(centred_NC.T @ centred_NC).eigenvectors[:, -3:].T
    return F.normalize(axes.flip(0), dim=1, eps=1e-9)


def term_weights(config: Mapping[str, Any], at: Progress) -> dict[str, float]:
    """The weight of every term of the loss at `at`.

    With `two_stage`, the first half trains without KL and permutation loss; the KL warm-up then runs over its
    share of the second half.
    """
    first_stage = config["two_stage"] and at.share < 0.5
    stage = (2.0 * at.share - 1.0) if config["two_stage"] else at.share
    kl = 0.0 if first_stage else config["kld_loss_scale"] * linear_warmup(stage, config["kl_warmup"])
    return {
        "node": 1.0,
        "cosine": config["cosine_loss_weight"],
        "gradient": config["gradient_loss_weight"],
        "permutation": 0.0 if first_stage else config["perm_loss_scale"],
        "kl": kl,
    }


def quadratic_form(
    config: Mapping[str, Any], x_NRCD: np.ndarray, statistics: Mapping[str, np.ndarray]
) -> QuadraticForm:
    """The loss near a good fit, for the forecast.

    With e = prediction − target, P·D values: node = ‖e‖² / (P·D); gradient = ‖Δe‖² / (number of differences);
    1 − cos ≈ ‖e‖² / (2 ‖t‖²) per node, hence cosine ≈ ‖e‖² / (2 P·D · mean t²).
    """
    rows, columns, channels = x_NRCD.shape[1:]
    values, differences = rows * columns * channels, ((rows - 1) * columns + rows * (columns - 1)) * channels
    kind = config["normalize"]
    mean, std = statistics["channel_mean"], statistics["channel_std"]
    mean_square = float(np.mean(mean**2 + std**2)) if kind == "none" else 1.0

    def target() -> np.ndarray:
        if kind == "channel_wise":
            return to_fixed_space(x_NRCD, float(statistics["std_floor"]))
        return (x_NRCD - mean) / np.sqrt(std**2 + BATCH_NORM_EPS) if kind == "learned" else x_NRCD

    def gradient() -> np.ndarray:
        along = [np.diff(target(), axis=axis).reshape(len(x_NRCD), -1) for axis in (1, 2)]
        return np.concatenate(along, axis=1)

    return QuadraticForm(
        key=kind,
        features=(
            ((1.0 + config["cosine_loss_weight"] / (2.0 * mean_square)) / values, target),
            (config["gradient_loss_weight"] / differences, gradient),
        ),
        unit_weight=1.0 / values,
        kl_weight=term_weights(config, END)["kl"],
        free_bits=config["kld_free_bits"],
        latent_dim=config["latent_dim"],
    )
