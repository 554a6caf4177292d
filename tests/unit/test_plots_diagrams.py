"""The block diagrams: all is on the page, and no text is on another or beyond its box."""

from __future__ import annotations

import itertools

import pytest
from matplotlib.patches import FancyBboxPatch

from lib.plots import diagrams, style

PAGES = {name: getattr(diagrams, name) for name in ("baseline", "sing", "jbim", "pshrnet", "ftwa", "ffsr", "rife")}
SAID = {
    "baseline": ("BNNeck", "batch-hard triplet", "cross entropy"),
    "sing": ("F_{sr}", "F_{fe}", "F_c", "L_s(f^{h})", "L_s(f^{h2l})", "L_s(f^{l})", "alpha"),
    "jbim": ("F_{sr}", "HIM", "LIM", "fusion", "beta"),
    "pshrnet": ("VDSR-CA", "teacher", "pupil", "Seq(5)", "l_c", "L_{SR}", "L_{ID}", "L_{PS}", "phase 2"),
    "ffsr": ("6 conv", "Gaussian", "I^h"),
    "rife": ("w_L m_L", "block 2", "beta"),
    "ftwa": ("E_H", "E_L", "E_{ID}", "RAFT", "C_{HR}", "W_{LR}", "F_{HR} - T(F'_{LR})", "a_i a_p", "copy at 1/3"),
}


@pytest.fixture(params=PAGES)
def page(request):
    fig = PAGES[request.param]()
    fig.draw_without_rendering()
    yield request.param, fig
    style.plt.close("all")


def test_what_the_method_consists_of_is_there(page):
    name, fig = page
    shown = "\n".join(text.get_text() for text in fig.axes[0].texts)
    assert all(part in shown for part in SAID[name])
    assert style.described(fig).startswith(fig.get_label()) and fig.get_label()


def test_nothing_overlaps_or_leaves_the_page(page):
    _, fig = page
    texts = [text.get_window_extent() for text in fig.axes[0].texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(texts, 2))
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= fig.bbox.x1 and box.y1 <= fig.bbox.y1 for box in texts)
    boxes = [p.get_window_extent() for p in fig.axes[0].patches if isinstance(p, FancyBboxPatch)]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    for text, box in itertools.product(texts, boxes):
        inside = box.x0 <= text.x0 and text.x1 <= box.x1 and box.y0 <= text.y0 and text.y1 <= box.y1
        assert inside or not box.overlaps(text)
