"""The strict run: each known way in which papermill lets a mistake pass, with a notebook that makes it."""

import errno
import json
import shutil
import signal
import subprocess
import sys
import time

import nbformat
import papermill
import pytest

from lib.course import guard, paths
from lib.course.guard import RunError
from lib.course.notebook import NotebookError
from lib.course.parameters import ParameterError


@pytest.fixture
def wrong(fixtures):
    return fixtures / "wrong"


def call(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "lib.course.guard", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=paths.ROOT,
        **options,
    )


def test_a_good_run(wrong, tmp_path):
    out = tmp_path / "deep" / "out.ipynb"
    out.parent.mkdir()
    out.with_suffix(".failed.ipynb").write_text("an older failure")
    executed = guard.run(wrong / "types.ipynb", out, {"rate": 1, "flip": False, "profile": "course"}, quiet=True)
    assert executed.cells[-1].outputs[0].text == "course 1.0 3 False a\n"
    assert nbformat.read(out, 4).cells[-1].execution_count == 3
    assert sorted(path.name for path in out.parent.iterdir()) == ["out.ipynb", "out.json"]
    assert json.loads(out.with_suffix(".json").read_text())["figures"] == []


def test_figures_are_remembered(fixtures, tmp_path):
    guard.run(
        fixtures / "lesson" / "42_template.ipynb", tmp_path / "out.ipynb", {"profile": "course"}, quiet=True, threads=1
    )
    figures = json.loads((tmp_path / "out.json").read_text())["figures"]
    assert figures == [str(tmp_path / "figures" / "42_template" / "line.png")]
    assert (tmp_path / "figures" / "42_template" / "line.png").stat().st_size > 1000


def test_without_the_tag(wrong, tmp_path):
    with pytest.raises(NotebookError, match="no cell is tagged `parameters`"):
        guard.run(wrong / "no_tag.ipynb", tmp_path / "out.ipynb", {"seed": 3})


def test_without_the_tag_by_hand(wrong, tmp_path):
    """Plain papermill would print seed 0 and exit with 0; `begin` notices."""
    with pytest.raises(papermill.PapermillExecutionError, match="seed was passed but overwritten"):
        papermill.execute_notebook(wrong / "no_tag.ipynb", tmp_path / "out.ipynb", {"seed": 3}, progress_bar=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sed": 3}, "unknown parameter 'sed'"),
        ({"seed": "3"}, "seed = '3' is a string"),
        ({"show": "false"}, "write `-p show False`"),
    ],
)
def test_lessons_are_strict_by_hand(fixtures, tmp_path, given, message):
    """papermill itself only warns about an unknown name, and takes any type."""
    with pytest.raises(papermill.PapermillExecutionError, match=message):
        papermill.execute_notebook(
            fixtures / "lesson" / "42_template.ipynb", tmp_path / "out.ipynb", given, progress_bar=False
        )


def test_two_tags(wrong, tmp_path):
    with pytest.raises(NotebookError, match="2 cells are tagged"):
        guard.run(wrong / "two_tags.ipynb", tmp_path / "out.ipynb", {"seed": 3})


def test_computed_defaults(wrong, tmp_path):
    with pytest.raises(NotebookError, match="not a literal"):
        guard.run(wrong / "computed_default.ipynb", tmp_path / "out.ipynb")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "rat", "1"], "unknown parameter 'rat' (did you mean 'rate'?)"),
        (["-y", "rate: 1e-3"], "write 0.001 without quotes"),
        (["-p", "flip", "false"], "write `-p flip False`"),
        (["-p", "steps", "2.5"], "steps = 2.5 is a float"),
        (["-p", "label", "7"], "-r label 7"),
        (["-p", "profile", "fast"], "choose one of quick, course, paper"),
        (["-y", "just text"], "is not `name: value`"),
    ],
)
def test_wrong_parameters_exit_with_2(wrong, tmp_path, arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(guard.signal, "signal", lambda *_: None)
    assert guard.main([str(wrong / "types.ipynb"), str(tmp_path / "out.ipynb"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.ipynb").exists()
    assert message in (tmp_path / "out.failed.txt").read_text()


def test_a_failing_cell(wrong, tmp_path):
    out = tmp_path / "out.ipynb"
    out.write_text("the last good one")
    done = call(wrong / "failing_cell.ipynb", out)
    assert done.returncode == 1
    assert "failing_cell.ipynb, cell 4 (In [3]): IndexError: list index out of range" in done.stderr
    assert "| values[2]" in done.stderr
    assert out.read_text() == "the last good one"
    failed = nbformat.read(tmp_path / "out.failed.ipynb", 4)
    assert any(output.output_type == "error" for cell in failed.cells for output in cell.get("outputs", []))
    assert "IndexError" in (tmp_path / "out.failed.txt").read_text()
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.failed.ipynb", "out.failed.txt", "out.ipynb"]


def test_a_failed_notebook_shows_nothing_of_an_earlier_run(wrong, tmp_path):
    notebook = nbformat.read(wrong / "failing_cell.ipynb", 4)
    notebook.cells.append(nbformat.v4.new_code_cell("1", execution_count=9))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("stream", text="of an earlier run")]
    nbformat.write(notebook, tmp_path / "in.ipynb")
    with pytest.raises(RunError, match="IndexError"):
        guard.run(tmp_path / "in.ipynb", tmp_path / "out.ipynb", quiet=True)
    text = (tmp_path / "out.failed.ipynb").read_text()
    assert "IndexError" in text and "of an earlier run" not in text
    assert nbformat.read(tmp_path / "out.failed.ipynb", 4).cells[-1].execution_count is None


def test_a_killed_kernel(wrong, tmp_path):
    start = time.monotonic()
    with pytest.raises(RunError, match="cell 4: the kernel died"):
        guard.run(wrong / "killed_kernel.ipynb", tmp_path / "out.ipynb", quiet=True)
    assert time.monotonic() - start < 150  # not the minutes of a timeout
    assert not (tmp_path / "out.ipynb").exists()
    assert (tmp_path / "out.failed.ipynb").exists()


@pytest.mark.parametrize("tag", ["raises-exception", "skip-execution"])
def test_no_tag_lets_a_cell_fail_or_be_skipped(wrong, tmp_path, tag):
    """The tools' own way of leaving a cell out: an executed notebook would look complete."""
    notebook = nbformat.read(wrong / "failing_cell.ipynb", 4)
    for cell in notebook.cells[3:]:
        cell.metadata["tags"] = [tag]
    nbformat.write(notebook, tmp_path / "in.ipynb")
    with pytest.raises(RunError, match="cell 4 .*IndexError"):
        guard.run(tmp_path / "in.ipynb", tmp_path / "out.ipynb", quiet=True)


def test_odd_values_and_folders_arrive_as_they_are(wrong, tmp_path):
    """Quotes, dollars, backslashes, braces and two blanks, in a parameter and in the paths."""
    odd = 'O\'Brien "x"  $HOME {a} {{b}} \\n %s'
    folder = tmp_path / "O'Brien  {x} $HOME"
    folder.mkdir()
    source = shutil.copy(wrong / "types.ipynb", folder / "in {it}.ipynb")
    executed = guard.run(source, folder / "out {it}.ipynb", {"label": odd}, quiet=True)
    assert executed.cells[-1].outputs[0].text.rstrip("\n").endswith(odd)
    assert sorted(path.name for path in folder.iterdir()) == ["in {it}.ipynb", "out {it}.ipynb", "out {it}.json"]


@pytest.mark.parametrize("blocks", [0, 1])
def test_a_full_disk_is_named_and_loses_nothing(wrong, tmp_path, blocks, monkeypatch):
    """The disk fills before the start, or while the lesson runs: the last good one stays, with its record."""
    out = tmp_path / "out.ipynb"
    guard.run(wrong / "types.ipynb", out, quiet=True)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("out*")}
    written, calls = nbformat.write, []

    def full(notebook, path, *rest):
        calls.append(path)
        if len(calls) > blocks:
            with open(path, "w") as file:
                file.write("half of")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return written(notebook, path, *rest)

    monkeypatch.setattr(guard.nbformat, "write", full)
    with pytest.raises(RunError, match=r"No space left on device.*make room and start again; out.ipynb is as it was"):
        guard.run(wrong / "types.ipynb", out, quiet=True)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*out*")} == before


def test_a_kernel_needs_a_thread(wrong, tmp_path):
    with pytest.raises(ParameterError, match="threads = 0"):
        guard.run(wrong / "types.ipynb", tmp_path / "out.ipynb", threads=0)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_an_interrupted_run_leaves_nothing(wrong, tmp_path, name):
    child = subprocess.Popen(
        [sys.executable, "-m", "lib.course.guard", str(wrong / "slow.ipynb"), str(tmp_path / "out.ipynb")],
        cwd=paths.ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: any(tmp_path.glob(".out.partial-*")))
    time.sleep(2)
    child.send_signal(getattr(signal, name))
    child.communicate(timeout=120)
    assert child.returncode == 128 + getattr(signal, name)
    assert not list(tmp_path.glob("*out*"))


def test_a_run_ends_with_its_owner(wrong, tmp_path):
    """`make course` killed hard: the notebooks it has started stop."""
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    import os
    import socket

    environment = os.environ | {"COURSE_OWNER": f"{socket.gethostname()}:{owner.pid}"}
    child = subprocess.Popen(
        [sys.executable, "-m", "lib.course.guard", str(wrong / "slow.ipynb"), str(tmp_path / "out.ipynb")],
        cwd=paths.ROOT,
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: any(tmp_path.glob(".out.partial-*")))
    owner.kill()
    owner.wait()
    assert child.wait(timeout=120) == 128 + signal.SIGTERM


def test_not_a_notebook(tmp_path):
    (tmp_path / "in.ipynb").write_text("{}")
    with pytest.raises(NotebookError, match="in.ipynb"):
        guard.run(tmp_path / "in.ipynb", tmp_path / "out.ipynb")
    with pytest.raises(NotebookError, match="no such notebook"):
        guard.run(tmp_path / "none.ipynb", tmp_path / "out.ipynb")


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
