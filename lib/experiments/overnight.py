"""Many studies in one night, by the processes of one machine.

    python -m lib.experiments.overnight --hours 8 --processes 24                   # make overnight HOURS=8 PROCESSES=24
    python -m lib.experiments.overnight pshrnet:pedestrians sing:caviar --hours 1  # these, the first one first
    python -m lib.experiments.overnight ftwa:viper:9 --hours 1                     # its first nine rows and their views

Without names: every study on every set that is here. On the embedded people three trainings on one split, on other sets
one training on each of three splits. A study is tested and written as its trainings are over; those of the next go on
meanwhile. When the hours are over no training begins any more. Only rows that were trained in all cells are written
(``lib.experiments.record`` writes the others too): they are tested by the pool, and nothing is ranked again. What was
trained is found again the next night.

One training of the course's small networks leaves most of a GPU idle, and processes take turns on it. On an H100 with
16 cores, 24 processes took 45 s for a plain row each, and under CUDA MPS (``nvidia-cuda-mps-control -d`` before the
start), which lets them compute at the same time, 15 s; of PS-HRNet's rows 40 s.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial

from lib.data import DataError, load_dataset
from lib.evaluation import Result
from lib.experiments import pools, record, workers
from lib.experiments.recorded import SETS
from lib.experiments.studies import STUDIES
from lib.experiments.study import Study, View
from lib.experiments.workers import Asked

CELLS = {"pedestrians": (1, 3)}  # set -> (splits, trainings on each)
OTHERS = (3, 1)
NAMED = re.compile(r"(?P<study>[^:]+):(?P<set>[^:]+)(:(?P<rows>[1-9][0-9]*))?")

Tested = dict[tuple[Asked, str], dict[str, list[Result]]]


@dataclass
class Job:
    """A study on a set, and how far it is: what was not begun, and how many tasks of each kind are under way."""

    name: str
    asked: list[Asked]  # one per preset
    trainings: deque[tuple[Asked, str, int]]  # with the row and the position of the cell
    tests: deque[tuple[Asked, str]]
    under_way: Counter = field(default_factory=Counter)
    tested: Tested = field(default_factory=dict)
    written: bool = False

    @property
    def is_trained(self) -> bool:
        return not self.trainings and not self.under_way["training"]

    @property
    def is_tested(self) -> bool:
        return self.is_trained and not self.tests and not self.under_way["test"]


def job(
    study: str,
    dataset: str,
    profile: str = "course",
    size: tuple[int, int] | None = None,
    first: int | None = None,
) -> Job:
    """size : (splits, trainings on each); None for the set's. first : so many rows are trained, in the study's order;
    None for all.
    """
    people = load_dataset(dataset)
    size = size or CELLS.get(people.name, OTHERS)
    asked = [Asked(study, dataset, preset, profile, *size) for preset in STUDIES[study].presets(people.name)]
    studies = {one: workers.opened(one, people) for one in asked}
    trainings = deque(
        (one, name, cell)
        for name in list(dict.fromkeys(name for some in studies.values() for name in _rows(some)))[:first]
        for one, some in studies.items()
        if name in _rows(some)
        for cell in range(len(some.cells))
    )
    tests = deque((one, name) for one, some in studies.items() for name in some.rows)
    return Job(f"{study}, {people.name}", asked, trainings, tests)


def _rows(some: Study) -> list[str]:
    """What a study trains: its views need no training of their own."""
    return [name for name, row in some.rows.items() if not isinstance(row, View)]


def night(jobs: Sequence[Job], pool: ProcessPoolExecutor, processes: int, end: float) -> int:
    """Work at all jobs; no training begins after ``end`` (of ``time.time``). Returns how many trainings are missing,
    were refused for first weights that are not there, or failed, which is said.
    """
    running: dict[Future, Callable[[Future], int]] = {}
    missing = 0
    while True:
        tasks = _tasks(jobs, pool, end)
        while len(running) < processes and (task := next(tasks, None)):
            running |= [task]
        if not running:
            return missing
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            missing += running.pop(future)(future)


def _tasks(
    jobs: Sequence[Job], pool: ProcessPoolExecutor, end: float
) -> Iterator[tuple[Future, Callable[[Future], int]]]:
    """What can begin now, each with what is done when it is over: writing before tests, tests before trainings."""
    for one in jobs:
        if one.is_tested and not one.written:
            one.written = True
            if one.tested:
                yield _begun(one, "writing", "tables", pool.submit(write, one.tested))
    for one in jobs:
        while one.is_trained and one.tests:
            key = one.tests.popleft()
            yield _begun(one, "test", key[1], pool.submit(test, *key), partial(_keep, one, key))
    for one in jobs:
        while one.trainings:
            asked, row, cell = one.trainings.popleft()
            said = f"{row}, {asked.preset}, cell {cell + 1}"
            yield _begun(one, "training", said, pool.submit(workers.train, asked, row, cell, end))


def _begun(
    one: Job, kind: str, said: str, future: Future, keep: Callable[[object], None] | None = None
) -> tuple[Future, Callable[[Future], int]]:
    one.under_way[kind] += 1
    return future, partial(_over, one, kind, said, keep)


def _over(one: Job, kind: str, said: str, keep: Callable[[object], None] | None, future: Future) -> int:
    """A task is over; 1 where it failed, and for a training that was refused."""
    one.under_way[kind] -= 1
    try:
        found = future.result()
    except Exception as error:  # noqa: BLE001 - of this row alone: the night goes on, and says so
        text = "".join(traceback.format_exception(error))
        print(f"{one.name}: {kind}: {said}: failed\n{text}", file=sys.stderr, flush=True)
        return 1
    if keep is not None:
        keep(found)
    elif found:
        print(f"{one.name}: {kind}: {said}: {found}", flush=True)
    return int(kind == "training" and found is None)


def _keep(one: Job, key: tuple[Asked, str], found: dict[str, list[Result]] | None) -> None:
    if found is not None:
        one.tested[key] = found


def test(asked: Asked, row: str) -> dict[str, list[Result]] | None:
    """``workers.test`` in all cells; None where the row was not trained in all of them."""
    some = workers.own_study(asked)
    if not all(some.is_there(row, cell) for cell in some.cells):
        return None
    return workers.test(asked, row, tuple(range(len(some.cells))))


def write(tested: Tested) -> str:
    """The tables of one study on one set, of the rows that were tested."""
    some = {one: workers.own_study(one) for one in dict.fromkeys(asked for asked, _ in tested)}
    for (asked, row), found in tested.items():
        for subset, results in found.items():
            some[asked].remember(row, some[asked].cells, results, subset)
    whole = {
        one.preset: {row: study.cells for row in study.rows if (one, row) in tested} for one, study in some.items()
    }
    one = next(iter(some))
    people = some[one].cells[0].protocol.dataset
    studies = {one.preset: study for one, study in some.items()}
    written = record.write(one.study, people, studies, one.profile, trained=whole, dataset=one.dataset)
    return ", ".join(path.name for path in written)


def _is_here(dataset: str) -> bool:
    try:
        load_dataset(dataset)
    except DataError as error:
        print(f"{dataset} is left out: {error}", file=sys.stderr)
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lib.experiments.overnight", description=__doc__.split("\n\n")[0])
    parser.add_argument("jobs", nargs="*", metavar="STUDY:SET[:ROWS]", help="in this order (default: all)")
    parser.add_argument("--profile", default="course", choices=("course", "paper"))
    parser.add_argument("--hours", type=record.hours, default=8.0, help="start no training after so many hours")
    parser.add_argument("--processes", type=int, default=2, help="tasks at a time")
    told = parser.parse_args(arguments)
    if told.processes < 1:
        parser.error(f"--processes is at least 1, not {told.processes}")
    asked = told.jobs or [f"{study}:{people}" for people in SETS if _is_here(people) for study in STUDIES]
    found = [NAMED.fullmatch(one) for one in asked]
    for one, parts in zip(asked, found, strict=True):
        if parts is None or parts["study"] not in STUDIES:
            parser.error(f"{one!r} is no STUDY:SET or STUDY:SET:ROWS; the studies: {', '.join(STUDIES)}")
    end = time.time() + 3600 * told.hours
    try:
        jobs = [
            job(parts["study"], parts["set"], told.profile, first=int(parts["rows"]) if parts["rows"] else None)
            for parts in found
        ]
    except (DataError, ValueError) as error:
        parser.error(str(error))
    with pools.pool(told.processes) as pool:
        missing = night(jobs, pool, told.processes, end)
    print(f"{missing} trainings are still missing: run the same again" if missing else "complete")


if __name__ == "__main__":
    main()
