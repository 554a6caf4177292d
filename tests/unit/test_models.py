"""Networks: shapes, counts, gradients, torchvision's layout."""

from __future__ import annotations

import copy
import importlib
import pickle

import pytest
import torch
import torchvision
from torch import nn

from lib.models.backbones import BACKBONES, create_backbone
from lib.models.dual_stream import create_features
from lib.models.heads import BNNeck, FCHead, GlobalPool
from lib.models.registry import SUPERRES, Registry, made_by
from lib.models.resnet import Normalise
from lib.models.superres import create_superres

SMALL = ["bottleneck-16-1", "bottleneck-16-1-nonlocal", "bottleneck-16-2", "basic-32-1", "resnet18-half"]


@pytest.mark.parametrize("name", [*(name for name in BACKBONES if name.startswith("resnet")), *SMALL])
def test_shapes(name):
    """Last stride 1: a sixteenth of the canvas; channels as announced. On the meta device: no memory, no time."""
    with torch.device("meta"):
        network = create_backbone(name)
        images = torch.empty(2, 3, 64, 32)
    assert network(images).shape == (2, network.channels, 4, 2)
    maps = network.maps(images)
    assert [m.shape[1] for m in maps] == network.stage_channels
    assert [m.shape[2] for m in maps] == [16, 8, 4, 4]
    assert network.name == name.removesuffix("-nonlocal")  # whose first weights are its own


@pytest.mark.parametrize("name", SMALL)
def test_forward_and_gradient(name):
    torch.manual_seed(0)
    network = create_backbone(name)
    out = network(torch.rand(2, 3, 32, 16))
    out.square().mean().backward()
    assert out.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_known_counts():
    """PROTOCOLS.md §5: ResNet-50 without a classifier; §6: the course's small network."""
    with torch.device("meta"):
        counts = {n: sum(p.numel() for p in create_backbone(n).parameters()) for n in ("resnet50", "bottleneck-16-2")}
    assert counts["resnet50"] == 23_508_032
    assert counts["bottleneck-16-2"] + 512 * 100 == 930_384  # with a classifier of 100 identities: 0.93 M


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_torchvisions_weights_fit_and_give_torchvisions_features(name):
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(name, weights=None).eval()
    ours = create_backbone(name, last_stride=2).eval()
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert not missing and sorted(unexpected) == ["fc.bias", "fc.weight"]
    images = torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        theirs.fc = torch.nn.Identity()
        torch.testing.assert_close(ours(images).mean((2, 3)), theirs(Normalise()(images)))


def test_normalisation_is_part_of_the_network():
    images = torch.full((1, 3, 2, 2), 0.5)
    expected = (0.5 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(Normalise()(images)[0, :, 0, 0], expected)


def test_unknown_backbone_lists_known_ones():
    with pytest.raises(ValueError, match="resnet50.*bottleneck-16-1"):
        create_backbone("resnet5")


@pytest.mark.parametrize("kind", ["average", "max", "gem"])
def test_pooling_by_hand(kind):
    maps = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 2, 2)
    cubes = (1 + 8 + 27 + 64) / 4
    expected = {"average": 2.5, "max": 4.0, "gem": cubes ** (1 / 3)}[kind]
    assert GlobalPool(kind)(maps).item() == pytest.approx(expected, rel=1e-5)


def test_unknown_pooling():
    with pytest.raises(ValueError, match="average, max, gem"):
        GlobalPool("median")


def test_bnneck_has_no_bias_and_normalises():
    neck = BNNeck(6, 3)
    normalised, logits = neck(torch.randn(64, 6) * 5 + 3)
    assert logits.shape == (64, 3) and neck.classifier.bias is None and not neck.bn.bias.requires_grad
    torch.testing.assert_close(normalised.mean(0), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalised.var(0, unbiased=False), torch.ones(6), atol=1e-3, rtol=0)


def test_a_network_says_which_entries_made_it():
    """The last first; copies and pickles keep it; what asks for a network beats the entry's options."""
    table = Registry("TABLE", "network")
    table.add("narrow", nn.Linear, 4, out_features=2)
    network = table.create("narrow", bias=False)
    assert made_by(network) == (f"{__name__}:TABLE[narrow]",) and network.bias is None
    assert made_by(copy.deepcopy(network)) == made_by(pickle.loads(pickle.dumps(network))) == made_by(network)
    assert table.create("narrow", out_features=7).out_features == 7
    assert made_by(create_backbone("dgd-quarter")) == ("lib.models.dgd:BACKBONES[dgd-quarter]",)
    assert made_by(create_backbone("bottleneck-4-1")) == ()
    rife, backbone = "lib.models.dual_stream:STREAMS[rife]", "lib.models.resnet:BACKBONES[resnet18-half]"
    network = create_features("resnet18-half", "rife")  # built of the parts of two backbones
    assert made_by(network) == (rife,) and {made_by(part) for part in network.low} == {(rife, backbone)}


def test_a_table_has_every_name_once():
    table = Registry("TABLE", "network")
    table.add("one", nn.Identity)
    with pytest.raises(ValueError, match=r"a network 'one' already \(.*TABLE\[one\]\)"):
        table.add("one", nn.Flatten)
    with pytest.raises(ValueError, match="unknown network 'two'; known: one"):
        table.create("two")
    assert list(table) == ["one"] and "one" in table and table["one"] is nn.Identity and len(table) == 1


def test_the_tables_know_every_network():
    assert {"resnet50", "dgd", "densenet121", "seresnet18-half", "osnet", "osnet-0.25"} <= set(BACKBONES)
    assert {"bicubic", "srcnn-luma", "ffsr", "vdsr", "srgan-narrow"} <= set(SUPERRES)
    assert create_superres("vdsr-narrow").made_by == ("lib.models.superres_deep:SUPERRES[vdsr-narrow]",)
    for name, entry in [*BACKBONES.entries.items(), *SUPERRES.entries.items()]:
        module, _, place = entry.place.partition(":")
        assert place.endswith(f"[{name}]") and importlib.import_module(module)


def test_dgds_head_normalises_rectifies_and_classifies():
    head, x = FCHead(3, 4, 2).eval(), torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    wanted = x @ head.reduce.weight.T + head.reduce.bias
    descriptor, logits = head(x)
    torch.testing.assert_close(descriptor, wanted)
    rectified = (wanted / (1 + head.bn.eps) ** 0.5).clamp(min=0)
    torch.testing.assert_close(logits, rectified @ head.classifier.weight.T)
