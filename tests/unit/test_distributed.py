"""Two gloo processes reach what one process reaches with the same global batch."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import training_helpers as helpers
from torch import nn
from torch.multiprocessing import start_processes

from lib.data.batches import Batch
from lib.losses import (
    READINGS,
    batch_hard_triplet,
    centre_loss,
    cross_entropy,
    discriminator_loss,
    foreground_loss,
    gathered,
    generator_loss,
    mean_over_processes,
    pair_shares,
    pixel_l1,
    pixel_mse,
    resolution_weighting,
    siamese_l1,
    stream_balance,
    weighted_regularised_triplet,
)
from lib.methods import METHODS, create_method
from lib.models.devices import resolve_device
from lib.training import fit
from lib.training.distributed import ALONE, World, _whole_batch_norm, world
from lib.training.launch import _setting
from lib.training.processes import in_processes

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
            return helpers.Tiny(epochs=2, dropout=0.0, lr=1e-3)
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
        found = [run.method.embed(Batch(images), "probe") for run in (one, two)]
    torch.testing.assert_close(found[1], found[0], rtol=1e-2, atol=2e-3)


def test_a_failing_process_is_reported(tmp_path):
    with pytest.raises(RuntimeError, match=r"process \d of 2 failed: .*loss term .* is not finite"):
        fit(helpers.Tiny(lr=1e30), helpers.tiny_protocol(), runs=tmp_path, processes=2, **OPTIONS)


def test_methods_of_a_notebook_are_refused_with_the_remedy():
    class InNotebook(helpers.Tiny):
        pass

    InNotebook.__module__ = "__main__"
    with pytest.raises(ValueError, match="put it into a file"):
        in_processes(2, fit, InNotebook())


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


# every method, in one process and in two

JOBS = [(case, helpers.UNEVEN) for case in helpers.STEPS]
JOBS += [(case, helpers.APART) for case in ("sing", "sing, triplet", "sr-then-reid", "ftwa", "ftwa, scalar")]


def in_a_process(rank: int, size: int, folder: str) -> None:
    """Process ``rank`` of ``size``: all jobs and all shares, one after the other; writes what it found."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    try:
        steps = [helpers.take_steps(case, ratios, World(rank, size)) for case, ratios in JOBS]
        losses = [losses_of(slice(*cut[rank])) for cut in CUTS]
        norms = [norm_of(slice(*cut[rank])) for cut in CUTS]
    finally:
        dist.destroy_process_group()
    torch.save({"steps": steps, "losses": losses, "norms": norms}, Path(folder) / f"{rank}.pt")


@pytest.fixture(scope="module")
def in_two_processes(tmp_path_factory):
    """What two gloo processes found, started once for all that follows."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([HERE, str(Path(HERE).parents[1])]))
        start_processes(in_a_process, (2, str(folder)), nprocs=2, start_method="spawn")
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def test_every_method_takes_a_step_in_the_sweep():
    assert {name for name, _ in helpers.STEPS.values()} == set(METHODS)


# batch statistics of the discriminator's small maps magnify rounding (in double precision it agrees to 4e-12)
# a gradient through a clamped pixel or a ReLU on its edge may fall on either side of it
# two networks at once: 1e-7 more or less in the pictures moves weights by 3e-6
# where two maps are equal, their absolute difference (FTWA Eq. 2) has a kink, and rounding decides which side of it
ROUNDING = {"superres, gan": 2e-2, "ftwa": 1e-3, "ftwa, batch": 1e-3, "ripr, fc": 5e-3, "him-lim": 1e-4, "jbim": 1e-4}
# an HRNet's 40 normalisations, the last over 1 x 1 maps: gradients agree to 1e-4, weights to 5e-6
ROUNDING |= dict.fromkeys(("hrnet-reid", "pshrnet", "pshrnet, synthetic"), 1e-4)
NAMES = [f"{case}-{'uneven' if ratios is helpers.UNEVEN else 'apart'}" for case, ratios in JOBS]


@pytest.mark.parametrize("job", range(len(JOBS)), ids=NAMES)
def test_two_processes_take_the_step_of_one(in_two_processes, job):
    """Loss terms, gradients, weights and statistics, where the processes' streams differ in size and where one of them
    has no image of a stream at all."""
    one, both = helpers.take_steps(*JOBS[job], ALONE), [found["steps"][job] for found in in_two_processes]
    for two in both:
        assert len(two["terms"]) == len(one["terms"]) and len(two["gradients"]) == len(one["gradients"])
        for expected, found in zip(one["terms"], two["terms"], strict=True):
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-7)
        for stage, found in zip(one["gradients"], two["gradients"], strict=True):
            largest = max(float(g.abs().max()) for g in stage)
            difference = max(float((a - b).abs().max()) for a, b in zip(stage, found, strict=True))
            assert difference <= ROUNDING.get(JOBS[job][0], 1e-4) * largest
        for name, value in one["state"].items():
            torch.testing.assert_close(
                two["state"][name],
                value,
                rtol=1e-4,
                atol=3e-5 if JOBS[job][0] in ROUNDING else 1e-6,
                msg=lambda m, n=name: f"{n}: {m}",
            )


# one's own share may be of any size


CUTS = (((0, 7), (7, 9)), ((0, 9), (9, 9)), ((0, 0), (0, 9)))


def nine(*shape: int) -> torch.Tensor:
    return torch.rand(9, *shape, generator=torch.Generator().manual_seed(len(shape)))


def two_streams(labels: torch.Tensor, side: torch.Tensor, reading: str, x: torch.Tensor) -> torch.Tensor:
    """FTWA's Eq. 7 of vectors and log weights in one tensor (b, 3, 4)."""
    high, low, logs = x[:, 0], x[:, 1], -x[:, 2, :2]
    pairs = pair_shares(high, low, labels, logs, side, reading)
    return batch_hard_triplet(high, labels, 1.0, pairs[:, 0]) + batch_hard_triplet(low, labels, 1.0, pairs[:, 1])


def losses_of(share: slice) -> dict[str, tuple]:
    """{loss: (value, gradient of the share)} of nine images, of which this process holds ``share``."""
    labels = (torch.arange(9) % 3)[share]
    side = (torch.arange(9) % 2 == 0)[share]
    centres, target, mask, r = nine(4)[:3], nine(3, 4, 2)[share] / 2, nine(1, 4, 2)[share], nine()[share]
    functions = {
        "cross_entropy": (nine(4), lambda x: cross_entropy(x, labels, 0.1)),
        "cross_entropy, weights": (nine(4), lambda x: cross_entropy(x, labels, 0.0, r)),
        "triplet": (nine(4), lambda x: batch_hard_triplet(x, labels, 1.0)),
        "triplet, weights": (nine(4), lambda x: batch_hard_triplet(x, labels, None, r)),
        "weighted triplet": (nine(4), lambda x: weighted_regularised_triplet(x, labels)),
        "weighted triplet, itself": (nine(4), lambda x: weighted_regularised_triplet(x, labels, itself=True)),
        "centre": (nine(4), lambda x: centre_loss(x, labels, centres)),
        "pixel": (nine(3, 4, 2), lambda x: pixel_mse(x, target)),
        "pixel, sum": (nine(3, 4, 2), lambda x: pixel_mse(x, target, "sum")),
        "pixel, L1": (nine(3, 4, 2), lambda x: pixel_l1(x, target)),
        "siamese": (nine(4), lambda x: siamese_l1((target[:, 0, :, 0], labels[:, None]), (x, x[:, :1]), "sum")),
        "foreground": (nine(3, 4, 2), lambda x: foreground_loss(x, target, mask)),
        "weighting": (nine(2, 2), lambda x: resolution_weighting(x, r)),
        "discriminator": (nine(2), lambda x: discriminator_loss(x[:, 0], x[:, 1])),
        "generator": (nine(1), lambda x: generator_loss(x[:, 0])),
        "balance": (nine(2), lambda x: stream_balance(-x)),
        **{f"streams, {reading}": (nine(3, 4), partial(two_streams, labels, side, reading)) for reading in READINGS},
        "mean": (nine(3), lambda x: mean_over_processes(x**2)),
        "gathered": (nine(3), lambda x: mean_over_processes((x[:, None] - gathered(x)[0][None]).square().sum(1))),
    }
    found = {}
    for name, (whole, function) in functions.items():
        leaf = whole[share].clone().requires_grad_()
        value = function(leaf)
        value.backward()
        found[name] = (value.detach(), leaf.grad)
    return found


def norm_of(share: slice) -> dict:
    """Batch normalisation of values far from 0, and its gradients."""
    layer, x = nn.BatchNorm2d(3), (50 + nine(3, 4, 2))[share].requires_grad_()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2.0, -1.0]))
    y = _whole_batch_norm(layer, x) if dist.is_initialized() else layer(x)
    (y * nine(3, 4, 2)[share]).sum().backward()
    return {"y": y.detach(), "x": x.grad, "weight": layer.weight.grad, **dict(layer.named_buffers())}


def test_losses_and_statistics_of_shares_of_any_size(in_two_processes):
    """The mean over the processes of values, and of gradients as DistributedDataParallel makes it: half the sum."""
    both = [found["losses"] for found in in_two_processes]
    whole = losses_of(slice(0, 9))
    for cut in range(len(CUTS)):
        for name, (value, gradient) in whole.items():
            (a, grad_a), (b, grad_b) = both[0][cut][name], both[1][cut][name]
            torch.testing.assert_close((a + b) / 2, value, msg=lambda m, n=name: f"{n}: {m}")
            torch.testing.assert_close(torch.cat([grad_a, grad_b]) / 2, gradient, msg=lambda m, n=name: f"{n}: {m}")
    norms = [found["norms"] for found in in_two_processes]
    whole = norm_of(slice(0, 9))
    for cut in range(len(CUTS)):
        parts = [norms[0][cut], norms[1][cut]]
        close = {"rtol": 1e-3, "atol": 1e-4}  # squares without a mean taken off are 4e-3 wrong here
        for name in ("y", "x"):
            torch.testing.assert_close(torch.cat([part[name] for part in parts]), whole[name], **close)
        torch.testing.assert_close(parts[0]["weight"] + parts[1]["weight"], whole["weight"], **close)
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            for part in parts:
                torch.testing.assert_close(part[name], whole[name], **close)


def test_a_device_is_what_was_asked_for():
    """0 is the first GPU, not "none said"; a name that means nothing is told so, not left to torch."""
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")
    assert resolve_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    for wrong in ("", "gpu", "cpu:x", True, 1.0, []):
        with pytest.raises(ValueError, match="unknown device"):
            resolve_device(wrong)
    here = torch.cuda.device_count()
    for absent in (here, f"cuda:{here}", torch.device("cuda", here)):
        with pytest.raises(ValueError, match=rf"torch sees {here} GPU\(s\) here; use device='cpu' or None"):
            resolve_device(absent)
