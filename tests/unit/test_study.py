"""Studies: rows trained alike in every cell, fused and asked again without another forward pass; and the record."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from types import SimpleNamespace

import miniatures
import numpy as np
import pandas as pd
import pytest
import torch
import training_helpers as helpers

from lib.data import load_dataset, make_protocol
from lib.data.canvases import Canvases
from lib.evaluation import evaluate, extract, mean_difference
from lib.evaluation.restoration import psnr
from lib.experiments import claims, ftwa, hrnet_branches, jbim, measured, pools, record, ripr, sing, studies, workers
from lib.experiments import study as instrument
from lib.experiments.controls import CONTROLS, controls, plain
from lib.experiments.jbim_tables import TABLE_5
from lib.experiments.published import published
from lib.experiments.recorded import Record, beside, gains, known, known_claim, recorded, said_by, taken_back, verdicts
from lib.experiments.study import IMAGES, Cell, Comparison, Plan, Row, Study, View, cells
from lib.experiments.trained import Trained
from lib.methods import create_method
from lib.methods.baseline import Baseline
from lib.methods.ensemble import AdaptiveEnsemble
from lib.models.state import WeightsUnavailable
from lib.models.superres import create_superres
from lib.training.weights import PEDESTRIANS, load_first_weights

VARIED = ("1", "1/2", "1/3", "1/4")
TWO = (1 / 2, 1 / 4)


@pytest.fixture(scope="module")
def people():
    return load_dataset("pedestrians", identities=40)


@pytest.fixture(scope="module")
def protocol(people):
    return make_protocol(people, "mlr")


@pytest.fixture(scope="module")
def trained(people, tmp_path_factory):
    """A study with two anchors of SING and the controls, in two cells."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REID_RUNS", str(tmp_path_factory.mktemp("runs")))
        rows = [Row(sing.BICUBIC, partial(sing.enlarged, kernel="bicubic")), Row("SING", sing.sing, TWO), *controls()]
        rows += [View(f"anchor {i}", "SING", partial(Trained.results, only=[i])) for i in (0, 1)]
        rows += [View("estimated", "SING", partial(sing.estimated, sigma=0.1))]
        yield Study("small", rows, cells(people, "mlr", seeds=2), "quick", progress=False)


def test_every_subset_is_what_evaluate_says_of_it(trained, protocol):
    row = trained.trained("SING")
    models = [run.method for run in row.runs[0]]
    both, _ = row.results(sigma=0.3)
    expected = evaluate(AdaptiveEnsemble(models, TWO, 0.3), protocol)
    np.testing.assert_allclose(both.ranking.cmc, expected.ranking.cmc, atol=1e-6)
    one, _ = row.results(only=[1])
    np.testing.assert_allclose(one.rank(5), evaluate(models[1], protocol).rank(5), atol=0.01)  # ties in float32
    assert one.protocol_sha256 == protocol.sha256
    plain, _ = trained.results(sing.BICUBIC)
    expected = evaluate(trained.trained(sing.BICUBIC).method, protocol)
    np.testing.assert_array_equal(plain.ranking.cmc, expected.ranking.cmc)


def test_the_scales_of_an_ensemble_are_those_of_eq_7(trained, protocol):
    ensemble = trained.trained("SING").ensemble()
    p, g = (extract(ensemble, protocol, protocol.rows("test", role), role=role) for role in ("probe", "gallery"))
    np.testing.assert_allclose(p[:, -1] / np.sqrt(np.square(g[:, -1]).mean()), sing.true_scales(protocol), rtol=1e-5)


def test_images_are_described_once(trained, monkeypatch):
    row = trained.trained("SING")
    before, _ = row.results(only=[0])
    monkeypatch.setattr("lib.experiments.trained.extract", lambda *a: pytest.fail("described again"))
    again, _ = row.results(only=[0])
    np.testing.assert_array_equal(again.ranking.cmc, before.ranking.cmc)
    with pytest.raises(pytest.fail.Exception, match="described again"):  # other ratios are other pictures
        row.results(at={"probe": 0.2, "gallery": 1.0})


def test_sizes_estimated_by_several_functions_are_kept_apart(trained):
    """Each of them made and forgotten: the next may lie at its address."""
    row = Trained("SING", TWO, trained.trained("SING").runs[:1])
    for v in (0.5, 0.25, 0.33, 0.9):
        row.results(scale=[lambda x, v=v: torch.full((len(x),), v)], sigma=0.5)
    sizes = [float(found[0, -1]) for key, found in row._features.items() if key[2] == "probe"]
    np.testing.assert_allclose(sizes, (0.5, 0.25, 0.33, 0.9), rtol=1e-6)


def test_sigma_and_the_rival_are_chosen_on_validation_people(trained, monkeypatch):
    seen, results = [], Trained.results

    def spied(self, *arguments, **options):
        seen.append(options["subset"])
        return results(self, *arguments, **options)

    row = Trained("SING", TWO, trained.trained("SING").runs)
    monkeypatch.setattr(Trained, "results", spied)
    assert row.sigma in (0.05, 0.1, 0.2, 0.5, 1.0, None) and set(seen) == {"val"}
    seen.clear()
    assert trained.strongest(CONTROLS) in CONTROLS and set(seen) == {"val"}


def test_a_view_tests_the_models_of_its_row_in_another_way(trained, monkeypatch):
    (cell, _), one = trained.cells, trained.results("anchor 1")
    expected = trained.trained("SING").results(only=[1])
    assert [r.rank(1) for r in one] == [r.rank(1) for r in expected]
    monkeypatch.setattr(instrument, "fit", lambda *a, **k: pytest.fail("trained"))
    assert trained.run("anchor 1", cell, 1 / 4) is trained.run("SING", cell, 1 / 4) and trained.is_there(
        "anchor 0", cell
    )
    where = [trained.results("anchor 1", [cell], subset="val")[0].subset, trained.trained("anchor 1").name]
    assert where == ["val", "SING"]


def test_a_row_is_ranked_once_for_all_its_differences(trained, monkeypatch):
    both = [trained.results(name, trained.cells[:1], subset="val") for name in ("SING", "anchor 1")]
    monkeypatch.setattr("lib.experiments.trained.evaluate", lambda *a, **k: pytest.fail("ranked again"))
    for name, results in zip(("SING", "anchor 1"), both, strict=True):
        assert trained.results(name, trained.cells[:1], subset="val") is results
    with pytest.raises(pytest.fail.Exception, match="ranked again"):
        trained.results("SING", trained.cells[1:], subset="val")
    with pytest.raises(pytest.fail.Exception, match="ranked again"):
        trained.results("SING", trained.cells[:1], subset="val", only=[0])


def test_what_was_found_in_some_cells_serves_others(small, monkeypatch):
    """Rows trained in different cells are compared over those that they share: nothing is described again for it."""
    (some,) = small().values()
    name = "baseline"
    whole = some.results(name)
    monkeypatch.setattr("lib.experiments.trained.extract", lambda *a: pytest.fail("described again"))
    monkeypatch.setattr("lib.experiments.trained.evaluate", lambda *a, **k: pytest.fail("ranked again"))
    for where in (some.cells[:2], some.cells[1:], some.cells[::2]):
        assert all(a is whole[some.cells.index(cell)] for a, cell in zip(some.results(name, where), where, strict=True))


def test_an_ensemble_is_described_once_for_all_sets_of_cells(trained, monkeypatch):
    """Its sigma is chosen anew for them, from the same descriptors."""
    for subset in ("test", "val"):
        trained.results("SING", subset=subset)
    monkeypatch.setattr("lib.experiments.trained.extract", lambda *a: pytest.fail("described again"))
    for cell in trained.cells:
        (found,) = trained.results("SING", [cell])
        assert (found.training, found.protocol_sha256) == (cell.seed, cell.protocol.sha256)


def test_the_best_of_several_rows_is_chosen_on_validation_people(trained, monkeypatch):
    seen, results, rivals = [], Study.results, ("anchor 0", "anchor 1")

    def spied(self, name, where=None, **how):
        seen.append((name, how.get("subset", "test")))
        return results(self, name, where, **how)

    best = trained.strongest(rivals)
    monkeypatch.setattr(Study, "results", spied)
    one = Comparison("SING-anchors", "SING", rivals, ())
    row = trained.judge(one)
    assert one.rows == {"SING", *rivals} and row["control_verdict"] == ""
    assert set(seen) == {("anchor 0", "val"), ("anchor 1", "val"), ("SING", "test"), (best, "test")}
    assert row["mean"] == trained.difference("SING", best).mean


def test_an_estimated_r_is_near_the_true_one_and_takes_its_place(trained, protocol):
    (row, _), method = trained.trained("SING").runs, trained.trained("SING").method
    found = sing.estimates(row[0].protocol, method.canvas, method.enlargement)
    assert np.median(np.abs(np.log2(found / sing.true_scales(protocol)))) < 0.4
    given, guessed = trained.trained("SING").results(sigma=0.1), trained.results("estimated")
    assert len(given) == len(guessed) == 2
    of = (tuple(run.key for run in row), "test", "probe")
    (key,) = (k for k in trained.trained("SING")._features if k[:3] == of and k[4] is not None)
    np.testing.assert_allclose(trained.trained("SING")._features[key][:, -1], found, rtol=1e-3)


def test_every_cell_is_a_training_of_its_own(trained):
    runs = list(trained.trained(CONTROLS[0]).all_runs)
    assert [run.seed for run in runs] == [0, 1] and len({run.key for run in runs}) == 2
    d = trained.difference("SING", sing.BICUBIC)
    assert d.trainings == 2 and d.trials == 1


def test_cells_take_all_splits_of_a_seed_first(people):
    found = cells(people, "mlr", trials=2, seeds=2, seed=5)
    assert [(cell.protocol.trial, cell.seed) for cell in found] == [(0, 5), (1, 5), (0, 6), (1, 6)]
    assert {cell.protocol.seed for cell in found} == {5}  # the splits stay the same
    with pytest.raises(ValueError, match="at least one split"):
        cells(people, "mlr", seeds=0)


def test_a_study_refuses_what_it_cannot_compare(people, protocol):
    row = Row("a", sing.sing)
    with pytest.raises(ValueError, match="one name"):
        Study("twice", [row, row], [Cell(protocol, 0)], "quick")
    with pytest.raises(ValueError, match="needs rows and cells"):
        Study("empty", [row], [], "quick")
    with pytest.raises(ValueError, match="views without the row they are of: c"):
        Study("alone", [row, View("c", "b", Trained.results)], [Cell(protocol, 0)], "quick")
    with pytest.raises(KeyError, match="no row 'b'; its rows: a"):
        Study("one", [row], [Cell(protocol, 0)], "quick").row("b")
    with pytest.raises(ValueError, match="unknown study 'sin'"):
        studies.study("sin", people, "mlr", [Cell(protocol, 0)], "quick")


def test_restored_pictures_and_their_quality(protocol):
    rows = protocol.rows("test", "gallery")["image"].to_numpy()[:6]
    pictures, quality = sing.restored({"same": create_superres("bicubic")}, protocol, (48, 24), rows, 1 / 4)
    assert list(pictures) == ["original", "bilinear", "bicubic", "same"] and pictures["same"].shape == (6, 48, 24, 3)
    np.testing.assert_array_equal(pictures["same"], pictures["bicubic"])
    difference = pictures["bicubic"].astype(float) - pictures["original"]
    by_hand = 10 * np.log10(255**2 / np.square(difference).mean((1, 2, 3)))
    np.testing.assert_allclose(quality["bicubic"], by_hand, rtol=1e-4)


def test_the_psnr_of_a_joint_network_is_compared_picture_by_picture(protocol):
    """Two networks that make the pictures brighter, by 8 and 16 grey levels; each cell has one such pair."""
    brighter = {sing.APART: 8, sing.SING: 16}

    class Brighter(torch.nn.Module):
        def __init__(self, levels):
            super().__init__()
            self.by = levels / 255

        def forward(self, x):
            return x + self.by

    def run(name, cell, ratio):
        assert ratio == 1 / 4
        return SimpleNamespace(method=SimpleNamespace(sr=Brighter(brighter[name]), canvas=(48, 24)))

    study = SimpleNamespace(cells=[Cell(protocol, seed) for seed in range(3)], run=run)
    d = sing.psnr_difference(study)
    rows = protocol.rows("test", "gallery").drop_duplicates("image")["image"].to_numpy()
    canvases = Canvases(protocol, (48, 24), enlargement="bicubic")
    sharp, small = (canvases.images(rows, [r] * len(rows)).float() / 255 for r in (1.0, 1 / 4))
    by_hand = psnr(small + 8 / 255, sharp) - psnr(small + 16 / 255, sharp)
    assert d.mean == pytest.approx(float(by_hand.mean()), rel=1e-4) and d.trainings == 3 and d.low < d.mean < d.high
    trained = dict.fromkeys(brighter, study.cells)
    (row,) = sing.judged(study, trained)
    assert row["claim_id"] == "SING-psnr-lower" and row["verdict"] == "reproduced"
    assert claims.table([row])["as the paper compares"][0].endswith("dB")
    assert sing.judged(study, {sing.SING: study.cells}) == []
    assert sing.judged(study, {sing.SING: study.cells[:1], sing.APART: study.cells[1:]}) == []


def test_a_table_of_claims_keeps_the_unit_of_each(protocol):
    d = mean_difference([np.full(30, 0.2)] * 3, [np.arange(30)] * 3, [(0, 0), (0, 1), (0, 2)], "PSNR")
    rows = [claims.judge("SING-psnr-lower", d, 0.1, scale=1.0, unit="dB"), claims.judge("SING-joint", d)]
    shown = claims.table(pd.DataFrame(rows).to_dict("records"))  # as read from a file: nan where a row says nothing
    assert shown["as the paper compares"].tolist() == ["+0.20 [+0.20, +0.20] dB", "+20.0 [+20.0, +20.0] points"]
    assert shown["no effect within"].tolist() == ["0.1 dB", "1 point"]


def test_the_two_readings_of_the_pixel_loss_pull_in_the_ratio_of_their_scales(protocol):
    tiny = {"canvas": (48, 24), "backbone": "bottleneck-8-1", "epochs": 1, "batch": (8, 4)}
    pull = sing.gradient_sizes(create_method("sing", ratio=1 / 3, **tiny), protocol, "quick")
    assert pull["pixel, sum"] / pull["pixel, mean"] == pytest.approx(3 * 48 * 24, rel=1e-3)
    assert 0 < pull["identity"] < np.inf


# ---- what the rows are told


@pytest.fixture
def fits(monkeypatch):
    """What ``fit`` would have been given."""
    recorder, calls = helpers.written_down(found_again=False)
    monkeypatch.setattr(instrument, "fit", recorder)
    return calls


def on(ratios, rows, profile="course"):
    """A study on the tiny people; its 60 images are all trained on."""
    return Study("tiny", rows, [Cell(helpers.tiny_protocol(ratios=ratios), 7)], profile, progress=False)


SYNTHETIC = ("sing", "sr-then-reid", "him", "sr-then-him", "him-lim", "him-him", "jbim")  # show a copy of what is sharp
ALWAYS = ("ftwa", "ftwa-b-copies")  # the same, without a setting for it


def seen_by_the_re_id_network(study, name):
    """Images that a row's re-id network was shown in all: epochs x images x views of an image."""
    run = study.run(name, study.cells[0], (study.rows[name].ratios or (None,))[0])
    s, rows = run.method.settings, run.protocol.rows("train")
    high = 1 - run.protocol.is_low(rows).mean()
    epochs, views = (sum(s.epochs[1:]), 1) if run.method.name.startswith("ripr") else (s.epochs, 1)
    if run.method.name in ALWAYS or (run.method.name in SYNTHETIC and s.synthetic):
        views = 1 + high
    if run.method.name == "sing-everywhere":
        views = 3
    before = s.weights.get("him", s.weights.get("backbone", ""))
    earlier = [key[0] for key, run in study._runs.items() if run.directory == before]  # that it goes on with
    return epochs * len(rows) * views + sum(seen_by_the_re_id_network(study, row) for row in earlier)


@pytest.mark.parametrize("ratios", [VARIED, ("1/2", "1/4")])
def test_every_row_of_a_comparison_has_the_same_budget(ratios, fits):
    """Rows that end with a joint step have the whole budget, those that stop before it two thirds; all controls all."""
    whole, part = IMAGES["course"], 2 / 3 * IMAGES["course"]
    rows = [*ripr.rows(), *ripr.coded(), *ripr.streams(), *ripr.super_resolutions(True), *ripr.others()]
    study = on(ratios, rows)
    earlier = {ripr.RESNET, ripr.APART, ripr.RIFE, *ripr.STREAMS, *ripr.OTHER_SR, ripr.AE, ripr.OUTLINES_APART}
    for row in rows:
        expected = part if row.name in earlier | set(ripr.OTHER_BACKBONES) else whole
        assert seen_by_the_re_id_network(study, row.name) == pytest.approx(expected, rel=0.02), row.name
    if ratios == VARIED:
        rows = [row for row in [*sing.rows(), *sing.sharp_start(), *sing.ablations()][1:] if "LOMO" not in row.name]
        study = on(ratios, list({row.name: row for row in rows}.values()))
        for name in study.rows:
            assert seen_by_the_re_id_network(study, name) == pytest.approx(whole, rel=0.02), name


def test_every_row_of_jbim_has_the_same_budget(fits):
    """What is learned apart has two thirds; the third step, with and without the fusion, the rest of it."""
    rows = [*jbim.rows(), *jbim.sweeps(), *jbim.with_osnet()]
    study, whole = on(VARIED, rows), IMAGES["course"]
    rows = [row for row in rows if row.name not in jbim.SCALED.values()]  # no re-id network
    third = {jbim.JBIM, jbim.ON, *CONTROLS, jbim.ALL, jbim.SING}
    for row in rows:
        goes_on = row.name in third or row.name.startswith("JBIM")
        expected = whole if goes_on else 2 / 3 * whole
        assert seen_by_the_re_id_network(study, row.name) == pytest.approx(expected, rel=0.02), row.name


def test_what_the_rows_of_jbim_are_told(fits):
    study = on(VARIED, [*jbim.rows(), *jbim.sweeps(), *jbim.with_osnet()])
    (cell,) = study.cells
    quarter = {name: study.run(name, cell, 1 / 4) for name in (jbim.HIM, jbim.LIM, jbim.JBIM, jbim.ON, jbim.BESIDE)}
    for name in (jbim.JBIM, jbim.ON, jbim.BESIDE):
        told = quarter[name].method.settings
        assert told.ratio == 1 / 4, name
        assert told.weights == {"him": quarter[jbim.HIM].directory, "lim": quarter[jbim.LIM].directory}, name
    assert quarter[jbim.BESIDE].method.settings.epochs == 0
    assert quarter[jbim.ON].method.settings.epochs == quarter[jbim.JBIM].method.settings.epochs > 0
    steep = study.run("JBIM, alpha 1000", cell)
    assert steep.method.settings.alpha == 1000 and steep.method.settings.weights == {
        "him": study.run("HIM, alpha 1000", cell).directory, "lim": study.run(jbim.LIM, cell, 1 / 3).directory,
    }  # fmt: skip
    assert study.run("JBIM, beta 5", cell).method.settings.weights["him"] == study.run(jbim.HIM, cell, 1 / 3).directory
    assert study.run(jbim.NO_COPIES[jbim.JBIM], cell).method.settings.synthetic is False
    small = study.run("JBIM (OSNet)", cell).method.settings
    assert small.backbone == study.run("LIM (OSNet)", cell).method.settings.backbone != steep.method.settings.backbone
    twice = study.run(jbim.TWICE, cell).method
    assert twice.name == "him-him" and twice.settings.weights["lim"] == study.run(jbim.SEQUENTIAL, cell).directory


def test_every_row_of_ftwa_has_the_whole_budget(fits):
    study = on(VARIED, [*ftwa.rows(), *ftwa.ablations(), *ftwa.views()])
    models = [name for name, row in study.rows.items() if isinstance(row, Row)]
    assert len(models) == 18 and len(study.rows) == 27
    for name in models:
        assert seen_by_the_re_id_network(study, name) == pytest.approx(IMAGES["course"], rel=0.02), name


def test_what_the_rows_of_ftwa_are_told(fits):
    study = on(VARIED, [*ftwa.rows(), *ftwa.ablations()])
    told = {
        name: (run := study.run(name, study.cells[0])).method.told | {"kind": run.method.name} for name in study.rows
    }
    shared = {"weights", "epochs", "kind"}
    changed = {name: {k: v for k, v in some.items() if k not in shared} for name, some in told.items()}
    assert changed[ftwa.FTWA] == {} == changed[ftwa.B] == changed[ftwa.COPIES]
    assert changed[ftwa.R] == {"attention": "equal"} and changed[ftwa.BARE] == {"erase": 0.0}
    assert changed[ftwa.IDENTITY] == {"attention": "equal", "transform": "identity"}
    assert changed[ftwa.SWA_IDENTITY] == {"transform": "identity"} and changed[ftwa.BALANCED] == {"entropy": 1.0}
    assert changed[ftwa.balance_name(0.1)] == {"entropy": 0.1} and ftwa.balance_name(1.0) == ftwa.BALANCED
    assert [told[name]["kind"] for name in (ftwa.FTWA, ftwa.B, ftwa.COPIES)] == ["ftwa", "ftwa-b", "ftwa-b-copies"]
    assert all(some["weights"] == {"backbone": "pedestrians"} for some in told.values())
    assert study.run(ftwa.BARE, study.cells[0]).method.settings.epochs == told[ftwa.B]["epochs"]


def test_the_published_rows_of_ftwa_are_there():
    for table, rows in (("FTWA-T1", ftwa.TABLE_1), ("FTWA-T2", ftwa.TABLE_2)):
        known = set(map(tuple, published(table)[["method", "variant"]].to_numpy()))
        assert set(rows.values()) <= known
        if table == "FTWA-T2":
            assert set(rows.values()) == known


def test_what_the_rows_of_ripr_are_told(fits):
    study = on(VARIED, [*ripr.rows(), *ripr.super_resolutions(True)])
    (cell,) = study.cells
    apart = study.run(ripr.APART, cell).method.settings
    resnet = study.run(ripr.RESNET, cell)
    assert resnet.method.settings.network == "bilinear" and resnet.seed == 7
    assert apart.epochs[1:] == (0, 0) and apart.pairs == "protocol" and apart.mask == "gaussian"
    assert apart.weights == {"sr": "pedestrians", "backbone": resnet.directory, "head": resnet.directory}
    both = study.run(ripr.BOTH, cell).method
    sr, reid = study.run(ripr.APART, cell), study.run(ripr.RIFE, cell)
    assert both.settings.weights == {"sr": sr.directory, "backbone": reid.directory, "head": reid.directory}
    assert both.settings.streams == "rife" and both.settings.epochs[:2] == (0, 0)
    frozen = study.run(ripr.FROZEN, cell).method
    assert frozen.name == "ripr-apart" and frozen.settings.weights["sr"] == sr.directory
    longer = study.run(ripr.LONGER, cell).method.settings  # same rate and epochs as the joint step, no FFSR
    assert longer.network == "bilinear" and longer.epochs[1] == both.settings.epochs[2]
    assert longer.lr[1] == both.settings.lr[2] and longer.weights["backbone"] == resnet.directory
    outlines = study.run(ripr.OUTLINES, cell).method.settings
    assert outlines.mask == "person" and outlines.weights["sr"] == study.run(ripr.OUTLINES_APART, cell).directory
    vdsr = study.run(ripr.VDSR, cell).method.settings
    assert vdsr.mask == "none" and vdsr.lr[0] == 10 * study.run(ripr.SRCNN, cell).method.settings.lr[0]


@contextlib.contextmanager
def suppress_missing():
    """What does not ship is said to be missing; what ships and does not fit is an error."""
    try:
        yield
    except WeightsUnavailable as error:
        if "there are no first weights" not in str(error):
            raise


@pytest.mark.parametrize("plan", ["jbim", "jbim_sweeps", "pshrnet", "ripr", "sing", "ftwa"])
def test_the_shipped_first_weights_of_every_row_fit(plan, people, fits):
    """Also where a shape does not tell: a network of a fixed scale starts from what was trained for its own."""
    study = on(VARIED, studies.STUDIES[plan].rows(people))
    tried = set()
    for name, row in study.rows.items():
        if isinstance(row, View):
            continue
        method = study.run(name, study.cells[0], next(iter(row.ratios), None)).method
        shipped = {part: source for part, source in method.first_weights().items() if source in PEDESTRIANS}
        told = method.settings
        key = (type(method), *(getattr(told, of, None) for of in ("network", "backbone", "ratio", "canvas")), *shipped)
        if key in tried or not shipped:
            continue
        tried.add(key)
        method.setup("course", 2)
        for part, source in shipped.items():
            with suppress_missing():
                load_first_weights(method, part, source, progress=False)
        if "sr" in shipped and told.network.partition("-")[0] in ("fsrcnn", "rcan", "srgan"):
            assert method.sr.scale == 4, name  # ``data/weights``: trained for 1/2, 1/3 and 1/4
    assert tried


def test_sing_in_ripr_s_table(fits):
    (cell,) = (study := on(VARIED, ripr.rows())).cells
    assert study.run(ripr.SING, cell).method.name == "sing"
    (cell,) = (study := on(("1/2", "1/4"), ripr.rows())).cells
    assert study.run(ripr.SING, cell).method.name == "sing-everywhere"
    (cell,) = (study := on(("1",), ripr.rows())).cells  # CAVIAR4REID: nothing is degraded
    assert study.run(ripr.APART, cell).method.settings.pairs == "synthetic"


def test_every_comparison_is_of_rows_that_there_are(people):
    for name, plan in studies.STUDIES.items():
        rows = {row.name for row in plan.rows(people)}
        assert len(rows) == len(plan.rows(people)), name
        for one in plan.comparisons:
            assert one.rows <= rows, one.claim


@pytest.mark.parametrize("ratios", [VARIED, ("1",)], ids=["degraded", "low as they come"])
def test_every_row_finds_what_it_starts_from(ratios, people, fits, monkeypatch):
    """In its own study: a teacher that another study has is none."""
    few = helpers.tiny_protocol()
    monkeypatch.setattr(hrnet_branches, "first_people", lambda plan: few)
    for plan in studies.STUDIES.values():
        study = on(ratios, plan.rows(people))
        for name, row in study.rows.items():
            for ratio in () if isinstance(row, View) else row.ratios or (None,):
                assert study.run(name, study.cells[0], ratio)


# ---- the record


@pytest.fixture
def small(people, monkeypatch, tmp_path):
    """A plan of three quick rows under the name "small", kept as if they were evidence."""
    rows = [Row(sing.BICUBIC, partial(sing.enlarged, kernel="bicubic")), *controls()]
    claim = Comparison("SING-sr-helps", CONTROLS[1], sing.BICUBIC)

    def judged(study, trained):
        assert trained.keys() == study.rows.keys()
        return [claims.judge("SING-joint", study.difference(CONTROLS[1], CONTROLS[0]), scale=1.0, unit="of 1")]

    plan = Plan(lambda people: rows, lambda name: ("mlr",), [claim], judged)
    monkeypatch.setitem(studies.STUDIES, "small", plan)
    monkeypatch.setenv("REID_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path / "measured"))
    monkeypatch.setattr(measured, "EVIDENCE", ("quick", "course", "paper"))
    return lambda: {
        "mlr": studies.study("small", people, "mlr", cells(people, "mlr", seeds=3), "quick", progress=False)
    }


def test_the_record_stops_after_its_hours_and_goes_on(small, people, capsys):
    some = small()
    assert record.train([*some.values()], hours=0) == 9 and capsys.readouterr().out == ""
    assert record.write("small", people, some, "quick") == []
    ticks = iter([0.0, *range(10**6)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record.time, "monotonic", lambda: next(ticks))  # a look takes a second
        assert record.train([*some.values()], hours=7 / 3600) == 9 - 3
    again = small()  # as a new process would
    assert record.train([*again.values()], hours=0) == 9 - 3
    assert [len(where) for where in record.there(again["mlr"]).values()] == [3]
    assert record.train([*again.values()], hours=1) == 0
    written = record.write("small", people, again, "quick")
    assert [path.stem for path in written] == [f"small_{t}-pedestrians" for t in ("rows", "differences", "claims")]
    rows = measured.measured("small_rows", "pedestrians", "quick")
    assert (
        set(rows["row"]) == {sing.BICUBIC, *CONTROLS} and set(rows["trainings"]) == {3} and set(rows["trials"]) == {1}
    )
    apart = measured.measured("small_differences", "pedestrians", "quick").set_index(["row", "reference"])
    expected = again["mlr"].difference(CONTROLS[1], sing.BICUBIC)
    assert apart.loc[(CONTROLS[1], sing.BICUBIC), "mean"] == pytest.approx(expected.mean, abs=1e-5)
    assert (CONTROLS[0], CONTROLS[0]) not in apart.index
    claim, beside = measured.measured("small_claims", "pedestrians", "quick").to_dict("records")
    assert beside["claim_id"] == "SING-joint" and beside["unit"] == "of 1" and beside["preset"] == "mlr"
    assert claim["claim_id"] == "SING-sr-helps" and claim["control_row"] in CONTROLS


def test_the_record_keeps_what_is_not_trained_here(people, monkeypatch, capsys):
    """A machine with fewer trainings of a row than the stored table, or without the row, does not write over it."""
    stored = pd.DataFrame(
        [
            ("mlr", "SING", "rank-1", 3),
            ("mlr", "SING", "mAP", 3),
            ("mlr", "HIM", "rank-1", 3),
            ("plain", "SING", "mAP", 1),
        ],
        columns=["preset", "row", "metric", "trainings"],
    ).assign(trials=1)
    stored.attrs["note"] = ""
    monkeypatch.setattr(measured, "measured", lambda what, dataset, profile: stored)

    def where(trainings, trials=1):
        """So many cells, on so many splits."""
        return [SimpleNamespace(protocol=SimpleNamespace(trial=k % trials)) for k in range(trainings)]

    def lost(sing, him, plain, splits=1):
        """With so many trainings here."""
        one = {"SING": where(sing, splits), "HIM": where(him, splits), "more": where(1)}
        return record.lost("small", "viper", "course", {"mlr": one, "plain": {"SING": where(plain)}})

    assert lost(3, 3, 1) == [] and lost(4, 3, 2) == []
    assert lost(2, 3, 1) == ["SING"] and lost(3, 3, 0) == ["SING"] and lost(2, 0, 1) == ["HIM", "SING"]
    stored["trials"] = [3, 3, 1, 1]  # SING's three trainings were on three splits: three on one are fewer
    assert lost(3, 3, 1) == ["SING"] and lost(3, 3, 1, splits=3) == [] == lost(9, 9, 1, splits=3)
    assert record.lost("small", "viper", "course", {"mlr": {}}) == []  # nothing new: nothing is written anyway
    stored.attrs["note"] = "measured with other code"
    assert lost(1, 0, 0) == []


def test_of_two_records_the_second_has_the_sets_that_the_first_lacks():
    def has(value, *sets):
        rows = pd.DataFrame({"set": list(sets), "preset": "mlr", "row": "SING", "metric": "rank-1", "value": value})
        return Record(rows, rows.head(0), rows.head(0), {name: f"{name}, {value}" for name in sets})

    both = has(0.5, "pedestrians") | has(0.7, "viper", "pedestrians")
    assert both.rank1("SING") == {"pedestrians": 0.5, "viper": 0.7}
    assert both.origins == {"pedestrians": "pedestrians, 0.5", "viper": "viper, 0.7"}
    assert (has(0.5) | has(0.7, "viper")).rank1("SING") == {"viper": 0.7} and not has(0.5) | has(0.7)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sing", "--hours", "nan"], "'nan' is no number of hours"),
        (["sing", "--hours", "-1"], "'-1' is no number of hours"),
        (["sing", "--dataset", "nosuch"], "nosuch"),
        (["sing", "--preset", "nosuch"], "nosuch"),
        (["longer", "--profile", "paper"], "the papers' own epochs decide: use course"),
    ],
)
def test_bad_arguments_of_the_record_are_one_line(arguments, said, people, monkeypatch, capsys):
    if "--dataset" not in arguments:
        monkeypatch.setattr(record, "load_dataset", lambda name: people)
    with pytest.raises(SystemExit) as stop:
        record.main(arguments)
    assert stop.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]


def test_nothing_is_tested_for_a_record_that_is_kept(people, monkeypatch, capsys):
    """Testing all rows takes as long as training them: what will not be written is not tested."""
    monkeypatch.setattr(record, "lost", lambda *_: ["SING", "HIM", "LIM", "JBIM"])
    some = {"mlr": Study("few", [Row("a", lambda *_: None)], cells(people, "mlr"), "quick")}
    monkeypatch.setattr(Study, "results", lambda *_, **__: pytest.fail("tested"))
    assert record.write("sing", people, some, "quick", trained={"mlr": {"a": some["mlr"].cells}}) == []
    assert "trainings of SING, HIM, LIM and others that are not here" in capsys.readouterr().out


def test_a_lesson_shows_the_record_and_else_what_it_trained(trained, tmp_path, monkeypatch):
    """Of the lesson's own people what is recorded, else its own training; of other sets what is recorded."""
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path))
    empty = recorded("sing")
    assert not empty
    d = trained.difference("SING", sing.BICUBIC)
    one = known(empty, trained, "SING", sing.BICUBIC)
    assert (one["mean"], one["low"], one["source"]) == (d.mean, d.low, "2 trainings, just now")
    assert set(gains(empty, trained, sing.BICUBIC, ["SING", CONTROLS[0]])["set"]) == {"pedestrians"}
    rows = [
        {"preset": "mlr", "row": row, "reference": sing.BICUBIC, "mean": mean, "low": mean - 0.01, "high": mean + 0.01,
         "trainings": 3, "trials": 1, "agree": True, "identities": 400, "set": name}
        for name, row, mean in [("pedestrians", CONTROLS[0], 0.2), ("viper", "SING", 0.3), ("viper", CONTROLS[0], 0.4)]
    ]  # fmt: skip
    judged = [
        claims.judge(claim, d, dataset="viper", preset="mlr") | {"set": "viper"}
        for claim in ("SING-sr-helps", "RIPR-joint")
    ]
    some = Record(pd.DataFrame(), pd.DataFrame(rows), pd.DataFrame(judged), dict.fromkeys(["pedestrians", "viper"], ""))
    assert known(some, trained, sing.BICUBIC, CONTROLS[0])["mean"] == -0.2
    assert known(some, trained, CONTROLS[0], sing.BICUBIC)["source"] == "the record, 3 trainings"
    assert known(some, trained, "SING", sing.BICUBIC)["mean"] == d.mean  # not recorded on these people
    there = known_claim(some, "RIPR-joint", "viper", pytest.fail)
    assert (there["mean"], there["source"]) == (d.mean, "the record, 2 trainings")
    for tables, people in ((some, "pedestrians"), (empty, "viper")):
        now = known_claim(tables, "RIPR-joint", people, lambda: d)
        assert (now["low"], now["trainings"], now["source"]) == (d.low, 2, "2 trainings, just now")
        with pytest.raises(KeyError, match="not recorded"):
            tables.claim("RIPR-joint", people)
    table = gains(some, trained, sing.BICUBIC, ["SING", CONTROLS[0]]).set_index(["set", "name"])["mean"]
    expected = {("pedestrians", "SING"): d.mean, ("pedestrians", CONTROLS[0]): 0.2}
    assert table.to_dict() == expected | {("viper", "SING"): 0.3, ("viper", CONTROLS[0]): 0.4}
    comparisons = [
        Comparison("SING-sr-helps", "SING", sing.BICUBIC, (), sets=("viper",)),
        Comparison("SING-joint", "SING", "anchor 0", ()),
        Comparison("SING-synthetic", "SING", sing.NO_COPIES, ()),  # a row that the study lacks
    ]
    plan = Plan(lambda people: [], lambda name: (), comparisons)
    shown = verdicts(some, trained, plan)
    assert shown["measured on"].tolist() == ["VIPeR", "embedded people, just now"]
    assert shown["trainings"].tolist() == [2, 2]
    assert shown["table"].tolist() == ["SING-T2", "SING-T2"] and verdicts(empty, trained, plan)["table"].tolist() == [
        "SING-T2"
    ]
    assert shown["verdict"].iloc[0].startswith("undecided") and shown["verdict"].iloc[1] == "none (a quick run)"
    assert set(shown["verdict against it"]) == {""}
    row = {"verdict": "reproduced", "control_verdict": "no effect"}
    assert said_by(row, "course") == row and said_by(row, "quick")["control_verdict"] == "none (a quick run)"


def test_a_row_without_first_weights_stops_no_other(small, monkeypatch, capsys):
    some = small()
    row = Row("no weights", partial(plain, weights={"backbone": "pedestrians"}, backbone="bottleneck-4-1"))
    some["mlr"].rows = {"no weights": row, **some["mlr"].rows}
    assert record.train([*some.values()], hours=1) == 3
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12 and all("bottleneck-4-1" in line for line in lines[:3])


def test_the_records_command_names_a_damaged_table(small, people, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(record, "load_dataset", lambda name: people)
    asked = ["small", "--profile", "quick", "--seeds", "1", "--dataset", "pedestrians"]
    record.main(asked)
    (tmp_path / "measured" / "small_rows-pedestrians.json").write_text('{"sha')
    before = {path: path.read_bytes() for path in (tmp_path / "measured").iterdir()}
    with pytest.raises(SystemExit) as left:
        record.main(asked)
    assert left.value.code == 1 and "small_rows-pedestrians" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


class Diverges(Baseline):
    def losses(self, batch, stage):
        return {name: term * torch.nan for name, term in super().losses(batch, stage).items()}


def test_a_row_that_diverges_stops_no_other(small, monkeypatch, capsys):
    """In this process and in one of a pool; the others are written."""
    some = small()
    some["mlr"].rows = {"diverges": Row("diverges", lambda bench, ratio: Diverges()), **some["mlr"].rows}
    assert record.train([*some.values()], hours=1) == 3
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12 and all("is not finite" in line for line in lines[:3])
    monkeypatch.setattr(workers, "own_study", lambda asked: some["mlr"])
    assert workers.train(None, "diverges", 0, time.time() + 60) is None
    assert "diverges: " in (said := capsys.readouterr().out) and "is not finite" in said


def test_processes_share_the_cells(small, capsys):
    some = small()
    record.train([*some.values()], hours=1, share=(2, 3))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all("seed 1" in line for line in lines)


@pytest.mark.filterwarnings("ignore::lib.data.DataWarning")  # a miniature is not the whole set
def test_several_processes_train_and_test_what_one_does(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("REID_RUNS", str(tmp_path))
    monkeypatch.setenv("REID_DATA", str(miniatures.viper(tmp_path / "data", people=40).parent))
    asked = workers.Asked("baseline", "viper", "mlr", "quick", trials=1, seeds=1)
    people = load_dataset("viper")
    some, alone = workers.opened(asked, people), workers.opened(asked, people)
    for one in (some, alone):  # two of its rows
        one.rows = {name: one.rows[name] for name in ("baseline", "baseline, from scratch")}
    with pools.pool(2) as pool:
        assert record.train_beside(pool, {asked: some}, hours=0) == 2
        assert record.train_beside(pool, {asked: some}, hours=1) == 0
        assert len(capsys.readouterr().out.splitlines()) == 2
        workers.tested(pool, asked, some)
    assert record.train([alone], hours=0) == 0  # this process finds what they have trained
    for subset in ("test", "val"):
        (theirs,), (ours,) = (one.results("baseline", one.cells, subset=subset) for one in (some, alone))
        np.testing.assert_array_equal(theirs.ranking.ap, ours.ranking.ap)
        assert theirs.interval("mAP") == ours.interval("mAP")
        with pytest.raises(ValueError, match="rank again"):
            theirs.ranking.interval("mAP", seed=1)  # other groups of people
    d, e = (one.difference("baseline", "baseline, from scratch") for one in (some, alone))
    assert (d.mean, d.low, d.high) == (e.mean, e.low, e.high)


def test_the_record_s_command_says_what_is_wrong(capsys):
    for told, message in (
        (["sin"], "invalid choice: 'sin'"),
        (["sing", "--share", "3/2"], "K lies between 1 and N"),
        (["sing", "--share", "half"], "--share is K/N"),
        (["sing", "--processes", "0"], "--processes is at least 1, not 0"),
        (["sing", "--profile", "quick"], "invalid choice: 'quick'"),
    ):
        with pytest.raises(SystemExit):
            record.main(told)
        assert message in capsys.readouterr().err


def test_one_model_is_the_middle_one_of_three(people, tmp_path, monkeypatch):
    """What lesson 10 trains is found by the record, and the other way round."""
    monkeypatch.setenv("REID_RUNS", str(tmp_path))
    where = cells(people, "mlr")
    one = Study("one", sing.one_model(), where, "quick", progress=False)
    rows = [*sing.rows(), View(sing.ONE_MODEL, sing.SING, None), *sing.alone()]
    three = Study("three", rows, where, "quick", progress=False)
    for name in (sing.ONE_APART, sing.ONE_SAME, sing.ONE_MODEL):
        (run,) = one.trained(name).all_runs
        assert three.look(name, where[0], sing.ONE).directory == run.directory
        assert three.row(name).ratios[1] == sing.ONE


def test_published_gains_stand_beside_the_measured_ones():
    one = {"reference": ripr.RESNET, "low": 0.008, "high": 0.017, "trainings": 3}
    apart = pd.DataFrame(
        [
            {"set": "pedestrians", "name": ripr.FFSR, "mean": 0.012, **one},
            {"set": "viper", "name": ripr.AE, "mean": 0.01, **one},
        ]
    )
    table = beside(apart, "RIPR-T1", ripr.TABLE_1, "VR-MSMT17")
    assert list(table.index) == [name for name in ripr.TABLE_1 if name != ripr.RESNET]
    assert table.loc[ripr.FFSR].to_list() == ["+5.2", "+1.2 [+0.8, +1.7]", ""]  # 52.8 - 47.6
    assert table.loc[ripr.AE].to_list() == ["+0.5", "", "+1.0 [+0.8, +1.7]"]
    assert table.loc[ripr.SRCNN].to_list() == ["-0.9", "", ""]
    with pytest.raises(ValueError, match="no ResNet on MLR-VIPeR"):
        beside(apart, "RIPR-T1", ripr.TABLE_1, "MLR-VIPeR")


def test_each_data_set_of_the_paper_has_its_own_column():
    one = {"set": "caviar", "name": jbim.JBIM, "reference": jbim.HIM, "mean": 0.01, "low": 0.0, "high": 0.02}
    apart = pd.DataFrame([one | {"trainings": 3}])
    table = beside(apart, "JBIM-T5", TABLE_5, "MLR-VIPeR", "CAVIAR", "VR-MSMT17")  # the last: not theirs
    assert list(table)[:2] == ["published (JBIM-T5, MLR-VIPeR)", "published (JBIM-T5, CAVIAR)"]
    assert table.loc[jbim.JBIM].to_list() == ["+4.1", "+3.3", "+1.0 [+0.0, +2.0]"]  # 49.7 - 45.6 and 52.0 - 48.7


def test_against_the_control_stands_what_saw_as_many_images(trained):
    """``longer`` instead of ``a``; the rival as the paper has it."""
    one = Comparison("RIPR-rife", sing.BICUBIC, CONTROLS[1], (CONTROLS[0],), longer="SING")
    assert one.rows == {sing.BICUBIC, *CONTROLS, "SING"}
    row = trained.judge(one)
    assert row["mean"] == trained.difference(sing.BICUBIC, CONTROLS[1]).mean
    assert row["control_mean"] == trained.difference("SING", CONTROLS[0]).mean and row["against_it"] == "SING"
    (said,) = claims.table([row])["against the control"]
    assert said.endswith(f"(SING minus {CONTROLS[0]})")


def test_no_row_is_set_against_controls_that_saw_more():
    """RIPR's rows without a third step saw two thirds of the images."""
    short = {ripr.RESNET, ripr.RIFE, ripr.EQUAL, ripr.LEARNED, ripr.APART, ripr.AE, ripr.VDSR}
    for one in ripr.COMPARISONS:
        stands = one.longer or one.a
        assert not one.controls or (stands in short) == bool(set(one.controls) & short), one.claim


def test_what_the_control_takes_back_is_said():
    rows = [("a", "reproduced", "reproduced"), ("b", "reproduced", "no effect"), ("c", "undecided", "contradicted")]
    table = pd.DataFrame(rows, columns=["claim", "verdict", "verdict against it"]).assign(**{"measured on": "viper"})
    said = taken_back(table)
    assert said == "Against the control 1 of 2 reproduced claims are taken back: b (viper: no effect)."
    assert taken_back(table.iloc[[0]]) == "Against the control 0 of 1 reproduced claims are taken back."
    assert "No claim" in taken_back(table.iloc[[2]])


def test_a_premise_falls_where_it_is_certainly_wrong():
    one = Comparison("c", "a", "b", premise=("x", "y"))

    def known(low, high):
        return lambda a, b: SimpleNamespace(mean=(low + high) / 2, low=low, high=high)

    assert one.asked("viper", known(-0.03, 0.01)) and not one.asked("viper", known(-0.03, -0.01))
