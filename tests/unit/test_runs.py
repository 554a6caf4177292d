"""A run is identified by what went into it, computed once and found again."""

from __future__ import annotations

import errno
import json
import multiprocessing
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import training_helpers as helpers

from lib.data import DataError
from lib.data.batches import Batch
from lib.data.protocol import Protocol
from lib.evaluation.features import device_of
from lib.methods import create_method
from lib.training import checkpoint, fit
from lib.training import runs as records
from lib.training.fit import _place, finished
from lib.training.runs import directory_of, identity, key_of, runs_directory

QUIET = {"device": "cpu", "precision": "fp32", "progress": False}


def key(protocol=None, profile="quick", seed=0, precision="fp32", accumulate=1, pretrained=None, **settings) -> str:
    method = helpers.Tiny(**settings)
    method.setup(profile, 12)
    protocol = protocol or helpers.tiny_protocol()
    return key_of(identity(method, protocol, profile, seed, precision, accumulate, pretrained or {}))


def test_the_same_inputs_give_the_same_key():
    assert key() == key() and len(key()) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1}, {"profile": "course"}, {"precision": "bf16"}, {"accumulate": 2}, {"epochs": 3}, {"lr": 0.02},
        {"normalise": "group"}, {"pretrained": {"body": "file abc"}},
    ],
    ids=str,
)  # fmt: skip
def test_whatever_matters_changes_the_key(change):
    pretrained = change.get("pretrained")
    method = helpers.Tiny(**{k: v for k, v in change.items() if k in ("epochs", "lr", "normalise")})
    method.setup("quick", 12)
    arguments = {"profile": "quick", "seed": 0, "precision": "fp32", "accumulate": 1} | {
        k: v for k, v in change.items() if k in ("seed", "profile", "precision", "accumulate")
    }
    changed = key_of(identity(method, helpers.tiny_protocol(), pretrained=pretrained or {}, **arguments))
    assert changed != key()


def test_protocol_and_pixels_change_the_key():
    assert key(helpers.tiny_protocol(ratios=("1",))) != key()
    assert key(helpers.tiny_protocol(helpers.tiny_people(images=4))) != key()


def test_the_method_s_recipe_changes_the_key(monkeypatch):
    """What ``setup`` decides counts even when the settings are the same."""
    before = key()
    monkeypatch.setattr(helpers.Tiny, "enlargement", "bilinear")
    assert key() != before


def test_a_weights_file_counts_by_its_content_not_its_path(tmp_path):
    keys = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "weights.pt"
        path.write_bytes(b"same bytes")
        method = create_method("baseline", weights={"backbone": path})
        method.setup("quick", 12)
        from lib.training.fit import run_key

        keys.append(run_key(method, helpers.tiny_protocol(), "quick", 0, "fp32"))
    assert keys[0][0] == keys[1][0]
    assert str(tmp_path) not in json.dumps(keys[0][1])


# ---- found again


def test_a_found_run_describes_pictures_bit_by_bit_as_the_trained_one(tmp_path):
    """Also where the order of channels in memory decides how a convolution rounds."""
    settings = {"backbone": "bottleneck-8-1", "canvas": (32, 16), "epochs": 1, "network": "srcnn-915-luma"}
    protocol, images = helpers.tiny_protocol(), torch.rand(6, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    trained, found = (fit(create_method("sing", **settings), protocol, runs=tmp_path, progress=False) for _ in range(2))
    assert not trained.reused and found.reused
    images = images.to(device_of(trained.method))
    with torch.no_grad():
        assert torch.equal(*(run.method.embed(Batch(images), "probe") for run in (trained, found)))
    layouts = [
        run.method.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last) for run in (trained, found)
    ]
    assert layouts == [True, True]


@pytest.mark.parametrize(("name", "where"), [("classical", "cpu"), ("baseline", "meta")])
def test_a_method_stands_where_its_images_will_go(name, where):
    """Without a parameter to ask, ``evaluate`` describes on the CPU: LOMO's projection must be there, too."""
    method = create_method(name)
    method.setup("quick", 3)
    _place(method, torch.device("meta"))
    assert device_of(method).type == where
    assert {buffer.device.type for buffer in method.buffers()} <= {where}


def test_a_finished_run_is_found_again(tmp_path):
    protocol = helpers.tiny_protocol()
    first = fit(helpers.Tiny(), protocol, runs=tmp_path, **QUIET)
    second = fit(helpers.Tiny(), protocol, runs=tmp_path, **QUIET)
    assert (first.reused, second.reused) == (False, True) and first.key == second.key
    assert helpers.same_weights(first.method, second.method) and not second.method.training
    assert first.directory == second.directory
    assert first.directory.name == f"tiny-tiny-all-{first.key[:12]}"
    pd.testing.assert_frame_equal(first.history, second.history)
    assert first.seconds == second.seconds > 0
    assert not fit(helpers.Tiny(), protocol, runs=tmp_path, seed=1, **QUIET).reused


def test_its_files(tmp_path):
    run = fit(helpers.Tiny(), helpers.tiny_protocol(), runs=tmp_path, **QUIET)
    assert sorted(p.name for p in run.directory.iterdir() if p.is_file()) == [
        ".lock",
        "metrics.csv",
        "run.json",
        "weights.pt",
    ]
    record = json.loads((run.directory / "run.json").read_text())
    assert record["key"] == run.key and key_of(record["identity"]) == run.key
    assert {"device", "torch", "python", "date", "seconds", "threads"} <= record["provenance"].keys()
    weights = torch.load(run.directory / "weights.pt", weights_only=True)["weights"]
    assert helpers.same_weights(weights, run.method)


def test_damaged_weights_are_named_and_the_run_is_computed_again(tmp_path):
    protocol = helpers.tiny_protocol()
    run = fit(helpers.Tiny(), protocol, runs=tmp_path, **QUIET)
    path = run.directory / "weights.pt"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(RuntimeWarning, match="weights.pt cannot be read.*computed again"):
        again = fit(helpers.Tiny(), protocol, runs=tmp_path, **QUIET)
    assert not again.reused and helpers.same_weights(run.method, again.method)


@pytest.mark.parametrize("file", ["weights.pt", "run.json"])
def test_a_damaged_run_is_not_there(tmp_path, file):
    """Who only looks is not told to train."""
    protocol = helpers.tiny_protocol()
    asked = {"device": "cpu", "runs": tmp_path}
    path = fit(helpers.Tiny(), protocol, progress=False, **asked).directory / file
    assert finished(helpers.Tiny(), protocol, **asked)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(RuntimeWarning, match=f"{file}.*not there, until it is computed again"):
        assert not finished(helpers.Tiny(), protocol, **asked)
    assert len(path.read_bytes()) == 100


def test_where_runs_are(tmp_path, monkeypatch):
    monkeypatch.setenv("REID_RUNS", str(tmp_path / "environment"))
    assert runs_directory() == tmp_path / "environment"
    assert runs_directory(tmp_path / "argument") == tmp_path / "argument"
    monkeypatch.delenv("REID_RUNS")
    assert runs_directory().parts[-2:] == ("data", "runs")


def test_names_are_safe_for_the_file_system():
    manifest = helpers.tiny_protocol().manifest | {"preset": "my/own preset"}
    protocol = Protocol.from_manifest(helpers.tiny_people(), manifest)
    assert directory_of(Path("runs"), helpers.Tiny(), protocol, "f" * 64).name == "tiny-tiny-my_own_preset-ffffffffffff"


# ---- shared


def train(runs: Path, pipe) -> None:
    torch.set_num_threads(1)
    run = fit(helpers.Tiny(epochs=6), helpers.tiny_protocol(), runs=runs, **QUIET)
    pipe.send((run.reused, run.key))


def test_two_processes_that_need_the_same_run_share_it(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lib.training", "training_helpers", __name__])
    pipes, processes = [], []
    for _ in range(2):
        receive, send = context.Pipe(duplex=False)
        pipes.append(receive)
        processes.append(context.Process(target=train, args=(tmp_path, send)))
        processes[-1].start()
        time.sleep(0.05)
    for pipe in pipes:
        assert pipe.poll(60)
    results = [pipe.recv() for pipe in pipes]
    for process in processes:
        process.join()
    assert sorted(reused for reused, _ in results) == [False, True]
    assert len({key for _, key in results}) == 1


# ---- a run is what it says


def test_each_run_owns_its_method(tmp_path):
    """One object, three seeds: three runs with the weights that three objects would have, and the object as it was."""
    method, protocol = helpers.Tiny(), helpers.tiny_protocol()
    runs = [fit(method, protocol, seed=seed, runs=tmp_path / "one", **QUIET) for seed in range(3)]
    alone = [fit(helpers.Tiny(), protocol, seed=seed, runs=tmp_path / "three", **QUIET) for seed in range(3)]
    assert all(helpers.same_weights(a.method, b.method) for a, b in zip(runs, alone, strict=True))
    assert not helpers.same_weights(runs[0].method, runs[1].method)
    assert len({id(run.method) for run in runs} | {id(method)}) == 4 and not list(method.parameters())
    again = fit(runs[0].method, protocol, seed=1, runs=tmp_path / "one", **QUIET)
    assert again.reused and not helpers.same_weights(runs[0].method, again.method)


def test_a_run_names_its_code(tmp_path):
    run = fit(helpers.Tiny(), helpers.tiny_protocol(), runs=tmp_path, **QUIET)
    record = json.loads((run.directory / "run.json").read_text())
    assert record["identity"]["code"] == run.code.sha256 and record["code"]["definitions"] == run.code.definitions
    assert {"training_helpers.Tiny.losses", "lib.losses.pixel_mse", "lib.training.loop.Trainer.run"} <= set(
        run.code.definitions
    )


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_one_flipped_bit_of_the_weights_is_found(tmp_path, place):
    protocol = helpers.tiny_protocol()
    run = fit(helpers.Tiny(), protocol, runs=tmp_path, **QUIET)
    path = run.directory / "weights.pt"
    content = bytearray(path.read_bytes())
    needle = run.method.classifier.weight.detach().numpy().tobytes()
    start = content.find(needle)
    assert start > 0
    content[start + int(place * len(needle))] ^= 1
    path.write_bytes(content)
    with pytest.warns(RuntimeWarning, match=r"weights\.pt is damaged.*computed again"):
        again = fit(helpers.Tiny(), protocol, runs=tmp_path, **QUIET)
    assert not again.reused and helpers.same_weights(run.method, again.method)
    assert fit(helpers.Tiny(), protocol, runs=tmp_path, **QUIET).reused


DAMAGES = {
    "a list": lambda text: "[]",
    "empty": lambda text: "",
    "a number": lambda text: "3",
    "null": lambda text: "null",
    "truncated": lambda text: text[: len(text) // 2],
    "no provenance": lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "provenance"}),
    "provenance is text": lambda text: json.dumps(json.loads(text) | {"provenance": "x"}),
    "other seconds": lambda text: text.replace('"seconds": ', '"seconds": 9'),
    "another key": lambda text: text.replace('"key": "', '"key": "0'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_computed_again(tmp_path, damage):
    protocol = helpers.tiny_protocol()
    run = fit(helpers.Tiny(), protocol, runs=tmp_path, **QUIET)
    path = run.directory / "run.json"
    text = DAMAGES[damage](path.read_text())
    assert text != path.read_text()
    path.write_text(text)
    with pytest.warns(RuntimeWarning, match=r"run\.json or metrics\.csv is damaged.*computed again"):
        again = fit(helpers.Tiny(), protocol, runs=tmp_path, **QUIET)
    assert not again.reused and helpers.same_weights(run.method, again.method)


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_history_is_computed_again(tmp_path, damage):
    protocol = helpers.tiny_protocol()
    run = fit(helpers.Tiny(), protocol, runs=tmp_path, **QUIET)
    path = run.directory / "metrics.csv"
    path.write_text(path.read_text().replace("1", "7", 1)) if damage == "changed" else path.unlink()
    with pytest.warns(RuntimeWarning, match=r"metrics\.csv is damaged"):
        assert not fit(helpers.Tiny(), protocol, runs=tmp_path, **QUIET).reused


# ---- where, and with what


def test_home_and_relative_folders(tmp_path, monkeypatch):
    """``~`` is the home directory; a relative $REID_RUNS is the same folder wherever one stands."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert runs_directory("~/runs") == tmp_path / "runs"
    monkeypatch.setenv("REID_RUNS", "~/others")
    assert runs_directory() == tmp_path / "others"
    monkeypatch.setenv("REID_RUNS", "rel")
    found = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        found.append(runs_directory())
    assert found[0] == found[1] == records.ROOT / "rel"
    assert runs_directory("here") == Path("here")


def test_a_home_folder_is_made_and_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    protocol = helpers.tiny_protocol()
    found = [fit(helpers.Tiny(epochs=1), protocol, runs="~/runs", **QUIET) for _ in range(2)]
    assert [run.reused for run in found] == [False, True] and found[0].directory.parent == tmp_path / "runs"


@pytest.mark.parametrize("bad", ["0", 1.5, True, None, [1]])
@pytest.mark.parametrize("what", ["seed", "accumulate", "processes"])
def test_whole_numbers_are_whole_numbers(what, bad):
    with pytest.raises(TypeError, match=f"{what} is a whole number"):
        fit(helpers.Tiny(), helpers.tiny_protocol(), **{what: bad})


@pytest.mark.parametrize(("what", "bad"), [("seed", -1), ("seed", 2**63), ("accumulate", 0), ("checkpoint_steps", 0)])
def test_numbers_out_of_range_are_named(what, bad):
    with pytest.raises(ValueError, match=f"{what} is at least"):
        fit(helpers.Tiny(), helpers.tiny_protocol(), **{what: bad})


def test_numpys_numbers_are_numbers(tmp_path):
    """A sweep over np.arange finds what a plain number made."""
    protocol = helpers.tiny_protocol()
    plain = fit(helpers.Tiny(epochs=1), protocol, runs=tmp_path, seed=1, **QUIET)
    for epochs, seed in ((np.int64(1), 1), (1, np.int32(1)), (torch.tensor(1), 1)):
        again = fit(helpers.Tiny(epochs=epochs), protocol, runs=tmp_path, seed=seed, **QUIET)
        assert again.reused and again.key == plain.key


def test_settings_are_plain_data_or_refused():
    assert records.plain({"a": (np.float32(0.5), Path("x"), torch.tensor([1, 2]))}, "settings") == {
        "a": [0.5, "x", [1, 2]]
    }
    with pytest.raises(TypeError, match=r"settings\['a'\]\[0\] is a object"):
        records.plain({"a": [object()]}, "settings")
    with pytest.raises(ValueError, match="settings is nan"):
        records.plain(float("nan"), "settings")


def test_wrong_arguments_are_told_so():
    method, protocol = helpers.Tiny(), helpers.tiny_protocol()
    with pytest.raises(TypeError, match="the wrong way round"):
        fit(protocol, method)
    with pytest.raises(TypeError, match="create_method"):
        fit("baseline", protocol)
    with pytest.raises(TypeError, match="make_protocol"):
        fit(method, protocol.dataset)


def test_the_number_of_processes_counts_where_rounding_does():
    """Several processes reach what one reaches, up to fp32's rounding; what bf16 rounds away is another number."""
    method = helpers.Tiny()
    method.setup("quick", 12)

    def keys(precision):
        told = [identity(method, helpers.tiny_protocol(), "quick", 0, precision, 1, {}, n) for n in (1, 2, 4)]
        return len({key_of(one) for one in told})

    assert keys("fp32") == 1 and keys("bf16") == 3


def test_a_full_disk_is_told_so(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(checkpoint.DiskFull, match=r"the disk is full: free some space.*REID_RUNS.*metrics\.csv"):
        fit(helpers.Tiny(), helpers.tiny_protocol(), runs=tmp_path, **QUIET)
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("place", ["a file", "a file/below", "a link to nowhere"])
def test_a_folder_that_cannot_hold_runs_is_named(tmp_path, monkeypatch, place):
    (tmp_path / "a file").write_text("")
    (tmp_path / "a link to nowhere").symlink_to(tmp_path / "x" / "y")
    monkeypatch.setenv("REID_RUNS", str(tmp_path / place))
    told = rf"no run can be kept here \(.+\): name another folder with runs=… or REID_RUNS: '{tmp_path / place}/tiny-"
    with pytest.raises((NotADirectoryError, FileExistsError), match=told):
        fit(helpers.Tiny(), helpers.tiny_protocol(), **QUIET)


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.EROFS, "it cannot be written"), (errno.EACCES, "it cannot be written"), (errno.ENOSPC, "the disk is full"),
     (errno.ENOENT, "No such file"), (None, "its disk cannot lock files")],
)  # fmt: skip
def test_why_a_folder_cannot_hold_runs(tmp_path, monkeypatch, number, reason):
    def refuse(*_, **__):
        raise OSError(number, "as the system says") if number else NotImplementedError("no flock")

    monkeypatch.setattr(records.FileLock, "acquire", refuse)
    kind = type(OSError(number, "")) if number else OSError
    with pytest.raises(kind, match=rf"\({reason}.*REID_RUNS.*tiny-"):
        records.lock(tmp_path / "tiny-1", progress=False)


def test_a_protocol_from_before_a_correction_is_refused(tmp_path):
    """Labels corrected in place: the protocol that was made of the old ones does not fit any more."""
    people = helpers.tiny_people()
    protocol = helpers.tiny_protocol(people)
    people.table.loc[0, "pid"], people.table.loc[5, "pid"] = "001", "000"
    with pytest.raises(DataError, match="other images or labels"):
        fit(helpers.Tiny(), protocol, runs=tmp_path, **QUIET)
    fit(helpers.Tiny(epochs=1), helpers.tiny_protocol(people), runs=tmp_path, **QUIET)
