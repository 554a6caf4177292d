"""nbval compares what it should, fails what it must, and does not wait for the dead."""

import re
import subprocess
import sys
import time

import pytest

from lib.course import check, nbval_plugin, paths


def nbval(*files, tmp_path):
    call = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        *check.nbval_arguments(files),
    ]
    return subprocess.run(call, capture_output=True, text=True, check=False, cwd=paths.ROOT)


def counts(done):
    return {
        kind: int(number)
        for number, kind in re.findall(r"(\d+) (passed|failed|error|xfailed)", done.stdout.splitlines()[-1])
    }


def test_a_lesson_passes_in_the_quick_profile(fixtures, tmp_path):
    done = nbval(fixtures / "lesson" / "42_template.ipynb", tmp_path=tmp_path)
    assert counts(done) == {"passed": 7}, done.stdout


def test_what_differs_between_machines_is_sanitised(fixtures, tmp_path):
    done = nbval(fixtures / "nbval" / "sanitized.ipynb", tmp_path=tmp_path)
    assert counts(done) == {"passed": 2}, done.stdout


def test_a_wrong_output_fails(fixtures, tmp_path):
    done = nbval(fixtures / "nbval" / "wrong_output.ipynb", tmp_path=tmp_path)
    assert counts(done) == {"failed": 1}
    assert done.returncode == 1


def test_a_check_without_output_passes_here_and_fails_the_structure(fixtures, tmp_path):
    """The pitfall itself: the reason why structure.checks_have_output exists."""
    from lib.course import structure

    path = fixtures / "nbval" / "check_without_output.ipynb"
    assert nbval(path, tmp_path=tmp_path).returncode == 0
    assert any("stores no output" in problem for problem in structure.problems(path, "check_without_output"))


def test_a_killed_kernel_fails_at_once(fixtures, tmp_path):
    """nbval alone waits for the whole cell timeout."""
    start = time.monotonic()
    done = nbval(fixtures / "nbval" / "killed_kernel.ipynb", tmp_path=tmp_path)
    assert done.returncode == 1
    assert "the kernel died" in done.stdout
    assert time.monotonic() - start < check.CELL_TIMEOUT / 2


def test_sanitize_file_has_the_lines_that_nbval_reads():
    from nbval.plugin import get_sanitize_patterns

    text = (paths.ROOT / "tests" / "notebooks" / "sanitize.cfg").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "["))]
    assert all(re.match(r"(regex|replace): \S", line) for line in lines)
    patterns = dict(get_sanitize_patterns(text))
    assert len(patterns) == sum(line.startswith("regex: ") for line in lines) > 0
    for pattern in patterns:
        re.compile(pattern)


def test_options_against_nbvals_pitfalls():
    arguments = check.nbval_arguments([])
    assert {"--nbval-lax", "--nbval-current-env", "-p"} <= set(arguments)
    assert any(argument.startswith("--nbval-cell-timeout=") for argument in arguments)
    assert nbval_plugin.OUTPUT_TIMEOUT > 5


@pytest.mark.parametrize("code", [0, 1])
def test_counts_come_from_the_reports(tmp_path, code, monkeypatch):
    """The closing line of `make test` counts what ran; a run that crashed counts as failed."""
    test = tmp_path / "test_it.py"
    test.write_text(
        f"import pytest\n\ndef test_a(): pass\n\ndef test_b(): assert {code} == 0\n\ndef test_c(): pytest.skip('x')\n"
    )
    count = check.pytest(
        "it", [str(test), "-p", "no:cacheprovider", "-c", str(paths.ROOT / "pyproject.toml")], workers=1
    )
    assert str(count) == f"{2 - code} passed, {code} failed, 1 skipped"
    monkeypatch.setattr(check.paths, "BUILD", tmp_path / "none")
    assert check.pytest("it", ["--no-such-option"], workers=1).failed == 1
