"""The five ways in which papers and packages turn one distance matrix into numbers.

They are not interchangeable: one matrix gives five answers (see the known answers in ``tests/unit/test_ranking.py``).

===========================  =========================  ===================  ======================  ===============
name                         gallery images dropped     CMC over             averaged over           AP
===========================  =========================  ===================  ======================  ===============
``market1501``               probe's id *and* camera    the full list        probes with a match     step
``single-shot``              probe's id *and* camera    one image per id     probes with a match     step, full list
``single-shot-cross-camera`` probe's camera             one image per id     probes with a match     step, full list
``sing``                     none                       one image per id     all probes              step, full list
``trapezoid``                probe's id *and* camera    the full list        all probes              trapezoid
===========================  =========================  ===================  ======================  ===============

"One image per id" means that the gallery is one random image of every identity. The CMC given is the *expectation* over
that draw, in closed form (``single_shot.py``); whether the draw is shared by all probes (SING) or made anew for each
(CUHK03's evaluation in public code) does not change an expectation. The AP of a list with a single match would be
1 / rank: what public code reports as mAP beside a single-shot CMC is taken over the full list, and so it is here.

A probe without a match (its identity is not in the gallery, or only in images that are dropped) is left out where the
table says "probes with a match", and counts as a miss (CMC, AP and INP of 0) where it says "all probes".
"""

from __future__ import annotations

from dataclasses import dataclass

from lib.data.protocol import CONVENTIONS as NAMES


@dataclass(frozen=True)
class Convention:
    """One row of the table above."""

    name: str
    drop: str  # "same id and camera" | "same camera" | "nothing"
    one_per_identity: bool  # the CMC is over a gallery with one random image per identity
    all_probes: bool  # divide by all probes, a probe without a match is a miss
    trapezoid: bool = False  # the AP interpolates the precision linearly between ranks

    @property
    def uses_cameras(self) -> bool:
        return self.drop != "nothing"


CONVENTIONS: dict[str, Convention] = {
    c.name: c
    for c in (
        Convention("market1501", "same id and camera", one_per_identity=False, all_probes=False),
        Convention("single-shot", "same id and camera", one_per_identity=True, all_probes=False),
        Convention("single-shot-cross-camera", "same camera", one_per_identity=True, all_probes=False),
        Convention("sing", "nothing", one_per_identity=True, all_probes=True),
        Convention("trapezoid", "same id and camera", one_per_identity=False, all_probes=True, trapezoid=True),
    )
}

if tuple(CONVENTIONS) != NAMES:  # protocols know the names only: what they are for comes later than data
    raise RuntimeError(f"lib/data/protocol.py names the conventions {NAMES}, here are {tuple(CONVENTIONS)}")


def get_convention(name: str) -> Convention:
    """Look a convention up by name; an unknown one raises ValueError with the names there are."""
    if not isinstance(name, str) or name not in CONVENTIONS:
        raise ValueError(f"unknown convention {name!r}; choose one of {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]
