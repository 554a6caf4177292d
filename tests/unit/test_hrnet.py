"""HRNet: counts, timm's names and numbers bit by bit, any canvas, published files as first weights."""

from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from lib.evaluation.complexity import complexity
from lib.methods.baseline import Baseline
from lib.models.backbones import BACKBONES, create_backbone
from lib.models.hrnet import Exchange, HRNet, create_branches
from lib.models.resnet import Normalise
from lib.training.pedestrians import recorded
from lib.training.sources import code_of
from lib.training.weights import WeightsUnavailable, load_first_weights

NAMES = [name for name in BACKBONES if BACKBONES[name] is HRNet]
NARROW = [name for name in NAMES if name != "hrnet-w32"]
SIZES = [(256, 128), (96, 48), (64, 32), (71, 33), (160, 61)]


def on_meta(make, name: str) -> HRNet:
    with torch.device("meta"):
        return make(name)


def maps_of(network: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    return network.maps(images)


# ---- counts and shapes


@pytest.mark.parametrize(
    ("name", "size", "maps", "whole"),
    [
        ("hrnet-w32", (256, 128), (30_881_856, 5_304_614_912), (39_183_680, 5_824_708_608)),
        ("hrnet-w16", (96, 48), (1_327_552, 39_608_832), (3_142_208, 58_876_416)),
        ("hrnet-w12", (96, 48), (748_752, 22_466_592), (1_720_752, 33_009_696)),
        ("hrnet-w8", (96, 48), (334_560, 10_151_040), (789_280, 14_967_936)),
    ],
)
def test_weights_and_multiply_adds(name, size, maps, whole):
    """With four maps, and with the aggregation (HRNet-W32-C without its classifier)."""
    assert complexity(on_meta(create_branches, name), size, maps_of) == maps
    assert complexity(on_meta(create_backbone, name), size) == whole


def test_the_parts_of_the_papers_network():
    network = on_meta(create_backbone, "hrnet-w32")
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    expected = {"conv1": 1_728, "conv2": 36_864, "layer1": 286_208, "transition1": 221_376, "stage2": 390_848}
    expected |= {"transition2": 73_984, "stage3": 6_821_632, "transition3": 295_424, "stage4": 21_177_216}
    expected |= {"incre_modules": 1_576_320, "downsamp_modules": 6_198_528, "final_layer": 2_103_296}
    assert expected.items() <= count.items()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES)
def test_shapes_on_any_canvas(name, size):
    """Each halving rounds up; timm's network fails where the canvas is no multiple of 32."""
    network, images = on_meta(create_backbone, name), torch.empty(2, 3, *size, device="meta")
    maps, channels = network.maps(images), network.stage_channels
    assert [tuple(one.shape) for one in maps] == [
        (2, channels[n], *(-(-side // 2 ** (n + 2)) for side in size)) for n in range(4)
    ]
    assert network(images).shape == (2, network.channels, *maps[-1].shape[-2:])
    assert network.name == name and isinstance(network.normalise, Normalise)
    assert channels == [4 * int(name.removeprefix("hrnet-w")) * 2**n for n in range(4)]


def test_what_has_no_branches_is_refused():
    for name in ("resnet18-half", "hrnet-w9"):
        with pytest.raises(ValueError, match=f"'{name}' has no branches.*hrnet-w32, hrnet-w16, hrnet-w12, hrnet-w8"):
            create_branches(name)


def test_without_the_aggregation_the_coarsest_map_stands_for_all():
    torch.manual_seed(0)
    network, images = create_branches("hrnet-w8").eval(), torch.rand(1, 3, 64, 32)
    with torch.no_grad():
        found = network(images)
        assert torch.equal(found, network.maps(images)[-1]) and found.shape == (1, network.channels, 2, 1)


# ---- against timm


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    """timm's hrnet_w32 with random weights and statistics."""
    torch.manual_seed(0)
    network = timm.create_model("hrnet_w32", pretrained=False).eval()
    for name, value in network.state_dict().items():
        if name.endswith("running_mean") or (value.ndim == 1 and name.endswith("bias")):
            value.normal_(0, 0.3)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    return network


@pytest.mark.parametrize("size", [(256, 128), (64, 32)])
def test_equal_to_timms_bit_by_bit(theirs, size):
    ours = create_backbone("hrnet-w32").eval()
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert not missing and unexpected == ["classifier.weight", "classifier.bias"]
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole, maps = theirs.forward_intermediates(ours.normalise(images), indices=[1, 2, 3, 4])
        assert all(torch.equal(a, b) for a, b in zip(ours.maps(images), maps, strict=True))
        assert torch.equal(ours(images), whole)
    assert len({float(one.std()) for one in maps}) == 4


def test_names_are_timms(theirs):
    published = [name for name in theirs.state_dict() if not name.startswith("classifier.")]
    assert len(published) == 1_954 and list(on_meta(create_backbone, "hrnet-w32").state_dict()) == published
    maps = list(on_meta(create_branches, "hrnet-w32").state_dict())
    assert maps == [name for name in published if not name.startswith(("downsamp_modules.", "final_layer."))]


# ---- an exchange by hand


def test_branches_add_up_what_all_of_them_found():
    """3 x 3 convolutions that copy, statistics that change nothing: target n gets all sources at its own size."""
    module = Exchange((2, 2, 2), 1).eval()
    module.branches = nn.ModuleList(nn.Identity() for _ in range(3))
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight)
            middle = layer.kernel_size[0] // 2
            for channel in range(2):
                layer.weight.data[channel, channel, middle, middle] = 1
    maps = [torch.rand(1, 2, *size) for size in ((6, 5), (3, 3), (2, 2))]

    def taken(one: torch.Tensor, halvings: int) -> torch.Tensor:
        return one[..., :: 2**halvings, :: 2**halvings]

    def enlarged(one: torch.Tensor, size: torch.Size) -> torch.Tensor:
        rows, columns = (torch.arange(n) * m // n for n, m in zip(size, one.shape[-2:], strict=True))
        return one[..., rows[:, None], columns]

    expected = []
    for target in range(3):
        size = maps[target].shape[-2:]
        parts = [taken(one, target - n) if n <= target else enlarged(one, size) for n, one in enumerate(maps)]
        expected.append(sum(parts))
    with torch.no_grad():
        found = module(maps)
    for one, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(one, wanted, rtol=1e-4, atol=1e-4)  # a fresh batch norm divides by 1 + 5e-6


def test_the_aggregation_adds_every_branch():
    """The one that PS-HRNet's authors wrote forgets three of them."""
    torch.manual_seed(0)
    network, images = create_backbone("hrnet-w8").eval(), torch.rand(1, 3, 64, 32)
    with torch.no_grad():
        maps, whole = network.maps(images), network(images)
        total = maps[0]
        for number in range(1, 4):
            total = maps[number] + network.downsamp_modules[number - 1](total)
        assert torch.equal(network.final_layer(total), whole)
        forgetful = create_backbone("hrnet-w8-forgetful").eval()
        forgetful.load_state_dict(network.state_dict())
        finest = forgetful(images)
        for number in range(1, 4):
            nn.init.zeros_(network.incre_modules[number][0].bn3.weight)
            assert not torch.allclose(network(images), whole), number
            forgetful.incre_modules[number].load_state_dict(network.incre_modules[number].state_dict())
            assert torch.equal(forgetful(images), finest), number
    assert forgetful.name == "hrnet-w8" and finest.shape == whole.shape and not torch.allclose(finest, whole)


@pytest.mark.parametrize("name", ["hrnet-w8", "hrnet-w12"])
@pytest.mark.parametrize("bf16", [False, True])
def test_gradient_reaches_every_weight(name, bf16):
    torch.manual_seed(0)
    network = create_backbone(name).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = network(torch.rand(2, 3, 96, 48))
    F.normalize(out.float().mean((2, 3))).sum().backward()
    assert out.isfinite().all()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), key


# ---- as a part of a method


def parallel(state: dict) -> dict:
    return {f"module.{name}": value for name, value in state.items()}


@pytest.mark.parametrize("wrap", [dict, parallel, lambda state: {"state_dict": state, "epoch": 100}])
def test_published_files_are_first_weights(wrap, tmp_path):
    """By names, whether the aggregation is wanted or not."""
    torch.manual_seed(0)
    state = create_backbone("hrnet-w8").state_dict()
    torch.save(wrap(state | {"classifier.weight": torch.rand(10, 256), "classifier.bias": torch.rand(10)}),
               tmp_path / "published.pth")  # fmt: skip
    method = Baseline(backbone="hrnet-w8", canvas=(64, 32))
    method.setup("quick", 3)
    load_first_weights(method, "backbone", str(tmp_path / "published.pth"))
    assert all(torch.equal(value, state[name]) for name, value in method.backbone.state_dict().items())
    method.backbone = create_branches("hrnet-w8")
    load_first_weights(method, "backbone", str(tmp_path / "published.pth"))
    assert all(torch.equal(value, state[name]) for name, value in method.backbone.state_dict().items())
    method.backbone = create_branches("hrnet-w12")
    with pytest.raises(WeightsUnavailable, match="does not fit HRNet: .* weights differ in shape"):
        load_first_weights(method, "backbone", str(tmp_path / "published.pth"))
    with pytest.raises(WeightsUnavailable, match="no ImageNet weights for 'hrnet-w12'"):
        load_first_weights(method, "backbone", "imagenet")


def test_a_run_depends_on_its_own_width_only():
    method = Baseline(backbone="hrnet-w8", canvas=(64, 32))
    method.setup("quick", 3)
    code = code_of(method).definitions
    assert [name for name in code if "BACKBONES[" in name] == ["lib.models.hrnet.BACKBONES[hrnet-w8]"]
    assert "lib.models.hrnet.Exchange.forward" in code
    assert len({recorded(name, (96, 48), "course", "fp32") for name in NARROW}) == len(NARROW)
