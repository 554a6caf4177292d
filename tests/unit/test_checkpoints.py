"""Checkpoints: killed anywhere, a run resumes and ends in the same weights, bit by bit."""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
import warnings
from pathlib import Path

import pandas as pd
import pytest
import torch
import training_helpers as helpers

from lib.training import checkpoint, fit
from lib.training.checkpoint import CheckpointError, Checkpoints
from lib.training.loop import Trainer
from lib.training.randomness import random_states, seeded, set_random_states

HERE = str(Path(__file__).resolve().parent)

EPOCHS = 16  # 256 steps
OPTIONS = {"device": "cpu", "precision": "fp32", "progress": False, "checkpoint_steps": 3}


def train(runs: Path) -> None:
    """The whole run, in a process of its own."""
    torch.set_num_threads(1)
    fit(helpers.Tiny(epochs=EPOCHS), helpers.tiny_protocol(), runs=runs, **OPTIONS)


def final_weights(runs: Path) -> dict:
    (path,) = runs.glob("*/weights.pt")
    return torch.load(path, weights_only=True)["weights"]


def newest_step(runs: Path) -> int:
    """Of the last checkpoint whose name is on the disk; 0 before the first."""
    return max((int(p.stem[5:]) for p in runs.glob("*/checkpoints/step-*.pt")), default=0)


def test_killed_at_ten_random_moments_the_weights_are_bit_identical(tmp_path):
    """SIGKILL leaves no chance to clean up; a checkpoint every 3 steps, so some kills hit one being written."""
    context = multiprocessing.get_context("forkserver")  # imports torch once, not eleven times
    context.set_forkserver_preload(["lib.training", "training_helpers", __name__])
    whole = context.Process(target=train, args=(tmp_path / "whole",))
    whole.start()
    whole.join()
    assert whole.exitcode == 0
    (done,) = (tmp_path / "whole").glob("*/metrics.csv")
    moment, steps = random.Random(0), [0]
    for _ in range(10):
        process = context.Process(target=train, args=(tmp_path / "killed",))
        process.start()
        target, patience = steps[-1] + moment.randint(1, 15), time.monotonic() + 120
        while newest_step(tmp_path / "killed") < target and time.monotonic() < patience:
            time.sleep(0.001)
        time.sleep(moment.uniform(0, 0.03))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "finished before it was killed: the run is too short"
        steps.append(newest_step(tmp_path / "killed"))
    assert sorted(set(steps)) == steps, "each attempt goes on from the one before"
    process = context.Process(target=train, args=(tmp_path / "killed",))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert helpers.same_weights(final_weights(tmp_path / "whole"), final_weights(tmp_path / "killed"))
    (resumed,) = (tmp_path / "killed").glob("*/metrics.csv")
    drop = ["images_per_second", "seconds"]
    tables = [pd.read_csv(path).drop(columns=drop) for path in (done, resumed)]
    assert tables[0].equals(tables[1])
    assert not list((tmp_path / "killed").glob("*/checkpoints/*")), "a finished run keeps no checkpoints"


def test_a_truncated_checkpoint_is_named_and_the_previous_one_is_used(tmp_path):
    store = Checkpoints(tmp_path, "k" * 64)
    store.save(3, {"value": torch.arange(1000)})
    newest = store.save(6, {"value": torch.arange(2000)})
    newest.write_bytes(newest.read_bytes()[:-700])
    with pytest.warns(RuntimeWarning, match="step-000000006.pt cannot be read as a checkpoint: truncated"):
        assert len(store.newest()["value"]) == 1000


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"PK\x03\x04" + bytes(200)])
def test_files_of_another_kind_give_a_clear_error(tmp_path, content):
    path = tmp_path / "step-000000001.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="step-000000001.pt cannot be read"):
        checkpoint.load(path)


def test_foreign_checkpoints_give_a_clear_error(tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="other.pt is not a checkpoint of this project"):
        checkpoint.load(tmp_path / "other.pt")
    checkpoint.save(tmp_path / "ours.pt", {}, key="a" * 64)
    with pytest.raises(CheckpointError, match="belongs to another run"):
        checkpoint.load(tmp_path / "ours.pt", key="b" * 64)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return print, ("boom",)

    torch.save({"format": checkpoint.FORMAT, "bomb": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(CheckpointError, match=r"bomb\.pt cannot be read"):
        checkpoint.load(tmp_path / "bomb.pt")


def test_two_are_kept_and_all_are_cleared(tmp_path):
    store = Checkpoints(tmp_path, "k")
    for step in (3, 6, 12):
        store.save(step, {})
    assert [p.name for p in store.paths()] == ["step-000000006.pt", "step-000000012.pt"]
    (tmp_path / "step-000000015.pt.99.tmp").write_bytes(b"half")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.newest()["key"] == "k"
    store.clear()
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    checkpoint.write_atomically(path, lambda p: p.write_text("old"))

    def fail(p):
        p.write_text("ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        checkpoint.write_atomically(path, fail)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_holds_everything(tmp_path):
    """Optimiser, scaler, all random states and the place, which is all that sampler and augmentation go by; readable
    without unpickling code.
    """
    contents = {}
    with seeded(0):
        method = helpers.Tiny(epochs=1)
        method.setup("quick", 12)

        def save(step, content):
            return contents.update({step: content}) or checkpoint.save(tmp_path / "c.pt", content, "k")

        Trainer(method, helpers.tiny_protocol(), 0, torch.device("cpu"), "fp32", save=save, checkpoint_steps=1).run()
    content = checkpoint.load(tmp_path / "c.pt", "k")
    assert {"method", "optimizer", "scaler", "random", "place", "names", "sums"} <= content.keys()
    assert content["optimizer"]["state"]
    assert {"torch", "numpy", "python", "cuda"} == content["random"].keys()
    assert content["place"]["total_steps"] == max(contents) == 16


def test_random_states_come_back():
    import random as python

    import numpy as np

    states = random_states()
    first = (torch.rand(3).tolist(), np.random.rand(3).tolist(), python.random(), np.random.randn())
    set_random_states(states)
    assert first == (torch.rand(3).tolist(), np.random.rand(3).tolist(), python.random(), np.random.randn())


def test_fit_leaves_the_callers_random_states_alone():
    before = torch.get_rng_state()
    with seeded(5):
        inside = torch.rand(1).item()
    assert torch.equal(before, torch.get_rng_state())
    with seeded(5):
        assert torch.rand(1).item() == inside


@pytest.mark.parametrize("what", ["weights", "optimizer", "random state"])
def test_one_flipped_bit_is_found(tmp_path, what):
    """And passed over: the checkpoint before it is taken, with a warning that names the file."""
    values = {
        "weights": torch.rand(64, generator=torch.Generator().manual_seed(0)),
        "optimizer": {"state": {0: {"exp_avg": torch.arange(100.0).view(10, 10), "step": torch.tensor(3.0)}}},
        "random state": torch.arange(200, dtype=torch.uint8),
    }
    store = Checkpoints(tmp_path, "k")
    paths = [store.save(step, values) for step in (1, 2)]
    tensor = values["optimizer"]["state"][0]["exp_avg"] if what == "optimizer" else values[what]
    content, needle = bytearray(paths[1].read_bytes()), tensor.numpy().tobytes()
    start = content.find(needle)
    assert start > 0
    content[start + len(needle) // 2] ^= 4
    paths[1].write_bytes(content)
    with pytest.warns(RuntimeWarning, match=r"step-000000002\.pt is damaged.*trying the checkpoint before it"):
        found = store.newest()
    assert found["sha256"] == checkpoint.load(paths[0])["sha256"] and torch.equal(found["weights"], values["weights"])


def test_the_checksum_sees_kinds_shapes_and_order():
    values = [
        torch.zeros(4),
        torch.zeros(2, 2),
        torch.zeros(4, dtype=torch.int32),
        [0.0] * 4,
        {"a": 1},
        {"a": 1.0},
        "1",
        1,
    ]
    assert len({checkpoint.checksum(value) for value in values}) == len(values)
    assert checkpoint.checksum({"a": torch.ones(2, 3).T}) == checkpoint.checksum({"a": torch.ones(3, 2)})
    assert checkpoint.checksum([torch.tensor(float("nan")), torch.empty(0)])
