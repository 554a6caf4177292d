"""Claims judged again from the record's own differences."""

from dataclasses import replace

import pytest

from lib.experiments import measured, rejudge, studies
from lib.experiments.recorded import SETS, recorded


def stored():
    """(study, set) of every table of claims that is stored."""
    return [
        (study, people)
        for study in studies.STUDIES
        for people in SETS
        if (measured.folder() / f"{measured.table_name(f'{study}_claims', people, 'course')}.csv").is_file()
    ]


def test_every_stored_claim_is_what_its_differences_say_today():
    judged = 0
    for study, people in stored():
        frame, changed = rejudge.table(study, people)
        assert not changed
        known = {one.claim: one for one in studies.STUDIES[study].comparisons}
        mine = [known[name] for name in frame["claim_id"] if name in known]
        judged += sum(len(one.rivals) == 1 and len(one.controls) < 2 for one in mine)
    assert judged > 30


def test_every_stored_control_is_one_that_may_be_asked():
    for study, people in stored():
        known = {one.claim: one for one in studies.STUDIES[study].comparisons}
        for row in recorded(study, [people]).claims.to_dict("records"):
            if row["claim_id"] in known and isinstance(row.get("control_row"), str):
                assert row["control_row"] in known[row["claim_id"]].controls, (study, people, row["claim_id"])


def test_another_control_is_told_and_written(monkeypatch, tmp_path, capsys):
    names = [f"longer_{table}-pedestrians" for table in ("rows", "differences", "claims")]
    for name in names:
        for ending in ("csv", "json"):
            path = measured.folder() / f"{name}.{ending}"
            (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path))
    plan = studies.STUDIES["longer"]
    joint, *others = plan.comparisons
    other = replace(plan, comparisons=[replace(joint, controls=("baseline",)), *others])
    monkeypatch.setattr(rejudge, "STUDIES", studies.STUDIES | {"longer": other})
    before = measured.measured("longer_claims", "pedestrians")
    rejudge.main()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("longer on pedestrians: SING-joint: ") and "now" in line and "baseline" in line
    after = measured.measured("longer_claims", "pedestrians")  # its JSON still fits
    row = after.set_index("claim_id").loc["SING-joint"]
    apart = recorded("longer", ["pedestrians"]).difference(joint.a, "baseline", "pedestrians")
    assert [row[f"control_{end}"] for end in rejudge.ENDS] == pytest.approx([apart[end] for end in rejudge.ENDS])
    assert row["control_row"] == "baseline" and row["control_verdict"] == "reproduced"
    rest = before["claim_id"] != "SING-joint"
    assert after[rest].equals(before[rest]) and (after["mean"] == before["mean"]).all()
    rejudge.main()
    assert not capsys.readouterr().out  # nothing is left to change


def test_what_validation_people_choose_stays():
    record = recorded("longer", ["pedestrians"])
    several = next(one for one in studies.STUDIES["longer"].comparisons if len(one.controls) > 1)
    assert rejudge.judged(record, several, "pedestrians", "mlr") is None
