"""Super-resolution networks by name, and somebody else's weights for them.

Each kind of network has a file of its own, which adds its entries to ``SUPERRES``; whoever adds a file imports it here.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from lib.models import superres_attention, superres_deep, superres_shallow
from lib.models.registry import SUPERRES
from lib.models.superres_base import SuperResolver, clamp_through, resize, rgb_to_ycbcr, ycbcr_to_rgb
from lib.models.superres_shallow import FFSR, SRCNN, Interpolation

__all__ = [
    "FFSR",
    "SRCNN",
    "SUPERRES",
    "Interpolation",
    "SuperResolver",
    "clamp_through",
    "create_superres",
    "load_published",
    "resize",
    "rgb_to_ycbcr",
    "superres_attention",
    "superres_deep",
    "superres_shallow",
    "ycbcr_to_rgb",
]


def create_superres(name: str, **options) -> SuperResolver:
    """A super-resolution network by name, one of ``SUPERRES``; options as in the class, e.g. ``width=``.

    fsrcnn, rcan and srgan (and their narrow relatives) take ``scale=``: 2 (default), 3 or 4. ``-narrow`` and ``-light``
    are for CPUs. ValueError for an unknown name.
    """
    return SUPERRES.create(name, name=name, **options)


def load_published(network: nn.Module, path: str | Path) -> nn.Module:
    """Fills a network with weights from a file of somebody else's code, and returns it.

    The file holds a state dict, alone or under ``"state_dict"`` or ``"model"``. If its names are ours, they decide.
    Otherwise every tensor of the network takes the next unused one of its shape, in the file's order: names do not
    matter, nor in which order layers of *different* shapes are listed. Layers of the same shape must be in the order in
    which they are applied. Every tensor must be used. ValueError with the file and the first tensor that does not fit.
    """
    published, own = _read(Path(path)), network.state_dict()
    rest, chosen = dict(published), {}
    by_name = published.keys() == own.keys()
    for name, tensor in own.items():
        candidates = [name] if by_name else list(rest)
        source = next((n for n in candidates if rest[n].shape == tensor.shape), None)
        if source is None:
            first = next(iter(candidates), None)
            offered = "nothing" if first is None else f"{first!r} of shape {tuple(rest[first].shape)}"
            raise ValueError(
                f"{path} does not fit {type(network).__name__}: {name!r} needs shape {tuple(tensor.shape)}, and the "
                f"file has {offered} next; build the network with the file's width, depth, scale and colours"
            )
        chosen[name] = rest.pop(source)
    if rest:
        first = next(iter(rest))
        raise ValueError(
            f"{path} does not fit {type(network).__name__}: {len(rest)} tensors are left over, first {first!r} of "
            f"shape {tuple(rest[first].shape)}"
        )
    network.load_state_dict(chosen)
    return network


def _read(path: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch raises a dozen kinds, all meaning the same
        raise ValueError(
            f"{path} cannot be read as weights ({str(error).splitlines()[0]}); a file that holds a whole network must "
            "be saved again as a state dict"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    tensors = {n: v for n, v in found.items() if isinstance(v, Tensor)} if isinstance(found, dict) else {}
    if not tensors:
        raise ValueError(f"{path} holds no state dict")
    return tensors
