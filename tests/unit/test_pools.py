"""Trainings side by side (``lib.experiments.pools``, ``Study.train``)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from lib.data import load_dataset
from lib.experiments import pools
from lib.experiments.controls import CONTROLS, controls, plain
from lib.experiments.study import Row, Study, View, cells
from lib.models.state import WeightsUnavailable

WAITING = """
import os, time
from lib.experiments import pools
if __name__ == "__main__":
    with pools.pool(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600).result()
"""

OWN_ROW = """
from lib.data import load_dataset
from lib.experiments.controls import plain
from lib.experiments.study import Row, Study, cells
if __name__ == "__main__":
    where = cells(load_dataset("pedestrians", identities=16), "mlr", seeds=2)
    study = Study("mine", [Row("mine", lambda bench, ratio: plain(bench, ratio))], where, "quick", progress=False)
    study.train(2)
    print([study.is_there("mine", cell) for cell in where])
"""


@pytest.fixture(scope="module")
def people():
    return load_dataset("pedestrians", identities=16)


def test_models_side_by_side_are_those_of_one_after_the_other(people, monkeypatch, tmp_path):
    rows = [*controls(), View("again", CONTROLS[0], None)]
    weights = {}
    for folder, processes in (("side by side", 2), ("in turn", 1)):
        monkeypatch.setenv("REID_RUNS", str(tmp_path / folder))
        study = Study("few", rows, cells(people, "mlr", seeds=2), "quick", progress=False)
        study.run(CONTROLS[0], study.cells[1])  # there before
        study.train(processes)
        assert not list(study._missing())
        weights[folder] = {
            (name, k): study.trained(name, [cell]).method.state_dict()
            for name in study.rows
            for k, cell in enumerate(study.cells)
        }
        there = sorted(path.stat().st_mtime_ns for path in (tmp_path / folder).glob("*/weights.pt"))
        study.train(processes)  # nothing is trained twice
        assert sorted(path.stat().st_mtime_ns for path in (tmp_path / folder).glob("*/weights.pt")) == there
    for one, state in weights["side by side"].items():
        assert all(torch.equal(value, weights["in turn"][one][name]) for name, value in state.items()), one


def test_quick_trains_one_model_after_the_other(people, monkeypatch, tmp_path):
    """Its trainings take less time than a process takes to start."""
    monkeypatch.setenv("REID_RUNS", str(tmp_path))
    monkeypatch.setattr(pools, "usual", lambda: 2)
    monkeypatch.setattr(pools, "pool", lambda *_: pytest.fail("another process"))
    study = Study("few", controls(), cells(people, "mlr"), "quick", progress=False)
    study.train()
    assert not list(study._missing())


def test_what_one_raises_is_raised_and_the_others_are_dropped(people, monkeypatch, tmp_path):
    monkeypatch.setenv("REID_RUNS", str(tmp_path))
    bad = Row("no weights", partial(plain, weights={"backbone": "pedestrians"}, backbone="bottleneck-4-1"))
    study = Study("few", [bad, *controls()], cells(people, "mlr", seeds=4), "quick", progress=False)
    with pytest.raises(WeightsUnavailable, match="bottleneck-4-1"):
        study.train(2)
    assert len(list(study._missing())) > 4


def test_a_row_of_a_reader_s_own_is_trained_too(tmp_path):
    """What is defined in a notebook, no process can import."""
    script = subprocess.run(
        [sys.executable, "-c", OWN_ROW], capture_output=True, text=True, env=os.environ | {"REID_RUNS": str(tmp_path)}
    )
    assert script.stdout == "[True, True]\n", script.stderr


def test_the_processes_of_a_killed_one_end():
    with subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
    for _ in range(100):
        if has_ended(child):
            break
        time.sleep(0.1)
    assert has_ended(child), "the process outlives the one that was killed"


def has_ended(process: int) -> bool:
    """Gone, or dead and not yet asked for by whoever inherited it."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{process}/stat")  # where there is such a file
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_one_at_a_time_on_a_gpu_and_else_a_core_each(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pools.usual() == 3
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert pools.usual() == pools.MOST  # what memory allows
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pools.usual() == 1
