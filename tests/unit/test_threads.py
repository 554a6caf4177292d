"""Small work takes one thread, large work all, and the number is put back."""

from __future__ import annotations

import pytest
import torch
import training_helpers as helpers
from torch import nn

from lib import threads
from lib.evaluation import complexity, extract
from lib.methods import create_method
from lib.methods.work import work_of
from lib.methods.wrapped import SuperResolved
from lib.threads import SMALL, few_threads, multiply_adds
from lib.training.loop import Trainer


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_small_work_takes_one_thread_and_gives_them_back(three_threads):
    for work, expected in ((0, 1), (SMALL - 1, 1), (SMALL, 3), (1e12, 3)):
        with few_threads(work):
            assert torch.get_num_threads() == expected
        assert torch.get_num_threads() == 3
    with few_threads():
        assert torch.get_num_threads() == 1
        with few_threads(1e12):
            assert torch.get_num_threads() == 1  # never more than there are
        assert torch.get_num_threads() == 1


def test_they_come_back_after_an_error(three_threads):
    with pytest.raises(KeyError), few_threads():
        raise KeyError
    assert torch.get_num_threads() == 3


def test_the_work_of_a_step():
    layer, images = nn.Conv2d(3, 8, 3, padding=1), torch.zeros(2, 3, 6, 4)
    assert multiply_adds(lambda: layer(images)) == 2 * 6 * 4 * 8 * 3 * 9


def test_quick_methods_are_small_and_those_of_course_are_not():
    for profile, small in (("quick", True), ("course", False)):
        method = create_method("baseline")
        method.setup(profile, 4)
        backbone, canvas = method.backbone.eval(), torch.zeros(1, 3, *method.canvas)
        assert (multiply_adds(lambda b=backbone, c=canvas: b(c)) < SMALL) == small


def test_rendering_takes_one_thread(three_threads, monkeypatch):
    from lib.data.pedestrians import render

    seen = []
    original = render._render
    monkeypatch.setattr(render, "_render", lambda *a: seen.append(torch.get_num_threads()) or original(*a))
    render.render_people(1, 1, 1)
    assert seen == [1] and torch.get_num_threads() == 3


def test_small_networks_choose_one_thread_and_large_ones_keep_theirs(monkeypatch, three_threads):
    """In training and where pictures are described; the caller's threads come back."""
    protocol, seen = helpers.tiny_protocol(), []
    method = create_method("baseline", backbone="bottleneck-8-1", canvas=(32, 16), epochs=1)
    method.setup("quick", 12)
    one = work_of(method)
    assert one == complexity(method.backbone, (32, 16)).macs > 0 and method.training
    assert work_of(SuperResolved(method, torch.nn.Identity())) == one
    losses, embed = method.losses, method.embed
    monkeypatch.setattr(method, "losses", lambda *a: seen.append(torch.get_num_threads()) or losses(*a))
    monkeypatch.setattr(method, "embed", lambda batch, role: seen.append(torch.get_num_threads()) or embed(batch, role))
    for small, expected in ((3e9, 1), (one, 3)):
        monkeypatch.setattr(threads, "SMALL", small)
        seen.clear()
        Trainer(method, protocol, 0, torch.device("cpu"), "fp32").run()
        extract(method, protocol, protocol.rows("train"))
        assert set(seen) == {expected} and torch.get_num_threads() == 3
