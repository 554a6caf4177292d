"""RIPR's rivals of Table 3: counts, shapes, gradients; names and features as in torchvision and timm."""

from __future__ import annotations

import re

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision

from lib.evaluation.complexity import complexity
from lib.models.backbones import create_backbone
from lib.models.resnet import Normalise
from lib.training.weights import WeightsUnavailable, fill

OTHERS = ["densenet121", "densenet-narrow", "seresnet50", "seresnet18-half"]
NARROW = ["densenet-narrow", "seresnet18-half"]


def build(name: str, device: str = "cpu") -> torch.nn.Module:
    torch.manual_seed(0)
    with torch.device(device):
        return create_backbone(name)


def old_names(state: dict) -> dict:
    """As in torchvision's published files of DenseNets: ``norm.1``, and no counts of batches."""
    return {
        re.sub(r"(denselayer\d+\.(?:norm|relu|conv))([12])\.", r"\1.\2.", name): value
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }


@pytest.mark.parametrize(
    ("name", "parameters", "giga_macs"), [("densenet121", 6_953_856, 1.8502), ("seresnet50", 26_039_024, 2.6717)]
)
def test_published_networks_have_published_counts(name, parameters, giga_macs):
    cost = complexity(build(name, "meta"), (256, 128))
    assert cost.parameters == parameters
    assert cost.macs / 1e9 == pytest.approx(giga_macs, abs=5e-5)


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [("densenet-narrow", 586_404, 29_078_928), ("seresnet18-half", 2_823_472, 47_516_672)],
)
def test_narrow_networks_stay_small(name, parameters, macs):
    assert complexity(build(name, "meta"), (96, 48)) == (parameters, macs)


def test_narrow_stem_replaces_timms():
    """Channels 32 to 256, and no projection where the first stage keeps the stem's 32."""
    network = build("seresnet18-half", "meta")
    stages = (network.layer1, network.layer2, network.layer3, network.layer4)
    assert network.conv1.out_channels == network.bn1.num_features == 32
    assert [stage[-1].conv2.out_channels for stage in stages] == [32, 64, 128, 256]
    assert network.layer1[0].downsample is None
    assert all(block.se is not None for stage in stages for block in stage)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("size", [(256, 128), (96, 48), (29, 29), (71, 33), (160, 61)])
def test_shapes(name, size):
    """Residual networks round every halving up; DenseNet's three transitions round down."""
    network = build(name, "meta")

    def reduced(n: int) -> int:
        return -(-n // 4) // 8 if name.startswith("dense") else -(-n // 32)

    out = network(torch.empty(2, 3, *size, device="meta"))
    assert out.shape == (2, network.channels, reduced(size[0]), reduced(size[1]))
    assert network.name == name and isinstance(network.normalise, Normalise)


def test_channels():
    channels = {name: build(name, "meta").channels for name in OTHERS}
    assert channels == {"densenet121": 1024, "densenet-narrow": 258, "seresnet50": 2048, "seresnet18-half": 256}


def test_too_small_for_densenet():
    with pytest.raises(ValueError, match=r"at least 29 x 29, not \(64, 28\)"):
        build("densenet-narrow", "meta")(torch.empty(1, 3, 64, 28, device="meta"))


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("bf16", [False, True])
def test_gradient_reaches_every_parameter(name, bf16):
    network = build(name).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = network(torch.rand(4, 3, 64, 64))
    out.float().square().mean().backward()
    assert out.isfinite().all()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any(), parameter_name


@pytest.mark.parametrize(("name", "classifier"), [("densenet121", "classifier."), ("seresnet50", "fc.")])
def test_names_and_shapes_are_the_publishers(name, classifier):
    with torch.device("meta"):
        if name == "densenet121":
            theirs = torchvision.models.densenet121(weights=None)
        else:
            theirs = timm.create_model(name, pretrained=False)
    expected = {key: value.shape for key, value in theirs.state_dict().items() if not key.startswith(classifier)}
    ours = {key: value.shape for key, value in build(name, "meta").state_dict().items()}
    assert list(ours) == list(expected) and ours == expected


def test_torchvisions_densenet_fills_ours_by_either_naming():
    """The published file has old names and a classifier; the features are then torchvision's."""
    torch.manual_seed(1)
    theirs = torchvision.models.densenet121(weights=None).eval()
    ours = build("densenet121").eval()
    images = torch.rand(2, 3, 64, 35)
    published = old_names(theirs.state_dict())
    assert "features.denseblock1.denselayer1.norm.1.weight" in published
    with pytest.raises(WeightsUnavailable, match="missing"):
        fill(ours, published, "the published file")
    fill(ours, ours.doubled(published), "the published file")
    with torch.no_grad():
        expected = F.relu(theirs.features(Normalise()(images)))
        torch.testing.assert_close(ours(images), expected, rtol=0, atol=0)
        again = build("densenet121").eval()
        fill(again, theirs.state_dict(), "today's names")
        torch.testing.assert_close(again(images), expected, rtol=0, atol=0)


def test_renaming_leaves_other_names_alone():
    own = build("densenet-narrow").state_dict()
    network = build("densenet-narrow", "meta")
    same = network.doubled(own)
    assert list(same) == list(own) and all(same[name] is own[name] for name in own)
    renamed = network.doubled(old_names(own))
    assert list(renamed) == [name for name in own if not name.endswith("num_batches_tracked")]
    assert all(renamed[name] is own[name] for name in renamed)


def test_timms_weights_fit_and_give_timms_features():
    torch.manual_seed(1)
    theirs = timm.create_model("seresnet50", pretrained=False).eval()
    ours = build("seresnet50").eval()
    fill(ours, theirs.state_dict(), "timm's weights")
    assert not hasattr(ours, "doubled")  # timm's names never changed
    images = torch.rand(2, 3, 64, 35)
    for block in (m for m in [*theirs.modules(), *ours.modules()] if hasattr(m, "bn3")):
        torch.nn.init.constant_(block.bn3.weight, 0.5)  # timm starts with 0, which would hide the attention
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs.forward_features(Normalise()(images)), rtol=0, atol=0)


def test_narrow_seresnet_has_the_names_of_timms_seresnet18():
    with torch.device("meta"):
        theirs = timm.create_model("seresnet18", pretrained=False)
    assert [key for key in theirs.state_dict() if not key.startswith("fc.")] == list(build(NARROW[1]).state_dict())


def test_unknown_name_lists_known_ones():
    with pytest.raises(ValueError, match="densenet121, densenet-narrow, seresnet50, seresnet18-half"):
        create_backbone("densenet")
