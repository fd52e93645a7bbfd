"""Networks, measures and pictures of volumes."""

import pytest
import torch
import torch.nn.functional as F

from trainables.nets.volumes import (
    GRIDS,
    CoordinateGrid,
    Decoder,
    Encoder,
    PretrainedDecoder,
    channels,
    coordinates,
    panel,
    sides,
    similarity,
    ssim,
)

SHAPES = [(4, 16, 16, 16), (1, 32, 32, 32), (2, 64, 64, 64)]
SHAPE, LATENT, WIDTH = (2, 16, 16, 16), 6, 16


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_resolutions_and_widths_at_128():
    assert sides(128) == [8, 16, 32, 64, 128]
    assert [channels(128, side) for side in [4, *sides(128)]] == [128, 128, 64, 32, 16, 8]
    assert channels(32, 128) == 8


@pytest.mark.parametrize("shape", SHAPES)
def test_the_encoder_halves_the_volume_down_to_the_head(shape):
    encoder = Encoder(shape, LATENT, 16)
    assert encoder.body(noise(1, *shape)).shape == (1, 16, 4, 4, 4)
    mu, logvar = encoder(noise(3, *shape))
    assert mu.shape == logvar.shape == (3, LATENT)
    assert mu.std() > 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", GRIDS)
def test_every_decoder_reads_every_dimension_and_trains_every_weight(kind, shape):
    torch.manual_seed(0)
    decoder = Decoder(kind, shape, LATENT, WIDTH)
    z = noise(2, LATENT).requires_grad_()
    volume = decoder(z)
    assert volume.shape == (2, *shape)
    assert volume.dtype == torch.float32
    volume.square().sum().backward()
    assert (z.grad.abs() > 0).all()
    assert [name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert not torch.equal(volume[0], volume[1])


def test_coordinates_follow_the_axes():
    (grid,) = coordinates(8)
    axis = torch.linspace(-1, 1, 8)
    for index, position in enumerate(((3, 0, 0), (0, 3, 0), (0, 0, 3))):
        expected = torch.full((3,), -1.0)
        expected[index] = axis[3]
        assert torch.equal(grid[(slice(None), *position)], expected)
    assert grid[:, -1, -1, -1].tolist() == [1, 1, 1]


def test_broadcasting_is_a_pointwise_convolution_of_z_beside_coordinates():
    grid = GRIDS["sbd"](LATENT, WIDTH)
    z = noise(2, LATENT)
    beside = torch.cat(
        [z[:, :, None, None, None].expand(-1, -1, 8, 8, 8), coordinates(8).expand(2, -1, -1, -1, -1)], dim=1
    )
    weight = torch.cat([grid.latent.weight[:, :, None, None, None], grid.positions.conv.weight], dim=1)
    torch.testing.assert_close(grid(z), F.conv3d(beside, weight, grid.latent.bias + grid.positions.conv.bias))


def test_film_modulates_what_coordinates_alone_give():
    decoder = Decoder("film", SHAPE, LATENT, WIDTH)
    assert isinstance(decoder.grid, CoordinateGrid)
    assert all(block.film is not None for block in decoder.blocks)
    grid = decoder.grid(noise(2, LATENT))
    assert torch.equal(grid[0], grid[1])
    for block in decoder.blocks:
        torch.nn.init.zeros_(block.film.weight)
        torch.nn.init.zeros_(block.film.bias)
    first, second = decoder(noise(2, LATENT))
    assert torch.equal(first, second)


def test_networks_run_in_channels_last():
    last = torch.channels_last_3d
    encoder, decoder = Encoder(SHAPE, LATENT, WIDTH), Decoder("sbd", SHAPE, LATENT, WIDTH)
    hidden = encoder.body(noise(2, *SHAPE).contiguous(memory_format=last))
    assert hidden.is_contiguous(memory_format=last)
    assert decoder.blocks[-1].conv.weight.is_contiguous(memory_format=last)


def used(decoder, z):
    """Which decoder the volume comes from."""
    volume = decoder(z)
    return [name for name, part in decoder.decoders.items() if torch.equal(part(z), volume)]


def test_the_plain_decoder_is_trained_first_and_evaluated_until_the_other_has_been_trained():
    torch.manual_seed(0)
    decoder, z = PretrainedDecoder("sbd", 0.4, SHAPE, LATENT, WIDTH), noise(2, LATENT)
    seen = []
    for epoch in range(5):
        decoder.share = epoch / 5
        trained = used(decoder.train(), z)
        decoder.share = (epoch + 1) / 5
        seen.append((trained, used(decoder.eval(), z)))
    assert seen == [(["conv"], ["conv"])] * 2 + [(["sbd"], ["sbd"])] * 3


def test_a_checkpoint_knows_which_decoder_was_trained_last():
    decoder, z = PretrainedDecoder("sbd", 0.4, SHAPE, LATENT, WIDTH), noise(2, LATENT)
    again = PretrainedDecoder("sbd", 0.4, SHAPE, LATENT, WIDTH)
    for share in (0.2, 0.8):
        decoder.share = share
        expected = decoder.train()(z)
        again.load_state_dict(decoder.state_dict())
        assert torch.equal(again.eval()(z), expected)


@pytest.mark.parametrize(("kind", "pretrain", "kinds"), [("sbd", 0.0, ["sbd"]), ("conv", 0.3, ["conv"])])
def test_no_second_decoder_where_none_is_needed(kind, pretrain, kinds):
    decoder, z = PretrainedDecoder(kind, pretrain, SHAPE, LATENT, WIDTH), noise(2, LATENT)
    assert list(decoder.decoders) == kinds
    for share in (0.0, 0.9):
        decoder.share = share
        assert used(decoder.train(), z) == used(decoder.eval(), z) == kinds


@pytest.mark.parametrize("side", [16, 32])
def test_similarity_is_that_of_torchmetrics(side):
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    scale = torch.tensor([1.0, 5.0, 0.1]).view(3, 1, 1, 1)
    target = F.avg_pool3d(noise(2, 3, side + 2, side + 2, side + 2), 3, stride=1) * scale + scale
    prediction = target + 0.3 * scale * noise(2, 3, side, side, side, seed=1)
    found_ssim, found_psnr = similarity(prediction, target)
    for modality in range(3):
        lows = [target[b, modality].min() for b in range(2)]
        pairs = [
            (prediction[b, modality][None, None] - low, target[b, modality][None, None] - low)
            for b, low in enumerate(lows)
        ]
        ranges = [float(y.max() - y.min()) for _, y in pairs]
        expected_ssim, expected_psnr = (
            torch.stack([measure(*pair, data_range=each) for pair, each in zip(pairs, ranges, strict=True)]).mean()
            for measure in (structural_similarity_index_measure, peak_signal_noise_ratio)
        )
        assert found_ssim[modality].item() == pytest.approx(expected_ssim.item(), abs=1e-4)
        assert found_psnr[modality].item() == pytest.approx(expected_psnr.item(), abs=1e-3)


@pytest.mark.parametrize(("scale", "shift"), [(100.0, 0.0), (1.0, 5.0), (1.0, -5.0), (0.01, 3.0)])
def test_similarity_has_neither_units_nor_a_zero(scale, shift):
    target = noise(2, 2, 16, 16, 16)
    prediction = target + 0.2 * noise(2, 2, 16, 16, 16, seed=1)
    moved = similarity(scale * prediction + shift, scale * target + shift)
    for one, other in zip(similarity(prediction, target), moved, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ssim(target, target), torch.ones(2, 2), atol=1e-4, rtol=0)
    assert similarity(prediction, target)[0].max() < 0.99


def test_an_empty_target_keeps_the_measures_finite():
    empty = torch.zeros(1, 1, 16, 16, 16)
    assert all(torch.isfinite(measure).all() for measure in similarity(empty + 0.1, empty))


def test_the_panel_shows_the_middle_slice_of_every_modality_with_the_front_at_the_top():
    x = torch.zeros(1, 3, 16, 16, 16)
    x[0, 0, 2, 15, 8] = 1.0  # left and in front
    x[0, 1, 15, 0, 8] = 1.0  # right and behind
    x[0, 2, :, :, 7] = 1.0  # in another slice
    first, second = panel(x, x * 0.5)
    assert first.shape == second.shape == (1, 32, 32, 3)
    assert first[0, ..., 0].nonzero().tolist() == [[0, 2], [15, 31]]


def test_the_panel_shares_the_grey_scale_of_the_target():
    target = 100.0 + 50.0 * noise(2, 4, 16, 16, 16)
    shown, brighter = panel(target, target + 25.0)
    assert shown.min() == 0
    assert shown.max() == 1
    inside = (shown > 0) & (brighter < 1)
    assert (brighter[inside] - shown[inside]).min() > 0.05


@pytest.mark.parametrize("width", [8, 24, 40, 96])
def test_every_legal_width_builds(width):
    z = torch.zeros(1, 4)
    assert Decoder("sbd", (1, 32, 32, 32), 4, width)(z).shape == (1, 1, 32, 32, 32)
    assert Encoder((1, 32, 32, 32), 4, width)(torch.zeros(1, 1, 32, 32, 32))[0].shape == (1, 4)
