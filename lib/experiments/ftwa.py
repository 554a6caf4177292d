"""What lessons 50 and 51 compare: FTWA (Zhang et al., ICIP 2021), its variants, and what it stands against.

The paper's step from two streams to the transformation, +29.7 points, changes three things at once: T, synthetic copies
of the high side, and two vectors for every image. Two controls take it apart: FTWA-B that sees the copies too, and
FTWA-R whose T is the identity. Table 2's baseline is here without random erasing, like all rows of FTWA.

The budget counts the images that a re-id network is shown: FTWA shows it the copies of the high side beside its images.
All rows start from rendered people (``data/weights``), both encoders from the same file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lib.experiments import ftwa_weights, jbim, pshrnet, ripr
from lib.experiments import sing as sing_rows
from lib.experiments.controls import CONTROLS, EVERYWHERE, controls, plain
from lib.experiments.sing import first_weights
from lib.experiments.study import Bench, Cell, Comparison, Row, Study, View
from lib.experiments.trained import RATIOS, Trained
from lib.methods import create_method
from lib.methods.branches import GalleryCopies, Weighed
from lib.methods.method import Method

FTWA, R, B = "FTWA", "FTWA-R", "FTWA-B"
BARE = "baseline, no erasing"
COPIES, IDENTITY, SWA_IDENTITY = "FTWA-B, with copies", "FTWA-R, T the identity", "FTWA, T the identity"
H_TRAINED, L_TRAINED = "FTWA, trained on H alone", "FTWA, trained on L alone"
BALANCED = "FTWA, balanced (ours)"
BALANCES = (0.1, 0.3, 1.0)  # weights of the entropy; the last is BALANCED
READINGS = {"scalar": "FTWA, Eq. 7 of means", "batch": "FTWA, Eq. 7 as one quotient"}
DETACHED = {"target": "FTWA, target of Eq. 2 detached", "vectors": "FTWA, vectors detached"}
# the same models, weighed otherwise when searching: rule -> row
RULES = {
    "equal": "FTWA, equal weights when searching",
    "high": "FTWA, H alone when searching",
    "low": "FTWA, L alone when searching",
    "probe": "FTWA, weights of the probe",
    "sum": "FTWA, weights added",
}
EQUAL = RULES["equal"]
R_ALONE = {"high": "FTWA-R, H alone when searching", "low": "FTWA-R, L alone when searching"}
GALLERY = {1 / 2: "FTWA, gallery copies at 1/2", 1 / 4: "FTWA, gallery copies at 1/4"}  # 1/3 is FTWA itself
SING, RIPR, JBIM, PS_HRNET = sing_rows.SING, ripr.BOTH, jbim.JBIM, pshrnet.PS


def ftwa(bench: Bench, ratio: float | None, kind: str = "ftwa", **changes: Any) -> Method:
    """A row of FTWA's with the whole budget; ``changes`` are other settings."""
    settings = {"weights": first_weights(sr=False), **bench.options} | changes
    views = 1.0 if kind == "ftwa-b" else 1 + bench.sharp_share
    epochs = {} if bench.profile == "paper" else {"epochs": bench.epochs(bench.images / views)}
    return create_method(kind, **epochs, **settings)


def rows() -> list[Row]:
    """Lesson 50: Table 2, and the controls that it lacks."""
    return [
        Row(FTWA, ftwa),
        Row(R, partial(ftwa, attention="equal")),
        Row(B, partial(ftwa, kind="ftwa-b")),
        Row(BARE, partial(plain, erase=0.0)),
        Row(IDENTITY, partial(ftwa, attention="equal", transform="identity")),
        Row(COPIES, partial(ftwa, kind="ftwa-b-copies")),
        Row(BALANCED, partial(ftwa, entropy=BALANCES[-1])),
        *controls(),
    ]


def lesson_rows() -> list[Row | View]:
    """What lesson 50 trains, and other ways of searching with it; the rest of ``rows`` is in the record."""
    models = {row.name: row for row in rows()}
    chosen = [models[name] for name in (FTWA, R, B, COPIES, IDENTITY, *CONTROLS)]
    return [
        *chosen,
        *(view for view in views() if view.name in (EQUAL, RULES["high"], RULES["low"], *R_ALONE.values())),
    ]


def views() -> list[View]:
    """From the models of ``rows``: other weights when searching, one stream alone, other copies of the gallery."""
    found = [
        View(name, of, partial(Trained.results, test=partial(Weighed, rule=rule)))
        for of, names in ((FTWA, RULES), (R, R_ALONE))
        for rule, name in names.items()
    ]
    return found + [
        View(n, FTWA, partial(Trained.results, test=partial(GalleryCopies, ratio=m))) for m, n in GALLERY.items()
    ]


def ablations() -> list[Row]:
    """Lesson 51: what the paper leaves open, and one stream alone in training as well."""
    return [
        Row(SWA_IDENTITY, partial(ftwa, transform="identity")),
        Row(H_TRAINED, partial(ftwa, attention="high")),
        Row(L_TRAINED, partial(ftwa, attention="low")),
        *(Row(name, partial(ftwa, reading=reading)) for reading, name in READINGS.items()),
        *(Row(name, partial(ftwa, detached=(part,))) for part, name in DETACHED.items()),
        *(Row(balance_name(weight), partial(ftwa, entropy=weight)) for weight in BALANCES[:-1]),
    ]


def balance_name(weight: float) -> str:
    """The row of a weight of the entropy (``Ftwa.Settings.entropy``)."""
    return BALANCED if weight == BALANCES[-1] else f"FTWA, balanced by {weight:g} (ours)"


def readings() -> list[Row | View]:
    """What lesson 51 trains: FTWA as it is, every other reading of what the paper leaves open, ways of searching."""
    models = {row.name: row for row in rows()}
    ways = [view for view in views() if view.of == FTWA]
    return [*(models[name] for name in (FTWA, R, BALANCED)), *ablations(), *ways]


def others() -> list[Row]:
    """Table 1: the other papers' methods that can be run here, from their own rows."""
    joined = [row for row in jbim.rows() if row.name in (jbim.HIM, jbim.LIM, jbim.JBIM)]
    taught = [row for row in pshrnet.rows() if row.name in (pshrnet.HRNET, PS_HRNET)]  # the teacher and its pupil
    return [
        Row(SING, sing_rows.sing, RATIOS),
        *ripr.named(ripr.RESNET, ripr.APART, ripr.RIFE, ripr.BOTH),
        *joined,
        *taught,
    ]


TABLE_2_COMPARISONS = [
    Comparison("FTWA-two-stream", B, BARE),
    Comparison("FTWA-raft", R, B, (IDENTITY,)),  # copies and two vectors as well, without T
    Comparison("FTWA-swa", FTWA, R, (R_ALONE["high"],)),  # nothing weighed at all
    Comparison("FTWA-copies", R, IDENTITY, ()),
    Comparison("FTWA-augment", FTWA, EVERYWHERE, ()),
    Comparison("FTWA-metric", FTWA, EQUAL, (RULES["high"], RULES["low"])),
]
COMPARISONS = [
    *TABLE_2_COMPARISONS,
    Comparison("FTWA-best", FTWA, RIPR),
    Comparison("FTWA-features", FTWA, SING, (SWA_IDENTITY,)),  # the same training without the transformation
]
# row -> (method, variant) in the paper's tables
TABLE_1 = {SING: ("SING", ""), RIPR: ("RIFE", ""), FTWA: ("FTWA", "")}
TABLE_2 = {
    BARE: ("Baseline", ""),
    B: ("FTWA", "B: two-stream backbone"),
    R: ("FTWA", "R: with RAFT"),
    FTWA: ("FTWA", "with RAFT and SWA"),
}


def judged(study: Study, trained: Mapping[str, Sequence[Cell]]) -> list[dict]:
    """The verdicts on what the weights measure and on the size of T; ``trained`` as in ``Plan``."""
    people = study.cells[0].protocol.dataset.name
    found = [ftwa_weights.light_claim()] if ftwa_weights.asked(ftwa_weights.LIGHT, people) else []
    if where := trained.get(FTWA):
        found.append(ftwa_weights.quality_claim(study.trained(FTWA, where).all_runs))
    return found
