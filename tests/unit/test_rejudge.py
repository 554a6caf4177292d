"""Claims judged again from the record's own differences."""

from dataclasses import replace
from functools import partial

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
    rejudge.main([])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("longer on pedestrians: SING-joint: ") and "now" in line and "baseline" in line
    after = measured.measured("longer_claims", "pedestrians")  # its JSON still fits
    row = after.set_index("claim_id").loc["SING-joint"]
    apart = recorded("longer", ["pedestrians"]).difference(joint.a, "baseline", "pedestrians")
    assert [row[f"control_{end}"] for end in rejudge.ENDS] == pytest.approx([apart[end] for end in rejudge.ENDS])
    assert row["control_row"] == "baseline" and row["control_verdict"] == "reproduced"
    rest = before["claim_id"] != "SING-joint"
    assert after[rest].equals(before[rest]) and (after["mean"] == before["mean"]).all()
    rejudge.main([])
    assert not capsys.readouterr().out  # nothing is left to change


def test_what_validation_people_choose_stays():
    record = recorded("sing", ["pedestrians"])
    several = next(one for one in studies.STUDIES["sing"].comparisons if len(one.controls) > 1)
    row = rejudge.judged(record, several, "pedestrians", "mlr", several.controls[1])
    apart = record.difference(several.a, several.controls[1], "pedestrians")
    assert row["control_row"] == several.controls[1] and row["control_mean"] == apart["mean"]
    for chosen in ("", "SING", float("nan")):  # of nobody's choice, or of one that may not be asked
        assert rejudge.judged(record, several, "pedestrians", "mlr", chosen) is None


def test_a_claim_without_its_only_control_is_judged_without():
    record = recorded("ripr", ["viper"])
    joint = next(one for one in studies.STUDIES["ripr"].comparisons if one.claim == "RIPR-joint")
    row = rejudge.judged(record, joint, "viper", "mlr")
    assert row["control_row"] is None and row["control_verdict"] == "" and row["verdict"] == "undecided"
    assert joint.of({joint.a, joint.b}).controls == () and joint.of(joint.rows) == joint


def test_a_claim_that_is_new_is_put_in(monkeypatch):
    """Of rows that the record has."""
    stored_now = measured.measured("longer_claims", "pedestrians")
    older = stored_now[stored_now["claim_id"] != "RIPR-rife"]
    monkeypatch.setattr(rejudge.measured, "measured", lambda name, people: older)
    frame, changed = rejudge.table("longer", "pedestrians")
    assert changed == ["longer on pedestrians: RIPR-rife: undecided, new"]
    new, was = (table.set_index("claim_id").loc["RIPR-rife"] for table in (frame, stored_now))
    assert [new[name] for name in rejudge.ENDS] == pytest.approx([was[name] for name in rejudge.ENDS])
    assert (new["dataset"], new["preset"], new["trainings"]) == ("pedestrians", "mlr", 3)


def test_a_claim_whose_premise_fails_is_taken_out(monkeypatch):
    """A stronger network makes JBIM stronger: not asked where the OSNet at hand is the weaker one."""
    plan = studies.STUDIES["jbim_sweeps"]
    (one,) = [some for some in plan.comparisons if some.claim == "JBIM-stronger-net"]
    apart = partial(recorded("jbim_sweeps", ["pedestrians"]).to_judge, people="pedestrians")
    assert apart(*one.premise).high < 0 and not one.asked("pedestrians", apart)
    turned = replace(one, premise=one.premise[::-1])
    assert turned.asked("pedestrians", apart) and not replace(turned, sets=("viper",)).asked("pedestrians", apart)
    before = measured.measured("jbim_sweeps_claims", "pedestrians")
    joint = next(some for some in plan.comparisons if some.claim == "JBIM-osnet-joint")
    failing = [replace(joint, premise=one.premise) if some is joint else some for some in plan.comparisons]
    monkeypatch.setattr(rejudge, "STUDIES", studies.STUDIES | {"jbim_sweeps": replace(plan, comparisons=failing)})
    frame, changed = rejudge.table("jbim_sweeps", "pedestrians")
    assert changed == ["jbim_sweeps on pedestrians: JBIM-osnet-joint: not asked any more"]
    assert set(before["claim_id"]) - set(frame["claim_id"]) == {"JBIM-osnet-joint"}


def test_a_count_stands_once_and_words_are_those_of_today(monkeypatch):
    """FTWA-light needs no data; a table that was written before a rule was made gets the rule's words."""
    for study, people in stored():
        claims_there = set(measured.measured(f"{study}_claims", people)["claim_id"])
        assert "FTWA-light" not in claims_there or people == "pedestrians"
    older = measured.measured("sing_claims", "caviar")
    older.loc[older["claim_id"] == "SING-anchors", "verdict"] = "no effect"
    monkeypatch.setattr(rejudge.measured, "measured", lambda name, people: older)
    _, changed = rejudge.table("sing", "caviar")
    assert len(changed) == 1 and "SING-anchors: no effect" in changed[0] and "now undecided (44 people)" in changed[0]
