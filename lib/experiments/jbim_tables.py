"""JBIM's tables and claims: which rows of ``lib.experiments.jbim`` stand in which table, and what they are to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lib.evaluation import Difference, interaction
from lib.experiments import claims
from lib.experiments import sing as sing_rows
from lib.experiments.controls import BASELINE, CONTROLS
from lib.experiments.jbim import (
    AGW,
    ALL,
    ALL_SHRUNK,
    ALPHAS,
    BESIDE,
    BETAS,
    BOTH,
    HIM,
    HIM_ON,
    JBIM,
    KERNELS,
    LIM,
    LIM_ON,
    NETWORKS,
    NO_COPIES,
    ON,
    ONE_OF,
    OSNET,
    SEQUENTIAL,
    SEQUENTIAL_BESIDE,
    SING,
    SRCNN,
    SUBSETS,
    TWICE,
    alpha_name,
    beta_name,
    sigma_name,
)
from lib.experiments.study import Cell, Comparison, Study, common
from lib.experiments.trained import RATIOS

SR_THEN = (sing_rows.BILINEAR, sing_rows.BICUBIC, sing_rows.APART)
ONE_SR_THEN = (
    sing_rows.BILINEAR, sing_rows.BICUBIC, sing_rows.ONE_APART,
    *(f"{name}, then re-id" for name in ("FSRCNN", *NETWORKS)),
)  # fmt: skip
COMPARISONS = [
    Comparison("JBIM-lim-adds", JBIM, HIM, (HIM_ON,)),  # the same half alone, trained as long
    Comparison("JBIM-him-adds", JBIM, LIM, (LIM_ON,)),
    Comparison("JBIM-him-over-lim", HIM, LIM, ()),
    Comparison("JBIM-joint", JBIM, BESIDE, (ON,)),
    Comparison("JBIM-complementary", ONE_OF[BESIDE], ONE_OF[HIM], (TWICE,)),
    Comparison("JBIM-him-joint", ONE_OF[BESIDE], SEQUENTIAL_BESIDE, ()),
    Comparison("JBIM-all-resolutions", JBIM, ALL, (ALL_SHRUNK, *CONTROLS)),
    Comparison("JBIM-anchors", JBIM, tuple(n for only, n in SUBSETS[JBIM].items() if len(only) == 1), ()),
    Comparison("JBIM-anchors-him", HIM, tuple(n for only, n in SUBSETS[HIM].items() if len(only) == 1), ()),
    Comparison("JBIM-anchors-more", JBIM, tuple(n for only, n in SUBSETS[JBIM].items() if len(only) == 2), ()),
    Comparison("JBIM-anchors-more-him", HIM, tuple(n for only, n in SUBSETS[HIM].items() if len(only) == 2), ()),
    Comparison("JBIM-sigma", sigma_name(0.2), sigma_name(0.02), (sigma_name(None),)),
    Comparison("JBIM-sr-reid", JBIM, SR_THEN),
    Comparison("JBIM-over-osnet", JBIM, OSNET),
    Comparison("JBIM-over-agw", JBIM, AGW),
    Comparison("JBIM-ripr", JBIM, BOTH),
    Comparison("JBIM-sing", JBIM, SING),
]
ONE_VARIANT = "one model each, for 1/3"
BESIDE_ONE = [
    Comparison("JBIM-sr-reid", ONE_OF[JBIM], ONE_SR_THEN),
    Comparison("JBIM-over-osnet", ONE_OF[JBIM], OSNET),
    Comparison("JBIM-over-agw", ONE_OF[JBIM], AGW),
]
SWEPT = [  # of one model, for 1/3
    Comparison("JBIM-synthetic", ONE_OF[JBIM], NO_COPIES[JBIM], ()),
    Comparison("JBIM-synthetic-him", ONE_OF[HIM], NO_COPIES[HIM], ()),
    Comparison("JBIM-alpha-zero", ONE_OF[JBIM], alpha_name(0.0), ()),
    Comparison("JBIM-alpha-flat", alpha_name(1000.0), alpha_name(0.0), ()),
    Comparison("JBIM-beta-low", ONE_OF[JBIM], beta_name(1.0), ()),
    Comparison("JBIM-beta-high", ONE_OF[JBIM], beta_name(5.0), ()),
    Comparison("JBIM-osnet", f"{JBIM} (OSNet)", f"{HIM} (OSNet)", ()),  # no HIM (OSNet) was trained on
    Comparison("JBIM-osnet-joint", f"{JBIM} (OSNet)", f"{BESIDE} (OSNet)", ()),
    Comparison("JBIM-sr-then-osnet", f"{HIM} (OSNet)", f"{SEQUENTIAL} (OSNet)", ()),  # the plain rows saw more
    Comparison("JBIM-stronger-net", f"{JBIM} (OSNet)", ONE_OF[JBIM], (), premise=(OSNET, BASELINE)),
]
# row -> (method, variant) in the paper's tables
TABLE_3 = {JBIM: ("JBIM", ""), BOTH: ("RIPR", ""), OSNET: ("OSNet", ""), AGW: ("AGW", "")}
TABLE_4 = {
    **{f"{name}, then re-id": (f"{name} + ResNet-50", "") for name in ("FSRCNN", *NETWORKS)},
    **{
        f"{n}, then DGD": (f"{n.title() if n in KERNELS else n} + DGD", "")
        for n in (*KERNELS, SRCNN, "FSRCNN", *NETWORKS)
    },
    **{
        f"{n}, LOMO + XQDA": (f"{n.title() if n in KERNELS else n} + XQDA", "")
        for n in ("bilinear", SRCNN, "FSRCNN", *NETWORKS)
    },
    JBIM: ("JBIM", ""),
    sing_rows.BILINEAR: ("Bilinear + ResNet-50", ""),
    sing_rows.BICUBIC: ("Bicubic + ResNet-50", ""),
    sing_rows.APART: ("SRCNN + ResNet-50", ""),
    sing_rows.LOMO["xqda"]: ("Bicubic + XQDA", ""),
}
ONE_TABLE_4 = {
    {JBIM: ONE_OF[JBIM], sing_rows.APART: sing_rows.ONE_APART}.get(name, name): of for name, of in TABLE_4.items()
}
TABLE_5 = {HIM: ("JBIM", "without LIM"), LIM: ("JBIM", "without HIM"), JBIM: ("JBIM", "")}
TABLE_6 = {
    BESIDE: ("HIM + LIM", "learned independently"),
    SEQUENTIAL_BESIDE: ("SRCNN + ResNet-50 + LIM", "learned independently"),
    JBIM: ("JBIM", ""),
}
TABLE_7 = {
    ONE_OF[HIM]: ("HIM", ""), NO_COPIES[HIM]: ("HIM", "no synthetic LR"),
    ONE_OF[JBIM]: ("JBIM", ""), NO_COPIES[JBIM]: ("JBIM", "no synthetic LR"),
}  # fmt: skip
TABLE_8 = {ALL: ("All-Resolution", "ResNet-50"), JBIM: ("JBIM", "")}
TABLE_9 = {alpha_name(alpha): ("JBIM", f"alpha={alpha:g}") for alpha in ALPHAS}
TABLE_10 = {ONE_OF[JBIM] if beta == 3.0 else beta_name(beta): ("JBIM", f"beta={beta:g}") for beta in BETAS}
TABLE_11 = {
    **{ONE_OF[of]: (of, "SRCNN") for of in (HIM, JBIM)},
    **{f"{of} ({name})": (of, name) for of in (HIM, JBIM) for name in NETWORKS},
}
TABLE_12 = {f"{of} (OSNet)": (of, "OSNet") for of in (HIM, BESIDE, JBIM)} | {
    f"{SEQUENTIAL} (OSNet)": ("SRCNN + OSNet", "")
}
TABLE_13 = {
    name: (of, "+".join(f"1/{round(1 / RATIOS[i])}" for i in only))
    for of, names in SUBSETS.items()
    for only, name in names.items()
} | {of: (of, "1/2+1/3+1/4") for of in (HIM, JBIM)}


def networks(study: Study, trained: Mapping[str, Sequence[Cell]]) -> list[dict]:
    """The verdicts on the claims about several super-resolution networks: of what validation people choose among those
    that were trained; none where no cell has two of them. ``trained`` as in ``Plan``.
    """
    of = {name: (f"{JBIM} ({name})", f"{HIM} ({name})") for name in NETWORKS}
    there = [pair for pair in of.values() if set(pair) <= set(trained)]
    where = common(trained, *(row for pair in there for row in pair)) if len(there) > 1 else []
    if not where:
        return []
    least = min(there, key=lambda pair: study.difference(*pair, where=where, subset="val").mean)
    found = [claims.judge("JBIM-any-sr", study.difference(*least, where=where), control_row=least[1])]
    jbim, him = zip((ONE_OF[JBIM], ONE_OF[HIM]), *of.values(), strict=True)
    if set(jbim + him) <= set(trained) and (where := common(trained, *jbim, *him)):
        found.append(claims.judge("JBIM-sr-matters-less", sr_effect(study, him, jbim, where)))
    return found


def sr_effect(study: Study, him: Sequence[str], jbim: Sequence[str], where: Sequence[Cell]) -> Difference:
    """How much more the choice of the super-resolution is worth in HIM than in JBIM (Section 2 on Table 11): the best
    row minus the worst, both by validation people, of ``him``, minus the same of ``jbim``. Fraction of probes at
    rank 1, on test people.
    """

    def ends(rows: Sequence[str]) -> tuple[str, str]:
        score = {name: np.mean([one.rank(1) for one in study.results(name, where, subset="val")]) for name in rows}
        return max(score, key=score.get), min(score, key=score.get)

    first, second = (tuple(study.results(name, where) for name in ends(rows)) for rows in (him, jbim))
    return interaction(first, second)
