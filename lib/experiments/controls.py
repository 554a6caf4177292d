"""The rows that no paper has and every comparison needs: the plain network, trained as long on the same people.

``BASELINE`` sees each image as the protocol has it, ``EVERYWHERE`` also at 1/2, 1/3 and 1/4 of that (JBIM §7.4,
"All-Resolution"). A gain over both, or over the stronger of the two, is a method's own.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from lib.experiments.study import Bench, Row
from lib.methods import create_method
from lib.methods.method import Method

BASELINE, EVERYWHERE = CONTROLS = ("baseline", "baseline, all resolutions")
SHARP = "pedestrians-sharp"  # first weights from people rendered at full resolution only


def plain(bench: Bench, ratio: float | None, **changes: Any) -> Method:
    """The baseline of lesson 04 with the budget of the study."""
    settings = {"weights": {"backbone": "pedestrians"}, "epochs": bench.epochs(bench.images), **bench.options}
    return create_method("baseline", **settings | changes)


def controls() -> list[Row]:
    return [Row(BASELINE, plain), Row(EVERYWHERE, partial(plain, augmentation="all-resolutions"))]
