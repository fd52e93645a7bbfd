"""vq_vae: a vector-quantised autoencoder of cell crops with content masks.

After van den Oord, Vinyals and Kavukcuoglu, "Neural Discrete Representation Learning" (NeurIPS 2017): a strided
convolutional encoder, the nearest code at every position, a decoder. Different here, each a hyperparameter: the
first stride, residual blocks, self-attention at the resolution of the codes, skip connections from the encoder to
the decoder, a perceptual loss, and a reconstruction loss that weighs the cell more than its surroundings. Only
positions with content have a code; at the others the decoder gets zeros, so that padding costs no information.

Skip connections can carry all that the decoder needs, and nothing in the loss charges for them. So a share of the
training batches (`skip_drop`) goes without, and the score is that of the decoder without skips, from the codes alone;
PSNR, SSIM and pictures are of the decoder with them. `features` hands the encoder's features on as they are, as the
fix notes have it; `details` only what the codes' grid cannot hold: the features less their mean over each position
of it.

Shapes: B samples, C channels, S × S pixels, D dimensions of a code, H × W positions of codes, P = H·W.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.data.cells import CellReader as READER
from trainables.data.crops import CLIPPED, FLOOR, PADDING, PERCENTILES
from trainables.diagnostics import Decodes
from trainables.losses.perceptual import Perceptual
from trainables.nets.blocks import ACTIVATIONS, NORM_GROUPS, SelfAttention
from trainables.nets.codebook import NO_CODE, Codebook, Quantised
from trainables.schedules import Progress
from trainables.vae import Batch, VqVae

__all__ = ["READER", "Model", "Outputs", "quadratic_form", "term_weights"]

FIRST_KERNEL = 5
SECOND_STRIDE = 2
PSNR_CEILING = 100.0  # dB, of a prediction without error
PANEL_WHITE = 1.5  # in the fixed space


@dataclass(frozen=True)
class Outputs:
    """One pass over a batch."""

    codes: Tensor  # (B, P) int64, row-major positions; −1 where there is no content
    quantised: Quantised
    skips: Tensor | None  # (B, width, ⌈S / first stride⌉, ⌈S / first stride⌉): what bypasses the codes, if anything
    prediction: Tensor  # (B, C, S, S), in the space the trial trains in
    target: Tensor  # (B, C, S, S), there too
    x: Tensor  # (B, C + 1, S, S): the sample


class Scale(NamedTuple):
    """How the intensities of each sample and channel are scaled: (x − shift) / unit."""

    shift: Tensor  # (B, C, 1, 1)
    unit: Tensor  # (B, C, 1, 1)

    def apply(self, intensities_BCHW: Tensor) -> Tensor:
        """Scaled."""
        return (intensities_BCHW - self.shift) / self.unit

    def undo(self, scaled_BCHW: Tensor) -> Tensor:
        """Back to intensities."""
        return scaled_BCHW * self.unit + self.shift


def content_scale(x_BXHW: Tensor, method: str) -> Scale:
    """The scale of every sample and channel by its content.

    `robust` puts the 5th percentile at 0 and the 95th at 1, `minmax` the smallest and the largest value, `zscore`
    the mean at 0 and a standard deviation to 1. As in `data.crops.robust_scaled`, the unit has a floor for channels
    without contrast.
    """
    values_BCHW, content_B1HW = x_BXHW[:, :-1].float(), x_BXHW[:, -1:] > 0
    if method == "zscore":
        count = content_B1HW.sum(dim=(2, 3), keepdim=True)
        shift = (values_BCHW * content_B1HW).sum(dim=(2, 3), keepdim=True) / count
        squares = ((values_BCHW - shift).square() * content_B1HW).sum(dim=(2, 3), keepdim=True)
        unit, largest = (squares / count).sqrt(), shift.abs()
    else:
        shift, high = _percentiles(values_BCHW, content_B1HW, PERCENTILES if method == "robust" else (0, 100))
        unit, largest = high - shift, torch.maximum(shift.abs(), high.abs())
    return Scale(shift, torch.maximum(unit, FLOOR * largest.clamp(min=1.0)))


def _percentiles(values_BCHW: Tensor, content_B1HW: Tensor, percentiles: tuple[int, ...]) -> list[Tensor]:
    """Of the content, interpolated linearly; (B, C, 1, 1) each. `torch.quantile` knows no mask."""
    ordered_BCN = values_BCHW.masked_fill(~content_B1HW, torch.inf).flatten(2).sort(dim=2).values
    last_BC1 = (content_B1HW.sum(dim=(2, 3)).expand(ordered_BCN.shape[:2]) - 1)[:, :, None]
    found = []
    for percentile in percentiles:
        place = last_BC1 * (percentile / 100)
        low, high = (ordered_BCN.gather(2, index.long()) for index in (place.floor(), place.ceil()))
        found.append(torch.lerp(low, high, place.frac())[..., None])
    return found


class Block(nn.Module):
    """Two 3 × 3 convolutions, each after group norm and activation; `residual` adds the input."""

    def __init__(self, channels: int, residual: bool, activation: str) -> None:
        super().__init__()
        self.residual = residual
        self.layers = nn.Sequential(*(norm_conv(channels, channels, 3, activation) for _ in range(2)))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        return x_BCHW + self.layers(x_BCHW) if self.residual else self.layers(x_BCHW)


def norm_conv(inputs: int, outputs: int, kernel: int, activation: str) -> nn.Sequential:
    """Group norm, activation and a convolution that keeps the side."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    return nn.Sequential(nn.GroupNorm(NORM_GROUPS, inputs), ACTIVATIONS[activation](), convolution)


def attention(channels: int, used: bool) -> nn.Module:
    """Self-attention, or nothing."""
    return SelfAttention(channels) if used else nn.Identity()


class Encoder(nn.Module):
    """(B, C, S, S) → encodings (B, D, H, W), and the features between the two strides."""

    def __init__(self, config: Mapping[str, Any], channels: int) -> None:
        super().__init__()
        width, residual, activation = config["width"], config["residual"], config["activation"]
        self.fine = nn.Sequential(
            nn.Conv2d(channels, width, FIRST_KERNEL, stride=config["stride_first"], padding=FIRST_KERNEL // 2),
            Block(width, residual, activation),
        )
        self.coarse = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, stride=SECOND_STRIDE, padding=1),
            Block(2 * width, residual, activation),
            attention(2 * width, config["attention"]),
            norm_conv(2 * width, config["embedding_dim"], 1, activation),
        )

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Encodings and features."""
        fine = self.fine(x_BCHW)
        return self.coarse(fine), fine


class Decoder(nn.Module):
    """(B, D, H, W) and what bypasses the codes → (B, C, S, S).

    The last step writes the first stride's square of pixels from each position (Shi et al. 2016).
    """

    def __init__(self, config: Mapping[str, Any], channels: int, side: int, fine_side: int) -> None:
        super().__init__()
        width, residual, activation = config["width"], config["residual"], config["activation"]
        self.side, self.fine_side, self.stride = side, fine_side, config["stride_first"]
        self.coarse = nn.Sequential(
            nn.Conv2d(config["embedding_dim"], 2 * width, 1),
            attention(2 * width, config["attention"]),
            Block(2 * width, residual, activation),
        )
        self.up = nn.Conv2d(2 * width, width, 3, padding=1)
        self.skip = nn.Conv2d(width, width, 1) if config["skip_connections"] != "none" else None
        self.fine = Block(width, residual, activation)
        self.image = norm_conv(width, channels * self.stride**2, 3, activation)

    def forward(self, embedded_BDHW: Tensor, skips_BCHW: Tensor | None) -> Tensor:
        """The image; without skips from the codes alone."""
        hidden = self.up(resized(self.coarse(embedded_BDHW), self.fine_side))
        if self.skip is not None and skips_BCHW is not None:
            hidden = hidden + self.skip(skips_BCHW)
        image = F.pixel_shuffle(self.image(self.fine(hidden)), self.stride)
        return image[:, :, : self.side, : self.side].float()


def resized(x_BCHW: Tensor, side: int) -> Tensor:
    """Bilinear interpolation to (B, C, side, side)."""
    return F.interpolate(x_BCHW, size=(side, side), mode="bilinear", align_corners=False)


def details(features_BCHW: Tensor, grid: tuple[int, int]) -> Tensor:
    """The features less their mean over each position of the grid, interpolated."""
    return features_BCHW - resized(F.adaptive_avg_pool2d(features_BCHW, grid), features_BCHW.shape[-1])


SKIPS = {"none": lambda features, grid: None, "features": lambda features, grid: features, "details": details}


class Model(VqVae):
    """The autoencoder; it needs no `statistics`."""

    def __init__(
        self, config: Mapping[str, Any], shape: tuple[int, ...], statistics: Mapping[str, np.ndarray]
    ) -> None:
        super().__init__(config, shape, statistics)
        self.codes = config["num_embeddings"]
        channels, side = shape[0] - 1, shape[1]
        fine_side = -(-side // config["stride_first"])
        self.grid = (-(-fine_side // SECOND_STRIDE),) * 2
        self.encoder = Encoder(config, channels)
        self.decoder = Decoder(config, channels, side, fine_side)
        self.codebook = Codebook(
            config["num_embeddings"],
            config["embedding_dim"],
            ema=config["ema"],
            decay=config["ema_decay"],
            reset=config["reset_dead_codes"],
            init=config["codebook_init"],
        )
        self.perceptual = Perceptual(config["perceptual_weights"]) if config["perceptual_loss_weight"] > 0 else None
        self.notes = (self.perceptual.note,) if self.perceptual else ()

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> Outputs:
        """Encode, quantise, decode; in training this updates the codebook."""
        target = self._target(batch.x)
        encoded, features = self.encoder(target)
        quantised = self.codebook(encoded, self._coded(batch.x))
        skips = SKIPS[self.config["skip_connections"]](features, self.grid)
        if self.training and float(torch.rand(())) < self.config["skip_drop"]:
            skips = None
        prediction = self.decoder(quantised.straight_through_BDHW, skips)
        return Outputs(quantised.codes_BP, quantised, skips, prediction, target, batch.x)

    def quantise(self, x_BXHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The codes' vectors (B, D, H, W), the codes (B, P), −1 where there is no content, and the commitment."""
        quantised = self.codebook(self.encoder(self._target(x_BXHW))[0], self._coded(x_BXHW))
        return quantised.straight_through_BDHW, quantised.codes_BP, quantised.commitment()

    def decode(self, embedded_BDHW: Tensor, skips_BCHW: Tensor | None = None) -> Tensor:
        """The prediction (B, C, S, S) in the space the trial trains in; without skips from the codes alone."""
        return self.decoder(embedded_BDHW, skips_BCHW)

    def decode_codes(self, codes_BP: Tensor, skips_BCHW: Tensor | None = None) -> Tensor:
        """The same from the codes, (B, P)."""
        return self.decode(self.codebook.embed(codes_BP, self.grid), skips_BCHW)

    def terms(self, outputs: Outputs) -> dict[str, Tensor]:
        """The unweighted terms of the loss, scalars.

        reconstruction: squared error, weighted by content; a mean, or with reduction `sum` a sum over the batch.
        commitment, and without moving averages codebook: see `Quantised`. perceptual, where it has a weight: on the
        content, in robust scale.
        """
        terms = {"reconstruction": self._reconstruction(outputs), "commitment": outputs.quantised.commitment()}
        if not self.config["ema"]:
            terms["codebook"] = outputs.quantised.codebook()
        if self.perceptual is not None:
            cell, prediction = self.content(outputs.x), self._robust(outputs.prediction, outputs.x)
            with torch.autocast(cell.device.type, enabled=False):
                terms["perceptual"] = self.perceptual(prediction * cell, self.fixed_target(outputs.x))
        return terms

    def to_fixed(self, prediction_BCHW: Tensor, x_BXHW: Tensor) -> Tensor:
        """A prediction in robust scale, clipped as the target is, 0 outside of the content.

        Every normalisation is given the scale of the target's content by what it trains on, and the offset more or
        less exactly; here all are given the mean of the content exactly.
        """
        content = self.content(x_BXHW)
        scaled = self._robust(prediction_BCHW, x_BXHW)
        count = content.sum(dim=(2, 3), keepdim=True).clamp(min=1)
        offset = ((self.fixed_target(x_BXHW) - scaled) * content).sum(dim=(2, 3), keepdim=True) / count
        return (scaled + offset).clamp(*CLIPPED) * content

    def fixed_target(self, x_BXHW: Tensor) -> Tensor:
        """The target in robust scale, 0 outside of the content."""
        return content_scale(x_BXHW, "robust").apply(x_BXHW[:, :-1]).clamp(*CLIPPED) * self.content(x_BXHW)

    def content(self, x_BXHW: Tensor) -> Tensor:
        """1 on the cell, 0 on background and padding, (B, 1, S, S)."""
        return (x_BXHW[:, -1:] > 0).float()

    def training_counts(self) -> Tensor:
        """How often each code was used in the last steps of training, (K,)."""
        return self.codebook.counts_K

    @property
    def codebook_ready(self) -> bool:
        """True once dead codes had time to be reset and to be used again."""
        return self.codebook.ready

    def decodes(self, outputs: Outputs, draws: int, generator: torch.Generator | None) -> Decodes:
        """Without skips: from the codes, from those of another sample of the batch, and without codes. With skips:
        the reconstruction."""
        alone = outputs.prediction if outputs.skips is None else self.decode_codes(outputs.codes)
        return Decodes(
            samples=[alone],
            zero=self.decode_codes(torch.full_like(outputs.codes, NO_CODE)),
            swapped=self.decode_codes(swapped_codes(outputs.codes)),
            reconstruction=outputs.prediction,
        )

    def measures(self, outputs: Outputs, prediction_BCHW: Tensor, target_BCHW: Tensor) -> dict[str, Tensor]:
        """Peak signal-to-noise ratio (dB, of 1), structural similarity and correlation of the content, means over
        samples; vq_loss: the codes' part of the loss, commitment by its weight and without moving averages the
        codebook's term; quantisation_error: see `Quantised.relative_error`, mean over batches."""
        vq_loss = self.config["commitment_cost"] * outputs.quantised.commitment()
        if not self.config["ema"]:
            vq_loss = vq_loss + outputs.quantised.codebook()
        cell = self.content(outputs.x).expand_as(target_BCHW)
        with torch.autocast(cell.device.type, enabled=False):
            return {
                "val/psnr": psnr(prediction_BCHW, target_BCHW, cell).mean(),
                "val/ssim": ssim(prediction_BCHW, target_BCHW, cell).mean(),
                "val/pearson": pearson(prediction_BCHW, target_BCHW, cell).mean(),
                "val/vq_loss": vq_loss,
                "val/quantisation_error": outputs.quantised.relative_error(),
            }

    def panel(self, target_BCHW: Tensor, prediction_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Both as images (B, S, S, 3): one channel in grey, more as red, green and blue."""
        return picture(target_BCHW), picture(prediction_BCHW)

    def _target(self, x_BXHW: Tensor) -> Tensor:
        method, intensities = self.config["normalize_method"], x_BXHW[:, :-1]
        if self.config["padding"] == "zeros":
            intensities = intensities * (x_BXHW[:, -1:] != PADDING)
        target = content_scale(x_BXHW, method).apply(intensities)
        return target.clamp(*CLIPPED) if method == "robust" else target

    def _coded(self, x_BXHW: Tensor) -> Tensor:
        """Which positions have content, (B, P)."""
        return F.adaptive_max_pool2d(x_BXHW[:, -1:], self.grid).flatten(1) > 0

    def _robust(self, prediction_BCHW: Tensor, x_BXHW: Tensor) -> Tensor:
        """A prediction of the training space in robust scale."""
        method = self.config["normalize_method"]
        if method == "robust":
            return prediction_BCHW
        intensities = content_scale(x_BXHW, method).undo(prediction_BCHW)
        return content_scale(x_BXHW, "robust").apply(intensities)

    def _reconstruction(self, outputs: Outputs) -> Tensor:
        weight = 1.0 + (self.config["content_weight"] - 1.0) * self.content(outputs.x).expand_as(outputs.target)
        mean = (weight * (outputs.prediction - outputs.target).square()).sum() / weight.sum()
        return mean * outputs.target.numel() if self.config["reduction"] == "sum" else mean


def swapped_codes(codes_BP: Tensor) -> Tensor:
    """Every sample's coded positions with codes of the next sample: of the same position, where it has none the next
    of those that it has. A single sample gets its own in reverse order."""
    others_BP = codes_BP.roll(-1, dims=0) if len(codes_BP) > 1 else codes_BP.flip(1)
    coded_BP = others_BP != NO_CODE
    place_BP = torch.arange(codes_BP.shape[1], device=codes_BP.device) % coded_BP.sum(dim=1, keepdim=True).clamp(
        min=1
    )
    first_BP = (~coded_BP).long().argsort(dim=1, stable=True)  # coded positions first
    filled_BP = torch.where(coded_BP, others_BP, others_BP.gather(1, first_BP.gather(1, place_BP)))
    return torch.where(codes_BP == NO_CODE, NO_CODE, filled_BP)


def picture(x_BCHW: Tensor) -> Tensor:
    """The fixed space as colours, (B, H, W, 3)."""
    x_BHWC = (x_BCHW / PANEL_WHITE).clamp(0, 1).permute(0, 2, 3, 1)
    channels = x_BHWC.shape[-1]
    return x_BHWC.expand(-1, -1, -1, 3) if channels == 1 else F.pad(x_BHWC, (0, max(0, 3 - channels)))[..., :3]


def psnr(prediction_BCHW: Tensor, target_BCHW: Tensor, content_BCHW: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of the content in dB, peak 1, (B,); both are 0 elsewhere. At most 100."""
    from torchmetrics.functional.image import peak_signal_noise_ratio

    everywhere = peak_signal_noise_ratio(
        prediction_BCHW, target_BCHW, data_range=1.0, dim=(1, 2, 3), reduction="none"
    )
    share = content_BCHW.float().mean(dim=(1, 2, 3))
    return (everywhere + 10.0 * share.log10()).clamp(max=PSNR_CEILING)


def ssim(prediction_BCHW: Tensor, target_BCHW: Tensor, content_BCHW: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004, for a data range of 1), mean over windows centred on content, (B,)."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    _, windows = structural_similarity_index_measure(
        prediction_BCHW, target_BCHW, data_range=1.0, return_full_image=True
    )
    return (windows * content_BCHW).sum(dim=(1, 2, 3)) / content_BCHW.sum(dim=(1, 2, 3))


def pearson(prediction_BCHW: Tensor, target_BCHW: Tensor, content_BCHW: Tensor) -> Tensor:
    """Correlation of the content, (B,); 0 where either is constant. torchmetrics has neither masks nor that 0."""
    count = content_BCHW.sum(dim=(1, 2, 3), keepdim=True)
    first, second = (
        (x - (x * content_BCHW).sum(dim=(1, 2, 3), keepdim=True) / count) * content_BCHW
        for x in (prediction_BCHW, target_BCHW)
    )
    covariance, *variances = ((a * b).sum(dim=(1, 2, 3)) for a, b in ((first, second), (first,) * 2, (second,) * 2))
    return covariance / (variances[0] * variances[1]).sqrt().clamp(min=1e-12)


def term_weights(config: Mapping[str, Any], at: Progress) -> dict[str, float]:
    """The weight of every term of the loss, the same throughout."""
    return {
        "reconstruction": config["reconstruction_loss_weight"],
        "commitment": config["commitment_cost"],
        "codebook": 1.0,
        "perceptual": config["perceptual_loss_weight"],
    }


def quadratic_form(config: Mapping[str, Any], x_NXHW: np.ndarray, statistics: Mapping[str, np.ndarray]) -> None:
    """No forecast: there is no KL."""
