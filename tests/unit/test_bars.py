"""The line of work in progress: what it says, and that nothing stays of it."""

import io
from types import SimpleNamespace

import nbformat
import pytest
from nbclient import NotebookClient

from lib import bars
from lib.bars import Bar, said, work


@pytest.fixture
def clock(monkeypatch):
    """The time as a list of one number, to be set."""
    now = [0.0]
    monkeypatch.setattr(bars.time, "monotonic", lambda: now[0])
    return now


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(bars, "sys", SimpleNamespace(stderr=screen, modules={}))  # pytest sets its own sys.stderr
    monkeypatch.delenv("COURSE_BATCH", raising=False)
    return screen


def test_the_line_says_what_how_far_and_how_long(clock):
    bar = Bar("training", 1000, show=False)
    assert str(bar) == "training · 0%"
    clock[0] = 27.0
    bar.step()
    assert str(bar) == "training · 0%"  # one of a thousand says nothing about the rest
    clock[0] = 30.0
    bar.step(299)
    assert str(bar) == "training · 30% · 10 images/s · 70 s left"
    bar.note = "joint 3: loss 0.500"
    assert str(bar).endswith(" · joint 3: loss 0.500")
    bar.step(900)
    assert "100%" in str(bar) and "0 s left" in str(bar)


def test_what_was_done_before_is_no_speed(clock):
    bar = Bar("training", 100, done=90, show=False)
    clock[0] = 10.0
    assert str(bar) == "training · 90%"
    bar.step(5)
    assert str(bar) == "training · 95% · 0.5 images/s · 10 s left"


def test_nothing_to_do(clock):
    assert str(Bar("training", 0, show=False)) == "training · 100%"


def test_it_is_called_after_the_work_around_it():
    with work("SING at 0.5, model 3 of 11"):
        with work("first weights"):
            assert str(Bar("training", 9, show=False)).startswith("SING at 0.5, model 3 of 11 · first weights · ")
        with work("sing", unless_named=True):
            assert Bar("training", 9, show=False).what == "SING at 0.5, model 3 of 11"
    with work("sing", unless_named=True):
        assert Bar("training", 9, show=False).what == "sing"
    assert Bar("training", 9, show=False).what == "training"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (89, "89 s"), (90, "2 min"), (5300, "88 min"), (7500, "2 h 5 min")]
)
def test_durations(seconds, text):
    assert said(seconds) == text


def test_nothing_stays_in_a_terminal(clock, terminal):
    with pytest.raises(KeyboardInterrupt), Bar("training", 10) as bar:
        bar.step()
        assert terminal.getvalue() == ""  # not before half a second
        clock[0] = 1.0
        bar.step()
        assert terminal.getvalue() == "\r\x1b[Ktraining · 20% · 2 images/s · 4 s left"
        raise KeyboardInterrupt
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize("how", ["hidden", "batch", "log"])
def test_where_there_is_no_line(clock, terminal, monkeypatch, how):
    if how == "batch":
        monkeypatch.setenv("COURSE_BATCH", "1")
    elif how == "log":
        monkeypatch.setattr(terminal, "isatty", lambda: False)
    with Bar("training", 10, show=how != "hidden") as bar:
        clock[0] = 5.0
        bar.step()
    assert terminal.getvalue() == ""


def test_nothing_is_stored_with_a_notebook(monkeypatch):
    """Run by a kernel as Jupyter does it: neither text nor a widget is left in the file, after an interrupt neither."""
    monkeypatch.delenv("COURSE_BATCH", raising=False)
    source = (
        "import time\nfrom lib.bars import Bar, work\n"
        "with work('SING'), Bar('training', 4) as bar:\n"
        "    for _ in range(4):\n        time.sleep(0.3)\n        bar.step()\n    seen = str(bar)\n    {}\n"
    )
    cells = [
        nbformat.v4.new_code_cell(source.format("pass"), metadata={"tags": []}),
        nbformat.v4.new_code_cell("print(seen)\nbar.line.shown is not None"),
        nbformat.v4.new_code_cell(
            source.format("raise ValueError('stopped')"), metadata={"tags": ["raises-exception"]}
        ),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    first, second, third = (cell.outputs for cell in notebook.cells)
    assert [dict(output.data) for output in first] == [{"text/html": "", "text/plain": ""}]
    assert second[0].text.startswith("SING · 100%") and second[1].data["text/plain"] == "True"
    assert [output.output_type for output in third] == ["display_data", "error"]
    assert set(third[0].data.values()) == {""}
    assert "widgets" not in notebook.metadata
