"""The explorer's page in a real browser: moved by its sliders and by the keyboard, on a desk and on a phone."""

from __future__ import annotations

from statistics import median

import browser
import pytest

from lib.course import explore_kept, explore_page
from lib.data import load_dataset
from lib.experiments import explore
from lib.experiments.baseline import HISTOGRAM
from lib.experiments.study import cells

pytestmark = pytest.mark.skipif(
    browser.found() is None, reason="no Chromium with its driver here (Debian: apt install chromium chromium-driver)"
)
LIST = "return [...document.querySelectorAll('#found canvas')].map(c => c.getAttribute('aria-label')).join('; ')"
MOVE = "const s = document.getElementById(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('input'));"
DRAWN = (
    "return [...document.querySelectorAll('canvas')].every(c => c.getAttribute('aria-label') && "
    "c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0 && v < 255))"
)


@pytest.fixture(scope="module")
def made():
    (cell,) = cells(load_dataset("pedestrians", identities=60), "mlr")
    explorer = explore.Explorer(cell.protocol, explore.untrained(cell, "quick"), people=12)
    return explorer, explore_page.computed(explorer, "rendered people")


@pytest.fixture(scope="module")
def window(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "explore.html").write_text(explore_page.page(made[1]), encoding="utf-8")
    with browser.opened(tmp_path_factory.mktemp("profile")) as window:
        window.open((folder / "explore.html").as_uri())
        window.until(DRAWN)
        yield window


def expected(explorer, method, person, ratio, kernel=0) -> str:
    one = explorer.look(list(explorer.methods)[method], person, explore.RATIOS[ratio], explore.KERNELS[kernel])
    whose = ["the right person" if right else "another person" for right in one.right[: explore_page.TOP]]
    return "; ".join(f"Place {place}: {who}" for place, who in enumerate(whose, 1))


def test_sliders_change_the_list_to_what_the_search_finds(window, made):
    explorer, _ = made
    for person, ratio, method in ((0, 4, 0), (5, 4, 0), (5, 7, 0), (5, 0, 1), (11, 6, 0)):
        for name, value in (("person", person), ("ratio", ratio), ("method", method)):
            window.run(MOVE, name, value)
        wanted = expected(explorer, method, person, ratio)
        window.until(LIST.replace("return ", "return arguments[0] === "), wanted)
        text = window.run("return document.getElementById('answer').textContent")
        assert ("first" in text) == wanted.startswith("Place 1: the right")
        assert window.until(DRAWN)
    assert window.log() == []


def test_a_key_moves_a_slider(window):
    window.run(MOVE, "person", 3)
    window.run("document.getElementById('person').focus()")
    window.press("\ue014")  # right arrow
    window.until("return document.getElementById('who').textContent.startsWith('5 of')")
    assert "person=4" in window.run("return location.hash")


def test_it_fits_a_phone(window):
    window.resize(500, 900)  # no window is narrower here: the page's own width is set
    window.run("document.body.style.width = '390px'")
    wide = window.run(
        "const edge = document.body.getBoundingClientRect().right + 1;"
        "return [...document.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > edge)"
        ".map(e => e.tagName + '#' + e.id)"
    )
    assert wide == []


# from a slider's event to the last change of the page, in ms
TIMED = """
const [name, value, done] = arguments, slider = document.getElementById(name);
let last = performance.now();
const observer = new MutationObserver(() => { last = performance.now(); });
observer.observe(document.body, {attributes: true, childList: true, subtree: true, characterData: true});
const started = performance.now();
slider.value = value;
slider.dispatchEvent(new Event('input'));
setTimeout(() => { observer.disconnect(); done(last - started); }, 400);
"""


@pytest.mark.slow
def test_the_whole_page_shows_what_is_kept_of_every_method(window, tmp_path):
    """The page of the site, of ``data/explore``; beside it colours alone, which are searched now."""
    (cell,) = cells(load_dataset("pedestrians"), "mlr")
    colours = {HISTOGRAM: explore.untrained(cell, "course")[HISTOGRAM]}
    explorer = explore.Explorer(cell.protocol, colours, explore_page.PEOPLE)
    try:
        kept, _ = explore_kept.read(explorer, "course", explore_page.TOP)
    except explore_kept.Stale as stale:
        pytest.skip(f"data/explore is not of today's code: {stale}")
    (tmp_path / "explore.html").write_text(explore_page.page(explore_page.computed(explorer, "about", kept)))
    window.open((tmp_path / "explore.html").as_uri())
    window.until(DRAWN)
    assert window.run("return document.getElementById('method').options.length") == len(kept) + 1
    people, top, took = len(explorer.probes), explore_page.TOP, []
    shown = explorer.gallery["pid"].to_numpy()
    for number, method in enumerate(kept):
        person, ratio = 7 * number % people, number % len(explore.RATIOS)
        for name, value in (("person", person), ("ratio", ratio), ("method", number)):
            took.append(window.call("execute/async", script=TIMED, args=[name, value]))
        at = ratio * people + person
        right = shown[method["order"][at * top : (at + 1) * top]] == explorer.probes["pid"][person]
        whose = ["the right person" if one else "another person" for one in right]
        wanted = "; ".join(f"Place {place}: {who}" for place, who in enumerate(whose, 1))
        window.until(LIST.replace("return ", "return arguments[0] === "), wanted)
        assert window.until(DRAWN)
    assert window.log() == []
    print(f"a move: {median(took):.0f} ms, {min(took):.0f} to {max(took):.0f}")
