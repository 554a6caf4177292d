"""Rankings: the known answers, brute force from the definitions, and everything that can be wrong with the input."""

import itertools
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.evaluation import CONVENTIONS, rank_distances, rank_features, sample_single_shot
from lib.evaluation.distances import _Products
from lib.evaluation.single_shot import rank_probabilities

EXAMPLE = np.round(np.random.RandomState(0).rand(5, 10), 3)
LABELS = {
    "probe_ids": [1, 1, 2, 3, 4],
    "gallery_ids": [1, 1, 1, 2, 2, 3, 0, 0, 5, 4],
    "probe_cams": [0, 1, 0, 0, 0],
    "gallery_cams": [0, 1, 2, 1, 1, 1, 1, 0, 1, 0],
}
FACING = {"probe_cams": np.zeros(5), "gallery_cams": np.ones(5)}  # two cameras that face each other
DIAGONAL = np.array([[0, 1, 2, 3, 4], [1, 0, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [1, 2, 3, 4, 0]])


@pytest.mark.parametrize(
    ("convention", "cmc", "mean_ap"),
    [
        ("market1501", [0.25, 0.25, 0.25, 0.5, 0.75], 0.330060),
        ("single-shot", [1 / 8, 5 / 32, 19 / 48, 79 / 96, 47 / 48], 0.330060),
        ("single-shot-cross-camera", [3 / 8, 3 / 8, 5 / 8, 15 / 16, 1], None),
        ("sing", [1 / 10, 2 / 15, 5 / 12, 17 / 20, 59 / 60], None),
        ("trapezoid", [0.2, 0.2, 0.2, 0.4, 0.6], 0.208690),
    ],
)
def test_one_matrix_gives_the_known_answers(convention, cmc, mean_ap):
    ranking = rank_distances(EXAMPLE, **LABELS, convention=convention)
    np.testing.assert_allclose(ranking.cmc[:5], cmc, atol=1e-12)
    if mean_ap is not None:
        assert ranking.map == pytest.approx(mean_ap, abs=1e-6)
    assert ranking.valid.tolist() == [True] * 4 + [convention in ("sing", "trapezoid")]


def test_trapezoid_ap_over_the_valid_probes_is_the_other_known_answer():
    ranking = rank_distances(EXAMPLE, **LABELS, convention="trapezoid")
    assert ranking.ap[:4].mean() == pytest.approx(0.260863, abs=1e-6)


@pytest.mark.parametrize("convention", ["market1501", "single-shot", "sing"])
def test_the_small_known_answer(convention):
    ranking = rank_distances(DIAGONAL, range(5), range(5), **FACING, convention=convention, max_rank=5)
    np.testing.assert_allclose(ranking.cmc, [0.6, 0.6, 0.8, 1, 1])


# brute force, from the definitions, in plain Python


def kept(convention, i, probe_cams, gallery_cams, probe_ids, gallery_ids):
    columns = range(len(gallery_ids))
    if convention == "sing":
        return list(columns)
    if convention == "single-shot-cross-camera":
        return [j for j in columns if gallery_cams[j] != probe_cams[i]]
    return [j for j in columns if (gallery_ids[j], gallery_cams[j]) != (probe_ids[i], probe_cams[i])]


def full_list(distances, i, columns, probe_ids, gallery_ids):
    """Right or wrong, in order of distance, a wrong image first among equals."""
    return [
        right for _, right in sorted((float(distances[i, j]), bool(gallery_ids[j] == probe_ids[i])) for j in columns)
    ]


def average_precision(relevant, trapezoid):
    total, found, before = 0.0, 0, 1.0
    for place, right in enumerate(relevant, start=1):
        found += right
        precision = found / place
        if right:
            total += (precision + before) / 2 if trapezoid else precision
        before = precision
    return total / found


def single_shot_cmc(distances, i, columns, probe_ids, gallery_ids, max_rank):
    """Mean over every gallery with one image per identity."""
    groups = {}
    for j in columns:
        groups.setdefault(gallery_ids[j], []).append(j)
    hits, draws = np.zeros(max_rank), 0
    for draw in itertools.product(*groups.values()):
        rank = full_list(distances, i, draw, probe_ids, gallery_ids).index(True)
        hits[rank:] += 1
        draws += 1
    return hits / draws


def brute_force(distances, probe_ids, gallery_ids, probe_cams, gallery_cams, convention, max_rank):
    cmc, ap, inp, matched = [], [], [], False
    everyone = convention in ("sing", "trapezoid")
    for i in range(len(probe_ids)):
        columns = kept(convention, i, probe_cams, gallery_cams, probe_ids, gallery_ids)
        relevant = full_list(distances, i, columns, probe_ids, gallery_ids)
        if not any(relevant):
            if everyone:
                cmc.append(np.zeros(max_rank)), ap.append(0.0), inp.append(0.0)
            continue
        matched = True
        ap.append(average_precision(relevant, convention == "trapezoid"))
        inp.append(sum(relevant) / (len(relevant) - relevant[::-1].index(True)))
        if convention in ("market1501", "trapezoid"):
            cmc.append((np.arange(max_rank) >= relevant.index(True)).astype(float))
        else:
            cmc.append(single_shot_cmc(distances, i, columns, probe_ids, gallery_ids, max_rank))
    return (np.mean(cmc, axis=0), np.mean(ap), np.mean(inp)) if matched else None


@st.composite
def cases(draw):
    probes, gallery = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    labels = [
        draw(st.lists(st.integers(0, high), min_size=n, max_size=n))
        for n, high in ((probes, 3), (gallery, 3), (probes, 2), (gallery, 2))
    ]
    few = draw(st.booleans())  # few values: many ties
    values = st.integers(0, 2 if few else 1000)
    distances = draw(st.lists(values, min_size=probes * gallery, max_size=probes * gallery))
    return np.array(distances, dtype=float).reshape(probes, gallery), labels


@pytest.mark.parametrize("convention", list(CONVENTIONS))
@settings(max_examples=80, deadline=None)
@given(case=cases(), max_rank=st.integers(1, 10))
def test_equals_brute_force(convention, case, max_rank):
    distances, labels = case
    expected = brute_force(distances, *labels, convention, max_rank)
    if expected is None:
        with pytest.raises(ValueError, match="no probe has a match"):
            rank_distances(distances, *labels, convention=convention)
        return
    ranking = rank_distances(distances, *labels, convention=convention, max_rank=max_rank)
    np.testing.assert_allclose(ranking.cmc, expected[0], atol=1e-12)
    assert ranking.map == pytest.approx(expected[1], abs=1e-12)
    assert ranking.minp == pytest.approx(expected[2], abs=1e-12)


@pytest.mark.parametrize("convention", ["single-shot", "single-shot-cross-camera", "sing"])
def test_sampled_draws_converge_to_the_closed_form(convention):
    exact = rank_distances(EXAMPLE, **LABELS, convention=convention, max_rank=8).cmc
    draws = sample_single_shot(EXAMPLE, **LABELS, convention=convention, draws=2000, seed=3, max_rank=8)
    error = draws.std(0) / np.sqrt(len(draws))
    assert (abs(draws.mean(0) - exact) <= 4 * error + 1e-12).all()
    # what public code reports: ten draws, and how far they scatter
    assert 0.03 < draws[:, :5].reshape(200, 10, 5).mean(1).std(0)[0] < 0.09


def test_sampling_needs_a_convention_that_draws():
    with pytest.raises(ValueError, match="draws no gallery"):
        sample_single_shot(EXAMPLE, **LABELS, convention="market1501")


@pytest.mark.parametrize("identities", [1, 7, 120])
def test_rank_probabilities_equal_the_full_recursion(identities):
    rng = np.random.default_rng(identities)
    shares = rng.choice([0, 1, 0.5, 0.25, 0.9], p=[0.5, 0.1, 0.2, 0.1, 0.1], size=(40, identities))
    shares[0], shares[1], shares[2] = 0, 1, 0.999
    expected = []
    for row in shares:
        density = np.ones(1)
        for share in row:
            density = np.convolve(density, [1 - share, share])
        expected.append(np.cumsum(np.pad(density, (0, 20)))[:20])
    np.testing.assert_allclose(rank_probabilities(shares, 20), expected, atol=1e-12)


def test_many_matches_and_identities_agree_with_sampling():
    rng = np.random.default_rng(0)
    ids, cams = rng.integers(0, 30, 400), rng.integers(0, 3, 400)
    probes, probe_cams = rng.integers(0, 30, 60), rng.integers(0, 3, 60)
    distances = rng.random((60, 400)) - 0.3 * (probes[:, None] == ids)
    arguments = (distances, probes, ids, probe_cams, cams)
    exact = rank_distances(*arguments, convention="single-shot", max_rank=40)
    draws = sample_single_shot(*arguments, convention="single-shot", draws=150, max_rank=40)
    np.testing.assert_allclose(draws.mean(0), exact.cmc, atol=0.02)
    assert exact.cmc[29] == pytest.approx(1) and exact.cmc[-1] == exact.cmc[29]


# ties


@pytest.mark.parametrize("convention", list(CONVENTIONS))
def test_a_collapsed_network_scores_as_badly_as_possible(convention):
    rng = np.random.default_rng(0)
    ids = np.repeat(np.arange(50), 4)
    cams = np.tile(np.arange(4), 50)
    distances = rank_distances(np.ones((50, 200)), np.arange(50), ids, np.zeros(50), cams, convention)
    feature = rng.standard_normal((1, 33)).astype(np.float32)
    features = rank_features(
        feature.repeat(50, 0), feature.repeat(200, 0), np.arange(50), ids, np.zeros(50), cams, convention, max_rank=50
    )
    for ranking in (distances, features):
        assert ranking.cmc[0] == 0 and ranking.cmc[30] == 0
        assert ranking.map < 0.03 and ranking.minp < 0.03


def test_a_tie_counts_against_the_match():
    assert rank_distances([[1.0, 1.0, 2.0]], [0], [0, 1, 2], convention="sing").cmc[:2].tolist() == [0, 1]
    assert rank_distances([[1.0, 1.5, 2.0]], [0], [0, 1, 2], convention="sing").cmc[:2].tolist() == [1, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_equal_features_tie_exactly_wherever_they_stand(dtype, metric):
    rng = np.random.default_rng(1)
    for size, dimensions in ((211, 37), (1031, 130)):
        gallery = rng.standard_normal((size, dimensions)).astype(dtype)
        ids = np.arange(size)
        # every match has a double of another identity, far away in the matrix: rank 2, never 1
        gallery[size // 2 + 1 :] = gallery[: size // 2][::-1]
        probes = gallery[: size // 2] + dtype(0.01) * rng.standard_normal((size // 2, dimensions)).astype(dtype)
        ranking = rank_features(probes, gallery, ids[: size // 2], ids, convention="sing", metric=metric, chunk=17)
        assert ranking.cmc[0] == 0 and ranking.cmc[1] == 1


# what is beyond the list, absent, or wrong


@pytest.mark.parametrize("convention", ["market1501", "single-shot", "sing"])
def test_cmc_is_flat_beyond_the_gallery(convention):
    ranking = rank_distances(DIAGONAL, range(5), range(5), **FACING, convention=convention, max_rank=50)
    assert ranking.cmc.shape == (50,)
    np.testing.assert_array_equal(ranking.cmc[4:], 1.0)


def test_probes_without_a_match():
    distances = [[0.0, 1.0], [0.0, 1.0]]
    for convention, expected in (("market1501", 1.0), ("single-shot", 1.0), ("sing", 0.5), ("trapezoid", 0.5)):
        ranking = rank_distances(distances, [0, 9], [0, 1], [0, 0], [1, 1], convention=convention)
        assert ranking.cmc[0] == ranking.cmc[-1] == ranking.map == ranking.minp == expected, convention
        assert ranking.unmatched == 1
        assert ranking.valid.sum() == len(ranking.ap) == len(ranking.probe_ids) == round(1 / expected)


def test_infinite_distances_sort_last_and_tie():
    inf = np.inf
    ranking = rank_distances([[inf, 1.0, inf], [2.0, inf, inf]], [0, 0], [0, 1, 2], convention="sing", max_rank=4)
    np.testing.assert_array_equal(ranking.probe_cmc, [[0, 0, 1, 1], [1, 1, 1, 1]])


@pytest.mark.parametrize("convention", list(CONVENTIONS))
def test_nan_is_refused_and_named(convention):
    distances = EXAMPLE.copy()
    distances[3, 7] = distances[3, 8] = distances[4, 0] = np.nan
    with pytest.raises(ValueError, match="probe 3 and gallery image 7 is NaN"):
        rank_distances(distances, **LABELS, convention=convention)


def test_bad_features_are_refused_and_named():
    probes, gallery = np.ones((3, 4), np.float32), np.ones((5, 4), np.float32)
    arguments = ([0, 1, 2], [0, 1, 2, 3, 4], np.zeros(3), np.ones(5))
    gallery[3, 1] = np.nan
    with pytest.raises(ValueError, match="gallery image 3 contains NaN"):
        rank_features(probes, gallery, *arguments)
    gallery[3, 1] = 1
    probes[2, 0] = np.inf
    with pytest.raises(ValueError, match="probe 2 contains an infinite value"):
        rank_features(probes, gallery, *arguments)
    with pytest.raises(ValueError, match="probe 1 and gallery image 0 is NaN"):
        rank_features(probes, gallery, *arguments, metric=lambda p, g: np.full((3, 5), [[0.0], [np.nan], [0.0]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distances": np.empty((5, 0)), "gallery_ids": [], "gallery_cams": []}, "gallery is empty"),
        ({"distances": np.empty((0, 10)), "probe_ids": [], "probe_cams": []}, "no probes"),
        ({"distances": np.zeros(5)}, "expected \\(probes, gallery images\\)"),
        ({"probe_ids": [1, 1, 2, 3]}, "probe_ids has shape \\(4,\\), expected \\(5,\\)"),
        ({"gallery_ids": [1] * 11}, "gallery_ids has shape"),
        ({"gallery_cams": [1] * 9}, "gallery_cams has shape"),
        ({"probe_cams": None}, "one side only"),
        ({"probe_ids": ["1", "1", "2", "3", "4"]}, "differ in type"),
        ({"probe_ids": [1.5, 1, 2, 3, 4]}, "integers or all strings"),
        ({"probe_ids": [7, 7, 8, 8, 9]}, "no probe has a match"),
        ({"convention": "cuhk03"}, "unknown convention 'cuhk03'; choose one of market1501"),
        ({"max_rank": 0}, "max_rank"),
        *(
            ({"convention": name, "probe_cams": None, "gallery_cams": None}, "pass probe_cams .*convention='sing'")
            for name in CONVENTIONS
            if name != "sing"
        ),
        ({"convention": None}, "unknown convention None"),
        ({"convention": ["sing"]}, "unknown convention"),
        ({"distances": EXAMPLE.astype(str)}, "distances has values of type <U"),
        ({"distances": (EXAMPLE * 2**60).astype(np.int64)}, "beyond 2\\^53"),
        ({"probe_ids": [2.0**60, 1, 2, 3, 4]}, "too large to be told apart"),
        ({"probe_ids": np.array([2**25, 1, 2, 3, 4], np.float32)}, "too large to be told apart"),
    ],
)
def test_wrong_input_is_refused_with_a_reason(change, message):
    arguments = {"distances": EXAMPLE, **LABELS, **change}
    with pytest.raises(ValueError, match=message):
        rank_distances(arguments.pop("distances"), **arguments)


def test_wrong_features_are_refused_with_a_reason():
    def rank(probes=2 * [3 * [1.0]], gallery=2 * [3 * [1.0]], **options):
        return rank_features(np.array(probes), np.array(gallery), [0, 1], [0, 1], **{"convention": "sing", **options})

    for message, options in {
        "features have shapes": {"gallery": np.ones((2, 4))},
        "unknown metric 'manhattan'": {"metric": "manhattan"},
        "the metric returned shape": {"metric": lambda p, g: np.ones((2, 1))},
        "the metric's result has values of type <U1, expected numbers": {"metric": lambda p, g: np.full((2, 2), "1")},
        "probe_features has values of type <U1, expected numbers": {"probes": np.full((2, 3), "1")},
        "gallery_features has values of type complex128": {"gallery": np.ones((2, 3), complex)},
        "not a rectangular array of numbers": {"gallery": np.full((2, 3), None)},
    }.items():
        with pytest.raises(ValueError, match=message):
            rank(**options)
    for name in ("chunk", "max_rank"):
        for wrong in (0, -1, True, "1", 2.0):
            with pytest.raises(ValueError, match=f"{name} is a whole number of at least 1, not {wrong!r}"):
                rank(**{name: wrong})
        rank(**{name: np.int64(1)})


def test_ranks_that_were_not_computed_are_refused():
    ranking = rank_distances(DIAGONAL, range(5), range(5), **FACING, max_rank=5)
    assert ranking.rank(3) == 0.8
    assert ranking.rank(np.int64(3)) == 0.8
    with pytest.raises(ValueError, match="larger max_rank"):
        ranking.rank(6)
    for wrong in (True, "1", 1.0, 0):
        with pytest.raises(ValueError, match="a rank is a whole number"):
            ranking.rank(wrong)
    with pytest.raises(ValueError, match="unknown metric"):
        ranking.probe_values("accuracy")
    assert ranking.metrics == ("rank-1", "rank-5", "mAP", "mINP")


# types and the way of features


def test_labels_and_arrays_may_be_of_any_kind():
    expected = rank_distances(EXAMPLE, **LABELS)
    strings = {name: [f"{value:04d}" for value in values] for name, values in LABELS.items()}
    tensors = {name: torch.tensor(values) for name, values in LABELS.items()}
    arrays = {name: np.array(values, dtype=np.int16) for name, values in LABELS.items()}
    objects = {name: np.array(values, dtype=object) for name, values in strings.items()}
    for distances, labels in itertools.product(
        (EXAMPLE, torch.tensor(EXAMPLE), EXAMPLE.tolist(), np.asfortranarray(EXAMPLE)),
        (strings, tensors, arrays, objects),
    ):
        found = rank_distances(distances, **labels)
        np.testing.assert_array_equal(found.cmc, expected.cmc)
        assert found.map == expected.map
    assert rank_distances(torch.tensor(EXAMPLE).bfloat16(), **tensors).cmc.shape == (50,)


def test_the_input_is_left_alone():
    before = EXAMPLE.copy()
    for convention in CONVENTIONS:
        rank_distances(EXAMPLE, **LABELS, convention=convention)
    np.testing.assert_array_equal(EXAMPLE, before)


def people(probes=90, gallery=700, identities=40, dimensions=24, seed=0, noise=1.5):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((identities, dimensions))
    ids = [rng.integers(0, identities, n) for n in (probes, gallery)]
    cams = [rng.integers(0, 4, n) for n in (probes, gallery)]
    features = [centres[i] + noise * rng.standard_normal((len(i), dimensions)) for i in ids]
    return [f.astype(np.float32) for f in features], ids, cams


@pytest.mark.parametrize("convention", list(CONVENTIONS))
@pytest.mark.parametrize("offset", [0, 50])
@pytest.mark.parametrize("chunk", [None, 1, 7, 1000])
def test_features_rank_as_their_distances_do(convention, offset, chunk):
    (p, g), ids, cams = people()
    p, g = p + np.float32(offset), g + np.float32(offset)  # far from the origin, |g|^2 - 2 p.g would cancel badly
    distances = np.linalg.norm(p[:, None].astype(float) - g[None], axis=2)
    expected = rank_distances(distances, *ids, *cams, convention=convention)
    for probes, gallery in ((p, g), (torch.tensor(p), torch.tensor(g)), (p.astype(float), g.astype(float))):
        found = rank_features(probes, gallery, *ids, *cams, convention=convention, chunk=chunk)
        np.testing.assert_allclose(found.cmc, expected.cmc, atol=1e-4)
        assert found.map == pytest.approx(expected.map, abs=1e-5)
        assert found.minp == pytest.approx(expected.minp, abs=1e-5)


def test_cosine_and_other_metrics():
    (p, g), ids, cams = people(seed=2)
    g[5] = 0
    length = np.linalg.norm(g, axis=1, keepdims=True)
    cosine = 1 - (p / np.linalg.norm(p, axis=1, keepdims=True)) @ (g / np.where(length > 0, length, 1)).T
    expected = rank_distances(cosine, *ids, *cams, convention="market1501")
    found = rank_features(p, g, *ids, *cams, convention="market1501", metric="cosine")
    assert found.map == pytest.approx(expected.map, abs=1e-6)

    def manhattan(probes, gallery):
        return np.abs(probes[:, None] - gallery[None]).sum(2)

    expected = rank_distances(manhattan(p, g), *ids, *cams, convention="market1501")
    found = rank_features(p, g, *ids, *cams, convention="market1501", metric=manhattan, chunk=13)
    assert found.map == expected.map


def test_the_whole_matrix_is_never_held():
    (p, g), ids, cams = people(probes=2000, gallery=6000, dimensions=4)
    tracemalloc.start()
    rank_features(p, g, *ids, *cams, convention="market1501")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2000 * 6000 * 4 * 0.7


def test_threads_change_nothing():
    (p, g), ids, cams = people(probes=300, gallery=2000, identities=60)
    threads = torch.get_num_threads()
    try:
        found = []
        for n in (1, 3):
            torch.set_num_threads(n)
            found.append(rank_features(p, g, *ids, *cams, convention="single-shot"))
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(found[0].probe_cmc, found[1].probe_cmc)
    np.testing.assert_array_equal(found[0].ap, found[1].ap)


def test_means_are_the_means_of_the_probes_arrays():
    for convention in CONVENTIONS:
        ranking = rank_distances(EXAMPLE, **LABELS, convention=convention)
        np.testing.assert_allclose(ranking.probe_cmc.mean(0), ranking.cmc)
        assert ranking.ap.mean() == pytest.approx(ranking.map) and ranking.inp.mean() == pytest.approx(ranking.minp)
        assert len(ranking.probe_ids) == ranking.valid.sum() == len(ranking.probe_cmc)
        assert "rank-1" in ranking.summary() and convention in ranking.summary()


# descriptors whose distances are known exactly


def by_integers(probes, gallery, metric):
    """Places of the exact distances among all distances of a row (Q, G), in Python's whole numbers and fractions."""
    rows = []
    for p in probes:
        if metric == "euclidean":
            row = [sum((a - b) ** 2 for a, b in zip(p, g, strict=True)) for g in gallery]
        else:  # minus the signed square of the cosine, times the probe's |p|^2
            row = []
            for g in gallery:
                product, length = sum(a * b for a, b in zip(p, g, strict=True)), sum(b * b for b in g)
                row.append(Fraction(-product * abs(product), length) if length else Fraction(0))
        places = {value: place for place, value in enumerate(sorted(set(row)))}
        rows.append([places[value] for value in row])
    return np.array(rows)


@st.composite
def codes(draw):
    """Small whole numbers, sometimes far from the origin, in units of a power of two."""
    dimensions, high = draw(st.integers(1, 12)), draw(st.sampled_from([1, 3, 255]))
    numbers = st.lists(st.integers(0, high), min_size=dimensions, max_size=dimensions)
    probes, gallery = draw(st.lists(numbers, min_size=1, max_size=5)), draw(st.lists(numbers, min_size=2, max_size=12))
    offset = draw(st.sampled_from([0, 0, -1, 1000, 2**20]))
    return [[[x + offset for x in row] for row in side] for side in (probes, gallery)], offset


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("convention", ["sing", "market1501"])
@settings(max_examples=120, deadline=None)
@given(
    case=codes(),
    unit=st.sampled_from([1.0, 0.5, 2.0**-9, 2.0**40, 2.0**90]),
    dtype=st.sampled_from([np.float32, np.float64, np.int64]),
)
def test_whole_numbers_are_ranked_with_all_their_ties(metric, convention, case, unit, dtype):
    sides, offset = case
    if metric == "cosine" and offset > 1000:
        return  # squares of products have more digits than a double
    distances = by_integers(*sides, metric)
    features = [np.array(side, dtype) if dtype is np.int64 else np.array(side, dtype) * dtype(unit) for side in sides]
    ids = [np.arange(len(side)) % 3 for side in sides]
    cams = [np.zeros(len(sides[0])), np.ones(len(sides[1]))]
    if not set(ids[0]) & set(ids[1]):
        return
    expected = rank_distances(distances, *ids, *cams, convention=convention)
    found = rank_features(*features, *ids, *cams, convention=convention, metric=metric)
    np.testing.assert_array_equal(found.cmc, expected.cmc)
    assert (found.map, found.minp) == (expected.map, expected.minp)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, bool])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_codes_of_zeros_and_ones(dtype, metric):
    """Far from the origin for their spread, so that moving it there would break the ties."""
    rng = np.random.default_rng(0)
    sides = [(rng.random((n, 48)) < 0.95).astype(np.int64) for n in (60, 300)]
    ids, cams = [np.arange(n) % 30 for n in (60, 300)], [np.zeros(60), np.ones(300)]
    distances = by_integers(*(side.tolist() for side in sides), metric)
    for convention in ("sing", "market1501"):
        expected = rank_distances(distances, *ids, *cams, convention=convention)
        found = rank_features(*(x.astype(dtype) for x in sides), *ids, *cams, convention=convention, metric=metric)
        np.testing.assert_array_equal(found.cmc, expected.cmc)
        assert found.map == expected.map


# any scale, any origin


def as_integers(features):
    """The same numbers times 2^200, as Python's integers."""
    parts = (float(x).as_integer_ratio() for x in features.ravel())
    return np.array([(a << 200) // b for a, b in parts], dtype=object).reshape(features.shape)


def exactly(p, g, ids, cams, **options):
    """Ranked by the exact squared distances of the very numbers given."""
    p, g = as_integers(p), as_integers(g)
    squares = (p * p).sum(1)[:, None] + (g * g).sum(1) - 2 * p.dot(g.T)
    places = [{value: place for place, value in enumerate(sorted(set(row)))} for row in squares.tolist()]
    distances = np.array([[place[x] for x in row] for place, row in zip(places, squares.tolist(), strict=True)])
    return rank_distances(distances, *ids, *cams, **options)


@pytest.mark.parametrize("convention", ["market1501", "sing"])
@pytest.mark.parametrize("far", [1e3, 1e5, 1e7, 1e15, 1e30])
@pytest.mark.parametrize("kind", ["noise", "one far dimension", "all far", "a far image", "a far probe"])
def test_large_numbers_are_ranked_as_they_are(kind, far, convention):
    """Lengths of which float32, or even double precision, leaves no digit to a small distance."""
    (p, g), ids, cams = people(probes=40, gallery=150, identities=12)
    if kind == "noise":
        p, g = p * np.float32(far), g * np.float32(far)
    elif kind == "one far dimension":
        sign = [np.where(i % 2, far, -far)[:, None] for i in ids]
        p, g = (np.concatenate([x, s], 1).astype(np.float32) for x, s in zip((p, g), sign, strict=True))
    elif kind == "all far":
        p, g = (x + np.float32(far) for x in (p, g))
    elif kind == "a far image":
        g[7] *= np.float32(far)
    else:
        p[7] *= np.float32(far)
    expected = exactly(p, g, ids, cams, convention=convention)
    for probes, gallery in ((p, g), (p.astype(float), g.astype(float)), (p.astype(float), g)):
        found = rank_features(probes, gallery, *ids, *cams, convention=convention)
        np.testing.assert_allclose(found.cmc, expected.cmc, atol=1e-12)
        assert found.map == pytest.approx(expected.map, abs=1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_scale_does_not_matter(metric, dtype):
    (p, g), ids, cams = people(probes=40, gallery=150, identities=12)
    p, g = p.astype(dtype), g.astype(dtype)
    expected = rank_features(p, g, *ids, *cams, convention="sing", metric=metric)
    ends = (-120, -60, 60, 120) if dtype is np.float32 else (-1000, -500, 500, 1000)
    for power in ends:
        found = rank_features(*(np.ldexp(x, power) for x in (p, g)), *ids, *cams, convention="sing", metric=metric)
        np.testing.assert_allclose(found.cmc, expected.cmc, atol=1e-6)
    if metric == "cosine":  # knows no lengths at all
        lengths = np.ldexp(1.0, np.random.default_rng(0).integers(-100, 100, (len(g), 1))).astype(dtype)
        found = rank_features(p, g * lengths, *ids, *cams, convention="sing", metric=metric)
        np.testing.assert_allclose(found.cmc, expected.cmc, atol=1e-6)


def test_angles_that_float32_cannot_tell_apart():
    rng = np.random.default_rng(0)
    turn = np.sort(rng.permutation(4000)[:200]) * 1e-6  # 1 - cos of 1e-6 is 5e-13
    gallery = np.stack([np.cos(turn), np.sin(turn)], 1)
    probes, ids = gallery[::4] * 7.0, np.arange(200)
    cams = np.zeros(50), np.ones(200)
    found = rank_features(probes, gallery, ids[::4], ids, *cams, convention="market1501", metric="cosine")
    assert found.rank(1) == 1 and found.map == 1


def test_only_what_is_in_doubt_is_computed_again(monkeypatch):
    """Ordinary features are ranked by one product in float32; the probes themselves in the gallery change nothing."""
    again = []
    for name in ("_differences", "_products"):
        original = getattr(_Products, name)

        def counted(self, which, dtype=np.float64, original=original, name=name, **options):
            if dtype == np.float64:
                again.append(len(which))
            return original(self, which, **({"dtype": dtype} if name == "_products" else {}), **options)

        monkeypatch.setattr(_Products, name, counted)
    (p, g), ids, cams = people(probes=200, gallery=2000, identities=60)
    rank_features(p, g, *ids, *cams, convention="market1501")
    rank_features(p, np.concatenate([p, g]), ids[0], np.concatenate(ids), cams[0], np.concatenate(cams), "sing")
    assert not again
    right, wrong = p[0] + np.float32(2e-4), p[0] - np.float32(2e-4)  # about as near, and whose is another person's
    rank_features(p, np.stack([right, wrong, *g]), ids[0], np.r_[ids[0][0], 1 + ids[0][0], ids[1]], convention="sing")
    assert again == [1]


# ids and cameras


def test_large_ids_of_two_kinds_stay_apart():
    """int64 beside uint64 would become doubles, in which 2^62 and 2^62 + 1 are one."""
    rng = np.random.default_rng(0)
    small, cams = np.repeat(np.arange(20), 3), (np.zeros(60, int), np.ones(60, int))
    p, g = (rng.standard_normal((60, 8)) for _ in range(2))
    expected = rank_features(p, g, small, small, *cams, convention="market1501")
    for base in (2**62, 2**63):
        kinds = [np.uint64, object] + ([np.int64] if base < 2**63 else [])
        ids = [(small.astype(object) + base).astype(kind) for kind in kinds]
        for one, other in itertools.product(ids, ids):
            found = rank_features(p, g, one, other, *cams, convention="market1501")
            np.testing.assert_array_equal(found.cmc, expected.cmc)
            assert found.gallery_identities == 20
    mixed = rank_features(p, g, small.astype(np.int8), small.astype(np.uint64), *cams, convention="market1501")
    np.testing.assert_array_equal(mixed.cmc, expected.cmc)


def test_a_gallery_that_holds_the_probes_needs_cameras():
    """Without them, noise finds itself: rank-1 100 %."""
    noise, ids = np.random.default_rng(0).standard_normal((60, 8)), np.repeat(np.arange(20), 3)
    for convention in CONVENTIONS:
        if convention != "sing":
            with pytest.raises(ValueError, match=r"pass probe_cams and gallery_cams \(say np.zeros\(60\) and np.ones"):
                rank_features(noise, noise, ids, ids, convention=convention)
    cams = np.tile([0, 1, 2], 20)
    assert rank_features(noise, noise, ids, ids, cams, cams, convention="market1501").rank(1) < 0.3


def test_sampling_looks_at_its_arguments():
    for wrong in ({"draws": 0}, {"draws": True}, {"seed": None}, {"seed": "0"}, {"max_rank": 0}, {"max_rank": 2.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            sample_single_shot(EXAMPLE, **LABELS, convention="sing", **wrong)
    spoilt = EXAMPLE.copy()
    spoilt[2, 3] = np.nan
    with pytest.raises(ValueError, match="probe 2 and gallery image 3 is NaN"):
        sample_single_shot(spoilt, **LABELS, convention="sing")


def test_a_rank_beyond_the_headlines_without_a_group_is_that_rank():
    n = 40
    ids, distances = np.arange(n), np.random.default_rng(0).random((n, n))
    groups = {person: person % 5 for person in range(n)}
    found = rank_distances(distances, ids, ids, convention="sing", max_rank=30).without("rank-21", groups)
    for group in range(5):
        left = ids % 5 != group
        some = rank_distances(distances[left][:, left], ids[left], ids[left], convention="sing", max_rank=30)
        assert found[group] == pytest.approx(some.rank(21))


@pytest.mark.parametrize("convention", ["sing", "single-shot", "single-shot-cross-camera"])
def test_in_sampling_too_a_tie_counts_against_the_match(convention):
    sampled = sample_single_shot(
        np.ones((3, 3)), [0, 1, 2], [0, 1, 2], [0] * 3, [1] * 3, convention, draws=2, max_rank=3
    )
    assert sampled.tolist() == [[0, 0, 1]] * 2
