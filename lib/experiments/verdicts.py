"""Every claim of the five papers with its verdict, on one page: VERDICTS.md, made from ``data/measured``.

python -m lib.experiments.verdicts            # writes it
python -m lib.experiments.verdicts --check    # 1 where it is not up to date
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import or_

import pandas as pd

from lib.evaluation.intervals import counted
from lib.experiments import (
    claims,
    ftwa,
    ftwa_cameras,
    hrnet_branches,
    jbim,
    longer,
    pshrnet,
    pshrnet_no_decay,
    ripr,
    sing,
)
from lib.experiments.controls import BASELINE
from lib.experiments.measured import DamagedTable, MeasuredError, measured
from lib.experiments.published import claimed_in_words
from lib.experiments.recorded import PAPERS, SETS, TARGETS, Record, recorded
from lib.experiments.scores import with_interval
from lib.experiments.studies import STUDIES
from lib.names import PEOPLE
from lib.paths import ROOT, write_atomically

PAGE = ROOT / "VERDICTS.md"
# networks beside the controls' ResNet, as the names of the rows say them -> the row of one alone, and its study
NETWORKS = {"HRNet": (pshrnet.ID, "pshrnet"), "OSNet": (jbim.OSNET, "jbim")}
# claims that are judged by no study of the record: table -> preset
APART = {"superres_claims": "plain", "jbim_ratio_claims": "mlr", "jbim_maps_claims": "mlr"}  # lessons 05, 31, 30
# protocols beside a set's usual one, on which some claims are judged as well: preset -> what the claim then adds
ELSEWHERE = {"mlr-one-camera": "where one camera is low", "vr": "where both sides are low"}
THRESHOLDS = {  # as ``claims.table`` prints them
    "1 point": "one point of rank-1",
    "0.1 dB": "0.1 dB of PSNR",
    "2 % (log)": "2 % of O",
    "0.02 doublings": "0.02 doublings of O per halving of r",
    "0.1 (correlation)": "0.1 of the correlation of FTWA's weights with r",
    "0.02 (correlation)": "0.02 of that of two networks' maps",
    "0.01 million weights": "10,000 weights",
}
INTRODUCTION = """# The verdicts

Each claim of the five papers (`data/published/claims.csv`, in our words), as the record in `data/measured` has it.
The difference that has to be above zero is in points of rank-1 where no other unit stands, with a 95 % interval
over people, splits and trainings. *Reproduced*: above zero, and not all of the interval is negligible.
*Contradicted*: below zero, likewise. *No effect*: all of it is negligible, which at 95 % is too small to
matter. *Undecided*: it could be either, or fewer than three trainings stand behind it, or too few people were tested
(44 on CAVIAR4REID) to exclude a difference of a point. A claim that two things are
alike is reproduced where all of the interval is negligible; a number of weights has no interval and needs no training.
Negligible is less than {negligible}. Limits are rounded for print; verdicts are of the unrounded ones.
Three splits of VIPeR or CAVIAR4REID share people to train on, which no interval here knows: where that matters much,
13 % of equal methods are told apart instead of 5 (`tests/unit/test_intervals.py`, simulated).

Once as the paper compares; and once **against the control**, rows without what the claim is about that were shown as
many images, the strongest of them on validation people. Where that field is empty there is no such row: both rows go
beyond a plain network, or the rival is the control already, or the claim is not about rank-1, or it was not
trained. A claim that says
*control* or *not a row of the paper* is a question of ours beside the papers'. What a paper prints is of its own
network and sets, and no paper prints an interval; where only a figure shows it, the field is empty. All of it within
one length of training: methods and controls have the same number of images; RIPR's ResNet and RIFE and JBIM's HIM and
LIM, which those go on from, two thirds of it, as the papers compare. What 2.5 times as many change stands at the end,
where it was asked. The *embedded people* are the rendered ones that come with the course. What the words rest on:
[lesson 02](notebooks/02_measuring.ipynb), `lib/evaluation/intervals.py`, `lib/experiments/claims.py`.

This page is generated (`python -m lib.experiments.verdicts`).
"""


def board() -> pd.DataFrame:
    """All judged claims of the record, in the order of the papers and of ``claims.csv``: the columns of
    ``claims.judge`` with set, preset, and paper; a claim about several networks, or on several protocols
    of a set, has a row for each (``variant``).
    """
    of_studies = reduce(or_, map(_record_of, usual()))  # a claim that two studies judge is the first one's
    parts = [of_studies.claims] if len(of_studies.claims) else []
    for name, preset in APART.items():
        for people in SETS:
            with contextlib.suppress(MeasuredError):
                parts.append(pd.DataFrame({"preset": preset} | dict(measured(name, people)) | {"set": people}))
    known = claims.claims()
    if not parts:
        return pd.DataFrame(columns=["claim_id", "set", "preset", "paper", "verdict", "control_verdict"])
    found = pd.concat([*parts, pd.DataFrame(columns=["variant"])], ignore_index=True)
    found = found.assign(paper=found["claim_id"].map(known["paper"])).fillna({"control_verdict": ""})
    found["variant"] = found["variant"].fillna(found["preset"].map(ELSEWHERE))
    of = found["variant"].map(lambda variant: f": {variant}" if isinstance(variant, str) else "")
    found["claim"] = found["claim_id"].map(known["claim"]) + of  # in today's words
    order = found.assign(a=found["claim_id"].map(list(known.index).index), b=found["set"].map(SETS.index))
    return found.loc[order.sort_values(["a", "b"], kind="stable").index].reset_index(drop=True)


def _record_of(study: str) -> Record:
    """The record of a study, its claims with what they add to the papers'."""
    found, variant = recorded(study), STUDIES[study].variant
    return replace(found, claims=found.claims.assign(variant=variant)) if variant and len(found.claims) else found


def usual() -> list[str]:
    """The studies whose trainings have the budget; their verdicts are those of the board."""
    return [name for name, plan in STUDIES.items() if plan.length == 1]


def lengths() -> pd.DataFrame:
    """The claims that were asked where the training is longer, beside their verdicts with the budget (``longer.both``);
    empty where none is recorded.
    """
    long = recorded("longer")
    return longer.both([*map(recorded, PAPERS)] if long else [], long)


def counts(table: pd.DataFrame) -> pd.DataFrame:
    """How often each verdict was given: a row for each paper and set of people, columns the four words, twice."""
    rows = {}
    ordered = table.sort_values("paper", key=lambda papers: papers.map(list(PAPERS).index), kind="stable")
    for (paper, people), part in ordered.groupby(["paper", "set"], sort=False):
        given = [claims.counts(part.assign(dataset=""), column) for column in ("verdict", "control_verdict")]
        rows[PAPERS[paper], PEOPLE[people]] = [int(some[word].sum()) for some in given for word in claims.VERDICTS]
    columns = [f"{when}{word}" for when in ("", "control: ") for word in claims.VERDICTS]
    return pd.DataFrame(rows, index=columns).T


def other_network(table: pd.DataFrame) -> pd.Series:
    """For each judged claim, whether its control stands on another network than the row that is set against it."""
    rows = {one.claim: one.a for study in usual() for one in STUDIES[study].comparisons}
    mine = table["against_it"].fillna(table["claim_id"].map(rows)).map(_network)
    return (table["control_verdict"] != "") & (mine != table["control_row"].map(_network))


def _network(row: str | float) -> str:
    """What a row's name says of its network: of ``NETWORKS``, or the ResNet of all others."""
    return next((name for name in NETWORKS if name in str(row)), "ResNet")


def marked(table: pd.DataFrame) -> pd.DataFrame:
    """The judged claims, with those controls named that are another network."""
    if table.empty:
        return table
    said = table["control_row"] + ", another network"
    return table.assign(control_row=table["control_row"].mask(other_network(table), said))


def remarks(table: pd.DataFrame) -> list[str]:
    """What has to be known about all judged claims before their verdicts are counted, each in a sentence or two."""
    return [one for one in (_networks(table), _repeated(table), _few_trainings(table)) if one] if len(table) else []


def _networks(table: pd.DataFrame) -> str:
    """Which controls are another network, and what the networks reach alone; "" where none is."""
    found = table[other_network(table)]
    if found.empty:
        return ""
    where = [
        f"{len(part)} of {PAPERS[paper]} on {PEOPLE[people]}"
        for (paper, people), part in found.groupby(["paper", "set"], sort=False)
    ]
    ours = {"ResNet": (BASELINE, "ripr"), **NETWORKS}
    known = {name: recorded(study, ["pedestrians"]).rank1(row, "mlr") for name, (row, study) in ours.items()}
    alone = [f"{name} {100 * level['pedestrians']:.1f} %" for name, level in known.items() if level]
    levels = f" (alone, trained as long, rank-1 on embedded people: {', '.join(alone)})" if alone else ""
    return (
        f"The control of {counted(len(found), 'verdict')} is another network than the claim's ({', '.join(where)}): "
        "the strongest row on validation people is the plain ResNet. Against the control these verdicts measure the "
        f"network and its first weights{levels} as well as the claim."
    )


def different(table: pd.DataFrame) -> pd.DataFrame:
    """Of the verdicts against a control, one for each difference: several claims of one method often share theirs."""
    asked = table[table["control_verdict"] != ""]
    return asked.drop_duplicates(["paper", "set", "preset", "control_mean", "control_low", "control_high"])


def _repeated(table: pd.DataFrame) -> str:
    """How many differences stand behind the verdicts against the control; "" where each has its own."""
    asked, own = int((table["control_verdict"] != "").sum()), different(table)
    if len(own) == asked:
        return ""
    stand = int((own["control_verdict"].str.split(" (", regex=False).str[0] == "reproduced").sum())
    return (
        f"Claims of one method often have one control and then one difference to it: the {asked} verdicts against the "
        f"control are of {len(own)} different ones; reproduced of those: {stand}."
    )


def _few_trainings(table: pd.DataFrame) -> str:
    """How many verdicts have too few trainings; a count of weights needs none, and is decided with one."""
    few = table[(table["trainings"] < claims.TRAININGS) & table["verdict"].str.startswith("undecided")]
    where = []
    for people in SETS:
        of = few.loc[few["set"] == people, "trainings"].astype(int).value_counts().sort_index()
        behind = ", ".join(f"{count} with {counted(known, 'training')}" for known, count in of.items())
        if behind:
            where.append(f"{of.sum()} of the {(table['set'] == people).sum()} on {PEOPLE[people]} ({behind})")
    if not where:
        return ""
    least = claims.TRAININGS
    return f"Verdicts with fewer than {least} trainings: {', '.join(where)}. They are undecided whatever is true."


def boards(table: pd.DataFrame, most: int) -> dict[str, pd.DataFrame]:
    """What ``lib.plots.board.claims_board`` draws, {title: claim, set, column, verdict}: for every paper as many pages
    as it takes with at most ``most`` claims on one. A claim about several networks is a line for each.
    """
    parts = [
        table.assign(column=column, verdict=table[f"{prefix}verdict"])
        for column, prefix in (("paper", ""), ("control", "control_"))
    ]
    cells = pd.concat(parts)[["paper", "claim", "set", "column", "verdict"]]
    cells, found = cells[cells["verdict"] != ""], {}
    for paper, title in PAPERS.items():
        claims_of = table.loc[table["paper"] == paper, "claim"].drop_duplicates().tolist()
        pages = math.ceil(len(claims_of) / most)
        for page in range(pages):
            few = claims_of[page * len(claims_of) // pages : (page + 1) * len(claims_of) // pages]
            where = f", {page + 1} of {pages}" if pages > 1 else ""
            found[f"{title}{where}"] = cells[(cells["paper"] == paper) & cells["claim"].isin(few)].drop(columns="paper")
    return found


def shown(table: pd.DataFrame, paper: str) -> str:
    """All judged claims of a paper for readers, as a table in Markdown: a line for each set that a claim was measured
    on, with what the paper prints, and the difference with its interval and verdict, as the paper compares and against
    the control; in points of rank-1 where no unit stands. A claim stands in the first of its lines.
    """
    part = marked(table[table["paper"] == paper]).to_dict("records")
    lines, last = [], ""
    for row, told in zip(part, claims.table(part, unit="").to_dict("records"), strict=True):
        known, claim = int(row["trainings"]), f"{told['claim']} ({told['table']})"
        few = f" ({counted(known, 'training')})" if known < claims.TRAININGS else ""
        pairs = (("as the paper compares", "verdict"), ("against the control", "verdict against it"))
        said = [f"{' '.join(told[name].split())}: {told[word]}" if told[word] else "" for name, word in pairs]
        prints = _printed(row)
        lines.append(["" if claim == last else claim, f"{PEOPLE[row['set']]}{few}", prints, *said])
        last = claim
    return _grid(["claim", "measured on", "the paper prints", "as the paper compares", "against the control"], lines)


def page(table: pd.DataFrame | None = None, length: pd.DataFrame | None = None) -> str:
    """VERDICTS.md of these judged claims, and of those at two lengths (None: of the record's)."""
    table = board() if table is None else table
    known, shown = claims.claims(), marked(table)
    parts = [INTRODUCTION.format(negligible=negligible(table) if len(table) else "one point")]
    if len(table):
        given = counts(table)
        head = ["paper", "people", *claims.VERDICTS, *(f"control: {word}" for word in claims.VERDICTS)]
        parts.append(
            _grid(head, [[*names, *map(str, row)] for names, row in zip(given.index, given.values, strict=True)])
        )
        parts += [f"{remark}\n" for remark in remarks(table)]
    for paper, title in PAPERS.items():
        own = known[known["paper"] == paper]
        part = shown[shown["paper"] == paper]
        parts.append(f"## {title}\n")
        if len(part):
            parts.append(_grid(
                [
                    "claim", "table", "the paper prints", "measured on", "as the paper compares", "verdict",
                    "against the control", "verdict",
                ],
                [_line(row) for row in part.to_dict("records")],
            ))  # fmt: skip
            parts += [f"{note}\n" for note in notes(paper)]
        if missing := [claim for name, claim in own["claim"].items() if name not in set(part["claim_id"])]:
            parts.append("Not judged: " + "; ".join(map(_within, missing)) + ".\n")
    return "\n".join([*parts, *_lengths(lengths() if length is None else length)])


def negligible(table: pd.DataFrame) -> str:
    """The thresholds of these judged claims, each once, in words."""
    return ", ".join(THRESHOLDS[one] for one in claims.table(table.to_dict("records"))["no effect within"].unique())


def notes(paper: str) -> list[str]:
    """What bears on a paper's verdicts and stands in no row of them, from the record, of what it has."""
    found = []
    for note in NOTES.get(paper, ()):
        with contextlib.suppress(MeasuredError, KeyError):
            found.append(note())
    return found


def _plain_row() -> str:
    over = recorded("jbim", ["pedestrians"]).difference(ripr.BOTH, sing.BICUBIC, "pedestrians")
    return (
        "The controls here are plain networks on pictures as they are. Bicubic enlargement before SING's network, the "
        "strongest plain row of SING's study on validation people, is not among them: over it FFSR + RIFE has "
        f"{with_interval(over)}."
    )


def _vdsr() -> str:
    recorded("ripr", ["pedestrians"]).claim("RIPR-vdsr", "pedestrians")  # nothing to say where it is not judged
    return (
        "That FFSR beats VDSR at a ninth of its cost is judged by rank-1 alone: here VDSR is narrow, and costs little "
        "more ([lesson 20](notebooks/20_ffsr.ipynb))."
    )


def _stages() -> str:
    stages = measured(ftwa_cameras.TABLE, "pedestrians").set_index("name")
    low, full, apart = map(with_interval, (stages.loc[name] for name in ftwa_cameras.GAINS))
    same, there, left = map(with_interval, (stages.loc[name] for name in ftwa_cameras.SAME_LOSSES))
    return (
        f"Separate first stages gain {low} over one on low resolution, and {full} where nothing is shrunk and each has "
        f"its own group of cameras: {apart} are left for the resolution. Over one stage that is trained by FTWA's own "
        f"losses it is {same}, {there} and {left} ([lesson 50](notebooks/50_ftwa.ipynb))."
    )


def _transformation() -> str:
    readings = recorded("ftwa_ablations", ["pedestrians"])
    bare = recorded("ftwa", ["pedestrians"]).difference(ftwa.FTWA, ftwa.B, "pedestrians")
    same = readings.difference(ftwa.FTWA, ftwa.SWA_IDENTITY, "pedestrians")
    return (
        "What FTWA gains over a plain network is not its transformation's: minus its two first stages alone (FTWA-B) "
        f"it has {with_interval(bare)}, minus the same training with the identity for T {with_interval(same)}."
    )


def _branches() -> str:
    left = measured(hrnet_branches.TABLE, "pedestrians").query("preset == 'mlr'").set_index(["name", "what"])
    mended, ships, kept = map(with_interval, (left.loc[pair] for pair in hrnet_branches.COMPARED))
    return (
        "All rows with an HRNet start from first weights in which three of its four maps have died. Mended, HRNet-ReID "
        f"gains {mended} on low resolution; minus the plain network, whose own pre-training kept its decay, it has "
        f"{kept} then, and {ships} as it ships ([lesson 41](notebooks/41_pshrnet_ablations.ipynb))."
    )


def _alive() -> str:
    anew, of = recorded("pshrnet_no_decay", ["pedestrians"]), pshrnet_no_decay.ROWS
    pairs = ((pshrnet.SR_ID, pshrnet.ID), (pshrnet.PS, pshrnet.SR_ID), (pshrnet.PS, BASELINE))
    restored, taught, plain = (with_interval(anew.difference(of[a], of[b], "pedestrians")) for a, b in pairs)
    loses, best = (with_interval(anew.difference(of[name], BASELINE, "pedestrians")) for name in (BASELINE, pshrnet.PS))
    return (
        "With all networks, the plain one too, from first weights that were made without decay: super-resolution "
        f"{restored}, the teacher {taught}, PS-HRNet minus the plain network {plain}. The plain network's are worse so "
        f"({loses} by the decay's absence); each from its better ones, PS-HRNet minus the plain network {best}."
    )


def _stripes() -> str:
    own = recorded("pshrnet", ["pedestrians"])
    plain, whole = (with_interval(own.difference(pshrnet.PCB, b, "pedestrians")) for b in (BASELINE, pshrnet.PS))
    return (
        f"PCB, which is built for no resolution at all, has {plain} over the plain network and {whole} over PS-HRNet "
        "([lesson 40](notebooks/40_pshrnet.ipynb))."
    )


def _narrow() -> str:
    recorded("pshrnet", ["pedestrians"]).claim("PSHR-rcan", "pedestrians")  # nothing to say where it is not judged
    return (
        "RCAN enlarges by four here, and so shrinks all pictures to a quarter first, sharp ones of the gallery too: "
        "its verdict is about that ([lesson 41](notebooks/41_pshrnet_ablations.ipynb))."
    )


def _fusion() -> str:
    own = recorded("jbim", ["pedestrians"])
    one = (jbim.ONE_OF[jbim.ON], jbim.ONE_OF[jbim.LIM_ON])
    beside, fused = (with_interval(own.difference(*pair, "pedestrians")) for pair in (one, (jbim.JBIM, jbim.ON)))
    long = with_interval(recorded("longer").difference(*one, "pedestrians"))
    return (
        f"The two networks that complement each other have {beside} over the small picture's alone, both trained on, "
        f"and {long} with {longer.LENGTH:g} times the images; what the fusion does to the two "
        f"of them, trained on without it, is {fused} "
        "([lesson 30](notebooks/30_jbim.ipynb))."
    )


def _osnet() -> str:
    alone = recorded("jbim", ["pedestrians"]).difference(jbim.OSNET, BASELINE, "pedestrians")
    return (
        f"The OSNet here has a quarter of its width, and {with_interval(alone)} over the plain network: what JBIM has "
        "over it says little, and whether a stronger network makes JBIM stronger is asked only of one that is "
        "([lesson 31](notebooks/31_jbim_ablations.ipynb))."
    )


def _mixed() -> str:
    measured("jbim_ratio_claims", "pedestrians")  # nothing to say where it is not judged
    return (
        "Training on all ratios has three models, fused, and so three budgets of images, against one that was trained "
        "on the tested ratio ([lesson 31](notebooks/31_jbim_ablations.ipynb))."
    )


NOTES = {
    "ripr": (_plain_row, _vdsr), "ftwa": (_stages, _transformation),
    "pshrnet": (_branches, _alive, _stripes, _narrow), "jbim": (_fusion, _osnet, _mixed),
}  # fmt: skip


def _printed(row: dict) -> str:
    """What the paper prints for a judged claim, on its set where it has it, at the claim's ratio where it has one."""
    first, _, tested = str(row.get("variant") or "").partition("tested at ")
    target = TARGETS.get((row["preset"], row["set"]))
    return claimed_in_words(row["claim_id"], target, "" if first else tested)


def _line(row: dict) -> list[str]:
    (shown,) = claims.table([row]).to_dict("records")
    people = f"{PEOPLE[row['set']]}, `{row['preset']}`, {counted(int(row['trainings']), 'training')}"
    compared = ("as the paper compares", "verdict", "against the control", "verdict against it")
    prints = _printed(row)
    return [shown["claim"], shown["table"], prints, people, *(shown[name] for name in compared)]


def _lengths(table: pd.DataFrame) -> list[str]:
    """What a longer training makes of some verdicts: the last section; empty where nothing is recorded."""
    if table.empty:
        return []
    return [
        f"## {longer.LENGTH:g} times as long\n",
        f"{longer.finding(table)} One model stands where a paper fuses three (`lib/experiments/longer.py`). The "
        "controls of JBIM's parts were trained as long as JBIM. That of a whole method is RIPR's ResNet, which was "
        "shown two thirds of the images and was chosen by hand, as the strongest plain row on the test people: on the "
        "hard side.\n",
        _grid(longer.HEAD, longer.shown(table).to_numpy().tolist()),
        f"{longer.plain(recorded('longer'))}\n",
    ]


def _within(text: str) -> str:
    """A sentence's beginning in the middle of one: a small letter, but not of SRCNN or RIFE."""
    return text if text[1:2].isupper() else text[0].lower() + text[1:]


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lib.experiments.verdicts", description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    told = parser.parse_args(arguments)
    try:
        text = page()
    except DamagedTable as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    if told.check:
        print(f"{PAGE.name} is not what data/measured says: python -m lib.experiments.verdicts", file=sys.stderr)
        return 1
    write_atomically(PAGE, lambda path: path.write_text(text, encoding="utf-8"))
    print(f"written: {PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
