"""Exercises are solutions without answers, and never out of date."""

import nbformat

from lib.course import exercises
from lib.course import notebook as notebooks


def test_answers_are_taken_out(lesson_folder):
    solution = notebooks.read(lesson_folder / "solutions" / "42_template.ipynb")
    exercise = exercises.exercise_of(solution)
    assert [cell["id"] for cell in exercise.cells] == [cell["id"] for cell in solution.cells]
    text = nbformat.writes(exercise)
    assert "x**2" not in text and "trapezoid" not in text
    blanks = [cell.source for cell in exercise.cells if "exercise" in notebooks.tags(cell)]
    assert blanks == [
        "# Square the values of x and print their mean, with three digits.\n# your turn",
        "*Your answer.*",
    ]
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
    target.write_bytes(stored.replace(b"your turn", b"my turn"))
    (lesson_folder / "exercises" / "13_orphan.ipynb").write_text("{}")
    assert exercises.main([str(lesson_folder), "--check"]) == 1
    assert capsys.readouterr().out.count("not up to date") == 2
    assert exercises.main([str(lesson_folder)]) == 0
    assert target.read_bytes() == stored
    assert exercises.generate(lesson_folder, check=True) == []
