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
from lib.data.resolution import weights

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
