"""Random states: seeded for a run, saved with it, and given back to the caller afterwards."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


def random_states() -> dict:
    """The states of Python's, NumPy's and torch's generators, as types that ``torch.load(weights_only=True)`` takes."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 - methods may use it
    version, internal, normal = random.getstate()
    return {
        "python": [version, torch.tensor(internal, dtype=torch.int64), normal],
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else [],
    }


def set_random_states(states: dict) -> None:
    """Put all generators back to what ``random_states`` saw."""
    version, internal, normal = states["python"]
    random.setstate((version, tuple(internal.tolist()), normal))
    kind, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """All generators seeded inside; the caller's states are untouched afterwards."""
    before = random_states()
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)
    try:
        yield
    finally:
        set_random_states(before)
