"""Several records as one (``lib.experiments.recorded``)."""

from __future__ import annotations

import pandas as pd
import pytest

from lib.experiments.recorded import Record, of_all_papers, recorded

LINE = {"low": 0.0, "high": 0.2, "trainings": 3}


def record(name: str, rows: dict[tuple[str, str], list[str]], judged: list[dict] | None = None) -> Record:
    """Of {(set, preset): rows}, with the difference of each row to the one before; all values are ``len(name)``."""
    where = [{"set": people, "preset": preset} for people, preset in rows]
    lines = [at | {"row": row, "metric": "rank-1", "value": len(name)} for at in where for row in rows[*at.values()]]
    pairs = [
        at | {"row": b, "reference": a, "mean": float(len(name))} | LINE
        for at in where
        for a, b in zip(rows[*at.values()], rows[*at.values()][1:], strict=False)
    ]
    origins = {people: f"{name} on {people}" for people, _ in rows}
    nothing = pd.DataFrame(columns=["set", "preset", "row", "reference", "claim_id"])
    return Record(*(pd.DataFrame(some) if some else nothing for some in (lines, pairs, judged)), origins)


def test_of_two_records_the_first_says_what_both_have():
    one = record("one", {("viper", "mlr"): ["a", "b"], ("pedestrians", "mlr"): ["a"]})
    three = record(
        "three", {("viper", "mlr"): ["b", "a", "c"], ("pedestrians", "plain"): ["a"], ("caviar", "caviar"): ["a"]}
    )
    both = one | three
    assert both.rank1("a", "mlr") == {"viper": 3, "pedestrians": 3, "caviar": 5}
    assert both.rank1("c") == {"viper": 5} and both.rank1("a", "plain") == {"pedestrians": 5, "caviar": 5}
    assert both.difference("a", "b", "viper")["mean"] == -3  # the other order of rows is no second difference
    assert both.difference("c", "a", "viper")["mean"] == 5 and len(both.differences) == 2
    assert both.origins == {
        "viper": "one on viper\nthree on viper", "pedestrians": "one on pedestrians\nthree on pedestrians",
        "caviar": "three on caviar",
    }  # fmt: skip
    assert (both | three).origins == both.origins and len((both | one).rows) == len(both.rows)


def test_an_empty_record_beside_another_is_the_other(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path))
    empty, some = recorded("sing"), record("some", {("viper", "mlr"): ["a", "b"]})
    for both in (empty | some, some | empty):
        assert both.rank1("a") == {"viper": 4} and both.difference("b", "a", "viper")["mean"] == 4
    assert not empty | empty


def test_a_claim_that_both_judge_is_the_firsts():
    at = {"set": "viper", "preset": "mlr"}
    claims = [
        at | {"claim_id": "A", "verdict": "reproduced"},
        at | {"claim_id": "A", "variant": "x", "verdict": "no effect"},
    ]
    first = record("one", {("viper", "mlr"): ["a"]}, claims[:1])
    second = record("two", {("viper", "mlr"): ["a"]}, [claims[0] | {"verdict": "contradicted"}, claims[1]])
    assert (first | second).claims["verdict"].tolist() == ["reproduced", "no effect"]
    with pytest.raises(KeyError, match="not recorded"):
        (first | second).claim("A", "caviar")


def test_the_table_of_all_papers_has_what_their_own_studies_lack_on_a_set():
    rows = of_all_papers(recorded("jbim")).query("metric == 'rank-1'").set_index(["set", "row"])["value"]
    assert rows.index.is_unique
    for name in ("OSNet", "AGW"):
        assert rows["pedestrians", name] == recorded("jbim").rank1(name, "mlr")["pedestrians"]
        for people in ("viper", "caviar"):
            assert rows[people, name] == recorded("jbim_table_4").rank1(name, "mlr")[people]
