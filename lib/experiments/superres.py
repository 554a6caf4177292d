"""What lesson 05 compares: super-resolution networks that are trained alike, on the training people of a protocol.

Each is shown a third of the pictures that the re-id network of a row is, all alike: they learn from every pixel, and
people have to be waited for. None starts from first weights: not all of the networks have some.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from lib.experiments.study import Bench, Row
from lib.methods import create_method
from lib.methods.baseline import Baseline
from lib.methods.method import Method
from lib.training.pedestrians import rate_of

SHARE = 1 / 3  # of a re-id network's images
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
        settings["lr"] = rate_of(network).value
    if network.startswith("srgan"):  # the content network: the backbone of this profile, as pre-trained
        settings |= {"content": usual.backbone, "adversarial": 1e-3}
    return create_method("superres", network=network, ratios=(at,), **settings)


def rows(profile: str, at: float) -> list[Row]:
    """Lesson 05: the networks of a profile, called as ``create_superres`` calls them."""
    return [Row(name, partial(restorer, network=name, at=at)) for name in NETWORKS[profile]]
