"""Heads of PS-HRNet's tables: Eq. 6 by hand and by loops, one interface for sequences, a pooled map and stripes."""

from __future__ import annotations

import math

import pytest
import torch

from lib.losses import batch_hard_triplet, cross_entropy
from lib.models.heads import PooledHead, SequencesHead, StripesHead
from lib.models.hrnet import create_branches

CHANNELS = (8, 16, 32, 64)


def a_head(**options) -> SequencesHead:
    torch.manual_seed(0)
    return SequencesHead(CHANNELS, 5, **{"descriptor": 12, **options})


def maps_of(count: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    sizes = ((24, 12), (12, 6), (6, 3), (3, 2))
    return [torch.randn(count, c, *size, generator=generator) for c, size in zip(CHANNELS, sizes, strict=True)]


# ---- Eq. 6


def test_equation_6_by_hand():
    four, five = torch.arange(16.0).view(1, 1, 4, 4), torch.arange(15.0).view(1, 1, 5, 3)
    both, average, largest = (a_head(pooling=kind) for kind in ("both", "average", "max"))
    torch.testing.assert_close(both.sequence(four, 2, 0.2), torch.tensor([[3.5, 5.9, 13.1, 15.5]]))
    torch.testing.assert_close(both.sequence(four, 1, 0.2), torch.tensor([[10.5]]))
    torch.testing.assert_close(both.sequence(four, 4, 0.5), 1.5 * four.flatten(1))
    torch.testing.assert_close(average.sequence(five, 2, 0.2), torch.tensor([[3.5, 4.5, 9.5, 10.5]]))
    torch.testing.assert_close(largest.sequence(five, 2, 0.2), torch.tensor([[7.0, 8.0, 13.0, 14.0]]))
    three = torch.arange(6.0).view(1, 1, 3, 2)  # fewer rows than the grid: bins overlap
    assert average.sequence(three, 4, 0.5).shape == (1, 16)
    assert set(largest.sequence(three, 4, 0.5).flatten().tolist()) == set(range(6))


def bins(size: int, grid: int) -> list[range]:
    return [range(math.floor(i * size / grid), math.ceil((i + 1) * size / grid)) for i in range(grid)]


@pytest.mark.parametrize("pooling", ["both", "average", "max"])
def test_equation_6_by_loops(pooling):
    head, maps = a_head(pooling=pooling), maps_of()
    each = []
    for one, grid, weight in zip(maps, (4, 2, 2, 1), (0.5, 0.2, 0.2, 0.2), strict=True):
        sequence = torch.zeros(3, one.shape[1], grid, grid)
        for y, rows in enumerate(bins(one.shape[2], grid)):
            for x, columns in enumerate(bins(one.shape[3], grid)):
                cell = one[:, :, rows.start : rows.stop, columns.start : columns.stop].flatten(2)
                values = {"average": cell.mean(2), "max": cell.amax(2)}
                values["both"] = values["average"] + weight * values["max"]
                sequence[:, :, y, x] = values[pooling]
        each.append(sequence.flatten(1))
    found = head(maps).sequences
    for one, wanted in zip(found, [*each, torch.cat(each, 1)], strict=True):
        torch.testing.assert_close(one, wanted)


def test_what_follows_the_sequences():
    head, maps = a_head().eval(), maps_of()
    head.bn.running_mean.normal_()
    head.bn.running_var.uniform_(0.5, 2.0)
    found = head(maps)
    whole = found.sequences[-1]
    feature = whole @ head.reduce.weight.T + head.reduce.bias
    feature = (feature - head.bn.running_mean) / (head.bn.running_var + head.bn.eps).sqrt() * head.bn.weight
    feature = feature + head.bn.bias  # no ReLU
    torch.testing.assert_close(found.descriptor, torch.cat([whole, feature], 1))
    torch.testing.assert_close(found.logits[0], feature @ head.classifier.weight.T + head.classifier.bias)
    assert list(found.elements) == ["seq1", "seq2", "seq3", "seq4", "seq5", "logits"]


def test_dropout_is_no_noise_of_features():
    head, maps = a_head(dropout=0.5).train(), maps_of()
    one, other = head(maps), head(maps)
    assert torch.equal(one.descriptor, other.descriptor) and not torch.equal(one.logits[0], other.logits[0])
    assert torch.equal(*(a_head(dropout=0.0).train()(maps).logits[0] for _ in range(2)))


def test_the_papers_lengths_and_counts():
    """2048, 1024, 2048, 1024 and 6144; a feature of 6,656; 34,414,383 weights for Market-1501's 751 people."""
    with torch.device("meta"):
        network = create_branches("hrnet-w32")
        head = SequencesHead(network.stage_channels, 751)
        found = head(network.maps(torch.empty(2, 3, 256, 128)))
    assert [one.shape[1] for one in found.sequences] == [2048, 1024, 2048, 1024, 6144]
    assert found.descriptor.shape == (2, 6656) and found.logits[0].shape == (2, 751)
    own = {name: sum(p.numel() for p in part.parameters()) for name, part in head.named_children()}
    assert own == {"reduce": 3_146_240, "bn": 1_024, "dropout": 0, "classifier": 513 * 751}
    assert sum(p.numel() for part in (network, head) for p in part.parameters()) == 34_414_383


def test_grids_lambdas_and_maps_belong_together():
    with pytest.raises(ValueError, match="4 maps, 3 grids and 4 lambdas"):
        a_head(grids=(4, 2, 2))
    with pytest.raises(ValueError, match="'gem'; known: both, average, max"):
        a_head(pooling="gem")
    with pytest.raises(ValueError, match="argument"):
        a_head()(maps_of()[:3])


# ---- the same interface for others


def test_the_pooled_head_is_that_of_one_averaged_map():
    torch.manual_seed(0)
    head, one = PooledHead(64, 5, descriptor=12).eval(), maps_of()[-1]
    found = head([one])
    (sequence,) = found.sequences
    torch.testing.assert_close(sequence, one.mean((2, 3)))
    torch.testing.assert_close(found.descriptor, torch.cat([sequence, head.bn(head.reduce(sequence))], 1))
    assert list(found.elements) == ["seq1", "logits"]


def test_stripes_are_six_rows_each_classified_by_itself():
    torch.manual_seed(0)
    head, one = StripesHead(16, 5, descriptor=12).eval(), maps_of()[1][:, :, :6, :3]
    found = head([one])
    rows = one.mean(3).unbind(2)
    torch.testing.assert_close(found.descriptor, torch.cat(rows, 1))  # [g1 ... g6]
    for row, part, classifier, logits in zip(rows, head.parts, head.classifiers, found.logits, strict=True):
        hidden = row @ part[0].weight.T / math.sqrt(1 + part[1].eps)
        torch.testing.assert_close(logits, hidden.clamp(min=0) @ classifier.weight.T + classifier.bias)
    assert not found.sequences and list(found.elements) == ["logits"] and found.elements["logits"].shape == (3, 30)
    assert StripesHead(16, 5)([maps_of()[1][:, :, :4]]).descriptor.shape == (3, 6 * 16)  # four rows: stripes overlap


def test_equal_stripes_have_six_equal_losses():
    head, labels = StripesHead(16, 5, descriptor=12).eval(), torch.tensor([0, 3, 1])
    for part, classifier in zip(head.parts, head.classifiers, strict=True):
        part.load_state_dict(head.parts[0].state_dict())
        classifier.load_state_dict(head.classifiers[0].state_dict())
    found = head([maps_of()[1][:, :, :1].expand(-1, -1, 6, -1)])
    one = cross_entropy(found.logits[0], labels)
    torch.testing.assert_close(sum(cross_entropy(logits, labels) for logits in found.logits), 6 * one)
    assert found.descriptor.shape == (3, 96)


def test_pcb_in_the_papers_size():
    """ResNet-50 on 384 x 128: a descriptor of 12,288."""
    with torch.device("meta"):
        head = StripesHead(2048, 751)
        assert head([torch.empty(2, 2048, 24, 8)]).descriptor.shape == (2, 12_288)
        assert sum(p.numel() for p in head.parts.parameters()) == 6 * (2048 * 256 + 2 * 256)


# ---- known answers of the losses (Eq. 7-9)


@pytest.mark.parametrize(("margin", "expected"), [(0.1, 0.025), (0.3, 0.075)])
def test_the_triplet_on_a_line(margin, expected):
    """Features 0, 1 (one person) and 3, 5 (another): hinges 0, 0, m, 0, and the mean over four anchors."""
    features, labels = torch.tensor([[0.0], [1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1, 1])
    assert batch_hard_triplet(features, labels, margin).item() == pytest.approx(expected, abs=1e-6)


def test_smoothed_cross_entropy_has_its_known_answer_and_its_floor():
    logits = torch.tensor([[2.0, 0.0, -1.0, 0.5]])
    assert cross_entropy(logits, torch.tensor([0]), 0.1).item() == pytest.approx(0.5048496, abs=1e-6)
    q = torch.full((1, 751), 0.1 / 751)
    q[0, 0] += 0.9
    assert q.sum().item() == pytest.approx(1, abs=1e-6)
    assert cross_entropy(q.log(), torch.tensor([0]), 0.1).item() == pytest.approx(0.98592, abs=1e-5)  # entropy of q


def test_gradient_reaches_every_weight_of_every_head():
    torch.manual_seed(0)
    maps = [one.requires_grad_() for one in maps_of(4)]
    for head, given in ((a_head(), maps), (PooledHead(64, 5), maps[-1:]), (StripesHead(64, 5), maps[-1:])):
        found = head(given)
        total = sum(cross_entropy(logits, torch.arange(4)) for logits in found.logits)
        (total + sum(one.square().mean() for one in found.sequences)).backward()
        for name, parameter in head.named_parameters():
            bias = isinstance(head, SequencesHead) and name == "reduce.bias"  # behind it stands a batch normalisation
            assert parameter.grad.isfinite().all() and (bias or parameter.grad.any()), name
        assert all(one.grad is not None and one.grad.any() for one in given)
