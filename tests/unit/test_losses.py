"""Every loss against brute-force loops and values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from lib.losses import (
    batch_hard_triplet,
    centre_loss,
    cross_entropy,
    discriminator_loss,
    foreground_loss,
    gathered,
    generator_loss,
    mean_over_processes,
    pairwise_distances,
    pixel_l1,
    pixel_mse,
    resolution_weighting,
    siamese_l1,
    weighted_regularised_triplet,
)


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


def weighted_by_loops(features, labels, itself: bool) -> float:
    """Ye et al. 2021, image by image; nobody but itself: a positive at distance 0."""
    total = 0.0
    for i, anchor in enumerate(features.tolist()):
        positives, negatives = [], []
        for j, other in enumerate(features.tolist()):
            if labels[i] != labels[j]:
                negatives.append(math.dist(anchor, other))
            elif i != j or itself:
                positives.append(math.dist(anchor, other))

        def softly(distances, sign):
            weights = [math.exp(sign * d) for d in distances]
            return sum(w * d for w, d in zip(weights, distances, strict=True)) / max(sum(weights), 1e-300)

        total += math.log(1 + math.exp(softly(positives, 1) - softly(negatives, -1)))
    return total / len(features)


@pytest.mark.parametrize("itself", [False, True])
@pytest.mark.parametrize(("seed", "identities"), [(0, 3), (1, 2), (2, 5), (3, 9)])
def test_weighted_regularised_triplet_by_loops(seed, identities, itself):
    """With 5 and 9 identities, one and all of the nine images have no positive."""
    features, labels = random_batch(seed, identities=identities)
    found = weighted_regularised_triplet(features.double(), labels, itself).item()
    assert found == pytest.approx(weighted_by_loops(features, labels, itself), rel=1e-6)
    assert weighted_regularised_triplet(features, labels, itself).item() == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize(("itself", "expected"), [(False, 0.6013900660), (True, 0.5623733961)])
def test_weighted_regularised_triplet_has_its_known_answers(itself, expected):
    features, labels = torch.tensor([[0.0], [1.0], [3.0], [7.0]], dtype=torch.float64), torch.tensor([0, 0, 1, 1])
    assert weighted_regularised_triplet(features, labels, itself).item() == pytest.approx(expected, abs=5e-11)


def test_weighted_regularised_triplet_goes_on_where_descriptors_are_equal_or_far():
    """Equal: log 2 and a finite gradient. Far: no overflow; what is drawn nearer is the farthest positive."""
    features, labels = torch.zeros(4, 3, requires_grad=True), torch.tensor([0, 0, 1, 1])
    loss = weighted_regularised_triplet(features, labels)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2), abs=1e-5) and features.grad.isfinite().all()
    far = torch.tensor([[0.0], [400.0], [1000.0], [1.0], [2.0]], requires_grad=True)
    weighted_regularised_triplet(far, torch.tensor([0, 0, 0, 1, 1])).backward()
    assert far.grad.isfinite().all() and far.grad[2] > 0 and far.grad[1] < 0


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


def test_pixel_l1_by_loops():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 3, 4, 2, generator=generator), torch.rand(2, 3, 4, 2, generator=generator)
    total = sum(abs(x - y) for x, y in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True))
    assert pixel_l1(a, b, "sum").item() == pytest.approx(total / 2, rel=1e-5)
    assert pixel_l1(a, b).item() == pytest.approx(total / a.numel(), rel=1e-5)
    with pytest.raises(ValueError, match="different shapes"):
        pixel_l1(a, b[:, :, :2])
    with pytest.raises(ValueError, match="reduction"):
        pixel_l1(a, b, "max")


def test_siamese_l1_by_hand():
    """|2 - 0| = 2 over 2 values, |3 - 4| + |5 - 4| = 2 over 3 values."""
    high = [torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 5.0, 7.0]])]
    low = [torch.tensor([[1.0, 0.0]]), torch.tensor([[4.0, 4.0, 7.0]])]
    assert siamese_l1(high, low, "sum").item() == 4
    assert siamese_l1(high, low).item() == pytest.approx(1 + 2 / 3)
    assert siamese_l1(low[:1], high[:1]).item() == 1 and siamese_l1(high, high) == 0
    for teacher, pupil in (((), ()), (high, low[:1]), (high, low[::-1])):
        with pytest.raises(ValueError, match="at least one|different shapes"):
            siamese_l1(teacher, pupil)


def test_siamese_l1_by_loops():
    generator = torch.Generator().manual_seed(0)
    high, low = ([torch.randn(3, d, generator=generator) for d in (4, 2, 6)] for _ in range(2))
    for reduction in ("mean", "sum"):
        total = 0.0
        for a, b in zip(high, low, strict=True):
            for i in range(3):
                errors = [abs(x - y) for x, y in zip(a[i].tolist(), b[i].tolist(), strict=True)]
                total += sum(errors) / 3 / (len(errors) if reduction == "mean" else 1)
        assert siamese_l1(high, low, reduction).item() == pytest.approx(total, rel=1e-5)


def masked_pictures(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.rand(2, 3, 4, 5, generator=generator), torch.rand(2, 3, 4, 5, generator=generator)
    return a, b, torch.rand(2, 1, 4, 5, generator=generator)


def test_foreground_loss_by_loops():
    a, b, mask = masked_pictures()
    total = 0.0
    for i in range(2):
        for c in range(3):
            for y in range(4):
                for x in range(5):
                    total += (mask[i, 0, y, x].item() * (a[i, c, y, x].item() - b[i, c, y, x].item())) ** 2
    assert foreground_loss(a, b, mask, "sum").item() == pytest.approx(total / 2, rel=1e-5)
    assert foreground_loss(a, b, mask).item() == pytest.approx(total / (2 * 3 * 4 * 5), rel=1e-5)


def test_foreground_loss_at_the_ends():
    """Ones: the plain squared error; halves: a quarter; zeros: nothing, and no gradient where the mask is zero."""
    a, b, mask = masked_pictures()
    for reduction in ("sum", "mean"):
        plain = pixel_mse(a, b, reduction)
        torch.testing.assert_close(foreground_loss(a, b, torch.ones_like(mask), reduction), plain)
        torch.testing.assert_close(foreground_loss(a, b, torch.full_like(mask, 0.5), reduction), plain / 4)
        assert foreground_loss(a, b, torch.zeros_like(mask), reduction) == 0
    mask[:, :, :2] = 0
    leaf = a.clone().requires_grad_()
    foreground_loss(leaf, b, mask).backward()
    assert not leaf.grad[:, :, :2].any() and leaf.grad[:, :, 2:].all()


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 3, 4, 5), (1, 1, 4, 5), (2, 1, 5, 4), (2, 1, 1, 1)])
def test_foreground_loss_refuses_other_masks(shape):
    a, b, _ = masked_pictures()
    with pytest.raises(ValueError, match="masks of shapes"):
        foreground_loss(a, b, torch.ones(shape))


def test_foreground_loss_refuses_other_reductions():
    with pytest.raises(ValueError, match="reduction is 'mean' or 'sum', not 'max'"):
        foreground_loss(*masked_pictures(), "max")


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (2, 3, 1, 1), (2, 3, 4, 1), (2, 1, 4, 5), (3, 3, 4, 5)])
def test_foreground_loss_refuses_other_targets(shape):
    a, _, mask = masked_pictures()
    with pytest.raises(ValueError, match="expected"):
        foreground_loss(a, torch.zeros(shape), mask)


@pytest.mark.parametrize("blocks", [0, 1, 4])
def test_resolution_weighting_by_loops(blocks):
    generator = torch.Generator().manual_seed(0)
    weights, r = torch.rand(5, blocks, 2, generator=generator), torch.rand(5, generator=generator)
    total = 0.0
    for i in range(5):
        for t in range(blocks):
            low, high = weights[i, t].tolist()
            total += (low - (1 - r[i].item())) ** 2 + (high - r[i].item()) ** 2
    assert resolution_weighting(weights, r).item() == pytest.approx(total / 5, rel=1e-5)


def test_resolution_weighting_by_hand():
    """r = 1/4 wants (3/4, 1/4); the columns exchanged miss both by 1/2."""
    r = torch.tensor([0.25])
    assert resolution_weighting(torch.tensor([[[0.75, 0.25]] * 4]), r) == 0
    assert resolution_weighting(torch.tensor([[[0.25, 0.75]] * 4]), r).item() == pytest.approx(4 * (1 / 4 + 1 / 4))


def test_resolution_weighting_refuses_other_shapes():
    with pytest.raises(ValueError, match="expected"):
        resolution_weighting(torch.rand(3, 2), torch.rand(3))


def test_the_losses_of_ripr_are_computed_in_float32():
    a, b, mask = (x.bfloat16() for x in masked_pictures())
    weights, r = torch.rand(4, 3, 2).bfloat16(), torch.rand(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = foreground_loss(a, b, mask), resolution_weighting(weights, r)
    assert all(loss.dtype == torch.float32 for loss in found)
    torch.testing.assert_close(found[0], foreground_loss(a.float(), b.float(), mask.float()))
    torch.testing.assert_close(found[1], resolution_weighting(weights.float(), r))


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


@pytest.mark.parametrize("loss", ["cross_entropy", "triplet", "weighted", "centre", "weighting", "foreground"])
def test_gradients_numerically(loss):
    """Central differences in float32: loose, but a missing factor of two shows."""
    features, labels = random_batch(6)
    centres = torch.randn(3, 4, generator=torch.Generator().manual_seed(5))
    functions = {
        "cross_entropy": lambda f: cross_entropy(f, labels, 0.1),
        "triplet": lambda f: batch_hard_triplet(f, labels, 2.0),
        "weighted": lambda f: weighted_regularised_triplet(f, labels),
        "centre": lambda f: centre_loss(f, labels, centres),
        "weighting": lambda f: resolution_weighting(f.view(9, 2, 2), labels / 2),
        "foreground": lambda f: foreground_loss(
            f.view(1, 1, 9, 4), f.new_zeros(1, 1, 9, 4), centres[:1, :1].expand(1, 1, 9, 4)
        ),
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


def test_one_identity_has_no_triplets():
    """Its own text has always promised the error."""
    features = random_batch(0)[0]
    with pytest.raises(ValueError, match="all 9 of this batch show one"):
        batch_hard_triplet(features, torch.zeros(9, dtype=torch.long))
    with pytest.raises(ValueError, match="all 1 of this batch show one"):
        batch_hard_triplet(features[:1], torch.zeros(1, dtype=torch.long), None)
    for itself in (False, True):
        with pytest.raises(ValueError, match="all 9 of this batch show one"):
            weighted_regularised_triplet(features, torch.zeros(9, dtype=torch.long), itself)


@pytest.mark.parametrize("margin", [0.3, None])
def test_weights_multiply_each_image_and_the_mean_is_over_images(margin):
    features, labels = random_batch(2)
    logits = random_batch(3, dimensions=3)[0]
    weights = torch.rand(9, generator=torch.Generator().manual_seed(1)).requires_grad_()
    alone = [cross_entropy(logits[i : i + 1], labels[i : i + 1], 0.1).item() for i in range(9)]
    expected = sum(w * loss for w, loss in zip(weights.tolist(), alone, strict=True)) / 9
    found = cross_entropy(logits, labels, 0.1, weights)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    found.backward()
    torch.testing.assert_close(weights.grad, torch.tensor(alone) / 9)  # weights may be learned
    distance = torch.cdist(features, features)
    same = labels[:, None] == labels[None]
    gap = distance.where(same, -torch.inf).amax(1) - distance.where(~same, torch.inf).amin(1)
    terms = (1 + gap.exp()).log() if margin is None else (margin + gap).clamp(min=0)
    expected = (weights.detach() * terms).sum() / 9
    torch.testing.assert_close(batch_hard_triplet(features, labels, margin, weights.detach()), expected)
    ones = torch.ones(9)
    torch.testing.assert_close(
        batch_hard_triplet(features, labels, margin, ones), batch_hard_triplet(features, labels, margin)
    )
    torch.testing.assert_close(cross_entropy(logits, labels, 0.0, ones), cross_entropy(logits, labels))
    for wrong in (torch.ones(8), torch.ones(9, 1), torch.tensor(1.0)):
        with pytest.raises(ValueError, match="one weight per image"):
            cross_entropy(logits, labels, 0.0, wrong)
        with pytest.raises(ValueError, match="one weight per image"):
            batch_hard_triplet(features, labels, margin, wrong)


def test_a_mixture_of_two_streams():
    """FTWA Eq. 5, its known answer: per image 0.7 and 1.5 on the high side, 5/3 and 0.7 on the low one."""

    def logits(losses):  # of two classes, with this cross-entropy for class 0
        return torch.stack([torch.zeros(len(losses)), torch.tensor(losses).expm1().log()], 1)

    total = 0.0
    for a, b, high, low in (
        ((0.8, 0.5), (0.2, 0.5), (0.5, 1.0), (1.5, 2.0)),
        ((0.3, 0.75), (0.6, 0.25), (1.0, 0.8), (2.0, 0.4)),
    ):
        a, b, labels = torch.tensor(a), torch.tensor(b), torch.zeros(2, dtype=torch.long)
        total += cross_entropy(logits(high), labels, weights=a / (a + b))
        total += cross_entropy(logits(low), labels, weights=b / (a + b))
    assert total.item() == pytest.approx(2.283333, rel=1e-5)


def test_smoothing_outside_its_range_is_refused():
    logits, labels = random_batch(0, dimensions=3)
    for wrong in (-0.1, 1.0, 1.5):
        with pytest.raises(ValueError, match=r"label smoothing lies in \[0, 1\)"):
            cross_entropy(logits, labels, wrong)


def test_a_stream_without_an_image_counts_nothing():
    """0, with a gradient of 0: the step goes on, and in several processes nobody waits for a loss that is left out."""
    none = torch.zeros(0, dtype=torch.long)
    losses = {
        "cross_entropy": lambda x: cross_entropy(x.flatten(1), none, 0.1),
        "cross_entropy, weights": lambda x: cross_entropy(x.flatten(1), none, 0.1, torch.zeros(0)),
        "triplet": lambda x: batch_hard_triplet(x.flatten(1), none),
        "weighted": lambda x: weighted_regularised_triplet(x.flatten(1), none),
        "centre": lambda x: centre_loss(x.flatten(1), none, torch.zeros(3, 24)),
        "pixel": lambda x: pixel_mse(x, x.detach()),
        "pixel, sum": lambda x: pixel_mse(x, x.detach(), "sum"),
        "pixel, L1": lambda x: pixel_l1(x, x.detach()),
        "siamese": lambda x: siamese_l1((x.detach().flatten(1),), (x.flatten(1),), "sum"),
        "foreground": lambda x: foreground_loss(x, x.detach(), x.detach()[:, :1]),
        "weighting": lambda x: resolution_weighting(x.flatten(1).view(0, 12, 2), torch.zeros(0)),
        "discriminator": lambda x: discriminator_loss(x[:, 0, 0, 0], x[:, 0, 0, 1]),
        "generator": lambda x: generator_loss(x[:, 0, 0, 0]),
    }
    for name, loss in losses.items():
        scale = torch.ones((), requires_grad=True)
        value = loss(torch.zeros(0, 3, 4, 2) * scale)
        value.backward()
        assert value.shape == () and value == 0 and scale.grad == 0, name


def test_the_mean_of_one_process():
    values = torch.rand(4, 3)
    torch.testing.assert_close(mean_over_processes(values), values.mean())
    one, two = gathered(values, values[:, 0])
    assert one is values and torch.equal(two, values[:, 0])


def test_double_precision_stays():
    """What is given in float64 is computed in it: evaluation compares long descriptors."""
    a = torch.tensor([[1e7, 0.0], [1e7, 1.0]], dtype=torch.float64)
    found = pairwise_distances(a, a)
    assert found.dtype == torch.float64 and found[0, 1] == 1 and found[0, 0] == 0
