"""One lesson by plain papermill in another profile, from another folder: what a reader types by hand works."""

import subprocess
import sys

import nbformat
import pytest

from lib.course import notebook as notebooks


def quickest_lesson():
    """The lesson whose course profile takes the least time, by its own word; None while there is none."""
    files = {name: path for name, path in notebooks.lesson_files().items() if "/" not in name}
    minutes = {
        name: notebooks.declaration(notebooks.read(path)).minutes.get("course", 999) for name, path in files.items()
    }
    return files[min(minutes, key=minutes.get)] if minutes else None


LESSON = quickest_lesson()


def papermill(source, target, *arguments):
    call = [sys.executable, "-m", "papermill", str(source), str(target), "--no-progress-bar", *arguments]
    return subprocess.run(call, capture_output=True, text=True, check=False, cwd=target.parent)


def test_a_lesson_in_the_course_profile(tmp_path, fixtures):
    source = LESSON or fixtures / "lesson" / "42_template.ipynb"
    done = papermill(source, tmp_path / "out.ipynb", "-p", "profile", "course", "-p", "seed", "0")
    assert done.returncode == 0, done.stderr[-3000:]
    executed = nbformat.read(tmp_path / "out.ipynb", 4)
    cells = notebooks.code_cells(executed)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert "profile course" in cells[2].outputs[0].text  # after the parameters and papermill's cell


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("-p", "profil", "course"), "unknown parameter 'profil'"), (("-p", "seed", "1.5"), "seed = 1.5 is a float")],
)
def test_a_mistake_fails(tmp_path, fixtures, arguments, message):
    done = papermill(LESSON or fixtures / "lesson" / "42_template.ipynb", tmp_path / "out.ipynb", *arguments)
    assert done.returncode != 0
    assert message in done.stderr
