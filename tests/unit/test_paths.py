"""A file is replaced as a whole or not at all."""

import os

import pytest

from lib import paths


def test_the_root_is_the_repository():
    assert (paths.ROOT / "pyproject.toml").exists()
    assert (paths.DATA / "published").is_dir()


def test_all_of_it_or_nothing(tmp_path):
    target = tmp_path / "a.csv"
    paths.write_atomically(target, lambda path: path.write_text("one"))
    assert target.read_text() == "one"

    def half(path):
        path.write_text("tw")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="the disk is full: free some space.*a.csv"):
        paths.write_atomically(target, half)
    assert target.read_text() == "one"
    assert os.listdir(tmp_path) == ["a.csv"]
    with pytest.raises(FileNotFoundError):
        paths.write_atomically(tmp_path / "none" / "a.csv", lambda path: path.write_text("x"))
    with pytest.raises(FileNotFoundError):  # a writer that wrote nothing is no success
        paths.write_atomically(target, lambda path: None)
    assert target.read_text() == "one"


def test_files_that_belong_together_are_replaced_together(tmp_path):
    """Where the second cannot be written the first is as it was too."""
    table, about = tmp_path / "a.csv", tmp_path / "a.json"
    paths.write_together({table: lambda path: path.write_text("one"), about: lambda path: path.write_text("of one")})

    def killed(path):
        path.write_text("of tw")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paths.write_together({table: lambda path: path.write_text("two"), about: killed})
    assert (table.read_text(), about.read_text()) == ("one", "of one")
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "a.json"]
