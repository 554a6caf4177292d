"""AGW: what its network is, what its first weights are, what it learns by."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import torchvision
import training_helpers as helpers
from timm.layers import NonLocalAttn

from lib.losses import cross_entropy, weighted_regularised_triplet
from lib.methods import create_method
from lib.models.backbones import create_backbone
from lib.training import fit
from lib.training.weights import WeightsUnavailable, fill, load_first_weights

SMALL = {"backbone": "bottleneck-16-1-nonlocal", "canvas": (32, 16), "epochs": 1, "batch": (4, 2)}
LAST = torch.channels_last
QUIET = {"device": "cpu", "precision": "fp32", "progress": False}


def built(name: str = "agw", profile: str = "quick", device: str = "cpu", **settings):
    torch.manual_seed(0)
    method = create_method(name, **settings)
    with torch.device(device):
        method.setup(profile, 12)
    return method


def learned(network: torch.nn.Module) -> torch.nn.Module:
    """The network with non-local blocks that are no identities any more."""
    for module in network.modules():
        if isinstance(module, NonLocalAttn):
            torch.nn.init.normal_(module.norm.weight)
    return network


# ---- the network


@pytest.mark.parametrize(
    ("inner", "parameters", "blocks"),
    [(None, 30_866_497, [526_592] * 2 + [2_101_760] * 3), (1, 23_536_720, [3_587] * 2 + [7_171] * 3)],
)
def test_resnet50_has_the_counts_of_agw(inner, parameters, blocks):
    """With half the channels inside, and with one as in the authors' code; with the exponent of GeM."""
    with torch.device("meta"):
        network = create_backbone("resnet50-nonlocal", inner=inner)
    found = [module for module in network.modules() if isinstance(module, NonLocalAttn)]
    assert [sum(p.numel() for p in block.parameters()) for block in found] == blocks
    assert sum(p.numel() for p in network.parameters()) + 1 == parameters


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("resnet50-nonlocal", (["2", "3"], ["3", "4", "5"])),
        ("resnet18-half-nonlocal", (["1"], ["1"])),
        ("bottleneck-16-1-nonlocal", (["0"], ["0"])),
    ],
)
def test_blocks_stand_behind_the_last_half_of_stages_2_and_3(name, places):
    with torch.device("meta"):
        network = create_backbone(name)
    stages = [list(stage._modules) for stage in network.stages]
    assert not any("nonlocal" in part for part in stages[0] + stages[3])
    for parts, expected in zip(stages[1:3], places, strict=True):
        before = [parts[i - 1] for i, part in enumerate(parts) if part.startswith("nonlocal")]
        assert before == expected and [f"nonlocal{place}" for place in expected] == [p for p in parts if "non" in p]


@pytest.mark.parametrize("name", ["resnet18-half", "bottleneck-16-1"])
@pytest.mark.parametrize("training", [False, True])
def test_a_new_network_is_the_plain_one_bit_by_bit(name, training):
    """In the layout of training, channels last, which the blocks leave their maps in; other kernels round otherwise."""
    torch.manual_seed(0)
    plain, ours = (create_backbone(n).to(memory_format=LAST).train(training) for n in (name, f"{name}-nonlocal"))
    fill(ours, ours.doubled(plain.state_dict()), "the plain network")
    images = torch.rand(4, 3, 64, 32).to(memory_format=LAST)
    with torch.no_grad():
        expected = plain(images)
        assert torch.equal(ours(images), expected)
        assert not torch.allclose(learned(ours)(images), expected, rtol=1e-2)


def test_every_weight_learns_once_the_blocks_are_no_identities():
    """But the biases that a softmax or a normalisation takes away: those of p and, in training, of g and z."""
    torch.manual_seed(0)
    network = learned(create_backbone("resnet18-half-nonlocal"))
    network(torch.rand(4, 3, 64, 32)).square().mean().backward()
    largest = max(float(p.grad.abs().max()) for p in network.parameters())
    still = {name for name, p in network.named_parameters() if p.grad.abs().max() < 1e-6 * largest}
    assert still <= {f"layer{k}.nonlocal1.{part}.bias" for k in (2, 3) for part in "pgz"}


# ---- first weights


def test_first_weights_are_the_plain_networks(monkeypatch):
    """What ships, ImageNet's, and a run of the baseline; the blocks stay what they are: identities."""
    method, baseline = built(profile="course"), built("baseline", "course")
    for one in (method, baseline):
        load_first_weights(one, "backbone", "pedestrians", progress=False)
    images = torch.rand(2, 3, 96, 48)
    with torch.no_grad():
        torch.testing.assert_close(
            method.eval().backbone(images), baseline.eval().backbone(images), rtol=1e-4, atol=1e-4
        )
    torch.manual_seed(1)
    theirs = torchvision.models.resnet50(weights=None).state_dict()
    monkeypatch.setattr(torchvision.models.ResNet50_Weights, "get_state_dict", lambda *_, **__: theirs)
    method = built("agw", "paper")
    load_first_weights(method, "backbone", "imagenet", progress=False)
    assert torch.equal(method.backbone.layer3[-2].conv3.weight, theirs["layer3.5.conv3.weight"])
    assert isinstance(method.backbone.layer3[-1], NonLocalAttn) and not method.backbone.layer3[-1].norm.weight.any()


def test_a_run_starts_another_and_half_a_network_starts_none(tmp_path):
    run = fit(create_method("agw", **SMALL), helpers.tiny_protocol(), runs=tmp_path, **QUIET)
    state = run.method.backbone.state_dict()
    assert any(state[f"layer{k}.nonlocal0.norm.weight"].any() for k in (2, 3))  # they have learned
    method = built("agw", **SMALL)
    load_first_weights(method, "backbone", str(run.directory), progress=False)
    assert helpers.same_weights(method.backbone, run.method.backbone)
    del state["layer2.nonlocal0.t.weight"]
    torch.save({f"backbone.{name}": value for name, value in state.items()}, tmp_path / "half.pt")
    with pytest.raises(WeightsUnavailable, match=r"1 of \d+ weights are missing, for example 'layer2.nonlocal0.t"):
        load_first_weights(method, "backbone", str(tmp_path / "half.pt"), progress=False)
    plain = {name: value for name, value in state.items() if "nonlocal" not in name and name != "conv1.weight"}
    torch.save(plain, tmp_path / "plain.pt")
    with pytest.raises(WeightsUnavailable, match=r"1 of \d+ weights are missing, for example 'conv1.weight'"):
        load_first_weights(method, "backbone", str(tmp_path / "plain.pt"), progress=False)


# ---- the method


def test_profiles_are_the_baselines_with_non_local_blocks():
    for profile in ("quick", "course", "paper"):
        ours, plain = (built(name, profile, "meta").settings for name in ("agw", "baseline"))
        differ = {name for name, value in vars(plain).items() if vars(ours)[name] != value}
        assert differ == {"backbone", "pooling", "margin"}
        assert ours.backbone == f"{plain.backbone}-nonlocal" and ours.pooling == "gem"


def test_it_learns_by_classification_and_the_weighted_triplet():
    method = built("agw", **SMALL, smoothing=0.2)
    batch = helpers.training_batch(torch.rand(8, 3, 32, 16), torch.arange(4).repeat_interleave(2))
    terms = method.losses(batch, method.stages[0])
    maps = method.backbone(batch.images)
    features = (maps.clamp(min=1e-6) ** 3).mean((2, 3)) ** (1 / 3)
    expected = {
        "identity": cross_entropy(method.head(features)[1], batch.labels, 0.2),
        "triplet": weighted_regularised_triplet(features, batch.labels),
    }
    assert terms.keys() == expected.keys() and set(method.stages[0].weights) == set(terms)
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)
    sum(terms.values()).backward()
    assert method.pool.p.grad  # the exponent is learned
    with torch.no_grad():
        found = method.eval().embed(batch, "probe")
        features = method.pool(method.backbone(batch.images))
        torch.testing.assert_close(found, F.normalize(method.head.bn(features)))


def test_a_margin_is_refused():
    with pytest.raises(ValueError, match="AGW has no margin, not even 0.3"):
        built("agw", margin=0.3)
