"""Blocks: shapes, the identity that attention starts as, initial scales, and which upsampling leaves a grid."""

import math

import pytest
import torch
from torch import nn

from trainables.nets.blocks import ACTIVATIONS, DownBlock, SelfAttention, UpBlock, kaiming, near_zero


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("skip_batch_norm", [True, False])
def test_down_halves_the_side(skip_batch_norm):
    x = torch.randn(2, 3, 16, 32)
    assert DownBlock(3, 5, skip_batch_norm=skip_batch_norm)(x).shape == (2, 5, 8, 16)


@pytest.mark.parametrize("mode", ["resize", "transposed"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_up_doubles_the_side(mode, depth):
    block = UpBlock(3, 5, mode, depth, "leaky_relu")
    assert block(torch.randn(2, 3, 8, 4)).shape == (2, 5, 16, 8)
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    assert sum(isinstance(layer, kinds) for layer in block.main) == depth
    assert any(isinstance(layer, nn.ConvTranspose2d) for layer in block.main) == (mode == "transposed")


@pytest.mark.parametrize("block", [DownBlock, UpBlock])
def test_batch_norm_on_the_skip_takes_its_scale_away(block):
    x = torch.randn(32, 4, 16, 16)
    spreads = {}
    for batch_norm in (True, False):
        torch.manual_seed(0)
        skip = block(4, 4, skip_batch_norm=batch_norm).skip
        spreads[batch_norm] = [float(skip(scale * x).detach().std()) for scale in (1.0, 100.0)]
    assert spreads[True][1] == pytest.approx(spreads[True][0], rel=1e-3)
    assert spreads[False][1] > 50 * spreads[False][0]


def test_attention_starts_as_the_identity_and_learns():
    attention, x = SelfAttention(16), torch.randn(2, 16, 4, 4)
    assert torch.equal(attention(x), x)
    attention(x).square().sum().backward()
    assert attention.projection.weight.grad.abs().sum() > 0


def test_attention_by_hand():
    attention, x = SelfAttention(8), torch.randn(2, 8, 3, 3)
    nn.init.normal_(attention.projection.weight)
    query, key, value = attention.query_key_value(attention.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=2)
    weights = (query @ key.transpose(1, 2) / math.sqrt(8)).softmax(dim=2)
    attended = (weights @ value).transpose(1, 2).reshape(2, 8, 3, 3)
    torch.testing.assert_close(attention(x), x + attention.projection(attended), atol=1e-5, rtol=1e-5)


def test_attention_sees_every_position():
    attention, x = SelfAttention(8), torch.randn(1, 8, 4, 4, requires_grad=True)
    nn.init.normal_(attention.projection.weight)
    attention(x)[0, :, 0, 0].sum().backward()
    assert (x.grad.abs().sum(dim=1) > 0).all()


def test_kaiming_scales_by_outputs():
    """Of unit inputs, a layer from 512 to 16 channels makes values of standard deviation √(2 · 512 / 16) = 8."""
    layer = nn.Conv2d(512, 16, 1)
    kaiming(layer)
    assert float(layer(torch.randn(8, 512, 8, 8)).detach().std()) == pytest.approx(8.0, rel=0.1)
    assert not layer.bias.any()


def test_near_zero_heads_start_near_zero():
    """Uniform up to 0.01 · √(6 / (512 + 8)): of unit inputs, a standard deviation of 0.01 · √(2 · 512 / 520)."""
    layer = nn.Conv2d(512, 8, 1)
    near_zero(layer)
    assert float(layer.weight.detach().abs().max()) <= 0.01 * math.sqrt(6 / 520)
    values = layer(torch.randn(64, 512, 8, 8))
    assert float(values.detach().std()) == pytest.approx(0.01 * math.sqrt(1024 / 520), rel=0.1)


def test_leaky_activation_keeps_a_fifth():
    assert ACTIVATIONS["leaky_relu"]()(torch.tensor([-1.0, 2.0])).tolist() == pytest.approx([-0.2, 2.0])


@pytest.mark.parametrize(("mode", "grid"), [("resize", False), ("transposed", True)])
def test_transposed_convolution_paints_a_grid_on_a_flat_map(mode, grid):
    """Away from the border a constant map stays constant under resizing, and gets a period of 2 pixels otherwise."""
    block = UpBlock(4, 4, mode).eval()
    inner = block(torch.ones(1, 4, 16, 16))[0, :, 6:-6, 6:-6].detach()
    shifted = inner - inner.roll(2, dims=2)
    assert float(shifted.abs().max()) < 1e-5
    assert (float(inner.diff(dim=2).abs().max()) > 1e-2) == grid
