"""`make lab`: what is read is a copy of the reader's own, and every link in it leads somewhere."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from lib.course import lab, paths
from lib.course import notebook as notebooks
from lib.paths import ROOT

ALL = sorted(path.relative_to(ROOT / "notebooks") for path in (ROOT / "notebooks").rglob("[0-9]*.ipynb"))


@pytest.fixture
def course(tmp_path):
    """The notebooks of a small course, and where the reader's copies go."""
    folder = tmp_path / "notebooks"
    for name in ("03_a.ipynb", "04_b.ipynb", "exercises/03_a.ipynb", "solutions/03_a.ipynb"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder, tmp_path / "my"


def test_a_copy_of_everything_once(course):
    folder, own = course
    copied, kept = lab.copy(folder, own)
    assert copied == ["03_a.ipynb", "04_b.ipynb", "exercises/03_a.ipynb", "solutions/03_a.ipynb"] and kept == []
    assert all((own / name).read_text() == name for name in copied)
    assert lab.copy(folder, own) == ([], [])


def test_what_the_reader_wrote_is_never_overwritten(course):
    folder, own = course
    lab.copy(folder, own)
    (own / "03_a.ipynb").write_text("mine")
    assert lab.copy(folder, own) == ([], [])
    for path in (folder / "03_a.ipynb", folder / "04_b.ipynb"):
        path.write_text("newer")
    assert lab.copy(folder, own) == (["04_b.ipynb"], ["03_a.ipynb"])  # the one that was not touched follows the course
    assert (own / "03_a.ipynb").read_text() == "mine" and (own / "04_b.ipynb").read_text() == "newer"
    (own / "03_a.ipynb").rename(own / "03_a of mine.ipynb")
    assert lab.copy(folder, own) == (["03_a.ipynb"], [])
    assert (own / "03_a of mine.ipynb").read_text() == "mine"


def test_a_file_that_was_there_before_is_the_readers(course):
    folder, own = course
    (own / "exercises").mkdir(parents=True)
    (own / "exercises" / "03_a.ipynb").write_text("moved here")
    copied, kept = lab.copy(folder, own)
    assert len(copied) == 3 and kept == ["exercises/03_a.ipynb"]
    assert (own / "exercises" / "03_a.ipynb").read_text() == "moved here"


@pytest.mark.parametrize("text", [b"", b'{"03_a.ipynb": "ab', b"[]", b"7", b"\xff\xfe"])
def test_a_damaged_record_is_said_and_made_anew(course, capsys, text):
    folder, own = course
    lab.copy(folder, own)
    (own / "04_b.ipynb").write_text("mine")
    (own / lab.COPIED).write_bytes(text)
    assert lab.copy(folder, own) == ([], ["04_b.ipynb"])  # it may be an old one of the course's: nobody knows
    said = capsys.readouterr().err
    assert f"{own / lab.COPIED} is damaged" in said and "counts as yours and stays" in said
    (folder / "03_a.ipynb").write_text("newer")
    assert lab.copy(folder, own) == (["03_a.ipynb"], ["04_b.ipynb"])  # that it was untouched is known again
    assert (own / "04_b.ipynb").read_text() == "mine" and capsys.readouterr().err == ""


@pytest.mark.parametrize("fails", [{"04_b.ipynb"}, {"04_b.ipynb", lab.COPIED}], ids=["interrupted", "killed"])
def test_what_an_interrupted_copy_left_follows_the_course(course, monkeypatch, fails):
    folder, own = course
    write = lab.write_atomically

    def interrupted(path, how):
        if path.name in fails:
            raise KeyboardInterrupt
        write(path, how)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(lab, "write_atomically", interrupted)
        lab.copy(folder, own)
    assert [path.name for path in own.glob("*.ipynb")] == ["03_a.ipynb"]
    if lab.COPIED in fails:  # nothing was recorded: the next copy finds that they are the course's
        lab.copy(folder, own)
    (folder / "03_a.ipynb").write_text("newer")
    copied, kept = lab.copy(folder, own)
    assert "03_a.ipynb" in copied and kept == []


@pytest.mark.parametrize("name", ALL, ids=str)
def test_every_link_leads_to_a_file(name):
    """From the copy as from the notebook: both stand as deep below the root. A folder opens in no Jupyter."""
    assert paths.OWN.parent == paths.NOTEBOOKS.parent == ROOT
    notebook = notebooks.read(ROOT / "notebooks" / name)
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts += ["".join(output.get("data", {}).get("text/markdown", "")) for output in outputs]
    links = [
        link for text in texts for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.S))
    ]
    for link in links:
        if re.match(r"https?:|mailto:|#", link):
            continue
        place = (ROOT / "notebooks" / name).parent / link.partition("#")[0]
        assert place.is_file(), f"{name} links {link}"
        assert place.resolve().is_relative_to(ROOT)


def test_git_does_not_know_the_copies():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no git here")
    call = ["git", "check-ignore", "my/03_objective.ipynb", "my/exercises/03_objective.ipynb", "out.ipynb"]
    assert subprocess.run(call, cwd=ROOT, capture_output=True, text=True).stdout.split() == call[2:]


def test_the_makefile_hands_options_on():
    said = subprocess.run(
        ["make", "-n", "lab", "ARGS=--port 8889 --no-browser"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert re.search(r"-m lib\.course\.lab --port 8889 --no-browser$", said, re.MULTILINE)


def test_it_becomes_jupyterlab(course, monkeypatch, capsys):
    folder, own = course
    for name, value in (("NOTEBOOKS", folder), ("OWN", own), ("ROOT", folder.parent)):
        monkeypatch.setattr(paths, name, value)
    monkeypatch.setattr(lab.copy, "__defaults__", (folder, own))
    monkeypatch.chdir(folder)
    called = []
    monkeypatch.setattr(os, "execv", lambda *call: called.append(call))
    lab.main(["--port", "8889"])
    ((program, call),) = called
    assert program == sys.executable == call[0] and call[-2:] == ["--port", "8889"]
    assert "4 notebooks copied to my/" in capsys.readouterr().out and (own / "03_a.ipynb").exists()
    (own / "03_a.ipynb").write_text("mine")
    (folder / "03_a.ipynb").write_text("newer")
    lab.main([])
    assert "my/03_a.ipynb is yours and stays" in capsys.readouterr().out


@pytest.mark.slow
def test_a_server_shows_the_copies_and_what_they_link(course, monkeypatch, tmp_path):
    """As root too, on a port, without a browser."""
    folder, own = course
    lab.copy(folder, own)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").write_text("here")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "OWN", own)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--allow-root", "--no-browser", f"--port={port}", "--IdentityProvider.token=word"]
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    log = open(tmp_path / "log", "w+")  # noqa: SIM115 (closed below)
    server = subprocess.Popen(lab.command(options), env=os.environ | folders, stdout=log, stderr=log, cwd=tmp_path)
    try:

        def get(path):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}?token=word", timeout=20) as answer:
                return answer.read().decode(), answer.url

        until = time.monotonic() + 120
        while True:
            try:
                copies = json.loads(get("/api/contents/my")[0])
                break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None and time.monotonic() < until, (tmp_path / "log").read_text()
                time.sleep(0.3)
        assert {"03_a.ipynb", "exercises"} <= {item["name"] for item in copies["content"]}
        assert json.loads(get("/api/contents/data/README.md")[0])["content"] == "here"  # ../data/README.md from my/
        assert "/lab/tree/my" in get("/")[1]
    finally:
        server.terminate()
        server.wait(20)
        log.close()


def test_what_the_reader_says_is_said_once():
    """JupyterLab refuses a folder that is given twice."""
    own, told = (lab.command(options) for options in ([], ["--ServerApp.root_dir=/elsewhere", "--no-browser"]))
    assert sum(part.startswith("--ServerApp.root_dir=") for part in own) == 1
    assert [part for part in told if part.startswith("--ServerApp.root_dir")] == ["--ServerApp.root_dir=/elsewhere"]
    assert any(part.startswith("--LabApp.default_url=") for part in told) and told[-1] == "--no-browser"
