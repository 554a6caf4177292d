"""Titles agree with their numbers, on both sides of every threshold."""

from __future__ import annotations

import pandas as pd
import pytest

from lib.plots import findings


def test_orders_of_two_metrics():
    systems = pd.DataFrame({"system": ["a", "b", "c"], "rank-1": [0.5, 0.4, 0.3], "mAP": [0.3, 0.4, 0.2]})
    title, pair = findings.orders(systems)
    assert "disagree about 1 of 3 pairs" in title and pair == ("a", "b")
    title, pair = findings.orders(systems.assign(mAP=[0.5, 0.4, 0.3]))
    assert "agree about every pair" in title and "disagree" not in title and pair == ()


@pytest.mark.parametrize(
    "low, said", [(1.004, "as long as at full"), (1.2, "20% longer"), (0.8, "20% shorter"), (0.996, "as long")]
)
def test_lengths_of_features(low, said):
    title = findings.feature_length(low, 1.0, 1 / 8)
    assert said in title and "r = 1/8" in title and "0% longer" not in title.replace("20%", "")


@pytest.mark.parametrize("apart, said", [(0.6, "cost more than"), (0.4, "cost less than"), (0.501, "the same O (0.50")])
def test_a_gap_against_two_small_images(apart, said):
    cells = [(0.125, 0.125, 0.5), (0.125, 1.0, apart), (1.0, 0.125, apart), (1.0, 1.0, 0.3)]
    title = findings.gap_or_loss(pd.DataFrame(cells, columns=["r1", "r2", "normalised"]))
    assert said in title and "1/8" in title and "0.30" in title


def test_objective_and_rank():
    title = findings.objective_tells_rank({"a": -0.9, "b": -0.95}, 0.96, 48)
    assert title.startswith("Within every network rank-1 falls as O rises, closely;")
    title = findings.objective_tells_rank({"a": -0.9, "b": -0.57}, 0.96, 48)
    assert "closely in 1 of 2;" in title and "96% of 48 comparisons" in title
    assert "within 1 of 2 networks;" in findings.objective_tells_rank({"a": -0.9, "b": 0.2}, 0.5, 48)


def test_relative_losses():
    title = findings.relative_losses({"pedestrians": (0.665, 0.416), "viper": (0.142, 0.098)}, 1 / 4)
    assert title == "Lost at 1/4, of rank-1: 37% on embedded people, 31% on VIPeR (one training)"


@pytest.mark.parametrize(
    "values, said",
    [
        (
            [0.3, 0.4, 0.5],
            "have no certain order in common (rank correlation +1.00, 3 points): VDSR, narrow is best in",
        ),
        (
            [0.4, 0.5, 0.42],
            "have no certain order in common (rank correlation +0.50, 3 points): the best picture is VDSR",
        ),
        ([0.4, 0.4, 0.4], "have no order in common (rank-1 is the same for all 3)"),
    ],
)
def test_picture_and_match(values, said):
    table = pd.DataFrame({"name": ["bicubic", "fsrcnn", "vdsr-narrow"], "psnr": [20.0, 21.0, 22.0], "value": values})
    assert said in findings.picture_and_match(table)


def test_an_order_needs_networks_enough():
    """Of four networks two orders in 24 are as extreme as the same one, of five two in 120."""

    def said(psnr, rank1):
        return findings.go_together(pd.DataFrame({"psnr": psnr, "value": rank1}))

    assert said(range(4), range(4)).startswith("have no certain order")
    assert said(range(5), range(5)).startswith("go together") and said(range(5), range(0, -5, -1)).startswith("go aga")
    assert said(range(6), [1, 0, 2, 3, 5, 4]) == "go together (rank correlation +0.89, 6 points)"
    assert said(range(6), [2, 0, 1, 3, 5, 4]) == "have no certain order in common (rank correlation +0.77, 6 points)"
    assert said(range(9), range(9)).startswith("go together")
    with pytest.raises(ValueError, match="three at least"):
        said([1, 2], [1, 2])


def test_free_against_paid():
    table = pd.DataFrame({"label": ["ResNet", "VDSR + ResNet", "FFSR"], "macs": [0, 1, 1], "value": [0.5, 0.4, 0.6]})
    assert findings.free_against_paid(table) == "Better than free ResNet (50.0 %): 1 of 2 networks (FFSR)"
    assert "2 of 2 networks" in findings.free_against_paid(table.assign(value=[0.3, 0.4, 0.6]))
    assert "none of 2" in findings.free_against_paid(table.assign(value=[0.7, 0.4, 0.6]))
    with pytest.raises(ValueError, match="costs nothing"):
        findings.free_against_paid(table.iloc[1:])


def test_weights_know():
    known = pd.DataFrame({"block": [1, 2], "correlation": [0.2, 0.57], "error": [0.3, 0.25], "constant": 0.2})
    assert findings.weights_know(known) == (
        "In no block is the weight nearer to r than one constant for all images "
        "(highest rank correlation with r: 0.57, block 2)"
    )
    assert "the weights of block 2 (" in findings.weights_know(known.assign(error=[0.3, 0.1]))
    assert "blocks 1, 2" in findings.weights_know(known.assign(error=0.1))


def test_higher_and_steeper():
    rows = [(g, n, low, 0.1) for g in ("level", "slope") for n, low in (("FFSR, O", 0.03), ("RIFE, O", 0.01))]
    changes = pd.DataFrame(rows, columns=["group", "name", "low", "high"])
    control = changes.assign(name="ResNet, trained on, O", low=0.05)
    title = findings.higher_and_steeper(pd.concat([changes, control]), "ResNet, trained on", 0.02)
    assert title.endswith("higher by more than 2% in 1 of 2, steeper in 1 of 2")  # the control does not count
    flat = changes.assign(low=[0.03, 0.03, 0.0, 0.01])
    assert findings.higher_and_steeper(flat, "ResNet, trained on", 0.02).endswith("2 of 2, steeper in 0 of 2")


@pytest.mark.parametrize(
    "low, high, said",
    [
        ([-0.01, -0.01], [0.01, 0.01], "None of 2 masks changes"),
        ([0.01, -0.01], [0.03, 0.01], "a (+1.0) raises rank-1"),
        ([-0.03, -0.03], [-0.01, -0.01], "a (+1.0), b (+1.0) lower rank-1"),
    ],
)
def test_decided(low, high, said):
    effects = pd.DataFrame({"name": ["a", "b"], "mean": 0.01, "low": low, "high": high})
    assert findings.decided(effects, "masks").startswith(said)


def test_a_longer_training_that_moves_somebody_is_named():
    rows = [("SING", 100, -0.03, -0.01), ("SING", 250, -0.02, -0.01), ("JBIM", 100, -0.04, -0.01)]
    table = pd.DataFrame([*rows, ("JBIM", 250, -0.01, 0.01)], columns=["name", "images", "low", "high"])
    said = "2.5 times the images move 1 of 2 methods beside the baseline: JBIM from below to undecided"
    assert findings.length_and_order(table, "baseline") == said
    same = table[table["name"] == "SING"]
    assert findings.length_and_order(same, "baseline") == (
        "2.5 times the images put none of 1 methods on another side of the baseline"
    )
    with pytest.raises(ValueError, match="the same two lengths of training: 100, 250"):
        findings.length_and_order(table.head(3), "baseline")
