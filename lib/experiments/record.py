"""The record: every row of a study trained several times, and what came out in ``data/measured``.

    python -m lib.experiments.record sing --dataset viper --seeds 3 --trials 3 --hours 2     # make record STUDY=sing …

Trains what is missing, the most telling rows first, stops starting when the hours are over, and writes down what is
there; asked again, it goes on where it was. ``--hours 0`` only writes. ``--processes 16`` trains and tests so many rows
at a time (a GPU, or many cores). Several machines share the work with ``--share 1/4``, each its own cells; what they
trained is found by whoever writes.

What the tables have already and is not here stays: where they have more, nothing is written.

Three tables per study and data set: ``<study>_rows`` (every row's scores), ``<study>_differences`` (each row minus each
earlier one, rank-1) and ``<study>_claims``. Every row says how many trainings and
splits stand behind it.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd

from lib.data import DataError, load_dataset
from lib.data.dataset import PersonDataset
from lib.experiments import measured, pools, workers
from lib.experiments.scores import scores
from lib.experiments.studies import STUDIES
from lib.experiments.study import Cell, Study, common
from lib.models.state import WeightsUnavailable
from lib.training import Run
from lib.training.loop import NonFiniteLoss

TABLES = ("rows", "differences", "claims")


def train(studies: Sequence[Study], hours: float, share: tuple[int, int] = (1, 1)) -> int:
    """Train what is missing, row by row over all cells, until the hours are over; returns how many models are missing.

    share : (k, n), the k-th of n processes, which takes every n-th cell.
    """
    end, missing = time.monotonic() + 3600 * hours, 0
    for name in dict.fromkeys(name for some in studies for name in some.rows):
        for some in studies:
            for cell in some.cells[share[0] - 1 :: share[1]]:
                if some.is_there(name, cell):
                    continue
                if time.monotonic() >= end:
                    missing += 1
                    continue
                started = time.monotonic()
                try:
                    some.trained(name, [cell])
                    said = f"{time.monotonic() - started:.0f} s"
                except (WeightsUnavailable, NonFiniteLoss) as error:  # of this row alone: the others go on
                    missing, said = missing + 1, str(error)
                print(f"{some.name}: {name}, trial {cell.protocol.trial}, seed {cell.seed}: {said}", flush=True)
    return missing


def train_beside(
    pool: ProcessPoolExecutor, studies: Mapping[workers.Asked, Study], hours: float, share: tuple[int, int] = (1, 1)
) -> int:
    """``train`` by the processes of a pool."""
    end, waiting = time.time() + 3600 * hours, {}
    for row in dict.fromkeys(row for some in studies.values() for row in some.rows):
        for one, some in studies.items():
            if row in some.rows:
                for cell in range(len(some.cells))[share[0] - 1 :: share[1]]:
                    waiting[pool.submit(workers.train, one, row, cell, end)] = (some, row, some.cells[cell])
    missing = 0
    for future, (some, row, cell) in waiting.items():
        said = future.result()
        missing += said is None
        if said:
            print(f"{some.name}: {row}, trial {cell.protocol.trial}, seed {cell.seed}: {said}", flush=True)
    return missing


def there(some: Study) -> dict[str, list[Cell]]:
    """{row: the cells it was trained in}, of the rows that were trained anywhere."""
    found = {name: [cell for cell in some.cells if some.is_there(name, cell)] for name in some.rows}
    return {name: where for name, where in found.items() if where}


def write(
    name: str,
    people: PersonDataset,
    studies: Mapping[str, Study],
    profile: str,
    seed: int = 0,
    trained: Mapping[str, Mapping[str, Sequence[Cell]]] | None = None,
    replace: bool = False,
    dataset: str | None = None,
) -> list[Path]:
    """The tables of what is there; ``studies`` are one per preset. Nothing is written, and why is said, where
    ``data/measured`` has more (``lost``), unless ``replace``: what another machine has trained is not here.

    trained : {preset: {row: its cells}}, None for all that were trained (``there``). dataset : as ``load_dataset`` was
    asked for it: a folder has a table of its own, whatever it is called; the set's name by default.
    """
    dataset = dataset or people.name
    plan, found, runs = STUDIES[name], {table: [] for table in TABLES}, []
    chosen = {preset: there(some) if trained is None else trained.get(preset, {}) for preset, some in studies.items()}
    more = [] if replace else lost(name, dataset, profile, chosen)  # asked first: testing takes long
    if more:
        few = f"{', '.join(more[:3])}{' and others' if len(more) > 3 else ''}"
        print(
            f"{name} on {people.name} is not written: data/measured has trainings of {few} that are not here. ", end=""
        )
        print("Train them here (--hours), or write all the same (--replace)", flush=True)
        return []
    for preset, some in studies.items():
        if not (trained := chosen[preset]):
            continue
        results = {row: some.results(row, where) for row, where in trained.items()}
        found["rows"].append(scores(results, "row").assign(preset=preset))
        runs += [run for row, where in trained.items() for run in some.trained(row, where).all_runs]
        found["differences"] += differences(some, trained, preset)
        at = {"dataset": people.name, "profile": profile, "preset": preset}
        for one in (each.of(trained) for each in plan.comparisons):
            if one.rows <= set(trained):
                where = common(trained, *one.rows)
                if where and one.asked(people.name, partial(some.difference, where=where)):
                    found["claims"].append(some.judge(one, where, **at))
        found["claims"] += [row | at for row in plan.judged(some, trained)]
    frames = {
        "rows": pd.concat(found["rows"], ignore_index=True) if found["rows"] else pd.DataFrame(),
        "differences": pd.DataFrame(found["differences"]),
        "claims": pd.DataFrame(found["claims"]),
    }
    told = {"profile": profile, "dataset": dataset, "seed": seed, "presets": sorted(studies)}
    return [
        measured.record(f"{name}_{table}", frame, runs=unique(runs), replace=replace, **told)
        for table, frame in frames.items()
        if len(frame)
    ]


def lost(name: str, dataset: str, profile: str, trained: Mapping[str, Mapping[str, Sequence[Cell]]]) -> list[str]:
    """Rows of which the stored table has more trainings or splits than there are here; none where other code than
    today's measured it, and where nothing is here.

    trained : {preset: {row: its cells}}.
    """
    try:
        stored = measured.measured(f"{name}_rows", dataset, profile)
    except (measured.MeasuredError, ValueError):  # never measured; quick, which measures nothing
        return []
    if stored.attrs["note"] or not any(trained.values()):
        return []
    more = set()
    for one in stored.drop_duplicates(["preset", "row"]).to_dict("records"):
        where = trained.get(one["preset"], {}).get(one["row"], ())
        splits = {cell.protocol.trial for cell in where}
        if one["trainings"] > len(where) or one["trials"] > len(splits):
            more.add(one["row"])
    return sorted(more)


def differences(some: Study, trained: dict[str, list[Cell]], preset: str) -> list[dict]:
    """Every row minus every earlier one, rank-1, over the cells that both have."""
    made = []
    for reference, row in itertools.combinations(trained, 2):
        if where := common(trained, row, reference):
            d = some.difference(row, reference, where=where)
            made.append(
                {"preset": preset, "row": row, "reference": reference, "mean": d.mean, "low": d.low, "high": d.high}
                | {"trainings": d.trainings, "trials": d.trials, "agree": d.agree}
            )
    return made


def unique(runs: Sequence[Run]) -> list[Run]:
    return list({run.key: run for run in runs}.values())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lib.experiments.record", description=__doc__.split("\n\n")[0])
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--dataset", default="pedestrians", help="a name of load_dataset, a folder or a CSV file")
    parser.add_argument("--preset", action="append", help="a protocol; again for more (default: the study's)")
    parser.add_argument("--profile", default="course", choices=measured.EVIDENCE)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each row on each split")
    parser.add_argument("--trials", type=int, default=1, help="splits")
    parser.add_argument("--hours", type=hours, default=1.0, help="start no training after so many hours")
    parser.add_argument("--share", default="1/1", help="K/N: this is the K-th of N processes that share the work")
    parser.add_argument("--replace", action="store_true", help="also where the stored tables have more trainings")
    parser.add_argument("--processes", type=int, default=1, help="rows trained and tested at a time")
    told = parser.parse_args(arguments)
    share = _share(parser, told.share)
    if told.processes < 1:
        parser.error(f"--processes is at least 1, not {told.processes}")
    try:
        people = load_dataset(told.dataset)
        presets = told.preset or STUDIES[told.study].presets(people.name)
        size = told.profile, told.trials, told.seeds
        asked = {preset: workers.Asked(told.study, told.dataset, preset, *size) for preset in presets}
        studies = {preset: workers.opened(one, people) for preset, one in asked.items()}
    except (DataError, ValueError) as error:
        parser.error(str(error))
    if told.processes == 1:
        missing = train(list(studies.values()), told.hours, share)
    else:
        with pools.pool(told.processes) as pool:
            missing = train_beside(pool, {asked[preset]: some for preset, some in studies.items()}, told.hours, share)
            for preset, some in studies.items():
                workers.tested(pool, asked[preset], some)
    how = {"replace": told.replace, "dataset": told.dataset}
    measured.announce(parser, partial(write, told.study, people, studies, told.profile, **how))
    print(f"{missing} rows are still missing: run the same again" if missing else "complete")


def hours(text: str) -> float:
    """A number of hours, at least 0, for argparse; "nan", which no clock reaches, is none."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not found >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours: 0 or more, such as 2 or 0.5")
    return found


def _share(parser: argparse.ArgumentParser, text: str) -> tuple[int, int]:
    try:
        which, of = (int(part) for part in text.split("/"))
    except ValueError:
        parser.error(f"--share is K/N, such as 1/4, not {text!r}")
    if not 1 <= which <= of:
        parser.error(f"--share {text}: K lies between 1 and N")
    return which, of


if __name__ == "__main__":
    main()
