"""PSNR and SSIM: per image, on a peak of 1, with the values that formulas give."""

import numpy as np
import pytest
import torch
from scipy import stats

from lib.evaluation import mean_difference
from lib.evaluation.restoration import masked_psnr, psnr, ssim


def images(n=3, height=32, width=16, seed=0):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_psnr_is_the_formula_per_image():
    target = images()
    restored = (target + torch.tensor([0.0, 0.05, 0.2])[:, None, None, None] * torch.randn(target.shape)).clamp(0, 1)
    errors = ((restored - target) ** 2).mean((1, 2, 3))
    values = psnr(restored, target)
    assert values.shape == (3,) and torch.isinf(values[0])
    torch.testing.assert_close(values[1:], 10 * torch.log10(1 / errors[1:]))


def test_a_uniform_error_of_a_tenth_is_20_db():
    target = torch.full((2, 3, 16, 16), 0.5)
    torch.testing.assert_close(psnr(target + 0.1, target), torch.full((2,), 20.0), atol=1e-3, rtol=0)


def test_ssim_is_one_for_equal_images_and_falls_with_noise():
    target = images(n=1).repeat(3, 1, 1, 1)
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(1))
    values = ssim(target + torch.tensor([0.0, 0.1, 0.5])[:, None, None, None] * noise, target)
    assert values.shape == (3,)
    assert values[0] == pytest.approx(1, abs=1e-5) and 1 > values[1] > values[2]


def test_an_image_does_not_depend_on_its_batch():
    target, restored = images(seed=1), images(seed=2)
    for measure in (psnr, ssim):
        alone = torch.cat([measure(restored[i : i + 1], target[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(measure(restored, target), alone)


def test_bytes_and_overshoot():
    bytes_ = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.isinf(psnr(bytes_, bytes_.float() / 255)).all()
    target = torch.ones(1, 3, 16, 16)
    assert torch.isinf(psnr(target + 0.3, target)).all()  # shown, 1.3 is 1


def test_luma_weighs_the_colours():
    target = torch.zeros(1, 3, 16, 16)
    green, blue = target.clone(), target.clone()
    green[:, 1], blue[:, 2] = 0.5, 0.5
    assert psnr(green, target) == pytest.approx(float(psnr(blue, target)))
    expected = [-20 * np.log10(0.5 * weight) for weight in (0.587, 0.114)]
    found = [float(psnr(image, target, channel="luma")) for image in (green, blue)]
    assert found == pytest.approx(expected, abs=1e-3)
    assert ssim(green, target, channel="luma").shape == (1,)


def test_wrong_images_are_refused():
    with pytest.raises(ValueError, match="different shapes"):
        psnr(images(2), images(3))
    with pytest.raises(ValueError, match="expected \\(B, 3, H, W\\)"):
        psnr(images()[0], images()[0])
    with pytest.raises(ValueError, match="unknown channel"):
        ssim(images(), images(), channel="y")
    with pytest.raises(ValueError, match="at least 11 x 11"):
        ssim(images(height=8), images(height=8))


def test_masked_psnr_is_that_of_the_pixels_inside():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 3, 6, 4, generator=generator), torch.rand(2, 3, 6, 4, generator=generator)
    mask = torch.zeros(2, 1, 6, 4, dtype=torch.bool)
    mask[:, :, 1:4, 2:] = True
    torch.testing.assert_close(masked_psnr(a, b, mask), psnr(a[:, :, 1:4, 2:], b[:, :, 1:4, 2:]))
    torch.testing.assert_close(masked_psnr(a, b, torch.ones_like(mask)), psnr(a, b))
    assert masked_psnr(a, b, torch.zeros_like(mask)).isnan().all()
    with pytest.raises(ValueError, match="mask"):
        masked_psnr(a, b, mask[:1])


def test_pictures_in_0_to_255_are_refused_rather_than_clamped_to_white():
    target = images(seed=3)
    restored = (target + 0.1 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    ones = torch.ones(3, 1, 32, 16, dtype=torch.bool)
    for measure in (psnr, ssim, lambda a, b: masked_psnr(a, b, ones)):
        for a, b in ((restored * 255, target * 255), (restored, target * 255), (restored * 255, target)):
            with pytest.raises(
                ValueError, match=r"image 0 has the value [\d.]+, float images lie in \[0, 1\]: divide by"
            ):
                measure(a, b)
        for wrong in (torch.nan, torch.inf):
            spoilt = restored.clone()
            spoilt[2, 1, 4, 4] = wrong
            with pytest.raises(ValueError, match=f"restored image 2 has the value {wrong}"):
                measure(spoilt, target)
        with pytest.raises(ValueError, match="original images of type torch.int64: uint8, or float"):
            measure(restored, (target * 255).long())
    same = psnr((restored * 255).round().byte(), (target * 255).round().byte())
    torch.testing.assert_close(same, psnr(restored, target), rtol=0, atol=0.05)


def test_an_original_does_not_overshoot():
    target = images(seed=4)
    assert psnr(target + 3, target).isfinite().all()  # an untrained network may
    with pytest.raises(ValueError, match="original image"):
        psnr(target, target + 0.1)
    assert torch.isinf(psnr(target, target.clamp(0, 1) + 1e-6)).sum() == 0  # rounding is no overshoot


# ---- the mean over pictures of several trainings


def test_a_mean_over_pictures_leaves_out_people_and_counts_trainings():
    rng = np.random.default_rng(0)
    one = rng.normal(0.3, 1.0, 25)  # one picture of each of as many people as there are groups
    d = mean_difference([one], [np.arange(25)], [(0, 0)], "PSNR")
    half = stats.t.ppf(0.975, 24) * one.std(ddof=1) / 5
    np.testing.assert_allclose([d.mean, d.low, d.high], one.mean() + np.array([0, -half, half]))
    assert (d.trainings, d.trials, d.identities) == (1, 1, 25)
    twice = mean_difference([np.repeat(one, 4)], [np.repeat(np.arange(25), 4)], [(0, 0)], "PSNR")
    np.testing.assert_allclose([twice.low, twice.high], [d.low, d.high])  # more pictures of a person, no more people
    apart = mean_difference([one - 1, one, one + 1], [np.arange(25)] * 3, [(0, s) for s in range(3)], "PSNR")
    assert apart.trainings == 3 and apart.high - apart.low > d.high - d.low and not apart.agree
    with pytest.raises(ValueError, match="2 different cells"):
        mean_difference([one] * 3, [np.arange(25)] * 3, [(0, 0), (0, 1), (0, 1)], "PSNR")
    with pytest.raises(ValueError, match="one number for each picture"):
        mean_difference([one], [np.arange(24)], [(0, 0)], "PSNR")
    assert np.isnan(mean_difference([one], [np.zeros(25)], [(0, 0)], "PSNR").low)
