"""Lesson 99 in JupyterLab, in a real browser: a key moves a slider, and the list of whom it finds changes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess

import browser
import pytest

from lib.course import lab, paths
from lib.experiments import explore
from lib.experiments.study import cells

pytestmark = pytest.mark.skipif(
    browser.found() is None, reason="no Chromium with its driver here (Debian: apt install chromium chromium-driver)"
)
LESSON = "99_explore.ipynb"
HANDLES = "return [...document.querySelectorAll('.widget-slider .noUi-handle')]"  # person, resolution, gallery
SHOWN = "return document.querySelector('.widget-html-content')?.innerHTML ?? ''"
# the lesson is open and its kernel waits for work
READY = """
const panel = window.jupyterapp?.shell.currentWidget;
const kernel = panel?.sessionContext?.session?.kernel;
return document.querySelectorAll('.jp-Notebook .jp-Cell').length > 5 && kernel?.status === 'idle';
"""
# what a reader would see where the sliders do not come: the cells' numbers, their errors, a question that waits
SEEN = """
const texts = what => [...document.querySelectorAll(what)].map(e => e.textContent.slice(0, 300));
const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status;
return JSON.stringify([kernel, texts('.jp-InputPrompt'), texts('.jp-RenderedText'), texts('.jp-Dialog')]);
"""
# from the key to the changed list, in ms: measured in the page itself
WATCHED = """
const shown = document.querySelector('.widget-html-content');
window.changed = null;
const observer = new MutationObserver(() => {
  window.changed = performance.now() - window.pressed;
  observer.disconnect();
});
observer.observe(shown, {childList: true, subtree: true, characterData: true});
document.addEventListener('keydown', () => { window.pressed = performance.now(); }, {capture: true, once: true});
document.querySelectorAll('.widget-slider .noUi-handle')[arguments[0]].focus();
"""


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    """The lesson, run in JupyterLab as ``make lab`` opens it, in a folder of its own."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(paths.NOTEBOOKS / LESSON, folder / LESSON)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--ServerApp.root_dir={folder}", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    options += ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", "--no-browser", "--allow-root"]
    own = {f"JUPYTER{name}": str(folder / f".{name}") for name in ("_CONFIG_DIR", "_RUNTIME_DIR", "_DATA_DIR")}
    own |= {f"JUPYTERLAB_{name}_DIR": str(folder / f".{name}") for name in ("SETTINGS", "WORKSPACES")}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COURSE_")}
    own |= {"COURSE_PROFILE": "quick", "REID_RUNS": str(folder / "runs"), "PYTHONPATH": str(paths.ROOT)}
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(lab.command(options), env=kept | own, stdout=log, stderr=log, cwd=folder)
    try:
        with browser.opened(
            tmp_path_factory.mktemp("profile"), height=6000
        ) as window:  # high: cells out of sight are not there
            address = f"http://127.0.0.1:{port}"
            browser.wait(lambda: browser.answers(f"{address}/api"), f"JupyterLab ({folder}/log)", 90)
            window.open(f"{address}/lab/tree/{LESSON}?reset")
            window.until(READY, seconds=180)  # without its kernel "run all cells" does nothing
            window.run("window.jupyterapp.commands.execute('notebook:run-all-cells')")
            window.until(HANDLES + ".length === 3", seen=SEEN, seconds=300)
            window.until(SHOWN + ".length > 0")
            yield window
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_a_key_on_a_slider_changes_whom_it_finds(window):
    for slider, label in ((0, "person"), (1, "resolution")):
        before = window.run(SHOWN)
        window.run(WATCHED, slider)
        window.press("\ue014")  # right arrow
        took = window.until("return window.changed", seconds=30)
        print(f"{label}: {took:.0f} ms from the key to the changed list")
        assert window.run(SHOWN) != before
    people = window.run(
        "return [...document.querySelectorAll('.widget-slider .widget-readout')].map(e => e.textContent)"
    )
    assert people == ["1", "1/6", "full"]


def test_what_is_shown_is_what_the_search_finds(window):
    """The second person at 1/6 by the first method, whatever the sliders were before."""
    from lib.data import load_dataset
    from lib.plots.explore import search

    (cell,) = cells(load_dataset("pedestrians", identities=100), "mlr")  # ``lesson.people`` in quick
    methods = explore.untrained(cell, "quick")
    explorer = explore.Explorer(cell.protocol, methods, people=20)
    name = next(iter(methods))
    wanted = search(explorer.look(name, 1, 1 / 6), explorer.pictures, name, explorer.curve(name), 1 / 6)
    written = "const box = document.createElement('div'); box.innerHTML = arguments[0]; return box.innerHTML"
    assert window.run(SHOWN) == window.run(written, wanted)  # both as the browser writes them, pictures and all
