"""The papers' main comparisons where the training is long: ``LENGTH`` times the budget of all other studies.

The budget is enough for the plain network (its estimate is -0.4 points) and not for SING, JBIM and PS-HRNet, which
still gain more than a point (``lib.experiments.convergence``), as RIPR's ResNet and RIFE do, with two thirds of it.
Whether a verdict hangs on that is asked here, for the claims of the record whose rows are few: everything is trained
again for as much longer, the rivals and the controls as well, and is one model where the paper fuses three. A study
like the others:

    python -m lib.experiments.record longer --seeds 3 --hours 4
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pandas as pd

from lib.evaluation.intervals import counted
from lib.experiments import claims, ftwa, jbim, pshrnet, ripr, sing
from lib.experiments.controls import BASELINE, CONTROLS
from lib.experiments.recorded import Record
from lib.experiments.scores import with_interval
from lib.experiments.study import Comparison, Row, View
from lib.names import PEOPLE

LENGTH = 2.5
MEASURED = ("mean", "low", "high", "trainings")
CONTROL = ("control_mean", "control_low", "control_high", "control_verdict")
HEAD = (
    "claim", "measured on", "with the budget", "verdict", "trained longer", "verdict then", "against the control then",
    "verdict against it",
)  # fmt: skip
JBIM, HIM, LIM, ON, BESIDE = (jbim.ONE_OF[of] for of in (jbim.JBIM, jbim.HIM, jbim.LIM, jbim.ON, jbim.BESIDE))
HIM_ON, LIM_ON = jbim.ONE_OF[jbim.HIM_ON], jbim.ONE_OF[jbim.LIM_ON]
COMPARISONS = [
    # RIPR's ResNet, with two thirds of the images, lies above both plain networks at this length, on the test people:
    # the harder control, chosen by hand
    Comparison("SING-joint", sing.ONE_MODEL, sing.ONE_APART, ()),  # SAME was not trained so long
    Comparison("SING-sr-helps", sing.ONE_APART, sing.BILINEAR, ()),
    Comparison("SING-synthetic", sing.ONE_MODEL, sing.NO_COPIES, ()),
    Comparison("RIPR-sing", ripr.BOTH, sing.ONE_MODEL, (ripr.RESNET,)),
    Comparison("RIPR-rife", ripr.RIFE, ripr.RESNET, ()),  # no ResNet was trained on
    Comparison("JBIM-lim-adds", JBIM, HIM, (HIM_ON,)),
    Comparison("JBIM-him-adds", JBIM, LIM, (LIM_ON,)),
    Comparison("JBIM-him-over-lim", HIM, LIM, ()),
    Comparison("JBIM-joint", JBIM, BESIDE, (ON,)),
    Comparison("JBIM-sing", JBIM, sing.ONE_MODEL, (ripr.RESNET,)),
    Comparison("JBIM-ripr", JBIM, ripr.BOTH, (ripr.RESNET,)),
    Comparison("PSHR-sr", pshrnet.SR_ID, pshrnet.ID, ()),
    Comparison("PSHR-ps", pshrnet.PS, pshrnet.SR_ID, ()),
    Comparison("FTWA-features", ftwa.FTWA, sing.ONE_MODEL, ()),  # no FTWA without T was trained so long
]


def rows() -> list[Row | View]:
    """What ``COMPARISONS`` needs, and what its runs start from; the rows of the papers' own studies."""
    papers = (sing.one_model(), sing.ablations(), ripr.rows(), jbim.one_model(), pshrnet.rows(), ftwa.rows())
    known = {row.name: row for rows_of in papers for row in rows_of}
    needed = {name for one in COMPARISONS for name in one.rows}
    needed |= {*CONTROLS, ripr.RESNET, ripr.APART, ripr.RIFE, pshrnet.HRNET}
    return [row for name, row in known.items() if name in needed]


def both(usual: Sequence[Record], long: Record) -> pd.DataFrame:
    """Each judged claim of ``long`` at both lengths, of the same two rows: claim_id, claim, set, and for both mean,
    low, high, trainings, verdict (those of ``long`` begin with ``long_``), and of ``long`` the same against the control
    (``long_control_mean`` ...). Where no usual record has the two rows, the usual verdict is "" and its numbers NaN.

    usual : the records of the papers' own studies; the first that has the two rows tells. long : that of ``rows``.
    """
    rivals, found = {one.claim: one for one in COMPARISONS}, []
    for told in long.claims.to_dict("records"):
        one, row = rivals[told["claim_id"]], {name: told[name] for name in ("claim_id", "claim", "set")}
        row |= dict.fromkeys(MEASURED, float("nan")) | {"verdict": ""}
        for record in usual:
            with contextlib.suppress(KeyError):
                usually = record.to_judge(one.a, one.b, told["set"], told["preset"])
                row |= {name: getattr(usually, name) for name in MEASURED} | {"verdict": claims.verdict(usually)}
                break
        row |= {f"long_{name}": told[name] for name in (*MEASURED, "verdict")}
        found.append(row | {f"long_{name}": told[name] for name in CONTROL})
    both = [*MEASURED, "verdict"]
    columns = ["claim_id", "claim", "set", *both, *(f"long_{name}" for name in (*both, *CONTROL))]
    return pd.DataFrame(found, columns=columns)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """``both`` for a reader: a line per claim and set, differences with their intervals as text; "-" where nothing with
    the budget stands beside the longer training.
    """
    made = [
        [
            row["claim"], f"{PEOPLE[row['set']]}, {counted(int(row['long_trainings']), 'training')}",
            _said(row, "") or "-", row["verdict"] or "-",
            _said(row, "long_"), row["long_verdict"],
            _said(row, "long_control_"), row["long_control_verdict"] if _said(row, "long_control_") else "",
        ]
        for row in table.to_dict("records")
    ]  # fmt: skip
    return pd.DataFrame(made, columns=HEAD)


def plain(long: Record, people: str = "pedestrians") -> str:
    """The five methods, and rows without any paper's idea, beside the plain network, and what is left of a gain over
    the strongest of those: sentences. KeyError where the record lacks a row.
    """
    methods = (sing.ONE_MODEL, ripr.BOTH, ftwa.FTWA, pshrnet.PS, jbim.ONE_OF[jbim.JBIM])
    beside = ", ".join(f"{name} {with_interval(long.difference(name, BASELINE, people))}" for name in methods)
    resnet = "RIPR's ResNet (two thirds of the images)"
    others = {resnet: ripr.RESNET, "bilinear enlargement before SING's network": sing.BILINEAR}
    said = {what: with_interval(long.difference(row, BASELINE, people)) for what, row in others.items()}
    left = {row: with_interval(long.difference(row, ripr.RESNET, people)) for row in (ripr.BOTH, ftwa.FTWA)}
    rows, both = (", and ".join(f"{name} {value}" for name, value in some.items()) for some in (said, left))
    return (
        f"Minus the plain network, trained as long: {beside}. It has rivals of its own kind there. Minus it: {rows}. "
        f"Minus that ResNet: {both}."
    )


def apart(usual: Record, long: Record, pairs: Sequence[tuple[str, str]], people: str) -> pd.DataFrame:
    """The differences of pairs of rows on a set at both lengths, as text; "-" where one is not recorded.

    pairs : (row, the row that is taken from it).
    """
    made = {}
    for a, b in pairs:
        row = made.setdefault(f"{a} minus {b}", {})
        for length, record in (("with the budget", usual), ("trained longer", long)):
            row[length] = "-"
            with contextlib.suppress(KeyError):
                found = record.difference(a, b, people)
                row[length] = f"{with_interval(found)}, {counted(int(found['trainings']), 'training')}"
    return pd.DataFrame(made).T.rename_axis("rank-1")


def again(table: pd.DataFrame, claim: str) -> str:
    """What a claim of ``both`` measures at length, to stand behind what it measures with the budget: " (trained 2.5
    times as long: +0.4 [-0.1, +0.9] points)"; "" where it was not asked.
    """
    rows = [row for row in table.to_dict("records") if row["claim_id"] == claim]
    return f" (trained {LENGTH:g} times as long: {_said(rows[0], 'long_')})" if rows else ""


def at_length(long: Record, people: str, a: str, b: str) -> str:
    """As ``again``, of two rows in the record ``long`` on a set; "" where it lacks one."""
    try:
        return f" (trained {LENGTH:g} times as long: {with_interval(long.difference(a, b, people))})"
    except KeyError:
        return ""


def _said(row: dict, prefix: str) -> str:
    """A difference with its interval; "" where there is none."""
    ends = pd.Series({end: row[f"{prefix}{end}"] for end in ("mean", "low", "high")})
    return "" if ends.isna().any() else with_interval(ends)


def finding(table: pd.DataFrame) -> str:
    """How many verdicts of ``both`` a longer training changes, in a sentence, and how many stand at that length alone;
    all kinds of "undecided" are one.
    """
    again = table[table["verdict"] != ""]
    words = [again[column].str.split(" (", regex=False).str[0] for column in ("verdict", "long_verdict")]
    changed, alone = int((words[0] != words[1]).sum()), len(table) - len(again)
    more = (
        f"; {counted(alone, 'more claim')} {'was' if alone == 1 else 'were'} asked at that length alone"
        if alone
        else ""
    )
    return f"Trained {LENGTH:g} times as long, {changed} of {len(again)} verdicts change{more}."
