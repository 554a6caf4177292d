"""What lesson 05 compares: super-resolution networks that are trained alike, on the training people of a protocol.

Each is shown a third of the pictures that the re-id network of a row is, all alike: they learn from every pixel, and
people have to be waited for. None starts from first weights: not all of the networks have some.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from lib.data import Protocol
from lib.evaluation import extract
from lib.experiments.study import Bench, Row
from lib.methods import create_method
from lib.methods.baseline import Baseline
from lib.methods.method import Method
from lib.methods.wrapped import Beside, SuperResolved
from lib.training.pedestrians import rate_of

SHARE = 1 / 3  # of a re-id network's images
PIXELS = "raw pixels"  # the reader that compares the pictures themselves
NETWORKS = {
    "quick": ("srcnn-915-luma", "vdsr-narrow"),
    "course": ("srcnn-915-luma", "fsrcnn", "vdsr-narrow", "drcn-narrow", "rcan-light"),
    "paper": ("srcnn-915-luma", "srcnn-luma", "srcnn", "fsrcnn", "vdsr", "drcn", "rcan-light", "srgan"),
}


def restorer(bench: Bench, ratio: float | None, network: str, at: float) -> Method:
    """A network that is to restore pictures at the ratio ``at``."""
    usual = Baseline.defaults(bench.profile)
    settings: dict[str, Any] = {"canvas": usual.canvas, "epochs": bench.epochs(SHARE * bench.images)}
    if bench.profile != "paper":
        settings["lr"] = rate_of(network).best
    if network.startswith("srgan"):  # the content network: the backbone of this profile, as pre-trained
        settings |= {"content": usual.backbone, "adversarial": 1e-3}
    return create_method("superres", network=network, ratios=(at,), **settings)


def rows(profile: str, at: float) -> list[Row]:
    """Lesson 05: the networks of a profile, called as ``create_superres`` calls them."""
    return [Row(name, partial(restorer, network=name, at=at)) for name in NETWORKS[profile]]


def pixels(canvas: tuple[int, int]) -> Method:
    """The reader whose descriptor is the picture, (3 H W)."""
    method = create_method("superres", network="bicubic", canvas=tuple(canvas))
    method.setup("quick", 1)
    return method


def described(
    sr: nn.Module, readers: Mapping[str, Method], protocol: Protocol, ratio: float, subset: str = "test"
) -> dict[str, np.ndarray]:
    """What each of the readers, and ``PIXELS``, says of the probes at a ratio after ``sr`` has restored them: {name:
    (Q, D)}. Each picture is restored once for all of them.

    ValueError where the readers look at different pictures.
    """
    named = {**readers, PIXELS: pixels(next(iter(readers.values())).canvas)}
    beside = Beside(*named.values())
    found = extract(SuperResolved(beside, sr), protocol, protocol.rows(subset, "probe"), ratio, "probe")
    return dict(zip(named, beside.split(found), strict=True))
