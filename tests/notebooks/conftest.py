"""Fixture notebooks, and a clean folder for what is run."""

import shutil
from pathlib import Path

import pytest

from lib.course import paths

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def fixtures():
    return FIXTURES


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    """Nothing that is run here writes into the repository's figures or build folder."""
    for name in ("COURSE_PROFILE", "COURSE_OWNER", "COURSE_BATCH", "COURSE_EVENTS", "MAKELEVEL", "MAKEFLAGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COURSE_FIGURES", str(tmp_path / "figures"))
    monkeypatch.setenv("COURSE_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(paths, "FIGURES", tmp_path / "figures")
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")


@pytest.fixture
def lesson_folder(tmp_path):
    """A copy of the small lesson, its solution and its exercise, to be changed at will."""
    return Path(shutil.copytree(FIXTURES / "lesson", tmp_path / "lesson"))
