"""Our own results, kept: tidy CSV files in ``data/measured``, with a JSON file beside each that says where it is from.

What was measured once on VIPeR can so be shown beside the embedded people on a machine that has no VIPeR. Numbers of
the profile ``quick`` are no evidence and are refused.

The JSON holds the inputs (profile, data set, seed, runs, protocols, the number of trainings and of splits behind a row)
and the circumstances (hardware, versions, commit, date), the hash of the CSV it belongs to, and the code that the
numbers depend on, definition by definition: what was measured with other code than today's says so (``origin``).
Measuring the same again writes nothing: a new date alone is no change.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import json
import os
import re
import subprocess
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from lib import evaluation
from lib.data.readers import READERS
from lib.definitions import UnknownDefinition, differences, few, name_of, total
from lib.evaluation.intervals import counted
from lib.paths import ROOT as REPOSITORY
from lib.paths import write_together
from lib.training.runs import Run, machine
from lib.training.sources import code_again

EVIDENCE = ("course", "paper")
DIGITS = 6  # significant ones in the CSV
HASH = 8  # digits of a definition's hash in the JSON
REMEDY = "restore both files (git checkout -- data/measured), or take both away and measure it again"
# what ranks and compares: all that ``lib.evaluation`` offers, of its classes every public member
OFFERED = [some for some in map(vars(evaluation).get, evaluation.__all__) if name_of(some)]
EVALUATION = [name_of(some) for some in OFFERED] + [
    f"{name_of(some)}.{member}"
    for some in OFFERED
    if isinstance(some, type)
    for member in vars(some)
    if not member.startswith("_")
]


class KeptError(ValueError):
    """A stored table knows more, or answers another question, and is not written over."""


class MeasuredError(LookupError):
    """A measured table is not there; the message says which run makes it."""


class DamagedTable(Exception):
    """A measured table is damaged, or only half there: nobody may go on as if nothing had been measured."""


def folder() -> Path:
    """Where the tables lie: $COURSE_MEASURED (in the repository, if relative), else data/measured of the repository."""
    return REPOSITORY / Path(os.environ.get("COURSE_MEASURED") or Path("data", "measured")).expanduser()


def data_name(dataset: str) -> str:
    """The data set in a table's name: a known set's own, ``own-<name>-<6 digits of its path's hash>`` for a folder or a
    CSV file, so that somebody's own folder called viper is not taken for VIPeR."""
    path = Path(dataset).expanduser()
    if dataset.lower() in READERS:
        return dataset.lower()
    if path.name == dataset and path.suffix.lower() != ".csv" and not path.exists():
        return dataset
    return f"own-{path.stem}-{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:6]}"


def table_name(what: str, dataset: str, profile: str) -> str:
    """``objective-viper``, or ``objective-viper-paper``; see ``data_name`` for a folder or a file."""
    if profile not in EVIDENCE:
        raise ValueError(f"numbers of the profile {profile!r} are no evidence; use {' or '.join(EVIDENCE)}")
    parts = [what, data_name(dataset)] + (["paper"] if profile == "paper" else [])
    return "-".join(re.sub(r"[^A-Za-z0-9_]+", "_", part) for part in parts)


def record(
    what: str, frame: pd.DataFrame, *, profile: str, dataset: str, seed: int, runs: Iterable[Run] = (),
    replace: bool = False, keys: Sequence[str] = (), **inputs: Any,
) -> Path:  # fmt: skip
    """Write ``frame`` (one row per number, without its index) and its provenance; returns the CSV's path.

    what : short name of the table, e.g. "objective". runs : the trained runs that the numbers are of. inputs : what
    else decided them, JSON-able (trials, grid). ValueError for the profile "quick", an empty frame, nameless columns.
    KeptError where the stored table answers another question (preset), is of other people (protocols), or has more
    trainings or splits, and is of today's code, and where it is damaged; with ``replace`` it gives way all the same.
    keys : columns that say what a row is of; KeptError where the stored table has some that are not in ``frame``.
    How many trainings (seeds) and splits (trials) stand behind a row is counted from the runs where ``inputs`` does
    not say it; a column ``trainings`` or ``trials`` says it row by row.
    """
    name = table_name(what, dataset, profile)
    if frame.empty or not all(isinstance(column, str) and column for column in frame.columns):
        raise ValueError(f"{name}: a measured table has rows, and every column has a name")
    text = frame.to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")
    runs = list(runs)
    found = {
        "inputs": {
            "what": what,
            "profile": profile,
            "dataset": data_name(dataset),
            "seed": seed,
            "trainings": len({run.seed for run in runs}),
            "trials": max(1, len({run.protocol.trial for run in runs})),
            "runs": {run.directory.name: run.key for run in runs},
            "protocols": sorted({run.protocol.sha256 for run in runs}),
            **inputs,
        },
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "rows": len(frame),
        "columns": list(frame.columns),
        "code": code_behind(runs),
    }
    found = json.loads(json.dumps(found, allow_nan=False))  # as it will be read again: tuples are lists
    target = folder() / f"{name}.csv"
    if _same(target, found):
        return target
    if not replace:
        _may_replace(target, frame, found, list(keys))
    circumstances = {
        **machine(torch.device("cuda" if torch.cuda.is_available() else "cpu")),
        "numpy": _version("numpy"),
        "pandas": _version("pandas"),
        "commit": commit(),
        "training_seconds": round(sum(run.seconds for run in runs), 1),
        "trained_on": sorted({str(run.provenance.get("device", "unknown")) for run in runs}),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    return write(target, text, {**found, "circumstances": circumstances})


def announce(parser: ArgumentParser, write: Callable[[], Iterable[Path | None]]) -> None:
    """What a command does last: ``write`` tables, and say which. Where one may not be written over, or is damaged, the
    command ends with 1 and says why in a line; what was trained is kept, and found again.
    """
    try:
        for path in filter(None, write()):
            print(f"written: {path.name}")
    except (DamagedTable, KeptError) as error:
        parser.exit(1, f"error: {error}\n")


def write(target: Path, text: str, about: dict) -> Path:
    """A table's two files, the CSV ``target`` and the JSON beside it, which holds ``about``, written together."""
    contents = {target: text, target.with_suffix(".json"): json.dumps(about, indent=2, sort_keys=True) + "\n"}
    as_they_are = {"encoding": "utf-8", "newline": ""}
    write_together({path: partial(Path.write_text, data=content, **as_they_are) for path, content in contents.items()})
    return target


def code_behind(runs: Iterable[Run]) -> dict:
    """The code that the runs' numbers depend on, and that which ranks and compares, as JSON-able data.

    runs : {directory: its code's hash}. starts, entries : where to begin to find the same again. definitions :
    {module: "name:hash name:hash …"}. Code that is not of this package is in the runs' hashes only.
    """
    runs = list(runs)
    starts = sorted({start for run in runs for start in run.code.starts}.union(EVALUATION))
    entries = sorted({entry for run in runs for entry in run.code.entries})
    found = code_again(starts, entries)
    return {
        "runs": {run.directory.name: run.code.sha256 for run in runs},
        "starts": starts,
        "entries": entries,
        "sha256": total(found),
        "definitions": _packed(found),
    }


def code_note(provenance: dict) -> str:
    """ "" where a table was measured with today's code; else that it was not, with both hashes and what changed."""
    code = provenance.get("code")
    if not code:
        return "measured before the code was recorded"
    try:
        now = code_again(code["starts"], code["entries"])
    except UnknownDefinition as error:
        return f"measured with other code ({code['sha256'][:HASH]}): {error}"
    changed = differences(_unpacked(code["definitions"]), {name: digest[:HASH] for name, digest in now.items()})
    if not changed:
        return ""
    return f"measured with other code ({code['sha256'][:HASH]}, here {total(now)[:HASH]}): {few(changed)} changed"


def outdated() -> dict[str, str]:
    """{table: ``code_note``} of all tables that were not measured with today's code. DamagedTable where one is."""
    notes = {}
    for path in sorted(folder().glob("*.json")):
        if note := code_note(_read(path.with_suffix(".csv"))[1]):
            notes[path.stem] = note
    return notes


def _packed(found: dict[str, str]) -> dict[str, str]:
    """By module, in one line each: {"lib.losses": "cross_entropy:1a2b3c4d gathered:5e6f7a8b"}."""
    modules: dict[str, list[str]] = {}
    for name, digest in sorted(found.items()):
        module = ".".join(name.split("[")[0].split(".")[:3])
        modules.setdefault(module, []).append(f"{name[len(module) :].lstrip('.')}:{digest[:HASH]}")
    return {module: " ".join(some) for module, some in modules.items()}


def _unpacked(modules: dict[str, str]) -> dict[str, str]:
    return {
        module + (f".{name}" if name else ""): digest
        for module, line in modules.items()
        for name, _, digest in (item.rpartition(":") for item in line.split(" "))
    }


def keep(lesson: Any, what: str, frame: pd.DataFrame, runs: Sequence[Run] = (), **inputs: Any) -> str:
    """``record`` for a lesson (an object with name, profile, dataset, seed, canonical); returns a sentence that says
    what happened. Nothing is kept in ``quick`` or with changed parameters: reading along changes no committed number.
    """
    if lesson.profile not in EVIDENCE:
        return f"not kept: numbers of the profile {lesson.profile} are no evidence"
    if not lesson.canonical:
        return "not kept: the lesson's parameters were changed, or this is a copy of it"
    inputs |= {key: getattr(lesson, key) for key in ("profile", "dataset", "seed")}
    try:
        path = record(what, frame, runs=runs, lesson=lesson.name, **inputs)
    except KeptError as error:
        return f"not kept: {error}"
    return f"kept as {path.name}: {len(frame)} rows"


def measured(what: str, dataset: str, profile: str = "course") -> pd.DataFrame:
    """A measured table; its provenance is in ``frame.attrs["provenance"]``, and in ``frame.attrs["note"]`` what has to
    be said about its code (``code_note``).

    Raises MeasuredError where it was not measured yet, and says how it is made; DamagedTable where it cannot be read,
    was changed by hand, or half of it is missing.
    """
    name = table_name(what, dataset, profile)
    path = folder() / f"{name}.csv"
    if not _is_there(path):
        known = sorted(p.stem for p in path.parent.glob("*.csv")) if path.parent.is_dir() else []
        own = data_name(dataset).startswith("own-")  # nobody means another set's table
        close = [] if own else difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise MeasuredError(
            f"there is no measured table {name}{hint}; run the lesson that makes it with "
            f"`-p profile {profile} -p dataset {dataset}`. Measured so far: {', '.join(known) or 'nothing'}"
        )
    text, provenance = _read(path)
    frame = pd.read_csv(io.StringIO(text), keep_default_na=True)
    frame.attrs["provenance"] = provenance
    frame.attrs["note"] = code_note(provenance)
    return frame


def _is_there(path: Path) -> bool:
    """Whether a table, or half of one, is there."""
    return path.exists() or path.with_suffix(".json").exists()


def _read(path: Path) -> tuple[str, dict]:
    """The text of a table and its provenance; DamagedTable where the two are not those that were written together."""
    try:
        text = path.read_text(encoding="utf-8")
        about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        intact = hashlib.sha256(text.encode()).hexdigest() == about["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedTable(f"{path.stem} in {path.parent} is damaged ({error!r}): {REMEDY}") from error
    if not intact:
        raise DamagedTable(f"{path} is not the table that its JSON describes: {REMEDY}")
    return text, about


def origin(frame: pd.DataFrame) -> str:
    """Where a table read by ``measured`` is from, in one line, and whether today's code measured it."""
    p = frame.attrs["provenance"]
    inputs, how = p["inputs"], p["circumstances"]
    what = f"{inputs['what']} on {inputs['dataset']}: profile {inputs['profile']}, seed {inputs['seed']}"
    when = f"{how['date'][:10]} on {how['device']} with torch {how['torch']}, commit {how['commit'][:12]}"
    behind = [
        counted(inputs[key], one) for key, one in (("trainings", "training"), ("trials", "split")) if key in inputs
    ]
    note = code_note(p)
    return ", ".join([what, f"{p['rows']} rows", *behind]) + f"; measured {when}" + (f"; {note}" if note else "")


def commit() -> str:
    """The commit of the code, with "+changes" where files under version control were changed; "unknown" outside git."""
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "lib")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return head + ("+changes" if changed else "")


def _git(*arguments: str) -> str:
    """What git says in the repository; an OSError or SubprocessError where it says nothing."""
    done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.strip()


def _may_replace(target: Path, frame: pd.DataFrame, found: dict, keys: list[str]) -> None:
    """KeptError where the stored table is not to be written over: see ``record``."""
    if not _is_there(target):
        return
    try:
        text, about = _read(target)
    except DamagedTable as error:
        if found["sha256"] in _halves(target):
            return  # the same numbers again: they mend it
        raise KeptError(str(error)) from error
    stored, before, inputs, why = pd.read_csv(io.StringIO(text)), about["inputs"], found["inputs"], ""
    if not set(before.get("protocols", ())) <= set(inputs["protocols"]):
        why = "is of other people: of splits that are not here"
    if before.get("preset", inputs.get("preset")) != inputs.get("preset", before.get("preset")):
        why = f"is of the preset {before['preset']}, not {inputs['preset']}"
    for what in ("trainings", "trials"):
        if {what} <= set(stored) & set(frame) and stored[what].max() > frame[what].max():
            why = f"has {stored[what].max()} {what}, and here are {frame[what].max()}"
    if keys and set(keys) <= set(stored):
        before, now = (set(some[keys].itertuples(index=False, name=None)) for some in (stored, frame))
        if lost := before - now:
            why = f"has {len(lost)} rows that are not here ({', '.join(map(str, min(lost, key=str)))} ...)"
    if why and not code_note(about):
        raise KeptError(f"{target.name} {why}: ask for the same, or move the stored table away first")


def _halves(path: Path) -> set[str]:
    """The hashes of the CSV that the two files of a damaged table speak of, of those that can be read."""
    found = set()
    with suppress(OSError, ValueError):
        found.add(hashlib.sha256(path.read_text(encoding="utf-8").encode()).hexdigest())
    with suppress(OSError, ValueError, KeyError, TypeError):
        found.add(json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["sha256"])
    return found


def _same(target: Path, found: dict) -> bool:
    """Whether exactly these numbers from these inputs are there already."""
    try:
        _, before = _read(target)
    except DamagedTable:
        return False
    return all(before.get(key) == found[key] for key in ("inputs", "sha256", "code"))


def _version(package: str) -> str:
    from importlib import metadata

    return metadata.version(package)
