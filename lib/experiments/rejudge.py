"""Claims of the record judged again, from its own differences: after a comparison has got another control.

    python -m lib.experiments.rejudge                # all studies and sets; says which verdicts changed

The trainings need not be here. Where the strongest of several controls is taken, validation people choose it, and of
them the record has nothing but whom they chose: that one stays, as long as it may be asked. Claims with several rivals,
or whose choice is no control any more while several others are, stay as they are (``lib.experiments.record --hours 0``
judges them, where the trainings are). A claim that is not asked of a set any more is taken out, a new one about rows
that the record has is put in.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd

from lib.experiments import claims, ftwa_weights, measured
from lib.experiments.measured import DamagedTable, MeasuredError
from lib.experiments.recorded import SETS, Record, recorded
from lib.experiments.studies import STUDIES
from lib.experiments.study import Comparison

ENDS = ("mean", "low", "high")
JUDGED = (*ENDS, "verdict", *(f"control_{name}" for name in (*ENDS, "verdict")), "control_row")


def judged(record: Record, one: Comparison, people: str, preset: str, chosen: str = "") -> dict | None:
    """What a comparison's row of the claims says (``JUDGED``), and whatever else ``claims.judge`` does; None where the
    record cannot tell. Without a control where that was not recorded.

    chosen : the control that validation people chose. Raises KeyError where the difference of the two rows is not
    recorded.
    """
    if len(one.rivals) != 1 or (len(one.controls) > 1 and chosen not in one.controls):
        return None
    control, against = chosen if len(one.controls) > 1 else next(iter(one.controls), None), None
    if control:
        with contextlib.suppress(KeyError):
            against = record.to_judge(one.longer or one.a, control, people, preset)
    row = claims.judge(one.claim, record.to_judge(one.a, one.rivals[0], people, preset), control=against)
    return dict.fromkeys(JUDGED) | row | {"control_row": control if against else None}


def table(study: str, people: str) -> tuple[pd.DataFrame, list[str]]:
    """The claims of a study on a set as they are judged today, and what changed, a line per claim."""
    record, stored = recorded(study, [people]), measured.measured(f"{study}_claims", people)
    known: Mapping[str, Comparison] = {one.claim: one for one in STUDIES[study].comparisons}
    changed, frame = [], stored.astype(object)
    for at, row in stored.iterrows():
        one = known.get(row["claim_id"])
        apart = partial(record.to_judge, people=people, preset=row["preset"])
        if not (one.asked(people, apart) if one else ftwa_weights.asked(row["claim_id"], people)):
            frame = frame.drop(index=at)
            changed.append(f"{study} on {people}: {row['claim_id']}: not asked any more")
            continue
        now = one and judged(record, one, people, row["preset"], row.get("control_row"))
        now = now and {name: now[name] for name in JUDGED}
        now = now or {name: record.claims.at[at, name] for name in ("verdict", "control_verdict")}  # in today's words
        if _same(row, now):
            continue
        for name, value in now.items():
            frame.loc[at, name] = value
        was, to = (
            f"{some['verdict']}, against {some.get('control_row') or 'no control'} {some['control_verdict'] or '-'}"
            for some in (row.fillna(""), {**row.fillna(""), **now})
        )
        changed.append(f"{study} on {people}: {row['claim_id']}: {was}; now {to}")
    there = set(zip(stored["claim_id"], stored["preset"], strict=True))
    new = [one for one in known.values() if not one.premise]
    for one, preset in itertools.product(new, stored["preset"].unique()):
        if (one.claim, preset) in there:
            continue
        with contextlib.suppress(KeyError):
            row = judged(record, one, people, preset) if one.asked(people, record.to_judge) else None
            if row:
                row |= {"dataset": people, "profile": "course", "preset": preset}
                frame.loc[max(frame.index, default=-1) + 1] = row
                changed.append(f"{study} on {people}: {one.claim}: {row['verdict']}, new")
    return frame.infer_objects(), changed


def _same(row: pd.Series, now: dict) -> bool:
    """Whether a stored row says the same, to the digits that are stored."""

    def said(value: object) -> str:
        if isinstance(value, float):
            return "" if pd.isna(value) else f"{value + 0.0:.{measured.DIGITS}g}"  # of a difference the wrong way: -0.0
        return str(value or "")

    return all(said(row.get(name)) == said(value) for name, value in now.items())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lib.experiments.rejudge", description=__doc__.split("\n\n")[0])
    parser.parse_args(arguments)
    for study in STUDIES:
        for people in SETS:
            try:
                frame, changed = table(study, people)
            except MeasuredError:
                continue
            except DamagedTable as error:
                parser.exit(1, f"error: {error}\n")
            if not changed:
                continue
            print("\n".join(changed))
            path = measured.folder() / f"{measured.table_name(f'{study}_claims', people, 'course')}.csv"
            text = frame.to_csv(index=False, float_format=f"%.{measured.DIGITS}g", lineterminator="\n")
            about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            about |= {"sha256": hashlib.sha256(text.encode()).hexdigest(), "judged_again": measured.commit()}
            about |= {"rows": len(frame), "columns": list(frame.columns)}
            measured.write(path, text, about)


if __name__ == "__main__":
    main()
