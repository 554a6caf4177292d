"""What of lib/ makes a lesson run again: what it uses, and nothing else."""

from __future__ import annotations

import ast
import collections
import shutil
from pathlib import Path

import nbformat
import pytest

from lib.course import notebook as notebooks
from lib.course import paths
from lib.definitions import definitions_of_text


class Copy:
    """A copy of the package and the published numbers, and all lessons' hashes by it."""

    def __init__(self, root: Path):
        self.root = root
        shutil.copytree(paths.ROOT / "lib", root / "lib", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(paths.ROOT / "data" / "published", root / "data" / "published")
        self.lessons = {name: notebooks.read(path) for name, path in notebooks.lesson_files().items()}
        self.before = self.hashes()

    def hashes(self) -> dict[str, str]:
        return {name: notebooks.library_hash(lesson, self.root) for name, lesson in self.lessons.items()}

    def changed_by(self, edited: dict[Path, str]) -> set[str]:
        """The lessons that run again when these files have this text."""
        before = {path: path.read_text(encoding="utf-8") for path in edited}
        for path, text in edited.items():
            assert text != before[path]
            path.write_text(text, encoding="utf-8")
        now = self.hashes()
        for path, text in before.items():
            path.write_text(text, encoding="utf-8")
        return {name for name in now if now[name] != self.before[name]}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return Copy(tmp_path_factory.mktemp("copy"))


def with_a_line(path: Path, function: str) -> str:
    """The file with one more statement at the end of a function."""
    text = path.read_text(encoding="utf-8")
    node = next(n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == function)
    lines = text.splitlines(keepends=True)
    lines.insert(node.body[-1].lineno - 1, " " * node.body[-1].col_offset + "one_more = 1\n")
    return "".join(lines)


def test_a_plot_runs_only_the_lessons_that_draw_it_again(copy):
    users = collections.defaultdict(set)
    for name, lesson in copy.lessons.items():
        for definition in definitions_of_text(notebooks.script(lesson), root=copy.root):
            users[definition].add(name)
    plots = {d: some for d, some in users.items() if d.startswith("lib.plots.") and d.count(".") == 3}
    tried = 0
    for definition, expected in sorted(plots.items(), key=lambda item: len(item[1])):
        path = copy.root.joinpath(*definition.split(".")[:3]).with_suffix(".py")
        function = definition.rpartition(".")[2]
        if f"\ndef {function}(" not in path.read_text(encoding="utf-8"):
            continue  # a constant
        assert copy.changed_by({path: with_a_line(path, function)}) == expected
        tried += 1
        if tried == 2:
            break
    assert tried == 2 and len(expected) < len(copy.lessons) / 2


def test_words_tools_and_new_definitions_run_no_lesson_again(copy):
    files = [path for path in (copy.root / "lib").rglob("*.py") if path.stem != "__init__"]
    edited = {path: f"# a remark\n{path.read_text(encoding='utf-8')}" for path in files}
    for room in ("losses.py", "data/resolution.py", "plots/curves.py", "models/heads.py"):
        edited[copy.root / "lib" / room] += "\n\ndef newest(x):\n    return x\n"
    edited[copy.root / "lib" / "course" / "guard.py"] += "\nMORE = 1\n"
    assert copy.changed_by(edited) == set()


def test_published_numbers_and_losses_count(copy):
    path = next((copy.root / "data" / "published").glob("*.csv"))
    assert copy.changed_by({path: path.read_text(encoding="utf-8") + "\n"}) == set(copy.lessons)
    path = copy.root / "lib" / "losses.py"
    changed = copy.changed_by({path: with_a_line(path, "foreground_loss")})
    assert {"22_ripr", "21_rife", "20_ffsr"} <= changed


def test_cells_that_are_no_python_depend_on_everything(copy):
    cells = [nbformat.v4.new_code_cell("%matplotlib inline\nx = (1,"), nbformat.v4.new_code_cell("!ls\nprint(1)")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert notebooks.script(notebook) == "x = (1,\nprint(1)"
    first = notebooks.library_hash(notebook, copy.root)
    path = copy.root / "lib" / "losses.py"
    old = path.read_text(encoding="utf-8")
    path.write_text(old + "\nMORE = 1\n", encoding="utf-8")
    assert notebooks.library_hash(notebook, copy.root) != first
    path.write_text(old, encoding="utf-8")
