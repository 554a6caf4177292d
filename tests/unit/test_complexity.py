"""Counts of weights and multiply-adds against the known numbers of the field."""

import pytest
import torch
import torchvision
from torch import nn

from lib.data.batches import Batch
from lib.evaluation import complexity

META = torch.device("meta")  # shapes only: nothing is computed


def chain(*layers):
    with META:
        return nn.Sequential(*layers)


def conv(inside, outside, kernel=3, bias=True):
    return nn.Conv2d(inside, outside, kernel, padding=kernel // 2, bias=bias, device=META)


def resnet50(last_stride):
    with META:
        model = torchvision.models.resnet50(weights=None)
    model.fc = nn.Identity()
    if last_stride == 1:
        model.layer4[0].conv2.stride = model.layer4[0].downsample[0].stride = (1, 1)
    return model


@pytest.mark.parametrize(
    ("last_stride", "size", "giga"),
    [(2, (256, 128), 2.6692), (1, (256, 128), 4.0533), (2, (384, 128), 4.0037), (1, (384, 128), 6.0799)],
)
def test_resnet50(last_stride, size, giga):
    found = complexity(resnet50(last_stride), size)
    assert found.parameters == 23_508_032
    assert round(found.macs / 1e9, 4) == giga


def test_vdsr_has_ripr_table_1s_numbers():
    layers = [conv(3, 64, bias=False), *(conv(64, 64, bias=False) for _ in range(18)), conv(64, 3, bias=False)]
    found = complexity(chain(*layers), (384, 128))
    assert found.parameters == 667_008
    assert round(found.macs / 1e9, 4) == 32.7848
    assert round(found.macs / 1e9, 1) == 32.8  # RIPR Table 1: 32.79


@pytest.mark.parametrize(
    ("middle", "channels", "parameters", "giga"),
    [(5, 1, 57_281, 2.8107), (5, 3, 69_251, 3.3990), (1, 1, 8_129, 0.3948), (1, 3, 20_099, 0.9830)],
)
def test_srcnn(middle, channels, parameters, giga):
    model = chain(conv(channels, 64, 9), nn.ReLU(), conv(64, 32, middle), nn.ReLU(), conv(32, channels, 5))
    found = complexity(model, (channels, 384, 128))
    assert found.parameters == parameters
    assert round(found.macs / 1e9, 4) == giga


@pytest.mark.parametrize("level", [0, 1, 2])
def test_ffsr_has_ripr_table_1s_multiply_adds(level):
    """Six more layers cost the same at any level: half the side, twice the channels."""

    def down(inside, outside):
        return nn.Conv2d(inside, outside, 3, stride=2, padding=1, bias=False, device=META)

    def up(inside, outside):
        return nn.ConvTranspose2d(inside, outside, 3, stride=2, padding=1, output_padding=1, bias=False, device=META)

    more = [
        [conv(width, width, bias=False) for _ in range(6 * (at == level))] for at, width in enumerate((32, 64, 128))
    ]
    model = chain(
        conv(3, 32, bias=False), *more[0], down(32, 64), *more[1], down(64, 128), *more[2],
        up(128, 64), up(64, 32), conv(32, 3, bias=False),
    )  # fmt: skip
    assert round(complexity(model, (384, 128)).macs / 1e9, 4) == 3.7088


def test_a_transposed_convolution_is_counted_on_its_input():
    up = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1, device=META)
    assert complexity(up, (8, 10, 6)).macs == 10 * 6 * 8 * 4 * 16


def test_groups_and_linear_layers():
    assert complexity(nn.Conv2d(8, 8, 3, groups=8, padding=1, device=META), (8, 10, 6)).macs == 10 * 6 * 8 * 9
    model = chain(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 7))
    assert complexity(model, (16, 16)) == (28, 21)


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).train()
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = complexity(model, (8, 8))
    assert [m.training for m in model] == [True, True, False]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert "parameters" in found.summary()


def test_what_is_called_in_another_way():
    class Embedder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(3, 2, 1)

        def embed(self, batch, role):
            return self.layer(batch.images).mean((2, 3))

    found = complexity(Embedder(), (4, 4), forward=lambda model, x: model.embed(Batch(x), "probe"))
    assert found.macs == 4 * 4 * 3 * 2


def test_wrong_sizes_are_refused():
    for size in ((3, 3, 8, 8), (8,), (0, 8), (8.5, 8), ("8", "8"), (True, 8), "88", 8, None):
        with pytest.raises(ValueError, match="input_size"):
            complexity(nn.Identity(), size)
