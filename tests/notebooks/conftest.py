"""Fixture notebooks, and a clean folder for what is run."""

import resource
import shutil
from pathlib import Path

import pytest

from lib.course import paths, site

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


@pytest.fixture(scope="session")
def html(tmp_path_factory):
    """The site, built once for all that read it."""
    if missing := site.lacking():
        pytest.skip(
            f"the site is not built: {', '.join(missing)} not installed (`make site`, or pip install -e '.[site]')"
        )
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    folder = site.build(tmp_path_factory.mktemp("site"))
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 60, "the site takes more than a minute"
    return folder
