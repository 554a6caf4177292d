"""degrade() and its kernels: the pixels of Pillow, the same on every device, and really less resolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms.v2 import functional as tv

from lib.data import KERNELS, degrade, enlarge, low_resolution_size, shrink
from lib.data.resolution import through_jpeg, weights

HERE = Path(__file__).resolve().parent

PILLOW = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}
SIZES = [(64, 24), (43, 16), (32, 12), (7, 5), (256, 128), (130, 20)]


def scene(height: int = 128, width: int = 48, seed: int = 0) -> torch.Tensor:
    """(3, H, W) uint8 with edges, saturated patches and noise."""
    rng = np.random.RandomState(seed)
    blocks = np.kron(rng.randint(0, 256, (height // 8 + 1, width // 8 + 1, 3)), np.ones((8, 8, 1)))[:height, :width]
    return torch.from_numpy((blocks + rng.normal(0, 12, blocks.shape)).clip(0, 255).astype(np.uint8)).permute(2, 0, 1)


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(10 * torch.log10(1 / ((a.double() - b.double()) ** 2).mean()))


@pytest.mark.parametrize("kernel", PILLOW)
@pytest.mark.parametrize("size", SIZES)
def test_the_pixels_of_pillow(kernel, size):
    image = scene()
    # One axis at a time, because Pillow chooses the order of the two by their sizes, and we do not.
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    expected = picture.resize((size[1], 128), PILLOW[kernel]).resize((size[1], size[0]), PILLOW[kernel])
    ours = shrink(image, size, kernel).permute(1, 2, 0).numpy()
    assert np.array_equal(ours, np.asarray(expected))


@pytest.mark.parametrize("kernel", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", SIZES)
def test_the_pixels_of_torchvision(kernel, size):
    image = scene()
    expected = tv.resize(image, list(size), interpolation=tv.InterpolationMode(kernel), antialias=True)
    assert (shrink(image, size, kernel).int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("kernel", ["bicubic", "bilinear"])
def test_the_weights_of_torch(kernel):
    image = scene().double() / 255
    expected = F.interpolate(image[None], (43, 16), mode=kernel, antialias=True)[0]
    down, across = (torch.from_numpy(weights(*pair, kernel)) for pair in ((128, 43), (48, 16)))
    assert torch.allclose(down @ image @ across.T, expected, atol=1e-5)


def test_without_antialias_a_kernel_skips_pixels():
    image = scene().double() / 255
    expected = F.interpolate(image[None], (43, 16), mode="bilinear", antialias=False)[0]
    down, across = (torch.from_numpy(weights(*pair, "bilinear", False)) for pair in ((128, 43), (48, 16)))
    assert torch.allclose(down @ image @ across.T, expected, atol=1e-5)
    blurred, skipped = degrade(image, 1 / 4), degrade(image, 1 / 4, antialias=False)
    assert psnr(blurred, skipped) < 34


def test_area_is_the_mean_over_what_a_pixel_covers():
    image = scene()
    expected = F.adaptive_avg_pool2d(image.double(), (32, 12))
    assert (shrink(image, (32, 12), "area").double() - expected).abs().max() <= 1  # 8 bits, rounded after each axis
    row = weights(5, 2, "area")
    assert np.allclose(row, [[0.4, 0.4, 0.2, 0, 0], [0, 0, 0.2, 0.4, 0.4]])


def test_nearest_takes_the_pixel_under_the_centre():
    image = scene()
    assert torch.equal(shrink(image, (32, 12), "nearest"), image[:, 2::4, 2::4])
    assert torch.equal(shrink(image, (64, 48), "nearest"), image[:, 1::2])


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_grey_wall_stays_grey(kernel):
    for grey in (0, 1, 100, 255):
        wall = torch.full((2, 3, 37, 19), grey, dtype=torch.uint8)
        assert torch.equal(degrade(wall, 1 / 3, kernel), wall)


@pytest.mark.parametrize("kernel", KERNELS)
def test_degrade_is_shrink_and_enlarge(kernel):
    image = scene()
    expected = enlarge(shrink(image, (43, 16), kernel), (128, 48), kernel)
    assert torch.equal(degrade(image, 1 / 3, kernel), expected)
    assert not torch.equal(expected, image)


def test_blocks_are_enlarged_smoothly():
    image = scene()
    for kernel in ("nearest", "area"):
        low = shrink(image, (32, 12), kernel)
        assert torch.equal(degrade(image, 1 / 4, kernel), enlarge(low, (128, 48), "bicubic"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_floats_and_bytes_agree(dtype):
    image = scene()
    ours = degrade((image.double() / 255).to(dtype), 1 / 4)
    assert ours.dtype == dtype
    if dtype in (torch.float32, torch.float64):
        assert torch.equal((ours * 255).round().to(torch.uint8), degrade(image, 1 / 4))
    assert float(ours.min()) >= 0 and float(ours.max()) <= 1


def test_arrays_of_numpy():
    image = scene()
    ours = degrade(image.numpy(), 0.25)
    assert isinstance(ours, np.ndarray) and np.array_equal(ours, degrade(image, 0.25).numpy())
    assert degrade(image[None].float().numpy() / 255, np.array([0.25])).shape == (1, 3, 128, 48)


def test_ratio_one_changes_nothing():
    image = torch.rand(2, 3, 20, 10)
    assert torch.equal(degrade(image, 1.0), image)
    mixed = degrade(image, torch.tensor([1.0, 0.5]))
    assert torch.equal(mixed[0], image[0]) and not torch.equal(mixed[1], image[1])


def test_one_ratio_per_image():
    images = torch.stack([scene(seed=seed) for seed in range(6)])
    ratios = [1 / 2, 1 / 3, 1, 1 / 4, 1 / 3, 1 / 2]
    together = degrade(images, torch.tensor(ratios))
    for i, ratio in enumerate(ratios):
        assert torch.equal(together[i], degrade(images[i], ratio)), ratio
    assert torch.equal(together, degrade(images, ratios))


def test_the_order_of_sums_does_not_matter():
    """Exact arithmetic: a batch, one thread, several threads and autocast give the same bits."""
    images = torch.stack([scene(seed=seed) for seed in range(3)])
    expected = degrade(images, 1 / 3)
    assert torch.equal(torch.stack([degrade(image, 1 / 3) for image in images]), expected)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.equal(degrade(images, 1 / 3), expected)
    finally:
        torch.set_num_threads(threads)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(degrade(images, 1 / 3), expected)
    across = torch.from_numpy(weights(48, 16, "bicubic"))
    assert torch.equal(images.double() @ across.T, images.double().flip(-1) @ across.flip(1).T)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_gpu_gives_the_same_pixels(kernel):
    images = torch.stack([scene(seed=seed) for seed in range(8)])
    ratios = torch.tensor([1 / 2, 1 / 3, 1 / 4, 1 / 8, 1, 0.3, 0.7, 1 / 3])
    for given in (images, images.float() / 255):
        assert torch.equal(degrade(given.cuda(), ratios, kernel).cpu(), degrade(given, ratios, kernel))
        assert torch.equal(enlarge(given.cuda(), (256, 128), kernel).cpu(), enlarge(given, (256, 128), kernel))


def high_band(image: torch.Tensor, share: float) -> float:
    """The share of an image's energy (without its mean) above ``share`` of the highest frequency along x."""
    spectrum = torch.fft.rfft(image.double() - image.double().mean(-1, keepdim=True)).abs() ** 2
    cut = int(share * (spectrum.shape[-1] - 1)) + 1
    return float(spectrum[..., cut:].sum() / spectrum.sum())


def test_degrading_at_the_own_size_loses_what_enlarging_first_keeps():
    """The trap of DESIGN.md: halving a person 48 pixels wide that was first enlarged to 128 pixels loses nothing."""
    image = scene(128, 48).float() / 255
    canvas = (256, 128)
    plain = enlarge(image, canvas)
    right = enlarge(degrade(image, 1 / 2), canvas)
    wrong = degrade(plain, 1 / 2)
    # 48 pixels on a canvas of 128: detail up to 48/128 of the highest frequency; half of that is left at ratio 1/2.
    kept = high_band(plain, 0.2)
    assert high_band(wrong, 0.2) > 0.65 * kept
    assert high_band(right, 0.2) < 0.35 * kept
    assert psnr(wrong, plain) > psnr(right, plain) + 6


@pytest.mark.parametrize("kernel", KERNELS)
def test_smaller_ratios_lose_more(kernel):
    image = scene().float() / 255
    kept = [psnr(degrade(image, ratio, kernel), image) for ratio in (1 / 2, 1 / 4, 1 / 8)]
    assert kept[0] > kept[1] > kept[2]


def test_sizes():
    assert low_resolution_size(128, 48, 1 / 3) == (43, 16)
    assert low_resolution_size(128, 48, 1 / 3, "floor") == (42, 16)
    assert low_resolution_size(128, 48, 1 / 3, "ceil") == (43, 16)
    assert low_resolution_size(5, 3, 0.5) == (3, 2)  # a half goes up
    assert low_resolution_size(5, 3, 0.01) == (1, 1)
    for width in range(12, 33):  # VR: the width that was drawn is the width that comes
        for own in range(width, 200):
            for rounding in ("nearest", "floor", "ceil"):
                assert low_resolution_size(own, own, width / own, rounding) == (width, width)


def test_jpeg_adds_its_own_damage():
    image = scene().float() / 255
    plain = degrade(image, 1 / 2)
    fine, coarse = degrade(image, 1 / 2, jpeg=95), degrade(image, 1 / 2, jpeg=75)
    assert psnr(plain, fine) > psnr(plain, coarse) > 15
    assert torch.equal(
        degrade((image * 255).round().to(torch.uint8), 1 / 2, jpeg=75), (coarse * 255).round().to(torch.uint8)
    )


@pytest.mark.parametrize("ratio", [0, -0.5, 1.5, float("nan"), [0.5, 0.5, 0.5]])
def test_ratios_that_are_refused(ratio):
    with pytest.raises(ValueError, match="ratio"):
        degrade(torch.rand(2, 3, 8, 8), ratio)


def test_what_else_is_refused():
    with pytest.raises(ValueError, match="unknown kernel 'sinc'"):
        degrade(torch.rand(3, 8, 8), 0.5, "sinc")
    with pytest.raises(ValueError, match="channels first"):
        degrade(torch.rand(8, 8, 3), 0.5)
    with pytest.raises(ValueError, match="int64"):
        degrade(torch.zeros(3, 8, 8, dtype=torch.int64), 0.5)
    with pytest.raises(ValueError, match="rounding"):
        degrade(torch.rand(3, 8, 8), 0.5, rounding="up")
    with pytest.raises(ValueError, match="JPEG"):
        degrade(torch.rand(3, 8, 8), 0.5, jpeg=100)


# ---- what is refused, and what is only unusual

NO_RATIO = [
    *(True, False, None, "", "0.5", "1/2", b"1", 0.5j, float("inf"), float("-inf"), float("nan"), 0, -1, 1.0001, 2),
    *([True, 0.5], ["0.5", "0.5"], [None, 0.5], [0.5, float("nan")], [0.5, 0], [[0.5, 0.5]], [], [0.5], {"a": 1}),
    *(np.array(["0.5", "1"]), np.array([True, True]), np.array([[0.5], [0.5]]), np.zeros(2), np.ones(3)),
    *(torch.tensor(True), torch.tensor([True, True]), torch.full((2, 1), 0.5), torch.tensor([0.5, float("nan")])),
]


@pytest.mark.parametrize("ratio", NO_RATIO, ids=str)
def test_what_is_no_ratio(ratio):
    for images in (
        torch.rand(2, 3, 8, 8),
        torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        np.zeros((2, 3, 8, 8), np.uint8),
    ):
        with pytest.raises(ValueError, match="ratio"):
            degrade(images, ratio)


def test_a_ratio_of_any_number():
    images = torch.stack([scene(seed=seed) for seed in range(2)])
    expected = degrade(images, 0.5)
    for ratio in (
        np.float32(0.5),
        np.array(0.5),
        np.array([0.5, 0.5]),
        torch.tensor(0.5),
        torch.full((2,), 0.5),
        (0.5, 0.5),
    ):
        assert torch.equal(degrade(images, ratio), expected)
        assert np.array_equal(degrade(images.numpy(), ratio), expected.numpy())
    one = degrade(images[0], [0.5])
    assert torch.equal(one, expected[0])
    with pytest.raises(ValueError, match="2 ratios for 1 images"):
        degrade(images[0], [0.5, 0.5])


def pictures(value: float) -> torch.Tensor:
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images[1, 2, 3, 4] = value
    return images


@pytest.mark.parametrize("value", [-0.01, 1.01, 2.0, 255.0, float("nan"), float("inf"), -1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_floats_that_are_no_pictures(value, dtype):
    images = pictures(value).to(dtype)
    for change in (
        lambda x: degrade(x, 0.5), lambda x: degrade(x, 1.0), lambda x: shrink(x, (4, 4)),
        lambda x: enlarge(x, (16, 16)), lambda x: degrade(x.numpy(), 0.5), lambda x: degrade(x[1], 0.5),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"float images in \[0, 1\], got values from .* divide 0..255 by 255"):
            change(images)


def test_floats_beside_the_range_by_less_than_a_step_are_rounded():
    image = scene().float() / 255
    for beside in (image * 1.0015, image - 0.0015):
        assert torch.equal(degrade(beside, 0.5), degrade(beside.clamp(0, 1), 0.5))


@pytest.mark.parametrize(
    "images",
    [
        *(None, 3, "picture", [[[0.5]]], Image.new("RGB", (8, 8)), torch.rand(8, 8), torch.rand(2, 2, 3, 8, 8)),
        *(torch.rand(2, 4, 8, 8), torch.rand(2, 8, 8, 3), torch.rand(3, 0, 8), torch.rand(2, 3, 8, 0)),
        *(torch.zeros(3, 8, 8, dtype=torch.bool), torch.zeros(3, 8, 8, dtype=torch.complex64)),
        *(np.zeros((3, 8, 8), bool), np.zeros((3, 8, 8), np.uint16), np.full((3, 8, 8), "a"), np.full((3, 8, 8), None)),
        *(np.zeros((8, 8, 3), np.uint8), np.zeros((3, 0, 8), np.uint8)),
    ],
    ids=lambda x: f"{type(x).__name__}{getattr(x, 'shape', '')}",
)
def test_what_is_no_picture(images):
    with pytest.raises(ValueError, match="expected"):
        degrade(images, 0.5)
    if not isinstance(images, (np.ndarray, torch.Tensor)):
        for change in (shrink, enlarge):
            with pytest.raises(ValueError, match="expected"):
                change(images, (4, 4))


@pytest.mark.parametrize(
    "size",
    [None, 4, "44", b"44", (4,), (4, 4, 4), (0, 4), (4, 0), (-1, 4), (4.0, 4), ("4", 4), (True, 4), (4, None), {4, 5}],
)
def test_what_is_no_size(size):
    for images in (torch.rand(3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8)):
        for change in (shrink, enlarge):
            with pytest.raises(ValueError, match=r"size \(height, width\)|in pixels must be a whole number from 1"):
                change(images, size)


def test_sizes_of_any_whole_numbers():
    image = scene()
    for size in ([43, 16], (np.int64(43), np.uint8(16)), torch.Size([43, 16])):
        assert torch.equal(shrink(image, size), shrink(image, (43, 16)))
    assert low_resolution_size(np.int64(128), np.int64(48), np.float32(1 / 3)) == (43, 16)
    assert [type(n) for n in low_resolution_size(np.int64(128), np.int64(48), np.float64(0.5))] == [int, int]


@pytest.mark.parametrize(
    ("height", "width", "ratio"),
    [
        *((0, 5, 0.5), (5, 0, 0.5), (-5, 5, 0.5), (5.0, 5, 0.5), ("5", 5, 0.5), (True, 5, 0.5), (None, 5, 0.5)),
        *((5, 5, 0), (5, 5, -0.5), (5, 5, 1.5), (5, 5, float("nan")), (5, 5, "0.5"), (5, 5, True), (5, 5, None)),
    ],
)
def test_low_resolution_sizes_that_are_refused(height, width, ratio):
    with pytest.raises(ValueError, match="must"):
        low_resolution_size(height, width, ratio)


def test_switches_and_qualities_that_are_refused():
    image = scene()
    for antialias in ("False", "True", "", 0, 1, None):
        with pytest.raises(ValueError, match="antialias must be True or False"):
            degrade(image, 0.5, antialias=antialias)
        with pytest.raises(ValueError, match="antialias must be True or False"):
            shrink(image, (4, 4), antialias=antialias)
    for jpeg in (True, False, 0, 96, -1, "75", 75.0, [75]):
        with pytest.raises(ValueError, match="JPEG quality"):
            degrade(image, 0.5, jpeg=jpeg)
        with pytest.raises(ValueError, match="JPEG quality"):
            through_jpeg(image[None], jpeg)
    for kernel in (None, 3, ["bicubic"], "Bicubic", ""):
        with pytest.raises(ValueError, match="unknown kernel"):
            degrade(image, 0.5, kernel)
        with pytest.raises(ValueError, match="unknown kernel"):
            enlarge(image, (4, 4), kernel)
    for rounding in (None, "up", 3, ["floor"]):
        with pytest.raises(ValueError, match="rounding must be one of"):
            degrade(image, 0.5, rounding=rounding)
    assert torch.equal(
        degrade(image, 0.5, jpeg=np.int64(75), antialias=np.bool_(False)), degrade(image, 0.5, jpeg=75, antialias=False)
    )


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("jpeg", [None, 75])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_no_images_stay_no_images(kernel, jpeg, dtype):
    nothing = torch.zeros((0, 3, 8, 6), dtype=dtype)
    for ratio in (0.5, 1.0, [], torch.zeros(0)):
        found = degrade(nothing, ratio, kernel, jpeg=jpeg)
        assert found.shape == nothing.shape and found.dtype == dtype
    assert shrink(nothing, (4, 3), kernel).shape == (0, 3, 4, 3) and enlarge(nothing, (16, 12), kernel).shape == (
        0,
        3,
        16,
        12,
    )
    assert degrade(nothing.numpy(), 0.5, kernel, jpeg=jpeg).shape == (0, 3, 8, 6)
    assert through_jpeg(nothing, 75).shape == nothing.shape


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_memory_in_any_order(dtype):
    images = torch.stack([scene(seed=seed) for seed in range(3)])
    images = images if dtype == torch.uint8 else images.to(dtype) / 255
    for jpeg in (None, 75):
        expected = degrade(images, [0.5, 1.0, 1 / 3], jpeg=jpeg)
        views = [
            images.contiguous(memory_format=torch.channels_last),
            images.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
            torch.cat([images, images], -1)[..., :48],
            images[None].expand(2, -1, -1, -1, -1)[1],
        ]
        for view in views:
            assert torch.equal(degrade(view, [0.5, 1.0, 1 / 3], jpeg=jpeg), expected)
        array = images.numpy()
        fixed = array.copy()
        fixed.flags.writeable = False
        other = array.astype(array.dtype.newbyteorder(">"))
        for view in (array[::-1][::-1], np.asfortranarray(array), fixed, other, np.flip(np.flip(array, -1).copy(), -1)):
            assert np.array_equal(degrade(view, [0.5, 1.0, 1 / 3], jpeg=jpeg), expected.numpy())
    flipped = degrade(np.flip(array, -1), 0.5)  # negative strides
    assert np.array_equal(flipped, degrade(np.flip(array, -1).copy(), 0.5))


def test_what_was_given_is_left_alone():
    for given in (torch.stack([scene(), scene(seed=1)]), torch.stack([scene(), scene(seed=1)]).float() / 255):
        before = given.clone()
        for ratio in (1.0, 0.5, [1.0, 0.5]):
            degrade(given, ratio).zero_()
            degrade(given.numpy(), ratio)[:] = 0
            assert torch.equal(given, before)


def test_grey_pictures():
    image = scene()[:1]
    assert torch.equal(degrade(image, 0.5), degrade(image.expand(3, -1, -1), 0.5)[:1])
    small = shrink(image, (64, 24))
    expected = through_jpeg(small[None], 75)[0]
    assert expected.shape == small.shape and psnr(expected / 255, small / 255) > 20
    assert torch.equal(degrade(image, 0.5, jpeg=75), enlarge(expected, (128, 48)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_ratios_and_images_of_different_devices():
    images = torch.stack([scene(seed=seed) for seed in range(2)])
    expected = degrade(images, [0.5, 1 / 3])
    ratios = torch.tensor([0.5, 1 / 3], dtype=torch.float64)
    for given, ratio in ((images.cuda(), ratios), (images, ratios.cuda()), (images.cuda(), ratios.cuda())):
        found = degrade(given, ratio, jpeg=None)
        assert found.device == given.device and torch.equal(found.cpu(), expected)
    assert torch.equal(degrade(images.cuda(), 0.5, jpeg=75).cpu(), degrade(images, 0.5, jpeg=75))
    with pytest.raises(ValueError, match="float images"):
        degrade(images.cuda().float(), 0.5)
