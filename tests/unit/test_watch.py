"""Looking at a method while it is trained: scores in the history, and nothing else changed by it."""

from __future__ import annotations

import math
import random

import numpy as np
import pandas as pd
import pytest
import torch
import training_helpers as helpers

from lib.training import fit
from lib.training.checkpoint import Checkpoints

QUIET = {"seed": 0, "progress": False, "precision": "fp32", "device": "cpu"}
TIMES = ["images_per_second", "seconds"]


class Look:
    """A watch that draws from every generator, switches modes, and counts."""

    def __init__(self):
        self.seen = []

    def __call__(self, method) -> float:
        assert not any(module.training for module in method.modules()) and not torch.is_grad_enabled()
        random.random(), np.random.rand(), torch.rand(3)
        method.train()
        method.eval()
        self.seen.append(method.classifier.weight.abs().sum().item())
        return self.seen[-1]


def test_whoever_looks_changes_nothing(tmp_path):
    """Batch statistics, dropout, two stages: the same weights bit by bit, the same key, and scores beside."""
    protocol, look = helpers.tiny_protocol(), Look()
    plain = fit(helpers.Tiny(epochs=3), protocol, runs=tmp_path / "plain", **QUIET)
    watched = fit(helpers.Tiny(epochs=3), protocol, runs=tmp_path / "watched", watch=look, **QUIET)
    assert helpers.same_weights(plain.method, watched.method) and plain.key == watched.key
    assert "score" not in plain.history and len(look.seen) == 6
    np.testing.assert_allclose(watched.history["score"], look.seen)
    pd.testing.assert_frame_equal(plain.history.drop(columns=TIMES), watched.history.drop(columns=[*TIMES, "score"]))


def test_epochs_between_have_no_score_and_the_last_of_a_stage_has(tmp_path):
    run = fit(helpers.Tiny(epochs=3), helpers.tiny_protocol(), runs=tmp_path, watch=Look(), watch_every=2, **QUIET)
    assert run.history["score"].notna().tolist() == [False, True, True] * 2
    assert math.isnan(pd.read_csv(run.directory / "metrics.csv")["score"][0])


def test_a_run_that_nobody_watched_is_found(tmp_path):
    first = fit(helpers.Tiny(), helpers.tiny_protocol(), runs=tmp_path, **QUIET)
    look = Look()
    again = fit(helpers.Tiny(), helpers.tiny_protocol(), runs=tmp_path, watch=look, **QUIET)
    assert again.reused and again.key == first.key and not look.seen and "score" not in again.history


@pytest.mark.parametrize("stop", [3, 9, 20])
def test_a_resumed_run_has_the_same_scores(stop, tmp_path, monkeypatch):
    whole = fit(helpers.Tiny(), helpers.tiny_protocol(), runs=tmp_path / "whole", watch=Look(), **QUIET)
    options = QUIET | {"runs": tmp_path / "stopped", "watch": Look(), "checkpoint_steps": 1}
    save, saved = Checkpoints.save, []

    def stopping(self, step, content):
        path = save(self, step, content)
        saved.append(step)
        if step == stop:
            raise KeyboardInterrupt
        return path

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Checkpoints, "save", stopping)
        fit(helpers.Tiny(), helpers.tiny_protocol(), **options)
    run = fit(helpers.Tiny(), helpers.tiny_protocol(), **options)
    assert saved[-1] == stop and helpers.same_weights(run.method, whole.method)
    pd.testing.assert_frame_equal(run.history.drop(columns=TIMES), whole.history.drop(columns=TIMES))


def test_looking_is_not_training_time(tmp_path, monkeypatch):
    """By a clock that a look moves on by 1,000 s."""
    import time

    now = {"ahead": 0.0}
    real = time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: real() + now["ahead"])

    def slow(method) -> float:
        now["ahead"] += 1000
        return 0.0

    run = fit(helpers.Tiny(epochs=3), helpers.tiny_protocol(), runs=tmp_path, watch=slow, **QUIET)
    assert 0 < run.seconds < 500 and (run.history["seconds"].diff().dropna() > 0).all()
    assert (run.history["images_per_second"] > 1).all()


def test_a_watch_that_trains_is_refused(tmp_path):
    def meddling(method) -> float:
        method.classifier.weight.mul_(2)
        return 0.0

    with pytest.raises(RuntimeError, match="changed weights of tiny"):
        fit(helpers.Tiny(), helpers.tiny_protocol(), runs=tmp_path, watch=meddling, **QUIET)


def test_watch_every_is_a_whole_number(tmp_path):
    with pytest.raises(ValueError, match="watch_every is at least 1"):
        fit(helpers.Tiny(), helpers.tiny_protocol(), runs=tmp_path, watch=Look(), watch_every=0, **QUIET)
