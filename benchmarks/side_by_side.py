"""Trainings beside each other with one thread each (``Study.train``), beside one after the other with all threads.

    python -m benchmarks.side_by_side                    # three minutes, on idle cores
    python -m benchmarks.side_by_side --images 25600     # the course's budget: starting the processes counts less

Of a row of FTWA's, of PS-HRNet's and of JBIM's as many trainings as there are threads, which differ in their seed.
Seconds, the time that the processes take to start among them; the peer is torch's own threads. On a GPU a study trains
one model at a time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

import torch

from lib.data import load_dataset
from lib.experiments import ftwa, jbim, pshrnet
from lib.experiments.study import Cell, Row, Study, cells

ROWS = (
    *(row for row in ftwa.rows() if row.name == ftwa.R),
    *(row for row in pshrnet.rows() if row.name == pshrnet.SR_ID),
    *(row for row in jbim.one_model() if row.name == jbim.ONE_OF[jbim.LIM]),
)


def seconds(row: Row, where: list[Cell], images: int, processes: int) -> float:
    """Of training a row in these cells, from nothing."""
    before = os.environ.get("REID_RUNS")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["REID_RUNS"] = folder
        study = Study(row.name, [row], where, "course", images=images, progress=False)
        started = time.perf_counter()
        study.train(processes)
        taken = time.perf_counter() - started
    os.environ.pop("REID_RUNS") if before is None else os.environ.update(REID_RUNS=before)
    return taken


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__.split("\n\n")[0])
    parser.add_argument("--images", type=int, default=2560, help="that each network is shown")
    told = parser.parse_args(arguments)
    threads = torch.get_num_threads()
    where = cells(load_dataset("pedestrians"), "mlr", seeds=threads)
    print(f"{threads} threads, {told.images:,} images; seconds of {threads} trainings")
    for row in ROWS:
        turn, beside = (seconds(row, where, told.images, processes) for processes in (1, threads))
        print(f"{row.name:26} in turn {turn:6.1f}   side by side {beside:6.1f}   {turn / beside:.2f} times as fast")


if __name__ == "__main__":
    main()
