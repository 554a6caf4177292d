"""``make course``: Snakemake with what a laptop needs around it.

    python -m lib.course.run [--scope main|all] [--profile course] [--dataset viper] [--lessons 03] [--jobs N]
    [--cores N] [-- more snakemake options]

The scope is the main line of lessons, or all of them with their solutions; lessons that are named are run in both.
Snakemake decides what to run, in which order and side by side. This module shares the cores between the jobs, shows one
line for each lesson (Snakemake's log goes to build/course.log), frees the lock that a killed run has left, ends
everything when it is killed itself, and names at the end what failed, with its cell and error, and how to go on.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

from lib.course import notebook as notebooks
from lib.course import parameters, paths, progress, watch
from lib.course.notebook import NotebookError
from lib.course.parameters import ParameterError

LOOK = 0.2  # seconds between two looks at how far the lessons are
LAST = 15  # lines of the engine's log that are shown when it stopped by itself


def share(cores: int, jobs: int | None) -> int:
    """How many lessons run side by side: the number asked for, else one per core, up to four.

    The course's network sees 350 images a second with one thread, 640 with two, and 350 twice in two lessons of one
    thread each; what does not train (drawing, ranking, starting) has little use for a second thread.
    """
    if jobs is not None:
        return max(1, min(jobs, cores))
    return max(1, min(4, cores))


def available_cores() -> int:
    """The cores that this process may use (containers and schedulers give fewer than the machine has)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def command(arguments: argparse.Namespace) -> list[str]:
    """The call of snakemake."""
    jobs = share(arguments.cores, arguments.jobs)
    settings = {
        "profile": arguments.profile,
        "jobs": jobs,
        "notebooks": str(arguments.notebooks.resolve()),
        "build": str(arguments.build.resolve()),
        "library": arguments.library,
        "lessons": arguments.lessons,
        "scope": arguments.scope,
    }
    where = ["--snakefile", str(paths.ROOT / "Snakefile"), "--directory", str(arguments.build.resolve())]
    options = f"--cores {arguments.cores} --keep-going --rerun-incomplete --rerun-triggers params input code --nocolor"
    options += " --scheduler greedy"  # it takes the ready job of the highest priority: the earliest lesson
    return [
        *(sys.executable, "-m", "snakemake"),
        *where,
        *options.split(),
        *(() if dry(arguments) else ("--quiet", "rules", "host", "reason")),
        # as JSON, because Snakemake reads values as YAML: 02 is a number there
        *("--config", *(f"{key}={json.dumps(v, ensure_ascii=False)}" for key, v in settings.items() if v is not None)),
        *arguments.more,
    ]


def dry(arguments: argparse.Namespace) -> bool:
    """Whether Snakemake is only asked what it would do."""
    return bool({"-n", "--dry-run", "--dryrun"} & set(arguments.more))


def drop_incomplete(out: Path) -> list[Path]:
    """Remove executed notebooks whose figures or record are gone, so that they are made again; returns what was
    removed.
    """
    dropped = []
    for record in sorted(out.rglob("*.json")):
        executed = record.with_suffix(".ipynb")
        try:
            figures = json.loads(record.read_text(encoding="utf-8"))["figures"]
        except (ValueError, KeyError, TypeError):
            figures = [record.with_suffix(".damaged")]  # a record that cannot be read says nothing: run it again
        if executed.exists() and not all(Path(figure).exists() for figure in figures):
            executed.unlink()
            dropped.append(executed)
    return dropped


def failures(out: Path, since: float) -> list[str]:
    """The reports of notebooks that failed after the moment `since` (seconds since the epoch)."""
    return [
        path.read_text(encoding="utf-8").rstrip()
        for path in sorted(out.rglob("*.failed.txt"))
        if path.stat().st_mtime >= since - 1
    ]


def free_lock(build: Path, record: Path, base: list[str]) -> None:
    """Unlock Snakemake's folder when the run that locked it was ours and is gone."""
    locks = build / ".snakemake" / "locks"
    if not record.exists() or watch.alive(int(record.read_text())) or not locks.is_dir() or not any(locks.iterdir()):
        return
    print("the last run was killed; going on where it was", file=sys.stderr)
    subprocess.run([*base, "--unlock"], check=True, capture_output=True)


def run(arguments: argparse.Namespace) -> int:
    """Run the workflow under a lock of our own; exit code of the whole."""
    build = arguments.build.resolve()
    build.mkdir(parents=True, exist_ok=True)
    lock = FileLock(build / ".course.lock")
    try:
        lock.acquire(timeout=30)  # the processes of a killed run take a moment to notice
    except Timeout:
        print("error: another `make course` is running in this folder; wait for it or stop it", file=sys.stderr)
        return 2
    try:
        base, record, start = command(arguments), build / ".course.pid", time.time()
        free_lock(build, record, base)
        out = build / "notebooks"
        for executed in drop_incomplete(out):
            print(f"{paths.relative(executed)}: its figures or its record are gone, it will run again", file=sys.stderr)
        jobs = share(arguments.cores, arguments.jobs)
        events, log = build / ".course.events", build / "course.log"
        events.unlink(missing_ok=True)
        environment = os.environ | {watch.OWNER: watch.own_name(), progress.EVENTS: str(events)}
        # not by Snakemake's --config, which does not hand every name of a folder on to its jobs as it was
        environment["COURSE_DATASET"] = arguments.dataset or ""
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
        if dry(arguments):
            return subprocess.run(base, env=environment, check=False).returncode
        board = progress.Board(events, *_announced(arguments), jobs, sys.stderr)
        with open(log, "wb") as lines, subprocess.Popen(base, env=environment, stdout=lines, stderr=lines) as child:
            record.write_text(str(child.pid))
            code = _wait(child, board)
        record.unlink(missing_ok=True)
        failed = failures(out, start)
        minutes = (time.time() - start) / 60
        if code == 0:
            print(
                f"\nup to date in {minutes:.1f} min: figures in {paths.relative(paths.FIGURES)}/, "
                f"executed notebooks in {paths.relative(out)}/",
                file=sys.stderr,
            )
        else:
            if failed:
                many = f"{len(failed)} notebook{'s' * (len(failed) != 1)}"
                print(f"\n{many} failed after {minutes:.1f} min:", file=sys.stderr)
                print("\n".join(failed), file=sys.stderr)
            else:
                print(f"\nstopped after {minutes:.1f} min with code {code}", file=sys.stderr)
                if code != 128 + signal.SIGINT:  # nobody's wish, and no lesson's error: what the engine said last
                    print(
                        "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST:]),
                        file=sys.stderr,
                    )
            print(
                f"the same command goes on where it was, with what failed and what had to wait for it; "
                f"the engine's log: {_place(log)}",
                file=sys.stderr,
            )
        return code
    finally:
        lock.release()


def _announced(arguments: argparse.Namespace) -> tuple[dict[str, str], dict[str, float]]:
    """Titles and minutes of the lessons that this run is of, and of those that they need before."""
    files = notebooks.lesson_files(arguments.notebooks)
    read = {name: notebooks.read(path) for name, path in files.items()}
    titles = {name: notebooks.title(notebook) or name for name, notebook in read.items()}
    return titles, {name: notebooks.declared_minutes(notebook, arguments.profile) for name, notebook in read.items()}


def _place(path: Path) -> str:
    return paths.relative(path) if path.is_relative_to(paths.ROOT) else str(path)


def _wait(child: subprocess.Popen, board: progress.Board) -> int:
    """Wait for Snakemake and show how far it is; pass an end on to it, twice when it does not listen."""

    def end(signum, frame):
        child.send_signal(signal.SIGTERM)
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, end)
    try:
        while child.poll() is None:
            board.read()
            time.sleep(LOOK)
        board.read()
        return child.returncode
    except KeyboardInterrupt:  # the terminal has told Snakemake too
        child.wait(timeout=60)
        return 128 + signal.SIGINT
    finally:
        board.close()


def main(argv: list[str] | None = None) -> int:
    """Command line; see the module's text."""
    argv = sys.argv[1:] if argv is None else argv
    own, more = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    parser = argparse.ArgumentParser(prog="python -m lib.course.run", description=__doc__.split("\n\n")[0])
    parser.add_argument("--profile", default=None)
    parser.add_argument("--dataset", default=None)
    parser.add_argument("--scope", choices=notebooks.SCOPES, default="all")
    parser.add_argument("--lessons", default=None, help="numbers or beginnings of names: '00 3'")
    parser.add_argument("--jobs", type=int, default=None, help="lessons side by side")
    parser.add_argument("--cores", type=int, default=available_cores())
    parser.add_argument("--notebooks", type=Path, default=paths.NOTEBOOKS)
    parser.add_argument("--build", type=Path, default=paths.BUILD)
    parser.add_argument("--library", default=None, help="take lib/ for unchanged since it had this name (tests)")
    arguments = parser.parse_args(own)
    arguments.more = more
    try:
        arguments.profile = parameters.resolve_profile(arguments.profile, default="course")
        if arguments.dataset is not None:
            arguments.dataset = parameters.resolve_dataset(arguments.dataset)
        if arguments.lessons is not None:
            notebooks.choose(notebooks.lesson_files(arguments.notebooks), arguments.lessons)
        for path in (arguments.build.resolve(), arguments.notebooks.resolve()):
            if set("{}") & set(str(path)):
                raise ParameterError(f"{path}: Snakemake takes braces in a path for wildcards; rename the folder")
        for name in ("jobs", "cores"):
            if (count := getattr(arguments, name)) is not None and count < 1:
                raise ParameterError(f"{name} = {count}: one at least")
    except (NotebookError, ParameterError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if os.environ.get("MAKELEVEL"):
        watch.follow_parent()  # `make` killed: end with it
    try:
        return run(arguments)
    except OSError as error:  # a full disk, a build folder that may not be written
        print(f"error: {error}; what had been run is kept, start again when there is room", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
