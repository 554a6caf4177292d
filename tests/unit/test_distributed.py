"""Two gloo processes reach what one process reaches with the same global batch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import training_helpers as helpers
from torch import nn

from lib.methods import create_method
from lib.training import fit
from lib.training.distributed import World, world
from lib.training.launch import _setting, launch

HERE = str(Path(__file__).resolve().parent)

OPTIONS = {"device": "cpu", "precision": "fp32", "progress": False}


@pytest.fixture(autouse=True)
def importable_from_new_processes(monkeypatch):
    """The processes that fit starts import ``training_helpers``, too."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([HERE, str(Path(HERE).parents[1])]))


@pytest.mark.parametrize("method", ["tiny", "baseline"])
def test_two_processes_reach_the_single_process_loss(tmp_path, method):
    """Batch statistics, triplets mined over the whole batch, augmentation: all as in one process, up to rounding."""

    def make():
        if method == "tiny":
            return helpers.Tiny(epochs=2, dropout=0.0)
        # a small step: batch normalisation on a 2 x 1 map magnifies differences of rounding
        return create_method("baseline", backbone="bottleneck-4-1", canvas=(32, 16), epochs=2, batch=(4, 2), lr=1e-4)

    protocol = helpers.tiny_protocol()
    one = fit(make(), protocol, runs=tmp_path / "one", **OPTIONS)
    two = fit(make(), protocol, runs=tmp_path / "two", processes=2, **OPTIONS)
    assert one.key == two.key and two.provenance["processes"] == 2 and one.provenance["processes"] == 1
    terms = [c for c in one.history.columns if c not in ("stage", "images_per_second", "seconds")]
    torch.testing.assert_close(
        torch.tensor(two.history[terms].to_numpy()), torch.tensor(one.history[terms].to_numpy()),
        rtol=1e-3, atol=1e-5, equal_nan=True,
    )  # fmt: skip
    images = torch.rand(4, 3, *one.method.canvas, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = [run.method.embed(images, torch.ones(4), "probe") for run in (one, two)]
    torch.testing.assert_close(found[1], found[0], rtol=1e-2, atol=2e-3)


def test_a_failing_process_is_reported(tmp_path):
    with pytest.raises(RuntimeError, match=r"process \d of 2 failed: .*loss term .* is not finite"):
        fit(helpers.Tiny(lr=1e30), helpers.tiny_protocol(), runs=tmp_path, processes=2, **OPTIONS)


def test_methods_of_a_notebook_are_refused_with_the_remedy():
    class InNotebook(helpers.Tiny):
        pass

    InNotebook.__module__ = "__main__"
    with pytest.raises(ValueError, match="put it into a file"):
        launch(2, InNotebook(), None)


def test_one_process_is_a_world_of_its_own():
    with world(torch.device("cpu")) as (alone, device):
        assert alone == World(0, 1) and alone.first and device.type == "cpu"
        assert alone.agree({"a": 1}) == {"a": 1}
        assert torch.equal(alone.mean(torch.ones(2)), torch.ones(2))


def test_settings_from_the_shell():
    assert _setting("epochs=3") == ("epochs", 3)
    assert _setting("canvas=(64, 32)") == ("canvas", (64, 32))
    assert _setting("backbone=resnet50") == ("backbone", "resnet50")


def test_the_shells_way_in(tmp_path, monkeypatch, capsys):
    import lib.data
    from lib.training.launch import main

    monkeypatch.setattr(lib.data, "load_dataset", lambda name: helpers.tiny_people())
    monkeypatch.setattr(lib.data, "make_protocol", lambda people, preset, trial: helpers.tiny_protocol(people))
    arguments = ["--runs", str(tmp_path), "--device", "cpu", "--set", "epochs=1", "--set", "canvas=(32, 16)"]
    main(arguments)
    main(arguments)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("trained ") and second.startswith("found ") and "baseline-tiny-all-" in first


def test_batch_norm_of_one_process_is_torchs_own():
    """The patched layer, checked against torch in a group of one process."""
    import torch.distributed as dist

    from lib.training.distributed import _whole_batch_norm

    layers = [nn.BatchNorm2d(3), nn.BatchNorm2d(3)]
    nn.init.normal_(layers[0].weight)
    layers[1].load_state_dict(layers[0].state_dict())
    x = [torch.randn(4, 3, 5, 2, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in layers]
    store = dist.HashStore()
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        out = [layers[0](x[0]), _whole_batch_norm(layers[1], x[1])]
        for y in out:
            y.square().sum().backward()
    finally:
        dist.destroy_process_group()
    torch.testing.assert_close(out[1], out[0])
    torch.testing.assert_close(x[1].grad, x[0].grad, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(layers[1].weight.grad, layers[0].weight.grad)
    for name, buffer in layers[0].named_buffers():
        torch.testing.assert_close(dict(layers[1].named_buffers())[name], buffer)
