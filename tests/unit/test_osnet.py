"""OSNet: published counts and names, block and network by plain operations, published files as first weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.evaluation.complexity import complexity
from lib.methods.baseline import Baseline
from lib.models.backbones import create_backbone
from lib.models.osnet import OmniScale, WholeOSNet
from lib.models.resnet import Normalise
from lib.training.pedestrians import recorded
from lib.training.sources import code_of
from lib.training.weights import WeightsUnavailable, load_first_weights

WIDTHS = {"osnet": 1.0, "osnet-0.75": 0.75, "osnet-0.5": 0.5, "osnet-0.25": 0.25}
CHANNELS = {"osnet": 512, "osnet-0.75": 384, "osnet-0.5": 256, "osnet-0.25": 128}
SMALL = "osnet-0.25"


def build(name: str, device: str = "cpu") -> torch.nn.Module:
    torch.manual_seed(0)
    with torch.device(device):
        return create_backbone(name)


def lived_in(network: torch.nn.Module) -> torch.nn.Module:
    """In evaluation mode, with no bias, statistic or scale left at what a fresh network has."""
    torch.manual_seed(1)
    for name, value in network.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            value.normal_(0, 0.3)
        elif name.endswith("running_var") or value.ndim == 1:
            value.uniform_(0.5, 1.5)
    return network.eval()


# ---- counts


@pytest.mark.parametrize(
    ("name", "whole", "maps", "macs", "macs_of_maps"),
    [
        ("osnet", 2_169_508, 1_905_828, 978_875_392, 137_643_008),
        ("osnet-0.75", 1_285_754, 1_087_610, 571_752_192, 80_388_864),
        ("osnet-0.5", 630_034, 497_426, 272_899_328, 38_364_416),
        ("osnet-0.25", 201_864, 134_792, 82_314_880, 11_567_744),
    ],
)
def test_published_counts(name, whole, maps, macs, macs_of_maps):
    """The paper's: 2.2 M and 978.9 M, 1.3 and 571.8, 0.6 and 272.9, 0.2 and 82.3. The last column: maps at 96 x 48."""
    with torch.device("meta"):
        assert complexity(WholeOSNet(WIDTHS[name]), (256, 128)) == (whole, macs)
        assert complexity(create_backbone(name), (96, 48)) == (maps, macs_of_maps)
    assert whole - maps == CHANNELS[name] * 512 + 512 + 2 * 512


@pytest.mark.parametrize(
    ("inputs", "outputs", "inner", "hidden"), [(64, 256, 64, 4), (256, 256, 64, 4), (16, 64, 16, 1)]
)
def test_a_block_has_ten_lite_convolutions_and_one_gate(inputs, outputs, inner, hidden):
    with torch.device("meta"):
        count = sum(p.numel() for p in OmniScale(inputs, outputs).parameters())
    lites = (1 + 2 + 3 + 4) * (inner * inner + 9 * inner + 2 * inner)
    gate = inner * hidden + hidden + hidden * inner + inner
    shortcut = inputs * outputs + 2 * outputs if inputs != outputs else 0
    assert count == inputs * inner + 2 * inner + lites + gate + inner * outputs + 2 * outputs + shortcut


@pytest.mark.parametrize("name", WIDTHS)
@pytest.mark.parametrize("size", [(256, 128), (96, 48), (13, 13), (71, 33), (160, 61)])
def test_the_map_is_a_sixteenth_of_the_canvas(name, size):
    """The stem rounds up, the two averages round down."""
    network = build(name, "meta")
    maps = network(torch.empty(2, 3, *size, device="meta"))
    assert maps.shape == (2, CHANNELS[name], *(-(-n // 4) // 4 for n in size))
    assert network.channels == CHANNELS[name] and network.name == name and isinstance(network.normalise, Normalise)


def test_too_small_and_too_narrow():
    with pytest.raises(ValueError, match=r"osnet-0.25 needs images of at least 13 x 13, not \(64, 12\)"):
        build(SMALL, "meta")(torch.empty(1, 3, 64, 12, device="meta"))
    with pytest.raises(ValueError, match="osnet with a width of 0.2: under 0.25"):
        create_backbone("osnet", width=0.2)
    with pytest.raises(ValueError, match="osnet, osnet-0.75, osnet-0.5, osnet-0.25"):
        create_backbone("osnet-0.3")


# ---- by plain operations, from the weights by their published names


def normalised(state: dict, name: str, x: Tensor) -> Tensor:
    mean, var, weight, bias = (
        state[f"{name}.{part}"].view(1, -1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def across(weight: Tensor, x: Tensor) -> Tensor:
    """A 1 x 1 convolution is a matrix."""
    return torch.einsum("oi,bihw->bohw", weight[:, :, 0, 0], x)


def convolved(state: dict, name: str, x: Tensor) -> Tensor:
    return normalised(state, f"{name}.bn", across(state[f"{name}.conv.weight"], x))


def lite(state: dict, name: str, x: Tensor) -> Tensor:
    """Channels mixed, then nine shifted copies of each channel weighed."""
    kernel, (height, width) = state[f"{name}.conv2.weight"], x.shape[-2:]
    padded = F.pad(across(state[f"{name}.conv1.weight"], x), (1, 1, 1, 1))
    shifted = [
        kernel[:, 0, i, j].view(1, -1, 1, 1) * padded[:, :, i : i + height, j : j + width]
        for i in range(3)
        for j in range(3)
    ]
    return normalised(state, f"{name}.bn", sum(shifted)).clamp(min=0)


def block(state: dict, name: str, x: Tensor) -> Tensor:
    """Streams of one to four lite convolutions, each times the one gate's opinion of it, summed."""
    narrow, together = convolved(state, f"{name}.conv1", x).clamp(min=0), 0
    for stream, depth in (("conv2a", 1), ("conv2b", 2), ("conv2c", 3), ("conv2d", 4)):
        scale = narrow
        for layer in range(depth):
            scale = lite(state, f"{name}.{stream}" if depth == 1 else f"{name}.{stream}.{layer}", scale)
        first, bias1, second, bias2 = (
            state[f"{name}.gate.{layer}.{kind}"] for layer in ("fc1", "fc2") for kind in ("weight", "bias")
        )
        hidden = (scale.mean((2, 3)) @ first[:, :, 0, 0].T + bias1).clamp(min=0)
        weights = 1 / (1 + (-(hidden @ second[:, :, 0, 0].T + bias2)).exp())
        together = together + weights[:, :, None, None] * scale
    shortcut = convolved(state, f"{name}.downsample", x) if f"{name}.downsample.conv.weight" in state else x
    return (shortcut + convolved(state, f"{name}.conv3", together)).clamp(min=0)


def network(state: dict, images: Tensor) -> Tensor:
    """The whole network to its descriptor."""
    x = (images - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    x = F.conv2d(x, state["conv1.conv.weight"], stride=2, padding=3)
    x = F.max_pool2d(normalised(state, "conv1.bn", x).clamp(min=0), 3, 2, 1)
    for stage in ("conv2", "conv3", "conv4"):
        x = block(state, f"{stage}.1", block(state, f"{stage}.0", x))
        if stage != "conv4":
            x = convolved(state, f"{stage}.2.0", x).clamp(min=0)
            x = (x[:, :, 0::2, 0::2] + x[:, :, 0::2, 1::2] + x[:, :, 1::2, 0::2] + x[:, :, 1::2, 1::2]) / 4
    pooled = convolved(state, "conv5", x).clamp(min=0).mean((2, 3))
    descriptor = pooled @ state["fc.0.weight"].T + state["fc.0.bias"]
    return normalised(state, "fc.1", descriptor[:, :, None, None])[:, :, 0, 0].clamp(min=0)


@pytest.mark.parametrize(("inputs", "outputs"), [(16, 64), (128, 128)])
def test_the_block_by_hand(inputs, outputs):
    module = lived_in(OmniScale(inputs, outputs)).double()
    x = torch.randn(3, inputs, 7, 5, dtype=torch.float64)
    state = {f"block.{name}": value for name, value in module.state_dict().items()}
    with torch.no_grad():
        torch.testing.assert_close(module(x), block(state, "block", x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("width", [0.25, 0.75])
def test_the_network_by_hand(width):
    module = lived_in(WholeOSNet(width)).double()
    images = torch.rand(2, 3, 64, 32, dtype=torch.float64)
    with torch.no_grad():
        found = module(images)
        torch.testing.assert_close(found, network(module.state_dict(), images), rtol=1e-9, atol=1e-9)
    assert found.shape == (2, 512) and found.std() > 0.1


def test_one_gate_weighs_all_scales():
    """Called once for each of the four streams; its weights differ between streams, images and channels."""
    module = lived_in(OmniScale(256, 256))
    seen = []
    handle = module.gate.register_forward_hook(lambda _, arguments, weights: seen.append((arguments[0], weights)))
    with torch.no_grad():
        module(torch.rand(2, 256, 6, 4))
    handle.remove()
    assert [weights.shape for _, weights in seen] == [(2, 64, 1, 1)] * 4
    weights = torch.stack([weights for _, weights in seen])  # (4, B, C, 1, 1)
    assert weights.min() > 0 and weights.max() < 1
    assert all(weights.std(dim).mean() > 1e-4 for dim in (0, 1, 2))
    assert len([name for name, _ in module.named_modules() if name.endswith("gate")]) == 1


def test_streams_see_three_to_nine_positions():
    """Eq. 2: t lite convolutions see a square of 2t + 1."""
    module = lived_in(OmniScale(64, 64)).double()
    for size, stream in zip((3, 5, 7, 9), (module.conv2a, module.conv2b, module.conv2c, module.conv2d), strict=True):
        x = torch.rand(4, 16, 15, 15, dtype=torch.float64, requires_grad=True)
        (seen,) = torch.autograd.grad(stream(x)[:, :, 7, 7].sum(), x)
        rows, columns = seen.abs().sum((0, 1)).nonzero().T
        assert rows.unique().tolist() == columns.unique().tolist() == list(range(7 - size // 2, 8 + size // 2))


@pytest.mark.parametrize("bf16", [False, True])
def test_gradient_reaches_every_parameter(bf16):
    """Where every gate's inner layer is awake: with one or two channels, a fresh one may be silent for all images."""
    backbone = build(SMALL).to(memory_format=torch.channels_last)
    for name, parameter in backbone.named_parameters():
        if name.endswith("gate.fc1.bias"):
            torch.nn.init.constant_(parameter, 10.0)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        maps = backbone(torch.rand(4, 3, 64, 64))
    maps.float().square().mean().backward()
    assert maps.isfinite().all()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


# ---- names, and files by these names


def published_names() -> list[str]:
    """The state dict of torchreid's osnet_x1_0 and its narrow relatives, in order, without the classifier."""

    def norm(name):
        return [f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]

    def conv(name):
        return [f"{name}.conv.weight", *norm(f"{name}.bn")]

    def lite(name):
        return [f"{name}.conv1.weight", f"{name}.conv2.weight", *norm(f"{name}.bn")]

    def block(name, widens):
        streams = ["conv2a", *(f"conv2{letter}.{i}" for letter, depth in zip("bcd", (2, 3, 4)) for i in range(depth))]
        gate = [f"{name}.gate.{layer}.{kind}" for layer in ("fc1", "fc2") for kind in ("weight", "bias")]
        ends = conv(f"{name}.conv3") + (conv(f"{name}.downsample") if widens else [])
        return conv(f"{name}.conv1") + [n for stream in streams for n in lite(f"{name}.{stream}")] + gate + ends

    def stage(name):
        return block(f"{name}.0", True) + block(f"{name}.1", False)

    trunk = conv("conv1") + stage("conv2") + conv("conv2.2.0") + stage("conv3") + conv("conv3.2.0") + stage("conv4")
    return trunk + conv("conv5") + ["fc.0.weight", "fc.0.bias", *norm("fc.1")]


def test_names_are_torchreids():
    with torch.device("meta"):
        whole, maps = WholeOSNet().state_dict(), create_backbone("osnet").state_dict()
    assert list(whole) == published_names()
    assert list(maps) == [name for name in whole if not name.startswith("fc.")]
    shapes = {
        "conv1.conv": (64, 3, 7, 7),
        "conv3.0.conv1.conv": (96, 256, 1, 1),
        "conv3.0.conv2b.1.conv2": (96, 1, 3, 3),
    }
    shapes |= {"conv4.1.gate.fc1": (8, 128, 1, 1), "conv4.0.downsample.conv": (512, 384, 1, 1), "fc.0": (512, 512)}
    assert {name: tuple(whole[f"{name}.weight"].shape) for name in shapes} == shapes


def published_file(path, wrap, width: float = 0.25) -> dict:
    """A file as torchreid publishes them, classifier included; returns what it says, by plain names."""
    torch.manual_seed(3)
    state = lived_in(WholeOSNet(width)).state_dict()
    state |= {"classifier.weight": torch.randn(1000, 512), "classifier.bias": torch.randn(1000)}
    torch.save(wrap(state), path)
    return state


def parallel(state: dict) -> dict:
    return {f"module.{name}": value for name, value in state.items()}


def checkpoint(state: dict) -> dict:
    return {"state_dict": parallel(state), "epoch": 150, "rank1": 0.9}


@pytest.mark.parametrize("wrap", [dict, parallel, checkpoint])
def test_published_files_are_first_weights(wrap, tmp_path):
    """Without the fully connected layer and the classifier: methods have their own."""
    expected = published_file(tmp_path / "osnet_x0_25_imagenet.pth", wrap)
    method = Baseline(backbone=SMALL, canvas=(32, 16))
    method.setup("quick", 3)
    load_first_weights(method, "backbone", str(tmp_path / "osnet_x0_25_imagenet.pth"))
    found = method.backbone.state_dict()
    assert list(found) == [name for name in published_names() if not name.startswith("fc.")]
    assert all(torch.equal(found[name], expected[name]) for name in found)


def with_instances(state: dict) -> dict:
    """As in osnet_ibn_x1_0 and osnet_ain_x1_0: the stem's normalisation has no statistics."""
    return {name: value for name, value in state.items() if not name.startswith("conv1.bn.running")}


def of_a_resnet(state: dict) -> dict:
    return build("bottleneck-4-1").state_dict()


@pytest.mark.parametrize(
    ("wrap", "width", "message"),
    [
        (dict, 0.5, "does not fit OSNet: .* weights differ in shape, for example 'conv1.conv.weight'"),
        (with_instances, 0.25, "does not fit OSNet: 2 of .* weights are missing, for example 'conv1.bn.running_mean'"),
        (of_a_resnet, 0.25, "does not fit OSNet: .* weights are missing, for example 'conv1.conv.weight'"),
    ],
)
def test_wrong_files_are_refused(wrap, width, message, tmp_path):
    published_file(tmp_path / "wrong.pth", wrap, width)
    method = Baseline(backbone=SMALL, canvas=(32, 16))
    method.setup("quick", 3)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    with pytest.raises(WeightsUnavailable, match=message):
        load_first_weights(method, "backbone", str(tmp_path / "wrong.pth"))
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_a_run_depends_on_its_own_width_only():
    """A name with a dot is an entry like others, for a run's key and for that of the pre-training on pedestrians."""
    method = Baseline(backbone=SMALL, canvas=(32, 16))
    method.setup("quick", 3)
    code = code_of(method).definitions
    entries = [name for name in code if "BACKBONES[" in name]
    assert entries == ["lib.models.osnet.BACKBONES[osnet-0.25]"]
    assert "lib.models.osnet.OmniScale.forward" in code and "lib.models.osnet.WholeOSNet.forward" not in code
    assert len({recorded(name, (96, 48), "course", "fp32") for name in WIDTHS}) == 4
