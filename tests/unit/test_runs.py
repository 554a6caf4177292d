"""A run is identified by what went into it, computed once and found again."""

from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import training_helpers as helpers

from lib.methods import create_method
from lib.training import fit
from lib.training.runs import directory_of, identity, key_of, runs_directory
from lib.training.sources import combine, essence, imports, source_texts

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
    method.pretrained_parts = lambda: dict.fromkeys(pretrained or {}, "somewhere")
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
    monkeypatch.setattr(helpers.Tiny, "synthetic_ratios", (0.5,))
    assert key() != before


def test_a_weights_file_counts_by_its_content_not_its_path(tmp_path):
    keys = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "weights.pt"
        path.write_bytes(b"same bytes")
        method = create_method("baseline", pretrained=str(path))
        method.setup("quick", 12)
        from lib.training.fit import run_key

        keys.append(run_key(method, helpers.tiny_protocol(), "quick", 0, "fp32"))
    assert keys[0][0] == keys[1][0]
    assert str(tmp_path) not in json.dumps(keys[0][1])


# ---- code


def test_comments_docstrings_and_layout_do_not_count():
    plain = "def f(x):\n    return g(x, 1)\n"
    dressed = '"""Module."""\n\n# a remark\ndef f(x):  # why\n    """What."""\n'
    dressed += "\n    return g(\n        x,\n        1,\n    )\n"
    assert essence(plain) == essence(dressed)
    others = [plain.replace("1", "2"), plain.replace("f(", "h("), plain.replace("x, 1", "1, x"), plain + "f(3)\n"]
    for changed in others:
        assert essence(plain) != essence(changed)
    assert essence('x = "# one"\n') != essence('x = "# two"\n')


def test_imports_are_followed_and_type_checking_ones_are_not():
    source = "import os\nfrom lib.models.heads import BNNeck\nif TYPE_CHECKING:\n    import lib.data.protocol\n"
    source += "def make():\n    from lib.models.dgd import DGD\n    return DGD()\n"
    assert imports(source) == {"os", "lib.models.heads", "lib.models.heads.BNNeck"}


def test_the_code_of_a_run_is_what_it_uses_and_nothing_else():
    texts = source_texts(create_method("baseline"))
    used = {
        "lib.methods.baseline", "lib.methods.method", "lib.methods.stages", "lib.models.backbones", "lib.models.heads",
        "lib.losses.cross_entropy", "lib.losses.batch_hard_triplet", "lib.losses.in_float32",
        "lib.losses.gathered", "lib.training.loop", "lib.training.optim", "lib.data.batches", "lib.data.resolution",
    }  # fmt: skip
    assert used <= texts.keys()
    assert not {"lib.methods", "lib.training.runs", "lib.training.checkpoint", "lib.data.readers"} & texts.keys()
    assert not {"lib.models.dgd", "lib.models.superres_deep", "lib.losses.foreground_loss"} & texts.keys()


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"name": "baseline", "backbone": "dgd-quarter"}, "lib.models.dgd"),
        ({"name": "superres", "network": "vdsr-narrow"}, "lib.models.superres_deep"),
    ],
)
def test_the_code_of_the_layers_counts_where_they_are_imported_late(settings, part):
    method = create_method(**settings)
    method.setup("quick", 4)
    assert part in source_texts(method)


def test_changed_code_changes_the_hash():
    texts = source_texts(helpers.Tiny())
    assert any(name.endswith("Tiny") for name in texts), "a class from outside the package counts as well"
    changed = {name: text.replace("id='farthest'", "id='nearest'") for name, text in texts.items()}
    assert combine(changed) != combine(texts)


# ---- found again


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


def test_where_runs_are(tmp_path, monkeypatch):
    monkeypatch.setenv("REID_RUNS", str(tmp_path / "environment"))
    assert runs_directory() == tmp_path / "environment"
    assert runs_directory(tmp_path / "argument") == tmp_path / "argument"
    monkeypatch.delenv("REID_RUNS")
    assert runs_directory().parts[-2:] == ("data", "runs")


def test_names_are_safe_for_the_file_system():
    protocol = helpers.tiny_protocol(helpers.tiny_people())
    object.__setattr__(protocol, "preset", "my/own preset")
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
