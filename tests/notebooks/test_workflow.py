"""`make course` in small: order, failures, what is up to date, and going on after a kill."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib.course import notebook as notebooks
from lib.course import parameters, paths, run, watch
from lib.course.notebook import NotebookError

pytestmark = pytest.mark.slow


@pytest.fixture
def course(fixtures, tmp_path):
    """Starts the workflow over a copy of three small lessons; returns (process or finished process)."""
    folder = Path(shutil.copytree(fixtures / "course", tmp_path / "notebooks"))
    build = tmp_path / "build"
    started = []

    class Course:
        notebooks = folder
        out = build / "notebooks" / "quick"
        log = build / "course.log"
        command = (sys.executable, "-m", "lib.course.run", "--notebooks", str(folder), "--build", str(build))
        command += ("--profile", "quick", "--cores", "2", "--jobs", "2", "--library", "fixed")

        def start(self, *arguments, **environment):
            process = subprocess.Popen(
                [*self.command, *arguments],
                cwd=paths.ROOT,
                env=os.environ | environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            started.append(process)
            return process

        def run(self, *arguments, **environment):
            process = self.start(*arguments, **environment)
            process.text = process.communicate(timeout=600)[0]
            told = (build / ".course.events").read_text() if (build / ".course.events").exists() else ""
            events = [json.loads(line) for line in told.splitlines()]
            process.started = [event["name"] for event in events if event["event"] == "began"]
            return process

    yield Course()
    for process in started:  # a test that failed leaves nothing running
        if process.poll() is None:
            process.kill()
            process.wait()


def test_order_threads_failure_and_what_is_up_to_date(course):
    first = course.run(FIXTURE_FAIL="1")
    assert first.returncode == 1
    assert sorted(first.started) == ["01_first", "02_second", "03_third", "solutions/01_first"]  # the others go on
    assert (
        first.started.index("02_second") < first.started.index("01_first") < first.started.index("solutions/01_first")
    )
    assert re.search(
        r"1 notebook failed after .* min:\n.*03_third.ipynb, cell 4 \(In \[3\]\): AssertionError: told to fail",
        first.text,
    )
    assert re.search(
        r"^\[\d/4\] 03_third … failed after \d+ s: AssertionError: told to fail$", first.text, re.MULTILINE
    )
    assert "goes on where it was" in first.text
    assert f"the engine's log: {course.log}" in first.text and "03_third.ipynb, cell 4" in course.log.read_text()
    # readable, although Snakemake deletes outputs of failed jobs
    assert (course.out / "03_third.failed.ipynb").exists()
    assert not (course.out / "03_third.ipynb").exists()
    assert "1 threads" in (course.out / "02_second.ipynb").read_text()  # two jobs on two cores

    second = course.run()
    assert (second.returncode, second.started) == (0, ["03_third"])
    assert not (course.out / "03_third.failed.ipynb").exists()

    text = course.notebooks / "02_second.ipynb"
    text.write_text(text.read_text().replace("# 02_second", "# 02_second, better told"))
    third = course.run()
    assert (third.returncode, third.started) == (0, [])  # words are no reason

    text.write_text(text.read_text().replace("time.sleep", "print(7); time.sleep"))
    figure = paths.BUILD / "figures" / "quick" / "01_first" / "line.png"
    figure.unlink()
    fourth = course.run()
    assert fourth.returncode == 0
    assert {"01_first", "02_second"} <= set(fourth.started)  # a lost figure, changed code
    assert "03_third" not in fourth.started
    assert figure.exists()


def test_one_after_the_other_in_the_order_of_the_lessons(course):
    """Each with its line, and nothing of the engine's: 01 waits for 02, then the order is that of the names."""
    done = course.run("--jobs", "1")
    assert done.returncode == 0, done.text
    lines = [line for line in done.text.splitlines() if line]
    assert lines[0] == "4 notebooks to run, about 24 s"  # as they declare
    names = ["02_second", "01_first", "03_third", "solutions/01_first"]
    left = [r"; about \d+ s left"] * 3 + [""]
    for number, (name, rest) in enumerate(zip(names, left, strict=True), 1):
        assert re.fullmatch(rf"\[{number}/4\] {name} … done in \d+ s{rest}", lines[number])
    assert lines[5].startswith("up to date in ") and len(lines) == 6


def test_the_main_line_is_without_ablations_and_solutions():
    names = ["00_start", "10_sing", "11_more", "21_rife", "91_claims", "solutions/00_start", "solutions/11_more"]
    assert notebooks.in_scope(names, "", "main") == ["00_start", "10_sing", "21_rife"]
    assert notebooks.in_scope(names, "11 0", "main") == ["00_start", "11_more"]  # what is named is run
    assert notebooks.in_scope(names, "solutions/11", "main") == ["solutions/11_more"]
    assert notebooks.in_scope(names, "", "all") == names
    assert notebooks.in_scope(names, "11", "all") == ["11_more", "solutions/11_more"]
    with pytest.raises(NotebookError, match="scope = 'some': choose one of main, all"):
        notebooks.in_scope(names, "", "some")


def test_make_says_the_scope():
    for target, scope in (("course", "main"), ("all", "all"), ("publish", "all")):
        call = ["make", "--dry-run", "--no-print-directory", target]
        made = subprocess.run(call, cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout
        assert f"lib.course.run --scope {scope} " in made


def test_the_record_takes_its_options_as_they_were_typed():
    call = ["make", "--dry-run", "--no-print-directory", "record", "STUDY=sing", "DATASET=O'Brien $x", "HOURS=0.5"]
    made = subprocess.run([*call, "SEEDS=3"], cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout
    command = shlex.split(made.partition("-m lib.experiments.record")[2].replace("\\\n", " "))
    assert command == ["sing", "--dataset", "O'Brien $x", "--seeds", "3", "--hours", "0.5"]


@pytest.mark.parametrize("victim", ["launcher", "everything"])
def test_killed_in_the_middle_it_goes_on(course, victim):
    process = course.start("--lessons", "02", FIXTURE_SECONDS="900")
    wait_for(lambda: list(course.out.glob(".02_second.partial-*")))
    if victim == "everything":
        for pid in family(process.pid):
            os.kill(pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()
    again = course.run("--lessons", "02")
    assert again.returncode == 0, again.text
    assert again.started == ["02_second"]
    assert [path.name for path in sorted(course.out.iterdir())] == ["02_second.ipynb", "02_second.json"]


def test_a_choice_and_a_data_set_reach_the_jobs(course):
    """Snakemake itself would read lesson 02 as the number 2."""
    dry = course.run("--lessons", "02", "--dataset", "viper", "--", "-n", "-p")
    assert "quick-viper/02_second.ipynb" in dry.text
    assert "-r dataset viper" in dry.text
    assert "03_third" not in dry.text
    none = course.run("--lessons", "77")
    assert none.returncode != 0
    assert "no lesson begins with 77" in none.text


def test_a_data_folder_may_be_called_anything(course, tmp_path):
    """From make's command line through Snakemake, its shell and papermill's cell to the lesson, as it was typed."""
    folder = tmp_path / "O'Brien  $HOME $$x `ls` {x} {{y}} {input} a\"b\\c: #d, %s"
    folder.mkdir()
    call = ["make", "--dry-run", "--no-print-directory", "course", f"DATASET={folder}"]
    made = subprocess.run(call, cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout
    command = shlex.split(made.partition("-m lib.course.run")[2].replace("\\\n", " "))
    assert command[2:4] == ["--dataset", str(folder)]
    done = course.run("--lessons", "2", *command[2:4])
    assert done.returncode == 0, done.text
    (out,) = course.out.parent.glob("quick-*/02_second.ipynb")
    injected = next(cell for cell in notebooks.read(out).cells if "injected-parameters" in notebooks.tags(cell))
    assert parameters.assignments(injected.source) == {"dataset": str(folder)}


def test_a_folder_that_snakemake_cannot_name_is_refused(tmp_path, capsys):
    assert run.main(["--build", str(tmp_path / "build {a}")]) == 2
    assert "build {a}: Snakemake takes braces in a path for wildcards" in capsys.readouterr().err


def test_publishing_is_of_the_course_on_its_own_data(tmp_path):
    call = ["make", "--dry-run", "--no-print-directory", "publish", "DATASET=viper", "PROFILE=quick", "LESSONS=00 3"]
    made = subprocess.run(call, cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout
    assert "lib.course.run --scope all --profile 'course'  --lessons '00 3'" in made and "viper" not in made
    assert "lib.course.publish '00 3'" in made


def test_make_refuses_a_folder_that_it_cannot_name(tmp_path):
    for name in ("O'Brien", "two blanks"):
        folder = tmp_path / name
        folder.mkdir()
        done = subprocess.run(
            ["make", "-f", str(paths.ROOT / "Makefile"), "help"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert "make cannot work in a folder whose name has" in done.stderr


def test_lessons_are_chosen_by_number_or_beginning():
    names = ["00_start", "03_objective", "04_base", "30_jbim", "31_jbim", "solutions/03_objective", "solutions/30_jbim"]
    both = ["03_objective", "solutions/03_objective"]
    assert notebooks.choose(names, "") == names
    assert notebooks.choose(names, "00 3") == ["00_start", *both]  # 3 is lesson 03
    assert notebooks.choose(names, "3") == notebooks.choose(names, "03") == notebooks.choose(names, "03_ob") == both
    assert notebooks.choose(names, "31,04_b") == ["04_base", "31_jbim"]
    assert notebooks.choose(names, "solutions/03") == both[1:]
    for wanted in ("00 7", "003", "00-04", "objective"):  # one that is there does not hide one that is not
        with pytest.raises(NotebookError, match=f"no lesson begins with {wanted.split()[-1]}; there are: 00_start, 03"):
            notebooks.choose(names, wanted)


def test_a_damaged_record_is_no_record(tmp_path):
    """What a full disk has left of it: the lesson runs again, and nothing stops."""
    for name, text in (("01_a", '{"seconds": 1, "figures": []}'), ("02_b", '{"sec'), ("03_c", "[]")):
        (tmp_path / f"{name}.ipynb").write_text("{}")
        (tmp_path / f"{name}.json").write_text(text)
    assert [path.stem for path in run.drop_incomplete(tmp_path)] == ["02_b", "03_c"]
    assert [path.name for path in tmp_path.glob("*.ipynb")] == ["01_a.ipynb"]


def test_a_full_disk_is_one_sentence(monkeypatch, capsys):
    def full(arguments):
        raise OSError(28, "No space left on device", "build/.course.pid")

    monkeypatch.setattr(run, "run", full)
    assert run.main(["--profile", "quick"]) == 1
    assert "error: [Errno 28] No space left on device: 'build/.course.pid'; what had been run is kept" in (
        capsys.readouterr().err
    )


def test_a_process_that_has_ended_is_not_alive():
    """Also before its parent has collected it: the launcher of a killed `make` may stay as such a shadow."""
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    wait_for(lambda: not watch.alive(child.pid))
    child.wait()
    assert not watch.alive(child.pid)
    assert watch.alive(os.getpid())


def test_wrong_settings_are_named(capsys):
    assert run.main(["--profile", "cource"]) == 2
    assert run.main(["--dataset", "vipr"]) == 2
    for setting in (["--dataset", ""], ["--lessons", "00 77"], ["--jobs", "0"], ["--cores", "-1"]):
        assert run.main(setting) == 2
    errors = capsys.readouterr().err
    assert "did you mean 'course'" in errors and "did you mean 'viper'" in errors
    assert "dataset = '' names nothing" in errors and "no lesson begins with 77" in errors
    assert "jobs = 0" in errors and "cores = -1" in errors


@pytest.mark.parametrize(
    ("cores", "jobs", "expected"),
    [(1, None, 1), (2, None, 2), (4, None, 4), (16, None, 4), (2, 8, 2), (16, 3, 3), (2, 0, 1)],
)
def test_the_cores_are_shared(cores, jobs, expected):
    assert run.share(cores, jobs) == expected


def family(pid):
    """A process and all that it started, from the process table."""
    rows = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split("\n")
    parents = {int(row.split()[0]): int(row.split()[1]) for row in rows if row.strip()}
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
