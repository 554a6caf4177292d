"""The objective of RIPR Eq. 2 against sums over pairs written as loops."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.evaluation import objective_from_features
from lib.evaluation.pair_sums import PairSums, PairSumsAcross


def over_pairs(f1, f2, ids, include_same_image=False):
    """D_sim, D_dif and how many pairs: Eq. 2 as it is written. f2 None: one resolution, each pair once."""
    sums, counts = np.zeros(2), np.zeros(2, dtype=int)
    for i in range(len(ids)):
        for j in range(len(ids)):
            if (j <= i) if f2 is None else (i == j and not include_same_image):
                continue
            other = f1[j] if f2 is None else f2[j]
            different = int(ids[i] != ids[j])
            sums[different] += ((f1[i] - other) ** 2).sum()
            counts[different] += 1
    return *sums, *counts


def features(seed, images=30, dimensions=6, offset=0.0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 6, images)
    f1 = rng.standard_normal((6, dimensions))[ids] + rng.standard_normal((images, dimensions)) + offset
    return f1, f1 + 0.5 * rng.standard_normal(f1.shape), ids


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_equals_the_sums_over_pairs(include, offset, seed):
    f1, f2, ids = features(seed, offset=offset)
    for second in (f2, None):
        found = objective_from_features(f1, second, ids, include_same_image=include, resamples=0)
        sim, dif, sim_pairs, dif_pairs = over_pairs(f1, second, ids, include)
        assert (found.sim_pairs, found.dif_pairs) == (sim_pairs, dif_pairs)
        assert found.d_sim == pytest.approx(sim) and found.d_dif == pytest.approx(dif)
        assert found.value == pytest.approx(sim / dif)
        assert found.normalised == pytest.approx((sim / sim_pairs) / (dif / dif_pairs))
        assert found.images == 30 and found.identities == len(set(ids.tolist()))


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_across_cameras_equals_the_sums_over_pairs(offset, seed):
    f1, f2, ids = features(seed, offset=offset)
    cams = np.random.default_rng(seed).integers(0, 3, len(ids))
    cams[:3], ids[:3] = (0, 1, 2), (0, 0, 1)  # a pair of each kind at least
    for second in (f2, None):
        sums, counts = np.zeros(2), np.zeros(2)
        for i in range(len(ids)):
            for j in range(len(ids)):
                if cams[i] != cams[j] and (second is not None or j > i):
                    different = int(ids[i] != ids[j])
                    sums[different] += ((f1[i] - (f1 if second is None else second)[j]) ** 2).sum()
                    counts[different] += 1
        found = objective_from_features(f1, second, ids, resamples=0, cams=[f"c{cam}" for cam in cams])
        assert found.pairs == "across cameras"
        assert (found.sim_pairs, found.dif_pairs) == tuple(counts)
        assert (found.d_sim, found.d_dif) == pytest.approx(tuple(sums))
        assert found.normalised == pytest.approx((sums[0] / counts[0]) / (sums[1] / counts[1]))


def test_people_drawn_again_across_cameras_equal_the_loops_over_copies():
    f1, f2, ids = features(3)
    cams = np.random.default_rng(3).integers(0, 2, len(ids))
    codes = np.unique(ids, return_inverse=True)[1]
    sums = PairSumsAcross(codes.max() + 1, 2, cams)
    for part in (slice(0, 11), slice(11, None)):
        sums.add(codes[part], np.stack([f1, f2], axis=1)[part])
    weights = np.random.default_rng(0).integers(1, 4, codes.max() + 1).astype(float)
    found = sums.totals(weights[None])
    expected, counts = np.zeros(2), np.zeros(2)
    drawn = [(i, copy) for i in range(len(codes)) for copy in range(int(weights[codes[i]]))]
    for i, copy in drawn:
        for j, other in drawn:
            different = int(codes[i] != codes[j])
            if cams[i] != cams[j] and (different or copy == other):
                expected[different] += ((f1[i] - f2[j]) ** 2).sum()
                counts[different] += 1
    assert (found.sim[0, 0, 1], found.dif[0, 0, 1]) == pytest.approx(tuple(expected))
    assert (found.sim_pairs[0, 0, 1], found.dif_pairs[0, 0, 1]) == pytest.approx(tuple(counts))


def test_what_differs_between_cameras_counts_on_both_sides_or_on_one():
    """One image per person and camera, and a camera that shifts everything: all pairs set those across cameras against
    pairs of which half are within one, and put a descriptor that finds everybody above 1."""
    rng = np.random.default_rng(0)
    ids, cams = np.repeat(np.arange(200), 2), np.tile([0, 1], 200)
    found = rng.standard_normal((200, 8))[ids] + 0.1 * rng.standard_normal((400, 8)) + 8.0 * cams[:, None]
    paper = objective_from_features(found, None, ids, resamples=0)
    ours = objective_from_features(found, None, ids, resamples=0, cams=cams)
    assert paper.normalised > 1.5 and ours.normalised < 1
    noise = rng.standard_normal((400, 8)) + 8.0 * cams[:, None]
    assert objective_from_features(noise, None, ids, resamples=0, cams=cams).normalised == pytest.approx(1, abs=0.02)
    inside = objective_from_features(found, None, ids, resamples=300, cams=cams)
    assert (
        inside.low < inside.value < inside.high and inside.normalised_low < inside.normalised < inside.normalised_high
    )


def test_across_cameras_needs_pairs_across_cameras():
    f1, f2, ids = features(7)
    with pytest.raises(ValueError, match="no identity has images from two cameras"):
        objective_from_features(f1, f2, ids, cams=ids)
    with pytest.raises(ValueError, match="one image is from one camera"):
        objective_from_features(f1, f2, ids, cams=np.arange(30) % 2, include_same_image=True)
    with pytest.raises(ValueError, match="cams has shape"):
        objective_from_features(f1, f2, ids, cams=np.zeros(29))


def test_one_resolution_counts_each_pair_once_and_no_image_with_itself():
    f1, _, ids = features(0)
    once = objective_from_features(f1, None, ids, resamples=0)
    ordered = objective_from_features(f1, f1.copy(), ids, resamples=0)
    assert once.value == pytest.approx(ordered.value)
    assert (2 * once.sim_pairs, 2 * once.dif_pairs) == (ordered.sim_pairs, ordered.dif_pairs)
    literal = objective_from_features(f1, f1, ids, include_same_image=True, resamples=0)
    assert (literal.value, literal.sim_pairs) == (once.value, once.sim_pairs)


def test_batches_in_any_order_say_the_same():
    f1, f2, ids = features(3)
    both = np.stack([f1, f2], axis=1)
    whole, parts = PairSums(6, 2), PairSums(6, 2)
    whole.add(ids, both)
    for part in np.array_split(np.random.default_rng(0).permutation(30), 7):
        parts.add(ids[part], both[part])
    for name in ("sim", "dif", "sim_pairs", "dif_pairs"):
        np.testing.assert_allclose(getattr(whole.totals(), name), getattr(parts.totals(), name))


def test_resampled_totals_equal_the_loops_over_drawn_people():
    f1, f2, ids = features(4)
    sums = PairSums(6, 2)
    sums.add(ids, np.stack([f1, f2], axis=1))
    weights = np.array([[2.0, 0, 1, 1, 0, 2], [1, 1, 1, 1, 1, 1]])
    totals = sums.totals(weights)
    for row, weight in enumerate(weights):
        drawn = [(i, copy) for i in range(30) for copy in range(int(weight[ids[i]]))]
        sim = dif = sim_pairs = dif_pairs = 0
        for i, a in drawn:
            for j, b in drawn:
                distance = ((f1[i] - f2[j]) ** 2).sum()
                if ids[i] != ids[j]:
                    dif, dif_pairs = dif + distance, dif_pairs + 1
                elif a == b and i != j:  # two copies of one person are neither the same nor different people
                    sim, sim_pairs = sim + distance, sim_pairs + 1
        assert totals.sim[row, 0, 1] == pytest.approx(sim) and totals.dif[row, 0, 1] == pytest.approx(dif)
        assert totals.sim_pairs[row, 0, 1] == sim_pairs and totals.dif_pairs[row, 0, 1] == dif_pairs


def test_intervals_hold_the_value_and_shrink_with_more_people():
    widths = []
    for people in (20, 320):
        rng = np.random.default_rng(0)
        ids = np.arange(people).repeat(4)
        f1 = rng.standard_normal((people, 8))[ids] + rng.standard_normal((4 * people, 8))
        found = objective_from_features(f1, f1 + 0.3 * rng.standard_normal(f1.shape), ids)
        assert found.low < found.value < found.high
        assert found.normalised_low < found.normalised < found.normalised_high
        # the raw ratio is not shifted by people who are drawn twice: its interval is the other one, rescaled
        factor = found.value / found.normalised
        assert found.low == pytest.approx(factor * found.normalised_low, rel=0.02)
        widths.append((found.normalised_high - found.normalised_low) / found.normalised)
    assert widths[1] < widths[0] / 3


def test_raw_sums_depend_on_the_numbers_of_pairs_and_the_ratio_of_means_does_not():
    rng = np.random.default_rng(0)

    def drawn(people):
        ids = np.arange(people).repeat(5)
        f = rng.standard_normal((people, 16))[ids] + rng.standard_normal((5 * people, 16))
        return objective_from_features(f, None, ids, resamples=0)

    few, many = drawn(30), drawn(300)
    assert few.value / many.value == pytest.approx(10, rel=0.15)
    assert few.normalised == pytest.approx(many.normalised, rel=0.1)
    assert many.normalised == pytest.approx(0.5, rel=0.05)  # distances of noise 2 against noise and people 4


def test_unit_length_compares_directions():
    f1, f2, ids = features(5)
    scale = np.random.default_rng(0).uniform(0.1, 10, (30, 1))
    expected = objective_from_features(f1, f2, ids, unit_length=True)
    assert objective_from_features(f1 * scale, f2 / scale, ids, unit_length=True).value == pytest.approx(expected.value)
    assert objective_from_features(f1 * scale, f2 / scale, ids).value != pytest.approx(expected.value, rel=0.01)


def test_tensors_and_strings():
    f1, f2, ids = features(6)
    expected = objective_from_features(f1, f2, ids)
    found = objective_from_features(torch.tensor(f1), torch.tensor(f2), [f"{i:04d}" for i in ids])
    assert found.value == pytest.approx(expected.value) and found.high == pytest.approx(expected.high)
    assert "ratio of means" in found.summary() and found.to_row()["sim_pairs"] == found.sim_pairs


def test_no_matrix_of_pairs_is_made():
    rng = np.random.default_rng(0)
    f, ids = rng.standard_normal((20_000, 8)), rng.integers(0, 100, 20_000)
    tracemalloc.start()
    objective_from_features(f, None, ids, resamples=50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # 20,000^2 doubles are 3.2 GB


def test_wrong_input_is_refused():
    f1, f2, ids = features(7)
    with pytest.raises(ValueError, match="features have shapes"):
        objective_from_features(f1, f2[:-1], ids)
    with pytest.raises(ValueError, match="ids has shape"):
        objective_from_features(f1, f2, ids[:-1])
    with pytest.raises(ValueError, match="fewer than two identities"):
        objective_from_features(f1, f2, np.zeros(30, dtype=int))
    with pytest.raises(ValueError, match="every identity has a single image"):
        objective_from_features(f1, f2, np.arange(30))
    bad = f1.copy()
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        objective_from_features(bad, f2, ids)


def test_a_collapsed_network_has_no_objective():
    with pytest.warns(RuntimeWarning, match="same feature"):
        found = objective_from_features(np.ones((6, 3)), None, [0, 0, 1, 1, 2, 2], resamples=10)
    assert np.isnan(found.value) and np.isnan(found.low)


@pytest.mark.parametrize("far", [1e3, 1e6, 1e9, 1e12])
def test_people_who_are_far_apart_do_not_hide_how_near_their_images_are(far):
    """Sums of squares of 1e24 have no digit left for distances of 1; each identity's own sums have."""
    f1, f2, ids = features(3)
    kind = np.where(ids % 2, far, -far)[:, None]
    f1, f2 = np.hstack([f1, kind]), np.hstack([f2, kind])
    expected = over_pairs(f1, f2, ids)
    for batches in (1, 4):
        sums = PairSums(6, 2)
        for part in np.array_split(np.arange(len(ids)), batches):
            sums.add(ids[part], np.stack([f1[part], f2[part]], 1))
        totals = sums.totals()
        assert totals.sim[0, 1] == pytest.approx(expected[0], rel=1e-9)
        assert totals.dif[0, 1] == pytest.approx(expected[1], rel=1e-9)
        weighted = sums.totals(np.array([[1.0, 0, 2, 0, 1, 1]]))
        assert (weighted.sim >= 0).all() and (weighted.dif > 0).all()


def test_squares_that_a_double_cannot_hold_are_refused():
    f1, f2, ids = features(0)
    large = (f1 * 1e36).astype(np.float32), (f2 * 1e36).astype(np.float32)
    found, expected = (objective_from_features(a, b, ids, resamples=0) for a, b in (large, (f1, f2)))
    assert found.value == pytest.approx(expected.value, rel=1e-5)
    with pytest.raises(ValueError, match=r"a feature of \d.*e\+200 \(image 0 of this batch\): its square overflows"):
        objective_from_features(f1 * 1e200, f2 * 1e200, ids)
    with pytest.raises(ValueError, match="whose square is 0: multiply them"):
        objective_from_features(f1 * 1e-200, f2 * 1e-200, ids)
    f1[7, 2] = np.nan
    with pytest.raises(ValueError, match="image 7 of this batch"):
        objective_from_features(f1, f2, ids)
