"""The site in a real browser: on a phone, light and dark, with its formulas, its folds and its search."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading

import browser
import pytest

pytestmark = pytest.mark.skipif(
    browser.found() is None, reason="no Chromium with its driver here (Debian: apt install chromium chromium-driver)"
)
PAGES = (
    "index.html", "VERDICTS.html", "glossary.html", "teaching.html", "equations.html", "notebooks/02_measuring.html",
    "notebooks/10_sing.html", "notebooks/31_jbim_ablations.html", "notebooks/90_one_protocol.html",
    "notebooks/exercises/10_sing.html", "notebooks/solutions/10_sing.html",
)  # fmt: skip
READY = (
    "return document.readyState === 'complete' && (!window.MathJax || !!(MathJax.startup && MathJax.startup.promise))"
)
SETTLED = """
const done = arguments[arguments.length - 1];
(window.MathJax && MathJax.startup ? MathJax.startup.promise : Promise.resolve()).then(() => done(true));
"""
# what sticks out of the page and lies in nothing that scrolls
OUTSIDE = """
const edge = document.documentElement.clientWidth + 1;
const scrolls = e => ['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(e).overflowX);
const inside = e => { for (let a = e; a && a !== document.body; a = a.parentElement) if (scrolls(a)) return true; };
return [...document.querySelectorAll('article *')]
  .filter(e => e.getBoundingClientRect().width && e.getBoundingClientRect().right > edge && !inside(e))
  .map(e => e.tagName + ' ' + e.textContent.slice(0, 40));
"""
# the contrast of the text of each kind with what is painted behind it (WCAG 2.1)
CONTRAST = """
const light = c => c.map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const parts = text => text.match(/[\\d.]+/g).map(Number);
const behind = e => { for (let a = e; a; a = a.parentElement) {
  const c = parts(getComputedStyle(a).backgroundColor);
  if (c.length < 4 || c[3] > 0.99) return c.slice(0, 3);
} return [255, 255, 255]; };
const found = {};
for (const kind of arguments[0]) for (const e of document.querySelectorAll(kind)) {
  if (!e.textContent.trim() || !e.getBoundingClientRect().width) continue;
  const [a, b] = [light(parts(getComputedStyle(e).color).slice(0, 3)), light(behind(e))].sort((x, y) => y - x);
  found[kind] = Math.min(found[kind] ?? 99, (a + 0.05) / (b + 0.05));
}
return found;
"""
KINDS = (
    "article p", "article h1", "article h2", "article td", "article th", "article a", "article li", "pre span",
    ".cell_output pre", "details.hide > summary", ".sidebar-tree a",
)  # fmt: skip


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *told):
        """Nobody reads it."""


@pytest.fixture(scope="module")
def address(html):
    """The site as a server gives it: a browser lets no page of a folder search."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=html)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browser.opened(tmp_path_factory.mktemp("profile")) as window:
        yield window


@contextlib.contextmanager
def on_a_phone(window):
    window.phone()
    yield window
    window.desk()


def shown(window, address: str) -> None:
    """Open a page and wait until its formulas are set."""
    window.open(address)
    window.until(READY)
    assert window.call("execute/async", script=SETTLED, args=[])


@pytest.mark.parametrize("page", PAGES)
def test_nothing_sticks_out_of_a_phone(window, address, page):
    with on_a_phone(window):
        shown(window, f"{address}/{page}")
        assert window.run("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]
        assert window.run(OUTSIDE) == []
    assert window.log() == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_all_text_can_be_read(window, address, page, theme):
    """A contrast of 4.5 is what WCAG asks of small letters."""
    shown(window, f"{address}/{page}")
    window.run("document.body.dataset.theme = arguments[0]", theme)
    (dark,) = window.run(
        "return [getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number).every(v => v < 60)]"
    )
    assert dark == (theme == "dark")
    found = window.run(CONTRAST, list(KINDS))
    assert "article p" in found and {kind: c for kind, c in found.items() if c < 4.5} == {}
    papers = window.run(
        "return [...document.querySelectorAll('.cell_output img')].map(e => getComputedStyle(e).backgroundColor)"
    )
    assert set(papers) <= {"rgb(255, 255, 255)"}  # drawn with dark letters: they keep their paper


def test_formulas_are_set(window, address):
    shown(window, f"{address}/notebooks/10_sing.html")
    assert window.run("return document.querySelectorAll('mjx-container').length") > 10
    assert window.run("return [...document.querySelectorAll('mjx-merror')].map(e => e.textContent)") == []
    height = "return document.querySelector('mjx-container[display=true]').getBoundingClientRect().height"
    assert window.run(height) > 20


def test_code_is_folded_until_it_is_asked_for(window, address):
    shown(window, f"{address}/notebooks/10_sing.html")
    seen = "return document.querySelector('details.hide pre').checkVisibility()"
    assert not window.run(seen)
    window.run("document.querySelector('details.hide > summary').click()")
    assert window.until(seen)


def test_what_is_beyond_the_core_is_folded(window, address):
    """All of the section, and nothing behind it."""
    shown(window, f"{address}/notebooks/22_ripr.html")
    assert window.run("return document.querySelectorAll('details.beyond').length") == 3
    seen = "return [...document.querySelectorAll('details.beyond img')].map(e => e.checkVisibility())"
    assert window.run(seen) and not any(window.run(seen))
    after = "return document.getElementById('published-beside-measured').checkVisibility()"
    assert window.run(after)
    window.run("document.querySelectorAll('details.beyond > summary').forEach(e => e.click())")
    assert all(window.run(seen)) and window.run(after)


def test_a_search_finds_the_lesson(window, address):
    window.open(f"{address}/search.html?q=triplet")
    titles = "[...document.querySelectorAll('#search-results li a')].map(e => e.textContent)"
    assert window.until(f"return {titles}.length > 2 && {titles}.some(title => title.includes('JBIM'))")


def test_the_next_lesson_is_one_click_away(window, address):
    shown(window, f"{address}/notebooks/10_sing.html")
    window.run("[...document.querySelectorAll('article a')].find(a => a.textContent.includes('11 SING')).click()")
    assert window.until("return location.pathname.endsWith('/notebooks/11_sing_ablations.html')")
