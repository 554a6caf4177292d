"""Our own results, kept: tidy CSV files in ``data/measured``, with a JSON file beside each that says where it is from.

What was measured once on VIPeR can so be shown beside the embedded people on a machine that has no VIPeR. Numbers of
the profile ``quick`` are no evidence and are refused.

The JSON holds the inputs (profile, data set, seed, runs, protocols) and the circumstances (hardware, versions, commit,
date), and the hash of the CSV it belongs to. Measuring the same again writes nothing: a new date alone is no change.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from lib.training.checkpoint import write_atomically
from lib.training.runs import machine

if TYPE_CHECKING:
    from lib.training import Run

REPOSITORY = Path(__file__).resolve().parents[2]
EVIDENCE = ("course", "paper")
DIGITS = 6  # significant ones in the CSV


class MeasuredError(LookupError):
    """A measured table is not there or damaged; the message says which run makes it."""


def folder() -> Path:
    """Where the tables lie: $COURSE_MEASURED, else data/measured of the repository."""
    return Path(os.environ.get("COURSE_MEASURED") or REPOSITORY / "data" / "measured")


def table_name(what: str, dataset: str, profile: str) -> str:
    """``objective-viper``, or ``objective-viper-paper``; of a folder or file its last part is the data set's name."""
    if profile not in EVIDENCE:
        raise ValueError(f"numbers of the profile {profile!r} are no evidence; use {' or '.join(EVIDENCE)}")
    parts = [what, Path(dataset).stem] + (["paper"] if profile == "paper" else [])
    return "-".join(re.sub(r"[^A-Za-z0-9_]+", "_", part) for part in parts)


def record(
    what: str, frame: pd.DataFrame, *, profile: str, dataset: str, seed: int, runs: Iterable[Run] = (), **inputs: Any
) -> Path:
    """Write ``frame`` (one row per number, without its index) and its provenance; returns the CSV's path.

    what : short name of the table, e.g. "objective". runs : the trained runs that the numbers are of. inputs : what
    else decided them, JSON-able (trials, grid). ValueError for the profile "quick", an empty frame, nameless columns.
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
            "dataset": Path(dataset).stem,
            "seed": seed,
            "runs": {run.directory.name: run.key for run in runs},
            "protocols": sorted({run.protocol.sha256 for run in runs}),
            **inputs,
        },
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "rows": len(frame),
        "columns": list(frame.columns),
    }
    found = json.loads(json.dumps(found, allow_nan=False))  # as it will be read again: tuples are lists
    target = folder() / f"{name}.csv"
    if _same(target, found):
        return target
    circumstances = {
        **machine(torch.device("cuda" if torch.cuda.is_available() else "cpu")),
        "numpy": _version("numpy"),
        "pandas": _version("pandas"),
        "commit": commit(),
        "training_seconds": round(sum(run.seconds for run in runs), 1),
        "trained_on": sorted({str(run.provenance.get("device", "unknown")) for run in runs}),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    about = json.dumps({**found, "circumstances": circumstances}, indent=2, sort_keys=True) + "\n"
    for path, content in ((target, text), (target.with_suffix(".json"), about)):
        write_atomically(path, lambda file, content=content: file.write_text(content, encoding="utf-8", newline=""))
    return target


def keep(lesson: Any, what: str, frame: pd.DataFrame, runs: Sequence[Run] = (), **inputs: Any) -> str:
    """``record`` for a lesson (an object with name, profile, dataset, seed, canonical); returns a sentence that says
    what happened. Nothing is kept in ``quick`` or with changed parameters: reading along changes no committed number.
    """
    if lesson.profile not in EVIDENCE:
        return f"not kept: numbers of the profile {lesson.profile} are no evidence"
    if not lesson.canonical:
        return "not kept: the lesson's parameters were changed"
    inputs |= {key: getattr(lesson, key) for key in ("profile", "dataset", "seed")}
    path = record(what, frame, runs=runs, lesson=lesson.name, **inputs)
    return f"kept as {path.name}: {len(frame)} rows"


def measured(what: str, dataset: str, profile: str = "course") -> pd.DataFrame:
    """A measured table; its provenance is in ``frame.attrs["provenance"]``.

    Raises MeasuredError where it was not measured yet or was changed by hand, and says how it is made.
    """
    name = table_name(what, dataset, profile)
    path = folder() / f"{name}.csv"
    try:
        text = path.read_text(encoding="utf-8")
        provenance = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        digest = provenance["sha256"]
    except FileNotFoundError as error:
        known = sorted(p.stem for p in path.parent.glob("*.csv")) if path.parent.is_dir() else []
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise MeasuredError(
            f"there is no measured table {name}{hint}; run the lesson that makes it with "
            f"`-p profile {profile} -p dataset {Path(dataset).stem}`. Measured so far: {', '.join(known) or 'nothing'}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise MeasuredError(f"{path.with_suffix('.json').name} is damaged ({error!r}): run its lesson again") from error
    if hashlib.sha256(text.encode()).hexdigest() != digest:
        raise MeasuredError(f"{path.name} is not the table that its JSON describes: run its lesson again")
    frame = pd.read_csv(path, keep_default_na=True)
    frame.attrs["provenance"] = provenance
    return frame


def origin(frame: pd.DataFrame) -> str:
    """Where a table read by ``measured`` is from, in one line."""
    p = frame.attrs["provenance"]
    inputs, how = p["inputs"], p["circumstances"]
    what = f"{inputs['what']} on {inputs['dataset']}: profile {inputs['profile']}, seed {inputs['seed']}"
    when = f"{how['date'][:10]} on {how['device']} with torch {how['torch']}, commit {how['commit'][:12]}"
    return f"{what}, {p['rows']} rows; measured {when}"


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


def _same(target: Path, found: dict) -> bool:
    """Whether exactly these numbers from these inputs are there already."""
    try:
        text = target.read_text(encoding="utf-8")
        before = json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    intact = hashlib.sha256(text.encode()).hexdigest() == before.get("sha256")
    return intact and all(before.get(key) == found[key] for key in ("inputs", "sha256"))


def _version(package: str) -> str:
    from importlib import metadata

    return metadata.version(package)
