"""What lesson 04 compares: the plain network that every other row of the course stands against, how it got there, and
what knows nothing of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pandas as pd

from lib.experiments.controls import BASELINE, controls, plain
from lib.experiments.study import Bench, Row
from lib.methods import create_method
from lib.methods.baseline import Baseline
from lib.methods.method import Method
from lib.models.devices import resolve_device
from lib.training.pedestrians import weights_file
from lib.training.precision import resolve_precision

TRANSFER, HISTOGRAM = "baseline, pre-trained only", "colour histogram"
SCRATCH, SCRATCH_EVERYWHERE = "baseline, from scratch", "baseline, from scratch, all resolutions"
USUAL = ("backbone", "canvas")  # settings that name first weights
# what the embedded people were made to be: hard but not hopeless, not solved by colours, dependent on detail
LEVEL, COLOURS, LOST, FURTHER = (
    "rank-1 at full resolution, % (55 to 95)",
    "colour histogram there (under half of it)",
    "from scratch, lost at 1/4, % of its rank-1 (at least 15)",
    "and from 1/4 to 1/8 (more than 0)",
)


def transferred(bench: Bench, ratio: float | None) -> Method:
    """The first weights as they are, the classifier's normalisation included: no epoch of training.

    Raises WeightsUnavailable where they neither ship nor were pre-trained.
    """
    settings = {name: bench.options.get(name, getattr(Baseline.defaults(bench.profile), name)) for name in USUAL}
    precision = resolve_precision("auto", resolve_device(None))
    path = str(weights_file(*settings.values(), bench.profile, precision, "pedestrians"))
    return plain(bench, None, epochs=0, weights={"backbone": path, "head.bn": path})


def histogram(bench: Bench, ratio: float | None) -> Method:
    """Learns nothing, whatever the study tells its methods."""
    return create_method("histogram")


def rows() -> list[Row]:
    """Lesson 04."""
    return [
        *controls(),
        Row(TRANSFER, transferred),
        Row(SCRATCH, partial(plain, weights={})),
        Row(SCRATCH_EVERYWHERE, partial(plain, weights={}, augmentation="all-resolutions")),
        Row(HISTOGRAM, histogram),
    ]


def properties(table: pd.DataFrame) -> dict[str, float]:
    """The four properties of a set of people, in percent: ``LEVEL``, ``COLOURS``, ``LOST``, ``FURTHER``.

    The level is the baseline's. What is lost with resolution is asked of the network from scratch, the only one that
    has never seen a degraded picture: a share of what it has, since it has less. table : name, ratio, metric, value
    (fractions), of the baseline, the network from scratch and the histogram at 1, 1/4 and 1/8. KeyError without them.
    """
    one = table[table["metric"] == "rank-1"].set_index(["name", "ratio"])["value"]
    full, quarter, eighth = (one[SCRATCH, ratio] for ratio in (1.0, 0.25, 0.125))
    return {
        LEVEL: 100 * one[BASELINE, 1.0],
        COLOURS: 100 * one[HISTOGRAM, 1.0],
        LOST: 100 * (1 - quarter / full),
        FURTHER: 100 * (quarter - eighth) / full,
    }


def hold(found: Mapping[str, float]) -> dict[str, bool]:
    """Which of the ``properties`` are as they were meant to be."""
    return {
        LEVEL: 55 <= found[LEVEL] <= 95,
        COLOURS: found[COLOURS] < found[LEVEL] / 2,
        LOST: found[LOST] >= 15,
        FURTHER: found[FURTHER] > 0,
    }
