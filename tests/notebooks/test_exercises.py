"""Exercises are solutions without answers, and never out of date."""

import subprocess
from pathlib import Path

import nbformat
import pytest

from lib.course import exercises
from lib.course import notebook as notebooks
from lib.course.notebook import NotebookError

FIXTURES = Path(__file__).parent / "fixtures"


def rewrite(path, change):
    """The notebook with its list of cells changed."""
    notebook = notebooks.read(path)
    change(notebook.cells)
    notebooks.write(notebook, path)


def test_answers_are_taken_out(lesson_folder):
    solution = notebooks.read(lesson_folder / "solutions" / "42_template.ipynb")
    exercise = exercises.exercise_of(solution)
    assert [cell["id"] for cell in exercise.cells] == [cell["id"] for cell in solution.cells]
    text = nbformat.writes(exercise)
    assert "x**2" not in text and "trapezoid" not in text
    blanks = [cell.source for cell in exercise.cells if "exercise" in notebooks.tags(cell)]
    assert blanks == [
        "# Square the values of `x` and print their mean, with three digits.\n# your turn",
        "*Your answer.*",
    ]
    (check,) = (cell for cell in exercise.cells if "check" in notebooks.tags(cell))
    assert check.source == solution.cells[5].source and check.source.startswith("# check yourself")
    assert notebooks.parameters_cell(exercise).source == notebooks.parameters_cell(solution).source
    assert all(cell.execution_count is None and not cell.outputs for cell in exercise.cells if cell.cell_type == "code")
    assert notebooks.declaration(exercise).name == "exercises/42_template"


def test_the_solution_is_left_alone(lesson_folder):
    solution = notebooks.read(lesson_folder / "solutions" / "42_template.ipynb")
    before = nbformat.writes(solution)
    exercises.exercise_of(solution)
    assert nbformat.writes(solution) == before


def test_generate_and_check(lesson_folder, capsys):
    target = lesson_folder / "exercises" / "42_template.ipynb"
    assert exercises.generate(lesson_folder, check=True) == []
    stored = target.read_bytes()
    solution = lesson_folder / "solutions" / "42_template.ipynb"
    rewrite(solution, lambda cells: cells.pop())
    assert exercises.main([str(lesson_folder)]) == 0  # once, and now back
    solution.write_bytes((FIXTURES / "lesson" / "solutions" / "42_template.ipynb").read_bytes())
    (lesson_folder / "exercises" / "13_orphan.ipynb").write_bytes(stored)
    capsys.readouterr()
    assert exercises.main([str(lesson_folder), "--check"]) == 1
    assert capsys.readouterr().out.count("not up to date") == 2
    assert exercises.main([str(lesson_folder)]) == 0
    assert target.read_bytes() == stored
    assert exercises.generate(lesson_folder, check=True) == []


def write_answer(cells):
    turn = next(cell for cell in cells if exercises.TURN in cell.source)
    turn.source += "\nprint(x.mean())"


ANSWERS = {
    "in the cell": write_answer,
    "in words": lambda cells: cells[-2].update(source="Because."),
    "in a new cell": lambda cells: cells.append(nbformat.v4.new_code_cell("x")),
    "in a changed one": lambda cells: cells[1].update(source=cells[1].source + "\nseed = 1"),
    "by taking one away": lambda cells: cells.pop(),
}


@pytest.mark.parametrize("how", ANSWERS)
def test_answers_are_never_overwritten(lesson_folder, how, capsys):
    target = lesson_folder / "exercises" / "42_template.ipynb"
    rewrite(target, ANSWERS[how])
    orphan = target.with_name("13_orphan.ipynb")
    orphan.write_bytes(target.read_bytes())
    written = target.read_bytes()
    assert exercises.main([str(lesson_folder)]) == 1
    said = capsys.readouterr().err
    assert "42_template.ipynb" in said and "13_orphan.ipynb" in said and "my/exercises/" in said
    assert target.read_bytes() == written == orphan.read_bytes()
    assert len(exercises.generate(lesson_folder, check=True)) == 2


def test_what_jupyter_notes_is_no_answer(lesson_folder):
    """Opened, run and saved: other metadata, outputs and counts, the same cells."""
    target = lesson_folder / "exercises" / "42_template.ipynb"
    made = target.read_bytes()
    notebook = notebooks.read(target)
    notebook.metadata["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    notebooks.code_cells(notebook)[0].outputs = [nbformat.v4.new_output("stream", text="42")]
    notebooks.write(notebook, target)
    assert target.read_bytes() != made
    assert exercises.generate(lesson_folder) == [target]
    assert target.read_bytes() == made


def test_what_is_committed_can_be_made_again(lesson_folder):
    """Also where it was merged from two hands, so that the hash in it is neither's."""
    target = lesson_folder / "exercises" / "42_template.ipynb"
    made = target.read_bytes()
    rewrite(target, lambda cells: cells[0].update(source="# 42 · Merged"))
    with pytest.raises(NotebookError, match="somebody has written into it"):
        exercises.generate(lesson_folder)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for call in (["init", "-q"], ["add", "."], ["commit", "-qm", "merged"]):
        subprocess.run([*git, *call], cwd=lesson_folder, check=True)
    assert exercises.generate(lesson_folder) == [target]
    assert target.read_bytes() == made


def test_no_notebook_at_all_is_left_alone(lesson_folder):
    target = lesson_folder / "exercises" / "42_template.ipynb"
    target.write_text("half a")
    with pytest.raises(NotebookError, match="stays"):
        exercises.generate(lesson_folder)
    assert target.read_text() == "half a"
