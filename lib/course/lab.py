"""``make lab``: JupyterLab with the reader's own copies of the notebooks.

    python -m lib.course.lab [options of JupyterLab]

JupyterLab saves what it shows, every two minutes. So it shows copies, in ``my/``, which git does not know: the course
stays as it is, whatever is run or written. A copy that the reader has changed is never overwritten; one that was not
touched follows the course. ``my/`` stands as deep as ``notebooks/``, and the server's root is the repository, so that
every link of a lesson leads where it should.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

from lib.course import paths
from lib.paths import write_atomically

FOLDERS = (".", "exercises", "solutions")
COPIED = ".copied.json"  # {notebook: SHA-256 of the text it was copied from}


def copy(notebooks: Path = paths.NOTEBOOKS, own: Path = paths.OWN) -> tuple[list[str], list[str]]:
    """Bring the reader's copies up to date: (copied, kept although the course's is another now), names as
    "exercises/03_objective.ipynb". What was copied is recorded also where this is interrupted.
    """
    known = recorded(own / COPIED)
    before, copied, kept = dict(known), [], []
    try:
        for folder in FOLDERS:
            for source in sorted((notebooks / folder).glob("*.ipynb")):
                name, text = source.relative_to(notebooks).as_posix(), source.read_bytes()
                target, now = own / name, hashlib.sha256(text).hexdigest()
                mine = hashlib.sha256(target.read_bytes()).hexdigest() if target.exists() else None
                if mine is None or (mine == known.get(name) != now):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    write_atomically(target, lambda part, text=text: part.write_bytes(text))
                    known[name] = now
                    copied.append(name)
                elif mine == now:
                    known[name] = now  # whoever wrote it, it is the course's: the record was lost
                elif known.get(name) != now:
                    kept.append(name)
    finally:
        if known != before:
            text = json.dumps(known, indent=1, sort_keys=True) + "\n"
            write_atomically(own / COPIED, lambda part: part.write_text(text, encoding="utf-8"))
    return copied, kept


def recorded(record: Path) -> dict[str, str]:
    """What was copied; nothing, and a line that says so, where the record is damaged: then nothing is overwritten."""
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        if not isinstance(known, dict):
            raise ValueError(f"it holds {known!r:.40}")
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        print(
            f"{record} is damaged ({error}) and is made anew: every notebook in {record.parent} that is not the "
            "course's of today counts as yours and stays",
            file=sys.stderr,
        )
        return {}
    return known


def command(options: list[str]) -> list[str]:
    """The call of JupyterLab; the reader's options win (given twice, one is refused by it)."""
    own = {"--ServerApp.root_dir": str(paths.ROOT), "--LabApp.default_url": f"/lab/tree/{paths.OWN.name}"}
    given = {option.partition("=")[0] for option in options}
    ours = [f"{name}={value}" for name, value in own.items() if name not in given]
    return [sys.executable, "-m", "jupyterlab", *ours, *options]


def main(argv: list[str] | None = None) -> NoReturn:
    """Copy, say what was kept, and become JupyterLab."""
    options = list(sys.argv[1:] if argv is None else argv)
    copied, kept = copy()
    own = paths.relative(paths.OWN)
    if copied:
        print(f"{len(copied)} notebooks copied to {own}/: they are yours, and git does not know them")
    for name in kept:
        print(f"{own}/{name} is yours and stays; the course's has changed: rename yours to get the new one")
    sys.stdout.flush()
    os.chdir(paths.ROOT)
    call = command(options)
    os.execv(call[0], call)


if __name__ == "__main__":
    main()
