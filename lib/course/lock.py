"""Write ``requirements-DATE.lock``: the exact version of every package, no hosts, no folders.

python -m lib.course.lock [--out FILE]
"""

from __future__ import annotations

import argparse
import datetime
import platform
import re
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from lib.course import paths

OWN = "crossres-reid"


def requirement_name(requirement: str) -> str:
    """The normalised name at the beginning of a requirement: "Pillow>=10" gives "pillow"."""
    return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", requirement).group()).lower()


def needed(root: str = OWN, extras: Iterable[str] = ("test", "site")) -> dict[str, str]:
    """{name: version} of everything that the package needs, directly or not, as installed here.

    Other packages in the environment (an editor, a peer of the benchmarks) are no part of the tested set.
    """
    from packaging.requirements import Requirement

    found: dict[str, str] = {}
    waiting = [(root, frozenset(extras))]
    seen = set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        distribution = metadata.distribution(name)
        if name != root:
            found[name] = distribution.version
        for text in distribution.requires or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (wanted or {""})):
                waiting.append((requirement_name(requirement.name), frozenset(requirement.extras)))
    return dict(sorted(found.items()))


def main(argv: list[str] | None = None) -> int:
    """Command line; replaces older lock files when it chooses the name."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    parser = argparse.ArgumentParser(prog="python -m lib.course.lock", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=paths.ROOT / f"requirements-{today}.lock")
    arguments = parser.parse_args(argv)
    lines = [
        f"# Tested on {today} with Python {platform.python_version()} on {platform.system()} {platform.machine()}.",
        f"# make course LOCK={arguments.out.name}",
        f"# pip install --constraint {arguments.out.name} --editable '.[test,site]'",
        *(f"{name}=={version}" for name, version in needed().items()),
    ]
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for old in sorted(paths.ROOT.glob("requirements-*.lock")):
        if arguments.out.parent == paths.ROOT and old != arguments.out:
            old.unlink()
            print(f"removed {old.name}")
    print(f"wrote {arguments.out.name}: {len(lines) - 3} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
