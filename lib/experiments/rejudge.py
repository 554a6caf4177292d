"""Claims of the record judged again, from its own differences: after a comparison has got another control.

    python -m lib.experiments.rejudge                # all studies and sets; says which verdicts changed

The trainings need not be here. Only comparisons with one rival and at most one control can be judged so: where the
strongest of several is taken, validation people choose it, and of them the record has nothing. Those stay as they are
(``lib.experiments.record --hours 0`` judges them, where the trainings are). A claim that is not asked of a set any more
is taken out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial

import pandas as pd

from lib.experiments import claims, ftwa_weights, measured
from lib.experiments.measured import MeasuredError
from lib.experiments.recorded import SETS, Record, recorded
from lib.experiments.studies import STUDIES
from lib.experiments.study import Comparison
from lib.paths import write_atomically

ENDS = ("mean", "low", "high")
JUDGED = (*ENDS, "verdict", *(f"control_{name}" for name in (*ENDS, "verdict")), "control_row")


def judged(record: Record, one: Comparison, people: str, preset: str) -> dict | None:
    """What a comparison's row of the claims says (``JUDGED``); None where the record cannot tell.

    Raises KeyError where a difference is not recorded.
    """
    if len(one.rivals) != 1 or len(one.controls) > 1:
        return None
    control = one.controls[0] if one.controls else None
    against = record.to_judge(one.longer or one.a, control, people, preset) if control else None
    row = claims.judge(one.claim, record.to_judge(one.a, one.rivals[0], people, preset), control=against)
    return {name: row.get(name) for name in JUDGED} | {"control_row": control}


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
        now = one and judged(record, one, people, row["preset"])
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
    return frame.infer_objects(), changed


def _same(row: pd.Series, now: dict) -> bool:
    """Whether a stored row says the same, to the digits that are stored."""

    def said(value: object) -> str:
        if isinstance(value, float):
            return "" if pd.isna(value) else f"{value + 0.0:.{measured.DIGITS}g}"  # of a difference the wrong way: -0.0
        return str(value or "")

    return all(said(row.get(name)) == said(value) for name, value in now.items())


def main() -> None:
    for study in STUDIES:
        for people in SETS:
            try:
                frame, changed = table(study, people)
            except MeasuredError:
                continue
            if not changed:
                continue
            print("\n".join(changed))
            path = measured.folder() / f"{measured.table_name(f'{study}_claims', people, 'course')}.csv"
            text = frame.to_csv(index=False, float_format=f"%.{measured.DIGITS}g", lineterminator="\n")
            about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            about |= {"sha256": hashlib.sha256(text.encode()).hexdigest(), "judged_again": measured.commit()}
            about = json.dumps(about, indent=2, sort_keys=True) + "\n"
            for file, content in ((path, text), (path.with_suffix(".json"), about)):
                write_atomically(file, lambda f, content=content: f.write_text(content, encoding="utf-8", newline=""))


if __name__ == "__main__":
    main()
