"""What is said of the lessons as a whole follows the lessons: README's minutes, and the way to the neighbours.

    python -m lib.course.contents [--check]

In README's table the minutes of a lesson are those of its ``begin`` in the course profile, those of ``make course`` and
``make all`` their sums. The last line of every lesson links the one before and the one after it. ``--check`` writes
nothing and fails when something is not as it would be written. ``make contents``, and ``make publish``, write.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from lib.course import notebook as notebooks
from lib.course import paths
from lib.paths import write_atomically

README = paths.ROOT / "README.md"
ROW = re.compile(r"^(\| \d\d \| .*\(notebooks/(\d\d_[a-z0-9_]+)\.ipynb\).*\| )[^|]*( \|)$", re.MULTILINE)
SUM = re.compile(r"^(    make (course|all)\b.*? )[\d.]+ min\b", re.MULTILINE)
ALONE = ", by `make all`"  # beside the minutes of a lesson that is not of the main line
NEIGHBOURS = re.compile(r"(?:\n\n)?(?:\[← .*|\[[^\]]* →\]\([^)]*\))\Z")


def course_minutes(files: Mapping[str, Path]) -> dict[str, float]:
    """{name: minutes in the course profile} of lessons and solutions, as they declare them."""
    return {name: notebooks.declared_minutes(notebooks.read(path), "course") for name, path in files.items()}


def with_minutes(text: str, minutes: Mapping[str, float]) -> str:
    """README with the minutes of the lessons in its table, and the sums beside ``make course`` and ``make all``.

    NotebookError for a lesson without a row, a row without a lesson, and a command without its sum.
    """
    rows, lessons = [name for _, name, _ in ROW.findall(text)], [name for name in minutes if "/" not in name]
    if rows != lessons:
        raise notebooks.NotebookError(f"README's table has {', '.join(rows)}; the lessons are {', '.join(lessons)}")
    sums = {"course": sum(minutes[name] for name in lessons if name[:2] in notebooks.MAIN_LINE)}
    sums["all"] = sum(minutes.values())
    if lost := set(sums) - {command for _, command in SUM.findall(text)}:
        raise notebooks.NotebookError(f"README does not say `… N min` beside make {' and make '.join(sorted(lost))}")

    def row(found: re.Match) -> str:
        name = found[2]
        return f"{found[1]}{minutes[name]:g} min{'' if name[:2] in notebooks.MAIN_LINE else ALONE}{found[3]}"

    return SUM.sub(lambda found: f"{found[1]}{sums[found[2]]:g} min", ROW.sub(row, text))


def with_neighbours(text: str, before: tuple[str, str] | None, after: tuple[str, str] | None) -> str:
    """The last cell's text with a last line that links the lesson before and the one after: (name, title) each."""
    links = [f"[← {before[1]}]({before[0]}.ipynb)"] if before else []
    links += [f"[{after[1]} →]({after[0]}.ipynb)"] if after else []
    kept = NEIGHBOURS.sub("", text.rstrip())
    return f"{kept}\n\n{' · '.join(links)}" if links else kept


def generate(folder: Path = paths.NOTEBOOKS, readme: Path = README, check: bool = False) -> list[Path]:
    """Write README and the last lines of the lessons in `folder`; with `check` write nothing. Returns the files that
    were (or would be) changed.
    """
    files, changed = notebooks.lesson_files(folder), []
    text = readme.read_text(encoding="utf-8")
    if (wanted := with_minutes(text, course_minutes(files))) != text:
        changed.append(readme)
        if not check:
            write_atomically(readme, lambda path: path.write_text(wanted, encoding="utf-8"))
    lessons = {name: notebooks.read(path) for name, path in files.items() if "/" not in name}
    ends = [None, *((name, notebooks.title(notebook)) for name, notebook in lessons.items()), None]
    for place, (name, notebook) in enumerate(lessons.items()):
        last = notebook.cells[-1]
        if last.source != (wanted := with_neighbours(last.source, ends[place], ends[place + 2])):
            changed.append(files[name])
            last.source = wanted
            if not check:
                notebooks.write(notebook, files[name])
    return changed


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 when ``--check`` finds something that is not up to date, 2 when README lacks a line."""
    parser = argparse.ArgumentParser(prog="python -m lib.course.contents", description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args(argv)
    try:
        changed = generate(check=arguments.check)
    except notebooks.NotebookError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return paths.report(changed, arguments.check)


if __name__ == "__main__":
    sys.exit(main())
