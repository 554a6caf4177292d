"""The lessons opened from the web, in Colab or on Binder: links in every title cell, and a first cell that fetches the
course where it is not there.

    python -m lib.course.hosted OWNER/NAME [--check]

OWNER/NAME is the repository on GitHub that the links lead to; it stands nowhere else in the course, and without it no
lesson has such links. Written again with another repository they follow it. Nothing that is stored becomes older by
it: the cell does not belong to a lesson's code (``notebook.code_hash``), and does nothing where the course is at hand.
``make badges REPOSITORY=OWNER/NAME`` writes, the exercises included.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from urllib.parse import quote

import nbformat

from lib.course import exercises, paths
from lib.course import notebook as notebooks
from lib.course.notebook import HOSTED

REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
LINKS = re.compile(r"\n\n\[Open in Colab\]\([^)]*\) · \[Open on Binder\]\([^)]*\)")
BRANCH = "main"
FETCH = """# In Colab, where the course is not there yet: fetch it, and what it needs (some minutes, once)
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("lib") is None:
    course = "{name}"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", "{address}", course], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--editable", course], check=True)
    sys.path.insert(0, course)"""


def links(repository: str, path: str) -> str:
    """The line of a title cell for the notebook ``path`` (relative to the repository)."""
    colab = f"https://colab.research.google.com/github/{repository}/blob/{BRANCH}/{quote(path)}"
    binder = f"https://mybinder.org/v2/gh/{repository}/{BRANCH}?labpath={quote(path, safe='')}"
    return f"[Open in Colab]({colab}) · [Open on Binder]({binder})"


def with_links(text: str, line: str) -> str:
    """A title cell's text with this line below its heading, in place of the one it has."""
    heading, *rest = LINKS.sub("", text, count=1).split("\n", 1)
    return "\n".join([f"{heading}\n\n{line}", *rest])


def fetching(repository: str, address: str | None = None) -> str:
    """The source of the first cell; ``address`` of another host than GitHub."""
    name = repository.rpartition("/")[2]
    return FETCH.format(name=name, address=address or f"https://github.com/{repository}")


def hosted(notebook: nbformat.NotebookNode, repository: str, path: str) -> bool:
    """Put links and first cell into a notebook; whether it was changed. What is stored in it stays."""
    before = [cell.source for cell in notebook.cells]
    title, *rest = notebooks.own_cells(notebook)
    title.source = with_links(title.source, links(repository, path))
    cell = nbformat.v4.new_code_cell(fetching(repository), id=HOSTED, metadata={"tags": [HOSTED]})
    notebook.cells = [title, cell, *rest]
    return before != [one.source for one in notebook.cells]


def write(repository: str, folder: Path = paths.NOTEBOOKS, check: bool = False) -> list[Path]:
    """Lessons and solutions in ``folder``, and the exercises made of these; returns the files that were (or, with
    ``check``, would be) changed. ValueError for what is no OWNER/NAME; NotebookError as ``exercises.generate``.
    """
    if not REPOSITORY.fullmatch(repository):
        raise ValueError(f"{repository!r} is no repository on GitHub: say OWNER/NAME")
    changed = []
    for path in notebooks.lesson_files(folder).values():
        notebook = notebooks.read(path)
        if hosted(notebook, repository, (Path("notebooks") / path.relative_to(folder)).as_posix()):
            changed.append(path)
            if not check:
                notebooks.write(notebook, path)
    return changed + exercises.generate(folder, check)


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 when ``--check`` finds something that is not up to date, 2 for another repository."""
    parser = argparse.ArgumentParser(prog="python -m lib.course.hosted", description=__doc__.split("\n\n")[0])
    parser.add_argument("repository", metavar="OWNER/NAME")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args(argv)
    try:
        changed = write(arguments.repository, check=arguments.check)
    except (ValueError, notebooks.NotebookError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return paths.report(changed, arguments.check)


if __name__ == "__main__":
    sys.exit(main())
