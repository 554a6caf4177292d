"""Activation maps: their means are what the network decides by, to 1e-6; where they would not be, they are refused."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import training_helpers as helpers
from torch import nn

from lib.data import make_protocol
from lib.data.batches import Batch
from lib.evaluation import bootstrap_mean, extract
from lib.evaluation.maps import map_correlation, match_maps, matched
from lib.methods import create_method
from lib.models.activation import Seen, class_maps, look, similarity_maps
from lib.models.heads import BNNeck, GlobalPool

SMALL = {"backbone": "bottleneck-16-1", "canvas": (64, 32)}
SING = {"network": "srcnn-915-luma", **SMALL}


class Reduced(GlobalPool):
    """A fully connected layer behind the mean: linear too."""

    def __init__(self, channels: int, dimensions: int):
        super().__init__()
        self.reduce = nn.Linear(channels, dimensions)

    def forward(self, maps):
        return self.reduce(super().forward(maps))


def lively(name: str = "baseline", seed: int = 0, reduced: bool = False, **settings):
    """A method in evaluation mode whose batch statistics and scales are those of no fresh network."""
    torch.manual_seed(seed)
    method = create_method(name, **(settings or (SING if name.startswith("si") else SMALL)))
    method.setup("quick", 7)
    if reduced:
        method.pool, method.head = Reduced(method.backbone.channels, 48), BNNeck(48, 7)
    bn = method.head.bn
    nn.init.uniform_(bn.weight, 0.5, 2)
    nn.init.normal_(bn.running_mean)
    nn.init.uniform_(bn.running_var, 0.5, 2)
    nn.init.normal_(method.head.classifier.weight)
    return method.eval()


def pictures(seed: int, count: int = 3) -> Batch:
    return Batch(torch.rand(count, 3, 64, 32, generator=torch.Generator().manual_seed(seed)))


# ---- exact


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize("name", ["baseline", "sing"])
def test_the_mean_of_a_class_map_is_the_logit(name, reduced):
    method, labels = lively(name, reduced=reduced), torch.tensor([4, 0, 6])
    seen = look(method, pictures(0), "gallery")
    maps = class_maps(seen, method.head.classifier.weight[labels])
    assert maps.shape == (3, 4, 2) and maps.dtype == torch.float64
    with torch.no_grad():
        method.double()
        logits = method.head(method.pool(method.backbone(pictures(0).images.double())))[1]
    found = maps.mean((1, 2))
    torch.testing.assert_close(found, logits[range(3), labels], rtol=1e-6, atol=1e-6 * float(logits.abs().max()))
    assert maps.std((1, 2)).min() > 0.1  # and a map is no constant


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize("name", ["baseline", "sing"])
def test_the_mean_of_a_similarity_map_is_the_similarity(name, reduced):
    """Of the descriptors as they are compared: 1 with itself, and in whatever role, a probe through SING's Fsr."""
    method = lively(name, reduced=reduced)
    sides = [(pictures(0), "probe"), (pictures(1), "gallery")]
    probe, match = (look(method, *side) for side in sides)
    with torch.no_grad():
        a, b = (method.embed(*side) for side in sides)
    torch.testing.assert_close(probe.descriptors.float(), a, rtol=0, atol=1e-6)
    found = similarity_maps(probe, match.descriptors).mean((1, 2)).float()
    torch.testing.assert_close(found, (a * b).sum(1), rtol=0, atol=1e-6)
    torch.testing.assert_close(similarity_maps(probe, probe.descriptors).mean((1, 2)), torch.ones(3).double())
    if name == "sing":
        assert not torch.allclose(probe.positions, look(method, pictures(0), "gallery").positions, rtol=1e-3)


def test_the_map_by_its_equation():
    """M_c(x, y) = sum_k W_ck g_k (F_k(x, y) - mu_k), number by number."""
    method, batch = lively(), pictures(0, 1)
    with torch.no_grad():
        maps = method.backbone(batch.images).double()[0].tolist()  # (C, h, w)
    bn, weights = method.head.bn, method.head.classifier.weight[2].tolist()
    rows = zip(weights, bn.weight.tolist(), bn.running_mean.tolist(), bn.running_var.tolist(), strict=True)
    expected = np.zeros((4, 2))
    for k, (w, gamma, mu, var) in enumerate(rows):
        for y in range(4):
            for x in range(2):
                expected[y, x] += w * gamma / (var + bn.eps) ** 0.5 * (maps[k][y][x] - mu)
    found = class_maps(look(method, batch, "probe"), method.head.classifier.weight[2:3])
    np.testing.assert_allclose(found[0].detach().numpy(), expected, rtol=1e-6, atol=1e-6)


# ---- not exact


@pytest.mark.parametrize(
    ("name", "settings", "error", "message"),
    [
        ("agw", SMALL, ValueError, "a map of agw would not be exact: it pools by 'gem'"),
        ("baseline", SMALL | {"pooling": "max"}, ValueError, "it pools by 'max', not by the mean"),
        (
            "baseline",
            SMALL | {"feature": "before"},
            ValueError,
            "baseline does not compare what comes out of its BNNeck",
        ),
        ("sing", SING | {"descriptor": 8}, TypeError, "a map of sing would not be exact: .* not GlobalPool and FCHead"),
        ("superres", {"network": "srcnn-915-luma"}, TypeError, "a BNNeck as head, not NoneType and NoneType"),
    ],
)
def test_networks_whose_maps_would_not_be_exact_are_refused(name, settings, error, message):
    torch.manual_seed(0)
    method = create_method(name, **settings)
    method.setup("quick", 7)
    with pytest.raises(error, match=message):
        look(method.eval(), pictures(0), "gallery")


def test_training_mode_and_two_maps_are_refused():
    method = lively()
    with pytest.raises(ValueError, match=r"in training mode, where the batch decides .* call eval"):
        look(method.train(), pictures(0), "probe")
    method.eval().embed = lambda batch, role: type(method).embed(method, batch, role) + method.pool(batch.images).sum()
    with pytest.raises(ValueError, match="pools 2 maps of a picture"):
        look(method, pictures(0), "probe")
    assert not method.pool._forward_pre_hooks  # whatever happens, nobody listens afterwards


def test_descriptors_of_others_are_one_for_each():
    seen = Seen(torch.rand(3, 4, 2, 5, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"\(2, 5\) descriptors for \(3, 5\): one for each picture"):
        similarity_maps(seen, torch.rand(2, 5))


# ---- of a test's people


@pytest.fixture(scope="module")
def protocol():
    return make_protocol(helpers.tiny_people(12, 6, (64, 32)), "mlr", trials=1)


@pytest.mark.parametrize("name", ["baseline", "sing"])
def test_maps_of_a_tests_people_give_their_similarities(protocol, name):
    method = lively(name).train()
    probes, matches = matched(protocol)
    assert len(probes) == len(protocol.rows("test", "probe")) and (probes["pid"].values == matches["pid"].values).all()
    maps = match_maps(method, protocol, probes, matches)
    assert maps.shape == (len(probes), 4, 2) and method.training  # put back
    a = extract(method, protocol, probes, role="probe")
    b = extract(method, protocol, matches, role="gallery")
    np.testing.assert_allclose(maps.mean((1, 2)), (a * b).sum(1), atol=1e-6)
    with pytest.raises(ValueError, match="2 probes and 3 matches"):
        match_maps(method, protocol, probes[:2], matches[:3])


def test_matches_are_the_first_of_the_same_person_in_another_camera():
    import pandas as pd

    sides = {
        "probe": pd.DataFrame({"pid": ["a", "b", "c", "d"], "cam": ["1", "1", "1", "2"]}, index=[0, 1, 2, 3]),
        "gallery": pd.DataFrame(
            {"pid": ["b", "a", "a", "a", "d"], "cam": ["1", "1", "2", "3", "1"]}, index=[10, 11, 12, 13, 14]
        ),
    }
    probes, matches = matched(SimpleNamespace(rows=lambda subset, role: sides[role].copy()))
    assert list(probes.index) == [0, 1, 3] and list(matches.index) == [12, 10, 14]
    assert list(probes.columns) == list(matches.columns) == ["pid", "cam"]


def test_map_correlation_by_loops():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 8, 6, 3))
    people = np.repeat(["p", "q", "r", "s"], 2)
    found = map_correlation(a, b, people)
    each = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(a, b, strict=True)]
    np.testing.assert_allclose(found.each, each)
    assert found.mean == pytest.approx(np.mean(each))
    assert (found.low, found.high) == pytest.approx(bootstrap_mean(each, people))
    assert found.low < found.mean < found.high
    scaled = map_correlation(3 * a + 1, b - 7, people)
    np.testing.assert_allclose(scaled.each, found.each)
    assert map_correlation(a, -a, people).mean == pytest.approx(-1)


def test_map_correlation_refuses_what_it_cannot_compare():
    a = np.random.default_rng(0).normal(size=(3, 6, 3))
    with pytest.raises(ValueError, match="of the same pictures"):
        map_correlation(a, a[:, :4], [0, 1, 2])
    flat = a.copy()
    flat[1] = 0.25
    with pytest.raises(ValueError, match="a map of picture 1 is the same everywhere"):
        map_correlation(a, flat, [0, 1, 2])
    with pytest.raises(ValueError, match="2 identities"):
        map_correlation(a, a, [0, 1])
