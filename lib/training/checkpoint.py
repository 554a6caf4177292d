"""Files that survive being killed: written under another name, flushed to disk, renamed; the previous one stays."""

from __future__ import annotations

import os
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import torch

FORMAT = "person re-identification checkpoint 1"
KEEP = 2  # the newest and the one before
BROKEN = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, TypeError, OSError, BadZipFile)


class CheckpointError(RuntimeError):
    """A file that is not a checkpoint, or not one of this run."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary neighbour of ``path``, flush it to disk and rename it: all of it or nothing."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # the renaming itself is an entry of the directory
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def save(path: Path, content: dict, key: str) -> None:
    """Tensors and plain types to ``path``, atomically, marked with our format and the run's key."""
    write_atomically(path, lambda file: torch.save({"format": FORMAT, "key": key, **content}, file))


def load(path: Path, key: str | None = None) -> dict:
    """Read what ``save`` wrote, on the CPU, without unpickling code.

    Raises CheckpointError, naming the file, where it is truncated, of another kind, or of another run than ``key``.
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
