"""Exercises are solutions with the answers taken out.

    python -m lib.course.exercises [--check] [FOLDER]

A notebook that somebody has written answers into is never overwritten: it is named, and the others are written.
Cells tagged ``solution`` lose their answer: of a code cell the leading comment stays as the task, of a text nothing.
Edit the notebooks in ``solutions/`` only; ``--check`` fails when an exercise notebook is not what its solution makes.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import itertools
import re
import sys
from pathlib import Path

import nbformat

from lib.course import notebook as notebooks
from lib.course import paths
from lib.course.notebook import NotebookError

TURN = "# your turn"
ANSWER = "*Your answer.*"
MADE = "made_of"  # in an exercise's metadata: the hash of its cells as they were generated


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
        elif cell.cell_type == "markdown":  # where it can be opened (``hosted``)
            cell.source = re.sub(r"\b(notebooks(?:/|%2F))solutions(?=/|%2F)", r"\1exercises", cell.source)
        cell.metadata = nbformat.from_dict(
            {key: value for key, value in cell.metadata.items() if key == "tags" and value}
        )
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.source = cell.source.removeprefix("# NBVAL_CHECK_OUTPUT\n")
            cell.source = re.sub(r'(begin\(\s*globals\(\),\s*")solutions/', r"\1exercises/", cell.source)
    exercise.metadata[MADE] = sources_hash(exercise)
    return exercise


def sources_hash(notebook: nbformat.NotebookNode) -> str:
    """SHA-256 of all that is written in the cells; outputs and what Jupyter notes of its kernel do not count."""
    return hashlib.sha256(repr([(cell.cell_type, cell.source) for cell in notebook.cells]).encode()).hexdigest()


def is_as_made(path: Path) -> bool:
    """Whether nobody has written into an exercise notebook: its cells are those it was made with (the hash that stands
    in it), or those of the current commit.
    """
    try:
        found = notebooks.read(path)
        committed = paths.as_committed(path)
        known = {found.metadata.get(MADE)}
        if committed is not None:
            known.add(sources_hash(nbformat.reads(committed.decode("utf-8"), as_version=4)))
    except (NotebookError, ValueError, nbformat.ValidationError):
        return False
    return sources_hash(found) in known


def _blank(cell: nbformat.NotebookNode) -> str:
    if cell.cell_type != "code":
        return ANSWER
    lines = [line for line in cell.source.splitlines() if line != "# NBVAL_CHECK_OUTPUT"]
    task = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    return "\n".join([*task, TURN, ""]).rstrip("\n")


def generate(folder: Path = paths.NOTEBOOKS, check: bool = False) -> list[Path]:
    """Write ``folder/exercises/*.ipynb``; with `check` write nothing. Returns the files that were (or would be) changed
    or removed.

    NotebookError, after the others were written, for those that hold somebody's answers: they stay as they are.
    """
    changed, answered = [], []
    wanted = {
        path.name: nbformat.writes(exercise_of(notebooks.read(path)), version=4).rstrip("\n") + "\n"
        for path in sorted((folder / "solutions").glob("*.ipynb"))
    }
    for name, text in wanted.items():
        target = folder / "exercises" / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            changed.append(target)
            if not check and target.exists() and not is_as_made(target):
                answered.append(target)
            elif not check:
                notebooks.write(nbformat.reads(text, as_version=4), target)
    for orphan in sorted((folder / "exercises").glob("*.ipynb")):
        if orphan.name not in wanted:
            changed.append(orphan)
            if not check and not is_as_made(orphan):
                answered.append(orphan)
            elif not check:
                orphan.unlink()
    if answered:
        raise NotebookError(
            f"{', '.join(map(paths.relative, answered))}: somebody has written into it, so it stays. Move it to "
            f"{paths.relative(paths.OWN)}/exercises/, where `make lab` opens it, and call `make exercises` again."
        )
    return changed


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 when ``--check`` finds an exercise that is not up to date."""
    parser = argparse.ArgumentParser(prog="python -m lib.course.exercises", description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=paths.NOTEBOOKS)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args(argv)
    try:
        changed = generate(arguments.folder, arguments.check)
    except NotebookError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return paths.report(changed, arguments.check)


if __name__ == "__main__":
    sys.exit(main())
