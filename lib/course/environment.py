"""Set up the virtual environment: once, again when pyproject.toml changes, safe when two start at once.

    python3 lib/course/environment.py [--extras test] [--venv .venv] [--lock FILE]

Runs on the standard library alone, because nothing is installed yet. The stamp inside the environment records what was
installed from which pyproject.toml by which Python; when it fits, this takes a few milliseconds. An installation that
was interrupted has no stamp and is gone on with.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MINIMUM = (3, 11)
ROOT = Path(__file__).resolve().parents[2]


def wanted_stamp(python: str, extras: list[str], lock: Path | None, root: Path = ROOT) -> dict:
    """What the stamp must say for the environment to be up to date."""
    return {
        "pyproject": hashlib.sha256((root / "pyproject.toml").read_bytes()).hexdigest(),
        "lock": hashlib.sha256(lock.read_bytes()).hexdigest() if lock else None,
        "python": python,
        "extras": sorted(extras),
        "root": str(root),
    }


def up_to_date(stamp: Path, wanted: dict) -> bool:
    """The stamp says the same, with at least the extras that are wanted."""
    try:
        found = json.loads(stamp.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    same = all(found.get(key) == value for key, value in wanted.items() if key != "extras")
    return same and set(wanted["extras"]) <= set(found.get("extras", []))


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """One installer at a time; the lock ends with its process (where the system has fcntl: Linux, macOS)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            import fcntl
        except ImportError:
            yield
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting: another process is installing", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def python_of(venv: Path) -> Path | None:
    """The environment's interpreter, if it runs and is new enough."""
    for candidate in (venv / "bin" / "python", venv / "Scripts" / "python.exe"):
        if candidate.exists():
            check = f"import sys, pip; sys.exit(sys.version_info < {MINIMUM})"
            if subprocess.run([candidate, "-c", check], capture_output=True, check=False).returncode == 0:
                return candidate
    return None


def install(venv: Path, extras: list[str], lock: Path | None) -> None:
    """Create or mend the environment and install the package, editable, with its extras."""
    python = python_of(venv)
    if python is None:
        print(f"creating {venv.name} with Python {sys.version.split()[0]}", flush=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        except subprocess.CalledProcessError as error:
            raise SystemExit(
                f"error: Python could not make a virtual environment ({error}). "
                "On Debian and Ubuntu: apt install python3-venv"
            ) from error
        python = python_of(venv)
    target = f"{ROOT}[{','.join(sorted(extras))}]" if extras else str(ROOT)
    print("installing the packages (PyTorch is large: some minutes the first time)", flush=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    constraint = ["--constraint", str(lock)] if lock else []
    done = subprocess.run([*pip, "install", "-qq", *constraint, "--editable", target], check=False)
    if done.returncode:
        raise SystemExit(
            "error: pip could not install the packages (its words are above); mend the cause and start again"
        )


def main(argv: list[str] | None = None) -> int:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--extras", nargs="*", default=["test"])
    parser.add_argument("--lock", type=Path, default=None, help="a requirements-DATE.lock: exactly these versions")
    arguments = parser.parse_args(argv)
    if sys.version_info < MINIMUM:
        print(f"error: Python {'.'.join(map(str, MINIMUM))} or newer is needed, this is {sys.version.split()[0]}")
        return 1
    if arguments.lock and not arguments.lock.exists():
        print(f"error: there is no {arguments.lock}")
        return 1
    stamp = arguments.venv / "installed.json"

    def fits() -> bool:
        python = python_of(arguments.venv) if stamp.exists() else None
        return python is not None and up_to_date(stamp, wanted_stamp(str(python), arguments.extras, arguments.lock))

    if fits():
        return 0
    with alone(ROOT / "build" / "install.lock"):
        if fits():  # somebody else has done it meanwhile
            return 0
        start = time.monotonic()
        stamp.unlink(missing_ok=True)
        install(arguments.venv, arguments.extras, arguments.lock)
        record = wanted_stamp(str(python_of(arguments.venv)), arguments.extras, arguments.lock)
        partial = stamp.with_suffix(".partial")
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
        partial.replace(stamp)
        print(f"ready in {time.monotonic() - start:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
