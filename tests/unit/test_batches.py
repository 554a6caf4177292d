"""Canvases, the identity sampler and the augmentation."""

from __future__ import annotations

import miniatures as mini
import numpy as np
import pandas as pd
import pytest
import torch
import training_helpers as helpers
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.data import make_protocol
from lib.data.augmentation import Augmentation, colour_map
from lib.data.batches import Batch, TrainingBatches
from lib.data.canvases import Canvases
from lib.data.dataset import PersonDataset
from lib.data.resolution import degrade, enlarge, shrink
from lib.data.sampling import Draws, IdentitySampler, contiguous

tiny_people, tiny_protocol = helpers.tiny_people, helpers.tiny_protocol

PLAIN = Augmentation(flip=0.0)


def ramp(height: int = 32, width: int = 16) -> PersonDataset:
    """Every pixel tells its row (red) and its column (green), and which image it is of (blue); two people."""
    y, x = np.mgrid[:height, :width]
    images = [np.stack([y * 7, x * 15, np.full_like(y, 40 * i)], axis=2).astype(np.uint8) for i in range(4)]
    masks = [x < width // 4] * 4
    return PersonDataset.from_arrays("ramp", images, pd.DataFrame({"pid": list("aabb"), "cam": list("1212")}), masks)


def batches(protocol=None, augmentation=PLAIN, size=(32, 16), **options) -> TrainingBatches:
    protocol = protocol or tiny_protocol()
    options = {"identities": 4, "images": 2} | options
    return TrainingBatches(Canvases(protocol, size), protocol.rows("train"), augmentation, **options)


# ---- canvases


def test_canvas_is_shrunk_at_its_own_size_then_enlarged():
    people = tiny_people()
    canvases = Canvases(tiny_protocol(people), (64, 32))
    found = canvases.images([3, 3, 5], [1.0, 0.5, 0.25])
    for image, row, ratio in zip(found, (3, 3, 5), (1.0, 0.5, 0.25), strict=True):
        own = torch.from_numpy(people.image(row).copy()).permute(2, 0, 1)
        low = shrink(own, (int(32 * ratio), int(16 * ratio))) if ratio < 1 else own
        assert torch.equal(image, enlarge(low, (64, 32)))


def test_a_canvas_of_the_image_s_own_size_is_degrade():
    people = tiny_people()
    own = torch.from_numpy(people.image(7).copy()).permute(2, 0, 1)
    assert torch.equal(Canvases(tiny_protocol(people), (32, 16)).images([7], [1 / 3])[0], degrade(own, 1 / 3))


def test_degrading_after_enlarging_would_keep_more():
    """A fine pattern of the small image is gone at half its size, but survives halving the enlarged canvas."""
    stripes = np.zeros((32, 16, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    people = PersonDataset.from_arrays("s", [stripes] * 4, pd.DataFrame({"pid": list("aabb"), "cam": list("1212")}))
    right = Canvases(tiny_protocol(people), (64, 32)).images([0], [0.5]).float()
    own = torch.from_numpy(stripes).permute(2, 0, 1)
    wrong = degrade(enlarge(own, (64, 32)), 0.5).float()

    def contrast(picture):
        return picture[..., 8:-8, 8:-8].std()

    assert contrast(right) < 10 < 40 < contrast(wrong)


def test_canvases_are_made_once_and_keep_their_places():
    canvases = Canvases(tiny_protocol(), (32, 16))
    first = canvases.slots([0, 1], [1.0, 0.5])
    canvases.slots([5, 6, 0], [0.5, 0.5, 1.0])
    assert len(canvases.pool) == 4
    assert torch.equal(canvases.slots([0, 1], [1.0, 0.5]), first)


def test_images_of_many_sizes():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (h, w, 3)).astype(np.uint8) for h, w in [(20, 9), (41, 16), (32, 16), (20, 9)]]
    people = PersonDataset.from_arrays("sizes", images, pd.DataFrame({"pid": list("aabb"), "cam": list("1212")}))
    found = Canvases(tiny_protocol(people), (32, 16)).images([0, 1, 2, 3], [1, 1, 1, 1])
    for image, own in zip(found, images, strict=True):
        assert torch.equal(image, enlarge(torch.from_numpy(own).permute(2, 0, 1), (32, 16)))


def test_masks_or_none():
    assert Canvases(tiny_protocol(ramp()), (8, 4)).masks([0, 2]).float().mean((0, 1, 2)).tolist() == [1, 0, 0, 0]
    assert Canvases(tiny_protocol(tiny_people(masks=False)), (8, 4)).masks([0]) is None


# ---- sampler


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(1, 9), min_size=2, max_size=12),
    identities=st.integers(1, 6),
    images=st.integers(1, 5),
    seed=st.integers(0, 5),
)
def test_batches_are_p_identities_of_k_images(counts, identities, images, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    sampler = IdentitySampler(labels, identities, images, seed)
    epoch = list(sampler.epoch(0))
    assert len(epoch) == len(sampler) >= 1
    for positions in epoch:
        blocks = positions.view(sampler.identities, sampler.images)
        people = [{int(labels[i]) for i in block} for block in blocks]
        assert all(len(p) == 1 for p in people) and len(set.union(*people)) == sampler.identities
        for block in blocks:  # no image twice, unless there are too few
            assert len(set(block.tolist())) == min(sampler.images, counts[labels[block[0]]])


def test_all_identities_are_seen_equally_often():
    labels = np.repeat(np.arange(10), 6)
    sampler, seen = IdentitySampler(labels, 5, 3), np.zeros(10)
    for number in range(10):
        for positions in sampler.epoch(number):
            seen[labels[positions.view(5, 3)[:, 0]]] += 1
    assert seen.min() == seen.max()


def test_two_images_per_person_make_wide_batches():
    """VIPeR: 316 people with two images; 16 x 4 becomes 32 x 2."""
    sampler = IdentitySampler(np.repeat(np.arange(316), 2), 16, 4)
    assert (sampler.identities, sampler.images, len(sampler)) == (32, 2, 10)


def test_a_sampler_goes_on_in_the_middle_of_an_epoch():
    """Nothing has to be remembered but the place: epochs differ, and each is the same whenever it is asked for."""
    labels = np.repeat(np.arange(8), 6)
    epochs = [[p.tolist() for p in IdentitySampler(labels, 4, 2, seed=3).epoch(number)] for number in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    for number in (2, 0, 1):
        sampler = IdentitySampler(labels, 4, 2, seed=3)
        for start in range(7):
            assert [p.tolist() for p in sampler.epoch(number, start)] == epochs[number][start:]
    assert [p.tolist() for p in IdentitySampler(labels, 4, 2, seed=4).epoch(0)] != epochs[0]


def test_a_draw_under_a_new_name_moves_no_other_draw():
    draws = Draws(3, 1, 5, 64)
    before = draws("shift", 2)
    draws("something new", 7)
    assert torch.equal(draws("shift", 2), before) and not torch.equal(draws("flip", 2), before)
    for other in (Draws(4, 1, 5, 64), Draws(3, 2, 5, 64), Draws(3, 1, 6, 64)):
        assert not torch.equal(other("shift", 2), before)
    assert torch.equal(draws.of(slice(10, 30))("shift", 2), before[10:30])
    many = torch.cat([Draws(0, 0, step, 500)("u")[:, 0] for step in range(20)])
    assert abs(float(many.mean()) - 0.5) < 0.01 and abs(float(many.var()) - 1 / 12) < 0.003
    picked = draws.pick("m", (0.5, 0.25))
    assert set(picked.tolist()) == {0.5, 0.25} and 16 < (picked == 0.5).sum() < 48


def test_one_identity_is_refused():
    with pytest.raises(ValueError, match="at least two identities.*there are 1: take more people"):
        IdentitySampler([0, 0, 0], 4, 2)


def test_labels_are_those_of_sorted_identities():
    assert contiguous(["10", "9", "10", "1"])[0].tolist() == [1, 2, 1, 0]
    assert contiguous(["10", "9", "10", "1"])[1] == ["1", "10", "9"]


# ---- batches


def test_without_augmentation_a_batch_is_the_canvases():
    protocol = tiny_protocol()
    source = batches(protocol)
    batch = next(source.epoch(0))[0]
    rows = protocol.rows("train").set_index("image").loc[batch.rows.tolist()]
    expected = source.canvases.images(rows.index, rows["ratio"]).float() / 255
    torch.testing.assert_close(batch.images, expected)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.ratio.tolist() == rows["ratio"].tolist()
    torch.testing.assert_close(batch.resolution, torch.tensor(rows["resolution"].to_numpy(), dtype=torch.float32))
    assert batch.labels.tolist() == contiguous(protocol.table["pid"])[0][rows.index].tolist()
    assert batch.cams.tolist() == [int(c[1]) - 1 for c in rows["cam"]]


def test_every_view_has_the_same_flip_and_crop():
    """The ramp's colours tell where every pixel comes from: in all views and in the mask from the same place."""
    protocol = tiny_protocol(ramp(), ratios=("1",))
    source = batches(protocol, Augmentation(pad=3), identities=2)
    flips = set()
    for batch in [pieces[0] for number in range(20) for pieces in source.epoch(number)]:
        torch.testing.assert_close(batch.images, batch.hr)  # ratio 1: bit for bit the same place
        rows, columns = batch.hr[:, 0] * 255 / 7, batch.hr[:, 1] * 255 / 15  # (B, H, W): where each pixel was
        assert torch.equal(batch.mask[:, 0], (columns.round() < 4).float())
        flips |= set((columns[:, 0, 0] > columns[:, 0, -1]).tolist())
        # a linear ramp survives halving and enlarging but for the borders
        inner = (rows.round() > 3) & (rows.round() < 28) & (columns.round() > 3) & (columns.round() < 12)
        assert ((batch.at(0.5) - batch.hr).abs()[:, 0][inner] < 4 / 255).all()
        assert ((batch.at(0.5) - batch.hr).abs()[:, 1][inner] < 4 / 255).all()
        shifts = (rows[:, 16, 0] - 16).round()
        assert shifts.abs().max() <= 3
    assert flips == {True, False}


def test_positions_tell_where_the_pixels_come_from():
    """The ramp's colours again: row and column of every pixel, whatever the flip and the crop."""
    source = batches(tiny_protocol(ramp(), ratios=("1",)), Augmentation(pad=3), identities=2)
    for batch in [pieces[0] for number in range(10) for pieces in source.epoch(number)]:
        assert batch.position.shape == (len(batch), 2, 32, 16) and batch.position.dtype == torch.float32
        rows, columns = (batch.hr[:, 0] * 255 / 7).round(), (batch.hr[:, 1] * 255 / 15).round()
        torch.testing.assert_close(batch.position[:, 0], (rows + 0.5) / 32)
        torch.testing.assert_close(batch.position[:, 1], (columns + 0.5) / 16)
        assert batch.position.min() > 0 and batch.position.max() < 1
        assert torch.equal(batch.mask[:, 0], (batch.position[:, 1] < 0.25).float())


def test_positions_without_augmentation_and_without_masks():
    batch = next(batches(tiny_protocol(tiny_people(masks=False)), size=(4, 2)).epoch(0))[0]
    assert batch.mask is None
    assert batch.position[0, 0].tolist() == [[0.125] * 2, [0.375] * 2, [0.625] * 2, [0.875] * 2]
    assert batch.position[3, 1].tolist() == [[0.25, 0.75]] * 4


def test_resolution_in_a_batch_is_that_of_the_protocol():
    """VR: width over 32 pixels, not over the set's 50."""
    protocol = make_protocol(mini.tiny(12, 2, 3, width=50), "vr")
    rows, seen = protocol.rows("train").set_index("image"), set()
    for batch in [pieces[0] for number in range(3) for pieces in batches(protocol).epoch(number)]:
        expected = rows.loc[batch.rows.tolist(), "width"].to_numpy() / 32
        np.testing.assert_allclose(batch.resolution, expected, rtol=1e-6)
        seen |= set(batch.resolution.tolist())
    assert min(seen) >= 12 / 32 and max(seen) <= 1 and len(seen) > 5


def test_resolution_of_a_canvas_by_hand():
    """A miniature of 50 and 49 x 40 pixels; width_max is 32 in VR and 50 elsewhere."""
    people = mini.tiny(12, 2, 2, width=50)
    vr, mlr = (Canvases(make_protocol(people, preset), (8, 4)) for preset in ("vr", "mlr"))
    assert vr.resolution([0, 0, 0], [16 / 50, 32 / 50, 1.0]).tolist() == [0.5, 1, 1]
    # the other camera's are a pixel narrower
    assert mlr.resolution([0, 0, 2], [0.5, 1.0, 1.0]).tolist() == pytest.approx([0.5, 1, 49 / 50])
    assert vr.extent([0], [1.0])[0] == pytest.approx((40 * 50 / (42 * 50)) ** 0.5)  # SING's goes by areas


def test_erased_boxes_are_the_same_in_all_views():
    source = batches(augmentation=Augmentation(erase=1.0))
    batch = next(source.epoch(0))[0]
    grey = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    erased = [(view == grey).all(1) for view in (batch.images, batch.hr, batch.at(0.25), batch.original.at(0.25))]
    assert all(torch.equal(erased[0], other) for other in erased[1:])
    share = erased[0].float().mean((1, 2))
    assert (share > 0).all() and (share < 0.5).all()


def test_erasing_has_its_probability():
    source, erased = batches(augmentation=Augmentation(erase=0.3)), []
    grey = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    for number in range(30):
        for pieces in source.epoch(number):
            erased += (pieces[0].images == grey).all(1).flatten(1).any(1).tolist()
    assert np.mean(erased) == pytest.approx(0.3, abs=0.06)


def test_all_resolutions_multiplies_the_protocols_ratio():
    protocol = tiny_protocol(ratios=("1", "1/2"))
    source = batches(protocol, Augmentation(flip=0, ratios=(1.0, 0.5, 0.25)))
    seen = set()
    for number in range(10):
        for pieces in source.epoch(number):
            batch = pieces[0]
            own = protocol.table["ratio"].to_numpy()[batch.rows]
            factor = batch.ratio.numpy() / own
            seen |= set(factor.tolist())
            expected = source.canvases.images(batch.rows, batch.ratio).float() / 255
            torch.testing.assert_close(batch.images, expected)
            torch.testing.assert_close(batch.resolution, batch.ratio)  # all are as wide as the widest
    assert seen == {1.0, 0.5, 0.25}
    assert len(source.canvases.pool) <= 60 * 4


def test_at_shrinks_from_what_the_pictures_show_and_original_at_from_the_files():
    protocol = tiny_protocol(ratios=("1", "1/2"))
    source = batches(protocol)
    batch = next(source.epoch(0))[0]
    shown = protocol.table["ratio"].to_numpy()[batch.rows]
    assert set(shown) == {1.0, 0.5}
    for m in (0.5, 0.25):
        torch.testing.assert_close(batch.at(m), source.canvases.pictures(batch.rows, shown * m))
        torch.testing.assert_close(batch.original.at(m), source.canvases.pictures(batch.rows, [m] * len(batch)))
    each = batch.pick("m", (0.5, 0.25))
    assert set(each.tolist()) == {0.5, 0.25}
    torch.testing.assert_close(batch.at(each), source.canvases.pictures(batch.rows, shown * each.numpy()))
    torch.testing.assert_close(batch.original.at(each), source.canvases.pictures(batch.rows, each))
    assert torch.equal(batch.at(1), batch.images) and torch.equal(batch.original.at(1), batch.hr)
    some = torch.tensor([5, 2, 7])
    assert torch.equal(batch.at(0.5, some), batch.at(0.5)[some]) and torch.equal(batch.at(1, some), batch.images[some])
    assert torch.equal(batch.at(each[some], some), batch.at(each)[some])


@pytest.mark.parametrize("jitter", [(0.0,) * 4, (0.2, 0.2, 0.2, 0.1)])
def test_some_pictures_shrunk_are_those_of_the_whole_batch(jitter):
    """With every augmentation there is: the flip, crop, colours and box of an image are its own."""
    source = batches(augmentation=Augmentation(pad=2, erase=0.7, jitter=jitter, ratios=(1.0, 0.5)), seed=4)
    batch, some = next(source.epoch(0))[0], torch.tensor([7, 0, 3])
    torch.testing.assert_close(batch.at(1 / 3, some), batch.at(1 / 3)[some])
    torch.testing.assert_close(batch.original.at(1 / 3, some), batch.original.at(1 / 3)[some])


def test_a_shown_batch_is_a_training_batch_without_augmentation():
    """The same kind of thing in training and in testing: pictures, resolutions, extents and copies are equal."""
    protocol = tiny_protocol(ratios=("1", "1/2"))
    source = batches(protocol)
    trained = next(source.epoch(0))[0]
    shown = Batch.shown(Canvases(protocol, (32, 16)), trained.rows.numpy(), trained.ratio.numpy())
    for name in ("images", "resolution", "extent", "rows"):
        torch.testing.assert_close(getattr(trained, name), getattr(shown, name))
    torch.testing.assert_close(trained.at(1 / 3), shown.at(1 / 3))


def test_a_copy_in_a_test_is_what_the_picture_shows_shrunk_at_its_own_size():
    """27.6 dB from the picture on VIPeR at m = 1/2, where half a canvas of 256 x 128 would be 40.0: the trap."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (32, 16, 3)).astype(np.uint8) for _ in range(4)]
    people = PersonDataset.from_arrays("n", images, pd.DataFrame({"pid": list("aabb"), "cam": list("1212")}))
    canvases = Canvases(tiny_protocol(people), (64, 32))
    batch = Batch.shown(canvases, [0, 2], [1.0, 0.5])
    own = torch.from_numpy(images[0]).permute(2, 0, 1)
    right = enlarge(shrink(own, (16, 8)), (64, 32)).float() / 255
    torch.testing.assert_close(batch.at(0.5)[0], right)
    halved = degrade(batch.images[:1], 0.5)[0]
    assert (right - batch.images[0]).square().mean() > 3 * (halved - batch.images[0]).square().mean()
    # a gallery image that is shown at 1/2 comes at 1/2 as 1/4 of its file, just as a probe at 1/4 does
    assert torch.equal(batch.at(0.5)[1], Batch.shown(canvases, [2], [0.25]).images[0])


def test_what_a_test_does_not_show_is_refused():
    batch = Batch.shown(Canvases(tiny_protocol(), (32, 16)), [0, 1], [0.5, 1.0])
    for name in ("hr", "original", "mask", "position"):
        with pytest.raises(ValueError, match="in training only"):
            getattr(batch, name)
    with pytest.raises(ValueError, match="pick is there in training only"):
        batch.pick("m", (0.5,))
    for wrong in (0, 1.5, -0.5, float("nan"), (0.5, 0.5, 0.5)):
        with pytest.raises(ValueError, match="one ratio in \\(0, 1\\], or one for each of the 2 pictures"):
            batch.at(wrong)
    with pytest.raises(ValueError, match="Batch.shown"):
        Batch(torch.rand(2, 3, 32, 16)).at(0.5)


def test_a_batch_through_a_network_has_copies_through_it():
    batch = Batch.shown(Canvases(tiny_protocol(), (32, 16)), [0, 1], [0.5, 1.0])
    darker = batch.through(lambda images: images / 2)
    torch.testing.assert_close(darker.images, batch.images / 2)
    torch.testing.assert_close(darker.at(0.5), batch.at(0.5) / 2)
    assert torch.equal(darker.resolution, batch.resolution) and torch.equal(darker.extent, batch.extent)


@pytest.mark.parametrize(("processes", "pieces"), [(2, 1), (1, 2), (2, 2), (4, 1)])
def test_shares_and_pieces_make_up_the_same_batch(processes, pieces):
    options = {
        "augmentation": Augmentation(pad=2, erase=0.5, jitter=(0.2, 0.2, 0.2, 0.1)),
        "seed": 4,
    }
    whole = [p[0] for p in batches(**options).epoch(0)]
    parts = [list(batches(**options, share=(rank, processes), pieces=pieces).epoch(0)) for rank in range(processes)]
    for step, expected in enumerate(whole):
        got = [parts[rank][step][piece] for piece in range(pieces) for rank in range(processes)]
        for name in ("images", "hr", "labels", "rows", "resolution"):
            assert torch.equal(torch.cat([getattr(b, name) for b in got]), getattr(expected, name)), name
        assert torch.equal(torch.cat([b.pick("m", (0.5, 0.25)) for b in got]), expected.pick("m", (0.5, 0.25)))


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match="4 identities cannot be shared by 3 processes"):
        batches(share=(0, 3))


def test_batches_go_on_with_the_same_random_numbers():
    augmentation = Augmentation(pad=2, erase=0.5)
    expected = [p[0].images for number in (0, 1) for p in batches(augmentation=augmentation).epoch(number)]
    source = batches(augmentation=augmentation)
    found = [p[0].images for number, start in ((0, 2), (1, 0)) for p in source.epoch(number, start)]
    assert len(found) == len(expected) - 2
    assert all(torch.equal(a, b) for a, b in zip(found, expected[2:], strict=True))


def test_still_gives_every_image_once_as_it_is():
    protocol = tiny_protocol()
    source = batches(protocol)
    parts = list(source.still(16))
    assert torch.cat([b.rows for b in parts]).tolist() == list(range(60))
    expected = source.canvases.pictures(range(60), protocol.table["ratio"])
    torch.testing.assert_close(torch.cat([b.images for b in parts]), expected)


# ---- colours


def test_no_jitter_leaves_colours_alone():
    images = torch.rand(3, 3, 4, 4)
    matrix, offset = colour_map(torch.full((3, 4), 0.5), (0.4, 0.4, 0.4, 0.2), images)  # 0.5: the middle, no change
    torch.testing.assert_close(matrix, torch.eye(3).expand(3, 3, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(offset, torch.zeros(3, 3), atol=1e-6, rtol=0)


@pytest.mark.parametrize("which", range(4))
def test_each_colour_change_by_hand(which):
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    draws = torch.full((2, 4), 0.5)
    draws[:, which] = torch.tensor([0.9, 0.2])
    strength = 0.5
    matrix, offset = colour_map(draws, tuple(strength if i == which else 0.0 for i in range(4)), images)
    found = torch.einsum("bij,bjhw->bihw", matrix, images) + offset[:, :, None, None]
    luma = (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    factor = (1 + (2 * draws[:, which] - 1) * strength).view(2, 1, 1, 1)
    if which < 3:
        pivot = [torch.zeros_like(luma), luma.mean((2, 3), keepdim=True), luma][which]
        torch.testing.assert_close(found, factor * images + (1 - factor) * pivot)
    else:  # a turn keeps greys and lengths
        torch.testing.assert_close(found.sum(1), images.sum(1))
        torch.testing.assert_close(found.square().sum(1), images.square().sum(1))
        assert (found - images).abs().max() > 0.05
