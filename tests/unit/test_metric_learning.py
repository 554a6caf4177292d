"""XQDA and NFST: their scatter matrices summed pair by pair, and what each promises about the training data."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import scipy.linalg
import torch

from lib.models.metric_learning import difference_covariances, generalised_eigenvectors, nfst, xqda


def two_views(people=12, dimensions=6, extra=3, spread=0.3, seed=0):
    """Probes and gallery with labels: one to three images of a person in each view, ``extra`` persons in one only."""
    random = np.random.RandomState(seed)
    centres = random.randn(people + extra, dimensions)
    probe_labels = np.concatenate([np.arange(people), random.randint(0, people, 7)])
    gallery_labels = np.concatenate([np.arange(people + extra), random.randint(0, people, 5)])[::-1].copy()
    views = [
        centres[labels] + spread * random.randn(len(labels), dimensions) + 3
        for labels in (probe_labels, gallery_labels)
    ]
    return [torch.from_numpy(part) for part in (*views, 10 * probe_labels, 10 * gallery_labels)]


def slow_covariances(probes, gallery, probe_labels, gallery_labels):
    sums, counts = {True: 0, False: 0}, {True: 0, False: 0}
    for (x, a), (z, b) in itertools.product(zip(probes, probe_labels), zip(gallery, gallery_labels)):
        sums[bool(a == b)] += np.outer(x - z, x - z)
        counts[bool(a == b)] += 1
    return [sums[same] / counts[same] for same in (True, False)]


def slow_metric(probes, gallery, probe_labels, gallery_labels, regularisation):
    """W M W^T (D, D) in all D dimensions, with scipy, from the covariances of the pairs."""
    intra, extra = slow_covariances(*(part.numpy() for part in (probes, gallery, probe_labels, gallery_labels)))
    intra = intra + regularisation * np.eye(len(intra))
    values, vectors = scipy.linalg.eigh(extra, intra)
    w = vectors[:, values > 1]
    w = w / np.linalg.norm(w, axis=0)  # another scale of W than the module's: the metric must not depend on it
    return w @ (np.linalg.inv(w.T @ intra @ w) - np.linalg.inv(w.T @ extra @ w)) @ w.T


def distances(features, others):
    return torch.cdist(features, others, compute_mode="donot_use_mm_for_euclid_dist")


def rank1(probes, gallery, projection=None):
    if projection is not None:
        probes, gallery = probes @ projection, gallery @ projection
    return float((distances(probes, gallery).argmin(1) == torch.arange(len(probes))).double().mean())


def nuisance_views(people, seed, dimensions=60, signal=8):
    """One float32 image of each person in each view: ``signal`` directions of the person, 20 others four times as
    strong that differ between the two images of a person, and noise. The directions are the same for each seed."""
    axes = torch.from_numpy(np.linalg.qr(np.random.RandomState(99).randn(dimensions, dimensions))[0])
    random = np.random.RandomState(seed)
    person = random.randn(people, signal)
    views = []
    for _ in range(2):
        parts = [person + 0.1 * random.randn(people, signal), 4 * random.randn(people, 20)]
        parts.append(0.1 * random.randn(people, dimensions - signal - 20))
        views.append((torch.from_numpy(np.concatenate(parts, axis=1)) @ axes.T).float())
    return views


def test_covariances_equal_the_sums_over_all_pairs():
    data = two_views()
    found = difference_covariances(*data)
    for matrix, expected in zip(found, slow_covariances(*(part.numpy() for part in data)), strict=True):
        np.testing.assert_allclose(matrix.numpy(), expected, atol=1e-10)


def test_covariances_do_not_depend_on_the_mean():
    probes, gallery, *labels = two_views()
    shift = torch.arange(6.0, dtype=torch.float64)
    for moved, still in zip(
        difference_covariances(probes + shift, gallery + shift, *labels),
        difference_covariances(probes, gallery, *labels),
        strict=True,
    ):
        assert torch.allclose(moved, still, atol=1e-9)


def test_generalised_eigenvectors_diagonalise_both():
    random = np.random.RandomState(1)
    a, b = (torch.from_numpy(root @ root.T) for root in random.randn(2, 7, 9))
    values, w = generalised_eigenvectors(a, b)
    assert (values.diff() <= 0).all()
    assert torch.allclose(w.T @ b @ w, torch.eye(7, dtype=w.dtype), atol=1e-9)
    assert torch.allclose(w.T @ a @ w, values.diag(), atol=1e-9)
    np.testing.assert_allclose(values.flip(0).numpy(), scipy.linalg.eigh(a.numpy(), b.numpy())[0], atol=1e-9)


@pytest.mark.parametrize("dimensions", [6, 90])  # fewer than images, and more: the span must lose nothing
def test_the_projected_distance_is_xqdas(dimensions):
    data = two_views(dimensions=dimensions)
    projection = xqda(*data, regularisation=1e-2)
    assert projection.dtype == torch.float32 and projection.shape[0] == dimensions
    metric = slow_metric(*data, regularisation=1e-2)
    assert projection.shape[1] == np.linalg.matrix_rank(metric, tol=1e-8 * np.linalg.norm(metric))
    new = torch.from_numpy(np.random.RandomState(5).randn(4, dimensions))  # outside of the training data's span, too
    found = distances(new @ projection.double(), new @ projection.double()) ** 2
    for i, j in itertools.product(range(4), repeat=2):
        apart = (new[i] - new[j]).numpy()
        assert float(found[i, j]) == pytest.approx(apart @ metric @ apart, rel=1e-5, abs=1e-9)


def test_xqda_ignores_what_differs_within_a_person():
    training, new = nuisance_views(150, seed=1), nuisance_views(100, seed=2)
    labels = torch.arange(150)
    projection = xqda(*training, labels, labels)
    assert rank1(*new) < 0.3
    assert rank1(*new, projection) > 0.9
    names = torch.arange(150) * 7 - 3  # any integers
    assert torch.equal(xqda(*training, names, names), projection)


def test_xqda_says_when_no_direction_tells_persons_apart():
    probes, gallery, *labels = two_views()
    with pytest.warns(RuntimeWarning, match="regularisation"):
        projection = xqda(probes * 1e-4, gallery * 1e-4, *labels)
    assert projection.shape == (6, 1) and (projection == 0).all()


def test_xqda_of_images_with_more_dimensions_than_numbers():
    probes, gallery = (torch.rand(20, 3000, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        projection = xqda(probes, probes + 0.1 * gallery, range(20), range(20))
    assert projection.shape[0] == 3000 and 1 <= projection.shape[1] <= 39 and torch.isfinite(projection).all()


def many_images(people=8, each=3, dimensions=50, seed=0, dtype=torch.float64):
    random = np.random.RandomState(seed)
    labels = torch.from_numpy(random.permutation(np.repeat(np.arange(people) * 5, each)))
    features = random.randn(people * 5, dimensions)[labels.numpy()] + 0.5 * random.randn(len(labels), dimensions) + 2
    return torch.from_numpy(features).to(dtype), labels


@pytest.mark.parametrize(
    ("people", "each", "dimensions"), [(8, 3, 50), (8, 3, 24), (2, 2, 3), (5, 1, 9), (30, 4, 2000)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_identity_becomes_one_point(people, each, dimensions, dtype):
    features, labels = many_images(people, each, dimensions, dtype=dtype)
    projection = nfst(features, labels)
    assert projection.dtype == torch.float32 and projection.shape == (dimensions, people - 1)
    assert torch.allclose(projection.T @ projection, torch.eye(people - 1), atol=1e-5)
    apart = distances(*[features.double() @ projection.double()] * 2)
    same = labels[:, None] == labels
    between = apart[~same].min()
    assert apart[same].max() < 1e-4 * between and between > 0.1


def test_nfst_is_the_null_space():
    features, labels = many_images(people=5, each=4, dimensions=19)
    x, y = features.numpy(), labels.numpy()
    means = {label: x[y == label].mean(0) for label in set(y.tolist())}
    within = sum(np.outer(a - means[b], a - means[b]) for a, b in zip(x, y.tolist(), strict=True))
    null = scipy.linalg.null_space(within)  # (19, 4): all of it has between-class scatter when D = N - 1
    assert null.shape == (19, 4)
    projection = nfst(features, labels).double().numpy()
    np.testing.assert_allclose(projection @ projection.T, null @ null.T, atol=1e-6)


def test_nfst_keeps_only_directions_with_scatter_between_identities():
    features, labels = many_images(people=5, each=4, dimensions=40)
    x, y = features.numpy(), labels.numpy()
    means = np.stack([x[y == label].mean(0) for label in y])
    null = scipy.linalg.null_space(x - means)  # (40, 40 - 15)
    total = null.T @ (x - x.mean(0)).T  # of these only 4 are not orthogonal to all the data
    expected = null @ scipy.linalg.orth(total)
    projection = nfst(features, labels).double().numpy()
    assert projection.shape == expected.shape == (40, 4)
    np.testing.assert_allclose(projection @ projection.T, expected @ expected.T, atol=1e-6)


def test_nfst_between_empty_and_full_has_fewer_directions():
    features, labels = many_images(people=8, each=3, dimensions=18)  # N - C = 16 < D < N - 1 = 23
    projection = nfst(features, labels)
    assert projection.shape == (18, 2)


def test_nfst_does_not_take_rounding_for_a_direction():
    features, labels = many_images(people=8, each=3, dimensions=16)
    axes = torch.from_numpy(np.random.RandomState(3).randn(16, 500))
    with pytest.raises(ValueError, match="16 directions"):
        nfst((features @ axes).float(), labels)  # 500 dimensions, but only 16 are more than float32's rounding


def test_an_empty_null_space_is_refused():
    features, labels = many_images(people=8, each=3, dimensions=16)
    with pytest.raises(ValueError, match=r"24 images of 8 identities .* 16 dimensions .* XQDA"):
        nfst(features, labels)


def test_nfst_ignores_what_differs_within_a_person():
    axes = np.linalg.qr(np.random.RandomState(99).randn(400, 400))[0]

    def images(people, each, seed):
        random = np.random.RandomState(seed)
        person = np.repeat(random.randn(people, 8), each, axis=0)
        parts = [person, 4 * random.randn(people * each, 20), 0.05 * random.randn(people * each, 372)]
        return torch.from_numpy(np.concatenate(parts, axis=1) @ axes.T)

    projection = nfst(images(60, 4, seed=1), torch.arange(60).repeat_interleave(4)).double()
    new = images(50, 2, seed=2)
    assert rank1(new[::2], new[1::2]) < 0.3
    assert rank1(new[::2], new[1::2], projection) > 0.9


GOOD = torch.rand(6, 9, generator=torch.Generator().manual_seed(4))
BAD = GOOD.clone().index_fill_(0, torch.tensor([2]), torch.nan)
PAIRS = [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (GOOD, PAIRS[:5], "6 training features need as many labels"),
        (GOOD, [3] * 6, "two identities"),
        (BAD, PAIRS, "NaN or infinity, in 1 rows, the first is 2"),
        (GOOD[0], PAIRS, "floating-point"),
        (GOOD.long(), PAIRS, "floating-point"),
        (torch.ones(6, 9), PAIRS, "the same"),
    ],
)
def test_impossible_training_data_are_refused(features, labels, message):
    with pytest.raises(ValueError, match=message):
        nfst(features, labels)
    with pytest.raises(ValueError, match=message.replace("training", "probe")):
        xqda(features, features, labels, labels)


@pytest.mark.parametrize(
    ("gallery", "labels", "regularisation", "message"),
    [
        (GOOD[:, :5], PAIRS, 1e-3, "9 dimensions, the gallery has 5"),
        (GOOD, [5, 6, 7, 8, 9, 10], 1e-3, "both"),
        (GOOD, PAIRS[1:], 1e-3, "6 gallery features"),
        (BAD, PAIRS, 1e-3, "gallery features contain NaN"),
        (GOOD, PAIRS, 0.0, "regularisation"),
    ],
)
def test_xqda_refuses_views_that_do_not_fit(gallery, labels, regularisation, message):
    with pytest.raises(ValueError, match=message):
        xqda(GOOD, gallery, PAIRS, labels, regularisation)
