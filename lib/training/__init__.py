"""The one loop, its checkpoints and its records: ``fit`` a method, get a ``Run``."""

from __future__ import annotations

from lib.training.fit import fit
from lib.training.runs import Run

__all__ = ["Run", "fit"]
