"""VERDICTS.md: every claim once, as the record has it, and up to date."""

from __future__ import annotations

import pandas as pd

from lib.course import notebook as notebooks
from lib.course import structure
from lib.evaluation.intervals import counted
from lib.experiments import claims, verdicts
from lib.experiments.ftwa_cameras import GAINS, SAME_LOSSES
from lib.experiments.hrnet_branches import COMPARED
from lib.experiments.recorded import Record, recorded
from lib.plots.board import MOST


def test_the_page_is_what_the_record_says():
    assert verdicts.main(["--check"]) == 0, "python -m lib.experiments.verdicts"


def test_every_claim_is_judged_or_said_to_be_missing():
    text, table = verdicts.page(), verdicts.board()
    judged = set(table["claim_id"])
    for name, one in claims.claims().iterrows():
        said = one["claim"] if name in judged else one["claim"][1:]
        assert said in text, name


def test_the_counts_are_those_of_the_rows():
    table = verdicts.board()
    given = verdicts.counts(table)
    words = list(claims.VERDICTS)
    assert given[words].to_numpy().sum() == len(table)
    assert given[[f"control: {word}" for word in words]].to_numpy().sum() == (table["control_verdict"] != "").sum()
    for (paper, people), row in given.iterrows():
        (key,) = (name for name, title in verdicts.PAPERS.items() if title == paper)
        (where,) = (name for name, title in verdicts.PEOPLE.items() if title == people)
        part = table[(table["paper"] == key) & (table["set"] == where)]
        assert row["undecided"] == part["verdict"].str.startswith("undecided").sum()
        assert row["reproduced"] == (part["verdict"] == "reproduced").sum()


def test_every_judged_claim_is_on_a_board_once():
    table = verdicts.board()
    boards = verdicts.boards(table, most=MOST)
    assert all(1 <= part["claim"].nunique() <= MOST for part in boards.values())
    cells = pd.concat(boards.values())
    assert not cells.duplicated(["claim", "set", "column"]).any()
    assert (cells["column"] == "paper").sum() == len(table)
    assert (cells["column"] == "control").sum() == (table["control_verdict"] != "").sum()
    assert [title.split(",")[0] for title in boards] == sorted(
        (title.split(",")[0] for title in boards), key=list(verdicts.PAPERS.values()).index
    )
    whole = verdicts.boards(table, most=len(table))
    assert list(whole) == [title for paper, title in verdicts.PAPERS.items() if paper in set(table["paper"])]


def test_a_page_that_is_old_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(verdicts, "PAGE", tmp_path / "VERDICTS.md")
    assert verdicts.main(["--check"]) == 1 and "python -m lib.experiments.verdicts" in capsys.readouterr().err
    assert verdicts.main([]) == 0 and verdicts.main(["--check"]) == 0
    verdicts.PAGE.write_text("by hand", encoding="utf-8")
    assert verdicts.main(["--check"]) == 1


def test_without_a_record_every_claim_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path))
    text = verdicts.page()
    assert text.count("Not judged:") == len(verdicts.PAPERS) and "| --- |" not in text


def test_lesson_91_shows_the_record_of_today():
    """It reads data/measured: what it stores is stale when that changes (make publish LESSONS=91)."""
    given = verdicts.counts(verdicts.board())
    here = given[[people == "embedded people" for _, people in given.index]].sum()
    (said,) = structure.answers(notebooks.read(notebooks.lesson_files()["91_claims"]))
    words = f"{here['reproduced']} are reproduced as their papers compare, {here['contradicted']} contradicted"
    assert words in said and f"{here['no effect']} without effect, {here['undecided']} undecided" in said
    assert f"{here['control: reproduced']} of {here.filter(like='control: ').sum()} are reproduced" in said


def test_what_stands_in_no_row_is_said_from_the_record(monkeypatch):
    board, limits = verdicts.board(), {"low": -0.005, "high": 0.05}
    stages = pd.DataFrame(
        [
            {"name": name, "mean": mean} | limits
            for name, mean in zip(GAINS + SAME_LOSSES, (0.03, 0.02, 0.01, 0.024, 0.023, 0.001), strict=True)
        ]
    )
    lines = [
        {"name": name, "what": what, "preset": preset, "mean": mean + (preset == "plain")} | limits
        for preset in ("mlr", "plain")
        for (name, what), mean in zip(COMPARED, (0.03, -0.02, 0.01), strict=True)
    ]
    tables = {"ftwa_cameras": stages, "hrnet_branches": pd.DataFrame(lines)}
    monkeypatch.setattr(verdicts, "measured", lambda name, people: tables[name])
    note, transformed = verdicts.notes("ftwa")
    assert "minus its two first stages alone (FTWA-B) it has" in transformed
    assert "gain +3.0 [-0.5, +5.0] points over one" in note and "and +2.0" in note and ": +1.0" in note
    assert "own losses it is +2.4 [-0.5, +5.0] points, +2.3 [" in note and "and +0.1 [" in note
    note, *others = verdicts.notes("pshrnet")
    assert any("PCB" in other and "over PS-HRNet" in other for other in others)
    assert "gains +3.0 [" in note and "it has +1.0 [" in note and "and -2.0 [" in note
    assert note in verdicts.page(board)
    assert verdicts.notes("sing") == []

    def measured(name, people):
        raise verdicts.MeasuredError(name)

    monkeypatch.setattr(verdicts, "measured", measured)
    assert verdicts.notes("ftwa") == [transformed] and verdicts.notes("pshrnet") == others
    monkeypatch.setattr(verdicts, "recorded", lambda *_: Record(*3 * [board.head(0)], {}))
    assert verdicts.notes("ftwa") == verdicts.notes("jbim") == verdicts.notes("pshrnet") == []


def judged(**columns) -> pd.DataFrame:
    """Claims as the board has them: each column a value for all or a list."""
    usual = {"paper": "pshrnet", "set": "pedestrians", "claim_id": "PSHR-ps", "against_it": None, "trainings": 3}
    usual |= {"preset": "mlr", "control_mean": 0.0, "control_low": 0.0, "control_high": 0.0}
    return pd.DataFrame(usual | {"verdict": "undecided", "control_verdict": "contradicted"} | columns)


def test_a_control_on_another_network_is_named():
    table = judged(
        claim_id=["PSHR-ps", "PSHR-ps", "PSHR-ca", "JBIM-osnet", "JBIM-over-osnet", "PSHR-pool"],
        paper=[*["pshrnet"] * 3, "jbim", "jbim", "pshrnet"],
        set=["pedestrians", "caviar", "pedestrians", "pedestrians", "pedestrians", "pedestrians"],
        control_row=["baseline", "HRNet-ReID", "baseline", "baseline", "baseline", None],
        control_mean=[-0.01, -0.02, -0.03, -0.04, -0.05, None],
        control_verdict=[*["contradicted"] * 5, ""],
    )
    assert verdicts.other_network(table).tolist() == [True, False, False, True, False, False]
    assert verdicts.marked(table)["control_row"].tolist()[:3] == ["baseline, another network", "HRNet-ReID", "baseline"]
    (remark,) = verdicts.remarks(table)
    assert remark.startswith("The control of 2 verdicts is another network than")
    assert "1 of PS-HRNet (2021) on embedded people, 1 of JBIM (2022) on embedded people" in remark
    level = recorded("jbim", ["pedestrians"]).rank1("OSNet", "mlr")["pedestrians"]
    assert f"OSNet {100 * level:.1f} %" in remark
    assert verdicts.remarks(table.iloc[1:3]) == verdicts.remarks(table.head(0)) == []


def test_verdicts_that_share_a_difference_to_their_control_are_counted_once():
    table = judged(
        claim_id=["SING-joint", "SING-synthetic", "RIPR-joint", "RIPR-both"],
        paper=["sing", "sing", "ripr", "ripr"],
        control_mean=[0.02, 0.02, 0.02, None],
        control_verdict=["reproduced", "reproduced", "undecided", ""],
        control_row=["baseline"] * 3 + [None],
    )
    assert verdicts.different(table)["claim_id"].tolist() == ["SING-joint", "RIPR-joint"]
    (remark,) = verdicts.remarks(table)
    assert "the 3 verdicts against the control are of 2 different ones; reproduced of those: 1." in remark
    assert not verdicts.remarks(table.drop(index=1))


def test_too_few_trainings_are_counted_for_each_set():
    table = judged(
        set=["viper"] * 4 + ["pedestrians"],
        trainings=[1, 2, 2, 1, 3],
        verdict=["undecided (1 training)", "undecided", "undecided", "reproduced", "undecided"],  # weights need none
        control_verdict="",
        control_row=None,
    )
    (remark,) = verdicts.remarks(table)
    assert ": 3 of the 4 on VIPeR (1 with 1 training, 2 with 2 trainings). " in remark


def test_the_page_says_what_its_counts_leave_out():
    text, table = verdicts.page(), verdicts.board()
    assert all(f"\n{remark}\n" in text for remark in verdicts.remarks(table))
    assert text.count(", another network)") == verdicts.other_network(table).sum()


def test_all_claims_of_a_paper_are_in_its_table():
    table = verdicts.board()
    for paper in verdicts.PAPERS:
        part = table[table["paper"] == paper]
        _, _, *lines = verdicts.shown(table, paper).splitlines()
        cells = [line.strip("| ").split(" | ") for line in lines if line]
        assert len(cells) == len(part), paper
    text = verdicts.shown(table, "sing")
    viper = table[(table["claim_id"] == "SING-alpha-zero") & (table["set"] == "viper")].iloc[0]
    known = f"VIPeR ({counted(int(viper['trainings']), 'training')})"
    assert viper["trainings"] >= claims.TRAININGS or known in text
    assert text.count("Three anchors fused are better than one") == 1  # on three sets
    assert "] dB: " in text and "] : " not in text


def test_lesson_91_shows_every_claim():
    """What it stores is stale when the record changes (make publish LESSONS=91)."""
    lesson, table = notebooks.read(notebooks.lesson_files()["91_claims"]), verdicts.board()
    outputs = [output for cell in notebooks.code_cells(lesson) for output in cell.outputs]
    told = "".join(output.get("data", {}).get("text/markdown", "") for output in outputs)
    assert all(verdicts.shown(table, paper).strip() in told for paper in verdicts.PAPERS)
    printed = "".join(output.get("text", "") for output in outputs)
    assert all(remark in printed for remark in verdicts.remarks(table))


def test_the_same_difference_on_two_protocols_counts_twice():
    row = judged(control_mean=[0.02], control_low=0.01, control_high=0.03).iloc[0].to_dict()
    assert len(verdicts.different(pd.DataFrame([row | {"preset": preset} for preset in ("mlr", "vr")]))) == 2
    assert len(verdicts.different(pd.DataFrame([row, row]))) == 1
