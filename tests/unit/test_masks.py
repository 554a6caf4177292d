"""Masks that are attached to a set, read from a folder, or predicted by a segmentation network."""

from __future__ import annotations

import pickle
import urllib.error
import warnings

import miniatures as mini
import numpy as np
import pandas as pd
import pytest
import torch
import training_helpers as helpers
from PIL import Image
from torch import nn
from torchvision.models import get_model

from lib.data import DataError, DataWarning, PersonDataset, load_dataset
from lib.data.canvases import Canvases
from lib.data.masks import is_person, masks_from_folder
from lib.experiments.segmented import segmented
from lib.models import segmentation
from lib.models.segmentation import SegmentationUnavailable, Segmenter, create_segmenter, person_masks
from lib.training.runs import identity, key_of

LRASPP = "lraspp_mobilenet_v3_large"


def odd_people(masks: bool = False) -> PersonDataset:
    """Five images whose numbers of pixels are no multiples of eight, in files of two folders."""
    images = [mini.picture(i, height=9 + i, width=5 + i % 2) for i in range(5)]
    table = pd.DataFrame({"pid": list("aabbc"), "cam": list("12121")})
    table["file"] = [f"{'xy'[i % 2]}/person.{i}.jpg" for i in range(5)]
    return PersonDataset.from_arrays("odd", images, table, [m[..., 0] > 200 for m in images] if masks else None)


def one_image(height: int, width: int, file: str = "a.bmp") -> PersonDataset:
    table = pd.DataFrame({"pid": ["a"], "cam": ["1"], "file": [file]})
    return PersonDataset.from_arrays("one", [mini.picture(0, height=height, width=width)], table)


def outlines(people: PersonDataset, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.random(people.image(i).shape[:2]) < 0.5 for i in range(len(people))]


def own_folder(root) -> PersonDataset:
    for person in ("ann", "bob"):
        for cam in ("1", "2"):
            mini.store(root / "pictures" / person / cam / "a.png", ord(person[0]), int(cam), height=9, width=5)
    return load_dataset(root / "pictures", cache=root / "cache")


def save(folder, people: PersonDataset, pictures, suffix: str = ".png") -> None:
    for file, picture in zip(people.table["file"], pictures, strict=True):
        path = (folder / file).with_suffix(suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)


def same(people: PersonDataset, masks) -> bool:
    return all(np.array_equal(people.mask(i), mask) for i, mask in enumerate(masks))


# ---- attached


@pytest.mark.parametrize("own", [False, True])
def test_masks_come_back_and_the_rest_stays(own):
    people = odd_people(masks=own)
    masks = outlines(people)
    attached = people.with_masks(masks, "drawn by hand")
    assert same(attached, masks) and attached.mask(0).dtype == bool
    assert (attached.name, attached.fingerprint) == (people.name, people.fingerprint)
    pd.testing.assert_frame_equal(attached.table, people.table)
    assert np.shares_memory(attached.image(3), people.image(3))
    assert attached.notes == ("masks: drawn by hand",)
    assert bool(people.masks_from) == people.has_masks == own, "the first set is left as it was"
    assert people.masks_from != attached.masks_from


def test_masks_from_tells_masks_apart_and_nothing_else():
    people = odd_people()
    first, again = (people.with_masks(outlines(people), origin) for origin in ("here", "there"))
    assert first.masks_from == again.masks_from and len(first.masks_from) == 64
    other = first.with_masks(outlines(people, seed=1), "elsewhere")
    assert other.masks_from != first.masks_from and other.notes == ("masks: elsewhere",)


def test_take_keeps_them():
    people = odd_people()
    masks = outlines(people)
    attached = people.with_masks(masks, "x")
    some = attached.take([3, 1])
    assert same(some, [masks[3], masks[1]]) and some.masks_from == attached.masks_from
    assert some.fingerprint == people.take([3, 1]).fingerprint


def test_pickling_keeps_them_in_memory():
    attached = odd_people().with_masks(outlines(odd_people()), "x")
    back = pickle.loads(pickle.dumps(attached))
    assert same(back, outlines(odd_people())) and np.array_equal(back.image(4), attached.image(4))
    assert (back.masks_from, back.fingerprint, back.notes) == (
        attached.masks_from,
        attached.fingerprint,
        attached.notes,
    )


def test_pickling_keeps_them_from_the_cache_without_the_pixels(tmp_path):
    people = own_folder(tmp_path)
    masks = outlines(people)
    attached = people.with_masks(masks, "x")
    assert attached.directory == people.directory and np.shares_memory(attached.image(0), people.image(0))
    sent = pickle.dumps(attached)
    assert people.image(2).tobytes() not in sent, "the pixels are mapped again, not sent"
    for back in (pickle.loads(sent), pickle.loads(pickle.dumps(pickle.loads(sent)))):
        assert same(back, masks) and isinstance(back._pixels, np.memmap)
        assert (back.masks_from, back.fingerprint, back.notes) == (
            attached.masks_from,
            people.fingerprint,
            attached.notes,
        )
    assert not pickle.loads(pickle.dumps(people)).has_masks


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda masks: masks[:4], "4 masks for 5 images"),
        (lambda masks: [*masks, masks[0]], "6 masks for 5 images"),
        (lambda masks: [masks[0].T, *masks[1:]], r"x/person.0.jpg: expected \(9, 5\) bool, got \(5, 9\)"),
        (lambda masks: [*masks[:4], masks[4] * 255], "person.4.jpg: expected .* bool, got .* int64"),
    ],
)
def test_masks_that_do_not_fit(change, message):
    with pytest.raises(DataError, match=message):
        odd_people().with_masks(change(outlines(odd_people())), "x")


def test_empty_masks_are_counted():
    people = odd_people()
    masks = outlines(people)
    for i in (1, 3):
        masks[i][:] = False
    with pytest.warns(DataWarning, match=r"2 of 5 masks are empty.*y/person.1.jpg, y/person.3.jpg"):
        assert people.with_masks(masks, "x").mask(3).sum() == 0


def test_canvases_show_the_attached_ones():
    people = helpers.tiny_people(masks=False)
    mask = np.zeros((32, 16), bool)
    mask[:8] = True
    canvases = Canvases(helpers.tiny_protocol(people.with_masks([mask] * len(people), "x")), (64, 32))
    assert Canvases(helpers.tiny_protocol(people), (64, 32)).masks([0]) is None
    expected = torch.zeros(1, 64, 32, dtype=torch.uint8)
    expected[:, :16] = 1
    assert torch.equal(canvases.masks([5])[0], expected)


def test_the_key_of_a_run():
    method = helpers.Tiny()
    method.setup("quick", 12)

    def inputs(people: PersonDataset) -> dict:
        return identity(method, helpers.tiny_protocol(people), "quick", 0, "fp32", 1, {})

    own, without = inputs(helpers.tiny_people()), inputs(helpers.tiny_people(masks=False))
    assert "masks" not in without, "keys of finished runs stay"
    assert own == without | {"masks": helpers.tiny_people().masks_from}, "masks given with the images count as well"
    people = helpers.tiny_people()
    keys = {key_of(inputs(people.with_masks(outlines(people, seed), "x"))) for seed in (0, 0, 1)}
    assert len(keys | {key_of(own), key_of(without)}) == 4


# ---- from a folder


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
@pytest.mark.parametrize(
    "paint",
    [
        lambda mask: Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)),
        lambda mask: Image.fromarray(np.where(mask, 128, 127).astype(np.uint8)),
        lambda mask: Image.fromarray(mask.astype(np.uint8)),
        lambda mask: Image.fromarray(mask),
        lambda mask: Image.fromarray(np.where(mask[..., None], (250, 200, 150), (90, 20, 0)).astype(np.uint8)),
    ],
    ids=["grey", "threshold", "zeros and ones", "one bit", "colour"],
)
def test_kinds_of_masks(tmp_path, paint, suffix):
    people = odd_people()
    masks = outlines(people)
    save(tmp_path, people, [paint(mask) for mask in masks], suffix)
    read = masks_from_folder(people, tmp_path)
    assert same(read, masks) and read.masks_from == people.with_masks(masks, "x").masks_from
    assert read.notes == (f"masks: read from {tmp_path}",)


@pytest.mark.parametrize("palette", [(0, 0, 0, 128, 0, 0), (0, 0, 0, 255, 255, 255), (255, 255, 255, 0, 0, 0)])
def test_a_palette_counts_by_its_colours_unless_all_are_dark(tmp_path, palette):
    people = odd_people()
    masks = outlines(people)
    pictures = []
    for mask in masks:
        numbers = ~mask if palette[0] else mask
        pictures.append(Image.fromarray(numbers.astype(np.uint8), "L"))
        pictures[-1].putpalette(palette)
    save(tmp_path, people, pictures)
    with Image.open(tmp_path / "x/person.0.png") as picture:
        assert picture.mode == "P"
    assert same(masks_from_folder(people, tmp_path), masks)


def test_transparency_is_ignored_and_jpeg_is_read(tmp_path):
    mask = np.zeros((16, 16), bool)
    mask[:, :8] = True
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[mask, :3] = 255
    assert np.array_equal(is_person(Image.fromarray(pixels)), mask)
    people = one_image(16, 16)
    save(tmp_path, people, [Image.fromarray(pixels[..., 0])], ".jpg")
    assert same(masks_from_folder(people, tmp_path), [mask])


def test_all_ones_and_all_zeros(tmp_path):
    assert is_person(Image.fromarray(np.ones((4, 3), np.uint8))).all()
    assert not is_person(Image.fromarray(np.zeros((4, 3), np.uint8))).any()


def test_another_size_of_the_same_shape(tmp_path):
    people = one_image(20, 10)
    mask = np.random.default_rng(0).random((20, 10)) < 0.5
    large = np.repeat(np.repeat(mask, 3, axis=0), 3, axis=1)
    save(tmp_path, people, [Image.fromarray(large)])
    assert same(masks_from_folder(people, tmp_path), [mask])
    for shape, fits in (((100, 51), True), ((100, 49), False), ((10, 20), False)):
        save(tmp_path, people, [Image.fromarray(np.ones(shape, np.uint8))])
        if fits:
            assert masks_from_folder(people, tmp_path).mask(0).shape == (20, 10)
        else:
            with pytest.raises(DataError, match=rf"a.png has {shape[0]} x {shape[1]} .* its image 20 x 10"):
                masks_from_folder(people, tmp_path)


def test_a_set_from_the_cache(tmp_path):
    people = own_folder(tmp_path)
    masks = outlines(people)
    save(tmp_path / "masks", people, [Image.fromarray(mask) for mask in masks])
    read = masks_from_folder(people, str(tmp_path / "masks"))
    assert same(pickle.loads(pickle.dumps(read)), masks)


def test_missing_masks_are_counted_and_named(tmp_path):
    people = odd_people()
    save(tmp_path, people, [Image.fromarray(mask) for mask in outlines(people)])
    (tmp_path / "y/person.1.png").unlink()
    (tmp_path / "y/person.3.png").unlink()
    with pytest.raises(DataError, match=r"2 of 5 images have no mask.*y/person.1.jpg, y/person.3.jpg\..*\.png"):
        masks_from_folder(people, tmp_path)
    with pytest.raises(DataError, match="nowhere does not exist"):
        masks_from_folder(people, tmp_path / "nowhere")


def test_damaged_and_strange_masks_are_named(tmp_path):
    people = odd_people()
    save(tmp_path, people, [Image.fromarray(mask) for mask in outlines(people)])
    (tmp_path / "x/person.2.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"person.2.png is truncated or damaged.*again"):
        masks_from_folder(people, tmp_path)
    Image.fromarray(np.zeros((11, 5), np.uint16)).save(tmp_path / "x/person.2.png")
    with pytest.raises(DataError, match=r"person.2.png has pixels of kind 'I.*8 bits"):
        masks_from_folder(people, tmp_path)


@pytest.mark.parametrize("file", ["", "/pictures/a.jpg", "../a.jpg"])
def test_images_without_a_path_of_their_own(tmp_path, file):
    people = one_image(24, 10, file)
    with pytest.raises(DataError, match="1 of 1 images have no path.*with_masks"):
        masks_from_folder(people, tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg"])
def test_the_folder_of_the_pictures_themselves(tmp_path, suffix):
    folder = tmp_path / "pictures"
    for i, person in enumerate(("ann", "bob", "cid")):
        for cam in ("1", "2"):
            mini.store(folder / person / cam / f"a{suffix}", i, int(cam), height=20, width=12)
    people = load_dataset(folder, cache=tmp_path / "cache")
    with pytest.raises(
        DataError, match=rf"a{suffix} is the image ann/1/a{suffix} itself: .*pictures holds the pictures"
    ):
        masks_from_folder(people, folder)


def test_a_folder_of_other_pictures(tmp_path):
    people = odd_people()
    y, x = np.mgrid[0:90, 0:60]
    for i in range(5):
        picture = Image.fromarray(np.clip(90 + 60 * np.sin(x / 9 + i) + y / 2, 40, 210).astype(np.uint8))
        mini_size = people.image(i).shape[1::-1]
        path = (tmp_path / people.table["file"][i]).with_suffix(".png")
        path.parent.mkdir(exist_ok=True)
        picture.resize((20 * mini_size[0], 20 * mini_size[1])).save(path)
    with pytest.raises(DataError, match=r"5 of 5 masks in .* full of greys.*white \(or 1\) on the person"):
        masks_from_folder(people, tmp_path)


def test_soft_masks_are_masks(tmp_path):
    """A segmentation's certainty between 0 and 1 is cut at a half; its border is grey, most of it is not."""
    people = one_image(40, 20)
    y, x = np.mgrid[0:40, 0:20]
    certainty = 1 / (1 + np.exp(np.hypot((y - 20) / 14, (x - 10) / 7) * 9 - 9))
    assert len(np.unique((certainty * 255).round())) > 32
    save(tmp_path, people, [Image.fromarray((certainty * 255).round().astype(np.uint8))])
    assert same(masks_from_folder(people, tmp_path), [(certainty * 255).round() >= 128])


def test_a_picture_that_is_a_mask_is_its_own(tmp_path):
    """Silhouettes are black and white already: such a picture may be its own mask."""
    shape = np.zeros((24, 10, 3), np.uint8)
    shape[4:20, 3:7] = 255
    people = PersonDataset.from_arrays(
        "shadows", [shape], pd.DataFrame({"pid": ["a"], "cam": ["1"], "file": ["a.png"]})
    )
    save(tmp_path, people, [Image.fromarray(shape)])
    assert same(masks_from_folder(people, tmp_path), [shape[..., 0] > 0])


def test_images_that_would_share_a_mask(tmp_path):
    images = [mini.picture(i) for i in range(2)]
    table = pd.DataFrame({"pid": ["a", "b"], "cam": ["1", "1"], "file": ["x/a.jpg", "x/a.bmp"]})
    people = PersonDataset.from_arrays("same", images, table)
    (tmp_path / "x").mkdir()
    Image.fromarray(np.ones((24, 10), bool)).save(tmp_path / "x" / "a.png")
    with pytest.raises(DataError, match=r"would share a mask: .*x/a\.png"):
        masks_from_folder(people, tmp_path)


def test_corrected_labels_keep_their_masks(tmp_path):
    people = own_folder(tmp_path)
    masks = outlines(people)
    attached = people.with_masks(masks, "x")
    corrected = attached.with_table(attached.table.assign(pid="ann"))
    for some in (corrected, pickle.loads(pickle.dumps(corrected))):
        assert same(some, masks) and some.masks_from == attached.masks_from
        assert some.fingerprint == corrected.fingerprint != people.fingerprint
        assert set(some.table["pid"]) == {"ann"}
    assert people.image(2).tobytes() not in pickle.dumps(corrected)


# ---- predicted


class Brightness(nn.Module):
    """A network whose scores are known: class 1 scores the red channel, class 0 always 0.5, class 2 never wins."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, images):
        self.sizes.append(tuple(images.shape))
        red = images[:, :1]
        return {"out": torch.cat([torch.full_like(red, 0.5), red, red - 9], 1)}


def bright(person: int = 1) -> Segmenter:
    return Segmenter(Brightness(), person, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "brightness").eval()


def test_known_scores_give_known_masks():
    images = torch.zeros(2, 3, 128, 48)
    images[0, 0, 32:96, 12:36] = 1
    images[1, 1:] = 1  # bright, but not red
    network = bright()
    masks = person_masks(images, network)
    assert masks.dtype == torch.bool and torch.equal(masks, images[:, 0] > 0.5)
    assert network.network.sizes == [(2, 3, 683, 256)]  # 128 x 48 with 256 pixels on the shorter side
    assert torch.equal(person_masks(images, bright(person=0)), ~masks)


def test_the_input_is_normalised():
    images = torch.full((1, 3, 8, 8), 0.7)
    grey = Segmenter(Brightness(), 1, (0.5, 0.0, 0.0), (0.25, 1.0, 1.0))
    assert grey(images)[0, 1, 0, 0].item() == pytest.approx(0.8)


def test_large_images_are_not_enlarged():
    network = bright()
    person_masks(torch.zeros(1, 3, 300, 260), network)
    person_masks(torch.zeros(1, 3, 10, 20), network, shortest=8)
    assert network.network.sizes == [(1, 3, 300, 260), (1, 3, 10, 20)]


@pytest.mark.parametrize("images", [torch.zeros(3, 8, 8), torch.zeros(1, 1, 8, 8), torch.zeros(1, 3, 8, 8).byte()])
def test_other_images_are_refused(images):
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\) float"):
        person_masks(images, bright())


def test_a_set_is_segmented_at_each_image_s_own_size():
    images, expected = [], []
    for i in range(7):
        image = np.zeros((40, 20 + i // 4, 3), np.uint8)
        image[: 10 + i, :, 0] = 255
        images.append(image)
        expected.append(image[..., 0] > 0)
    order = [0, 4, 1, 5, 2, 6, 3]  # sizes alternate
    people = PersonDataset.from_arrays(
        "mixed", [images[i] for i in order], pd.DataFrame({"pid": list("aabbccd"), "cam": list("1212121")})
    )
    network = bright()
    found = segmented(people, network, batch=3)
    assert same(found, [expected[i] for i in order])
    assert [size[0] for size in network.network.sizes] == [3, 1, 3]
    assert found.notes == ("masks: predicted by brightness",) and found.fingerprint == people.fingerprint


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory):
    """A file in the layout of torchvision's own, with an auxiliary head's weights, as the deeplab files have."""
    torch.manual_seed(0)
    state = get_model(LRASPP, weights=None, weights_backbone=None, num_classes=21).state_dict()
    state["aux_classifier.0.weight"] = torch.zeros(3)
    path = tmp_path_factory.mktemp("weights") / "lraspp.pth"
    torch.save(state, path)
    return path


def test_the_real_network_with_weights_from_a_file(random_weights):
    network = create_segmenter(weights=random_weights)
    assert network.person == 15, "Pascal VOC: background is 0, person 15"
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    assert network.normalise.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    saved = torch.load(random_weights, weights_only=True)
    assert helpers.same_weights({k: v for k, v in saved.items() if "aux" not in k}, network.network)
    images = torch.rand(2, 3, 64, 32)
    masks = person_masks(images, network, shortest=64)
    assert masks.shape == (2, 64, 32) and masks.dtype == torch.bool
    assert torch.equal(masks, person_masks(images, network, shortest=64))
    with torch.no_grad():
        network.network.classifier.low_classifier.bias[15] = 1e4
    assert person_masks(images, network, shortest=64).all()


def test_every_network_knows_people():
    from torchvision.models import get_model_weights

    names = segmentation.segmentation_networks()
    assert {LRASPP, "deeplabv3_resnet50", "fcn_resnet50"} <= set(names)
    assert all("person" in get_model_weights(name).DEFAULT.meta["categories"] for name in names)
    with pytest.raises(ValueError, match=f"no segmentation network 'resnet50'.*{LRASPP}"):
        create_segmenter("resnet50")


def test_deeplab_is_made_without_auxiliary_head(tmp_path, monkeypatch):
    made = get_model("deeplabv3_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=21, aux_loss=True)
    monkeypatch.setattr(segmentation, "_fetch", lambda name: made.state_dict())
    network = create_segmenter("deeplabv3_mobilenet_v3_large").network
    assert network.aux_classifier is None and helpers.same_weights(
        {k: v for k, v in made.state_dict().items() if not k.startswith("aux_")}, network
    )


def test_without_a_network_the_file_and_the_alternatives_are_named(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(SegmentationUnavailable) as caught:
        create_segmenter()
    for part in ("no route to host", "lraspp_mobilenet_v3_large-d234d4ea.pth", "$TORCH_HOME/hub/checkpoints",
                 str(tmp_path), "masks_from_folder", 'mask="gaussian"'):  # fmt: skip
        assert part in str(caught.value)


def test_weights_at_hand_are_not_fetched(tmp_path, monkeypatch, random_weights):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *a, **k: pytest.fail("fetched"))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    file = folder / "lraspp_mobilenet_v3_large-d234d4ea.pth"
    file.write_bytes(random_weights.read_bytes())
    assert create_segmenter().name == LRASPP
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(SegmentationUnavailable, match="damaged.*d234d4ea.pth"):
        create_segmenter()


def test_files_that_do_not_fit_are_named(tmp_path, random_weights):
    with pytest.raises(SegmentationUnavailable, match="none.pth cannot be read"):
        create_segmenter(weights=tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(SegmentationUnavailable, match="text.pth cannot be read"):
        create_segmenter(weights=str(tmp_path / "text.pth"))
    (tmp_path / "empty.pth").write_bytes(b"")
    with pytest.raises(SegmentationUnavailable, match="empty.pth cannot be read"):
        create_segmenter(weights=tmp_path / "empty.pth")
    with pytest.raises(SegmentationUnavailable, match="lraspp.pth does not hold the weights of deeplabv3_mobilenet"):
        create_segmenter("deeplabv3_mobilenet_v3_large", weights=random_weights)


def test_images_in_which_the_network_finds_nobody_are_counted():
    table = pd.DataFrame({"pid": ["a", "b"], "cam": ["1", "2"]})
    people = PersonDataset.from_arrays("dark", [np.zeros((16, 8, 3), np.uint8)] * 2, table)
    with pytest.warns(DataWarning, match="2 of 2 masks are empty, .*image 0, image 1"):
        segmented(people, bright())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        segmented(people, bright(person=0))
