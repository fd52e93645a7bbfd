"""ResNets: torchvision's parameters and names, shapes, arithmetic; files of weights and their refusals."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from trainables.nets.resnet import LAYERS, Basic, Bottleneck, ResNet, load_weights


def count(network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "parameters", "tensors"),
    [("resnet18", 11_176_512, 120), ("resnet34", 21_284_672, 216), ("resnet50", 23_508_032, 318)],
)
def test_as_many_parameters_as_torchvision_s_without_the_classifier(name, parameters, tensors):
    network = ResNet(name)
    assert count(network) == parameters
    assert len(network.state_dict()) == tensors


def test_names_are_torchvision_s():
    state = ResNet("resnet50").state_dict()
    for name, shape in {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_var": (64,),
        "layer1.0.conv1.weight": (64, 64, 1, 1),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.downsample.1.bias": (256,),
        "layer2.0.conv2.weight": (128, 128, 3, 3),
        "layer3.5.bn3.num_batches_tracked": (),
        "layer4.2.conv3.weight": (2048, 512, 1, 1),
    }.items():
        assert tuple(state[name].shape) == shape
    assert {name.split(".")[0] for name in state} == {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}
    assert "layer1.0.downsample.0.weight" not in ResNet("resnet18").state_dict()  # the shape stays


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("side", [64, 96])
def test_features_and_maps(name, side):
    network = ResNet(name, 4).eval()
    maps = []
    network.layer4.register_forward_hook(lambda _module, _inputs, output: maps.append(output))
    features = network(torch.randn(2, 3, side, side))
    assert features.shape == (2, network.features)
    assert network.features == (128 if name == "resnet50" else 32)
    assert maps[0].shape == (2, network.features, side // 32, side // 32)
    torch.testing.assert_close(features, maps[0].mean(dim=(2, 3)))


def norm(x, bn):
    shape = (1, -1, 1, 1)
    scaled = (x - bn.running_mean.view(shape)) / (bn.running_var.view(shape) + bn.eps).sqrt()
    return scaled * bn.weight.view(shape) + bn.bias.view(shape)


def shaken(block):
    """With batch norms that do something."""
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.weight.data, module.bias.data):
                tensor.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return block.eval()


def test_a_bottleneck_by_hand():
    torch.manual_seed(0)
    block, x = shaken(Bottleneck(8, 4, 2)), torch.randn(2, 8, 6, 6)
    hidden = F.relu(norm(F.conv2d(x, block.conv1.weight), block.bn1))
    hidden = F.relu(norm(F.conv2d(hidden, block.conv2.weight, stride=2, padding=1), block.bn2))
    hidden = norm(F.conv2d(hidden, block.conv3.weight), block.bn3)
    skip = norm(F.conv2d(x, block.downsample[0].weight, stride=2), block.downsample[1])
    torch.testing.assert_close(block(x), F.relu(hidden + skip))


def test_a_basic_block_by_hand():
    torch.manual_seed(0)
    block, x = shaken(Basic(8, 8, 1)), torch.randn(2, 8, 6, 6)
    hidden = F.relu(norm(F.conv2d(x, block.conv1.weight, padding=1), block.bn1))
    hidden = norm(F.conv2d(hidden, block.conv2.weight, padding=1), block.bn2)
    torch.testing.assert_close(block(x), F.relu(hidden + x))


@pytest.fixture
def file(tmp_path):
    def write(state, name="weights.pth") -> str:
        torch.save(state, tmp_path / name)
        return str(tmp_path / name)

    return write


def test_weights_of_a_file_are_taken_up(file):
    theirs, ours = shaken(ResNet("resnet18", 4)), ResNet("resnet18", 4).eval()
    x = torch.randn(2, 3, 64, 64)
    assert not torch.equal(ours(x), theirs(x))
    classifier = {"fc.weight": torch.zeros(1000, 32), "fc.bias": torch.zeros(1000)}
    load_weights(ours, file(theirs.state_dict() | classifier))
    assert torch.equal(ours(x), theirs(x))


def test_old_files_do_not_count_batches(file):
    theirs, ours = shaken(ResNet("resnet18", 4)), ResNet("resnet18", 4)
    state = {name: value for name, value in theirs.state_dict().items() if not name.endswith("num_batches_tracked")}
    load_weights(ours, file(state))
    assert torch.equal(ours.layer4[1].bn2.running_var, theirs.layer4[1].bn2.running_var)


class Command:
    """What a file could hold that must not be unpickled."""

    ran = False

    def __reduce__(self):
        return setattr, (Command, "ran", True)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1.0, 2.0], "is not a state dict, tensors by name"),
        ({"state_dict": {"conv1.weight": torch.zeros(1)}, "epoch": 3}, "is not a state dict, tensors by name"),
        ({}, r"conv1\.weight is missing, bn1\.weight is missing, bn1\.bias is missing, and 97 more;"),
    ],
)
def test_files_of_something_else_are_refused(file, state, message):
    path = file(state)
    with pytest.raises(ValueError, match=message) as error:
        load_weights(ResNet("resnet18", 4), path)
    assert str(error.value).startswith(f"encoder_weights={path}: ")
    assert "expected the state dict of torchvision's resnet18, 4 channels after conv1" in str(error.value)


def test_files_that_run_code_are_refused(file):
    with pytest.raises(ValueError, match="is not a file of tensors"):
        load_weights(ResNet("resnet18", 4), file({"conv1.weight": Command()}))
    assert not Command.ran


def test_files_that_cannot_be_read_are_refused(tmp_path):
    network = ResNet("resnet18", 4)
    with pytest.raises(ValueError, match=r"encoder_weights=.*none\.pth: cannot be opened \(No such file"):
        load_weights(network, str(tmp_path / "none.pth"))
    for content in (b"", b"no weights at all", b"PK\x03\x04 a broken archive"):
        (tmp_path / "broken.pth").write_bytes(content)
        with pytest.raises(ValueError, match="is not a file of tensors"):
            load_weights(network, str(tmp_path / "broken.pth"))


def test_weights_of_another_network_are_refused(file):
    network = ResNet("resnet18", 4)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ValueError, match=r"conv1\.weight has the shape \(8, 3, 7, 7\) instead of \(4, 3, 7, 7\)"):
        load_weights(network, file(ResNet("resnet18", 8).state_dict()))
    with pytest.raises(ValueError, match=r"layer1\.2\.conv1\.weight is too much"):
        load_weights(network, file(ResNet("resnet34", 4).state_dict()))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
