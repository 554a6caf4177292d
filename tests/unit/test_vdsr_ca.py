"""VDSR-CA: counts, the attention by hand, VDSR where all attentions are open, as deep as VDSR and no fainter."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.evaluation import complexity
from lib.models.superres import create_superres
from lib.models.superres_attention import VDSRCA
from lib.models.superres_deep import ChannelAttention
from lib.training.pedestrians import kind_of, rate_of


def on_meta(name: str, **options):
    with torch.device("meta"):
        return create_superres(name, **options)


@pytest.mark.parametrize(
    ("name", "options", "parameters", "giga"),
    [
        ("vdsr", {}, 667_008, 21.8565),
        ("vdsr-ca", {}, 677_448, 21.8565),  # 18 x (64 x 4 + 4 + 4 x 64 + 64): the attention costs next to no work
        ("vdsr-ca", {"reduction": 4}, 705_312, 21.8566),
        ("vdsr-narrow", {}, 14_688, 0.4813),
        ("vdsr-ca-narrow", {}, 14_688 + 6 * (16 * 4 + 4 + 4 * 16 + 16), 0.4813),
    ],
)
def test_weights_and_multiply_adds(name, options, parameters, giga):
    found = complexity(on_meta(name, **options), (256, 128))
    assert found.parameters == parameters and round(found.macs / 1e9, 4) == giga


def test_the_attention_by_hand():
    """Eq. 3, 4: W_D picks channels 0 and 1, W_U adds up; s = sigmoid(1) for all."""
    attention = ChannelAttention(4, reduction=2)
    for layer in (attention.squeeze, attention.excite):
        nn.init.zeros_(layer.bias)
    with torch.no_grad():
        attention.squeeze.weight.copy_(torch.eye(4)[:2].view(2, 4, 1, 1))
        attention.excite.weight.fill_(1.0)
        maps = torch.tensor([1.0, -2.0, 3.0, 4.0]).view(1, 4, 1, 1).expand(1, 4, 3, 2)
        expected = torch.tensor([0.7310586, -1.4621172, 2.1931758, 2.9242344])
        torch.testing.assert_close(attention(maps)[0, :, 1, 1], expected)
        varied = maps.clone()
        varied[..., 0] += 1  # what counts is the mean over positions
        varied[..., 1] -= 1
        torch.testing.assert_close(attention(varied), varied * 0.7310586)


def test_the_order_is_convolution_attention_relu():
    torch.manual_seed(0)
    network, images = create_superres("vdsr-ca-narrow"), torch.rand(2, 3, 10, 6)
    nn.init.normal_(network.layers[-1].weight, std=0.05)
    x = F.conv2d(images, network.layers[0].weight, padding=1).clamp(min=0)
    for layer, attention in zip(network.layers[1:-1], network.attention, strict=True):
        found = F.conv2d(x, layer.weight, padding=1)
        means = found.mean((2, 3))
        inner = (means @ attention.squeeze.weight[:, :, 0, 0].T + attention.squeeze.bias).clamp(min=0)
        s = 1 / (1 + torch.exp(-(inner @ attention.excite.weight[:, :, 0, 0].T + attention.excite.bias)))
        x = (s[:, :, None, None] * found).clamp(min=0)
    expected = images + F.conv2d(x, network.layers[-1].weight, padding=1)
    torch.testing.assert_close(network(images), expected.clamp(0, 1))
    assert len(network.attention) == 6 == len(network.layers) - 2


def test_with_every_attention_open_it_is_vdsr():
    torch.manual_seed(0)
    ours, vdsr, images = create_superres("vdsr-ca-narrow"), create_superres("vdsr-narrow"), torch.rand(1, 3, 12, 8)
    vdsr.load_state_dict({name: value for name, value in ours.state_dict().items() if name.startswith("layers")})
    nn.init.normal_(ours.layers[-1].weight, std=0.1)
    vdsr.layers[-1].load_state_dict(ours.layers[-1].state_dict())
    with torch.no_grad():
        assert not torch.allclose(ours(images), vdsr(images))
        for attention in ours.attention:
            nn.init.zeros_(attention.excite.weight)
            nn.init.constant_(attention.excite.bias, 50.0)
        torch.testing.assert_close(ours(images), vdsr(images), rtol=0, atol=1e-6)


def test_eighteen_attentions_fade_nothing():
    """Each begins at about one half: from a usual start the last layer would see 2^-18 of the first."""
    torch.manual_seed(0)
    network, x = VDSRCA(), torch.rand(1, 3, 16, 12)
    sizes = []
    with torch.no_grad():
        x = F.relu(network.layers[0](x))
        for layer, attention in zip(network.layers[1:-1], network.attention, strict=True):
            x = F.relu(attention(layer(x)))
            sizes.append(float(x.square().mean().sqrt()))
    assert 0.05 < sizes[-1] / sizes[0] < 20


def test_it_is_pretrained_at_the_rate_of_what_adds_to_the_picture():
    for name in ("vdsr-ca", "vdsr-ca-narrow"):
        assert kind_of(name) == "sr" and rate_of(name).value == rate_of("vdsr-narrow").value
