"""PS-HRNet's study: what its rows are told, the teacher found again, and what else is measured of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import training_helpers as helpers

from lib.data import load_dataset, make_protocol
from lib.evaluation import evaluate, paired_difference
from lib.evaluation.restoration import psnr, ssim
from lib.experiments import claims, pshrnet, pshrnet_results, rates, ripr, studies
from lib.experiments import study as instrument
from lib.experiments.controls import CONTROLS
from lib.experiments.pshrnet_solo import Pictures, Untrained
from lib.experiments.study import IMAGES, Bench, Cell, Study, cells
from lib.methods import create_method
from lib.methods.pshrnet import ELEMENTS
from lib.plots import restoring

VARIED = ("1", "1/2", "1/3", "1/4")


# ---- what the rows are told


@pytest.fixture
def fits(monkeypatch):
    """What ``fit`` would have been given."""
    recorder, calls = helpers.written_down()
    monkeypatch.setattr(instrument, "fit", recorder)
    return calls


def on(ratios, rows, profile="course"):
    """A study on the tiny people; its 60 images are all trained on."""
    return Study("tiny", rows, [Cell(helpers.tiny_protocol(ratios=ratios), 7)], profile, progress=False)


def all_rows():
    return [*pshrnet.rows(), *pshrnet.ablations(), pshrnet.others()[0]]


def settings_of(study, name):
    return study.run(name, study.cells[0]).method.settings


@pytest.mark.parametrize("ratios", [VARIED, ("1",)])
def test_every_row_shows_its_network_the_whole_budget(ratios, fits):
    study = on(ratios, all_rows())
    for name in study.rows:
        s = settings_of(study, name)
        expected = 0 if name in (pshrnet.SOLO, pshrnet.PIXELS, pshrnet.UNTRAINED) else IMAGES["course"]
        if (
            name in (pshrnet.HRNET, pshrnet.LONGER) and ratios == VARIED
        ):  # the teacher as it is: trained on the same people, elsewhere
            expected = 0
        assert s.epochs * 60 == pytest.approx(expected, rel=0.02), name
    plain = on(("1",), pshrnet.plain_rows())
    for name in plain.rows:
        assert settings_of(plain, name).epochs * 60 == pytest.approx(IMAGES["course"], rel=0.02), name
    assert settings_of(study, pshrnet.SOLO).restore_epochs * 60 == pytest.approx(IMAGES["course"], rel=0.02)


def test_the_teacher_is_the_row_at_full_resolution(fits):
    """Trained once, on the preset "plain" of the same people; it goes on from there."""
    study = on(VARIED, all_rows())
    (cell,) = study.cells
    for name in study.rows:
        study.run(name, cell)
    trained = [
        call for call in fits if call.method.name == "hrnet-reid" and call.protocol.manifest["preset"] == "plain"
    ]
    assert len(trained) == 2
    (sharp, twice), alone = trained, study.run(pshrnet.HRNET, cell)
    assert (sharp.protocol.table["ratio"] == 1).all() and sharp.method.settings.sees == "low" and sharp.seed == 7
    assert sharp.method.told == pshrnet.recognise(pshrnet.sharp(Bench(study, cell)), None).told  # Table VI's own row
    assert alone.method.settings.weights == {"backbone": sharp.directory, "head": sharp.directory}
    assert alone.method.settings.head == sharp.method.settings.head and alone.method.settings.epochs == 0
    for name in (pshrnet.PS, pshrnet.NO_SR, pshrnet.CODE, pshrnet.FROM_TEACHER, pshrnet.LAST, pshrnet.ALL_SIX):
        assert settings_of(study, name).weights["teacher"] == alone.directory, name
    assert twice.method.settings.weights == {"backbone": sharp.directory, "head": sharp.directory}
    more = study.run(pshrnet.LONGER, cell)
    assert more.method.settings.weights["head"] == twice.directory and more.method.settings.epochs == 0
    assert settings_of(study, pshrnet.LONGER_TEACHER).weights["teacher"] == more.directory
    for name in (pshrnet.TRAINED_ON, pshrnet.SOLO, pshrnet.FROM_TEACHER):
        weights = settings_of(study, name).weights
        assert weights["backbone"] == weights["head"] == alone.directory, name
    for name in (pshrnet.PS, pshrnet.SR_ID, pshrnet.ID, *pshrnet.JOINT.values()):
        assert settings_of(study, name).weights["backbone"] == "pedestrians", name


def test_what_the_rows_are_told(fits):
    study = on(VARIED, all_rows())
    told = {name: settings_of(study, name) for name in study.rows}
    assert told[pshrnet.PS].elements == ("seq1", "seq4", "seq5", "logits") and told[pshrnet.SR_ID].elements == ()
    assert told[pshrnet.LAST].elements == ("seq5", "logits") and told[pshrnet.ALL_SIX].elements == ELEMENTS
    assert told[pshrnet.PS].weights["sr"] == "pedestrians" and told[pshrnet.NO_SR].network == "bicubic"
    assert "sr" not in told[pshrnet.NO_SR].weights and "teacher" not in told[pshrnet.SR_ID].weights
    assert told[pshrnet.THROUGH].pixel == 0 and told[pshrnet.SR_ID].pixel == 0.5
    assert told[pshrnet.ORIGINALS].sees == "either" and told[pshrnet.ID].sees == "low"
    code = told[pshrnet.CODE]
    assert code.margin == 0.3 and code.sr_rate == 1 and code.elements == ELEMENTS and code.pixel > 2
    assert code.batch == told[pshrnet.PS].batch == (16, 4)
    networks = {name: told[row].network for name, row in pshrnet.JOINT.items()}
    assert networks == {name: by["course"] for name, by in pshrnet.NETWORKS.items()}
    for row in pshrnet.JOINT.values():
        assert told[row].backbone == "resnet18-half" and told[row].head == "pooled" and not told[row].elements, row
    assert told[pshrnet.PCB].head == "stripes" and told[pshrnet.PCB].backbone == "resnet18-half"
    assert all(s.pairs == "protocol" for s in told.values() if hasattr(s, "pairs"))


def test_rows_at_full_resolution(fits):
    study = on(("1",), pshrnet.plain_rows())
    told = {name: settings_of(study, name) for name in study.rows}
    backbones = {name: s.backbone for name, s in told.items() if name not in CONTROLS}
    assert backbones[pshrnet.HRNET] == backbones[pshrnet.HRNET_C] == "hrnet-w12" == backbones[pshrnet.AVERAGE]
    assert backbones[pshrnet.FORGETFUL] == "hrnet-w12-forgetful" and backbones[pshrnet.DENSENET] == "densenet-narrow"
    assert [told[name].pooling for name in (pshrnet.HRNET, pshrnet.AVERAGE, pshrnet.MAX)] == ["both", "average", "max"]
    assert (
        told[pshrnet.HRNET_C].triplet == 0.2
        and told[pshrnet.HRNET_C_CE].triplet == 0 == told[pshrnet.FORGETFUL].triplet
    )
    searched = {pshrnet.HRNET_C: 4e-3, pshrnet.HRNET_C_CE: 4e-3, pshrnet.FORGETFUL: 4e-3}
    assert all(s.lr == searched.get(name, 2e-3) for name, s in told.items() if name not in CONTROLS)


def test_a_rate_that_was_searched_is_told_to_short_trainings_only(fits, monkeypatch):
    monkeypatch.setitem(pshrnet.RATES, pshrnet.RESNET, 7e-4)
    assert settings_of(on(("1",), pshrnet.plain_rows()), pshrnet.RESNET).lr == 7e-4
    study = on(VARIED, pshrnet.ablations())
    assert settings_of(study, pshrnet.JOINT["SRCNN"]).lr == 7e-4
    assert settings_of(on(("1",), pshrnet.plain_rows(), "paper"), pshrnet.RESNET).lr == 8.5e-3


def test_without_sharper_originals_copies_are_learned_from(fits):
    """CAVIAR4REID: nothing is degraded, and there is no split at full resolution."""
    study = on(("1",), all_rows())
    (cell,) = study.cells
    assert pshrnet.sharp(Bench(study, cell)) is None
    alone = study.run(pshrnet.HRNET, cell)
    more = study.run(pshrnet.LONGER, cell)
    assert alone.protocol is more.protocol is cell.protocol
    assert alone.method.settings.sees == more.method.settings.sees == "high"
    assert more.method.settings.weights == {"backbone": alone.directory, "head": alone.directory}
    assert settings_of(study, pshrnet.LONGER_TEACHER).weights["teacher"] == more.directory
    for name in (pshrnet.PS, pshrnet.ID, pshrnet.ORIGINALS, pshrnet.PCB):
        assert settings_of(study, name).pairs == "synthetic", name
    with pytest.raises(ValueError, match="no pictures sharper"):
        study._results = {(name, (0,), "test"): [] for name in (pshrnet.ID, pshrnet.JOINT["bicubic"])}
        pshrnet_results.resolution_effect(study)


def test_the_papers_own_profile(fits):
    study = on(VARIED, all_rows(), "paper")
    s = settings_of(study, pshrnet.PS)
    assert (s.epochs, s.batch, s.lr, s.network, s.backbone) == (70, (4, 6), 8.5e-3, "vdsr-ca", "hrnet-w32")
    assert settings_of(study, pshrnet.CODE).batch == (6, 4)
    solo = settings_of(study, pshrnet.SOLO)
    assert (solo.epochs, solo.restore_epochs) == (0, 70)
    assert settings_of(study, pshrnet.JOINT["RCAN"]).network == "rcan"


def test_claims_and_comparisons_are_the_thirteen():
    own = set(claims.claims("pshrnet").index)
    compared = [one.claim for one in (*pshrnet.COMPARISONS, *pshrnet.PLAIN_COMPARISONS)]
    assert len(own) == 13 and own == {*compared, "PSHR-psnr", "PSHR-psnr-ps", "PSHR-resnet"}
    assert set(claims.claims("pshrnet")["table"]) == {*(f"PSHR-T{n}" for n in range(1, 8)), "PSHR §I"}


def test_the_tables_name_rows_that_there_are():
    from lib.experiments.published import published

    people = load_dataset("pedestrians", identities=40)
    rows = {row.name for name in ("pshrnet", "pshrnet_plain") for row in studies.STUDIES[name].rows(people)}
    for number in range(1, 8):
        table = getattr(pshrnet, f"TABLE_{number}")
        assert set(table) <= rows, number
        printed = {tuple(pair) for pair in published(f"PSHR-T{number}")[["method", "variant"]].to_numpy()}
        assert set(table.values()) <= printed, number
    for name, preset in (("pshrnet_plain", "plain"), ("pshrnet_one_camera", "mlr-one-camera")):
        plan = studies.STUDIES[name]
        assert plan.presets("viper") == (preset,) and plan.presets("caviar") == ()


def test_rates_are_searched_for_all_networks_alike(fits):
    study = on(("1",), rates.SEARCHES["pshrnet"].study_rows((1e-3, 2e-3)))
    assert len(study.rows) == 10
    for name in study.rows:
        s = settings_of(study, name)
        assert f"rate {s.lr:g}" in name and s.epochs * 60 == pytest.approx(IMAGES["course"], rel=0.02)


# ---- trained for an instant


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The rows that Table III and the question about resolution need, on some of the embedded people."""
    people = load_dataset("pedestrians", identities=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REID_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setitem(instrument.IMAGES, "quick", 64)
        patch.setattr(pshrnet, "first_weights", lambda sr=False, backbone="": {})
        yield studies.study("pshrnet", people, "mlr", cells(people, "mlr"), "quick", progress=False)


def test_the_teacher_is_found_again(trained):
    (cell,) = trained.cells
    there = pshrnet.sharp(Bench(trained, cell))
    alone, first = trained.run(pshrnet.HRNET, cell), there.run(pshrnet.HRNET)
    assert helpers.same_weights(alone.method, first.method)
    assert first.protocol.preset == "plain" and not alone.history["steps"].size
    assert set(first.protocol.rows("train")["image"]) == set(cell.protocol.rows("train")["image"])
    plain = studies.study(
        "pshrnet_plain", cell.protocol.dataset, "plain", cells(cell.protocol.dataset, "plain"), "quick"
    )
    assert plain.run(pshrnet.HRNET, plain.cells[0]).key == first.key and plain.run(pshrnet.HRNET, plain.cells[0]).reused
    pupil = trained.run(pshrnet.PS, cell).method
    assert helpers.same_weights(pupil.teacher, first.method)


def test_the_pictures_of_table_three(trained):
    (cell,) = trained.cells
    table = pshrnet_results.quality(trained).set_index("row")
    assert list(table.index) == [pshrnet_results.INPUT, *pshrnet.TABLE_3]
    shown = ripr.degraded(cell.protocol)
    method = trained.run(pshrnet.SR_ID, cell).method
    made = ripr.restored(method, cell.protocol, shown["image"], shown["ratio"])
    canvases = pshrnet_results.Canvases(cell.protocol, method.canvas)
    original = canvases.images(shown["image"], np.ones(len(shown))).float() / 255
    lost = torch.tensor(shown["ratio"].to_numpy() < 0.5)  # at 1/2 quick's canvas loses nothing
    assert 0 < int(lost.sum()) < len(lost)
    assert table.loc[pshrnet.SR_ID, "psnr"] == pytest.approx(float(psnr(made, original)[lost].mean()), rel=1e-5)
    assert table.loc[pshrnet.SR_ID, "ssim"] == pytest.approx(float(ssim(made, original)[lost].mean()), rel=1e-5)
    assert table["psnr"].between(10, 40).all() and table["ssim"].between(0, 1).all()


def test_figure_five_is_a_sheet_for_each_ratio(trained):
    (cell,) = trained.cells
    images = ripr.degraded(cell.protocol)["image"].to_numpy()[:2]
    for ratio in (1 / 2, 1 / 4):
        pictures, quality = pshrnet_results.figure_5(trained, images, ratio)
        assert list(pictures) == ["input", "super-resolution alone", "SR+ID", "SR+ID+PS", "original"]
        assert set(quality) == set(pictures) - {"original"} and all(some.shape[0] == 2 for some in pictures.values())
        assert len(restoring.restored(pictures, quality, title="restored").axes) == 10
        restoring.style.plt.close("all")


def test_networks_that_were_never_told_of_people(trained):
    (cell,) = trained.cells
    method, protocol = trained.run(pshrnet.SOLO, cell).method, cell.protocol
    pixels, untrained = trained.results(pshrnet.PIXELS)[0], trained.results(pshrnet.UNTRAINED)[0]
    assert pixels.rank(1) == pytest.approx(evaluate(Pictures(method), protocol).rank(1))
    assert untrained.rank(1) == pytest.approx(evaluate(Untrained(method), protocol).rank(1))  # the same one again
    images = torch.rand(2, 3, *method.canvas)
    batch = helpers.training_batch(images)
    assert torch.equal(Pictures(method).embed(batch, "gallery"), method.sr(images).flatten(1))
    fresh = Untrained(method).fresh
    assert not helpers.same_weights(fresh.backbone, method.backbone) and fresh.training is False
    with pytest.raises(TypeError, match="needs a trained PS-HRNet, not hrnet-reid"):
        Pictures(create_method("hrnet-reid"))


def test_does_it_pay_to_keep_the_resolution(trained):
    (cell,) = trained.cells
    effect = pshrnet_results.resolution_effect(trained)
    there = pshrnet.sharp(Bench(trained, cell)).study
    low = paired_difference(trained.results(pshrnet.ID), trained.results(pshrnet.JOINT["bicubic"]))
    high = paired_difference(there.results(pshrnet.HRNET), there.results(pshrnet.RESNET))
    assert effect.mean == pytest.approx(low.mean - high.mean, abs=1e-9) and effect.low < effect.mean < effect.high
    assert effect.trainings == 1 and effect.identities == low.identities


def test_verdicts_that_are_about_something_else_than_rank_1(trained):
    cells_of = dict.fromkeys(
        (pshrnet.SOLO, pshrnet.SR_ID, pshrnet.PS, pshrnet.ID, pshrnet.JOINT["bicubic"]), trained.cells
    )
    found = {row["claim_id"]: row for row in pshrnet_results.judged(trained, cells_of)}
    assert set(found) == {"PSHR-psnr", "PSHR-psnr-ps", "PSHR-resnet"}
    assert (
        found["PSHR-psnr"]["unit"] == "dB" == found["PSHR-psnr-ps"]["unit"] and found["PSHR-psnr"]["negligible"] == 0.1
    )
    assert all(row["verdict"].startswith("undecided") for row in found.values())  # one training
    assert pshrnet_results.judged(trained, {pshrnet.SOLO: trained.cells}) == []
    nowhere = cells_of | {pshrnet.SOLO: []}
    assert {row["claim_id"] for row in pshrnet_results.judged(trained, nowhere)} == {"PSHR-psnr-ps", "PSHR-resnet"}


def test_a_claim_that_nothing_changes_is_reproduced_where_nothing_does():
    words = {"no effect": "reproduced", "reproduced": "contradicted", "contradicted": "contradicted"}
    for said, expected in (words | {"undecided (1 training)": "undecided (1 training)"}).items():
        assert pshrnet_results.equivalent({"verdict": said, "mean": 0.0})["verdict"] == expected


def test_what_a_picture_costs():
    table = pshrnet_results.costs().set_index("part")
    assert table.loc["VDSR-CA", ["weights", "macs"]].tolist() == [677_448, 21_856_518_144 + 18 * 2 * 64 * 4]
    assert table.loc["VDSR-CA", "times"] == pytest.approx(4.1, abs=0.05)  # four times the whole HRNet
    head = 6144 * 512 + 512 * 2
    assert table.loc[pshrnet.HRNET, "macs"] == 5_304_614_912 + head
    assert table.loc[pshrnet.PS, "macs"] == table.loc[["VDSR-CA", pshrnet.HRNET], "macs"].sum()
    assert table.loc[pshrnet.PS, "weights"] == table.loc[["VDSR-CA", pshrnet.HRNET], "weights"].sum()


def test_the_protocol_of_one_low_camera_has_the_same_people():
    people = load_dataset("pedestrians", identities=40)
    one, usual = (make_protocol(people, preset) for preset in ("mlr-one-camera", "mlr"))
    assert set(one.rows("train")["pid"]) == set(usual.rows("train")["pid"])
    assert {row.name for row in studies.STUDIES["pshrnet_one_camera"].rows(people)} == set(pshrnet.ONE_CAMERA)


def test_a_second_record_that_is_off_is_told():
    levels = {"pedestrians": 0.7, "viper": 0.30, "caviar": 0.25}

    def record(more: float) -> SimpleNamespace:
        return SimpleNamespace(rank1=lambda row: {name: value + more for name, value in levels.items()})

    first, second = record(0.0), record(0.02)
    told = pshrnet_results.trained_twice(first, second, "pedestrians")
    assert told.count("+2.0 points off") == 2 and "VIPeR" in told and "embedded" not in told
    assert pshrnet_results.trained_twice(first, second, "pedestrians", 3.0) == ""
    assert pshrnet_results.trained_twice(first, None, "pedestrians") == ""
