"""Bootstrap intervals: they cover, they resample people rather than probes, and pairs must be pairs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lib.evaluation import Result, bootstrap_mean, paired_difference, rank_distances, summarise
from lib.evaluation.intervals import identity_weights


def test_equals_the_bootstrap_written_as_loops():
    rng = np.random.default_rng(0)
    identities = np.repeat(np.arange(12), rng.integers(1, 5, 12))
    values = rng.random((len(identities), 2))
    means, generator = [], np.random.default_rng(5)
    for weights in np.concatenate(list(identity_weights(generator, 12, 300))):
        drawn = np.repeat(np.arange(len(identities)), weights[identities].astype(int))
        means.append(values[drawn].mean(0))
    low, high = bootstrap_mean(values, [f"p{i}" for i in identities], resamples=300, level=0.9, seed=5)
    np.testing.assert_allclose(low, np.percentile(means, 5, axis=0))
    np.testing.assert_allclose(high, np.percentile(means, 95, axis=0))


def test_same_seed_same_interval():
    values, identities = np.random.default_rng(0).random(40), np.arange(40) // 2
    assert bootstrap_mean(values, identities, seed=1) == bootstrap_mean(values, identities, seed=1)
    assert bootstrap_mean(values, identities, seed=1) != bootstrap_mean(values, identities, seed=2)


def test_independent_probes_give_the_normal_interval():
    values = np.random.default_rng(0).random(2000)
    low, high = bootstrap_mean(values, np.arange(2000))
    error = values.std() / np.sqrt(2000)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_ten_equal_probes_of_a_person_say_no_more_than_one():
    values = np.random.default_rng(0).integers(0, 2, 100).astype(float)
    once = bootstrap_mean(values, np.arange(100))
    tenfold = bootstrap_mean(values.repeat(10), np.arange(100).repeat(10))
    assert once == pytest.approx(tenfold)
    pretending = bootstrap_mean(values.repeat(10), np.arange(1000))
    assert pretending[1] - pretending[0] < 0.5 * (once[1] - once[0])


def test_coverage_of_clustered_data():
    rng = np.random.default_rng(1)
    inside = 0
    for seed in range(100):
        person = rng.normal(0.5, 0.2, 60)
        values = (person[:, None] + rng.normal(0, 0.05, (60, 4))).ravel()
        low, high = bootstrap_mean(values, np.arange(60).repeat(4), resamples=400, seed=seed)
        inside += low <= 0.5 <= high
    assert 88 <= inside <= 99


def test_nothing_to_resample_and_wrong_input():
    assert np.isnan(bootstrap_mean([0.0, 1.0], [7, 7])).all()
    assert bootstrap_mean([1.0, 1.0], [7, 8]) == (1.0, 1.0)
    with pytest.raises(ValueError, match="one of each per probe"):
        bootstrap_mean([1.0, 0.0], [1])
    with pytest.raises(ValueError, match="one of each per probe"):
        bootstrap_mean([], [])
    for wrong in (95, 0, 1, True, "0.95", float("nan")):
        with pytest.raises(ValueError, match=r"level is a number in \(0, 1\), not"):
            bootstrap_mean([1.0, 0.0], [1, 2], level=wrong)
    for wrong in (-5, True, "100", 10.0):
        with pytest.raises(ValueError, match="resamples is a whole number of at least 0"):
            bootstrap_mean([1.0, 0.0], [1, 2], resamples=wrong)
    for wrong in ("0", None, True, -1, 1.5):
        with pytest.raises(ValueError, match="seed is a whole number"):
            bootstrap_mean([1.0, 0.0], [1, 2], seed=wrong)
    assert np.isnan(bootstrap_mean([1.0, 0.0], [1, 2], resamples=0)).all()
    assert bootstrap_mean([1.0, 0.0], [1, 2], seed=np.int64(3)) == bootstrap_mean([1.0, 0.0], [1, 2], seed=3)
    with pytest.raises(ValueError, match="probe 1 is NaN"):
        bootstrap_mean([1.0, np.nan], [1, 2])
    with pytest.raises(ValueError, match="probe 0 is NaN"):
        bootstrap_mean([1.0, 0.0], [np.nan, 2])


def result(trial, gain, people=60, pool=200, seed=0, sha=None):
    """A trial over a random half of the people; ``gain`` moves the matches nearer. Same trial, same difficulty."""
    rng = np.random.default_rng([seed, trial])
    ids = rng.choice(pool, people, replace=False)
    difficulty = np.random.default_rng(seed).normal(0, 0.1, pool)[ids]
    distances = rng.random((people, people))
    distances[np.arange(people), np.arange(people)] = 0.1 + difficulty - gain
    ranking = rank_distances(distances, ids, ids, convention="sing", max_rank=20)
    return Result(ranking, sha or f"{trial:064d}", trial=trial)


def test_a_difference_is_found_by_pairing():
    a, b = ([result(trial, gain) for trial in range(8)] for gain in (0.03, 0.0))
    difference = paired_difference(a, b, "rank-1")
    expected = [x.ranking.rank(1) - y.ranking.rank(1) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(difference.per_trial, expected)
    assert difference.mean == pytest.approx(np.mean(expected))
    assert 0 < difference.low < difference.mean < difference.high and difference.excludes_zero
    assert difference.trials == 8 and "rank-1 +" in difference.summary() and "8 trials" in difference.summary()
    back = paired_difference(b, a, "rank-1")
    assert (back.mean, back.low, back.high) == pytest.approx((-difference.mean, -difference.high, -difference.low))


def test_no_difference_is_zero_and_one_trial_resamples_people():
    a = [result(trial, 0) for trial in range(3)]
    same = paired_difference(a, a, "mAP")
    assert (same.mean, same.low, same.high) == (0, 0, 0) and not same.excludes_zero
    one = paired_difference(result(0, 0.05), result(0, 0.0), "mAP")
    assert one.trials == 1 and one.low < one.mean < one.high
    low, high = bootstrap_mean(
        result(0, 0.05).ranking.ap - result(0, 0.0).ranking.ap, result(0, 0.0).ranking.probe_ids, seed=3
    )
    assert (one.low, one.high) == pytest.approx((low, high), abs=0.01)


def test_trials_that_scatter_widen_the_interval():
    steady = paired_difference([result(t, 0.03) for t in range(6)], [result(t, 0) for t in range(6)])
    scattered = paired_difference(
        [result(t, gain) for t, gain in enumerate((0, 0.2, 0, 0.2, 0, 0.2))], [result(t, 0) for t in range(6)]
    )
    assert scattered.high - scattered.low > 1.5 * (steady.high - steady.low)


def test_what_does_not_pair_is_refused():
    with pytest.raises(ValueError, match="2 results against 1"):
        paired_difference([result(0, 0), result(1, 0)], [result(0, 0)])
    with pytest.raises(ValueError, match="0 results"):
        paired_difference([], [])
    with pytest.raises(ValueError, match="differ in protocol .*differ='protocol'"):
        paired_difference(result(0, 0), result(0, 0, sha="f" * 64))
    assert paired_difference(result(0, 0), result(0, 0, sha="f" * 64), differ="protocol").mean == 0
    with pytest.raises(ValueError, match="different probes"):
        paired_difference(result(0, 0), result(1, 0, sha=f"{0:064d}"))
    with pytest.raises(ValueError, match="what may differ is among protocol, subset, ratios, convention"):
        paired_difference(result(0, 0), result(0, 0), differ="trial")
    for wrong in ({"resamples": -1}, {"level": 1.5}, {"seed": "0"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            paired_difference(result(0, 0), result(0, 0), **wrong)
        with pytest.raises(ValueError, match=next(iter(wrong))):
            summarise([result(0, 0)], **wrong)
    with pytest.raises(ValueError, match="unknown metric"):
        paired_difference(result(0, 0), result(0, 0), "rank1")


def test_a_difference_of_methods_is_one_of_nothing_else():
    a = result(0, 0.05)
    quarter = replace(a, ratios={"probe": 0.25})
    for other, name in (
        (quarter, "ratios"),
        (replace(a, subset="val"), "subset"),
        (replace(a, ranking=replace(a.ranking, convention="market1501")), "convention"),
    ):
        with pytest.raises(ValueError, match=f"differ in {name} .*differ={name!r}"):
            paired_difference(a, other)
        with pytest.raises(ValueError, match=f"differ in {name} .*no mean over trials"):
            summarise([a, other])
        assert paired_difference(a, other, differ=name).mean == 0
        assert paired_difference(a, other, differ=("protocol", name)).mean == 0
    assert paired_difference(quarter, replace(a, ratios={"probe": 0.25})).mean == 0
    with pytest.raises(ValueError, match=r"probe at 0.25; as the protocol has them"):
        paired_difference(quarter, a)


def test_one_person_has_no_interval():
    one = rank_distances([[0.1, 0.2], [0.3, 0.2]], [7, 7], [7, 8], convention="sing")
    difference = paired_difference(Result(one, "0" * 64), Result(one, "0" * 64))
    assert np.isnan(difference.low) and not difference.excludes_zero
    assert summarise(Result(one, "0" * 64))["low"].isna().all()
    text = Result(one, "0" * 64).summary()
    assert "nan" not in text and "these probes show one person" in text
    assert (
        "0 resamples"
        in Result(rank_distances(np.eye(2), [1, 2], [1, 2], convention="sing"), "0", resamples=0).summary()
    )


def test_summary_over_trials():
    results = [result(trial, 0.02) for trial in range(5)]
    table = summarise(results).set_index("metric")
    assert list(table.index) == ["rank-1", "rank-5", "rank-10", "rank-20", "mAP", "mINP"]
    scores = pd.Series([r.ranking.rank(5) for r in results])
    assert table.loc["rank-5", "mean"] == pytest.approx(scores.mean())
    assert table.loc["rank-5", "std"] == pytest.approx(scores.std())
    assert ((table["low"] <= table["mean"]) & (table["mean"] <= table["high"])).all()
    assert (table["trials"] == 5).all()
    assert np.isnan(summarise(results[0]).set_index("metric").loc["mAP", "std"])
    with pytest.raises(ValueError, match="no results"):
        summarise([])
