"""The command lines of the package: what is asked for wrongly is said in a line, not in a traceback."""

from __future__ import annotations

import importlib
import re

import pytest

from lib.experiments import rejudge
from lib.paths import ROOT

# what a command needs beside --dataset
FIRST = {"record": ["sing"], "rates": ["jbim"]}
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "lib").rglob("*.py"))}


def asking(option: str) -> list[str]:
    """The modules that are commands and have this option."""
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path, text in SOURCES.items()
        if f'"{option}"' in text and "def main(" in text and "lib/course" not in path.as_posix()
    ]


def refused(module: str, arguments: list[str], capsys) -> str:
    main = importlib.import_module(module).main
    with pytest.raises(SystemExit) as left:
        main([*FIRST.get(module.rpartition(".")[2], []), *arguments])
    assert left.value.code == 2, left.value.code
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("module", asking("--dataset"))
def test_a_data_set_that_nobody_has_is_named(module, capsys):
    assert "'nobody' is no set, no folder and no CSV file" in refused(module, ["--dataset", "nobody"], capsys)


@pytest.mark.parametrize("module", asking("--hours"))
def test_hours_that_never_end_are_refused(module, capsys):
    assert re.search("'?nan'? is no number of hours", refused(module, ["--hours", "nan"], capsys))


def test_help_is_help_and_judges_nothing(capsys, monkeypatch):
    monkeypatch.setattr(rejudge, "table", lambda *_: pytest.fail("judged"))
    with pytest.raises(SystemExit) as left:
        rejudge.main(["--help"])
    assert left.value.code == 0 and "usage" in capsys.readouterr().out
