"""Randomness that is the same everywhere, and the canonical form of what it decided.

Every draw is a hash of what it is about (seed, trial, purpose, identity or image), not the next number of a generator:
it does not depend on the order of the questions, on the Python version or on NumPy's, and adding a camera does not
change another camera's draws.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, TypeVar

T = TypeVar("T")


def canonical(manifest: dict[str, Any]) -> str:
    """JSON with sorted keys, no spaces and ASCII only: equal content gives equal text."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def sha256(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(manifest).encode("ascii")).hexdigest()


def draw(*about: int | str) -> int:
    """A number of 64 bits that looks random and belongs to these words."""
    text = json.dumps(about, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode("ascii")).digest()[:8], "big")


def pick(choices: Sequence[T], *about: int | str) -> T:
    """One of ``choices``, each as likely as another."""
    return choices[draw(*about) % len(choices)]


def shuffled(keys: Iterable[T], *about: int | str) -> list[T]:
    """``keys`` in a random order that does not depend on the order they come in."""
    return sorted(keys, key=lambda key: (draw(*about, key), key))


def fraction(value: Fraction | float | str) -> Fraction:
    """1/3, "1/3", 0.25 or 0.3333333333 as an exact fraction."""
    return Fraction(value).limit_denominator(10_000)
