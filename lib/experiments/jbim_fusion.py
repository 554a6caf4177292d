"""What JBIM's fusion does, part by part, to people it has learned from and to others (lesson 30).

JBIM and its control, "HIM + LIM, trained on", differ in the fusion alone. A trained JBIM can be compared by what stands
before the fusion, by what its layer puts out, and by what is left behind the ReLU: the differences of neighbours add up
to JBIM minus the control. Asked of people whom all of them were trained on and of as many new ones, in galleries of one
size, they say whether the fusion is a worse descriptor or has learned its people by heart.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.data import Protocol
from lib.evaluation import Result, evaluate, paired_difference
from lib.experiments import jbim
from lib.experiments.others import tested_alone
from lib.experiments.study import Cell, Study
from lib.methods.method import Method

CONTROL = jbim.ONE_OF[jbim.ON]
STEPS = tuple(jbim.ONE_OF[name] for name in (jbim.BESIDE_IN, jbim.NO_RELU, jbim.JBIM))
TRAINED_ON, NEW = "people trained on", "new people"


def trained_on_and_new(protocol: Protocol, seed: int = 0) -> dict[str, Protocol]:
    """{whom: a test of theirs}, people trained on and people tested: of both as many as there are of the fewer."""
    people = {TRAINED_ON: protocol.rows("train")["pid"], NEW: protocol.rows("test")["pid"]}
    people = {whom: sorted(set(pids)) for whom, pids in people.items()}
    count, rng = min(map(len, people.values())), np.random.default_rng(seed)
    return {
        whom: tested_alone(protocol.dataset, rng.choice(pids, count, replace=False), protocol.preset, whom)
        for whom, pids in people.items()
    }


def steps(study: Study, seed: int = 0) -> pd.DataFrame:
    """What each step of the fusion changes: rank-1 of each of ``STEPS`` minus that of the control, and minus the step
    before it.

    set (``TRAINED_ON``, ``NEW``), name, minus (the other row), mean, low, high (fractions), and control, the rank-1 of
    ``CONTROL``.
    """
    found: dict[str, dict[str, list[Result]]] = {whom: {} for whom in (TRAINED_ON, NEW)}
    for cell in study.cells:
        for whom, protocol in trained_on_and_new(cell.protocol, seed).items():
            for name in (CONTROL, *STEPS):
                found[whom].setdefault(name, []).append(evaluate(_method(study, name, cell), protocol))
    pairs = [(name, CONTROL) for name in STEPS] + list(zip(STEPS[1:], STEPS))
    lines = []
    for whom, results in found.items():
        control = np.mean([one.rank(1) for one in results[CONTROL]])
        for name, other in pairs:
            d = paired_difference(results[name], results[other])
            line = {"set": whom, "name": name, "minus": other, "mean": d.mean, "low": d.low, "high": d.high}
            lines.append(line | {"control": control})
    return pd.DataFrame(lines)


def _method(study: Study, name: str, cell: Cell) -> Method:
    """A row with one model, as it is tested."""
    method = study.trained(name, [cell]).method
    ways = {jbim.ONE_OF[part]: test for part, (_, test) in jbim.PARTS.items()}
    return ways[name](method) if name in ways else method
