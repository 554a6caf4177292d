"""O over several splits, with made-up surfaces of which the answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from lib.evaluation.objective_draws import ObjectiveDraws, compare, level_of
from lib.experiments.over_splits import compared
from lib.experiments.scoreboard_objective import hardest


def surface(of_split: float, split: int, seed: int = 0, scatter: float = 0.0, people: int = 100) -> ObjectiveDraws:
    """O(1/4, 1) of which the logarithm is ``of_split``, and over people drawn again scatters by ``scatter``."""
    grid, rng = (0.25, 1.0), np.random.default_rng([split, seed])
    drawn = np.exp(of_split + scatter * rng.standard_normal((4000, 1, 1)) * np.ones((1, 2, 2)))
    point = np.exp(np.full((2, 2), of_split))
    kinds = {"value": point, "normalised": point}, {"value": drawn, "normalised": drawn}
    return ObjectiveDraws(grid, *kinds, people, f"split {split}", 0, training=seed)


def test_of_one_split_o_is_compared_as_ever():
    a, b = ([surface(level + seed / 50, 0, seed, 0.1) for seed in range(3)] for level in (0.2, 0.1))
    assert compared(a, b, hardest) == compare(a, b, hardest)


def test_splits_of_one_o_leave_the_scatter_of_one_splits_people():
    """Three splits with the same difference: only people scatter, as much as within one of them, whatever the order."""
    a, b = ([surface(level, split, 0, scatter) for split in range(3)] for level, scatter in ((0.3, 0.1), (0.1, 0.0)))
    found = compared(a, b[::-1], hardest).change()
    width = stats.t.ppf(0.975, 99) * 0.1
    assert found.mean == pytest.approx(np.expm1(0.2)) and (found.trainings, found.trials, found.people) == (3, 3, 100)
    assert [np.log1p(found.low), np.log1p(found.high)] == pytest.approx([0.2 - width, 0.2 + width], abs=0.005)


def test_splits_that_differ_are_the_t_interval_of_their_means():
    """Without people's scatter it is Student's t over the splits, a split's trainings averaged first."""
    levels = [0.0, 0.1, 0.5]
    a = [surface(level + more, k, seed) for k, level in enumerate(levels) for seed, more in enumerate((-0.2, 0.2))]
    b = [surface(0.0, k, seed) for k in range(3) for seed in range(2)]
    found = compared(a, b, hardest).change()
    wanted = stats.t.interval(0.95, 2, np.mean(levels), stats.sem(levels))
    assert np.log1p([found.mean, found.low, found.high]) == pytest.approx([np.mean(levels), *wanted])
    assert (found.trainings, found.trials) == (6, 3)


def test_surfaces_of_other_splits_are_no_pair():
    with pytest.raises(ValueError, match="1 surfaces against 0"):
        compared([surface(0.1, 0), surface(0.1, 1)], [surface(0.0, 0)], hardest)


def test_the_fewest_people_of_a_split_count_and_closed_forms_have_no_trainings():
    a, b = ([surface(level, k, 0, 0.1, people) for k, people in enumerate((25, 40))] for level in (0.2, 0.1))
    assert compared(a, b, hardest).people == 25
    closed = [[replace(one, training=None) for one in side] for side in (a, b)]
    assert not compared(*closed, hardest).chance and compared(a, closed[1], hardest).chance


def test_any_function_of_a_surface_is_compared():
    a, b = ([surface(level, k) for k in range(2)] for level in (0.3, 0.1))
    found = compared(a, b, level_of("O(r, r)"))
    assert (found.mean, found.agree) == (pytest.approx(0.2), True)
    assert compared(a[:1], b[:1], hardest).trials == 1
