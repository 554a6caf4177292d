"""What resolution means here, and how an image loses it.

Letters: B images, C colour channels, H and W the size of an image, h and w its size after shrinking, both in pixels.

A picture is degraded by shrinking it to a share ``ratio`` of its own size, storing it as 8 bits, and enlarging it
again. Resizing is that of Pillow and torchvision: columns first, then rows, each a weighted sum rounded to 8 bits,
with weights in whole steps of 2^-22. Here the sums are matrix products in float64, where such numbers add without any
error: the same pixels come out on the CPU, on the GPU, with one thread or with many, and under autocast. A picture is
8 bits throughout: float images are read as k / 255 and come back as k / 255, and no gradient flows through any of this.
Floats that lie outside [0, 1] by more than the half of such a step (a picture in 0..255, a normalised one, NaN) are
refused; looking costs a wait for the GPU, which :func:`resize`, for callers who know their pictures, does not do.

Shrinking is always antialiased unless somebody else's numbers must be matched: a kernel that is not widened by the
factor skips pixels, and what comes out is another data set (29.6 dB from the antialiased one).

Bicubic has a = -0.5 (as Pillow, MATLAB and torch's ``antialias=True``; OpenCV and torch without antialias take -0.75),
Lanczos three lobes. ``area`` is the exact mean over what an output pixel covers (OpenCV's INTER_AREA), ``nearest`` the
pixel under its centre.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lib.data.values import one_of, real, switch, whole

KERNELS = ("bicubic", "bilinear", "area", "nearest", "lanczos")
ROUNDINGS = ("nearest", "floor", "ceil")
QUALITIES = (1, 95)  # of a JPEG; above 95 Pillow switches parts of the compression off
WEIGHT_STEPS = 1 << 22
BAND = 16  # target pixels whose weights are multiplied at once
CHUNK = 1 << 23  # pixels enlarged at once: 64 MB in float64
HALF_STEP = 0.5 / 255  # floats that round to a level of 8 bits


def degrade(
    images: Tensor | np.ndarray,
    ratio: float | Sequence[float] | Tensor,
    kernel: str = "bicubic",
    *,
    rounding: str = "nearest",
    antialias: bool = True,
    jpeg: int | None = None,
) -> Tensor | np.ndarray:
    """Images of the same size that show no more than ``ratio`` of the resolution.

    Parameters
    ----------
    images : (B, C, H, W) or (C, H, W); float in [0, 1], or uint8. At the image's own size: an image that was enlarged
        first loses less.
    ratio : in (0, 1], one for all or one per image (B,). An image with ratio 1 comes back untouched.
    kernel : one of :data:`KERNELS`; it shrinks and enlarges, except that nearest and area are enlarged by bicubic,
        as a viewer would show them (enlarging by them draws squares, an edge pattern that no camera makes).
    rounding : "nearest" (half up), "floor" or "ceil": how h = H * ratio becomes a whole number.
    antialias : False only to match code that shrinks without it.
    jpeg : quality 1 to 95 at which the small image is stored as JPEG (done by Pillow on the CPU), or None.

    Returns
    -------
    The type, shape and dtype of ``images``, in memory of its own.

    Raises
    ------
    ValueError : a ratio outside (0, 1] or not a number, another number of ratios than images, an unknown kernel or
        rounding, an antialias or a quality that is none, or images of another shape, dtype or range.
    """
    check_kernel(kernel)
    antialias = switch(antialias, "antialias")
    jpeg = None if jpeg is None else whole(jpeg, "jpeg (JPEG quality)", *QUALITIES)
    one_of(rounding, "rounding", ROUNDINGS)
    if isinstance(images, np.ndarray):
        result = degrade(from_array(images), ratio, kernel, rounding=rounding, antialias=antialias, jpeg=jpeg)
        return result.numpy()
    check_images(images)
    if images.ndim == 3:
        return degrade(images[None], ratio, kernel, rounding=rounding, antialias=antialias, jpeg=jpeg)[0]
    if images.ndim != 4:
        raise ValueError(f"expected images (B, 3, H, W) or (3, H, W), got {tuple(images.shape)}")
    ratios = as_ratios(ratio, len(images))
    height, width = images.shape[-2:]
    groups: dict[tuple[int, int], list[int]] = {}
    for i, r in enumerate(ratios):
        if r < 1:
            groups.setdefault(low_resolution_size(height, width, r, rounding), []).append(i)
    result = images.clone()
    for size, members in groups.items():
        for some in torch.tensor(members, device=images.device).split(max(1, CHUNK // (images[0].numel()))):
            low = resize(images[some], size, kernel, antialias)
            if jpeg is not None:
                low = through_jpeg(low, jpeg)
            result[some] = resize(low, (height, width), enlarging(kernel), True)
    return result


def shrink(images: Tensor, size: tuple[int, int], kernel: str = "bicubic", *, antialias: bool = True) -> Tensor:
    """(..., C, H, W) -> (..., C, h, w), float in [0, 1] or uint8 as it came: the small picture as it would be stored.

    ValueError as of :func:`degrade`, and where ``size`` is not two whole numbers from 1.
    """
    check_kernel(kernel)
    check_images(images)
    return resize(images, as_size(size), kernel, switch(antialias, "antialias"))


def enlarge(images: Tensor, size: tuple[int, int], kernel: str = "bicubic") -> Tensor:
    """(..., C, h, w) -> (..., C, H, W): puts an image of any size on the network's canvas, antialiased should that be
    smaller.

    Nearest and area enlarge by bicubic (see :func:`degrade`). ValueError as of :func:`shrink`.
    """
    check_kernel(kernel)
    check_images(images)
    return resize(images, as_size(size), enlarging(kernel), True)


def enlarging(kernel: str) -> str:
    """The kernel that enlarges where this one shrinks."""
    return "bicubic" if kernel in ("nearest", "area") else kernel


def low_resolution_size(height: int, width: int, ratio: float, rounding: str = "nearest") -> tuple[int, int]:
    """(h, w) of an image of ``height`` x ``width`` pixels at ``ratio`` in (0, 1]: at least 1 x 1.

    ``rounding`` "nearest" is floor(x + 0.5), so that a half goes up on every machine. The sizes differ in public code,
    and so do the pixels: 41 to 44 dB between the three at ratio 1/3. ValueError for a size below 1, a ratio outside
    (0, 1], or an unknown rounding.
    """
    one_of(rounding, "rounding", ROUNDINGS)
    height, width = as_size((height, width))
    ratio = real(ratio, "a ratio")
    if not 0 < ratio <= 1:
        raise ValueError(f"a ratio must lie in (0, 1], not {ratio}; 1 leaves the image as it is")
    # 1/3 of 48 must be 16 although the float 1/3 is not a third: hence the margin (in pixels; enough for float32).
    margin = {"nearest": 0.5 + 1e-4, "floor": 1e-4, "ceil": 1 - 1e-4}[rounding]
    return max(1, int(np.floor(height * ratio + margin))), max(1, int(np.floor(width * ratio + margin)))


@torch.no_grad()
def resize(images: Tensor, size: tuple[int, int], kernel: str, antialias: bool) -> Tensor:
    """(..., C, H, W) -> (..., C, h, w) of the same dtype, in 8-bit steps: :func:`shrink` and :func:`enlarge` without
    their looks at what they are given."""
    height, width = images.shape[-2:]
    if (height, width) == tuple(size):
        return images
    grey = images.to(torch.float64) if images.dtype == torch.uint8 else round_grey(images.to(torch.float64) * 255)
    if width != size[1]:
        narrow = grey.new_empty(*grey.shape[:-1], size[1])  # (..., H, w)
        for rows, source, band in bands(width, size[1], kernel, antialias, str(grey.device)):
            narrow[..., rows] = grey[..., source] @ band.T
        grey = round_grey(narrow)
    if height != size[0]:
        low = grey.new_empty(*grey.shape[:-2], size[0], grey.shape[-1])  # (..., h, w)
        for rows, source, band in bands(height, size[0], kernel, antialias, str(grey.device)):
            low[..., rows, :] = band @ grey[..., source, :]
        grey = round_grey(low)
    return grey.to(torch.uint8) if images.dtype == torch.uint8 else grey.div_(255).to(images.dtype)


def round_grey(grey: Tensor) -> Tensor:
    """To the nearest of the levels 0..255, a half upwards."""
    return grey.add_(0.5).floor_().clamp_(0, 255)


@lru_cache(maxsize=1024)
def bands(source: int, target: int, kernel: str, antialias: bool, device: str) -> list[tuple[slice, slice, Tensor]]:
    """The weights in blocks: target pixels, the source pixels they need, and (targets, sources) weights between them.

    A target pixel needs a few neighbours only; multiplying by the zeros of all others would cost five times as much.
    """
    full = weights(source, target, kernel, antialias)
    found = []
    for start in range(0, target, BAND):
        rows = slice(start, min(start + BAND, target))
        needed = np.flatnonzero(full[rows].any(0))
        sources = slice(int(needed[0]), int(needed[-1]) + 1)
        found.append((rows, sources, torch.from_numpy(full[rows, sources].copy()).to(device)))
    return found


def weights(source: int, target: int, kernel: str, antialias: bool = True) -> np.ndarray:
    """(target, source) float64: how much each source pixel adds to each target pixel, in steps of 2^-22."""
    if source < 1 or target < 1:
        raise ValueError(f"cannot resize {source} pixels to {target}")
    scale = source / target
    centre = (np.arange(target)[:, None] + 0.5) * scale  # (target, 1), in source pixels
    pixel = np.arange(source)[None, :]  # (1, source), left edges
    if kernel == "nearest":
        raw = (pixel == (2 * np.arange(target)[:, None] + 1) * source // (2 * target)).astype(np.float64)
    elif kernel == "area":
        low, high = centre - scale / 2, centre + scale / 2
        raw = np.clip(np.minimum(pixel + 1, high) - np.maximum(pixel, low), 0, None)
    else:
        shape, radius = SHAPES[kernel]
        stretch = max(scale, 1.0) if antialias else 1.0
        # Pillow's window of whole pixels, which is what cuts the kernel off at the picture's edge.
        first = np.clip(np.floor(centre - radius * stretch + 0.5), 0, source)
        last = np.clip(np.floor(centre + radius * stretch + 0.5), 0, source)
        raw = np.where((pixel >= first) & (pixel < last), shape((pixel + 0.5 - centre) / stretch), 0.0)
    raw = raw / raw.sum(1, keepdims=True)
    # Half away from zero, as Pillow rounds them.
    return np.trunc(raw * WEIGHT_STEPS + np.copysign(0.5, raw)) / WEIGHT_STEPS


def triangle(x: np.ndarray) -> np.ndarray:
    return np.clip(1 - np.abs(x), 0, None)


def cubic(x: np.ndarray, a: float = -0.5) -> np.ndarray:
    """Keys' kernel (1981): the piecewise cubic that goes through its samples."""
    x = np.abs(x)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


def lanczos(x: np.ndarray, lobes: int = 3) -> np.ndarray:
    return np.where(np.abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0.0)


SHAPES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "bilinear": (triangle, 1.0),
    "bicubic": (cubic, 2.0),
    "lanczos": (lanczos, 3.0),
}


def through_jpeg(images: Tensor, quality: int) -> Tensor:
    """(B, C, h, w) stored as JPEG and read again, as public code does that saves its small images to disk; C is 3, or 1
    for grey."""
    quality = whole(quality, "JPEG quality", *QUALITIES)
    if not len(images):
        return images
    grey = images.shape[1] == 1
    pictures = images if images.dtype == torch.uint8 else round_grey(images.to(torch.float64) * 255)
    pixels = pictures.to("cpu", torch.uint8).permute(0, 2, 3, 1).numpy()  # (B, h, w, 3)
    read = []
    for picture in pixels:
        stored = io.BytesIO()
        Image.fromarray(picture[..., 0] if grey else picture).save(stored, format="JPEG", quality=quality)
        with Image.open(stored) as again:
            read.append(np.array(again).reshape(picture.shape))
    low = torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2).to(images.device)
    return low if images.dtype == torch.uint8 else low.to(images.dtype) / 255


def check_kernel(kernel: str) -> None:
    if not isinstance(kernel, str) or kernel not in KERNELS:
        raise ValueError(f"unknown kernel {kernel!r}: use one of {', '.join(KERNELS)}")


def check_images(images: Tensor) -> None:
    """ValueError unless these are pictures: channels first, not empty in height or width, uint8 or float in [0, 1]."""
    if not isinstance(images, Tensor):
        raise ValueError(f"expected images as a tensor (B, 3, H, W) or (3, H, W), got {type(images).__name__}")
    if images.ndim < 3 or images.shape[-3] not in (1, 3):
        raise ValueError(f"expected images (B, 3, H, W) or (3, H, W), channels first, got {tuple(images.shape)}")
    if 0 in images.shape[-2:]:
        raise ValueError(f"expected images of at least 1 x 1 pixels, got {tuple(images.shape)}")
    if images.dtype == torch.uint8:
        return
    if not images.dtype.is_floating_point:
        raise ValueError(f"expected float images in [0, 1] or uint8, got {images.dtype}")
    if images.numel():
        low, high = (float(x) for x in images.detach().aminmax())
        if not -HALF_STEP <= low <= high <= 1 + HALF_STEP:  # also False for NaN
            raise ValueError(
                f"expected float images in [0, 1], got values from {low:g} to {high:g}: divide 0..255 by 255, undo a "
                "normalisation, or clamp what a network made"
            )


def from_array(images: np.ndarray) -> Tensor:
    """A tensor of a NumPy array, whatever its strides; ValueError for arrays of something else than numbers."""
    try:
        return torch.from_numpy(np.array(images, order="C", dtype=images.dtype.newbyteorder("=")))
    except TypeError as error:
        raise ValueError(f"expected float images in [0, 1] or uint8, got an array of {images.dtype}") from error


def as_ratios(ratio: float | Sequence[float] | Tensor, count: int) -> list[float]:
    """A ratio for each of ``count`` images; ValueError unless they are numbers in (0, 1], one or as many as images."""
    if isinstance(ratio, Tensor):
        ratio = ratio.detach().cpu().tolist() if ratio.dtype is not torch.bool else [True]
    values = np.asarray(ratio, dtype=object)
    if values.ndim > 1:
        raise ValueError(f"expected one ratio, or one per image, got ratios of shape {values.shape}")
    ratios = [real(value, "a ratio") for value in values.reshape(-1)]
    if values.ndim == 0:
        ratios = ratios * count
    elif len(ratios) != count:
        raise ValueError(f"{len(ratios)} ratios for {count} images")
    if not all(0 < r <= 1 for r in ratios):
        wrong = next(r for r in ratios if not 0 < r <= 1)
        raise ValueError(f"a ratio must lie in (0, 1], not {wrong:g}; 1 leaves the image as it is")
    return ratios


def as_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) in pixels as whole numbers from 1; ValueError for anything else."""
    if isinstance(size, (str, bytes)) or not isinstance(size, Sequence) or len(size) != 2:
        raise ValueError(f"expected a size (height, width), got {size!r}")
    return whole(size[0], "a height in pixels", 1), whole(size[1], "a width in pixels", 1)
