"""One file per paper; ``create_method`` finds them by name."""

from __future__ import annotations

import difflib
import inspect

from lib.methods.baseline import Baseline
from lib.methods.histogram import Histogram
from lib.methods.method import Method
from lib.methods.stages import Constant, Cosine, Stage, Step, Warmup

__all__ = ["METHODS", "Constant", "Cosine", "Method", "Stage", "Step", "Warmup", "create_method"]

METHODS: dict[str, type[Method]] = {"baseline": Baseline, "histogram": Histogram}


def create_method(name: str, **settings) -> Method:
    """A method by name, not yet built: ``fit`` (or ``method.setup(profile, num_identities)``) builds its layers.

    Raises ValueError for an unknown name and TypeError for an unknown setting, both with what is known.
    """
    if name not in METHODS:
        close = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown method {name!r}; known: {', '.join(sorted(METHODS))}{hint}")
    known = set(inspect.signature(METHODS[name]).parameters)
    if unknown := sorted(set(settings) - known):
        raise TypeError(f"method {name!r} has no setting {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return METHODS[name](**settings)
