"""Where things lie, whatever folder a notebook or a test is started in.

papermill runs a notebook in the caller's folder and nbval in the notebook's own, so no lesson may rely on the working
directory.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lib.paths import DATA, ROOT

__all__ = ["BUILD", "DATA", "FIGURES", "NOTEBOOKS", "OWN", "ROOT", "as_committed", "chosen", "relative", "report"]

NOTEBOOKS = ROOT / "notebooks"
OWN = ROOT / "my"  # the reader's own copies (lib/course/lab.py)


def chosen(variable: str, default: str) -> Path:
    """The folder that an environment variable names, else the repository's `default`. A relative one is the
    repository's too: papermill and nbval stand in different folders and must mean the same.
    """
    return ROOT / Path(os.environ.get(variable) or default).expanduser()


FIGURES = chosen("COURSE_FIGURES", "figures")
BUILD = chosen("COURSE_BUILD", "build")


def as_committed(path: Path) -> bytes | None:
    """The file as the current commit has it; None without git, outside of a repository, or where it is not in it."""
    call = ["git", "show", f"HEAD:./{path.name}"]
    try:
        return subprocess.run(call, cwd=path.parent, capture_output=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def relative(path: str | os.PathLike) -> str:
    """The path as it may be shown: relative to the repository, else only its last part (committed outputs name no
    machine's folders).
    """
    path = Path(path)
    try:
        return (path if not path.is_absolute() else path.resolve().relative_to(ROOT)).as_posix()
    except ValueError:
        return path.name


def report(changed: Sequence[Path], check: bool) -> int:
    """Say which files were written, or with ``check`` would be; returns the command's exit code, 1 for the latter."""
    for path in changed:
        print(f"{'not up to date' if check else 'wrote'}: {relative(path)}")
    return 1 if check and changed else 0
