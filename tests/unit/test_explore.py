"""Lesson 99: one probe searched, as HTML and as a page without a kernel."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.course import explore_kept, explore_page
from lib.data import load_dataset
from lib.data.resolution import low_resolution_size
from lib.evaluation import extract
from lib.experiments import explore
from lib.experiments.study import cells
from lib.plots import explore as html

LOMO = "LOMO + XQDA"


@pytest.fixture(scope="module")
def cell():
    return cells(load_dataset("pedestrians", identities=40), "mlr")[0]


@pytest.fixture(scope="module")
def explorer(cell):
    return explore.Explorer(cell.protocol, explore.untrained(cell, "quick"), people=8)


def test_a_search_ranks_as_distances_by_hand_do(explorer, cell):
    """Against a loop over NumPy descriptors; and one person alone is searched as among others."""
    for name, method in explorer.methods.items():
        gallery = extract(method, cell.protocol, explorer.gallery, None, "gallery")
        for kernel in explore.KERNELS:
            found = explorer.looks(name, range(3), 1 / 4, kernel)
            probes = extract(method, explorer.protocols[kernel], explorer.probes.iloc[:3], 1 / 4, "probe")
            for i, (one, probe) in enumerate(zip(found, probes)):
                distances = ((gallery - probe) ** 2).sum(1)
                np.testing.assert_allclose(distances[one.order], np.sort(distances), rtol=1e-3, atol=1e-5)
                same = (explorer.gallery["pid"] == explorer.probes["pid"][i]).to_numpy()
                assert (one.right == same[one.order]).all() and one.place == 1 + np.flatnonzero(one.right)[0]
                alone = explorer.look(name, i, 1 / 4, kernel)
                assert (alone.order[:3] == one.order[:3]).all() and (alone.left == one.left).all()


def test_the_picture_is_as_small_as_the_protocol_makes_it(explorer):
    name = next(iter(explorer.methods))
    whole = explorer.look(name, 1, 1.0)
    for ratio in explore.RATIOS[1:]:
        left = explorer.look(name, 1, ratio).left
        assert left.shape[:2] == low_resolution_size(*whole.left.shape[:2], ratio)
    assert whole.left.dtype == np.uint8 and whole.seen.shape[:2] == explorer.methods[name].canvas


def test_the_curve_is_the_share_of_probes_found_first(explorer):
    name = next(iter(explorer.methods))
    curve = explorer.curve(name)
    assert list(curve) == list(explore.RATIOS)
    whole = explore.Explorer(next(iter(explorer.protocols.values())), explorer.methods, people=8)
    whole.probes = whole.all_probes  # every picture of these people
    places = [one.place for one in whole.looks(name, range(len(whole.probes)), 1 / 2)]
    assert curve[1 / 2] == pytest.approx(np.mean([place == 1 for place in places]))


def test_the_gallery_can_be_small_as_well(explorer):
    """Its pictures, what is searched, and the curve; at 1 it is the gallery as it was."""
    name, protocol = next(iter(explorer.methods)), explorer.protocols["bicubic"]
    small = extract(explorer.methods[name], protocol, explorer.gallery, 1 / 4, "gallery")
    np.testing.assert_allclose(explorer.described(name, 1 / 4).numpy(), small)
    for whole, shrunk in zip(explorer.pictures, explorer.pictures_at(1 / 4), strict=True):
        assert shrunk.shape[:2] == low_resolution_size(*whole.shape[:2], 1 / 4)
    found = explorer.look(name, 0, 1 / 4, gallery=1 / 4)
    probe = extract(explorer.methods[name], protocol, explorer.probes.iloc[[0]], 1 / 4, "probe")
    assert found.order[0] == int(np.argmin(((probe - small) ** 2).sum(1)))
    places = explorer.looks(name, range(len(explorer.probes)), 1.0, gallery=1.0)
    assert [one.place for one in places] == [one.place for one in explorer.looks(name, range(len(places)), 1.0)]
    assert explorer.curve(name, gallery=1 / 4) is not explorer.curve(name)
    with pytest.raises(ValueError, match="ratio lies in"):
        explorer.described(name, 2.0)


def test_a_map_is_given_where_it_is_exact(explorer):
    network, colours = explorer.methods
    found = explorer.look(network, 0, 1 / 2, where=True)
    nearest = explorer.described(network)[int(found.order[found.place - 1])].numpy()
    method, protocol = explorer.methods[network], explorer.protocols["bicubic"]
    probe = extract(method, protocol, explorer.probes.iloc[[0]], 1 / 2, "probe")[0]
    assert found.where.mean() == pytest.approx(float(nearest @ probe), abs=1e-4)
    assert explorer.look(colours, 0, 1 / 2, where=True).where is None


def test_wrong_questions_are_refused(explorer, cell):
    name = next(iter(explorer.methods))
    with pytest.raises(ValueError, match="ratio lies in"):
        explorer.look(name, 0, 0.0)
    with pytest.raises(KeyError):
        explorer.look("nobody", 0, 0.5)
    with pytest.raises(ValueError, match="nothing was trained"):
        explore.Explorer(cell.protocol, {})
    with pytest.raises(ValueError, match="needs two people, not 1"):
        explore.Explorer(cell.protocol, explorer.methods, people=1)


def test_what_was_not_trained_is_left_out(cell, monkeypatch, tmp_path):
    monkeypatch.setenv("REID_RUNS", str(tmp_path))
    assert explore.trained(cell, "quick") == {}


def test_what_is_missing_is_trained_once_each(cell, monkeypatch, tmp_path):
    monkeypatch.setenv("REID_RUNS", str(tmp_path))
    monkeypatch.setattr(explore, "SHOWN", {"baseline": explore.SHOWN["baseline"][:1], "sing": explore.SHOWN["sing"]})
    explore.train(cell, "quick")
    runs = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("weights.pt")}
    assert set(explore.trained(cell, "quick")) == {"baseline", "SING", LOMO} and len(runs) == 3
    explore.train(cell, "quick")  # finds them again
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("weights.pt")} == runs


# ---- as HTML


def test_the_search_as_html_names_every_picture(explorer):
    name = next(iter(explorer.methods))
    one = explorer.look(name, 0, 1 / 4, where=True)
    text = html.search(one, explorer.pictures, name, explorer.curve(name), 1 / 4, top=5)
    alts = re.findall(r'<img [^>]*alt="([^"]*)"', text)
    height, width = one.left.shape[:2]
    assert alts[0] == f"The probe, {width} by {height} pixels" and len(alts) == 3 + 5
    assert sum("the right person" in alt for alt in alts[3:]) == one.right[:5].sum()
    assert text.count("<svg") == 1 and "1/16" in text and "full" in text
    assert "first" in text if one.place == 1 else f"{one.place - 1} wrong picture" in text


def test_heat_darkens_what_is_not_similar():
    picture = np.full((4, 4, 3), 200, np.uint8)
    lit = html.heat(picture, np.array([[1.0, 0.0], [-1.0, 0.5]]))
    assert lit[0, 0, 0] == 200 and lit[0, 3, 0] == lit[3, 0, 0] == 50 and 50 < lit[3, 3, 0] < 200


# ---- as a page


@pytest.fixture(scope="module")
def data(explorer):
    return explore_page.computed(explorer, "about <these>")


def test_the_page_knows_every_move(explorer, data):
    people, moves = len(data["people"]), len(explore.KERNELS) * len(explore.RATIOS) * len(data["people"])
    assert people == 8 and len(data["left"]["boxes"]) == moves
    for name, method in zip(explorer.methods, data["methods"], strict=True):
        assert len(method["order"]) == moves * data["top"] and len(method["place"]) == moves
        for kernel, ratio, person in ((0, 0, 0), (1, 4, 5), (1, 7, 7)):
            at = (kernel * len(explore.RATIOS) + ratio) * people + person
            one = explorer.look(name, person, explore.RATIOS[ratio], explore.KERNELS[kernel])
            assert method["place"][at] == one.place
            height, width = one.left.shape[:2]
            assert data["left"]["boxes"][at][2:] == [width, height]


def test_a_sheet_has_every_picture_in_its_box():
    rng = np.random.default_rng(0)
    pictures = [np.full((h, w, 3), rng.integers(256), np.uint8) for h, w in ((8, 4), (4, 4), (8, 8), (6, 2), (3, 9))]
    uri, boxes = explore_page.sheet(pictures, 100, columns=2)
    whole = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB")).astype(int)
    for picture, (x, y, w, h) in zip(pictures, boxes, strict=True):
        assert (h, w) == picture.shape[:2]
        assert abs(whole[y : y + h, x : x + w].mean() - picture.mean()) < 12  # the format blurs edges


@pytest.fixture(scope="module")
def taught(cell, tmp_path_factory):
    """Three methods, one with a super-resolution, one in closed form, trained for a moment; what they say is kept."""
    folder = tmp_path_factory.mktemp("explore")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REID_RUNS", str(tmp_path_factory.mktemp("runs")))
        rows = {"baseline": explore.SHOWN["baseline"][:1], "sing": explore.SHOWN["sing"]}
        patch.setattr(explore, "SHOWN", rows)
        explore.train(cell, "quick")
        runs = explore.runs_in(cell, "quick")
        methods = {name: explore.fused(some) for name, some in runs.items()}
        direct = explore.Explorer(cell.protocol, methods, people=8)
        searched = [explore_page.searched(direct, name) for name in methods]
        explore_kept.keep(direct, searched, runs, "quick", explore_page.TOP, folder)
    return direct, searched, runs, folder


@pytest.fixture
def kept(taught, tmp_path):
    """The folder, to be changed at will."""
    return Path(shutil.copytree(taught[3], tmp_path / "explore"))


def test_what_is_kept_is_what_the_trained_methods_say(taught, explorer, kept):
    """Read beside methods that were never trained: the same lists, places and pictures, and the page has them first."""
    direct, searched, runs, _ = taught
    methods, about = explore_kept.read(explorer, "quick", explore_page.TOP, kept)
    assert methods == json.loads(json.dumps(searched))
    assert about["runs"] == {name: {r.directory.name: r.key for r in some.values()} for name, some in runs.items()}
    assert set(about["left_out"]) == {n for rows in explore.SHOWN.values() for n in rows} - {"baseline", "SING", LOMO}
    assert [bool(method["seen"]) for method in methods] == [False, True, False]  # bilinear enlargement restores nothing
    sing = next(method for method in methods if method["name"] == "SING")
    for kernel, ratio, person in ((0, 0, 0), (1, 4, 5), (1, 7, 7)):
        at = (kernel * len(explore.RATIOS) + ratio) * len(explorer.probes) + person
        one = direct.look("SING", person, explore.RATIOS[ratio], explore.KERNELS[kernel])
        assert sing["order"][at * explore_page.TOP : (at + 1) * explore_page.TOP] == list(one.order[: explore_page.TOP])
        assert sing["place"][at] == one.place
    assert sing["seen"]["uri"].startswith("data:image/webp;base64,") and (kept / "sing.webp").is_file()
    data = explore_page.computed(explorer, "about", methods, ["baseline: a-run"])
    assert [method["name"] for method in data["methods"]] == ["baseline", "SING", LOMO, *explorer.methods]
    assert "a-run" in explore_page.page(data)


def test_what_is_kept_of_others_is_not_shown(cell, taught, explorer, kept, monkeypatch):
    read = functools.partial(explore_kept.read, top=explore_page.TOP, folder=kept)
    fewer = explore.Explorer(cell.protocol, explorer.methods, people=7)
    with pytest.raises(explore_kept.Stale, match="of other people, or of another question: people 8, here 7"):
        read(fewer, "quick")
    with pytest.raises(explore_kept.Stale, match="profile quick, here course"):
        read(explorer, "course")
    about = json.loads((kept / "provenance.json").read_text())
    told = about | {"of": about["of"] | {"data": "0" * 64}}
    (kept / "provenance.json").write_text(json.dumps(told))
    with pytest.raises(explore_kept.Stale, match="data 000000000000, here"):
        read(explorer, "quick")
    start = next(iter(about["code"]["definitions"]))
    code = about["code"] | {"definitions": about["code"]["definitions"] | {start: "00000000"}}
    (kept / "provenance.json").write_text(json.dumps(about | {"code": code}))
    with pytest.raises(explore_kept.Stale, match=f"of other code: {re.escape(start)} changed"):
        read(explorer, "quick")
    code = about["code"] | {"starts": ["lib.methods.gone.Gone"]}
    (kept / "provenance.json").write_text(json.dumps(about | {"code": code}))
    with pytest.raises(explore_kept.Stale, match="of other code: .*gone"):
        read(explorer, "quick")
    (kept / "provenance.json").write_text(json.dumps(about))
    (kept / "moves.json").write_text("[]")
    with pytest.raises(explore_kept.Stale, match=r"moves.json is not the file that provenance.json describes"):
        read(explorer, "quick")
    (kept / "provenance.json").write_text("{}")
    with pytest.raises(explore_kept.Stale, match="damaged"):
        read(explorer, "quick")
    (kept / "provenance.json").unlink()
    with pytest.raises(explore_kept.Stale, match=r"provenance.json is not there"):
        read(explorer, "quick")


def test_only_what_was_trained_and_is_small_is_kept(taught, kept, monkeypatch):
    direct, searched, runs, _ = taught
    before = {path: path.read_bytes() for path in kept.iterdir()}
    with pytest.raises(ValueError, match=f"SING, {re.escape(LOMO)} has no run"):
        explore_kept.keep(direct, searched, {"baseline": runs["baseline"]}, "quick", 10, kept)
    monkeypatch.setattr(explore_kept, "LARGEST", 100)
    with pytest.raises(ValueError, match="at most 100"):
        explore_kept.keep(direct, searched, runs, "quick", 10, kept)
    assert {path: path.read_bytes() for path in kept.iterdir()} == before
    monkeypatch.undo()
    explore_kept.keep(direct, searched[:1], runs, "quick", 10, kept)
    assert sorted(path.name for path in kept.iterdir()) == ["moves.json", "provenance.json"]


def test_the_page_says_what_it_is_of(cell, taught, monkeypatch, tmp_path):
    """From what is kept, with the trainings' names; without it, that it is not shown and why."""
    monkeypatch.setattr(explore_kept, "FOLDER", taught[3])
    monkeypatch.setenv("REID_RUNS", str(tmp_path))
    data, why = explore_page.made(cell, "quick", 8)
    assert why == "" and [method["name"] for method in data["methods"]][:3] == ["baseline", "SING", LOMO]
    assert "Not trained and so not here: " in data["about"] and "JBIM" in data["about"]
    assert len(data["trainings"]) == 3 and taught[2]["baseline"][None].directory.name in data["trainings"][0]
    data, why = explore_page.made(cell, "quick", 7)
    assert "of another question" in why and why in data["about"] and "needs no training" in data["about"]
    assert [method["name"] for method in data["methods"]] == list(explore.untrained(cell, "quick"))


def test_what_is_committed_is_small_and_intact():
    about = json.loads((explore_kept.FOLDER / explore_kept.ABOUT).read_text(encoding="utf-8"))
    assert {path.name for path in explore_kept.FOLDER.iterdir()} == {*about["files"], explore_kept.ABOUT}
    for name, digest in about["files"].items():
        content = (explore_kept.FOLDER / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest and len(content) <= explore_kept.LARGEST
    assert about["left_out"] == [] and "+changes" not in about["made"]["commit"]
    moves = len(explore.KERNELS) * len(explore.RATIOS) * explore_page.PEOPLE
    for method in json.loads((explore_kept.FOLDER / explore_kept.MOVES).read_text(encoding="utf-8")):
        assert len(method["place"]) == moves and len(method["order"]) == moves * explore_page.TOP
        assert about["runs"][method["name"]]


def test_the_page_is_one_file(data, monkeypatch):
    text = explore_page.page(data)
    inside = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1]
    assert json.loads(inside) == json.loads(json.dumps(data))
    assert not re.search(r'(src|href)="(?!#)', text.replace(inside, "")), "nothing may be fetched"
    with pytest.raises(ValueError, match="no '</'"):
        explore_page.page(data | {"about": "</script>"})
    monkeypatch.setattr(explore_page, "LARGEST", 1000)
    with pytest.raises(ValueError, match="at most 1,000"):
        explore_page.page(data)
