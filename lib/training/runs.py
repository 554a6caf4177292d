"""A run is identified by what went into it, computed once, and found again.

A run's directory holds ``run.json`` (what went in and where it was made; written last: its presence means finished),
``weights.pt``, ``metrics.csv`` (one row per epoch, also while it runs) and, until it is finished, ``checkpoints/``.
``run.json`` also holds the hashes of the others and of itself: what is damaged is computed again.
"""

from __future__ import annotations

import datetime
import errno
import hashlib
import json
import math
import os
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout

from lib.data.protocol import Protocol
from lib.data.store import REASONS
from lib.methods.method import Method
from lib.paths import ROOT
from lib.training import checkpoint
from lib.training.sources import Code, code_of


@dataclass
class Run:
    """A trained method and where it came from.

    method : trained, in evaluation mode; the run's own, so that no later training changes it.
    protocol : what it was trained on. key : SHA-256 hex of what went in.
    directory : its files. history : one row per epoch: stage, epoch, steps, lr, each loss term, total,
    images_per_second, seconds. seconds : training time, over all resumptions. reused : found, not trained now.
    code : the definitions that it depends on, see ``lib.training.sources``. seed : that it was trained with.
    """

    method: Method = field(repr=False)
    protocol: Protocol = field(repr=False)
    key: str
    directory: Path
    history: pd.DataFrame = field(repr=False)
    seconds: float
    reused: bool
    provenance: dict = field(repr=False)
    code: Code = field(repr=False)
    seed: int = 0


def runs_directory(runs: str | os.PathLike | None = None) -> Path:
    """Where runs are kept: the argument, else $REID_RUNS, else data/runs of the repository (ignored by git).

    ``~`` is the home directory. A relative argument is relative to where one stands, like every path in a call; a
    relative $REID_RUNS to the repository, so that it is the same folder for every notebook and every script.
    """
    if runs:
        return Path(runs).expanduser()
    return ROOT / Path(os.environ.get("REID_RUNS") or Path("data", "runs")).expanduser()


def identity(
    method: Method,
    protocol: Protocol,
    profile: str,
    seed: int,
    precision: str,
    accumulate: int,
    pretrained: dict[str, str],
    processes: int = 1,
) -> dict:
    """All that decides a run's weights, as JSON-able data. The method has been set up.

    Several processes reach what one reaches up to the rounding of fp32, so their number counts in the other
    precisions only; the provenance has it in any case.

    pretrained : {part: fingerprint of its first weights}; it stands for their paths in the settings, because the same
    weights in another folder are the same.
    """
    told = method.told_all
    told["settings"].pop("weights", None)
    masks = protocol.dataset.masks_from
    found = {
        "method": method.name,
        **told,
        "recipe": method.recipe(),
        "pretrained": pretrained,
        "profile": profile,
        "protocol": protocol.sha256,
        "data": protocol.dataset.fingerprint,
        "seed": seed,
        "precision": precision,
        "accumulate": accumulate,
        "code": code_of(method, protocol).sha256,
    }
    found |= {"masks": masks} if masks else {}  # a set's own follow from what made its images
    found |= {"processes": processes} if processes > 1 and precision != "fp32" else {}
    return {name: plain(value, name) for name, value in found.items()}


def plain(value: object, where: str) -> object:
    """JSON-able data: NumPy's and torch's numbers and arrays as Python's, paths as text.

    TypeError, naming the place, for anything else: an object's address would make another run of every start.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, np.generic | np.ndarray | torch.Tensor):
        return plain(value.tolist(), where)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}: a run's settings are finite numbers")
        return value
    raise TypeError(
        f"{where} is a {type(value).__name__}, {value!r}: a run is known by numbers, texts, lists and dictionaries"
    )


def key_of(identity: dict) -> str:
    """SHA-256 hex of the canonical JSON."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def directory_of(runs: Path, method: Method, protocol: Protocol, key: str) -> Path:
    """``<method>-<set>-<preset>-<first 12 of the key>``."""
    name = "-".join(
        re.sub(r"[^A-Za-z0-9_.]+", "_", part) for part in (method.name, protocol.dataset.name, protocol.preset)
    )
    return runs / f"{name}-{key[:12]}"


def lock(directory: Path, progress: bool) -> FileLock:
    """The run's lock, held: who comes second waits, then finds the run finished. A killed holder's lock is free.

    Raises OSError, of the class that the system gave, where the folder cannot be made or nothing can be kept there.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / ".lock")
        try:
            lock.acquire(timeout=1)
        except Timeout:
            if progress:
                print(f"another process is computing {directory.name}; waiting for it", file=sys.stderr)
            lock.acquire()
    except (OSError, NotImplementedError) as error:  # the second is how filelock says that a disk knows no locks
        number = errno.ENOLCK if isinstance(error, NotImplementedError) else error.errno or errno.EIO
        reason = REASONS.get(number) or os.strerror(number)
        text = f"no run can be kept here ({reason}): name another folder with runs=… or REID_RUNS"
        raise OSError(number, text, str(directory)) from error
    return lock


def is_finished(directory: Path) -> bool:
    return (directory / "run.json").is_file()


def finish(directory: Path, key: str, identity: dict, weights: dict, provenance: dict, code: Code) -> None:
    """Write the weights, then ``run.json``, which makes the run findable."""
    record = {
        "key": key,
        "identity": identity,
        "provenance": provenance,
        "code": code.as_data(),
        "weights": checkpoint.save(directory / "weights.pt", {"weights": weights}, key),
        "history": _file_hash(directory / "metrics.csv"),
    }
    text = json.dumps({**record, "sha256": _record_hash(record)}, indent=2, sort_keys=True)
    checkpoint.write_atomically(directory / "run.json", lambda path: path.write_text(text + "\n", encoding="utf-8"))


def read(directory: Path, key: str) -> tuple[dict, dict, pd.DataFrame]:
    """(weights, provenance, history) of a finished run. Raises CheckpointError where its files are damaged."""
    try:
        record = json.loads((directory / "run.json").read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError(f"run.json holds {record!r:.40}, no record of a run")
        intact = record.pop("sha256") == _record_hash(record) and record["key"] == key
        provenance, seconds = record["provenance"], float(record["provenance"]["seconds"])
        intact = intact and seconds >= 0 and record["history"] == _file_hash(directory / "metrics.csv")
        history = pd.read_csv(directory / "metrics.csv")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise checkpoint.CheckpointError(f"{directory}: run.json or metrics.csv is damaged ({error!r})") from error
    if not intact:
        raise checkpoint.CheckpointError(f"{directory}: run.json or metrics.csv is damaged (it was changed)")
    weights = checkpoint.load(directory / "weights.pt", key)
    if weights["sha256"] != record["weights"]:
        raise checkpoint.CheckpointError(f"{directory / 'weights.pt'} is not the file that run.json was written for")
    return weights["weights"], provenance, history


def _record_hash(record: dict) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def machine(device: torch.device) -> dict:
    """Hardware and versions, for the record; no name of the machine."""
    import torchvision

    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "device_kind": device.type,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "system": platform.system(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        found = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text(encoding="utf-8", errors="replace"))
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()
