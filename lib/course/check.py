"""``make test``: lint, unit and structure tests, nbval over the notebooks; one line with the counts at the end.

python -m lib.course.check [pytest options]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from lib.course import notebook as notebooks
from lib.course import paths, run

CELL_TIMEOUT = 300  # seconds a notebook's cell may take in the quick profile; a whole notebook takes at most 90 s


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def lint() -> Count:
    """ruff over everything, notebooks too."""
    code = subprocess.run(
        [sys.executable, "-m", "ruff", "check", str(paths.ROOT)], check=False, cwd=paths.ROOT
    ).returncode
    return Count(passed=1) if code == 0 else Count(failed=1)


def pytest(name: str, arguments: list[str], workers: int | None = None) -> Count:
    """One pytest run in a process of its own, counted from its report. A run that could not count has failed."""
    report = paths.BUILD / "test" / f"{name}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    workers = workers or min(run.available_cores(), 4)
    call = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", f"--junitxml={report}", *arguments]
    if workers > 1:
        call += ["-n", str(workers), "--dist", "loadfile"]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    code = subprocess.run(call, check=False, cwd=paths.ROOT, env=os.environ | threads).returncode
    if not report.exists():
        return Count(failed=1)
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    totals = [{key: int(suite.get(key, 0)) for key in ("tests", "errors", "failures", "skipped")} for suite in suites]
    failed = sum(total["errors"] + total["failures"] for total in totals)
    skipped = sum(total["skipped"] for total in totals)
    passed = sum(total["tests"] for total in totals) - failed - skipped
    return Count(passed, max(failed, 1) if code else failed, skipped)


def nbval_arguments(files: list[Path]) -> list[str]:
    """Run these notebooks in the quick profile; compare the outputs of the cells that ask for it."""
    return [
        *(
            "--nbval-lax",
            "--nbval-current-env",
            f"--nbval-cell-timeout={CELL_TIMEOUT}",
            "--nbval-kernel-startup-timeout=180",
        ),
        *("--nbval-sanitize-with", str(paths.ROOT / "tests" / "notebooks" / "sanitize.cfg")),
        *("-p", "lib.course.nbval_plugin", "-o", "timeout=0", *map(str, files)),
    ]


def main(argv: list[str] | None = None) -> int:
    """Command line: options go to both pytest runs."""
    options = list(sys.argv[1:] if argv is None else argv)
    start = time.monotonic()
    steps = [("lint", lint), ("tests", lambda: pytest("unit", ["tests", *options]))]
    files = list(notebooks.lesson_files().values())
    if files:
        steps.append(("notebooks (nbval, quick)", lambda: pytest("nbval", [*nbval_arguments(files), *options])))
    total = Count()
    for title, step in steps:
        print(f"== {title}", flush=True)
        begun = time.monotonic()
        count = step()
        total += count
        print(f"== {title}: {count} in {time.monotonic() - begun:.0f} s\n", flush=True)
    print(f"all in {(time.monotonic() - start) / 60:.1f} min", flush=True)
    print(total, flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
