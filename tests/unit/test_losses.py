"""Every loss against brute-force loops and values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from lib.losses import batch_hard_triplet, centre_loss, cross_entropy, pairwise_distances, pixel_mse


def random_batch(seed: int, count: int = 9, dimensions: int = 4, identities: int = 3):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % identities
    return torch.randn(count, dimensions, generator=generator), labels


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_cross_entropy_by_loops(smoothing):
    logits, labels = random_batch(0, dimensions=5, identities=5)
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        norm = math.log(sum(math.exp(x) for x in row))
        for n, x in enumerate(row):
            target = (1 - smoothing) * (n == label) + smoothing / len(row)
            total -= target * (x - norm)
    assert cross_entropy(logits, labels, smoothing).item() == pytest.approx(total / len(logits), rel=1e-5)


@pytest.mark.parametrize("margin", [0.3, 1.0, None])
@pytest.mark.parametrize("seed", range(3))
def test_batch_hard_triplet_by_loops(seed, margin):
    features, labels = random_batch(seed)
    total = 0.0
    for i in range(len(features)):
        distance = [math.dist(features[i].tolist(), other.tolist()) for other in features]
        farthest = max(d for d, label in zip(distance, labels, strict=True) if label == labels[i])
        nearest = min(d for d, label in zip(distance, labels, strict=True) if label != labels[i])
        gap = farthest - nearest
        total += math.log(1 + math.exp(gap)) if margin is None else max(0.0, margin + gap)
    assert batch_hard_triplet(features, labels, margin).item() == pytest.approx(total / len(features), rel=1e-4)


def test_triplet_by_hand():
    """Points 0, 1 | 3 on a line: the second anchor gives 0.3 + 1 - 2 < 0, the third 0.3 + 0 - 2 < 0."""
    features, labels = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
    assert batch_hard_triplet(features, labels, 0.3).item() == 0
    assert batch_hard_triplet(features, labels, 1.5).item() == pytest.approx(0.5 / 3, abs=1e-5)


def test_triplet_gradient_is_finite_where_descriptors_are_equal():
    features = torch.zeros(4, 3, requires_grad=True)
    batch_hard_triplet(features, torch.tensor([0, 0, 1, 1])).backward()
    assert features.grad.isfinite().all()


def test_centre_loss_by_loops():
    features, labels = random_batch(1)
    centres = torch.randn(3, 4, generator=torch.Generator().manual_seed(5))
    total = sum(math.dist(f.tolist(), centres[y].tolist()) ** 2 for f, y in zip(features, labels, strict=True))
    assert centre_loss(features, labels, centres).item() == pytest.approx(total / 2 / len(features), rel=1e-5)


def test_pixel_mse_by_loops():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 3, 4, 2, generator=generator), torch.rand(2, 3, 4, 2, generator=generator)
    total = sum((x - y) ** 2 for x, y in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True))
    assert pixel_mse(a, b, "sum").item() == pytest.approx(total / 2, rel=1e-5)
    assert pixel_mse(a, b).item() == pytest.approx(total / a.numel(), rel=1e-5)


def test_pixel_mse_refuses_other_shapes_and_reductions():
    with pytest.raises(ValueError, match="different shapes"):
        pixel_mse(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 2))
    with pytest.raises(ValueError, match="reduction"):
        pixel_mse(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), "max")


def test_distances_by_loops_and_float32_under_autocast():
    a, b = random_batch(2)[0] * 100, random_batch(3)[0] * 100
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = pairwise_distances(a, b)
    assert found.dtype == torch.float32
    expected = torch.tensor([[math.dist(x.tolist(), y.tolist()) for y in b] for x in a])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


def test_half_precision_inputs_are_widened():
    features, labels = random_batch(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = batch_hard_triplet(features.bfloat16(), labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, batch_hard_triplet(features.bfloat16().float(), labels))


@pytest.mark.parametrize("loss", ["cross_entropy", "triplet", "centre"])
def test_gradients_numerically(loss):
    """Central differences in float32: loose, but a missing factor of two shows."""
    features, labels = random_batch(6)
    centres = torch.randn(3, 4, generator=torch.Generator().manual_seed(5))
    functions = {
        "cross_entropy": lambda f: cross_entropy(f, labels, 0.1),
        "triplet": lambda f: batch_hard_triplet(f, labels, 2.0),
        "centre": lambda f: centre_loss(f, labels, centres),
    }
    function, step = functions[loss], 1e-2
    leaf = features.clone().requires_grad_()
    function(leaf).backward()
    for i, j in [(0, 0), (3, 1), (8, 3)]:
        up, down = features.clone(), features.clone()
        up[i, j] += step
        down[i, j] -= step
        slope = (function(up) - function(down)).item() / (2 * step)
        assert leaf.grad[i, j].item() == pytest.approx(slope, abs=5e-3)
