"""Lesson 99's sliders: a move describes one picture and shows whom it finds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib.experiments.explore import Explorer


def search_sliders(explorer: Explorer, start: float = 1 / 4) -> None:
    """Show sliders over person, resolution, kernel, method and the gallery, and what the search finds, live.

    In a batch run (``make course``, tests) nobody moves a slider, and a stored one would be dead: one line says so.
    """
    if os.environ.get("COURSE_BATCH") == "1":
        print("the sliders are here when the lesson is opened: make lab")
        return
    import ipywidgets as widgets
    from IPython.display import display

    from lib.experiments.explore import GALLERIES, KERNELS, RATIOS
    from lib.plots import style
    from lib.plots.explore import search

    wide = {"layout": widgets.Layout(width="420px"), "style": {"description_width": "110px"}}
    names = [(style.looks([name])[name].label.replace("\n", " "), name) for name in explorer.methods]
    person = widgets.IntSlider(0, 0, len(explorer.probes) - 1, description="person", **wide)
    options = [(style.ratio_name(ratio), ratio) for ratio in RATIOS]
    ratio = widgets.SelectionSlider(options=options, value=start, description="resolution", **wide)
    kernel = widgets.ToggleButtons(options=KERNELS, description="made small by", style=wide["style"])
    method = widgets.Dropdown(options=names, description="method", **wide)
    options = [(style.ratio_name(size), size) for size in GALLERIES]
    gallery = widgets.SelectionSlider(options=options, value=1.0, description="gallery", **wide)
    where = widgets.Checkbox(False, description="show where it is similar", **wide)
    shown = widgets.HTML()

    def show(_=None) -> None:
        look = explorer.look(method.value, person.value, ratio.value, kernel.value, where.value, gallery.value)
        curve = explorer.curve(method.value, kernel.value, gallery.value)
        shown.value = search(look, explorer.pictures_at(gallery.value), method.value, curve, ratio.value)

    controls = [person, ratio, kernel, method, gallery, where]
    for control in controls:
        control.observe(show, "value")
    show()
    display(widgets.VBox([*controls, shown]))
