"""From images to descriptors, batch by batch: whatever the size of the set, one batch of pixels is held at a time.

Letters: N images, B images in a batch, D feature dimensions, R views (an image at one ratio, in one role).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from lib.data import batches
from lib.evaluation.people import as_array

if TYPE_CHECKING:
    from lib.data import Protocol
    from lib.methods import Method

BATCH_SIZE = 128
ROLES = ("probe", "gallery")
REFERENCES = ("image", "widest")


@dataclass(frozen=True)
class View:
    """One way to look at every image.

    ratio: None for what the protocol says, or a factor in (0, 1] on the *original* image. role: "probe" or "gallery".
    reference: what the factor is relative to. "image": the image's own size. "widest": the widest image of the set, as
    RIPR §3 defines resolution: an image that is not that wide stays as it is.
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

    def ratios(self, rows: pd.DataFrame, dataset) -> np.ndarray:
        """(N,) factor on each original image."""
        if self.ratio is None:
            return rows["ratio"].to_numpy(dtype=float)
        if self.reference == "image":
            return np.full(len(rows), float(self.ratio))
        widths = dataset.table["width"].to_numpy()[rows["image"].to_numpy()]
        return np.minimum(self.ratio * dataset.widths_max / widths, 1.0)


def device_of(method: Method) -> torch.device:
    """Where a method's weights are; the CPU for a method without weights."""
    return next((p.device for p in method.parameters()), torch.device("cpu"))


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
    rows, and where ``embed`` does not return one finite vector per image (naming the image).
    """
    if len(rows) == 0:
        raise ValueError("there are no images to extract features from")
    if device is not None:
        method.to(device)
    device = device_of(method) if device is None else torch.device(device)
    images = rows["image"].to_numpy()
    ratios = [view.ratios(rows, protocol.dataset) for view in views]
    modes = {module: module.training for module in method.modules()}
    try:
        for first in range(0, len(rows), batch_size):
            at = slice(first, min(first + batch_size, len(rows)))
            # a fresh store per batch: it keeps what it makes, and a whole test set at many ratios would not fit
            canvases = batches.Canvases(
                protocol, size=tuple(method.canvas), device=device, enlargement=getattr(method, "enlargement", None)
            )
            method.eval()  # in the loop: between two batches the caller may do what it likes
            both = zip(views, ratios, strict=True)
            yield at, [_embed(method, canvases, images[at], ratio[at], view.role) for view, ratio in both]
    finally:
        for module, training in modes.items():
            module.training = training


def _embed(method: Method, canvases, images: np.ndarray, ratios: np.ndarray, role: str) -> np.ndarray:
    pixels = canvases.images(images, ratios).float() / 255  # (B, 3, H, W)
    sizes = zip(images, ratios, strict=True)
    measure = getattr(method, "measure", "width")  # an exercise's method may have no more than a canvas and embed
    resolution = [canvases.resolution(int(row), float(ratio), measure) for row, ratio in sizes]
    with torch.inference_mode():
        features = method.embed(pixels, torch.tensor(resolution, dtype=torch.float32, device=pixels.device), role)
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
