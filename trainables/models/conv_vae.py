"""conv_vae: a two-dimensional convolutional VAE for grey images, with a latent of 8 × 8 positions.

Residual blocks halve the side down to 8 × 8 and double it again; at 16 × 16 there may be self-attention. The rounds
of the model's change log are hyperparameters: reductions, initialisation, upsampling, free bits, depth, losses.
Images of another side than 256 have as many stages as lead to 8 × 8, and the widths belong to the resolution, not
to the stage.

Shapes: B samples, C channels, S × S pixels, K = latent channels × 8 × 8 latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables.data.grey_images import GreyImageReader as READER
from trainables.diagnostics import Decodes, LatentStatistics
from trainables.forms import QuadraticForm
from trainables.generation import checkerboard, diversity, generation_gap
from trainables.losses.images import multi_scale, quadratic, quadratic_spectral, residual_std, spectral, ssim
from trainables.losses.kl import free_bits, kl_per_dim, sample
from trainables.nets.blocks import ACTIVATIONS, DownBlock, SelfAttention, UpBlock, kaiming, near_zero
from trainables.schedules import END, Progress, linear_warmup
from trainables.vae import Batch, Outputs, Vae

__all__ = ["READER", "Model", "Outputs", "quadratic_form", "term_weights"]

LATENT_SIDE = 8
ATTENTION_SIDE = 16
FULL_SIDE = 128  # where a layer has `width` channels: twice as many at half the side
MINIMUM_CHANNELS = 4


def channels(width: int, side: int) -> int:
    """Channels of the layers of that side."""
    return max(MINIMUM_CHANNELS, width * FULL_SIDE // side)


class Encoder(nn.Module):
    """(B, C, S, S) → maps of the mean and the log variance, each (B, latent_channels, 8, 8)."""

    def __init__(self, config: Mapping[str, Any], shape: tuple[int, ...]) -> None:
        super().__init__()
        inputs, side, _ = shape
        layers: list[nn.Module] = []
        while side > LATENT_SIDE:
            side //= 2
            outputs = channels(config["width"], side)
            layers.append(DownBlock(inputs, outputs, "relu", config["skip_batch_norm"]))
            if side == ATTENTION_SIDE and config["attention"]:
                layers.append(SelfAttention(outputs))
            inputs = outputs
        self.body = nn.Sequential(*layers)
        self.mu = nn.Conv2d(inputs, config["latent_channels"], 1)
        self.logvar = nn.Conv2d(inputs, config["latent_channels"], 1)

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance."""
        hidden = self.body(x_BCHW)
        return self.mu(hidden), self.logvar(hidden)


class Decoder(nn.Module):
    """(B, latent_channels, 8, 8) → logits (B, C, S, S)."""

    def __init__(self, config: Mapping[str, Any], shape: tuple[int, ...]) -> None:
        super().__init__()
        outputs, target_side, _ = shape
        activation, side = config["decoder_activation"], LATENT_SIDE
        inputs = channels(config["width"], side)
        stem = nn.Conv2d(config["latent_channels"], inputs, 3, padding=1, bias=False)
        layers: list[nn.Module] = [stem, nn.BatchNorm2d(inputs), ACTIVATIONS[activation]()]
        while side < target_side:
            side *= 2
            wide = channels(config["width"], side)
            layers.append(
                UpBlock(inputs, wide, config["up_mode"], config["up_depth"], activation, config["skip_batch_norm"])
            )
            if side == ATTENTION_SIDE and config["attention"]:
                layers.append(SelfAttention(wide))
            inputs = wide
        self.body = nn.Sequential(*layers)
        self.image = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, z_BCHW: Tensor) -> Tensor:
        """Logits of the image."""
        return self.image(self.body(z_BCHW))


class Model(Vae):
    """The VAE; it needs no `statistics`."""

    set_samples = 64

    def __init__(
        self, config: Mapping[str, Any], shape: tuple[int, ...], statistics: Mapping[str, np.ndarray]
    ) -> None:
        super().__init__(config, shape, statistics)
        self.latent_shape = (config["latent_channels"], LATENT_SIDE, LATENT_SIDE)
        self.latent_dim = math.prod(self.latent_shape)
        self.encoder = Encoder(config, shape)
        self.decoder = Decoder(config, shape)
        self._initialise()
        # a step takes two thirds of the time
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks the option

    def _initialise(self) -> None:
        """Kaiming for every convolution but attention's output and the image's, whose sigmoid it would saturate."""
        kept = {self.decoder.image, *(x.projection for x in self.modules() if isinstance(x, SelfAttention))}
        if self.config["init"] == "kaiming":
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer not in kept:
                    kaiming(layer)
        if self.config["head_init"] == "near_zero":
            near_zero(self.encoder.mu)
            near_zero(self.encoder.logvar)

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> Outputs:
        """Encode, sample, decode; out of training without `sample_in_eval` the mean is decoded, z still drawn."""
        mu, logvar = self.encode(batch.x)
        z = sample(mu, logvar, generator)
        return Outputs(mu, logvar, z, self.decode(z if self._samples else mu), batch.x)

    def encode(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the posterior, (B, K)."""
        mu, logvar = (head.float().flatten(1) for head in self.encoder(x_BCHW))
        limit = self.config["logvar_clamp"]
        return mu, logvar if limit is None else logvar.clamp(-limit, limit)

    def decode(self, z_BK: Tensor) -> Tensor:
        """The image, (B, C, S, S), in [0, 1]."""
        return self.decoder(z_BK.unflatten(1, self.latent_shape)).float().sigmoid()

    def terms(self, outputs: Outputs) -> dict[str, Tensor]:
        """The unweighted terms of the loss, scalars.

        reconstruction: MSE or L1 + 1 − SSIM, the mean over the scales. spectral: mean modulus of the error's
        Fourier coefficients. kl: in nats, with a floor for every sample and dimension. Means over pixels and over
        latent dimensions; with reduction `sum` both are sums, as if every pixel had the mean's loss.
        """
        pixels, latents = (
            (outputs.target[0].numel(), 1) if self.config["reduction"] == "sum" else (1, self.latent_dim)
        )
        prediction, target = outputs.prediction, outputs.target
        with torch.autocast(prediction.device.type, enabled=False):
            return {
                "reconstruction": pixels
                * multi_scale(self.config["reconstruction"], prediction, target, self.config["loss_scales"]),
                "spectral": pixels * spectral(prediction, target),
                "kl": free_bits(kl_per_dim(outputs.mu, outputs.logvar), self.config["free_bits"]) / latents,
            }

    def decodes(self, outputs: Outputs, draws: int, generator: torch.Generator | None) -> Decodes:
        """Those of samples, whatever the terms were computed from, of the mean and of z = 0."""
        if not self._samples:
            outputs = replace(outputs, prediction=self.decode(outputs.z))
        return super().decodes(outputs, draws, generator)

    def measures(self, outputs: Outputs, prediction_BCHW: Tensor, target_BCHW: Tensor) -> dict[str, Tensor]:
        """Structural similarity, peak signal-to-noise ratio (dB) and mean absolute error, means over images."""
        from torchmetrics.functional.image import peak_signal_noise_ratio
        from torchmetrics.functional.regression import mean_absolute_error

        with torch.autocast(target_BCHW.device.type, enabled=False):
            return {
                "val/ssim": ssim(prediction_BCHW, target_BCHW).mean(),
                "val/psnr": peak_signal_noise_ratio(prediction_BCHW, target_BCHW, data_range=1.0, dim=(1, 2, 3)),
                "val/l1": mean_absolute_error(prediction_BCHW, target_BCHW),
            }

    def set_measures(
        self, targets_NCHW: Tensor, latent: LatentStatistics, generator: torch.Generator | None
    ) -> dict[str, float]:
        """The generation gap, diversity and checkerboard of prior samples, as many as targets; and of the KL:

        kl_constrained: with its floor, nats. kl_floor_frac: the share of samples and dimensions on the floor; 1 is
        normal early, before the encoder is used, and has no gradient.
        """
        generated, kl_NK = self.generate(len(targets_NCHW), generator), kl_per_dim(latent.mu, latent.logvar)
        floored = free_bits(kl_NK, self.config["free_bits"])
        return {
            "val/generation_gap": generation_gap(targets_NCHW, generated),
            "val/sample_diversity": diversity(generated, targets_NCHW),
            "health/kl_floor_frac": float((kl_NK <= self.config["free_bits"]).double().mean()),
            "health/checkerboard": checkerboard(generated, targets_NCHW),
            "health/kl_constrained": float(floored),
        }

    def panel(self, target_BCHW: Tensor, prediction_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Both as grey images (B, S, S, 3)."""
        target, prediction = (
            x.mean(dim=1).clamp(0, 1)[..., None].expand(-1, -1, -1, 3) for x in (target_BCHW, prediction_BCHW)
        )
        return target, prediction

    @property
    def _samples(self) -> bool:
        return self.training or self.config["sample_in_eval"]


def term_weights(config: Mapping[str, Any], at: Progress) -> dict[str, float]:
    """The weight of every term of the loss: the KL's rises linearly from 0 over its warm-up."""
    return {
        "reconstruction": 1.0,
        "spectral": config["spectral_loss_weight"],
        "kl": config["kl_weight_max"] * linear_warmup(at.share, config["kl_warmup"]),
    }


def quadratic_form(
    config: Mapping[str, Any], x_NCHW: np.ndarray, statistics: Mapping[str, np.ndarray]
) -> QuadraticForm:
    """The loss near total collapse, for the forecast; see `image_losses.quadratic`.

    One squared error weighs 1 / pixels for MSE, and 1 / (√(2π) s · pixels) for L1 where the residual is s. With
    means over K latent dimensions the KL in nats weighs kl_weight_max / K.
    """
    name, scales = config["reconstruction"], config["loss_scales"]
    values, latents = math.prod(x_NCHW.shape[1:]), config["latent_channels"] * LATENT_SIDE**2
    spectral_weight, spectrum = quadratic_spectral(x_NCHW)
    unit = 1.0 / values if name == "mse" else 1.0 / (math.sqrt(2 * math.pi) * residual_std(x_NCHW) * values)
    total = values if config["reduction"] == "sum" else 1.0
    features = [*quadratic(name, x_NCHW, scales), (config["spectral_loss_weight"] * spectral_weight, spectrum)]
    return QuadraticForm(
        key=f"{name} {scales}",
        features=tuple((total * weight, feature) for weight, feature in features),
        unit_weight=total * unit,
        kl_weight=term_weights(config, END)["kl"] / (1 if config["reduction"] == "sum" else latents),
        free_bits=config["free_bits"],
        latent_dim=latents,
    )
