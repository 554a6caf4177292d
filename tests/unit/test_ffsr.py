"""FFSR: its cost as published, its layers by loops, any size, a start at the identity, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.evaluation import complexity
from lib.models.superres import FFSR, create_superres


def pictures(count: int, height: int = 32, width: int = 16, seed: int = 0) -> torch.Tensor:
    """Three waves of any direction each, in [0.05, 0.95]: their crests are what a small picture loses."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    found = np.full((count, 3, height, width), 0.5, dtype=np.float32)
    for picture in found:
        for _ in range(3):
            down, right = rng.uniform(-0.22, 0.22, 2)  # cycles per pixel; half the size keeps 0.25
            amplitude = rng.uniform(-0.15, 0.15, (3, 1, 1))
            picture += amplitude * np.sin(2 * np.pi * (down * y + right * x) + rng.uniform(0, 2 * np.pi))
    return torch.from_numpy(found.clip(0.05, 0.95))


def degraded(images: torch.Tensor, ratio: float, enlargement: str = "bilinear") -> torch.Tensor:
    size = tuple(images.shape[2:])
    small = tuple(round(n * ratio) for n in size)
    low = F.interpolate(images, size=small, mode="bicubic", antialias=True, align_corners=False)
    return F.interpolate(low, size=size, mode=enlargement, align_corners=False).clamp(0, 1)


def layers(network: FFSR) -> list[nn.Module]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]


# Counts and costs


def test_it_costs_what_table_1_says():
    """3.71 G at 384 x 128. Nine taps each; full size 49,152 pixels, half 12,288, a quarter 3,072:
    3 <-> 32 at full size twice, 32 <-> 64 at half size twice, 64 <-> 128 at a quarter twice, six times 128 -> 128.
    """
    with torch.device("meta"):
        network = create_superres("ffsr")
    by_hand = 9 * (2 * 3 * 32 * 49_152 + 2 * 32 * 64 * 12_288 + 2 * 64 * 128 * 3_072 + 6 * 128 * 128 * 3_072)
    macs = complexity(network, (384, 128)).macs
    assert macs == by_hand == 3_708_813_312
    assert round(macs / 1e9, 4) == 3.7088 and round(macs / 1e9, 2) == 3.71  # Table 1
    weights = 9 * (2 * 3 * 32 + 2 * 32 * 64 + 2 * 64 * 128 + 6 * 128 * 128)
    assert complexity(network, (384, 128)).parameters == weights + (32 + 64 + 128 + 6 * 128 + 64 + 32 + 3)


def test_its_cost_goes_with_the_area():
    with torch.device("meta"):
        network = create_superres("ffsr")
    assert 3 * complexity(network, (256, 64)).macs == complexity(network, (384, 128)).macs


def test_twelve_layers_two_down_two_up():
    """§5.2: "a 12-layer fully convolutional network", stride 2 twice, transposed twice."""
    with torch.device("meta"):
        found = layers(create_superres("ffsr"))
    transposed = [m for m in found if isinstance(m, nn.ConvTranspose2d)]
    halving = [m for m in found if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert (len(found), len(halving), len(transposed)) == (12, 2, 2)
    assert {m.stride for m in transposed} == {(2, 2)} and {m.kernel_size for m in found} == {(3, 3)}
    assert {m.stride for m in found if m not in transposed + halving} == {(1, 1)}


def test_the_narrow_relative():
    with torch.device("meta"):
        narrow, wide = create_superres("ffsr-narrow"), create_superres("ffsr")
    assert [m.out_channels for m in layers(narrow)] == [12, 24, 48, *[48] * 6, 24, 12, 3]
    assert [m.out_channels for m in layers(wide)] == [32, 64, 128, *[128] * 6, 64, 32, 3]
    assert complexity(narrow, (384, 128)).macs < complexity(wide, (384, 128)).macs / 5


# What it computes


def conv(x: np.ndarray, layer: nn.Conv2d) -> np.ndarray:
    """Loops over output pixels and taps, zeros outside."""
    weight, stride = layer.weight.detach().double().numpy(), layer.stride[0]
    height, width = (-(-n // stride) for n in x.shape[1:])
    out = np.tile(layer.bias.detach().double().numpy()[:, None, None], (1, height, width))
    for i in range(height):
        for j in range(width):
            for a in range(3):
                for b in range(3):
                    y, z = stride * i + a - 1, stride * j + b - 1
                    if 0 <= y < x.shape[1] and 0 <= z < x.shape[2]:
                        out[:, i, j] += weight[:, :, a, b] @ x[:, y, z]
    return out


def transposed(x: np.ndarray, layer: nn.ConvTranspose2d, size: tuple[int, int]) -> np.ndarray:
    """Every input pixel lays its kernel down around twice its place."""
    weight = layer.weight.detach().double().numpy()  # (in, out, 3, 3)
    out = np.tile(layer.bias.detach().double().numpy()[:, None, None], (1, *size))
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            for a in range(3):
                for b in range(3):
                    y, z = 2 * i + a - 1, 2 * j + b - 1
                    if 0 <= y < size[0] and 0 <= z < size[1]:
                        out[:, y, z] += x[:, i, j] @ weight[:, :, a, b]
    return out


@pytest.mark.parametrize("size", [(8, 4), (7, 5), (6, 3)])
def test_by_loops(size):
    """Down, through, up with what was there on the way down, and the input added at last."""
    torch.manual_seed(0)
    network, images = FFSR(width=2, middle=2), pictures(1, 16, 12)[..., : size[0], : size[1]]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
        found = network(images)[0]
    x = images[0].double().numpy()

    def relu(values):
        return np.maximum(values, 0)

    full = relu(conv(x, network.first))
    half = relu(conv(full, network.down[0]))
    quarter = deep = relu(conv(half, network.down[1]))
    for layer in network.middle:
        deep = relu(conv(deep, layer))
    up = relu(transposed(deep + quarter, network.up[0], half.shape[1:]) + half)
    up = relu(transposed(up, network.up[1], full.shape[1:]) + full)
    expected = np.clip(x + conv(up, network.last), 0, 1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(expected - x).max() > 0.01


@pytest.mark.parametrize("size", [(5, 3), (33, 17), (30, 14), (31, 16), (1, 1), (2, 7), (96, 48)])
def test_any_size_stays(size):
    torch.manual_seed(0)
    network, images = create_superres("ffsr-narrow"), torch.rand(2, 3, *size)
    with torch.no_grad():
        found = network(images)
    assert found.shape == images.shape and found.isfinite().all() and found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("name", ["ffsr", "ffsr-narrow"])
@pytest.mark.parametrize("seed", range(3))
def test_an_untouched_picture_comes_out_as_it_is(name, seed):
    torch.manual_seed(seed)
    network, images = create_superres(name), torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        assert (network(images) - images).abs().max() < 0.01


# Learning


@pytest.mark.parametrize("enlargement", ["bilinear", "bicubic"])
def test_it_sharpens_what_is_blurred_and_leaves_the_rest(enlargement):
    """§4.1: "perform super-resolution to low resolution inputs, and preserve original details of high resolution
    inputs"; on pictures that it has not seen, both kinds in every batch.
    """
    torch.manual_seed(0)
    network, sharp = FFSR(width=8, middle=2), pictures(96)
    blurred = degraded(sharp, 1 / 2, enlargement)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 300)
    for _ in range(300):
        rows = torch.randint(0, len(sharp), (16,))
        given, wanted = torch.cat([sharp[rows], blurred[rows]]), torch.cat([sharp[rows]] * 2)
        loss = (network(given) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    new = pictures(64, seed=1)
    low = degraded(new, 1 / 2, enlargement)
    with torch.no_grad():
        before, after = ((x - new).square().mean() for x in (low, network(low)))
        untouched = (network(new) - new).square().mean()
    assert after < 0.98 * before  # better than the enlargement that it was given
    assert -10 * torch.log10(untouched) > 35
