"""Processes of one machine that share its trainings, each with one thread.

One training of the course's small networks leaves most of a GPU idle, and is 1.4 times as fast on two cores as on one.
Two beside each other take hardly longer than one, once their processes have started, which takes some 20 seconds:
``benchmarks/side_by_side.py`` counts both.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from multiprocessing import connection
from typing import Any

import cloudpickle
import torch

from lib.models.devices import resolve_device

LOOK = 1.0  # seconds from one look at what is done to the next
MOST = 4  # trainings at a time in a lesson: each takes one to two gigabytes


def pool(processes: int, *kept: Any) -> ProcessPoolExecutor:
    """So many processes; fresh ones, because a GPU that was touched survives no fork. They end with this one, also
    where it is killed. kept : what ``received`` gives in each of them, also if it was defined in a notebook.
    """
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin, (cloudpickle.dumps(kept),))


def received() -> list[Any]:
    """In a process of a pool: what it was made with."""
    return _RECEIVED


def usual() -> int:
    """How many trainings a lesson runs at a time: as many as torch has threads here, up to ``MOST``; one on a GPU."""
    return min(torch.get_num_threads(), MOST) if resolve_device(None).type == "cpu" else 1


def each(pool: ProcessPoolExecutor, do: Callable[..., Any], pieces: Sequence[tuple]) -> Iterator[int]:
    """Do all pieces, ``do(*piece)``, and say every ``LOOK`` seconds how many have become done since the last time. What
    one raises is raised here, and those that have not begun are dropped. The pool is shut at the end.
    """
    open_ = {pool.submit(do, *piece) for piece in pieces}
    try:
        while open_:
            done, open_ = wait(open_, LOOK, FIRST_COMPLETED)
            for future in done:
                future.result()
            yield len(done)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_RECEIVED: list[Any] = []


def _begin(kept: bytes) -> None:
    _RECEIVED[:] = pickle.loads(kept)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process().sentinel,), daemon=True).start()


def _end_with(parent: int) -> None:
    """A killed parent says nothing: its processes would wait for work for ever. What is half done is gone on with."""
    connection.wait([parent])
    os._exit(1)
