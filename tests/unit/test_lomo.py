"""LOMO: recounted pixel by pixel, and what it must not see: the illumination, and where along the row something is."""

from __future__ import annotations

import colorsys
import itertools

import numpy as np
import pytest
import torch

from lib.models import lomo as module
from lib.models.lomo import gaussian, lomo, multiscale_retinex, row_maxima, siltp


def picture(height, width, seed=0):
    """(1, 3, H, W) in float64, no value on the border between two bins."""
    return torch.from_numpy(np.random.RandomState(seed).uniform(0.01, 0.99, (1, 3, height, width)))


def slow_code(grey, y, x, radius):
    """The ternary digits of one pixel, by hand: right, above, left, below."""
    height, width = grey.shape
    code = 0
    for place, (down, right) in enumerate([(0, 1), (-1, 0), (0, -1), (1, 0)]):
        neighbour = grey[min(max(y + radius * down, 0), height - 1), min(max(x + radius * right, 0), width - 1)]
        digit = 1 if neighbour > 1.3 * grey[y, x] else 2 if neighbour < 0.7 * grey[y, x] else 0
        code += digit * 3**place
    return code


def slow_row_maxima(codes, bins):
    """Every window on its own, all its 100 pixels one after the other."""
    rows = []
    for top in range(0, codes.shape[0] - 9, 5):
        windows = []
        for left in range(0, codes.shape[1] - 9, 5):
            counts = np.zeros(bins)
            for y, x in itertools.product(range(top, top + 10), range(left, left + 10)):
                counts[codes[y, x]] += 1
            windows.append(counts)
        rows.append(np.max(windows, axis=0))
    return np.concatenate(rows)


def slow_lomo(image, scales):
    """(3, H, W) -> (D,)."""
    colours, textures = [], []
    for _ in range(scales):
        height, width = image.shape[1:]
        hsv_codes, texture_codes = np.zeros((height, width), int), np.zeros((2, height, width), int)
        grey = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
        for y, x in itertools.product(range(height), range(width)):
            hue, saturation, value = (min(int(8 * part), 7) for part in colorsys.rgb_to_hsv(*image[:, y, x]))
            hsv_codes[y, x] = 64 * hue + 8 * saturation + value
            texture_codes[:, y, x] = [slow_code(grey, y, x, radius) for radius in (3, 5)]
        colours.append(slow_row_maxima(hsv_codes, 512))
        textures += [slow_row_maxima(codes, 81) for codes in texture_codes]
        even = image[:, : height // 2 * 2, : width // 2 * 2]
        image = (even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]) / 4
    parts = [np.log(1 + np.concatenate(part)) for part in (colours, textures)]
    return np.concatenate([part / np.linalg.norm(part) for part in parts])


@pytest.mark.parametrize(("height", "width", "scales"), [(40, 24, 2), (23, 17, 1)])
def test_equals_counting_pixel_by_pixel(height, width, scales):
    image = picture(height, width)
    found = lomo(image, retinex=False, scales=scales)[0]
    np.testing.assert_allclose(found.numpy(), slow_lomo(image[0].numpy(), scales), atol=1e-12)


@pytest.mark.parametrize("retinex", [True, False])
def test_the_papers_dimensions(retinex):
    features = lomo(torch.rand(2, 3, 128, 48, generator=torch.Generator().manual_seed(0)), retinex)
    assert features.shape == (2, (24 + 11 + 5) * (8**3 + 2 * 3**4)) == (2, 26960)
    assert features.dtype == torch.float32 and torch.isfinite(features).all() and (features >= 0).all()
    colours, textures = features.split([40 * 512, 40 * 162], dim=1)
    assert torch.allclose(colours.norm(dim=1), torch.ones(2)) and torch.allclose(textures.norm(dim=1), torch.ones(2))


def test_chunks_do_not_matter(monkeypatch):
    images = torch.cat([picture(44, 40, seed) for seed in range(5)])
    whole = lomo(images)
    monkeypatch.setattr(module, "CHUNK", 2)
    assert torch.allclose(lomo(images), whole)


def test_a_texture_code_by_hand():
    patch = torch.full((1, 3, 3), 1.0)
    patch[0, 1] = torch.tensor([0.6, 1.0, 1.2])  # left darker, right 20 % brighter: as bright
    patch[0, 0, 1] = 1.4  # above brighter
    assert int(siltp(patch, 1)[0, 1, 1]) == 0 * 1 + 1 * 3 + 2 * 9 + 0 * 27
    wide = torch.rand(1, 7, 7, generator=torch.Generator().manual_seed(1))
    wide[0, 3, 3], wide[0, 3, 6], wide[0, 0, 3], wide[0, 3, 0], wide[0, 6, 3] = 0.5, 0.9, 0.1, 0.6, 0.66
    assert int(siltp(wide, 3)[0, 3, 3]) == 1 * 1 + 2 * 3 + 0 * 9 + 1 * 27


def test_texture_does_not_see_the_illumination():
    grey = picture(30, 20)[:, 0]
    codes = siltp(grey, 3)
    assert codes.min() >= 0 and codes.max() < 81 and len(codes.unique()) > 40
    for light in (0.1, 0.37, 2.0):
        assert torch.equal(siltp(light * grey, 3), codes)
    assert (siltp(torch.zeros(1, 12, 12), 5) == 0).all()


def test_what_moves_along_the_row_stays_the_same_and_what_moves_down_does_not():
    codes = torch.full((1, 40, 60), 3)
    codes[0, 12:24, 12:25] = torch.from_numpy(np.random.RandomState(2).randint(0, 9, (12, 13)))
    counts = row_maxima(codes, 9)
    assert counts.shape == (1, 7, 9)
    assert torch.equal(row_maxima(codes.roll(5, 2), 9), counts)
    assert torch.equal(row_maxima(codes.roll(20, 2), 9), counts)
    assert not torch.equal(row_maxima(codes.roll(5, 1), 9), counts)


def test_a_bag_on_the_other_side():
    images = torch.full((2, 3, 60, 60), 0.5, dtype=torch.float64)
    bag = picture(20, 12)[0]
    images[0, :, 20:40, 14:26], images[1, :, 20:40, 34:46] = bag, bag  # 20 pixels: 4 windows, 2 after halving
    left, right = lomo(images, retinex=False, scales=2)
    assert torch.allclose(left, right, atol=1e-12)
    plain = lomo(torch.full((1, 3, 60, 60), 0.5, dtype=torch.float64), retinex=False, scales=2)[0]
    assert (left - plain).norm() > 0.3


def test_retinex_takes_the_illumination_away():
    bright = picture(128, 48) * 0.5 + 0.5
    plain = multiscale_retinex(bright)
    assert plain.shape == bright.shape and plain.min() == 0 and plain.max() == 1
    assert torch.allclose(multiscale_retinex(0.5 * bright), plain, atol=0.02)  # not equal: one grey level is added
    shaded = bright * torch.linspace(0.2, 1, 128, dtype=torch.float64)[:, None]  # dark above

    def of_the_light(images):
        """Which part of the variance of all pixels is that of the rows' means."""
        return float(images.mean((1, 3)).var() / images.var())

    shares = [of_the_light(multiscale_retinex(shaded, sigmas)) for sigmas in ((5.0, 20.0, 80.0), module.SIGMAS, (5.0,))]
    # a scale as wide as the picture would keep its tone, and some of the light
    assert shares[0] < 0.6 * of_the_light(shaded)
    assert shares[1] < 0.1 and shares[2] < 0.02


def test_retinex_equals_its_equation():
    image = picture(9, 7)
    found = multiscale_retinex(image, sigmas=(2.0,), clipped=0)[0]
    lit = image[0].numpy() + 1 / 255
    detail = np.empty_like(lit)
    for c, y, x in itertools.product(range(3), range(9), range(7)):
        weights = np.exp(-((np.arange(9)[:, None] - y) ** 2 + (np.arange(7) - x) ** 2) / 8)
        detail[c, y, x] = np.log(lit[c, y, x]) - np.log((weights * lit[c]).sum() / weights.sum())
    np.testing.assert_allclose(found.numpy(), (detail - detail.min()) / np.ptp(detail), atol=1e-9)


def test_one_black_pixel_does_not_decide_about_the_contrast():
    image = picture(40, 20) * 0.3 + 0.5
    spoilt = image.clone()
    spoilt[0, :, 5, 5] = 0
    change = (multiscale_retinex(spoilt) - multiscale_retinex(image)).abs()
    assert change[..., 20:, :].max() < 0.05
    assert (multiscale_retinex(spoilt, clipped=0) - multiscale_retinex(image, clipped=0)).abs().mean() > 0.2


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_plain_pictures_have_a_descriptor(level):
    image = torch.full((1, 3, 64, 48), level)
    assert torch.allclose(multiscale_retinex(image), torch.tensor(0.5))
    for retinex in (True, False):
        assert abs(float(lomo(image, retinex).norm()) - 2**0.5) < 1e-5


def test_blurring_keeps_a_plain_line():
    blur = gaussian(11, 3.0, torch.zeros((), dtype=torch.float64))
    assert torch.allclose(blur.sum(1), torch.ones(11, dtype=torch.float64))
    assert torch.equal(blur.argmax(1), torch.arange(11))


@pytest.mark.parametrize(
    ("images", "scales", "message"),
    [
        (torch.rand(3, 40, 40), 1, "shape"),
        (torch.rand(0, 3, 40, 40), 1, "shape"),
        (torch.rand(1, 3, 40, 40) * 255, 1, r"\[0, 1\]"),
        (torch.full((1, 3, 40, 40), torch.nan), 1, "NaN"),
        (torch.zeros(1, 3, 40, 40, dtype=torch.uint8), 1, "bytes"),
        (torch.rand(1, 3, 40, 39), 3, "scale 3 of images of 40 x 39 has 10 x 9"),
        (torch.rand(1, 3, 40, 40), 0, "at least one scale"),
    ],
)
def test_impossible_images_are_refused(images, scales, message):
    with pytest.raises(ValueError, match=message):
        lomo(images, scales=scales)
