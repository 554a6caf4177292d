"""First weights that ship: found first, known by their content, made by a plan, and checked against the code."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import training_helpers as helpers
from safetensors.torch import load_file, save_file

from lib.data import DataError, PersonDataset, make_protocol
from lib.evaluation import evaluate
from lib.experiments import ship
from lib.experiments.ship import Shipment
from lib.methods import create_method
from lib.models.state import WeightsUnavailable, read_state
from lib.paths import ROOT
from lib.training import fit, pedestrians, pretrain, shipped, weights
from lib.training.fit import run_key

QUIET = {"seed": 0, "progress": False, "precision": "fp32", "device": "cpu"}
CPU = torch.device("cpu")
BACKBONE, SHARP = Shipment("bottleneck-4-1", (32, 16)), Shipment("bottleneck-4-1", (32, 16), "pedestrians-sharp")
SR = Shipment("srcnn-915-luma", (32, 16))


# ---- what is in data/weights


def test_what_ships_fits_the_code():
    """Strictly, finite, with its hash and size, and its network makes of it what it made on the day."""
    wrong = {path.name: sentences for path in shipped.files() if (sentences := ship.check(path))}
    assert not wrong
    assert sum(path.stat().st_size for path in shipped.files()) <= shipped.ALL
    assert {path.stem for path in shipped.files()} == {some.name for some in ship.SHIPMENTS}
    beside = {path.stem for path in shipped.FOLDER.glob("*.json")}
    assert beside == {path.stem for path in shipped.files()}


def test_git_takes_what_ships():
    names = ["data/weights/a.safetensors", "data/weights/a.json"]
    ignored = subprocess.run(["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ignored.returncode == 1 and not ignored.stdout
    kind = subprocess.run(
        ["git", "check-attr", "binary", names[0]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert kind.stdout.strip().endswith("binary: set")


# ---- making one


def plan_small(monkeypatch, folder) -> None:
    """A plan of seconds, over people that nobody renders, and folders of one's own."""
    people = helpers.tiny_people(identities=8, images=4)
    tiny = pretrain.whole_set(people)
    plan = replace(pedestrians.PRETRAINING["course"], epochs=1, sr_epochs=1, batch=(4, 2))
    monkeypatch.setitem(pedestrians.PRETRAINING, "course", plan)
    monkeypatch.setattr(pretrain, "pretraining_set", lambda plan: tiny)
    monkeypatch.setattr(ship, "load_dataset", lambda *a, **k: people)
    monkeypatch.setattr(ship, "reaches", lambda method, part: {"rank-1": 12.5})
    monkeypatch.setattr(ship, "SHIPMENTS", (BACKBONE, SHARP, SR))
    monkeypatch.setattr(shipped, "FOLDER", folder / "weights")
    monkeypatch.setenv("REID_RUNS", str(folder / "runs"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The three runs, which tests copy."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        plan_small(patch, folder)
        for network, canvas, source in ship.SHIPMENTS:
            pretrain.pretrain("course", network, canvas, source=source, progress=False)
    return folder


@pytest.fixture
def small_plan(monkeypatch, tmp_path, trained):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    plan_small(monkeypatch, tmp_path)
    return tmp_path


def made(shipment: Shipment):
    return ship.make(shipment, progress=False)


def test_a_file_says_where_it_is_from(small_plan):
    path = made(BACKBONE)
    found = shipped.about(path)
    assert path.name == "pedestrians-bottleneck-4-1-32x16.safetensors"
    assert found["rate"] == pedestrians.RATE.value and found["rate_searched"] == pedestrians.RATE.searched
    assert found["epochs"] == 1 and found["images_seen"] % 8 == 0 and found["images_seen"] >= 32
    assert found["people"] == pedestrians.people_in("course").identity
    assert found["reaches"] == {"rank-1": 12.5} and found["trained"]["torch"] == torch.__version__
    assert found["bytes"] == path.stat().st_size and found["sha256"] == shipped.sha256(path)
    state = load_file(path)
    assert {value.dtype for value in state.values() if value.ndim > 1} == {torch.float16}
    assert {value.dtype for value in state.values() if value.ndim < 2} == {torch.float32}
    assert not any("classifier" in name for name in state) and ship.check(path) == []
    assert ship.is_current(BACKBONE) and ship.code_note(path) == "" and ship.outdated() == {}


def test_first_weights_are_those_that_ship(small_plan):
    """Before any run, for backbones and super-resolution alike, in every profile; a key knows their content."""
    for shipment in (BACKBONE, SHARP, SR):
        made(shipment)
    settings = {"network": SR.network, "backbone": BACKBONE.network, "canvas": (32, 16), "epochs": 0}
    method = create_method("sing", weights={"sr": "pedestrians", "backbone": "pedestrians"}, **settings)
    run = fit(method, helpers.tiny_protocol(), runs=small_plan / "elsewhere", **QUIET)
    for part, shipment in {"sr": SR, "backbone": BACKBONE}.items():
        wanted = read_state(shipment.path)
        own = getattr(run.method, part).state_dict()
        for name, value in own.items():
            assert name.endswith("num_batches_tracked") or torch.equal(value, wanted[f"{part}.{name}"])
    what = json.loads((run.directory / "run.json").read_text())["identity"]["pretrained"]
    assert what["sr"] == f"shipped {shipped.sha256(SR.path)}"

    def key(source):
        method = create_method("baseline", backbone="bottleneck-4-1", canvas=(32, 16), weights={"backbone": source})
        method.setup("quick", 12)
        return run_key(method, helpers.tiny_protocol(), "quick", 0, "fp32", device=CPU)[0]

    sharp, soft = key("pedestrians-sharp"), key("pedestrians")
    assert sharp != soft == key("pedestrians")
    SHARP.path.replace(BACKBONE.path)  # other content under the same name
    assert key("pedestrians") not in (soft, key("pedestrians-sharp"))


def test_without_a_file_both_remedies_are_named(small_plan):
    made(SR)
    method = create_method("baseline", backbone="bottleneck-4-1", canvas=(32, 16), weights={"backbone": "pedestrians"})
    with pytest.raises(WeightsUnavailable, match=r"ship with the course \(none do\), or pre-train this one once .*"
                       r"pretrain\('quick', 'bottleneck-4-1', \(32, 16\)\)"):  # fmt: skip
        fit(method, helpers.tiny_protocol(), runs=small_plan, **QUIET)
    method = create_method("superres", network="vdsr-narrow", canvas=(32, 16), weights={"sr": "pedestrians"})
    with pytest.raises(WeightsUnavailable, match=r"srcnn-915-luma at 32 x 16\), or pre-train .*'vdsr-narrow'"):
        fit(method, helpers.tiny_protocol(), runs=small_plan, **QUIET)


def test_a_super_resolution_network_ships_for_every_canvas_and_a_re_id_network_for_its_own(small_plan):
    made(SR)
    assert shipped.find(SR.network, (96, 48), SR.source) == SR.path
    method = create_method("superres", network=SR.network, canvas=(48, 24), weights={"sr": "pedestrians"})
    method.setup("quick", 12)
    weights.load_first_weights(method, "sr", "pedestrians", progress=False)
    state = read_state(SR.path)
    assert all(torch.equal(value, state[f"sr.{name}"]) for name, value in method.sr.state_dict().items())
    made(BACKBONE)
    assert shipped.find(BACKBONE.network, (64, 32), BACKBONE.source) is None


def test_the_pretrained_method_is_the_file_or_the_run(small_plan, monkeypatch):
    """The same descriptors from both, up to half precision; a file costs no training."""
    run = pretrain.pretrained("course", *BACKBONE[:2], progress=False, device="cpu")
    made(BACKBONE)
    monkeypatch.setattr(pretrain, "fit", lambda *a, **k: pytest.fail("trained"))
    file = pretrain.pretrained("quick", *BACKBONE[:2])
    people = helpers.tiny_protocol(ratios=("1",)).dataset
    one, other = (evaluate(m, make_protocol(people, "plain")).ranking for m in (run, file))
    assert one.map == pytest.approx(other.map, abs=0.02)
    pictures = torch.rand(2, 3, 32, 16)
    torch.testing.assert_close(run.backbone(pictures), file.backbone(pictures), rtol=0.01, atol=0.01)
    torch.testing.assert_close(run.head.bn.running_var, file.head.bn.running_var)


def test_what_is_there_is_not_made_again_unless_named(small_plan, monkeypatch, capsys):
    calls, make = [], ship.make

    def noted(shipment, run=None):
        calls.append(shipment.name)
        return make(shipment, run, progress=False)

    monkeypatch.setattr(ship, "make", noted)
    assert ship.main([]) == 0 and calls == [some.name for some in ship.SHIPMENTS]
    assert ship.main([]) == 0 and len(calls) == 3
    assert ship.main(["srcnn-915-luma"]) == 0 and calls[3:] == [SR.name]
    assert ship.main(["bottleneck-4-1 srcnn-915-luma"]) == 0 and len(calls) == 7  # as make hands names on
    capsys.readouterr()
    assert ship.main(["resnet"]) == 1 and "nothing ships under the name resnet" in capsys.readouterr().err
    monkeypatch.setitem(pedestrians.RATES, "bottleneck-4-1", pedestrians.Rate(1e-4, "by hand"))
    assert not ship.is_current(BACKBONE) and ship.is_current(SR)
    assert ship.main(["--check"]) == 0 and len(calls) == 7
    assert "planned otherwise" in capsys.readouterr().out


def test_a_run_of_another_plan_is_refused(small_plan):
    run = pretrain.pretrain("course", *BACKBONE[:2], progress=False, device="cpu")
    assert ship.make(BACKBONE, run.directory) == BACKBONE.path
    with pytest.raises(
        ValueError, match=r"another plan than today's 'course': told, recipe differ \(told: .*all-resol"
    ):
        ship.make(SHARP, run.directory)


def test_what_first_weights_reach_without_training(monkeypatch):
    """Rank-1 of the embedded people on two protocols, and PSNR beside that of bicubic enlargement."""
    rng = np.random.default_rng(0)
    pictures = list(rng.integers(0, 256, (90, 24, 12, 3), dtype=np.uint8))
    table = pd.DataFrame([(f"{n // 6:02d}", f"c{n % 2}") for n in range(90)], columns=["pid", "cam"])
    people = PersonDataset.from_arrays("pedestrians", pictures, table)

    def load(name):
        if name != "pedestrians":
            raise DataError("not here")
        return people

    monkeypatch.setattr(ship, "load_dataset", load)
    method = create_method("histogram", canvas=(24, 12))
    method.setup("quick", 1)
    found = ship.reaches(method, "backbone")
    expected = {p: evaluate(method, make_protocol(people, p)).rank(1) for p in ("plain", "mlr")}
    assert found == {f"rank-1 pedestrians {p}": round(100 * value, 2) for p, value in expected.items()}

    method = create_method("superres", network="bicubic", canvas=(24, 12))
    method.setup("quick", 1)
    found = ship.reaches(method.eval(), "sr")
    assert len(found) == 6
    for ratio in ("0.50", "0.33", "0.25"):
        assert 5 < found[f"PSNR restored {ratio}"] == found[f"PSNR bicubic {ratio}"] < 30


# ---- checks that fail where they should


@pytest.fixture
def file(small_plan):
    return made(BACKBONE)


def changed(path, change):
    """The file with another content, and a JSON that agrees with it."""
    state = load_file(path)
    change(state)
    save_file(state, path)
    about = shipped.about(path) | {"sha256": shipped.sha256(path)}
    path.with_suffix(".json").write_text(json.dumps(about))


def test_a_changed_file_is_noticed(file):
    path = file
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert "its SHA-256 is not the one in its JSON" in ship.check(path)


def test_other_weights_are_noticed_by_what_the_network_makes_of_them(file):
    changed(file, lambda state: state["backbone.layer4.0.conv1.weight"].mul_(1.05))
    assert ship.check(file) == ["its network makes something else of it than when it was made: the code has changed"]


def test_another_network_under_the_same_names_is_noticed(file, monkeypatch):
    """The names and shapes fit, and what it computes does not: no ReLU after the first convolution."""
    from lib.models.resnet import ResNet

    forward = ResNet.forward

    def leaky(self, images):
        self.relu = torch.nn.LeakyReLU(0.1)
        return forward(self, images)

    monkeypatch.setattr(ResNet, "forward", leaky)
    assert "makes something else" in " ".join(ship.check(file))


def test_what_is_missing_too_much_or_infinite_is_noticed(file):
    changed(file, lambda state: state.pop("head.bn.running_mean"))
    assert "does not fit BatchNorm1d: 1 of 5 weights are missing" in ship.check(file)[0]
    made(BACKBONE)
    changed(file, lambda state: state.update(stranger=torch.zeros(1)))
    assert "it has stranger too many or too few" in ship.check(file)
    made(BACKBONE)
    changed(file, lambda state: state["backbone.layer1.0.conv1.weight"][0].fill_(torch.inf))
    assert "backbone.layer1.0.conv1.weight is not finite" in ship.check(file)
    file.with_suffix(".json").unlink()
    assert "cannot be read" in ship.check(file)[0]


def test_older_code_is_said(file):
    about = shipped.about(file)
    name = next(name for name in about["code"]["definitions"] if name.startswith("lib.losses."))
    about["code"]["definitions"][name] = "00000000"
    file.with_suffix(".json").write_text(json.dumps(about))
    assert ship.outdated() == {file.stem: f"trained with older code: {name} changed"}
    assert ship.check(file) == []  # it still fits


def test_what_cannot_ship_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="backbone.a is not finite in half precision"):
        shipped.packed({"backbone.a": torch.full((2, 2), 1e6)})
    monkeypatch.setattr(shipped, "LARGEST", 1000)
    with pytest.raises(ValueError, match=r"a.safetensors would have .* bytes: at most 1,000"):
        shipped.write(tmp_path / "a.safetensors", {"backbone.a": torch.zeros(100, 100)}, {})
    assert not (tmp_path / "a.safetensors").exists() and not (tmp_path / "a.json").exists()


# ---- anybody's safetensors


def test_any_safetensors_file_starts_a_part(tmp_path):
    method = create_method("baseline", backbone="bottleneck-4-1", canvas=(32, 16))
    method.setup("quick", 3)
    state = {f"backbone.{name}": v for name, v in method.backbone.state_dict().items()}
    halves = {name: v.half() if v.is_floating_point() else v for name, v in state.items()}
    path = tmp_path / "own.safetensors"
    save_file(halves, path)
    assert all(v.dtype in (torch.float32, torch.int64) for v in read_state(path).values())
    other = create_method("baseline", backbone="bottleneck-4-1", canvas=(32, 16), weights={"backbone": path})
    other.setup("quick", 3)
    weights.load_first_weights(other, "backbone", str(path), progress=False, device=CPU)
    assert torch.equal(other.backbone.conv1.weight, state["backbone.conv1.weight"].half().float())
    (tmp_path / "broken.safetensors").write_bytes(b"no such thing")
    with pytest.raises(WeightsUnavailable, match="cannot be read as weights"):
        read_state(tmp_path / "broken.safetensors")


def test_super_resolution_has_no_sharp_first_weights():
    with pytest.raises(ValueError, match="restores resolution"):
        pedestrians.pretraining_method("vdsr-narrow", (32, 16), "course", "pedestrians-sharp")
    sharp = pedestrians.pretraining_method("bottleneck-4-1", (32, 16), "course", "pedestrians-sharp")
    assert sharp.settings.augmentation == "none"
