"""A run is identified by what went into it, computed once, and found again.

A run's directory holds ``run.json`` (what went in and where it was made; written last: its presence means finished),
``weights.pt``, ``metrics.csv`` (one row per epoch, also while it runs) and, until it is finished, ``checkpoints/``.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
from filelock import FileLock, Timeout

from lib.methods.method import Method
from lib.training import checkpoint
from lib.training.sources import source_hash

if TYPE_CHECKING:
    from lib.data.protocol import Protocol

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """A trained method and where it came from.

    method : trained, in evaluation mode. protocol : what it was trained on. key : SHA-256 hex of what went in.
    directory : its files. history : one row per epoch: stage, epoch, steps, lr, each loss term, total,
    images_per_second, seconds. seconds : training time, over all resumptions. reused : found, not trained now.
    """

    method: Method
    protocol: Protocol
    key: str
    directory: Path
    history: pd.DataFrame = field(repr=False)
    seconds: float
    reused: bool
    provenance: dict = field(repr=False)


def runs_directory(runs: str | os.PathLike | None = None) -> Path:
    """Where runs are kept: the argument, else $REID_RUNS, else data/runs of the repository (ignored by git)."""
    return Path(runs or os.environ.get("REID_RUNS") or REPOSITORY / "data" / "runs")


def identity(
    method: Method,
    protocol: Protocol,
    profile: str,
    seed: int,
    precision: str,
    accumulate: int,
    pretrained: dict[str, str],
) -> dict:
    """All that decides a run's weights, as JSON-able data. The method has been set up.

    pretrained : {part: fingerprint of its first weights}; the fingerprint also replaces a file's path in the settings,
    because the same weights in another folder are the same.
    """
    sources = method.pretrained_parts()
    by_source = {sources[part]: fingerprint for part, fingerprint in pretrained.items()}
    settings = {k: by_source.get(v, v) if isinstance(v, str) else v for k, v in method.settings.items()}
    masks = protocol.dataset.masks_from
    return {
        "method": method.name,
        "settings": settings,
        "recipe": method.recipe(),
        "pretrained": pretrained,
        "profile": profile,
        "protocol": protocol.sha256,
        "data": protocol.dataset.fingerprint,
        "seed": seed,
        "precision": precision,
        "accumulate": accumulate,
        "code": source_hash(method),
    } | ({"masks": masks} if masks else {})  # a set's own follow from what made its images


def key_of(identity: dict) -> str:
    """SHA-256 hex of the canonical JSON. Raises TypeError for a setting that is not JSON-able data."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def directory_of(runs: Path, method: Method, protocol: Protocol, key: str) -> Path:
    """``<method>-<set>-<preset>-<first 12 of the key>``."""
    name = "-".join(
        re.sub(r"[^A-Za-z0-9_.]+", "_", part) for part in (method.name, protocol.dataset.name, protocol.preset)
    )
    return runs / f"{name}-{key[:12]}"


def lock(directory: Path, progress: bool) -> FileLock:
    """The run's lock, held: who comes second waits, then finds the run finished. A killed holder's lock is free."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / ".lock")
    try:
        lock.acquire(timeout=1)
    except Timeout:
        if progress:
            print(f"another process is computing {directory.name}; waiting for it", file=sys.stderr)
        lock.acquire()
    return lock


def is_finished(directory: Path) -> bool:
    return (directory / "run.json").is_file()


def finish(directory: Path, key: str, identity: dict, weights: dict, provenance: dict) -> None:
    """Write the weights, then ``run.json``, which makes the run findable."""
    checkpoint.save(directory / "weights.pt", {"weights": weights}, key)
    text = json.dumps({"key": key, "identity": identity, "provenance": provenance}, indent=2, sort_keys=True)
    checkpoint.write_atomically(directory / "run.json", lambda path: path.write_text(text + "\n", encoding="utf-8"))


def read(directory: Path, key: str) -> tuple[dict, dict, pd.DataFrame]:
    """(weights, provenance, history) of a finished run. Raises CheckpointError where its files are damaged."""
    weights = checkpoint.load(directory / "weights.pt", key)["weights"]
    try:
        provenance = json.loads((directory / "run.json").read_text(encoding="utf-8"))["provenance"]
        history = pd.read_csv(directory / "metrics.csv")
    except (OSError, ValueError, KeyError) as error:
        raise checkpoint.CheckpointError(f"{directory}: run.json or metrics.csv is damaged ({error})") from error
    return weights, provenance, history


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
