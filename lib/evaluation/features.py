"""From images to descriptors, batch by batch: whatever the size of the set, one batch of pixels is held at a time.

Letters: N images, B images in a batch, D feature dimensions, R views (an image at one ratio, in one role).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from lib.data.batches import Batch
from lib.data.canvases import Canvases
from lib.evaluation.people import as_array
from lib.methods.method import Method
from lib.methods.work import work_of
from lib.models.devices import resolve_device
from lib.threads import few_threads

if TYPE_CHECKING:
    from lib.data import Protocol

BATCH_SIZE = 128
ROLES = ("probe", "gallery")
REFERENCES = ("image", "widest")


@dataclass(frozen=True)
class View:
    """One way to look at every image.

    ratio: None for what the protocol says, or r in (0, 1]. role: "probe" or "gallery".
    reference: what r is relative to. "image": the image's own width, or the protocol's widest where that is less (VR
    shows nobody wider than 32 pixels). "widest": the protocol's widest, as RIPR §3 defines resolution: an image that is
    not that wide stays as it is. So where all images are as wide as the widest, on VR sets for example, r is the number
    that ``embed`` is told, that training was told, and that stands on the axis of O.
    """

    ratio: float | None = None
    role: str = "gallery"
    reference: str = "image"

    def __post_init__(self):
        if self.ratio is not None and not 0 < self.ratio <= 1:
            raise ValueError(f"a ratio lies in (0, 1], not {self.ratio}")
        if self.role not in ROLES:
            raise ValueError(f"unknown role {self.role!r}: 'probe' or 'gallery'")
        if self.reference not in REFERENCES:
            raise ValueError(f"unknown reference {self.reference!r}: 'image' or 'widest'")

    def ratios(self, rows: pd.DataFrame, protocol: Protocol) -> np.ndarray:
        """(N,) factor on each original image."""
        if self.ratio is None:
            return rows["ratio"].to_numpy(dtype=float)
        if self.reference == "image":
            return self.ratio * protocol.ratio_at(rows["image"], 1.0)  # 1.0: all that the protocol may show
        return protocol.ratio_at(rows["image"], self.ratio)


def device_of(method: Method) -> torch.device:
    """Where a method's weights are; the CPU for a method without weights."""
    return next((p.device for p in method.parameters()), torch.device("cpu"))


def training_of(method: Method) -> int | tuple[int, ...] | None:
    """``Method.trained_seed``; -1, one training that nobody says more of, for weights that ``fit`` has not trained."""
    seed = getattr(method, "trained_seed", None)
    return -1 if seed is None and any(True for _ in method.parameters()) else seed


def stream(
    method: Method,
    protocol: Protocol,
    rows: pd.DataFrame,
    views: Sequence[View],
    device: torch.device | str | None = None,
    batch_size: int = BATCH_SIZE,
) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """Yield (which rows, one (B, D) float32 array per view), in the order of ``rows`` (a part of ``protocol.table``).

    The method runs in eval mode and is put back afterwards; ``device`` moves it there. ValueError where there are no
    rows, where the method was not set up, for a device that is not there, and where ``embed`` does not return one
    finite vector per image (naming it). TypeError for an ``embed`` of another form than embed(batch, role).
    """
    if len(rows) == 0:
        raise ValueError("there are no images to extract features from")
    check_ready(method)
    if device is not None:
        device = resolve_device(device)
        method.to(device)
    device = device_of(method) if device is None else device
    images = rows["image"].to_numpy()
    ratios = [view.ratios(rows, protocol) for view in views]
    modes = {module: module.training for module in method.modules()}
    work = work_of(method) if device.type == "cpu" else float("inf")
    try:
        for first in range(0, len(rows), batch_size):
            at = slice(first, min(first + batch_size, len(rows)))
            # a fresh store per batch: it keeps what it makes, and a whole test set at many ratios would not fit
            canvases = Canvases(
                protocol, size=tuple(method.canvas), device=device, enlargement=getattr(method, "enlargement", None)
            )
            method.eval()  # in the loop: between two batches the caller may do what it likes
            both = zip(views, ratios, strict=True)
            with few_threads(work):
                described = [_embed(method, canvases, images[at], ratio[at], view.role) for view, ratio in both]
            yield at, described
    finally:
        for module, training in modes.items():
            module.training = training


def check_ready(method: Method) -> None:
    """Raise ValueError for a method without layers yet, TypeError for one that wants other arguments than a batch."""
    name = getattr(method, "name", type(method).__name__)
    if getattr(method, "canvas", None) is None:
        raise ValueError(
            f"{name} has no canvas (H, W): it was not set up. Take what fit(method, protocol).method gives, or, where "
            "there is nothing to learn, call method.setup('quick', identities) first"
        )
    wanted = list(inspect.signature(method.embed).parameters)
    if len(wanted) != 2:
        raise TypeError(
            f"{name}: embed takes a batch and a role, not {', '.join(wanted)}: write embed(self, batch, role) and use "
            "batch.images and batch.resolution"
        )


def compared(method: Method, descriptors: np.ndarray) -> np.ndarray:
    """(B, D) -> (B, F): what the objective O compares of a method's descriptors, ``Method.features``.

    TypeError for a method with a ``distance`` of its own that does not say what its features are.
    """
    features = getattr(type(method), "features", Method.features)
    if features is Method.features and getattr(type(method), "distance", Method.distance) is Method.distance:
        return descriptors
    with torch.inference_mode():
        found = features(method, torch.from_numpy(np.ascontiguousarray(descriptors)).to(device_of(method)))
    return as_array(found.float(), "features")


def _embed(method: Method, canvases: Canvases, images: np.ndarray, ratios: np.ndarray, role: str) -> np.ndarray:
    batch = Batch.shown(canvases, images, ratios)
    with torch.inference_mode():
        features = method.embed(batch, role)
    if not isinstance(features, torch.Tensor):
        raise TypeError(f"embed returned a {type(features).__name__}, expected a tensor ({len(images)}, D)")
    features = as_array(features.float(), "features")
    if features.ndim != 2 or len(features) != len(images):
        raise ValueError(f"embed returned shape {features.shape} for {len(images)} images, expected ({len(images)}, D)")
    bad = ~np.isfinite(features).all(1)
    if bad.any():
        raise ValueError(f"the feature of image {images[bad.argmax()]} is NaN or infinite: has training diverged?")
    return features


def extract(
    method: Method,
    protocol: Protocol,
    rows: pd.DataFrame,
    ratio: float | None = None,
    role: str = "gallery",
    device: torch.device | str | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Features (N, D), float32, of ``rows`` (a part of ``protocol.table``, e.g. ``protocol.rows("test", "probe")``).

    ratio: None for what the protocol says, or one factor in (0, 1] on the original images. Errors as in ``stream``.
    """
    features = None
    for at, (part,) in stream(method, protocol, rows, [View(ratio, role)], device, batch_size):
        if features is None:
            features = np.empty((len(rows), part.shape[1]), dtype=np.float32)
        features[at] = part
    return features
