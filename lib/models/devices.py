"""Which device is meant, for training and for testing alike."""

from __future__ import annotations

import torch


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
