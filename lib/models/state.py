"""Weights by name from a file: ours, or somebody else's."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

WRAPPERS = ("weights", "state_dict", "model")  # our runs, and what others call it


class WeightsUnavailable(RuntimeError):
    """The weights that were asked for are not there; the message says what to do."""


def read_state(path: Path, part: str = "") -> dict[str, Tensor]:
    """A state dict from a file: safetensors, or torch's, plain, one of our ``weights.pt``, or under a name of
    ``WRAPPERS``. Half precision is read as float32.

    part : only the weights below this name, without it, where there are some; else all (a file of that part alone).

    Raises WeightsUnavailable for a file that is damaged or holds no weights by name.
    """
    try:
        safe = path.suffix == ".safetensors"
        content = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds, all meaning the same
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsUnavailable(
            f"{path} cannot be read as weights ({reason}); a file that holds a whole network must be saved again as a "
            "state dict"
        ) from error
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    tensors = {n: v for n, v in content.items() if isinstance(v, Tensor)} if isinstance(content, dict) else {}
    if not tensors:
        raise WeightsUnavailable(f"{path} holds no weights by name")
    half = (torch.float16, torch.bfloat16)
    state = {n.removeprefix("module."): v.float() if v.dtype in half else v for n, v in tensors.items()}
    inside = {
        name.removeprefix(f"{part}."): value for name, value in state.items() if part and name.startswith(f"{part}.")
    }
    return inside or state
