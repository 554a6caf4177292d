"""People drawn by several processes are those that one draws."""

from __future__ import annotations

import numpy as np
import pytest

from lib.data.readers import rendered, rendering
from lib.data.readers.rendered import people

OPTIONS = {"identities": 5, "cameras": 1, "images_per_camera": 1, "seed": 3, "size": [32, 16], "first_identity": 7}


def test_several_processes_draw_what_one_does(monkeypatch):
    for name, value in {"ENOUGH": 2, "STEP": 2, "AT_ONCE": 2}.items():
        monkeypatch.setattr(rendering, name, value)
    alone, beside = list(people(OPTIONS, "cpu")), list(rendering.shared(people, OPTIONS, "cpu", processes=2))
    assert [item.record for item in alone] == [item.record for item in beside] and len(alone) == 5
    for one, other in zip(alone, beside, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.mask, other.mask)


def test_few_people_are_drawn_here(monkeypatch):
    monkeypatch.setattr(rendering, "_drawn", lambda *_: pytest.fail("another process"))
    assert len(list(rendering.shared(people, OPTIONS, "cpu", processes=8))) == 5
    monkeypatch.setattr(rendering, "ENOUGH", 2)
    assert len(list(rendering.shared(people, OPTIONS, "cpu", processes=1))) == 5


def test_a_process_that_fails_says_why(monkeypatch):
    monkeypatch.setattr(rendering, "ENOUGH", 2)
    with pytest.raises(RuntimeError, match=r"(?s)renders people failed.*needs at least one identity"):
        list(rendering.shared(people, OPTIONS | {"cameras": 0}, "cpu", processes=2))


def test_parts_begin_where_people_are_drawn_together():
    assert rendering.STEP == rendered.PEOPLE_AT_ONCE and rendering.AT_ONCE % rendering.STEP == 0
