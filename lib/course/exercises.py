"""Exercises are solutions with the answers taken out.

    python -m lib.course.exercises [--check] [FOLDER]

Cells tagged ``solution`` lose their answer: of a code cell the leading comment stays as the task, of a text nothing.
Edit the notebooks in ``solutions/`` only; ``--check`` fails when an exercise notebook is not what its solution makes.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import re
import sys
from pathlib import Path

import nbformat

from lib.course import notebook as notebooks
from lib.course import paths

TURN = "# your turn"
ANSWER = "*Your answer.*"


def exercise_of(solution: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The exercise notebook: the same cells and ids, without answers and outputs."""
    exercise = copy.deepcopy(solution)
    exercise.metadata = nbformat.from_dict(
        {key: value for key, value in solution.metadata.items() if key in ("kernelspec", "language_info")}
    )
    for cell in exercise.cells:
        tags = notebooks.tags(cell)
        if "solution" in tags:
            cell.source = _blank(cell)
            cell.metadata["tags"] = [*(tag for tag in tags if tag != "solution"), "exercise"]
        cell.metadata = nbformat.from_dict(
            {key: value for key, value in cell.metadata.items() if key == "tags" and value}
        )
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.source = cell.source.removeprefix("# NBVAL_CHECK_OUTPUT\n")
            cell.source = re.sub(r'(begin\(\s*globals\(\),\s*")solutions/', r"\1exercises/", cell.source)
    return exercise


def _blank(cell: nbformat.NotebookNode) -> str:
    if cell.cell_type != "code":
        return ANSWER
    lines = [line for line in cell.source.splitlines() if line != "# NBVAL_CHECK_OUTPUT"]
    task = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    return "\n".join([*task, TURN, ""]).rstrip("\n")


def generate(folder: Path = paths.NOTEBOOKS, check: bool = False) -> list[Path]:
    """Write ``folder/exercises/*.ipynb``; with `check` write nothing. Returns the files that were (or would be) changed
    or removed.
    """
    changed = []
    wanted = {
        path.name: nbformat.writes(exercise_of(notebooks.read(path)), version=4).rstrip("\n") + "\n"
        for path in sorted((folder / "solutions").glob("*.ipynb"))
    }
    for name, text in wanted.items():
        target = folder / "exercises" / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            changed.append(target)
            if not check:
                notebooks.write(nbformat.reads(text, as_version=4), target)
    for orphan in sorted((folder / "exercises").glob("*.ipynb")):
        if orphan.name not in wanted:
            changed.append(orphan)
            if not check:
                orphan.unlink()
    return changed


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 when ``--check`` finds an exercise that is not up to date."""
    parser = argparse.ArgumentParser(prog="python -m lib.course.exercises", description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=paths.NOTEBOOKS)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args(argv)
    changed = generate(arguments.folder, arguments.check)
    for path in changed:
        print(f"{'not up to date' if arguments.check else 'wrote'}: {paths.relative(path)}")
    return 1 if arguments.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
