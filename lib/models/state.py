"""Weights by name from a file: ours, or somebody else's."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

WRAPPERS = ("weights", "state_dict", "model")  # our runs, and what others call it


class WeightsUnavailable(RuntimeError):
    """The weights that were asked for are not there; the message says what to do."""


def read_state(path: Path, part: str = "") -> dict[str, Tensor]:
    """A state dict from a file: plain, one of our ``weights.pt``, or under a name of ``WRAPPERS``.

    part : only the weights below this name, without it, where there are some; else all (a file of that part alone).

    Raises WeightsUnavailable for a file that is damaged or holds no weights by name.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
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
    state = {name.removeprefix("module."): value for name, value in tensors.items()}
    inside = {
        name.removeprefix(f"{part}."): value for name, value in state.items() if part and name.startswith(f"{part}.")
    }
    return inside or state
