"""Two streams: Eq. 6, what each stream learns from, first weights, counts, and the benchmark's variants."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given as drawn
from hypothesis import strategies as st
from torch import nn

from benchmarks.two_streams import Grouped, check_grouped
from lib.evaluation import complexity
from lib.models.backbones import create_backbone
from lib.models.dual_stream import STREAMS, DualStream, StreamWeight, create_features, swapped
from lib.training.weights import WeightsUnavailable, load_first_weights

SMALL = "bottleneck-8-1"
TWO = ["equal", "weighted", "rife"]
LEARNED = {"equal": 0, "weighted": 1, "rife": 4}


def two(streams: str, backbone: str = SMALL, seed: int = 0) -> nn.Module:
    """Streams with different weights, batch statistics and (where learned) predictions that depend on the image."""
    torch.manual_seed(seed)
    module = create_features(backbone, streams)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(std=0.1)
                part.running_var.uniform_(0.5, 1.5)
            if isinstance(part, StreamWeight):
                part.out.weight.normal_()
                part.out.bias.normal_()
    return module.eval()


def pictures(count: int = 3, height: int = 32, width: int = 16, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def host(module: nn.Module) -> SimpleNamespace:
    """As much of a method as ``load_first_weights`` needs."""
    holder = nn.Module()
    holder.features = module
    return SimpleNamespace(get_submodule=holder.get_submodule, name="ripr")


# ---- shapes and names


@pytest.mark.parametrize("streams", TWO)
@pytest.mark.parametrize("backbone", [SMALL, "bottleneck-8-2", "basic-8-1", "resnet18-half"])
def test_shapes_and_attributes(streams, backbone):
    plain = create_backbone(backbone)
    module = two(streams, backbone)
    maps, weights = module.streams(pictures())
    assert maps.shape == plain(pictures()).shape and module.channels == plain.channels
    assert weights.shape == (3, LEARNED[streams], 2) and weights.dtype == torch.float32
    assert (module.name, module.blocks) == (backbone, LEARNED[streams])
    assert torch.equal(module(pictures()), maps)


@drawn(st.integers(1, 70), st.integers(1, 50), st.integers(1, 3), st.sampled_from(TWO))
def test_odd_sizes(height, width, count, streams):
    """Three convolutions or poolings of stride 2 before the third stage and one in it: a sixteenth, rounded up."""
    maps, weights = two(streams).streams(pictures(count, height, width))
    assert maps.shape == (count, 256, math.ceil(height / 16), math.ceil(width / 16))
    assert weights.shape[0] == count and maps.isfinite().all()


def test_one_stream_is_the_backbone():
    assert type(create_features(SMALL, "one")) is type(create_backbone(SMALL))


def test_names_that_are_not_known():
    with pytest.raises(ValueError, match="'two'.*equal, one, rife, weighted"):
        create_features(SMALL, "two")
    assert list(STREAMS) == ["one", *TWO]
    with pytest.raises(ValueError, match="unknown backbone 'resnet5'"):
        create_features("resnet5", "rife")


@pytest.mark.parametrize("streams", TWO)
def test_a_backbone_without_four_stages(streams):
    with pytest.raises(ValueError, match="four stages, 'dgd-quarter' is none"):
        create_features("dgd-quarter", streams)


@pytest.mark.parametrize("shape", [(3,), (3, 3), (2, 2), (3, 3, 2), (3, 2, 4), (4, 2), (1, 4, 2), (3, 4, 2, 1)])
def test_given_weights_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"expected \(3, 2\) or \(3, 4, 2\)"):
        two("rife").streams(pictures(), torch.zeros(shape))


def test_equal_networks_take_no_weights():
    with pytest.raises(ValueError, match="EqualNetworks .* takes no weights"):
        two("equal").streams(pictures(), torch.full((3, 2), 0.5))


# ---- the weights


def test_stream_weight_by_hand():
    """Average over positions, FC, ReLU, FC, sigmoid, written out with sums."""
    torch.manual_seed(0)
    layer = StreamWeight(5, hidden=64)
    nn.init.normal_(layer.out.weight)
    maps = torch.randn(3, 5, 4, 2)
    for image, found in zip(maps.tolist(), layer(maps).tolist()):
        pooled = [sum(map(sum, channel)) / 8 for channel in image]
        out = layer.out.bias.item()
        for row, bias, outer in zip(layer.hidden.weight.tolist(), layer.hidden.bias.tolist(), layer.out.weight[0]):
            out += outer.item() * max(0.0, bias + sum(a * b for a, b in zip(row, pooled)))
        assert found == pytest.approx(1 / (1 + math.exp(-out)), rel=1e-5)


@pytest.mark.parametrize("streams", ["weighted", "rife"])
def test_weights_are_a_half_at_first(streams):
    torch.manual_seed(0)
    weights = create_features(SMALL, streams).streams(pictures())[1]
    assert torch.equal(weights, torch.full_like(weights, 0.5))


@drawn(st.integers(0, 10**6), st.floats(0, 1e4))
def test_weights_stay_in_the_unit_interval(seed, scale):
    torch.manual_seed(seed)
    layer = StreamWeight(7)
    nn.init.normal_(layer.out.weight)
    weights = layer(scale * torch.randn(4, 7, 3, 2))
    assert weights.shape == (4,) and ((weights >= 0) & (weights <= 1)).all()


def test_each_weight_comes_from_its_own_map():
    fusion = two("weighted").fusions[0]
    low, high, other = (torch.rand(2, 256, 2, 1) for _ in range(3))
    first, second = fusion(low, high)[1], fusion(low, other)[1]
    assert torch.equal(first[:, 0], second[:, 0]) and not torch.equal(first[:, 1], second[:, 1])


def test_swapping_twice_is_the_identity():
    weights = torch.rand(3, 4, 2)
    assert torch.equal(swapped(weights)[..., 0], weights[..., 1])
    assert torch.equal(swapped(swapped(weights)), weights)


# ---- Eq. 6


def rife_image_by_image(module: DualStream, images: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Eq. 6 written out: one image and one block at a time, with the weights as Python numbers."""
    found = []
    for image, rows in zip(images, weights.tolist()):
        m = module.stem(image[None])
        for low, high, (w_low, w_high) in zip(module.low, module.high, rows):
            m = w_low * low(m) + w_high * high(m)
        found.append(m)
    return torch.cat(found)


@pytest.mark.parametrize("backbone", [SMALL, "basic-8-2"])
@pytest.mark.parametrize("given", [None, "(B, 2)", "(B, T, 2)"])
def test_eq6_block_by_block(backbone, given):
    module, images = two("rife", backbone), pictures(4)
    given = {None: None, "(B, 2)": torch.rand(4, 2), "(B, T, 2)": torch.rand(4, 4, 2)}[given]
    with torch.no_grad():
        maps, weights = module.streams(images, given)
        torch.testing.assert_close(maps, rife_image_by_image(module, images, weights), rtol=1e-4, atol=1e-5)
    if given is not None:
        assert torch.equal(weights, given if given.dim() == 3 else torch.stack([given] * 4, 1))


def test_predicted_weights_differ_by_image_and_block():
    weights = two("rife").streams(pictures(4) * torch.tensor([0.1, 0.4, 0.7, 1.0]).view(-1, 1, 1, 1))[1]
    assert (weights.std(0) > 0).all() and (weights.std(1) > 0).all()


def test_weighted_networks_fuse_the_last_maps():
    module, images = two("weighted"), pictures()
    with torch.no_grad():
        maps, weights = module.streams(images)
        low, high = module.low(images), module.high(images)
        expected = torch.stack([a * low[i] + b * high[i] for i, (a, b) in enumerate(weights[:, 0].tolist())])
    torch.testing.assert_close(maps, expected)


def test_equal_networks_average():
    module, images = two("equal"), pictures()
    torch.testing.assert_close(module(images), torch.stack([module.low(images), module.high(images)]).mean(0))


def test_given_one_and_zero_are_a_plain_network():
    """w = (1, 0) in every block: the stem and the low stages, as the single backbone chains them."""
    module, images = two("rife"), pictures()
    plain = create_backbone(SMALL).eval()
    state = {f"layer{int(n[0]) + 1}{n[1:]}": x for n, x in module.low.state_dict().items()}
    plain.load_state_dict(module.stem.state_dict() | state)
    torch.testing.assert_close(module.streams(images, torch.tensor([[1.0, 0.0]] * 3))[0], plain(images))


def test_exchanging_streams_and_weights_changes_nothing():
    module, images, weights = two("rife"), pictures(), torch.rand(3, 4, 2)
    mirrored = copy.deepcopy(module)
    mirrored.low, mirrored.high = mirrored.high, mirrored.low
    with torch.no_grad():
        expected = module.streams(images, weights)[0]
        assert torch.equal(mirrored.streams(images, swapped(weights))[0], expected)
        assert not torch.allclose(module.streams(images, swapped(weights))[0], expected)


def test_swapping_the_weights_of_equal_streams_changes_nothing():
    module, images, weights = two("rife"), pictures(), torch.rand(3, 4, 2)
    module.load_state_dict(module.doubled(create_backbone(SMALL).state_dict()))
    assert torch.equal(module.streams(images, weights)[0], module.streams(images, swapped(weights))[0])


# ---- what a stream learns from


@pytest.mark.parametrize(("streams", "block"), [("rife", 0), ("rife", 2), ("rife", 3), ("weighted", 0)])
@pytest.mark.parametrize("column", [0, 1])
def test_a_stream_of_weight_zero_gets_no_gradient(streams, block, column):
    """§4.2: "the back propagated loss makes more modifications to DSB^L because of larger w_L"; here all or nothing."""
    module = two(streams).train()
    weights = torch.full((3, module.blocks, 2), 0.5)
    weights[:, block] = torch.eye(2)[column]
    module.streams(pictures(), weights)[0].square().mean().backward()
    parts = (module.low, module.high) if streams == "weighted" else (module.low[block], module.high[block])
    used, idle = parts if column == 0 else parts[::-1]
    assert all(p.grad.count_nonzero() == 0 for p in idle.parameters())
    assert all(p.grad.count_nonzero() > 0 for p in used.parameters())
    assert all(p.grad is None for p in module.fusions.parameters())  # given, not predicted
    if streams == "rife":
        others = [
            p for t in range(4) if t != block for p in [*module.low[t].parameters(), *module.high[t].parameters()]
        ]
        assert all(p.grad.count_nonzero() > 0 for p in others)


@pytest.mark.parametrize("streams", TWO)
def test_everything_gets_a_gradient(streams):
    module = two(streams).train()
    module(pictures()).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
    assert all(p.grad.any() for n, p in module.named_parameters() if not n.startswith("fusions."))


def test_resolution_weighting_loss_reaches_its_targets():
    """Eq. 7 is least at w = (1 - r, r), whatever the image: both follow, and their sum becomes 1 from 1.76."""
    module = two("rife", "basic-8-1").train()
    for part in module.modules():
        if isinstance(part, StreamWeight):
            nn.init.zeros_(part.out.weight)
            nn.init.constant_(part.out.bias, 2.0)  # sigmoid(2) = 0.88
    r = torch.tensor([1.0, 0.25] * 4)
    images = pictures(8) * torch.where(r < 1, 0.1, 1.0).view(-1, 1, 1, 1)  # low resolution: little contrast
    target = torch.stack([1 - r, r], 1)[:, None]  # (B, 1, 2)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    assert module.streams(images)[1].sum(2).mean().item() == pytest.approx(2 / (1 + math.exp(-2)), abs=1e-5)
    for _ in range(60):
        loss = (module.streams(images)[1] - target).square().sum(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    weights = module.streams(images)[1]
    torch.testing.assert_close(weights, target.expand_as(weights), atol=0.1, rtol=0)
    torch.testing.assert_close(weights.sum(2), torch.ones(8, 4), atol=0.1, rtol=0)


# ---- number formats and layouts


@pytest.mark.parametrize("streams", TWO)
def test_bf16_autocast(streams):
    module, images = two(streams), pictures()
    exact, exact_weights = module.streams(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps, weights = module.streams(images)
    assert maps.dtype == torch.bfloat16 and weights.dtype == torch.float32
    assert (maps.float() - exact).norm() < 0.05 * exact.norm()
    torch.testing.assert_close(weights, exact_weights, atol=0.05, rtol=0)


def test_weights_are_computed_in_float32_under_autocast():
    layer, maps = two("weighted").fusions[0].low, torch.rand(3, 256, 2, 1).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = layer(maps)
    assert torch.equal(under, layer(maps.float()))


def test_channels_last():
    module, images = two("rife"), pictures()
    expected = module(images)
    maps = module.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    assert maps.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-5)


# ---- first weights


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("streams", ["weighted", "rife"])
@pytest.mark.parametrize("backbone", [SMALL, "basic-8-2", "resnet18-half"])
def test_doubled_streams_give_the_single_networks_maps(backbone, streams, training):
    torch.manual_seed(3)
    plain = create_backbone(backbone).train(training)
    module = create_features(backbone, streams).train(training)
    module.load_state_dict(module.doubled(plain.state_dict()))
    assert torch.equal(module(pictures()), plain(pictures()))  # 1/2 m + 1/2 m is m, to the last bit


def test_two_equal_networks_begin_apart_because_copies_would_stay_one():
    torch.manual_seed(3)
    plain, module, copies = create_backbone(SMALL), two("equal"), two("equal")
    module.load_state_dict(module.doubled(plain.state_dict()))
    for name, weight in plain.named_parameters():
        low, high = (module.get_parameter(f"{stream}.{name}") for stream in ("low", "high"))
        assert torch.equal(low, weight) and torch.equal(high, weight) == (weight.ndim != 4)
    copies.load_state_dict({f"{stream}.{n}": w for stream in ("low", "high") for n, w in plain.state_dict().items()})
    step = torch.optim.SGD(copies.parameters(), lr=0.1)
    for _ in range(3):
        step.zero_grad()
        copies(pictures()).square().mean().backward()
        step.step()
    assert all(torch.equal(a, b) for a, b in zip(copies.low.parameters(), copies.high.parameters(), strict=True))
    assert not torch.equal(copies.low.conv1.weight, plain.conv1.weight)


def test_doubled_keeps_what_predicts_the_weights():
    module = two("rife")
    state = module.doubled(create_backbone(SMALL).state_dict())
    assert list(state) == list(module.state_dict())
    before = {n: x for n, x in module.state_dict().items() if n.startswith("fusions.")}
    assert len(before) == 4 * 2 * 4 and all(torch.equal(state[n], x) for n, x in before.items())
    module.load_state_dict(state)
    assert torch.equal(module.low[1][0].conv2.weight, module.high[1][0].conv2.weight)
    assert module.low[1][0].conv2.weight.data_ptr() != module.high[1][0].conv2.weight.data_ptr()


def test_doubled_leaves_out_what_is_missing():
    plain = create_backbone(SMALL).state_dict()
    del plain["layer2.0.conv1.weight"]
    module = two("rife")
    assert module.state_dict().keys() - module.doubled(plain).keys() == {
        "low.1.0.conv1.weight",
        "high.1.0.conv1.weight",
    }


def test_doubled_returns_weights_of_two_streams_as_they_are():
    state = two("rife").state_dict()
    del state["high.2.0.conv1.weight"]
    assert two("rife", seed=1).doubled(state) is state


@pytest.mark.parametrize("streams", TWO)
def test_first_weights_from_a_single_network_and_from_two_streams(streams, tmp_path):
    """A file of the single backbone is doubled; a trained file of the same kind loads as it is."""
    plain, trained = create_backbone(SMALL), two(streams, seed=5)
    torch.save(plain.state_dict(), tmp_path / "plain.pth")
    torch.save({f"features.{n}": x for n, x in trained.state_dict().items()}, tmp_path / "trained.pth")
    module = two(streams, seed=6)
    load_first_weights(host(module), "features", str(tmp_path / "plain.pth"))
    low = module.low[0][0].conv1 if streams == "rife" else module.low.layer1[0].conv1
    assert torch.equal(low.weight, plain.layer1[0].conv1.weight)
    load_first_weights(host(module), "features", str(tmp_path / "trained.pth"))
    assert all(torch.equal(x, module.state_dict()[n]) for n, x in trained.state_dict().items())


def test_torchvisions_weights_are_doubled(monkeypatch):
    import torchvision
    from torchvision.models import WeightsEnum

    theirs = torchvision.models.resnet18(weights=None).state_dict()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda self, *a, **k: theirs)
    module = create_features("resnet18", "rife")
    load_first_weights(host(module), "features", "imagenet")
    for stream in (module.low, module.high):
        assert torch.equal(stream[3][1].conv2.weight, theirs["layer4.1.conv2.weight"])
    assert torch.equal(module.stem.conv1.weight, theirs["conv1.weight"])


@pytest.mark.parametrize("kind", ["incomplete single", "incomplete rife", "other streams", "wider"])
def test_first_weights_that_do_not_fit(kind, tmp_path):
    wider = create_backbone("bottleneck-16-1").state_dict()
    plain, rife, equal = create_backbone(SMALL).state_dict(), two("rife").state_dict(), two("equal").state_dict()
    del plain["layer1.0.conv1.weight"], rife["low.0.0.conv1.weight"]
    states = {"incomplete single": plain, "incomplete rife": rife, "other streams": equal, "wider": wider}
    reasons = ["2 of [0-9]+ weights are missing", "1 of [0-9]+ weights are missing", "8 of [0-9]+", "differ in shape"]
    torch.save(states[kind], tmp_path / "w.pth")
    module = two("weighted" if kind == "other streams" else "rife")
    with pytest.raises(WeightsUnavailable, match=dict(zip(states, reasons))[kind]):
        load_first_weights(host(module), "features", str(tmp_path / "w.pth"))


@pytest.mark.parametrize("streams", TWO)
def test_state_round_trip(streams, tmp_path):
    source, target = two(streams, seed=1), two(streams, seed=2)
    assert not torch.equal(source(pictures()), target(pictures()))
    torch.save(source.state_dict(), tmp_path / "w.pt")
    target.load_state_dict(torch.load(tmp_path / "w.pt", weights_only=True))
    assert torch.equal(source(pictures()), target(pictures()))


# ---- counts


def heads(channels: list[int]) -> tuple[int, int]:
    """(parameters, multiply-adds) of two StreamWeights per fusion: C x 64 + 64, then 64 x 1 + 1."""
    return sum(2 * (c * 64 + 64 + 64 + 1) for c in channels), sum(2 * (c * 64 + 64) for c in channels)


def stages_of_resnet50(height: int, width: int) -> tuple[int, int]:
    """(parameters, multiply-adds) of ResNet-50's stages from the paper's table (He et al. 2016), last stride 1."""
    parameters = macs = 0
    inside, h, w = 64, height // 4, width // 4
    for planes, count, stride in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 1)]:
        for position in range(count):
            before, step = h * w, stride if position == 0 else 1
            h, w = h // step, w // step
            kernels = [(inside * planes, before), (9 * planes**2, h * w), (4 * planes**2, h * w)]
            norms = 2 * (planes + planes + 4 * planes)
            if position == 0:
                kernels.append((4 * inside * planes, h * w))
                norms += 2 * 4 * planes
            parameters += sum(size for size, _ in kernels) + norms
            macs += sum(size * positions for size, positions in kernels)
            inside = 4 * planes
    return parameters, macs


@pytest.mark.parametrize(("height", "width", "single"), [(256, 128, 4.0533e9), (384, 128, 6.0799e9)])
def test_known_counts(height, width, single):
    """Parameters and multiply-adds of ResNet-50 with two streams, against sums over its layers."""
    parameters, macs = stages_of_resnet50(height, width)
    stem, stem_macs = 3 * 64 * 49 + 2 * 64, 3 * 64 * 49 * (height // 2) * (width // 2)
    assert parameters + stem == 23_508_032 and macs + stem_macs == pytest.approx(single, rel=1e-5)
    four, last = heads([256, 512, 1024, 2048]), heads([2048])
    expected = {
        "one": (stem + parameters, stem_macs + macs),
        "equal": (2 * (stem + parameters), 2 * (stem_macs + macs)),
        "weighted": (2 * (stem + parameters) + last[0], 2 * (stem_macs + macs) + last[1]),
        "rife": (stem + 2 * parameters + four[0], stem_macs + 2 * macs + four[1]),
    }
    assert expected["rife"][0] == 47_499_080
    for streams, counts in expected.items():
        with torch.device("meta"):
            module = create_features("resnet50", streams)
        assert tuple(complexity(module, (height, width))) == counts, streams


# ---- the benchmark computes the same thing


@pytest.mark.parametrize("backbone", [SMALL, "bottleneck-8-2", "basic-8-1", "basic-8-2"])
def test_grouped_convolutions_give_the_same_maps_weights_and_gradients(backbone):
    rife = two("rife", backbone).double().train()
    grouped = Grouped.take(rife)
    images = pictures().double()
    maps, weights = rife.streams(images)
    also, also_weights = grouped.streams(images)
    torch.testing.assert_close(also, maps)
    torch.testing.assert_close(also_weights, weights)
    for m in (maps, also):
        m.square().mean().backward()
    pairs = [(rife.stem.conv1.weight.grad, grouped.stem.conv1.weight.grad)]
    for t in range(4):
        separate = dict(rife.low[t].named_parameters()), dict(rife.high[t].named_parameters())
        joined = dict(grouped.both[t].named_parameters())
        assert joined.keys() == separate[0].keys()
        pairs += [(torch.cat([s[n].grad for s in separate]), joined[n].grad) for n in joined]
    for expected, found in pairs:
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-10)


def test_the_benchmark_notices_a_difference(monkeypatch):
    rife = two("rife")
    assert check_grouped(rife, (32, 16), "cpu") < 1e-9
    take = Grouped.take

    def wrong(source):
        grouped = take(source)
        with torch.no_grad():
            grouped.both[3][0].bn3.bias[0] += 1e-3
        return grouped

    monkeypatch.setattr(Grouped, "take", wrong)
    with pytest.raises(SystemExit, match="differ from DualStream"):
        check_grouped(rife, (32, 16), "cpu")
