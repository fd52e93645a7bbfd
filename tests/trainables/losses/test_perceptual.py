"""The perceptual distance: its network, whoever trained it, and what it refuses."""

import numpy as np
import pytest
import torch
from torch import nn

from trainables.losses.perceptual import INDICES, Perceptual, features

CPU = torch.device("cpu")
VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")  # configuration D


def images(count=2, channels=1, side=32, seed=0) -> torch.Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def vgg16() -> nn.Sequential:
    """The convolutional part in torchvision's numbering."""
    layers, inputs = [], 3
    for outputs in VGG16:
        if outputs == "M":
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            inputs = outputs
    return nn.Sequential(*layers)


@pytest.fixture
def trained(tmp_path):
    """A VGG16 and the file of its weights."""
    torch.manual_seed(0)
    network = vgg16()
    state = {f"features.{name}": value for name, value in network.state_dict().items()}
    path = tmp_path / "vgg16.pth"
    torch.save({**state, "classifier.0.weight": torch.zeros(3, 3)}, path)
    yield network, str(path)
    features.cache_clear()


def test_features_of_a_file_are_those_of_vgg16(trained):
    network, path = trained
    x = images(channels=1)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    hidden, expected = (x.expand(-1, 3, -1, -1) - mean[:, None, None]) / std[:, None, None], {}
    with torch.no_grad():
        for index, layer in enumerate(network):
            hidden = layer(hidden)
            expected[index] = hidden
        found = features(path, CPU)(x)
    assert [each.shape[1] for each in found] == [64, 128, 256, 512]
    for each, index in zip(found, (3, 8, 15, 22), strict=True):  # relu1_2, relu2_2, relu3_3, relu4_3
        unit = expected[index] / expected[index].norm(dim=1, keepdim=True).clamp(min=1e-6)
        torch.testing.assert_close(each, unit, atol=1e-5, rtol=1e-4)


def test_the_distance_is_the_mean_over_scales(trained):
    _, path = trained
    first, second = images(seed=0), images(seed=1)
    with torch.no_grad():
        pairs = list(zip(features(path, CPU)(first), features(path, CPU)(second), strict=True))
    expected = np.mean([float((2 - 2 * (a * b).sum(dim=1)).mean()) for a, b in pairs])  # of unit vectors
    assert float(Perceptual(path)(first, second)) == pytest.approx(expected, rel=1e-4)


def test_a_distance_of_images():
    distance = Perceptual(None)
    x = images()
    assert float(distance(x, x)) == 0.0
    noise = images(seed=1) - 0.5
    values = [float(distance(x + scale * noise, x)) for scale in (0.05, 0.2, 0.8)]
    assert 0 < values[0] < values[1] < values[2] < 4
    assert float(distance(torch.zeros_like(x), torch.zeros_like(x))) == 0.0


def test_channels_are_seen_one_by_one():
    distance, first, second = Perceptual(None), images(channels=2, seed=0), images(channels=2, seed=1)
    single = [distance(first[:, [channel]], second[:, [channel]]) for channel in range(2)]
    assert float(distance(first, second)) == pytest.approx(float(sum(single)) / 2, rel=1e-5)


def test_only_the_prediction_gets_a_gradient():
    prediction, target = images().requires_grad_(), images(seed=1).requires_grad_()
    Perceptual(None)(prediction, target).backward()
    assert prediction.grad.abs().max() > 0
    assert torch.isfinite(prediction.grad).all()
    assert target.grad is None
    assert not any(parameter.requires_grad for parameter in features(None, CPU).parameters())


def test_an_image_without_contrast_has_a_finite_gradient():
    prediction = torch.zeros(1, 1, 32, 32, requires_grad=True)
    Perceptual(None)(prediction, images(1)).backward()
    assert torch.isfinite(prediction.grad).all()


def test_random_features_are_always_the_same_and_draw_nothing():
    first = [parameter.clone() for parameter in features(None, CPU).parameters()]
    features.cache_clear()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    second = list(features(None, CPU).parameters())
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert first[0].std() > 0


def test_the_note_tells_whose_features_they_are():
    assert "random features" in Perceptual(None).note
    assert "perceptual_weights" in Perceptual(None).note
    assert Perceptual("vgg.pth").note == "the perceptual loss sees the features of VGG16 with the weights of vgg.pth"


def refusal(path) -> str:
    with pytest.raises(ValueError, match="perceptual_weights=") as error:
        Perceptual(str(path))(images(), images())
    message = str(error.value)
    assert message.startswith(f"perceptual_weights={path}: ")
    assert message.endswith("expected the state dict of torchvision's vgg16, as torch.save writes it")
    return message


def test_what_is_refused(tmp_path):
    assert "cannot be opened (No such file" in refusal(tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("weights")
    assert "is not a file of tensors" in refusal(tmp_path / "text.pth")
    torch.save(nn.Conv2d(1, 1, 1), tmp_path / "module.pth")  # would have to be unpickled
    assert "is not a file of tensors" in refusal(tmp_path / "module.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    assert "is not a state dict" in refusal(tmp_path / "list.pth")
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "part.pth")
    assert "lacks features.0.bias, features.2.weight, features.2.bias, …" in refusal(tmp_path / "part.pth")
    wrong = {f"features.{index}.{kind}": torch.zeros(1) for index in INDICES for kind in ("weight", "bias")}
    torch.save(wrong, tmp_path / "wrong.pth")
    assert "features.0.weight has the shape (1,) instead of (64, 3, 3, 3)" in refusal(tmp_path / "wrong.pth")
