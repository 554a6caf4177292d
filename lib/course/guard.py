"""A strict run of one notebook through papermill.

    python -m lib.course.guard NOTEBOOK OUT [-p name value]... [-r name text]... [-y 'name: value']... [--threads N]

papermill by itself lets several mistakes pass with exit code 0. Here: a notebook without exactly one `parameters` cell,
a name that it does not know, a value of the wrong type, a killed kernel, or a cell that did not run is an error. The
result is written under a temporary name and renamed when everything went well; what failed is kept beside it as
``OUT.failed.ipynb``, with the cell and the error in ``OUT.failed.txt``. The exit code is 0 for success, 1 for a
notebook that failed, 2 for a wrong call.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml
from filelock import FileLock

from lib.course import notebook as notebooks
from lib.course import parameters, paths, watch
from lib.course.notebook import NotebookError
from lib.course.parameters import ParameterError


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

    Raises NotebookError or ParameterError before the start, RunError when a cell failed or the kernel died; `target` is
    then left as it was, and ``target.failed.ipynb`` shows how far it came.
    """
    source, target = Path(source), Path(target)
    checked = check(source, given or {})
    target.parent.mkdir(parents=True, exist_ok=True)
    failed, report = target.with_suffix(".failed.ipynb"), target.with_suffix(".failed.txt")
    with _alone(target, quiet), _environment(threads):
        # what a killed run has left; its owner is gone, because we hold the lock
        for partial in target.parent.glob(f".{target.stem}.partial-*"):
            partial.unlink()
        partial = target.with_name(f".{target.stem}.partial-{os.getpid()}.ipynb")
        drawn = partial.with_suffix(".figures")
        os.environ["COURSE_FIGURE_LOG"] = str(drawn.resolve())
        start, progress = time.monotonic(), _Progress(source, quiet)
        try:
            executed = _execute(source, partial, checked, progress)
            _all_ran(executed, bool(checked))
        except Exception as error:
            message = _describe(source, progress.started, error)
            if partial.exists():
                partial.replace(failed)
            report.write_text(f"{message}\n  the notebook as far as it came: {_shown(failed)}\n", encoding="utf-8")
            raise RunError(message) from error
        except BaseException:  # interrupted: nothing is wrong with the notebook, and nothing half-done stays
            partial.unlink(missing_ok=True)
            raise
        else:
            record = {
                "seconds": round(time.monotonic() - start, 1),
                "figures": sorted(set(drawn.read_text().split("\n")) - {""}) if drawn.exists() else [],
            }
            target.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            os.replace(partial, target)
            failed.unlink(missing_ok=True)
            report.unlink(missing_ok=True)
        finally:
            drawn.unlink(missing_ok=True)
    return executed


def _execute(source: Path, partial: Path, checked: dict[str, Any], progress: _Progress) -> nbformat.NotebookNode:
    import papermill
    from papermill.engines import NBClientEngine, papermill_engines

    class Engine(NBClientEngine):
        """papermill's own engine; the manager is told about each cell, so that a person sees where the notebook is."""

        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **options):
            started = nb_man.cell_start

            def cell_start(cell, cell_index=None, **more):
                # nbclient has replaced our handlers; with its own an interrupted run looks like a dead kernel
                _listen()
                progress.cell(nb_man.nb, cell_index)
                return started(cell, cell_index=cell_index, **more)

            nb_man.cell_start = cell_start
            return super().execute_managed_notebook(nb_man, kernel_name, **options)

    papermill_engines.register("course", Engine)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of the tools among themselves; a lesson's own warnings come from its kernel
        executed = papermill.execute_notebook(
            str(source).replace("{", "{{").replace("}", "}}"),
            str(partial).replace("{", "{{").replace("}", "}}"),
            parameters=checked or None,
            engine_name="course",
            kernel_name="python3",
            progress_bar=False,
            log_output=False,
            start_timeout=180,
            extra_arguments=["--IPKernelApp.log_level=50"],  # the kernel's remarks about its own sockets
        )
    progress.done()
    return executed


def _all_ran(executed: nbformat.NotebookNode, injected: bool) -> None:
    """After a killed kernel papermill's file says *completed*: believe the counts of the cells instead."""
    cells = notebooks.code_cells(executed)
    for number, cell in enumerate(cells, 1):
        if any(output.output_type == "error" for output in cell.outputs):
            raise RunError(f"code cell {number} has an error in its output")
        if cell.execution_count != number:
            raise RunError(
                f"code cell {number} was not executed in its turn (its count is {cell.execution_count}): "
                "did the kernel die?"
            )
    if injected and not any("injected-parameters" in notebooks.tags(cell) for cell in executed.cells):
        raise RunError("the parameters did not reach the notebook")


def _describe(source: Path, started: int | None, error: Exception) -> str:
    """One readable block: which notebook, cell and error. `started` is the index of the last cell that began."""
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    where, what = "" if started is None else f", cell {started + 1}", f"{type(error).__name__}: {error}"
    if isinstance(error, PapermillExecutionError):
        where, what = f", cell {error.cell_index + 1} (In [{error.exec_count}])", f"{error.ename}: {error.evalue}"
        lines = error.source.strip().splitlines()
        what += "".join(f"\n  | {line}" for line in lines[:6]) + ("\n  | …" if len(lines) > 6 else "")
    elif isinstance(error, DeadKernelError):
        what = f"the kernel died (killed, out of memory, or a crash in compiled code): {what}"
    elif isinstance(error, RunError):
        where, what = "", str(error)
    return f"{_shown(source)}{where}: {what}"


def _shown(path: Path) -> str:
    return paths.relative(path) if path.resolve().is_relative_to(paths.ROOT) else str(path)


class _Progress:
    """One line that is rewritten on a terminal, a line at the start and the end elsewhere (logs, several lessons at
    once).
    """

    def __init__(self, source: Path, quiet: bool):
        self.name = f"solutions/{source.stem}" if source.parent.name == "solutions" else source.stem
        self.quiet, self.start, self.last = quiet, time.monotonic(), 0.0
        self.started: int | None = None
        self.live = sys.stderr.isatty() and os.environ.get("COURSE_PARALLEL") != "1"

    def cell(self, notebook: nbformat.NotebookNode, index: int | None) -> None:
        now = time.monotonic()
        self.started = index
        if self.quiet or index is None or not (self.live or index == 0 or now - self.last > 30):
            return
        self.last = now
        self._print(f"  {self.name}: cell {index + 1} of {len(notebook.cells)}, {now - self.start:.0f} s")

    def done(self) -> None:
        if not self.quiet:
            self._print(f"  {self.name}: done in {time.monotonic() - self.start:.0f} s", end="\n")

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
    except TimeoutError:
        if not quiet:
            print(f"  waiting: another run is writing {_shown(target)}", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _environment(threads: int | None) -> Iterator[None]:
    """What the kernel inherits: no progress bars, and its share of the cores (two kernels on both cores are many times
    slower).
    """
    wanted = {"COURSE_BATCH": "1", "PYTHONUNBUFFERED": "1"}
    if threads:
        wanted |= {
            name: str(threads)
            for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
        }
    before = {name: os.environ.get(name) for name in (*wanted, "COURSE_FIGURE_LOG")}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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
    parser.add_argument(
        "-p",
        dest="parameters",
        nargs=2,
        action="append",
        metavar=("NAME", "VALUE"),
        help="a parameter, read as papermill reads it",
    )
    parser.add_argument(
        "-r", dest="raw", nargs=2, action="append", metavar=("NAME", "TEXT"), help="a parameter that stays text"
    )
    parser.add_argument("-y", dest="yaml", action="append", metavar="YAML", help="parameters as YAML")
    parser.add_argument("--threads", type=int, default=None, help="threads of the kernel's numerical libraries")
    parser.add_argument("--quiet", action="store_true", help="no progress lines")
    arguments = parser.parse_args(argv)
    global _listening
    _listening = True
    _listen()
    watch.follow_owner()
    try:
        run(arguments.notebook, arguments.out, _parse(arguments), threads=arguments.threads, quiet=arguments.quiet)
    except (NotebookError, ParameterError) as error:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        message = f"{_shown(arguments.notebook)}: {error}"
        arguments.out.with_suffix(".failed.txt").write_text(message + "\n", encoding="utf-8")
        print(f"error: {message}", file=sys.stderr)
        return 2
    except RunError as error:
        print(
            f"\nFAILED {error}\n  kept for reading: {_shown(arguments.out.with_suffix('.failed.ipynb'))}",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


_listening = False  # only the command line owns the process's signals


def _listen() -> None:
    if _listening and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _terminate(signum: int, frame: Any) -> None:
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
