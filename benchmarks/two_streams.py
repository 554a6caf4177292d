"""A training step with two streams: RIFE in three ways, beside one network and two separate ones.

    python -m benchmarks.two_streams                        # CPU, and the GPU where there is one: two minutes
    python -m benchmarks.two_streams --cases cpu-fp32       # one case
    python -m benchmarks.two_streams --repeats 20           # more steps, of which the best counts

Forward and backward of a whole batch, without the optimiser, in images per second, and its ratio to two separate
networks: RIFE has their convolutions but one stem, so 1 is what it should reach. There is no peer (the authors
published no code). The ways to compute RIFE, from the same weights:

- one stream after the other: ``DualStream``;
- the streams of a block on two CUDA streams (GPU only): small kernels of one may fill what the other leaves idle;
- the streams of a block as grouped convolutions: the first convolutions share their input and become one with twice
  the outputs, the later ones have two groups. Checked to give ``DualStream``'s numbers before anything is timed.

The variants take turns, one step each, so that a busy machine slows all of them.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lib.models.dual_stream import DualStream, create_features
from lib.training.precision import autocast
from lib.training.randomness import seeded


@dataclass(frozen=True)
class Case:
    device: str
    backbone: str
    canvas: tuple[int, int]
    batch: int
    precision: str


CASES = {
    "cpu-fp32": Case("cpu", "resnet18-half", (96, 48), 64, "fp32"),
    "cpu-bf16": Case("cpu", "resnet18-half", (96, 48), 64, "bf16"),
    "gpu-batch32": Case("cuda", "resnet50", (256, 128), 32, "bf16"),
    "gpu-batch64": Case("cuda", "resnet50", (256, 128), 64, "bf16"),
}


class CudaStreams(DualStream):
    """``DualStream`` with the high stream of every block on a CUDA stream of its own.

    The backward pass of an operation runs on the stream of its forward pass, so it is split in the same way.
    """

    def __init__(self, backbone: str):
        super().__init__(backbone)
        self.side = torch.cuda.Stream()

    def block(self, t: int, maps: Tensor) -> tuple[Tensor, Tensor]:
        main = torch.cuda.current_stream()
        self.side.wait_stream(main)
        with torch.cuda.stream(self.side):
            high = self.high[t](maps)
        low = self.low[t](maps)
        main.wait_stream(self.side)
        # the allocator must not hand their memory out again while the other stream still reads it
        maps.record_stream(self.side)
        high.record_stream(main)
        return low, high


class Grouped(DualStream):
    """``DualStream`` with both streams of a block in one chain of layers: maps (B, 2C, h, w), [low | high].

    ``take`` a DualStream's weights: its stages are joined, there is nothing left of the separate ones.
    """

    @classmethod
    def take(cls, rife: DualStream) -> Grouped:
        grouped = copy.deepcopy(rife)
        grouped.__class__ = cls
        pairs = zip(grouped.low, grouped.high, strict=True)
        grouped.both = nn.ModuleList(join_stages(low, high) for low, high in pairs)
        del grouped.low, grouped.high
        return grouped

    def block(self, t: int, maps: Tensor) -> tuple[Tensor, Tensor]:
        return self.both[t](maps).chunk(2, 1)  # (B, 2C, h, w) -> twice (B, C, h, w)


class Repeat(nn.Module):
    """The shortcut of a first block that has no convolution: both streams get the shared map."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([maps, maps], 1)


def join_stages(low: nn.Sequential, high: nn.Sequential) -> nn.Sequential:
    """Two stages that read the same map (B, C', h', w') -> one that gives (B, 2C, h, w), [low | high]."""
    blocks = []
    for position, (a, b) in enumerate(zip(low, high, strict=True)):
        first, block = position == 0, copy.deepcopy(a)
        for name, layer in a.named_modules():
            if isinstance(layer, nn.Conv2d):
                # what reads the shared map: the first convolution and the shortcut of the stage's first block
                shared = first and (name == "conv1" or name.startswith("downsample"))
                block.set_submodule(name, join_convolutions(layer, b.get_submodule(name), 1 if shared else 2))
            elif isinstance(layer, nn.BatchNorm2d):
                block.set_submodule(name, join_normalisations(layer, b.get_submodule(name)))
        if first and block.downsample is None:
            block.downsample = Repeat()
        blocks.append(block)
    return nn.Sequential(*blocks)


def join_convolutions(a: nn.Conv2d, b: nn.Conv2d, groups: int) -> nn.Conv2d:
    """Kernels (D, C, k, k) of both -> one convolution with (2D, C, k, k): C inputs for 1 group, 2C for 2 groups."""
    joined = nn.Conv2d(
        groups * a.in_channels, 2 * a.out_channels, a.kernel_size, a.stride, a.padding, groups=groups, bias=False
    )  # fmt: skip
    joined.weight.data = torch.cat([a.weight.data, b.weight.data])
    return joined


def join_normalisations(a: nn.BatchNorm2d, b: nn.BatchNorm2d) -> nn.BatchNorm2d:
    """Batch normalisation works channel by channel: the channels of both in a row."""
    joined = nn.BatchNorm2d(2 * a.num_features, a.eps, a.momentum).to(a.weight)  # its format and device
    joined.train(a.training)
    other = b.state_dict()
    state = {name: torch.cat([x, other[name]]) if x.dim() else x for name, x in a.state_dict().items()}
    joined.load_state_dict(state)
    return joined


def check_grouped(rife: DualStream, canvas: tuple[int, int], device: str) -> float:
    """The largest difference of the maps in float64, relative to the largest value; SystemExit above 1e-9."""
    rife = copy.deepcopy(rife).double().to(device).train()
    images = torch.rand(4, 3, *canvas, dtype=torch.float64, device=device)
    with torch.no_grad():
        expected = rife(images)
        difference = ((Grouped.take(rife)(images) - expected).abs().max() / expected.abs().max()).item()
    if not difference < 1e-9:
        raise SystemExit(f"grouped convolutions differ from DualStream by {difference:.1e}")
    return difference


def variants(case: Case) -> dict[str, nn.Module]:
    with seeded(0):
        rife = DualStream(case.backbone)
        found = {
            "one network": create_features(case.backbone, "one"),
            "two separate networks": create_features(case.backbone, "equal"),
            "RIFE, one stream after the other": rife,
        }
        if case.device == "cuda":
            found["RIFE, two CUDA streams"] = CudaStreams(case.backbone)
            found["RIFE, two CUDA streams"].load_state_dict(rife.state_dict())
        found["RIFE, grouped convolutions"] = Grouped.take(rife)
    return {label: model.to(case.device, memory_format=torch.channels_last).train() for label, model in found.items()}


def step_of(model: nn.Module, images: Tensor, case: Case) -> Callable[[], float]:
    """One training step; the seconds it took."""

    def step() -> float:
        model.zero_grad(set_to_none=True)
        if case.device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        with autocast(case.precision, images.device):
            maps = model(images)
        maps.float().mean((2, 3)).square().mean().backward()
        if case.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    return step


def compare(name: str, case: Case, repeats: int) -> None:
    """Print one table."""
    if case.device == "cuda" and not torch.cuda.is_available():
        print(f"\n{name} skipped: no GPU here")
        return
    where = torch.cuda.get_device_name() if case.device == "cuda" else f"{torch.get_num_threads()} CPU thread(s)"
    canvas = " x ".join(map(str, case.canvas))
    print(f"\n{name}: {case.backbone}, {canvas} pixels, batch {case.batch}, {case.precision}, {where}")
    models = variants(case)
    difference = check_grouped(models["RIFE, one stream after the other"], case.canvas, case.device)
    images = torch.rand(case.batch, 3, *case.canvas, device=case.device).to(memory_format=torch.channels_last)
    steps = {label: step_of(model, images, case) for label, model in models.items()}
    for _ in range(3):  # warm-up: the first steps choose algorithms and fill the allocator
        for step in steps.values():
            step()
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(repeats):
        for label, step in steps.items():
            best[label] = min(best[label], step())
    print(f"  {'':34}{'images/s':>10}{'x two networks':>16}")
    for label, seconds in best.items():
        print(f"  {label:34}{case.batch / seconds:10.0f}{best['two separate networks'] / seconds:16.2f}")
    print(f"  grouped and one after the other agree to {difference:.0e} (float64)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--repeats", type=int, default=10, help="steps of each variant, of which the best counts")
    arguments = parser.parse_args()
    for name in arguments.cases:
        compare(name, CASES[name], arguments.repeats)


if __name__ == "__main__":
    main()
