"""PS-HRNet from first weights in which all four maps are alive: what lesson 40 compares, started anew.

Three of HRNet's four maps have died in the first weights that ship (``hrnet_branches``), and the record of PS-HRNet is
of networks that start there: without what the paper is about. Here all networks, the rivals and the plain one too,
start from the same pre-training without weight decay; everything else is as in ``pshrnet``.

    python -m lib.experiments.record pshrnet_no_decay --seeds 3 --hours 4

The pre-trainings are made where they are not there: three quarters of an hour each on one CPU core.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lib.experiments import pshrnet, pshrnet_results
from lib.experiments.controls import BASELINE, controls, plain
from lib.experiments.hrnet_branches import pretraining
from lib.experiments.pshrnet_results import Inside
from lib.experiments.study import Bench, Cell, Comparison, Row, Study
from lib.methods import create_method
from lib.methods.baseline import Baseline
from lib.methods.method import Method
from lib.training import Run

VARIANT = "from first weights without decay"
# row of ``pshrnet`` -> row here
ROWS = {
    name: f"{name} (no decay)"
    for name in (
        pshrnet.PS, pshrnet.SR_ID, pshrnet.ID, pshrnet.HRNET, pshrnet.TRAINED_ON, pshrnet.ORIGINALS, pshrnet.RESNET,
        pshrnet.JOINT["bicubic"], BASELINE,
    )
}  # fmt: skip
PS, SR_ID, ID, HRNET, TRAINED_ON, ORIGINALS, RESNET, RESNET_LOW, PLAIN = ROWS.values()


def start(bench: Bench, network: str = pshrnet.HRNET) -> Run:
    """The pre-training of a row of Table VI."""
    method = create_method("hrnet-reid", **pshrnet.network_of(bench, network))
    usual = method.settings_for(bench.profile)
    return bench.first(*pretraining(bench.profile, usual.backbone, usual.canvas))


def pupil(bench: Bench, ratio: float | None, network: str = pshrnet.HRNET, **changes: Any) -> Method:
    return pshrnet.pupil(bench, None, network=network, teacher=HRNET, first=start(bench, network), **changes)


def recognise(bench: Bench, ratio: float | None, network: str = pshrnet.HRNET, **changes: Any) -> Method:
    return pshrnet.recognise(bench, None, network, weights={"backbone": start(bench, network)}, **changes)


def recognise_low(bench: Bench, ratio: float | None, **changes: Any) -> Method:
    return pshrnet.recognise_low(bench, None, weights={"backbone": start(bench)}, **changes)


def sharp(bench: Bench, ratio: float | None, network: str = pshrnet.HRNET) -> Method:
    """A row of ``plain_rows``, the teacher or the ResNet, tested on low resolution."""
    first = {"backbone": start(bench, network)}
    return pshrnet.as_it_is(bench, None, ROWS[network], plain_rows(), network=network, weights=first)


def baseline(bench: Bench, ratio: float | None) -> Method:
    usual = Baseline.defaults(bench.profile)
    return plain(
        bench, None, weights={"backbone": bench.first(*pretraining(bench.profile, usual.backbone, usual.canvas))}
    )


def plain_rows() -> list[Row]:
    """At full resolution: the teacher, and the ResNet with its losses."""
    return [Row(HRNET, recognise), Row(RESNET, partial(recognise, network=pshrnet.RESNET))]


def rows() -> list[Row]:
    """Table II, what its gains have to beat, and the ResNet on low resolution."""
    return [
        Row(PS, pupil),
        Row(SR_ID, partial(pupil, siamese=False)),
        Row(ID, recognise_low),
        Row(HRNET, sharp),
        Row(RESNET, partial(sharp, network=pshrnet.RESNET)),
        *controls(),
        Row(PLAIN, baseline),
        Row(TRAINED_ON, partial(pshrnet.trained_on, of=HRNET)),
        Row(ORIGINALS, partial(recognise_low, sees="either")),
        Row(RESNET_LOW, partial(pupil, network=pshrnet.RESNET, sr="bicubic", siamese=False)),
    ]


COMPARISONS = [Comparison("PSHR-sr", SR_ID, ID, (ORIGINALS,)), Comparison("PSHR-ps", PS, SR_ID, ())]


def judged(study: Study, trained: Mapping[str, Sequence[Cell]]) -> list[dict]:
    """Whether it pays to keep the resolution inside the network; ``trained`` as in ``Plan``."""
    return pshrnet_results.inside(study, trained, Inside((ID, RESNET_LOW), (HRNET, RESNET), plain_rows()))
