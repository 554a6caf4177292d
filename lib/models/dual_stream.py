"""Two streams for two resolutions: RIPR's feature extractor (RIFE, Mao et al. 2019, §4.2) and what Table 2 compares;
and, at the end, FTWA's, whose streams share all but their first layers.

Letters: B images, C channels, H x W the canvas, h x w the feature map, T learned fusions (dual-stream blocks).

A fusion weighs the maps of the low and the high-resolution stream image by image, m = w_L m_L + w_H m_H (Eq. 6). The
weights come as (B, T, 2) float32, columns [low, high]; their targets are (1 - r, r) for an image of resolution r in
(0, 1] (Eq. 7). Nothing forces them to sum to one but that loss.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lib.models.backbones import create_backbone
from lib.models.registry import Registry
from lib.models.resnet import ResNet

APART = 0.1  # noise between two networks that begin alike, in standard deviations of each layer's weights


class StreamWeight(nn.Module):
    """The weight of one stream, from its own map: (B, C, h, w) -> (B,) float32 in (0, 1).

    Global average pooling and "two FC layers with the output channels of 64 and 1" (§5.2). The paper is silent on what
    follows them; a ReLU between and a sigmoid at the end are ours, since the targets 1 - r and r lie in [0, 1]. The
    last layer starts at zero: the weight is exactly 1/2 at first, for every image.
    """

    def __init__(self, channels: int, hidden: int = 64):  # paper (RIPR §5.2): 64
        super().__init__()
        self.hidden = nn.Linear(channels, hidden)
        self.out = nn.Linear(hidden, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, maps: Tensor) -> Tensor:
        with _no_autocast(maps.device):  # in the layers' own format, float32: bfloat16 knows 1/2 to 0.4 % only
            pooled = maps.mean((2, 3), dtype=self.out.weight.dtype)  # (B, C)
            return torch.sigmoid(self.out(torch.relu(self.hidden(pooled)))).squeeze(1)


class Fusion(nn.Module):
    """Eq. 6: two maps (B, C, h, w) -> (m = w_L m_L + w_H m_H (B, C, h, w), the weights (B, 2), columns [low, high]).

    w_L is predicted from m_L and w_H from m_H; ``given`` (B, 2) replaces both. m has the format of the maps.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.low, self.high = StreamWeight(channels), StreamWeight(channels)

    def forward(self, low: Tensor, high: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        weights = torch.stack([self.low(low), self.high(high)], 1) if given is None else given
        w_low, w_high = weights.to(low.dtype)[:, :, None, None, None].unbind(1)  # (B, 1, 1, 1) each
        return w_low * low + w_high * high, weights


class TwoStreams(nn.Module):
    """What the two-stream extractors share.

    Attributes
    ----------
    name : the single backbone's name, because the first weights are that backbone's.
    channels : C of the maps.
    blocks : T, the number of learned fusions.
    """

    def __init__(self, name: str, channels: int, fused: Sequence[int]):
        """``fused``: the channels of each of the T learned fusions."""
        super().__init__()
        self.name, self.channels, self.blocks = name, channels, len(fused)
        self.fusions = nn.ModuleList(Fusion(c) for c in fused)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, C, h, w)."""
        return self.streams(images)[0]

    def streams(self, images: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) in [0, 1] -> (maps (B, C, h, w), weights (B, T, 2), columns [low, high]).

        ``given``: (B, 2), the same in every fusion, or (B, T, 2): used instead of the predicted weights, and returned.
        For swapped streams (``swapped``) and for a known resolution (1 - r, r). ValueError for another shape, and
        where no weight is learned (T = 0).
        """
        if given is not None:
            given = self._checked(given, images)
        return self._fused(images, given)

    def doubled(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of the single backbone -> weights for this module: both streams have the same.

        What the single backbone has no counterpart of (the layers that predict the weights) keeps its present value.
        What ``state`` should have and lacks is left out, for the caller to report. The two streams share the tensors
        of ``state``; ``load_state_dict`` copies them. A state with any name of this module is one of two streams, whole
        or not, and comes back as it is.
        """
        own, found = self.state_dict(), {}
        if not own.keys().isdisjoint(state):
            return state
        for name, present in own.items():
            single = None if name.startswith("fusions.") else self._single_name(name)
            if single is None:
                found[name] = present
            elif single in state:
                found[name] = state[single]
        return found

    def _checked(self, given: Tensor, images: Tensor) -> Tensor:
        """(B, 2) or (B, T, 2) -> (B, T, 2) float32 beside the images."""
        if not self.blocks:
            raise ValueError(f"{type(self).__name__} fuses with 1/2 each; it takes no weights")
        expected = (len(images), self.blocks, 2)
        shape = tuple(given.shape)
        if shape == (len(images), 2):
            given = given[:, None].expand(expected)
        elif shape != expected:
            raise ValueError(f"given weights have shape {shape}, expected {(len(images), 2)} or {expected}")
        return given.to(images.device, torch.float32)

    def _fused(self, images: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        """As ``streams``, with ``given`` None or (B, T, 2)."""
        raise NotImplementedError

    def _single_name(self, name: str) -> str:
        """A weight of a stream or of the stem -> its name in the single backbone."""
        raise NotImplementedError


class DualStream(TwoStreams):
    """RIFE (Fig. 3, Eq. 6): one stem, every stage twice, a fusion after each; T = 4.

    "Each main block of ResNet50 is modified to be a DSB by duplicating its convolutional layers" (§5.2). The fused map
    goes to both streams of the next block. ``low`` and ``high`` hold four stages each. The streams start from different
    random weights where no first weights are loaded. ValueError for a backbone without four stages.
    """

    def __init__(self, backbone: str):
        low, high = _network(backbone), _network(backbone)
        super().__init__(low.name, low.channels, low.stage_channels)
        parts = ("normalise", "conv1", "bn1", "relu", "maxpool")
        self.stem = nn.Sequential(OrderedDict((part, getattr(low, part)) for part in parts))
        self.low, self.high = nn.ModuleList(low.stages), nn.ModuleList(high.stages)

    def block(self, t: int, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Block t in 0..3 without its fusion: one map -> (m_L, m_H)."""
        return self.low[t](maps), self.high[t](maps)

    def _fused(self, images: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        maps, weights = self.stem(images), []
        for t, fusion in enumerate(self.fusions):
            maps, w = fusion(*self.block(t, maps), None if given is None else given[:, t])
            weights.append(w)
        return maps, torch.stack(weights, 1)  # T of (B, 2) -> (B, T, 2)

    def _single_name(self, name: str) -> str:
        part, rest = name.split(".", 1)
        if part == "stem":
            return rest
        stage, rest = rest.split(".", 1)
        return f"layer{int(stage) + 1}.{rest}"


class TwoNetworks(TwoStreams):
    """Two complete networks, ``low`` and ``high``, that see the same images. The base of the two below."""

    def __init__(self, backbone: str, learned: int):
        """``learned``: the number of learned fusions of the last maps, 0 or 1."""
        low, high = _network(backbone), _network(backbone)
        super().__init__(low.name, low.channels, [low.channels] * learned)
        self.low, self.high = low, high

    def _single_name(self, name: str) -> str:
        return name.split(".", 1)[1]


class EqualNetworks(TwoNetworks):
    """Two networks, their last maps averaged, T = 0: "fused with equal weight" (§5.3, Table 2).

    From equal first weights and with equal weights in the sum, both get the same gradient at every step: two copies
    would stay one network for ever. So noise sets the second apart (``APART``); Eq. 7 does it where weights are
    learned. ValueError for a backbone without four stages.
    """

    def __init__(self, backbone: str):
        super().__init__(backbone, learned=0)

    def doubled(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """As for all, but the convolutions of the second network with noise, drawn from torch's generator."""
        found = super().doubled(state)
        if found is state:
            return found
        return {n: _noisy(w) if n.startswith("high.") and w.ndim == 4 else w for n, w in found.items()}

    def _fused(self, images: Tensor, given: None) -> tuple[Tensor, Tensor]:
        maps = (self.low(images) + self.high(images)) / 2
        return maps, torch.empty(len(images), 0, 2, device=images.device)


class WeightedNetworks(TwoNetworks):
    """Two networks, their last maps "fused with learned weights learned with Eq. (6)", T = 1 (§5.3, Table 2).

    ValueError for a backbone without four stages.
    """

    def __init__(self, backbone: str):
        super().__init__(backbone, learned=1)

    def _fused(self, images: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        last = None if given is None else given[:, 0]
        maps, w = self.fusions[0](self.low(images), self.high(images), last)
        return maps, w[:, None]  # (B, 2) -> (B, 1, 2)


class TwoEncoders(nn.Module):
    """FTWA's backbone (Zhang et al. 2021, §2.1): stem and first stage twice, E_H and E_L, the rest shared, E_ID.

    Every part of ``high``, ``low`` and ``shared`` is called as in the single network, whose first weights both encoders
    get (``doubled``). name, channels : the single network's. ValueError for a backbone without four stages.
    """

    def __init__(self, backbone: str):
        super().__init__()
        high, low = _network(backbone), _network(backbone)
        self.name, self.channels = high.name, high.channels
        first, rest = ("normalise", "conv1", "bn1", "relu", "maxpool", "layer1"), ("layer2", "layer3", "layer4")
        self.high, self.low, self.shared = (
            nn.Sequential(OrderedDict((part, getattr(network, part)) for part in parts))
            for network, parts in ((high, first), (low, first), (high, rest))
        )

    def forward(self, high: Tensor | None, low: Tensor | None = None) -> Tensor:
        """Eq. 1: pictures (B, 3, H, W) through E_H and (b, 3, H, W) through E_L, both in [0, 1], then all through E_ID:
        (B + b, C, h, w), the high ones first. None or no pictures for one of the two. One pass through E_ID, so that
        its batch statistics are those of both.
        """
        shallow = [part(some) for part, some in ((self.high, high), (self.low, low)) if some is not None]
        return self.shared(torch.cat(shallow))

    def doubled(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of the single backbone -> weights for this module, as ``TwoStreams.doubled``."""
        own = self.state_dict()
        if not own.keys().isdisjoint(state):
            return state
        single = {name: name.split(".", 1)[1] for name in own}
        return {name: state[theirs] for name, theirs in single.items() if theirs in state}


def _noisy(weight: Tensor) -> Tensor:
    return weight + APART * weight.std() * torch.randn_like(weight)


def swapped(weights: Tensor) -> Tensor:
    """(..., 2) with the columns exchanged: the low stream gets the high stream's weight and the reverse."""
    return weights.flip(-1)


STREAMS = Registry("STREAMS", "streams")
STREAMS.add("one", create_backbone)
STREAMS.add("equal", EqualNetworks)
STREAMS.add("weighted", WeightedNetworks)
STREAMS.add("rife", DualStream)


def create_features(backbone: str, streams: str) -> nn.Module:
    """A feature extractor (B, 3, H, W) -> (B, C, h, w) from a name of ``create_backbone`` and one of ``STREAMS``.

    ValueError for an unknown name, and for two streams of a backbone without four stages.
    """
    return STREAMS.create(streams, backbone)


def _network(backbone: str) -> ResNet:
    """A residual network, or ValueError."""
    network = create_backbone(backbone)
    if not isinstance(network, ResNet):
        raise ValueError(f"two streams need a residual network (ResNet) with four stages, {backbone!r} is none")
    return network


def _no_autocast(device: torch.device) -> contextlib.AbstractContextManager:
    """Autocast off; the meta device, where shapes are computed only, has none to switch off."""
    if not torch.amp.is_autocast_available(device.type):
        return contextlib.nullcontext()
    return torch.autocast(device.type, enabled=False)
