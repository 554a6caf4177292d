"""One file per paper; ``create_method`` finds them by name."""

from __future__ import annotations

import difflib

from lib.methods.agw import Agw
from lib.methods.baseline import Baseline
from lib.methods.classical import Classical
from lib.methods.ftwa import Ftwa, FtwaB, FtwaBCopies
from lib.methods.histogram import Histogram
from lib.methods.hrnet_reid import HrnetReid
from lib.methods.jbim import AllResolution, Him, HimHim, HimLim, Jbim, Lim, SrThenHim
from lib.methods.method import Method
from lib.methods.pshrnet import PsHrnet
from lib.methods.ripr import Ripr, RiprApart
from lib.methods.ripr_code import RiprAsCoded
from lib.methods.sing import Sing, SingEverywhere, SrThenReid
from lib.methods.stages import Constant, Cosine, Solve, Stage, Step, Warmup
from lib.methods.superres import SuperResolution

__all__ = ["METHODS", "Constant", "Cosine", "Method", "Solve", "Stage", "Step", "Warmup", "create_method"]

METHODS: dict[str, type[Method]] = {
    kind.name: kind
    for kind in (Agw, AllResolution, Baseline, Classical, Ftwa, FtwaB, FtwaBCopies, Him, HimHim, HimLim, Histogram,
                 HrnetReid, Jbim, Lim, PsHrnet, Ripr, RiprApart, RiprAsCoded, Sing, SingEverywhere, SrThenHim,
                 SrThenReid, SuperResolution)
}  # fmt: skip


def create_method(name: str, **settings) -> Method:
    """A method by name, not yet built: ``fit`` (or ``method.setup(profile, num_identities)``) builds its layers.

    Raises ValueError for an unknown name and TypeError for an unknown setting, both with what is known.
    """
    if name not in METHODS:
        close = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown method {name!r}; known: {', '.join(sorted(METHODS))}{hint}")
    return METHODS[name](**settings)
