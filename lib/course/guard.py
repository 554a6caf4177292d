"""A strict run of one notebook.

    python -m lib.course.guard NOTEBOOK OUT [-p name value]... [-r name text]... [-y 'name: value']... [--threads N]

nbclient runs it, papermill writes the cell with the parameters. What is strict here: a notebook without exactly one
`parameters` cell, a name that it does not know, a value of the wrong type are errors before anything runs; no tag lets
a cell fail or be skipped. The result is written under a temporary name and renamed when everything went well; what
failed is kept beside it as ``OUT.failed.ipynb``, with the cell and the error in ``OUT.failed.txt``. The exit code is 0
for success, 1 for a notebook that failed (or a disk without room), 2 for a wrong call.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml
from filelock import FileLock
from filelock import Timeout as LockTimeout
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from lib.course import notebook as notebooks
from lib.course import parameters, paths, progress, watch
from lib.course.notebook import NotebookError
from lib.course.parameters import ParameterError
from lib.paths import write_atomically

SIGNALS = (signal.SIGTERM, signal.SIGINT)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SOURCE_LINES = 6  # of a failed cell, in the report


class RunError(RuntimeError):
    """A notebook that was started and did not run to its end."""


def check(path: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Checked parameters for the notebook at `path`, before anything runs.

    The types are those of the notebook's ``begin`` call; for a notebook without one, those of its defaults (a default
    of None takes any text or None). Raises NotebookError for the notebook, ParameterError for what was given.
    """
    notebook = notebooks.read(path)
    defaults = notebooks.defaults(notebook)
    declared = notebooks.declaration(notebook)
    kinds = {name: (str, None) if value is None else type(value) for name, value in defaults.items()}
    if declared is not None:
        kinds |= {name: kind for name, kind in declared.types.items() if name in defaults}
    checked = parameters.check_all(given, kinds)
    if checked.get("profile") is not None:
        parameters.resolve_profile(checked["profile"])
    if "dataset" in checked and declared is not None:
        parameters.resolve_dataset(checked["dataset"])
    return checked


def run(
    source: str | Path,
    target: str | Path,
    given: Mapping[str, Any] | None = None,
    *,
    threads: int | None = None,
    quiet: bool = False,
) -> nbformat.NotebookNode:
    """Run `source` with `given` parameters and write it to `target`; returns the executed notebook.

    Raises NotebookError or ParameterError before the start, RunError when a cell failed, the kernel died or the disk is
    full; `target` is then left as it was, and ``target.failed.ipynb`` shows how far it came.
    """
    source, target = Path(source), Path(target)
    if threads is not None and threads < 1:
        raise ParameterError(f"threads = {threads}: a kernel needs one at least")
    notebook = prepared(notebooks.read(source), check(source, given or {}))
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target, quiet):
        # what a killed run has left; its owner is gone, because we hold the lock
        for old in target.parent.glob(f".{target.stem}.partial-*"):
            old.unlink()
        partial = target.with_name(f".{target.stem}.partial-{os.getpid()}.ipynb")
        drawn = partial.with_suffix(".figures")
        start, line = time.monotonic(), _Progress(source, quiet)
        try:
            nbformat.write(notebook, partial)  # a disk without room is found now, not after an hour
            _execute(notebook, line, _environment(threads, drawn))
            nbformat.write(notebook, partial)
            record = {
                "seconds": round(time.monotonic() - start, 1),
                "figures": sorted(set(drawn.read_text().split("\n")) - {""}) if drawn.exists() else [],
            }
            text = json.dumps(record, indent=1) + "\n"
            write_atomically(target.with_suffix(".json"), lambda path: path.write_text(text, encoding="utf-8"))
            os.replace(partial, target)
        except Exception as error:
            line.failed(error)
            raise RunError(_keep(target, _describe(source, target, line.cell, error), notebook)) from error
        finally:  # an interrupted run leaves nothing either
            partial.unlink(missing_ok=True)
            drawn.unlink(missing_ok=True)
        for old in _kept(target):
            old.unlink(missing_ok=True)
    line.done()
    return notebook


def prepared(notebook: nbformat.NotebookNode, checked: Mapping[str, Any]) -> nbformat.NotebookNode:
    """The notebook without stored outputs (a failed run shows its own alone), and with papermill's cell of parameters
    after its own where there are any.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    if not checked:
        return notebook
    from papermill.parameterize import parameterize_notebook

    for node, key, empty in [(notebook, "papermill", {}), *((cell, "tags", []) for cell in notebook.cells)]:
        node.metadata.setdefault(key, nbformat.from_dict(empty))  # papermill asks for them without looking
    return parameterize_notebook(notebook, dict(checked), kernel_name="python3", language="python")


class _Client(NotebookClient):
    """nbclient, which leaves the signals of this process to whoever has set them: with its own handlers an interrupted
    run looks like a dead kernel.
    """

    async def async_start_new_kernel(self, **options: Any) -> None:
        _set(self.handlers)
        await super().async_start_new_kernel(**options)


def _execute(notebook: nbformat.NotebookNode, line: _Progress, environment: dict[str, str]) -> None:
    """Run all cells, in place; nbclient raises CellExecutionError for an error, DeadKernelError for a dead kernel."""
    client = _Client(
        notebook,
        kernel_name="python3",
        timeout=None,
        startup_timeout=180,
        force_raise_errors=True,  # also where a tag allows an error
        skip_cells_with_tag="",
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=50"],  # the kernel's remarks about its own sockets
        on_cell_start=lambda cell, cell_index: line.start_cell(notebook, cell_index),
    )
    client.handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        client.execute(env=environment)
    finally:
        _set(client.handlers)


def _set(handlers: Mapping[int, Any]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _kept(target: Path) -> tuple[Path, Path]:
    """Where a failed run is kept: the notebook as far as it came, and the report."""
    return target.with_suffix(".failed.ipynb"), target.with_suffix(".failed.txt")


def _keep(target: Path, message: str, notebook: nbformat.NotebookNode | None = None) -> str:
    """Keep the report of a failed run, and the notebook as far as it came; returns the message with the place."""
    failed, report = _kept(target)
    try:
        if notebook is not None:
            write_atomically(failed, lambda path: nbformat.write(notebook, path))
            message += f"\n  kept for reading: {_shown(failed)}"
        write_atomically(report, lambda path: path.write_text(message + "\n", encoding="utf-8"))
    except OSError as error:
        message += f"\n  it could not be kept for reading: {error.strerror or error}"
    return message


def _describe(source: Path, target: Path, cell: tuple[int, nbformat.NotebookNode] | None, error: Exception) -> str:
    """One readable block: which notebook, cell and error. `cell` is the last one that began, with its index."""
    where, what = "" if cell is None else f", cell {cell[0] + 1}", f"{type(error).__name__}: {error}"
    if isinstance(error, CellExecutionError):
        lines = cell[1].source.strip().splitlines()
        where += f" (In [{cell[1].execution_count}])"
        what = f"{error.ename}: {error.evalue}" + "".join(f"\n  | {line}" for line in lines[:SOURCE_LINES])
        what += "\n  | …" if len(lines) > SOURCE_LINES else ""
    elif isinstance(error, DeadKernelError):
        what = f"the kernel died (killed, out of memory, or a crash in compiled code): {what}"
    elif isinstance(error, OSError) and error.errno in NO_ROOM:
        what = (
            f"{error.strerror} ({_shown(target.parent)}): make room and start again; {target.name} is "
            f"{'as it was' if target.exists() else 'not written'}"
        )
    return f"{_shown(source)}{where}: {what}"


def _shown(path: Path) -> str:
    return paths.relative(path) if path.resolve().is_relative_to(paths.ROOT) else str(path)


class _Progress:
    """One line that is rewritten on a terminal, a line at the start and the end elsewhere (logs); and the same for
    ``make course``, which makes its own lines of it (lib/course/progress.py).
    """

    def __init__(self, source: Path, quiet: bool):
        self.name = f"solutions/{source.stem}" if source.parent.name == "solutions" else source.stem
        self.quiet, self.start, self.last = quiet, time.monotonic(), 0.0
        self.cell: tuple[int, nbformat.NotebookNode] | None = None  # the last one that began
        self.live = sys.stderr.isatty()
        progress.tell("began", name=self.name)

    def start_cell(self, notebook: nbformat.NotebookNode, index: int) -> None:
        now = time.monotonic()
        self.cell = (index, notebook.cells[index])
        progress.tell("cell", name=self.name, index=index + 1, count=len(notebook.cells))
        if self.quiet or not (self.live or index == 0 or now - self.last > 30):
            return
        self.last = now
        self._print(f"  {self.name}: cell {index + 1} of {len(notebook.cells)}, {now - self.start:.0f} s")

    def done(self) -> None:
        progress.tell("done", name=self.name, seconds=time.monotonic() - self.start)
        if not self.quiet:
            self._print(f"  {self.name}: done in {time.monotonic() - self.start:.0f} s", end="\n")

    def failed(self, error: Exception) -> None:
        what = f"{error.ename}: {error.evalue}" if isinstance(error, CellExecutionError) else type(error).__name__
        what = what.splitlines()[0]  # the report has the rest
        progress.tell("failed", name=self.name, seconds=time.monotonic() - self.start, error=what)

    def _print(self, text: str, end: str = "") -> None:
        sys.stderr.write(f"\r\x1b[K{text}{end}" if self.live else f"{text}\n")
        sys.stderr.flush()


@contextlib.contextmanager
def _alone(target: Path, quiet: bool) -> Iterator[None]:
    """Two runs of the same target wait for each other; the lock dies with its process."""
    folder = paths.BUILD / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{hashlib.sha256(str(target.resolve()).encode()).hexdigest()[:16]}.lock")
    try:
        lock.acquire(timeout=1)
    except LockTimeout:
        if not quiet:
            print(f"  waiting: another run is writing {_shown(target)}", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _environment(threads: int | None, drawn: Path) -> dict[str, str]:
    """What the kernel inherits: no progress bars, its share of the cores (two kernels on both cores are many times
    slower), and the file that takes the names of its figures.
    """
    wanted = {"COURSE_BATCH": "1", "PYTHONUNBUFFERED": "1", "COURSE_FIGURE_LOG": str(drawn.resolve())}
    if threads is not None:
        libraries = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
        wanted |= dict.fromkeys(libraries, str(threads))
    return os.environ | wanted


def _parse(arguments: argparse.Namespace) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for text in arguments.yaml or []:
        block = yaml.safe_load(text)
        if not isinstance(block, dict):
            raise ParameterError(f"-y {text!r} is not `name: value`")
        given |= block
    given |= {name: parameters.from_command_line(text) for name, text in arguments.parameters or []}
    given |= dict(arguments.raw or [])
    return given


def main(argv: list[str] | None = None) -> int:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m lib.course.guard", description=__doc__.split("\n\n")[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("out", type=Path)
    pair = {"nargs": 2, "action": "append"}
    parser.add_argument("-p", dest="parameters", **pair, metavar=("NAME", "VALUE"), help="read as papermill reads it")
    parser.add_argument("-r", dest="raw", **pair, metavar=("NAME", "TEXT"), help="a parameter that stays text")
    parser.add_argument("-y", dest="yaml", action="append", metavar="YAML", help="parameters as YAML")
    parser.add_argument("--threads", type=int, default=None, help="threads of the kernel's numerical libraries")
    parser.add_argument("--quiet", action="store_true", help="no progress lines")
    arguments = parser.parse_args(argv)
    _set({signal.SIGTERM: _terminate, signal.SIGINT: signal.default_int_handler})
    watch.follow_owner()
    try:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        run(arguments.notebook, arguments.out, _parse(arguments), threads=arguments.threads, quiet=arguments.quiet)
    except (NotebookError, ParameterError) as error:
        print(f"error: {_keep(arguments.out, f'{_shown(arguments.notebook)}: {error}')}", file=sys.stderr)
        return 2
    except RunError as error:
        print(f"\nFAILED {error}", file=sys.stderr)
        return 1
    except OSError as error:  # no folder for the target or its lock
        print(f"error: {error}; nothing was run", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _terminate(signum: int, frame: Any) -> None:
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
