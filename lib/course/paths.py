"""Where things lie, whatever folder a notebook or a test is started in.

papermill runs a notebook in the caller's folder and nbval in the notebook's own, so no lesson may rely on the working
directory.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
DATA = ROOT / "data"
FIGURES = Path(os.environ.get("COURSE_FIGURES") or ROOT / "figures")
BUILD = Path(os.environ.get("COURSE_BUILD") or ROOT / "build")


def relative(path: str | os.PathLike) -> str:
    """The path as it may be shown: relative to the repository, else only its last part (committed outputs name no
    machine's folders).
    """
    path = Path(path)
    try:
        return (path if not path.is_absolute() else path.resolve().relative_to(ROOT)).as_posix()
    except ValueError:
        return path.name
