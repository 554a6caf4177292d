"""Where this repository lies, and how a file of it is replaced. A leaf: every room may use it, and it uses none."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"


class DiskFull(OSError):
    """There is no room for a file; the message says which and what to do."""


def write_atomically(path: str | os.PathLike, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary neighbour of ``path``, flush it to disk and rename it: all of it or nothing.

    Raises DiskFull where there is no room, else what ``write`` raises; ``path`` is then as it was, the neighbour gone.
    """
    write_together({Path(path): write})


def write_together(files: Mapping[Path, Callable[[Path], object]]) -> None:
    """``write_atomically`` for files that belong together: all are written and on the disk before the first is renamed.

    What fails while they are written leaves all of them as they were; errors as there.
    """
    temporary = {path: path.with_name(f"{path.name}.{os.getpid()}.tmp") for path in files}
    try:
        for path, write in files.items():
            _write(path, temporary[path], write)
        for path, there in temporary.items():
            os.replace(there, path)
    finally:
        for there in temporary.values():
            there.unlink(missing_ok=True)
    if os.name == "posix":  # the renaming itself is an entry of the directory
        for folder in {path.parent for path in files}:
            directory = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)


def _write(path: Path, temporary: Path, write: Callable[[Path], object]) -> None:
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError whatever the reason
        if not _is_full(error, path.parent):
            raise
        raise DiskFull(
            errno.ENOSPC,
            "the disk is full: free some space, or name another folder (of runs: runs=… or REID_RUNS)",
            str(path),
        ) from error


def _is_full(error: Exception, folder: Path) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return shutil.disk_usage(folder).free < 2**20
