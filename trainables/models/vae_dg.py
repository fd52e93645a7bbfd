"""vae_dg: a β-VAE of fundus photographs with a classifier on its latent, for cameras it has not seen.

After Chokuwa and Khan, "Generalizing Across Domains in Diabetic Retinopathy via Variational Autoencoders" (2023,
arXiv 2309.11301): a ResNet on the image normalised as ImageNet's, two fully connected layers, a latent, transposed
convolutions; one environment is held out, and models are chosen on validation data of the others (DomainBed's
training-domain validation, Gulrajani and Lopez-Paz 2021). Different here: the decoder doubles the side five times up
to the image's, where the paper's code stops at 39 pixels and interpolates, which no vessel survives; the fully
connected layers have layer norm instead of batch norm, which fails on a batch of one; the decoder works on logits,
so that the cross-entropy is exact for sure pixels and in mixed precision.

Shapes: B samples, C = 3 channels, S × S pixels, D = 3 · S² values, K latent dimensions, L classes.
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
from trainables.data.domains import DomainReader as READER
from trainables.diagnostics import LatentStatistics
from trainables.forms import QuadraticForm
from trainables.fundus import GREEN, colour_difference, vessel_correlation
from trainables.losses.images import ssim
from trainables.losses.kl import kl_per_dim, sample
from trainables.nets.resnet import ResNet, load_weights
from trainables.schedules import Progress, cyclical, linear_warmup, share
from trainables.vae import Batch, Vae

__all__ = ["READER", "Model", "Outputs", "kl_cycles", "quadratic_form", "term_weights"]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of red, green, blue in [0, 1]
DOUBLINGS = 5  # of the decoder's side; the ResNet halves it as often
MINIMUM_CHANNELS = 16
LOG_FLOOR = -100.0  # of a log probability, as in torch.nn.functional.binary_cross_entropy
NO_LABEL = -1
SURE = 1 / 255  # the mean of a pixel is kept this far from 0 and 1 in the forecast


@dataclass(frozen=True)
class Outputs(vae.Outputs):
    """One pass over a batch; the prediction is the sigmoid of the logits."""

    logits: Tensor  # (B, C, S, S), of the image
    scores: Tensor  # (B, L), logits of the classes
    label: Tensor  # (B,), −1 where there is none


class Encoder(nn.Module):
    """(B, C, S, S), normalised → mean and log variance, each (B, K)."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        hidden = config["hidden_dim"]
        self.resnet = ResNet(config["encoder"], config["width"])
        self.body = nn.Sequential(*dense(self.resnet.features, hidden), *dense(hidden, hidden))
        self.mu = nn.Linear(hidden, config["latent_dim"])
        self.logvar = nn.Linear(hidden, config["latent_dim"])

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, in float32."""
        hidden = self.body(self.resnet(x_BCHW))
        return self.mu(hidden).float(), self.logvar(hidden).float()


class Decoder(nn.Module):
    """(B, K) → logits (B, C, S, S)."""

    def __init__(self, config: Mapping[str, Any], shape: tuple[int, ...]) -> None:
        super().__init__()
        outputs, side = shape[0], shape[-1] // 2**DOUBLINGS
        wide, hidden = max(MINIMUM_CHANNELS, 4 * config["width"]), config["hidden_dim"]
        self.start = (wide, side, side)
        self.spread = nn.Sequential(*dense(config["latent_dim"], hidden), nn.Linear(hidden, math.prod(self.start)))
        layers: list[nn.Module] = [nn.BatchNorm2d(wide), nn.ReLU()]
        for _ in range(DOUBLINGS - 1):
            narrow = max(MINIMUM_CHANNELS, wide // 2)
            layers += [nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(narrow), nn.ReLU()]
            wide = narrow
        self.body = nn.Sequential(*layers, nn.ConvTranspose2d(wide, outputs, 4, stride=2, padding=1))

    def forward(self, z_BK: Tensor) -> Tensor:
        """Logits of the image, in float32."""
        return self.body(self.spread(z_BK).unflatten(1, self.start)).float()


class Model(Vae):
    """The VAE. `statistics` are those of `trainables.data.domains.DomainReader`.

    Weights of `encoder_weights` are read when training begins and not before: a checkpoint has its own, and may be
    opened where that file is not. As in DomainBed the ResNet then keeps their batch statistics.
    """

    input_mean: Tensor
    input_std: Tensor

    def __init__(
        self, config: Mapping[str, Any], shape: tuple[int, ...], statistics: Mapping[str, np.ndarray]
    ) -> None:
        super().__init__(config, shape, statistics)
        self.latent_dim = config["latent_dim"]
        self.register_buffer("input_mean", torch.tensor(IMAGENET_MEAN)[:, None, None])
        self.register_buffer("input_std", torch.tensor(IMAGENET_STD)[:, None, None])
        self.encoder = Encoder(config)
        self.decoder = Decoder(config, shape)
        self.classifier = nn.Linear(self.latent_dim, len(statistics["class_counts"]))
        self.notes = (encoder_note(config),)

    def start_epoch(self, share: float) -> None:
        """Take up the weights of `encoder_weights` if nothing is trained yet."""
        if share == 0 and self.config["encoder_weights"] is not None:
            load_weights(self.encoder.resnet, self.config["encoder_weights"])

    def train(self, mode: bool = True) -> Model:
        """As ever, but weights from a file keep the statistics of their batch norms."""
        super().train(mode)
        if self.config["encoder_weights"] is not None:
            for module in self.encoder.resnet.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> Outputs:
        """Encode, sample, decode, classify: the sample in training, its mean in evaluation."""
        normalised = self._normalised(batch.x)
        mu, logvar = self.encoder(normalised)
        z = sample(mu, logvar, generator)
        logits = self.decoder(z)
        return Outputs(
            mu=mu,
            logvar=logvar,
            z=z,
            logits=logits,
            prediction=logits.sigmoid(),
            target=normalised if self.config["target"] == "normalised" else batch.x,
            scores=self.classifier(z if self.training else mu).float(),
            label=batch.label,
        )

    def encode(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar, each (B, K)."""
        return self.encoder(self._normalised(x_BCHW))

    def decode(self, z_BK: Tensor) -> Tensor:
        """The image, (B, C, S, S), in [0, 1]."""
        return self.decoder(z_BK).sigmoid()

    def terms(self, outputs: Outputs) -> dict[str, Tensor]:
        """The unweighted terms of the loss, scalars.

        reconstruction: binary cross-entropy, the mean over samples and values or, with reduction `sum`, the sum
        over both. kl: nats, the mean over samples and latent dimensions, whatever the reduction. classification:
        cross-entropy, the mean over the samples that have a label.
        """
        bce_BCHW = binary_cross_entropy(outputs.logits, outputs.target)
        labelled = (outputs.label != NO_LABEL).sum().clamp(min=1)
        cross_entropy = F.cross_entropy(outputs.scores, outputs.label, ignore_index=NO_LABEL, reduction="sum")
        return {
            "reconstruction": bce_BCHW.sum() if self.config["reduction"] == "sum" else bce_BCHW.mean(),
            "kl": kl_per_dim(outputs.mu, outputs.logvar).mean(),
            "classification": cross_entropy / labelled,
        }

    def measures(self, outputs: Outputs, prediction_BCHW: Tensor, target_BCHW: Tensor) -> dict[str, Tensor]:
        """Share of the labels that are found, structural similarity of the green channel, PSNR (dB), and what the fix
        notes look for: vessels and colours; see `trainables.fundus`."""
        from torchmetrics.functional.classification import multiclass_accuracy
        from torchmetrics.functional.image import peak_signal_noise_ratio

        green = slice(GREEN, GREEN + 1)
        with torch.autocast(target_BCHW.device.type, enabled=False):
            return {
                "val/accuracy": multiclass_accuracy(
                    outputs.scores.argmax(dim=1),
                    outputs.label,
                    max(2, outputs.scores.shape[1]),
                    average="micro",
                    ignore_index=NO_LABEL,
                ),
                "val/ssim": ssim(prediction_BCHW[:, green], target_BCHW[:, green]).mean(),
                "val/psnr": peak_signal_noise_ratio(prediction_BCHW, target_BCHW, data_range=1.0, dim=(1, 2, 3)),
                "val/vessels": vessel_correlation(prediction_BCHW, target_BCHW).mean(),
                "val/colour_difference": colour_difference(prediction_BCHW, target_BCHW).mean(),
            }

    def set_measures(
        self, targets_NCHW: Tensor, latent: LatentStatistics, generator: torch.Generator | None
    ) -> dict[str, float]:
        """The KL as it is constrained, in nats per sample: the term is a mean over dimensions."""
        return {"health/kl_constrained": latent.rate()}

    def panel(self, target_BCHW: Tensor, prediction_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Both as colour images (B, S, S, 3)."""
        target, prediction = (x.clamp(0, 1).permute(0, 2, 3, 1) for x in (target_BCHW, prediction_BCHW))
        return target, prediction

    def _normalised(self, x_BCHW: Tensor) -> Tensor:
        return (x_BCHW - self.input_mean) / self.input_std


def encoder_note(config: Mapping[str, Any]) -> str:
    """Which weights the encoder starts from, for the user."""
    network, path = config["encoder"], config["encoder_weights"]
    if path is not None:
        return f"the {network} starts from the weights of {path}"
    return (
        f"the {network} starts from random weights, not from ImageNet's as in the paper and in DomainBed, which this "
        f"program cannot bring: set encoder_weights to a file of torchvision's {network} weights "
        "(--set encoder_weights=FILE)"
    )


def dense(inputs: int, outputs: int) -> list[nn.Module]:
    """A fully connected layer with layer norm and ReLU."""
    return [nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.ReLU()]


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """−t ln p − (1 − t) ln(1 − p) of every value, p = sigmoid(logits), logs no less than −100.

    Targets need not be in [0, 1]: the fix notes' "before" compares with the normalised image, from −2.1 to 2.6, and
    PyTorch then allowed it. There the loss is least at p = 0 or 1 and limited by the floor of the logarithm alone.
    """
    log_p, log_not_p = F.logsigmoid(logits).clamp(min=LOG_FLOOR), F.logsigmoid(-logits).clamp(min=LOG_FLOOR)
    return -(target * log_p + (1.0 - target) * log_not_p)


def term_weights(config: Mapping[str, Any], at: Progress) -> dict[str, float]:
    """The weight of every term of the loss."""
    return {
        "reconstruction": 1.0,
        "kl": config["loss_multiplier_kl"] * annealing(config, at),
        "classification": config["loss_multiplier_y"],
    }


def annealing(config: Mapping[str, Any], at: Progress) -> float:
    """0 until kl_anneal_start, then linearly to 1 at kl_anneal_end, over the budget or over every cycle anew.

    Each is a share of the budget, above 1 a number of steps. A cycle that is shorter than kl_anneal_end reaches 1
    when it ends.
    """
    start, end = (share(config[f"kl_anneal_{edge}"], at.steps) for edge in ("start", "end"))
    cycles, position = kl_cycles(config, at.steps), at.share
    if cycles > 1:
        position, end = cyclical(at.share, cycles, ramp=1.0) / cycles, min(end, 1 / cycles)
    return 0.0 if position < start else linear_warmup(position - start, end - start)


def kl_cycles(config: Mapping[str, Any], steps: int) -> float:
    """How often the annealing is gone through in a budget of `steps`."""
    return max(1.0, 1 / share(config["kl_anneal_cycle_length"], steps)) if config["kl_anneal_cyclical"] else 1.0


def quadratic_form(
    config: Mapping[str, Any], x_NCHW: np.ndarray, statistics: Mapping[str, np.ndarray]
) -> QuadraticForm:
    """The loss near the decoder that paints the mean image m, for the forecast.

    −x ln p − (1 − x) ln(1 − p) at p = m + δ is, to the second order, a constant − (x − m) δ / v + c δ² / (2 v) with
    v = m (1 − m) and c = v (x / m² + (1 − x) / (1 − m)²), whose mean over the samples is 1. With c = 1 that is a
    constant + ‖(p − x) / √v‖² / 2. As a mean over D values it has the weight a = 1 / D; the KL in nats has b =
    loss_multiplier_kl / K, hence σ² = β_eff = b / a. With reduction `sum` over B samples and D values a = 1 and
    b = loss_multiplier_kl / (B · K).

    Where the target is the normalised image there is no such minimum; the mean's part in [0, 1] stands for it.
    """
    sums, values = config["reduction"] == "sum", math.prod(x_NCHW.shape[1:])
    unit_weight = 0.5 if sums else 0.5 / values

    def whitened() -> np.ndarray:
        target = x_NCHW
        if config["target"] == "normalised":
            mean, std = (np.array(each, np.float32)[:, None, None] for each in (IMAGENET_MEAN, IMAGENET_STD))
            target = (x_NCHW - mean) / std
        mean_CHW = np.clip(target.mean(axis=0), SURE, 1 - SURE)
        return target / np.sqrt(mean_CHW * (1 - mean_CHW))

    return QuadraticForm(
        key=config["target"],
        features=((unit_weight, whitened),),
        unit_weight=unit_weight,
        kl_weight=config["loss_multiplier_kl"] / config["latent_dim"] / (config["batch_size"] if sums else 1),
        free_bits=0.0,
        latent_dim=config["latent_dim"],
    )
