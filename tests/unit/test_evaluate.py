"""From a method and a protocol to a Result, with a data set and a method small enough to check by hand."""

import json
from dataclasses import replace

import miniatures as mini
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from lib.data import PersonDataset, Protocol, make_protocol
from lib.evaluation import (
    TrainedOnTheTested,
    View,
    evaluate,
    evaluate_several,
    extract,
    objective,
    objective_from_features,
    objective_surface,
    paired_difference,
    rank_features,
)
from lib.methods import create_method
from lib.methods.ensemble import AdaptiveEnsemble
from lib.methods.method import Method

PEOPLE = 12


def stripes():
    """Each person has a colour and stripes; two cameras, two images each, of two widths."""
    rng = np.random.default_rng(0)
    rows, pixels = [], []
    for person in range(PEOPLE):
        colour, period = rng.integers(110, 130, 3), rng.integers(2, 6)
        for camera in range(2):
            for width in (24, 16):
                image = np.tile(colour, (48, width, 1)) + 50 * (np.arange(48) // period % 2)[:, None, None]
                image = image + rng.normal(0, 25, image.shape) + 10 * camera
                pixels.append(image.clip(0, 255).astype(np.uint8))
                rows.append({"pid": f"{person:03d}", "cam": f"c{camera}"})
    return PersonDataset.from_arrays("stripes", pixels, pd.DataFrame(rows))


class Pairs:
    """Camera 0 against camera 1, the probes at half their size."""

    manifest = {"degradation": {"kernel": "bicubic", "rounding": "nearest", "antialias": True, "jpeg": None}}
    kernel, sha256, convention = "bicubic", "ab" * 32, "sing"
    preset, trial, seed = "stripes", 3, 7
    resolution, ratio_at = Protocol.resolution, Protocol.ratio_at

    def __init__(self):
        self.dataset = stripes()
        table = self.dataset.table[["pid", "cam", "width", "height"]].reset_index(drop=True)
        self.table = table.assign(
            image=table.index,
            role=np.where(table["cam"] == "c0", "probe", "gallery"),
            ratio=np.where(table["cam"] == "c0", 0.5, 1.0),
            subset="test",
        )
        self.widest = int(table["width"].max())  # pixels

    def rows(self, subset, role=None):
        table = self.table[self.table["subset"] == subset]
        return table if role is None else table[table["role"] == role]


class Small(Method):
    """The picture at 12 x 6 pixels; writes down what it is called with."""

    name, canvas = "small", (48, 24)

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3, affine=True)
        self.calls = []

    def embed(self, batch, role):
        images = batch.images
        assert not self.training and torch.is_inference_mode_enabled()
        assert images.shape[1:] == (3, 48, 24) and images.min() >= 0 and images.max() <= 1
        self.calls.append((role, len(images), batch.resolution.tolist()))
        return nn.functional.adaptive_avg_pool2d(self.norm(images), (24, 4)).flatten(1)


@pytest.fixture(scope="module")
def protocol():
    return Pairs()


def test_evaluate_ranks_probes_against_the_gallery(protocol):
    method = Small().train()
    result = evaluate(method, protocol, batch_size=7)
    assert method.training and method.norm.training  # put back
    assert {role for role, *_ in method.calls} == {"probe", "gallery"}
    assert max(n for _, n, _ in method.calls) == 7
    expected = rank_features(
        extract(method, protocol, protocol.rows("test", "probe"), role="probe"),
        extract(method, protocol, protocol.rows("test", "gallery"), role="gallery"),
        protocol.rows("test", "probe")["pid"],
        protocol.rows("test", "gallery")["pid"],
        convention="sing",
    )
    np.testing.assert_allclose(result.ranking.cmc, expected.cmc)
    assert (result.rank(1), result.map, result.minp) == (expected.cmc[0], expected.map, expected.minp)
    assert result.protocol_sha256 == protocol.sha256 and result.ranking.convention == "sing"
    assert 1 / PEOPLE < result.rank(1) <= 1


def test_the_summary_has_all_metrics_with_intervals(protocol):
    result = evaluate(Small(), protocol)
    text = result.summary()
    for name in ("rank-1", "rank-5", "rank-10", "rank-20", "mAP", "mINP"):
        low, high = result.interval(name)
        assert 0 <= low <= result.value(name) <= high <= 1
        assert f"{name:>8} {100 * result.value(name):6.1f} %   [{100 * low:.1f}, {100 * high:.1f}]" in text
    assert "small on stripes" in text and protocol.sha256[:12] in text and "trial 3" in text
    assert result.interval("rank-3")[0] <= result.rank(3)
    again = evaluate(Small(), protocol)
    assert again.interval("mAP") == result.interval("mAP")
    with pytest.raises(ValueError, match="unknown metric"):
        result.interval("rank1")


def test_rows_are_tidy(protocol, tmp_path):
    result = evaluate(Small(), protocol, ratios={"probe": 0.25})
    frame = result.to_frame()
    assert list(frame["metric"]) == list(result.ranking.metrics)
    assert (frame["ratio_probe"] == 0.25).all() and frame["ratio_gallery"].isna().all()
    frame.to_csv(tmp_path / "results.csv", index=False)
    back = pd.read_csv(tmp_path / "results.csv")
    assert back["protocol_sha256"][0] == protocol.sha256 and back["value"][0] == pytest.approx(result.rank(1))
    row = result.to_row()
    assert row["rank-1"] == result.rank(1) and (row["mAP_low"], row["mAP_high"]) == result.interval("mAP")


def test_several_protocols_at_once_are_each_by_itself():
    """Other kernels enlarge a gallery to other pictures, and VR shows none as it is: those are described apart."""
    data, method = stripes(), Small().eval()
    told = {"plain": {}, "mlr": {}, "mlr-one-camera": {}, "vr": {"widths": (8, 12)}}
    protocols = {
        preset: make_protocol(data, preset, test_identities=6, validation=0, **o) for preset, o in told.items()
    }
    protocols["bilinear"] = make_protocol(data, "mlr", test_identities=6, validation=0, kernel="bilinear")
    found = evaluate_several(method, protocols)
    assert list(found) == list(protocols)
    for name, protocol in protocols.items():
        alone = evaluate(method, protocol)
        assert found[name].protocol_sha256 == protocol.sha256 and found[name].rank(1) == alone.rank(1), name
        assert found[name].map == pytest.approx(alone.map) and found[name].interval("rank-1") == alone.interval(
            "rank-1"
        )
    few = make_protocol(data.take(np.arange(len(data)) < 24, name="few"), "mlr", test_identities=3, validation=0)
    with pytest.raises(ValueError, match="mlr, few are not of one data set"):
        evaluate_several(method, {"mlr": protocols["mlr"], "few": few})


def test_ratios_replace_the_protocols(protocol):
    method = Small()
    evaluate(method, protocol, ratios={"probe": 1.0, "gallery": 0.25})
    seen = {
        role: {round(r, 4) for name, _, rs in method.calls for r in rs if name == role} for role in ("probe", "gallery")
    }
    assert seen == {"probe": {1.0, round(16 / 24, 4)}, "gallery": {0.25, round(4 / 24, 4)}}
    assert evaluate(method, protocol, ratios={"probe": 1.0}).map > evaluate(method, protocol, ratios={"probe": 0.1}).map
    with pytest.raises(ValueError, match="the roles are 'probe' and 'gallery'"):
        evaluate(method, protocol, ratios={"query": 0.5})
    for wrong in (4, 0, -0.5, True, "0.5", None, float("nan")):
        with pytest.raises(ValueError, match=r"the ratio of the probe is a number in \(0, 1\], not"):
            evaluate(method, protocol, ratios={"probe": wrong})
    with pytest.raises(ValueError, match="say whose"):
        evaluate(method, protocol, ratios=0.5)


def test_a_methods_own_distance_is_used(protocol):
    class Upside(Small):
        def distance(self, probes, gallery):
            return -torch.cdist(probes, gallery)

    assert evaluate(Upside(), protocol).map < 0.7 * evaluate(Small(), protocol).map


def test_collapsed_and_diverged_methods(protocol):
    class Constant(Small):
        def embed(self, batch, role):
            return torch.ones(len(batch), 5)

    assert evaluate(Constant(), protocol).rank(PEOPLE - 1) == 0

    class Diverged(Small):
        def embed(self, batch, role):
            return torch.full((len(batch), 5), torch.nan)

    method = Diverged().train()
    with pytest.raises(ValueError, match="feature of image 0 is NaN or infinite"):
        evaluate(method, protocol)
    assert method.training

    class Flat(Small):
        def embed(self, batch, role):
            return torch.ones(5)

    with pytest.raises(ValueError, match="embed returned shape"):
        evaluate(Flat(), protocol)


def test_a_canvas_and_embed_are_all_that_is_needed(protocol):
    """No base class, no ``distance``, no settings: what an exercise writes down."""

    class Own(nn.Module):
        canvas = (48, 24)

        def embed(self, batch, role):
            return batch.images.mean((2, 3))

    found = evaluate(Own(), protocol)
    assert found.method == "Own" and 0 < found.map <= 1
    assert objective(Own(), protocol, 0.5, 1.0, resamples=0).value > 0


def test_what_is_not_ready_says_what_to_do(protocol):
    with pytest.raises(ValueError, match=r"histogram has no canvas.*call method.setup"):
        evaluate(create_method("histogram"), protocol)

    class Old(Small):
        def embed(self, images, resolution, role):
            return images

    with pytest.raises(TypeError, match=r"small: embed takes a batch and a role.*batch.images and batch.resolution"):
        evaluate(Old(), protocol)


@pytest.mark.parametrize("reference", ["image", "widest"])
def test_on_vr_one_r_is_meant_everywhere(reference):
    """What a view asks for, what ``embed`` is told, what training was told, and what the axis of O says."""
    vr = make_protocol(
        mini.tiny(12, 2, 2, width=50), "vr"
    )  # images 50 and 49 pixels wide, nobody is shown wider than 32
    rows, told = vr.rows("test"), []

    class Ask(Small):
        def embed(self, batch, role):
            told.append(batch.resolution)
            return batch.images.flatten(1)

    for r in (1.0, 0.5, 0.25):
        told.clear()
        objective(Ask(), vr, r, r, reference=reference, resamples=0)
        np.testing.assert_allclose(torch.cat(told), r, atol=0.5 / 32)
        shown = View(r, reference=reference).ratios(rows, vr)
        widths = vr.dataset.table["width"].to_numpy()[rows["image"]]
        np.testing.assert_allclose(shown * widths, 32 * r)


def test_an_empty_subset_is_refused(protocol):
    with pytest.raises(ValueError, match="subset 'val' of the protocol has no probe images"):
        evaluate(Small(), protocol, subset="val")
    with pytest.raises(ValueError, match="no images in subset 'val'"):
        objective(Small(), protocol, 0.5, 1.0, subset="val")


def test_the_batch_size_changes_nothing(protocol):
    rows = protocol.rows("test")
    one, many = (extract(Small(), protocol, rows, batch_size=n) for n in (5, 1000))
    np.testing.assert_allclose(one, many, atol=1e-5)
    assert one.dtype == np.float32 and len(one) == len(rows)


def test_ratios_relative_to_the_widest_image(protocol):
    rows = protocol.rows("test")
    assert set(View(0.5).ratios(rows, protocol)) == {0.5}
    widest = View(0.8, reference="widest").ratios(rows, protocol)
    np.testing.assert_allclose(widest[:2], [0.8, 1.0])  # 24 and 16 pixels wide: 0.8 * 24 is more than 16
    assert set(View(None).ratios(rows, protocol)) == {0.5, 1.0}
    for wrong in ({"ratio": 0}, {"ratio": 1.5}, {"role": "query"}, {"reference": "height"}):
        with pytest.raises(ValueError, match=r"ratio|role|reference"):
            View(**wrong)


@pytest.mark.parametrize(("r1", "r2"), [(0.25, 1.0), (0.5, 0.5)])
def test_the_objective_of_a_method_is_that_of_its_features(protocol, r1, r2):
    method, rows = Small(), protocol.rows("test")
    found = objective(method, protocol, r1=r1, r2=r2, batch_size=9)
    assert found.pairs == "across cameras"
    f1, f2 = (extract(method, protocol, rows, ratio=r, role="probe") for r in (r1, r2))
    expected = objective_from_features(f1, None if r1 == r2 else f2, rows["pid"], cams=rows["cam"])
    assert found.value == pytest.approx(expected.value, rel=1e-5)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-5)
    assert (found.sim_pairs, found.dif_pairs) == (expected.sim_pairs, expected.dif_pairs)
    assert (found.r1, found.r2, found.protocol_sha256) == (r1, r2, protocol.sha256)
    assert f"O({r1:g}, {r2:g})" in found.summary()


def test_the_surface_extracts_once_per_resolution_and_is_symmetric(protocol):
    method, grid = Small(), [0.125, 0.5, 1.0]
    surface = objective_surface(method, protocol, grid, resamples=50, batch_size=1000)
    assert len(method.calls) == len(grid) and len(surface) == 9
    value = surface.pivot(index="r1", columns="r2", values="value").to_numpy()
    np.testing.assert_allclose(value, value.T)
    for r1, r2 in ((0.125, 1.0), (0.5, 0.5)):
        cell = surface[(surface["r1"] == r1) & (surface["r2"] == r2)].iloc[0]
        single = objective(method, protocol, r1, r2, resamples=50)
        assert cell["value"] == pytest.approx(single.value, rel=1e-4)
        assert cell["high"] == pytest.approx(single.high, rel=1e-4)
    assert value[0, 2] > value[2, 2]  # a worse picture against a good one is harder
    with pytest.raises(ValueError, match="grid"):
        objective_surface(method, protocol, [])


def test_roles_may_differ(protocol):
    class TwoFaced(Small):
        def embed(self, batch, role):
            return super().embed(batch, role) * (1.0 if role == "probe" else 2.0)

    method = TwoFaced()
    options = {"roles": ("probe", "gallery"), "resamples": 0, "batch_size": 1000, "pairs": "all"}
    surface = objective_surface(method, protocol, [0.5, 1.0], **options)
    assert len(method.calls) == 4
    assert surface["low"].isna().all()
    same = surface[(surface["r1"] == 0.5) & (surface["r2"] == 0.5)].iloc[0]
    assert same["sim_pairs"] == PEOPLE * 4 * 3  # ordered: a probe's view and a gallery's view are two things


def test_results_of_two_methods_pair(protocol):
    class Colour(Small):
        def embed(self, batch, role):
            return super().embed(batch, role).reshape(len(batch), 3, -1).mean(2)

    a, b = evaluate(Small(), protocol), evaluate(Colour(), protocol)
    difference = paired_difference([a], [b], "mAP")
    assert difference.mean == pytest.approx(a.map - b.map)
    with pytest.raises(ValueError, match="differ in protocol"):
        paired_difference([a], [replace(b, protocol_sha256="0" * 64)], "mAP")


# what evaluate is given


def test_a_method_that_was_not_set_up_is_named_with_the_remedy(protocol):
    with pytest.raises(ValueError, match=r"histogram has no canvas.*it was not set up.*fit\(method, protocol\).method"):
        evaluate(create_method("histogram"), protocol)
    with pytest.raises(TypeError, match="takes a method, not a Run: pass its .method"):
        evaluate(type("Run", (), {"method": Small()})(), protocol)
    with pytest.raises(TypeError, match="takes a method first, not a Pairs"):
        evaluate(protocol, Small())
    with pytest.raises(TypeError, match="takes a protocol second, not a NoneType"):
        evaluate(Small(), None)


def test_arguments_are_looked_at_before_the_work(protocol):
    method = Small()
    for wrong in (
        {"convention": "cuhk03"}, {"convention": ""}, {"max_rank": "5"}, {"max_rank": True}, {"max_rank": 0},
        {"seed": "0"}, {"seed": None}, {"batch_size": 0},
        {"features": {"query": np.ones((24, 2))}}, {"features": {"probe": np.ones(24)}},
        {"features": {"probe": np.ones((3, 2))}}, {"features": {"probe": np.full((24, 2), "a")}},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(wrong))):
            evaluate(method, protocol, **wrong)
    assert not method.calls
    bad = np.ones((24, 2))
    bad[5, 1] = np.nan
    for metric in (method, type("Own", (Small,), {"distance": lambda self, p, g: torch.cdist(p, g)})()):
        with pytest.raises(ValueError, match="feature of probe 5 is NaN or infinite"):
            evaluate(metric, protocol, features={"probe": bad, "gallery": np.ones((24, 2))})


def test_intervals_rank_again_when_they_are_asked_for_and_once(protocol):
    calls = []

    class Own(Small):
        def distance(self, probes, gallery):
            calls.append(len(probes))
            return super().distance(probes, gallery)

    result, plain = evaluate(Own(), protocol), evaluate(Small(), protocol)
    assert len(calls) == 1
    assert result.interval("rank-1") == pytest.approx(plain.interval("rank-1"))
    result.to_frame()
    assert len(calls) == 2


def test_a_device_that_is_not_there_is_told_so(protocol):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match=r"device 'cuda' asked for, and torch sees 0 GPU\(s\) here"):
        evaluate(Small(), protocol, device="cuda")
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        objective(Small(), protocol, 0.5, 1.0, device="gpu")


def test_a_result_knows_its_training(protocol):
    method = Small()
    assert evaluate(method, protocol).training == -1  # it has weights, and nobody says from which seed
    method.trained_seed = 4
    assert evaluate(method, protocol).training == 4 and evaluate(method, protocol).to_row()["training"] == 4
    histogram = create_method("histogram")
    histogram.setup("quick", 1)
    assert evaluate(histogram, protocol).training is None  # nothing is drawn
    other = Small()
    other.trained_seed = 2
    assert AdaptiveEnsemble([method, method], (0.5, 0.25)).trained_seed == 4
    assert AdaptiveEnsemble([method, other], (0.5, 0.25)).trained_seed == (2, 4)
    assert AdaptiveEnsemble([histogram], (0.5,)).trained_seed is None


def test_a_score_of_people_trained_on_is_said_to_be_one(protocol):
    method, tested = Small(), sorted(set(protocol.rows("test")["pid"]))
    assert evaluate(method, protocol).seen == 0
    method.trained_on = protocol.dataset.fingerprint, frozenset([*tested[:3], "999"])
    with pytest.warns(TrainedOnTheTested, match="small was trained on 3 of the 12 people it is tested on"):
        result = evaluate(method, protocol)
    assert "trained on 3 of the people tested" in result.summary() and result.to_row()["people_seen"] == 3
    for known in (None, ("another set", frozenset(tested)), (protocol.dataset.fingerprint, frozenset(["999"]))):
        method.trained_on = known
        assert evaluate(method, protocol).seen == 0  # a warning would be an error here
    training = Pairs()
    training.table["subset"] = "train"
    method.trained_on = protocol.dataset.fingerprint, frozenset(tested)
    assert evaluate(method, training, subset="train").seen == 0  # asked for by name


def test_results_are_json(protocol):
    numbers = Pairs()
    numbers.trial, numbers.seed = np.int64(3), np.int64(7)
    result = evaluate(Small(), numbers, ratios={"probe": np.float32(0.5)}, seed=np.int64(2))
    assert json.loads(json.dumps(result.to_row()))["ratio_probe"] == 0.5
    assert json.dumps(result.provenance()) and json.dumps(result.to_frame().to_dict("records"))


def test_own_distances_neither_overflow_nor_cancel(protocol):
    """An ensemble of one anchor, which has a distance of its own, ranks as its anchor does at any scale."""
    rng = np.random.default_rng(0)
    near = rng.standard_normal((24, 6))
    for change in (lambda x: x * 1e25, lambda x: x + 1e5 * (np.arange(24) % 2)[:, None], lambda x: x * 1e-25):
        probes, gallery = (change(x).astype(np.float32) for x in (near, near + 0.5 * rng.standard_normal((24, 6))))
        expected = rank_features(
            probes, gallery, *(protocol.rows("test", role)["pid"] for role in ("probe", "gallery")), convention="sing"
        )

        class Own(Small):
            def distance(self, probes, gallery):
                return super().distance(probes, gallery)

        found = evaluate(Own(), protocol, features={"probe": probes, "gallery": gallery})
        np.testing.assert_allclose(found.ranking.cmc, expected.cmc)


def test_an_embed_that_returns_no_tensor_is_told_so():
    class Pair(nn.Module):
        name, canvas = "pair", (8, 4)

        def embed(self, batch, role):
            return batch.images.flatten(1), role

    protocol = make_protocol(mini.tiny(), "mlr")
    with pytest.raises(TypeError, match=r"embed returned a tuple, expected a tensor \(\d+, D\)"):
        extract(Pair(), protocol, protocol.rows("test"))
