"""Surfaces of O over people drawn again: against loops over pairs, and effects against closed forms."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from lib.data import PersonDataset, make_protocol
from lib.evaluation import (
    compare,
    draws_from_features,
    level_of,
    objective_draws,
    objective_from_features,
    objective_surface,
    slope_of,
)
from lib.evaluation.intervals import combined, identity_weights, limits
from lib.methods.method import Method

GRID = (0.25, 0.5, 1.0)
PEOPLE = 6


def views(seed, people=PEOPLE, images=24, dimensions=5, blur=1.0):
    """Features (N, D) at every r of GRID, the noisier the lower r; every person has two images or more."""
    rng = np.random.default_rng(seed)
    ids = np.concatenate([np.arange(people).repeat(2), rng.integers(0, people, images - 2 * people)])
    sharp = rng.standard_normal((people, dimensions))[ids] + rng.standard_normal((images, dimensions))
    return [sharp + blur * (1 - r) * rng.standard_normal(sharp.shape) for r in GRID], ids


def over_pairs(f1, f2, ids, weights, same_view):
    """Raw and normalised O of Eq. 2 in loops, person c there ``weights[c]`` times; no pair of two copies of one."""
    drawn = [(i, copy) for i in range(len(ids)) for copy in range(int(weights[ids[i]]))]
    sums, counts = np.zeros(2), np.zeros(2)
    for at, (i, a) in enumerate(drawn):
        for i2, a2 in drawn[at + 1 :] if same_view else drawn:
            different = int(ids[i] != ids[i2])
            if different or (a == a2 and i != i2):
                sums[different] += ((f1[i] - f2[i2]) ** 2).sum()
                counts[different] += 1
    return sums[0] / sums[1], (sums[0] / counts[0]) / (sums[1] / counts[1])


def known(objective_at, people=5):
    """Features whose normalised O(r, r) is ``objective_at(r)`` (below 2), the same for whoever is drawn.

    People at distance 1 from each other, their two images at +a and -a on an axis of their own:
    O(r, r) = 4 a^2 / (1 + 2 a^2) and O(r, 1) = (a_r + a_1)^2 / (1 + a_r^2 + a_1^2).
    """
    ids = np.arange(people).repeat(2)
    spread = [np.sqrt(objective_at(r) / (4 - 2 * objective_at(r))) for r in GRID]
    centres, sides = np.eye(people)[ids] / np.sqrt(2), np.tile([1.0, -1.0], people)
    return [np.column_stack([centres, a * sides]) for a in spread], ids, np.array(spread)


def test_points_equal_the_single_objectives_and_the_loops():
    features, ids = views(0)
    found = draws_from_features(features, ids, GRID, resamples=0)
    for i, f1 in enumerate(features):
        for j, f2 in enumerate(features):
            single = objective_from_features(f1, None if i == j else f2, ids, resamples=0)
            raw, normalised = over_pairs(f1, f2, ids, np.ones(PEOPLE), i == j)
            assert found.points["value"][i, j] == pytest.approx(single.value) == pytest.approx(raw)
            assert found.points["normalised"][i, j] == pytest.approx(single.normalised) == pytest.approx(normalised)
    assert (found.people, found.resamples, found.grid) == (PEOPLE, 0, GRID)
    assert np.isnan(found.effect(level_of("O(r, r)")).low) and found.curves()["low"].isna().all()


def test_draws_equal_the_loops_over_repeated_people():
    features, ids = views(1)
    found = draws_from_features(features, ids, GRID, resamples=4, seed=3)
    (weights,) = identity_weights(np.random.default_rng(3), PEOPLE, 4)
    assert weights.max() > 1 and found.draws["value"].shape == (4, 3, 3)
    for b, weight in enumerate(weights):
        for i, j in ((0, 0), (0, 2), (2, 0), (1, 1)):
            raw, normalised = over_pairs(features[i], features[j], ids, weight, i == j)
            assert found.draws["value"][b, i, j] == pytest.approx(raw * (PEOPLE - 1) / PEOPLE)
            assert found.draws["normalised"][b, i, j] == pytest.approx(normalised)


def test_curves_are_the_diagonal_and_the_last_column_with_the_limits_of_the_single_objectives():
    features, ids = views(2)
    table = draws_from_features(features, ids, GRID, resamples=300, seed=5).curves(level=0.9)
    limits = ["low", "high", "normalised_low", "normalised_high"]
    assert set(table) == {"curve", "r", "value", "normalised", *limits} and len(table) == 6
    for row in table.itertuples():
        other = features[GRID.index(row.r)] if row.curve == "O(r, r)" else features[-1]
        first = features[GRID.index(row.r)]
        single = objective_from_features(
            first, None if other is first else other, ids, resamples=300, seed=5, level=0.9
        )
        for name in ("value", "normalised", *limits):
            assert getattr(row, name) == pytest.approx(getattr(single, name))


def test_a_power_law_has_its_slope_and_its_level():
    c, s = 0.3, 0.8
    features, ids, spread = known(lambda r: c * r**-s)
    found = draws_from_features(features, ids, GRID, resamples=50)
    for kind, unit in (("normalised", 1.0), ("value", 1 / (2 * (5 - 1)))):  # raw: (n - 1) / (n (C - 1)) times as large
        np.testing.assert_allclose(np.diag(found.points[kind]), unit * c * np.array(GRID) ** -s)
        slope = found.effect(slope_of(GRID, "O(r, r)"), kind)
        assert (slope.mean, slope.low, slope.high) == pytest.approx((s, s, s)) and slope.excludes_zero
        level = np.exp(found.effect(level_of("O(r, r)"), kind).mean)
        assert level == pytest.approx(unit * c * np.prod(GRID) ** (-s / 3))
    against_full = (spread + spread[-1]) ** 2 / (1 + spread**2 + spread[-1] ** 2)
    np.testing.assert_allclose(found.points["normalised"][:, -1], against_full)
    assert found.effect(level_of("O(r, 1)")).mean == pytest.approx(np.log(against_full).mean())
    by_numpy = -np.polyfit(np.log2(GRID), np.log2(against_full), 1)[0]
    assert found.effect(slope_of(GRID, "O(r, 1)")).mean == pytest.approx(by_numpy)


def test_an_objective_that_falls_with_resolution_has_a_negative_slope():
    features, ids, _ = known(lambda r: 0.5 * r)
    assert draws_from_features(features, ids, GRID).effect(slope_of(GRID, "O(r, r)")).mean == pytest.approx(-1)


def test_named_effects_take_one_surface_or_many():
    surfaces = np.random.default_rng(0).uniform(0.1, 1, (4, 2, 3, 3))
    for function in (level_of("O(r, r)"), level_of("O(r, 1)"), slope_of(GRID, "O(r, r)"), slope_of(GRID, "O(r, 1)")):
        assert function(surfaces).shape == (4, 2)
        assert function(surfaces)[1, 0] == pytest.approx(function(surfaces[1, 0]))


@pytest.mark.parametrize("kind", ["value", "normalised"])
def test_the_same_people_are_drawn_for_both_sides(kind):
    features, ids = views(4)
    one, same = (draws_from_features(features, ids, GRID, resamples=200) for _ in range(2))
    nothing = compare(one, same, level_of("O(r, 1)"), kind)
    assert (nothing.mean, nothing.low, nothing.high) == (0, 0, 0) and not nothing.excludes_zero
    doubled = replace(one, **{part: {k: 2 * v for k, v in getattr(one, part).items()} for part in ("points", "draws")})
    shift = compare(doubled, one, level_of("O(r, 1)"), kind)
    assert (shift.mean, shift.low, shift.high) == pytest.approx((np.log(2),) * 3)
    percent = shift.change()
    assert (percent.mean, percent.low, percent.high) == pytest.approx((1, 1, 1)) and percent.people == PEOPLE
    assert compare(doubled, one, slope_of(GRID, "O(r, r)"), kind).mean == pytest.approx(0)


def test_two_sets_of_features_differ_by_the_known_factor():
    (low, ids, _), (high, _, _) = known(lambda r: 0.2 / r), known(lambda r: 0.4 / r)
    a, b = (draws_from_features(f, ids, GRID, resamples=50) for f in (low, high))
    change = compare(a, b, level_of("O(r, r)")).change()
    assert (change.mean, change.low, change.high) == pytest.approx((-0.5, -0.5, -0.5)) and change.excludes_zero


def test_the_paired_interval_is_narrower_than_the_sides_own():
    features, ids = views(6, people=30, images=120)
    other = [f + 0.1 * np.random.default_rng(9).standard_normal(f.shape) for f in features]
    a, b = (draws_from_features(f, ids, GRID, resamples=300) for f in (features, other))
    paired, own = compare(a, b, level_of("O(r, r)")), a.effect(level_of("O(r, r)"))
    assert paired.high - paired.low < (own.high - own.low) / 3
    assert paired.mean == pytest.approx(own.mean - b.effect(level_of("O(r, r)")).mean)


def test_trainings_are_averaged_and_their_scatter_is_added():
    people = 40
    sides = {}
    for blur in (1.0, 3.0):
        sides[blur] = []
        for seed in range(3):
            features, ids = views(0, people=people, images=4 * people, blur=blur)
            features = [f + 0.3 * np.random.default_rng([seed, int(blur)]).standard_normal(f.shape) for f in features]
            sides[blur].append(draws_from_features(features, ids, GRID, resamples=200, training=seed))
    level = level_of("O(r, r)")
    singles = [compare(a, b, level) for a, b in zip(sides[3.0], sides[1.0], strict=True)]
    assert all(one.trainings == 1 and one.agree and one.chance for one in singles)
    found = compare(sides[3.0], sides[1.0], level)
    assert found.mean == pytest.approx(np.mean([one.mean for one in singles]))
    assert found.values == pytest.approx([one.mean for one in singles]) and found.trainings == 3 and found.agree
    drawn = np.mean(
        [
            level(a.draws["normalised"]) - level(b.draws["normalised"])
            for a, b in zip(sides[3.0], sides[1.0], strict=True)
        ],
        axis=0,
    )
    error, freedom = combined(drawn.var(), people - 1, np.array(found.values))
    assert (found.low, found.high) == pytest.approx(limits(found.mean, error, freedom, 0.95))
    assert found.change().values == pytest.approx(np.expm1(found.values))
    with pytest.raises(ValueError, match="a training is there twice"):
        compare([sides[3.0][0]] * 2, [sides[1.0][0]] * 2, level)
    with pytest.raises(ValueError, match="3 surfaces against 1"):
        compare(sides[3.0], sides[1.0][0], level)
    still = [replace(some, training=None) for some in (sides[3.0][0], sides[1.0][0])]
    assert not compare(*still, level).chance


def test_one_seed_gives_one_result():
    features, ids = views(7)
    one, two, other = (draws_from_features(features, ids, GRID, resamples=20, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.draws["value"], two.draws["value"])
    np.testing.assert_array_equal(one.points["value"], other.points["value"])
    assert (one.draws["value"] != other.draws["value"]).any()
    tensors = draws_from_features([torch.tensor(f) for f in features], [f"{i:03d}" for i in ids], GRID, 20, 1)
    np.testing.assert_allclose(tensors.draws["normalised"], one.draws["normalised"])


def test_surfaces_that_are_not_paired_are_refused():
    features, ids = views(8)
    one = draws_from_features(features, ids, GRID, resamples=20)
    others = {
        "grid": draws_from_features(features, ids, (0.125, 0.5, 1.0), resamples=20),
        "protocol": draws_from_features(features, ids, GRID, resamples=20, protocol_sha256="ab"),
        "people": draws_from_features([f[ids > 0] for f in features], ids[ids > 0], GRID, resamples=20),
        "ids": draws_from_features(
            [f[::-1] for f in features], ids[::-1], GRID, resamples=20
        ),  # drawn in another order
        "pairs": draws_from_features(features, ids, GRID, resamples=20, cams=np.arange(len(ids)) % 2),
        "seed": draws_from_features(features, ids, GRID, resamples=20, seed=1),
        "resamples": draws_from_features(features, ids, GRID, resamples=21),
    }
    for what, other in others.items():
        with pytest.raises(ValueError, match=f"not paired, they differ in {what}"):
            compare(one, other, level_of("O(r, r)"))


def test_wrong_input_is_refused():
    features, ids = views(9)
    for grid in ((), (0.5, 0.25, 1.0), (0.5, 0.5, 1.0), (0.25, 0.5, 0.75), (0.0, 0.5, 1.0)):
        with pytest.raises(ValueError, match="must rise"):
            draws_from_features(features, ids, grid)
    with pytest.raises(ValueError, match="2 arrays of features for 3"):
        draws_from_features(features[:2], ids, GRID)
    with pytest.raises(ValueError, match="features have shapes"):
        draws_from_features([*features[:2], features[2][:-1]], ids, GRID)
    with pytest.raises(ValueError, match="every identity has a single image"):
        draws_from_features(features, np.arange(len(ids)), GRID)
    found = draws_from_features(features, ids, GRID, resamples=10)
    with pytest.raises(ValueError, match=r"map \(..., R, R\)"):
        found.effect(lambda o: o[0, 0])
    with pytest.raises(ValueError, match="unknown kind"):
        found.effect(level_of("O(r, r)"), "mean")
    with pytest.raises(ValueError, match="unknown curve"):
        level_of("O(1, r)")
    with pytest.raises(ValueError, match="two resolutions"):
        slope_of([1.0], "O(r, r)")


def test_a_collapsed_network_has_no_effect():
    with pytest.warns(RuntimeWarning, match="same feature"):
        found = draws_from_features([np.ones((6, 3))] * 3, [0, 0, 1, 1, 2, 2], GRID, resamples=10)
    effect = found.effect(level_of("O(r, r)"))
    assert np.isnan([effect.mean, effect.low, effect.high]).all() and not effect.excludes_zero


@pytest.fixture(scope="module")
def protocol():
    """Random pictures of two widths, two per person and camera; half of the 16 people are in the test subset."""
    rng = np.random.default_rng(0)
    people = np.arange(16).repeat(4)
    pixels = [rng.integers(0, 256, (48, (24, 16)[k % 2], 3)).astype(np.uint8) for k in range(len(people))]
    cameras = [f"c{k // 2 % 2}" for k in range(len(people))]
    table = pd.DataFrame({"pid": [f"{p:03d}" for p in people], "cam": cameras})
    return make_protocol(PersonDataset.from_arrays("noise", pixels, table), "plain")


class TwoFaced(Method):
    """The picture at 8 x 4 pixels, brighter in the gallery."""

    name, canvas = "two-faced", (48, 24)

    def __init__(self):
        super().__init__()
        self.calls = 0

    def embed(self, batch, role):
        self.calls += 1
        return nn.functional.adaptive_avg_pool2d(batch.images, (8, 4)).flatten(1) + 0.1 * (role == "gallery")


@pytest.mark.parametrize("roles", [("probe", "probe"), ("probe", "gallery")])
def test_a_method_has_the_points_and_limits_of_its_surface(protocol, roles):
    method = TwoFaced()
    options = {"roles": roles, "resamples": 60, "seed": 2, "batch_size": 100}
    found = objective_draws(method, protocol, GRID, **options)
    assert method.calls == 3 * len(set(roles))  # once per resolution and role
    expected = objective_surface(method, protocol, GRID, reference="widest", **options)
    for kind, low, high in (("value", "low", "high"), ("normalised", "normalised_low", "normalised_high")):
        np.testing.assert_array_equal(found.points[kind].ravel(), expected[kind])
        limits = np.percentile(found.draws[kind], [2.5, 97.5], axis=0).reshape(2, -1)
        np.testing.assert_allclose(limits, expected[[low, high]].T)
    assert (found.protocol_sha256, found.seed, found.people) == (protocol.sha256, 2, 8)
    assert objective_draws(method, protocol, GRID, unit_length=True, **options).points["value"][0, 0] != pytest.approx(
        found.points["value"][0, 0]
    )


def test_views_of_different_roles_are_two_things(protocol):
    class OneFaced(TwoFaced):
        def embed(self, batch, role):
            return super().embed(batch, "probe")

    method = OneFaced()
    once, twice = (
        objective_draws(method, protocol, GRID, roles=("probe", second), resamples=20)
        for second in ("probe", "gallery")
    )
    assert method.calls == 3 + 6
    for kind in ("value", "normalised"):  # on the diagonal each pair counts once or twice, in sums and numbers alike
        np.testing.assert_allclose(once.points[kind], twice.points[kind])
        np.testing.assert_allclose(once.draws[kind], twice.draws[kind])


def test_a_subset_without_images_is_refused(protocol):
    with pytest.raises(ValueError, match="subset 'nobody'"):
        objective_draws(TwoFaced(), protocol, GRID, subset="nobody")


def test_one_side_that_was_trained_makes_it_a_matter_of_chance():
    """A method in closed form against a network: another training would come out differently."""
    rng = np.random.default_rng(0)
    ids, features = np.arange(12).repeat(4), [rng.standard_normal((48, 5)) for _ in range(2)]
    a, b = (draws_from_features(features, ids, (0.5, 1.0), resamples=20, training=seed) for seed in (0, None))
    function = level_of("O(r, 1)")
    assert compare(a, b, function).chance and compare(b, a, function).chance
    assert not compare(b, b, function).chance
