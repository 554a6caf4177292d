"""Links to Colab and Binder, and the first cell that fetches the course there."""

import os
import subprocess
import sys

import pytest

from lib.course import hosted, publish, structure
from lib.course import notebook as notebooks

NAME = "42_template"


def files(folder):
    return {part: folder / part / f"{NAME}.ipynb" for part in ("", "solutions", "exercises")}


def test_links_and_a_first_cell_and_nothing_becomes_older(lesson_folder):
    before = {part: notebooks.read(path) for part, path in files(lesson_folder).items()}
    changed = hosted.write("someone/the-course", lesson_folder)
    assert sorted(changed) == sorted(files(lesson_folder).values())
    for part, path in files(lesson_folder).items():
        notebook, place = notebooks.read(path), "notebooks/" + (f"{part}/" if part else "")
        heading, line = notebook.cells[0].source.split("\n\n")[:2]
        assert heading == before[part].cells[0].source.split("\n")[0]
        assert f"https://colab.research.google.com/github/someone/the-course/blob/main/{place}{NAME}.ipynb" in line
        quoted = place.replace("/", "%2F")
        assert f"https://mybinder.org/v2/gh/someone/the-course/main?labpath={quoted}{NAME}.ipynb" in line
        assert "https://github.com/someone/the-course" in notebook.cells[1].source
        assert notebooks.code_hash(notebook) == notebooks.code_hash(before[part])
        assert notebooks.library_hash(notebook) == notebooks.library_hash(before[part])
        assert notebooks.own_cells(notebook)[1:] == before[part].cells[1:]
    assert structure.problems(lesson_folder / f"{NAME}.ipynb", NAME) == []
    merged = publish.merge(before[""], notebooks.read(lesson_folder / f"{NAME}.ipynb"))  # run before it had them
    assert [c.get("execution_count") for c in merged.cells[1:3]] == [None, 1]


def test_they_are_written_once_and_follow_the_repository(lesson_folder):
    hosted.write("someone/the-course", lesson_folder)
    assert hosted.write("someone/the-course", lesson_folder, check=True) == []
    assert len(hosted.write("another/copy", lesson_folder)) == 3
    for path in files(lesson_folder).values():
        text = path.read_text(encoding="utf-8")
        assert "someone" not in text and text.count("Open in Colab") == 1
        assert sum("hosted" in notebooks.tags(cell) for cell in notebooks.read(path).cells) == 1


@pytest.mark.parametrize("wrong", ["the-course", "https://github.com/a/b", "a/b/c", "", 'a/b"'])
def test_what_is_no_repository_is_refused(lesson_folder, wrong, capsys):
    with pytest.raises(ValueError, match="no repository on GitHub: say OWNER/NAME"):
        hosted.write(wrong, lesson_folder)
    assert hosted.main([wrong]) == 2
    assert "say OWNER/NAME" in capsys.readouterr().err


def test_the_first_cell_fetches_the_course_where_it_is_not_there(tmp_path):
    """From a repository in a folder, with a pip that only writes down what it is asked."""
    origin, there, stub = (tmp_path / name for name in ("the-course", "somewhere", "stub"))
    for folder in (origin / "lib", there, stub / "pip"):
        folder.mkdir(parents=True)
    (origin / "lib" / "__init__.py").write_text("HERE = True\n")
    (stub / "pip" / "__init__.py").write_text("")
    (stub / "pip" / "__main__.py").write_text("import sys\nprint('pip', *sys.argv[1:])\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "--message", "a"]):
        subprocess.run(["git", *command], cwd=origin, check=True)
    cell = hosted.fetching("someone/the-course", address=origin.as_uri())
    # the interpreter of the environment without its packages: an editable install of the course would be found there
    run = [sys.executable, "-S", "-c", f"{cell}\nimport lib\nprint(lib.HERE)"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")} | {
        "PYTHONPATH": str(stub)
    }
    first = subprocess.run(run, cwd=there, env=environment, capture_output=True, text=True, check=True)
    assert first.stdout.split("\n")[:2] == ["pip install --quiet --editable the-course", "True"]
    again = subprocess.run(
        run, cwd=there, env=environment | {"PYTHONPATH": str(origin)}, capture_output=True, text=True, check=True
    )
    assert again.stdout == "True\n"  # it is at hand: nothing is fetched
