"""What the fix notes look for in reconstructed fundus photographs, measured: colours that match, vessels that show.

The optic disc, which they name too, has no measure of its own: finding it needs labels or a guess. It is part of the
colour difference and of SSIM. Shapes: B samples, 3 colours (red, green, blue in [0, 1]), S × S pixels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

GREEN = 1  # channel in which vessels show best
BLACK = 10 / 255  # around the field of view no colour exceeds this
VESSEL_WIDTHS = (
    1 / 224,
    2 / 224,
    3 / 224,
)  # standard deviations of the filters, shares of the side; 1 pixel at least
REACH = 3  # standard deviations that a filter extends to
SRGB_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
WHITE = (0.95047, 1.0, 1.08883)  # XYZ of D65
LAB_LINEAR = 6 / 29  # below its cube, CIELAB is linear


def colour_difference(prediction_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
    """Mean CIE 1976 ΔE over the target's field of view, (B,): 2.3 is just noticeable, black to white is 100."""
    distance_BHW = (lab(prediction_B3HW) - lab(target_B3HW)).norm(dim=1)
    field_BHW = field_of_view(target_B3HW)
    return (distance_BHW * field_BHW).sum(dim=(1, 2)) / field_BHW.sum(dim=(1, 2)).clamp(min=1)


def vessel_correlation(prediction_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
    """Correlation of where prediction and target have dark lines, (B,): of `darkness_of_lines` of the green channel.

    Over the field of view but its margin, where its border is a line too. Neither brightness nor contrast matters; 0
    where one of the two has no lines. It sees every thin dark line, vessel or not.
    """
    widths = sorted({max(1.0, share * target_B3HW.shape[-1]) for share in VESSEL_WIDTHS})
    first, second = (darkness_of_lines(x[:, GREEN], widths) for x in (prediction_B3HW, target_B3HW))
    inner = eroded(field_of_view(target_B3HW), math.ceil(REACH * widths[-1]))
    count = inner.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    first, second = ((x - (x * inner).sum(dim=(1, 2), keepdim=True) / count) * inner for x in (first, second))
    covariance, *powers = ((a * b).sum(dim=(1, 2)) for a, b in ((first, second), (first, first), (second, second)))
    return covariance / (powers[0] * powers[1]).sqrt().clamp(min=1e-12)


def field_of_view(images_B3HW: Tensor) -> Tensor:
    """Where the image is not black, (B, H, W), 0 or 1."""
    return (images_B3HW.amax(dim=1) > BLACK).float()


def eroded(mask_BHW: Tensor, margin: int) -> Tensor:
    """The mask without what lies less than `margin` pixels from its outside; the image's border is no outside."""
    return 1.0 - F.max_pool2d(1.0 - mask_BHW[:, None], 2 * margin + 1, stride=1, padding=margin)[:, 0]


def darkness_of_lines(images_BHW: Tensor, widths: list[float]) -> Tensor:
    """How strongly each pixel lies on a dark line, (B, H, W): the largest over the scales.

    At a scale σ it is σ² · λ, λ the larger eigenvalue of the Hessian after a Gaussian of that standard deviation, 0
    where it is negative (Frangi et al. 1998 judge vessels by the same eigenvalues).
    """
    return torch.stack([_line_response(images_BHW, width) for width in widths]).amax(dim=0)


def lab(images_B3HW: Tensor) -> Tensor:
    """CIELAB of sRGB images, (B, 3, H, W): lightness 0 … 100, and the two opponent colours (D65)."""
    rgb = images_B3HW.clamp(0, 1)
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = torch.einsum("ij,bjhw->bihw", linear.new_tensor(SRGB_TO_XYZ), linear)
    xyz = xyz / linear.new_tensor(WHITE)[:, None, None]
    f = torch.where(xyz > LAB_LINEAR**3, xyz.clamp(min=LAB_LINEAR**3) ** (1 / 3), xyz / (3 * LAB_LINEAR**2) + 4 / 29)
    x, y, z = f.unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def _line_response(images_BHW: Tensor, width: float) -> Tensor:
    offsets = torch.arange(-math.ceil(REACH * width), math.ceil(REACH * width) + 1).double()
    smooth = torch.exp(-offsets.square() / (2 * width**2))
    smooth = smooth / smooth.sum()
    slope = -offsets / width**2 * smooth
    bend = (offsets.square() / width**2 - 1) / width**2 * smooth
    bend = bend - bend.mean()  # a flat image has no lines
    smooth, slope, bend = (_matrix(kernel, images_BHW) for kernel in (smooth, slope, bend))
    down, across, both = bend @ images_BHW @ smooth.T, smooth @ images_BHW @ bend.T, slope @ images_BHW @ slope.T
    larger = (down + across) / 2 + ((down - across).square() / 4 + both.square()).sqrt()
    return width**2 * larger.clamp(min=0)


def _matrix(kernel: Tensor, images_BHW: Tensor) -> Tensor:
    """The kernel along an axis of these square images as a matrix (S, S), reflected at the border.

    On a CPU a matrix product takes a tenth of the time of the convolution.
    """
    side, reach = images_BHW.shape[-1], len(kernel) // 2
    unit = torch.eye(side, dtype=kernel.dtype)[:, None]
    return F.conv1d(F.pad(unit, (reach, reach), mode="reflect"), kernel[None, None])[:, 0].T.to(images_BHW)
