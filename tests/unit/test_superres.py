"""Super-resolution networks: counts as published, one interface, a start at interpolation, other people's weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.evaluation import complexity
from lib.models.superres import (
    SUPERRES,
    clamp_through,
    create_superres,
    load_published,
    resize,
    rgb_to_ycbcr,
    ycbcr_to_rgb,
)
from lib.models.superres_deep import Discriminator, carry_enlarged

TRAINABLE = [name for name in SUPERRES if name not in ("bilinear", "bicubic")]
FULL = ("vdsr", "vdsr-luma", "vdsr-ca", "drcn", "rcan", "srgan")  # too slow to train in a test
QUICK = [name for name in TRAINABLE if name not in FULL]
LUMA = ["srcnn-luma", "srcnn-915-luma", "fsrcnn", "vdsr-luma", "drcn-narrow"]
SCALED = ["fsrcnn", "rcan-light", "srgan-narrow"]


def on_meta(name, **options):
    with torch.device("meta"):  # shapes only: nothing is computed
        return create_superres(name, **options)


def pictures(*shape, seed=0):
    """Smooth pictures with some noise, away from 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    batch, _, height, width = shape
    coarse = torch.rand(batch, 3, 4, 3, generator=generator)
    smooth = F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=True)
    return 0.15 + 0.6 * smooth + 0.1 * torch.rand(shape, generator=generator)


def count(network):
    return sum(p.numel() for p in network.parameters())


# Counts and costs


@pytest.mark.parametrize(
    ("name", "parameters", "giga"),
    [  # 81 * 64 + 64 + 25 * 64 * 32 + 32 + 25 * 32 + 1 = 57,281; 1 x 1 in the middle: 49,152 fewer
        ("srcnn-luma", 57_281, 2.8107),
        ("srcnn", 69_251, 3.3990),  # 2 * 64 * 81 + 2 * 32 * 25 + 2 = 11,970 more
        ("srcnn-915-luma", 8_129, 0.3948),
        ("srcnn-915", 20_099, 0.9830),
        ("vdsr", 667_008, 32.7848),  # 9 * (3 * 64 + 18 * 64 * 64 + 64 * 3)
        ("vdsr-luma", 664_704, 32.6715),  # 9 * (64 + 18 * 64 * 64 + 64), times 384 * 128
    ],
)
def test_weights_and_multiply_adds(name, parameters, giga):
    found = complexity(on_meta(name), (384, 128))
    assert found.parameters == parameters
    assert round(found.macs / 1e9, 4) == giga


def test_fsrcnn_has_the_published_weights():
    """1*56*25 + 56*12 + 4 * 12*12*9 + 12*56 + 56*81 = 1,400 + 672 + 5,184 + 672 + 4,536 = 12,464."""
    network = on_meta("fsrcnn")
    assert sum(p.numel() for p in network.parameters() if p.ndim == 4) == 12_464
    # 12,464 - 4,536 weights at every small pixel, and a transposed convolution counts on its input, too
    assert complexity(network, (96, 32)).macs == 48 * 16 * 12_464


def test_drcn_has_the_published_count():
    """2,560 (1 -> 256) + 3 * 590,080 (256 -> 256) + 2,305 (256 -> 1) + 16 = 1,775,121: "1,775 K"."""
    assert count(on_meta("drcn")) == 1_775_121


@pytest.mark.parametrize(("scale", "parameters"), [(2, 15_444_643), (3, 15_629_283), (4, 15_592_355)])
def test_rcan_has_the_published_count(scale, parameters):
    """15.44, 15.63 and 15.59 M.

    Block: 2 * 36,928 (64 -> 64) + 260 + 320 (attention) = 74,436. Group: 20 blocks + 36,928 = 1,525,648. Ten groups,
    36,928 at their end, 1,792 (3 -> 64), 1,731 (64 -> 3): 15,296,931. Before each shuffle by 2: 64 * 256 * 9 + 256
    = 147,712, by 3: 64 * 576 * 9 + 576 = 332,352.
    """
    assert count(on_meta("rcan", scale=scale)) == parameters
    assert parameters == 15_296_931 + {2: 147_712, 3: 332_352, 4: 2 * 147_712}[scale]


@pytest.mark.parametrize(("scale", "enlargement"), [(2, 147_713), (3, 332_353), (4, 2 * 147_713)])
def test_srgan_generator(scale, enlargement):
    """No published count. Block: 2 * (36,864 + 128) + 1 = 73,985; head 15,616 + 1, body's end 36,992, tail 15,555."""
    assert count(on_meta("srgan", scale=scale)) == 16 * 73_985 + 15_617 + 36_992 + 15_555 + enlargement


def test_narrow_networks_are_small():
    sizes = {name: count(on_meta(name)) for name in ("vdsr-narrow", "drcn-narrow", "rcan-light", "srgan-narrow")}
    assert sizes["vdsr-narrow"] == 9 * (2 * 3 * 16 + 6 * 16 * 16)  # 14,688
    assert sizes["drcn-narrow"] == 160 + 3 * 2_320 + 145 + 6
    assert max(sizes.values()) < 250_000


# One interface


@pytest.mark.parametrize("name", SUPERRES)
def test_pictures_in_pictures_out(name):
    torch.manual_seed(0)
    network = create_superres(name)
    assert network.name == name
    for size in ((24, 12), (25, 13)):
        images = pictures(1, 3, *size)
        with torch.no_grad():
            out = network(images)
        assert out.shape == images.shape and out.dtype == images.dtype
        assert out.isfinite().all() and out.min() >= 0 and out.max() <= 1


@pytest.mark.parametrize("name", TRAINABLE)
def test_the_gradient_reaches_every_parameter_and_the_input(name):
    torch.manual_seed(0)
    network = create_superres(name)
    images = pictures(1, 3, 12, 8).requires_grad_()
    (network(images) - pictures(1, 3, 12, 8, seed=1)).square().mean().backward()
    assert images.grad.isfinite().all() and images.grad.abs().sum() > 0
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
def test_interpolation_is_the_picture_itself(name):
    network, images = create_superres(name), pictures(1, 3, 12, 8)
    assert network(images) is images and not list(network.parameters()) and network.scale is None


@pytest.mark.parametrize("name", TRAINABLE)
def test_all_start_as_interpolation(name):
    torch.manual_seed(0)
    network, images = create_superres(name), pictures(1, 3, 24, 16)
    with torch.no_grad():
        out = network(images)
    if network.scale is None:
        assert (out - images).abs().max() < 0.01
    else:
        small = resize(images, (12, 8))
        expected = F.interpolate(small, size=(24, 16), mode="bilinear", align_corners=False)
        if network.colours == "luma":
            out, expected = rgb_to_ycbcr(out)[:, :1], rgb_to_ycbcr(expected)[:, :1]
        inside = (..., slice(2, -2), slice(2, -2))  # zeros are padded: the frame is darker
        assert (out - expected)[inside].abs().max() < 0.03


@pytest.mark.parametrize("name", LUMA)
def test_luma_networks_leave_the_chroma(name):
    torch.manual_seed(0)
    network, images = create_superres(name), pictures(1, 3, 12, 8)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.003 * torch.randn_like(parameter)
        out = network(images)
    unclamped = ((out > 0) & (out < 1)).all(1)
    assert unclamped.any() and (out - images).abs().max() > 1e-3  # something was done
    before, after = (rgb_to_ycbcr(x)[:, 1:].transpose(0, 1)[:, unclamped] for x in (images, out))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_scales(name, scale):
    """The small image is canvas / scale, and 128 / 3 (here 16 / 3) is resized at last."""
    torch.manual_seed(0)
    network, images = create_superres(name, scale=scale).eval(), pictures(1, 3, 24, 16)
    small = network.take(images)
    assert network.scale == scale and small.shape[-2:] == (24 // scale, round(16 / scale))
    with torch.no_grad():
        assert network.enhance(small).shape[-2:] == tuple(scale * n for n in small.shape[-2:])
        out = network(images)
    assert out.shape == images.shape
    assert (out - images)[..., 4:-4, 4:-4].abs().mean() < 0.05  # no shift of the picture


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_bilinear_kernels(scale):
    """Before the pixel shuffle exactly, in the transposed convolution where nine taps suffice."""
    small = torch.rand(1, 1, 6, 5)
    expected = F.interpolate(small, scale_factor=scale, mode="bilinear", align_corners=False)[..., scale:-scale, :]
    layer = nn.Conv2d(1, scale**2, 3, padding=1)
    carry_enlarged(layer, 1, scale)
    inside = (..., slice(scale, -scale))
    with torch.no_grad():
        out = F.pixel_shuffle(layer(small), scale)[..., scale:-scale, :]
        torch.testing.assert_close(out[inside], expected[inside])
        enlarge = create_superres("fsrcnn", scale=scale).enlarge
        enlarge.weight[1:] = 0
        out = enlarge(F.pad(small, (0, 0, 0, 0, 0, 55)))[..., scale:-scale, :]
    if scale < 4:
        torch.testing.assert_close(out[inside], expected[inside])


def test_bfloat16_autocast():
    torch.manual_seed(0)
    for name in QUICK:
        network, images = create_superres(name), pictures(1, 3, 12, 8).to(memory_format=torch.channels_last)
        network = network.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            out = network(images)
            loss = out.square().mean()
        loss.backward()
        assert out.shape == images.shape and out.dtype == torch.float32, name
        assert all(p.grad.isfinite().all() for p in network.parameters()), name


@pytest.mark.parametrize("name", QUICK)
def test_training_lowers_the_error(name):
    """Ten steps on one batch: sharper and darker. Darker, because a blur alone is nearly solved at the start."""
    torch.manual_seed(0)
    sharp = pictures(2, 3, 16, 8)
    blurred, target = resize(resize(sharp, (8, 4)), (16, 8)), 0.7 * sharp
    network = create_superres(name)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    losses = []
    for _ in range(11):
        loss = (network(blurred) - target).square().mean()
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < 0.95 * losses[0]


def test_names_and_options_are_checked():
    with pytest.raises(ValueError, match="'srcn'.*bicubic.*srgan-narrow"):
        create_superres("srcn")
    with pytest.raises(ValueError, match="fsrcnn.*5.*2, 3, 4"):
        create_superres("fsrcnn", scale=5)
    with pytest.raises(ValueError, match="'hsv'.*rgb, luma"):
        create_superres("srcnn", colours="hsv")
    assert create_superres("vdsr-narrow", width=4).layers[0].out_channels == 4  # options beat the name


# Pieces


def test_ycbcr_by_hand_and_back():
    colours = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0]]).view(3, 3, 1, 1)
    expected = torch.tensor([[16, 128, 128], [235, 128, 128], [16 + 65.481, 128 - 37.797, 128 + 112]]) / 255
    torch.testing.assert_close(rgb_to_ycbcr(colours).view(3, 3), expected)
    images = torch.rand(2, 3, 5, 4)
    torch.testing.assert_close(ycbcr_to_rgb(rgb_to_ycbcr(images)), images, atol=1e-6, rtol=0)


def test_the_clamp_lets_the_gradient_through():
    values = torch.tensor([-7.3, -0.1, 0.4, 1.2, 1234.567], requires_grad=True)
    out = clamp_through(values)
    assert torch.equal(out, values.detach().clamp(0, 1))
    (out * torch.arange(1.0, 6.0)).sum().backward()
    assert torch.equal(values.grad, torch.arange(1.0, 6.0))


def test_srcnn_by_hand():
    """Loops over pixels, channels and taps, zeros outside the picture."""
    torch.manual_seed(0)
    network, images = create_superres("srcnn", width=8), pictures(1, 3, 4, 3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
        out = network(images)

    def loops(x, layer, last=False):
        channels, height, width = x.shape
        outside, _, kernel, _ = layer.weight.shape
        found = torch.empty(outside, height, width, dtype=torch.float64)
        weight = layer.weight.detach().double()
        for k in range(outside):
            for row in range(height):
                for column in range(width):
                    total = layer.bias[k].double().item()
                    for i in range(height):
                        for j in range(width):
                            y, z = i - row + kernel // 2, j - column + kernel // 2
                            if 0 <= y < kernel and 0 <= z < kernel:
                                total += sum(x[c, i, j].item() * weight[k, c, y, z].item() for c in range(channels))
                    found[k, row, column] = total if last else max(total, 0)
        return found

    hidden = loops(loops(images[0].double(), network.conv1), network.conv2)
    expected = loops(hidden, network.conv3, last=True).clamp(0, 1)
    torch.testing.assert_close(out[0].double(), expected, atol=1e-5, rtol=0)


def test_drcn_predicts_after_every_recursion():
    torch.manual_seed(0)
    network, images = create_superres("drcn-narrow"), pictures(2, 3, 12, 8)
    with torch.no_grad():
        network.mixing.copy_(torch.randn(6))
        network.recur.weight += 0.05 * torch.randn_like(network.recur.weight)
        network.reconstruct[1].weight += 0.01 * torch.randn_like(network.reconstruct[1].weight)
        found, final = network.predictions(images)
        assert len(found) == 6 and all(each.shape == images.shape for each in found)
        assert network.weights.sum().item() == pytest.approx(1) and (network.weights > 0).all()
        assert (found[0] - found[-1]).abs().max() > 1e-3
        assert torch.equal(final, network(images))
        assert final.min() > 0 and final.max() < 1  # not clamped, so the mean of the pictures is the picture
        torch.testing.assert_close(final, sum(w * each for w, each in zip(network.weights, found, strict=True)))
        torch.testing.assert_close(create_superres("drcn-narrow").weights, torch.full((6,), 1 / 6))


@pytest.mark.parametrize("size", [(24, 12), (25, 13), (96, 96)])
def test_discriminator_takes_any_canvas(size):
    torch.manual_seed(0)
    network = Discriminator(width=8, hidden=16)
    images = torch.rand(2, 3, *size, requires_grad=True)
    logits = network(images)
    assert logits.shape == (2,)
    logits.sum().backward()
    assert images.grad.abs().sum() > 0 and all(p.grad is not None for p in network.parameters())


def test_discriminator_as_published():
    """Strides 1, 2, ..., channels 64 to 512; 96 x 96 gives 6 x 6 maps, so that pooling changes nothing there."""
    with torch.device("meta"):
        network = Discriminator()
        maps = network.features(torch.empty(1, 3, 96, 96))
    convolutions = [m for m in network.features if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert [m.stride[0] for m in convolutions] == [1, 2] * 4
    assert maps.shape == (1, 512, 6, 6) and network.classifier[1].out_features == 1024


# Other people's weights


def renamed(network):
    return {f"module.part{i}.tensor": v for i, v in enumerate(network.state_dict().values())}


@pytest.mark.parametrize("name", ["fsrcnn", "vdsr-narrow", "srgan-narrow"])
@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
def test_published_weights_under_other_names(name, wrap, tmp_path):
    torch.manual_seed(0)
    theirs, ours = create_superres(name), create_superres(name)
    state = renamed(theirs)
    torch.save(state if wrap is None else {"epoch": 3, wrap: state}, tmp_path / "theirs.pth")
    assert load_published(ours, tmp_path / "theirs.pth") is ours
    for key, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], tensor), key


def test_published_weights_under_our_names_go_by_name(tmp_path):
    theirs, ours = create_superres("vdsr-narrow"), create_superres("vdsr-narrow")
    torch.save(dict(reversed(theirs.state_dict().items())), tmp_path / "ours.pth")
    load_published(ours, tmp_path / "ours.pth")
    assert all(torch.equal(ours.state_dict()[k], v) for k, v in theirs.state_dict().items())


def test_published_vdsr_lists_its_middle_first(tmp_path):
    """A well-known PyTorch version defines the 18 equal layers before the first and the last."""
    theirs, ours = create_superres("vdsr-narrow"), create_superres("vdsr-narrow")
    first, *middle, last = theirs.state_dict().values()
    state = {f"residual_layer.{i}.conv.weight": v for i, v in enumerate(middle)}
    torch.save({"model": {**state, "input.weight": first, "output.weight": last}}, tmp_path / "vdsr.pth")
    load_published(ours, tmp_path / "vdsr.pth")
    assert all(torch.equal(ours.state_dict()[k], v) for k, v in theirs.state_dict().items())


def test_weights_that_do_not_fit_change_nothing(tmp_path):
    network = create_superres("vdsr-narrow")
    before = {k: v.clone() for k, v in network.state_dict().items()}
    state = renamed(network)
    wrong = {**state, "module.part3.tensor": torch.zeros(16, 8, 3, 3)}
    files = {
        "wrong.pth": (wrong, r"wrong.pth.*'layers.6.weight'.*\(16, 16, 3, 3\).*part3.*\(16, 8, 3, 3\)"),
        "short.pth": (dict(list(state.items())[:-1]), r"short.pth.*'layers.7.weight'.*\(3, 16, 3, 3\).*nothing"),
        "long.pth": ({**state, "more": torch.zeros(7)}, r"long.pth.*1 tensors are left over.*'more'.*\(7,\)"),
        "named.pth": ({**before, "layers.1.weight": torch.zeros(2)}, r"named.pth.*'layers.1.weight'.*\(2,\)"),
        "number.pth": (3, "number.pth holds no state dict"),
        "network.pth": (nn.Linear(2, 2), "network.pth cannot be read as weights.*state dict"),
    }
    for name, (content, message) in files.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(ValueError, match=message):
            load_published(network, tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load_published(network, tmp_path / "absent.pth")
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
