"""The lines of `make course`: which lesson, how many are left, how many minutes."""

import io
import json

import pytest

from lib.course import progress

TITLES = {"00_a": "00 Start", "01_b": "01 Data", "02_c": "02 Measuring"}
MINUTES = {"00_a": 5, "01_b": 10, "02_c": 20}


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def told(tmp_path, monkeypatch, clock):
    """A function that makes a board over the events that were told, and reads them."""
    monkeypatch.setenv(progress.EVENTS, str(tmp_path / "events"))

    def board(jobs=1, live=False):
        return progress.Board(tmp_path / "events", TITLES, MINUTES, jobs, io.StringIO(), live)

    return board


def test_one_line_for_each_lesson(told, clock):
    board = told()
    board.read()  # nothing was told yet
    progress.tell("plan", names=list(TITLES))
    progress.tell("began", name="00_a")
    board.read()
    assert board.stream.getvalue() == "3 notebooks to run, about 35 min\n[1/3] 00 Start … "
    progress.tell("cell", name="00_a", index=3, count=9)
    clock.now += 600
    progress.tell("done", name="00_a", seconds=600.0)
    progress.tell("began", name="01_b")
    progress.tell("failed", name="01_b", seconds=12.0, error="ValueError: no")
    board.read()
    # 10 minutes where 5 were declared: with 5 minutes of trust in what is declared, (5 + 10) / (5 + 5) = 1.5
    assert board.stream.getvalue().splitlines()[1:] == [
        "[1/3] 00 Start … done in 10 min; about 45 min left",
        "[2/3] 01 Data … failed after 12 s: ValueError: no",
    ]
    progress.tell("began", name="02_c")
    progress.tell("done", name="02_c", seconds=90)
    board.read()
    assert board.stream.getvalue().splitlines()[-1] == "[3/3] 02 Measuring … done in 1.5 min"  # and nothing is left


def test_what_runs_counts_with_the_rest_of_its_time(told, clock):
    board = told(jobs=2)
    progress.tell("plan", names=list(TITLES))
    progress.tell("began", name="01_b")
    board.read()
    assert board.left() == 20  # 35 minutes for two, but one lesson takes 20
    clock.now += 240
    assert board.left() == 20
    progress.tell("began", name="02_c")
    board.read()
    clock.now += 300
    assert board.left() == 15  # 1 of lesson 01, 15 of 02, 5 of 00: 10.5 for each of two, but 02 alone takes 15
    clock.now += 6000
    assert board.left() == 5  # late ones do not take time away from the others


def test_side_by_side_a_line_is_written_when_it_is_whole(told):
    board = told(jobs=2)
    progress.tell("plan", names=list(TITLES)[:2])
    for event in ("began", "done"):
        for name in ("00_a", "01_b"):
            progress.tell(event, name=name, **({"seconds": 60} if event == "done" else {}))
    board.read()
    lines = board.stream.getvalue().splitlines()
    assert (
        len(lines) == 3 and lines[1].startswith("[1/2] 00 Start … done") and lines[2].startswith("[2/2] 01 Data … do")
    )


def test_on_a_terminal_the_line_is_rewritten(told, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    board = told(live=True)
    progress.tell("plan", names=["00_a"])
    progress.tell("began", name="00_a")
    progress.tell("cell", name="00_a", index=3, count=9)
    board.read()
    assert board.stream.getvalue().endswith("\r\x1b[K[1/1] 00 Start … cell 3 of 9…")  # no wider than the terminal
    progress.tell("done", name="00_a", seconds=1)
    board.read()
    board.close()
    assert board.stream.getvalue().endswith("\r\x1b[K[1/1] 00 Start … done in 1 s\n")


def test_an_interrupted_line_is_ended(told):
    board = told()
    progress.tell("plan", names=["00_a"])
    progress.tell("began", name="00_a")
    board.read()
    board.close()
    board.close()
    assert board.stream.getvalue().endswith("[1/1] 00 Start … \n")


def test_half_a_line_is_read_when_it_is_whole(told, tmp_path):
    board, text = told(), json.dumps({"event": "plan", "names": ["00_a"]}) + "\n"
    (tmp_path / "events").write_text(text[:10])
    board.read()
    assert board.total == 0
    (tmp_path / "events").write_text(text)
    board.read()
    assert board.total == 1


def test_nobody_is_told_without_a_file(monkeypatch, tmp_path):
    monkeypatch.delenv(progress.EVENTS, raising=False)
    monkeypatch.chdir(tmp_path)
    progress.tell("plan", names=[])
    assert list(tmp_path.iterdir()) == []
