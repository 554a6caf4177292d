"""Files that survive being killed: written under another name, flushed to disk, renamed; the previous one stays.

What is read again is what was written: a hash of all values goes with them, since a disk or a cable may flip a bit of a
number without any error.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import torch

from lib.paths import DiskFull, write_atomically

__all__ = ["CheckpointError", "Checkpoints", "DiskFull", "checksum", "load", "save", "write_atomically"]

FORMAT = "person re-identification checkpoint 2"
KEEP = 2  # the newest and the one before
BROKEN = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, TypeError, OSError, BadZipFile)


class CheckpointError(RuntimeError):
    """A file that is not a checkpoint, or not one of this run."""


def checksum(value: object) -> str:
    """SHA-256 hex of nested tensors and plain values: their kinds, shapes, formats and bytes."""
    hasher = hashlib.sha256()
    _hash(hasher, value)
    return hasher.hexdigest()


def _hash(hasher, value: object) -> None:
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu().contiguous()
        hasher.update(f"tensor {tuple(plain.shape)} {plain.dtype};".encode())
        hasher.update(plain.reshape(-1).view(torch.uint8).numpy())
    elif isinstance(value, Mapping):
        hasher.update(f"dict {len(value)};".encode())
        for key, item in value.items():
            hasher.update(f"{key!r}:".encode())
            _hash(hasher, item)
    elif isinstance(value, list | tuple):
        hasher.update(f"list {len(value)};".encode())
        for item in value:
            _hash(hasher, item)
    else:
        hasher.update(f"{value!r};".encode())


def save(path: Path, content: dict, key: str) -> str:
    """Tensors and plain types to ``path``, atomically, marked with our format, the run's key and the returned
    ``checksum`` of the content."""
    digest = checksum(content)
    marks = {"format": FORMAT, "key": key, "sha256": digest}
    write_atomically(path, lambda file: torch.save({**marks, **content}, file))
    return digest


def load(path: Path, key: str | None = None) -> dict:
    """Read what ``save`` wrote, on the CPU, without unpickling code.

    Raises CheckpointError, naming the file, where it is truncated, of another kind, of another run than ``key``, or
    where a value is not the one that was written.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except BROKEN as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint: truncated or of another kind ({reason})"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of this project (no format mark)")
    if key is not None and content.get("key") != key:
        raise CheckpointError(f"{path} belongs to another run ({str(content.get('key'))[:12]} instead of {key[:12]})")
    values = {name: value for name, value in content.items() if name not in ("format", "key", "sha256")}
    if checksum(values) != content.get("sha256"):
        raise CheckpointError(f"{path} is damaged: its values are not those that were written (their SHA-256 differs)")
    return content


class Checkpoints:
    """The checkpoints of one run: ``step-<number>.pt`` in a directory, the newest two kept."""

    def __init__(self, directory: Path, key: str):
        self.directory, self.key = directory, key

    def paths(self) -> list[Path]:
        """Oldest first."""
        found = [p for p in self.directory.glob("step-*.pt") if re.fullmatch(r"step-\d+\.pt", p.name)]
        return sorted(found, key=lambda p: int(p.stem[5:]))

    def save(self, step: int, content: dict) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"step-{step:09d}.pt"
        save(path, content, self.key)
        for old in self.paths()[:-KEEP]:
            old.unlink(missing_ok=True)
        return path

    def newest(self) -> dict | None:
        """The newest that can be used, or None; one that cannot is named in a warning, set aside, and passed over."""
        for path in reversed(self.paths()):
            try:
                return load(path, self.key)
            except CheckpointError as error:
                warnings.warn(f"{error}; trying the checkpoint before it", RuntimeWarning, stacklevel=2)
                os.replace(path, path.with_name(path.name + ".unusable"))
        return None

    def clear(self) -> None:
        """Remove all of them, and what a killed writer left behind."""
        for pattern in ("step-*.pt", "step-*.pt.unusable", "*.tmp"):
            for path in self.directory.glob(pattern):
                path.unlink(missing_ok=True)
