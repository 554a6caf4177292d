"""Number formats and devices: what "auto" means on this machine."""

from __future__ import annotations

import contextlib

import torch

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for, else the GPU where there is one. ValueError for a name that torch does not know, and for a
    GPU that this machine does not have."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if isinstance(device, bool) or not isinstance(device, str | int | torch.device):
            raise TypeError
        found = torch.device(device if not isinstance(device, int) else f"cuda:{device}")
        if found.type == "meta":  # holds no numbers
            raise TypeError
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"unknown device {device!r}: None, 'cpu', 'cuda' or 'cuda:1', for example") from error
    here = torch.cuda.device_count()
    if found.type == "cuda" and (found.index or 0) >= here:
        raise ValueError(f"device {device!r} asked for, and torch sees {here} GPU(s) here; use device='cpu' or None")
    return found


def resolve_precision(precision: str, device: torch.device) -> str:
    """``"auto"`` is bf16 where the hardware multiplies it (GPUs since Ampere, CPUs with AVX512-BF16), else fp16 on a
    GPU and fp32 on a CPU. Weights, batch statistics, losses and descriptors stay in float32 in any case.

    ValueError for an unknown name, and for fp16 on a CPU."""
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    if precision == "fp16" and device.type != "cuda":
        raise ValueError("fp16 needs a GPU; use precision='bf16' or 'fp32' on the CPU")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    # older torch lacks the question; without hardware support bf16 is slower than fp32
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bf16" if device.type == "cpu" and supported() else "fp32"


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """A context in which convolutions and products run in the given precision."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])
