"""The record's work, shared by several processes of one machine.

Each process makes the study for itself, from its name; a run that two rows need is trained by one while the other
waits.
"""

from __future__ import annotations

import dataclasses
import time
from concurrent.futures import Future, ProcessPoolExecutor
from functools import lru_cache
from typing import NamedTuple

from lib.data import load_dataset
from lib.data.dataset import PersonDataset
from lib.evaluation import Result
from lib.evaluation.intervals import deal
from lib.experiments.studies import study
from lib.experiments.study import Study, cells
from lib.models.state import WeightsUnavailable
from lib.training.loop import NonFiniteLoss

SUBSETS = ("test", "val")


class Asked(NamedTuple):
    """A study as the record's command names it: all that a process needs to make it."""

    study: str
    dataset: str
    preset: str
    profile: str
    trials: int
    seeds: int


def opened(asked: Asked, people: PersonDataset) -> Study:
    """The study of these people, which ``asked.dataset`` names."""
    where = cells(people, asked.preset, asked.trials, asked.seeds)
    return study(asked.study, people, asked.preset, where, asked.profile, progress=False)


@lru_cache(maxsize=32)
def own_study(asked: Asked) -> Study:
    """The study of a process of the pool, made once."""
    return opened(asked, _people(asked.dataset))


@lru_cache(maxsize=8)
def _people(dataset: str) -> PersonDataset:
    return load_dataset(dataset)


def train(asked: Asked, row: str, cell: int, end: float) -> str | None:
    """Train a row in a cell (its position): what to say of it; "" where it was there, None after ``end`` (of
    ``time.time``), and where its first weights are missing or its loss is not finite, which is said.
    """
    some = own_study(asked)
    if some.is_there(row, some.cells[cell]):
        return ""
    if time.time() >= end:
        return None
    started = time.monotonic()
    try:
        some.trained(row, [some.cells[cell]])
    except (WeightsUnavailable, NonFiniteLoss) as error:  # of this row alone: the others go on
        print(f"{some.name}: {row}: {error}", flush=True)
        return None
    return f"{time.monotonic() - started:.0f} s"


def test(asked: Asked, row: str, where: tuple[int, ...]) -> dict[str, list[Result]]:
    """A row's results in cells (their positions), by subset, light enough to be sent home: their rankings are settled
    for the people of these cells.
    """
    some = own_study(asked)
    chosen = [some.cells[position] for position in where]
    found = {}
    for subset in SUBSETS:
        results = some.results(row, chosen, subset=subset)
        groups = deal(person for result in results for person in result.ranking.probe_ids.tolist())
        found[subset] = [
            dataclasses.replace(result, ranking=result.ranking.settled(groups)) if len(groups) > 1 else result
            for result in results
        ]
    return found


def tested(pool: ProcessPoolExecutor, asked: Asked, some: Study) -> None:
    """All rows in the cells that they were trained in, tested by the pool; ``some``, this process's own, remembers the
    results.
    """
    waiting: dict[tuple[str, tuple[int, ...]], Future] = {}
    for row in some.rows:
        if where := tuple(p for p, cell in enumerate(some.cells) if some.is_there(row, cell)):
            waiting[row, where] = pool.submit(test, asked, row, where)
    for (row, where), future in waiting.items():
        for subset, results in future.result().items():
            some.remember(row, [some.cells[position] for position in where], results, subset)
