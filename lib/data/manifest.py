"""Randomness that is the same everywhere, and the canonical form of what it decided.

Every draw is a hash of what it is about (seed, trial, purpose, identity or image), not the next number of a generator:
it does not depend on the order of the questions, on the Python version or on NumPy's, and adding a camera does not
change another camera's draws.
"""

from __future__ import annotations

import hashlib
import json
import numbers
import operator
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def canonical(manifest: dict[str, Any]) -> str:
    """JSON with sorted keys, no spaces and ASCII only: equal content gives equal text, NumPy's whole numbers too.

    Raises
    ------
    ValueError, TypeError : nan or infinite numbers, or content that JSON does not have.
    """
    return json.dumps(
        manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=operator.index
    )


def sha256(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(manifest).encode("ascii")).hexdigest()


def draw(*about: int | str) -> int:
    """A number of 64 bits that looks random and belongs to these words; np.int64(2) is the word 2, "2" another."""
    text = json.dumps(about, separators=(",", ":"), default=operator.index)
    return int.from_bytes(hashlib.sha256(text.encode("ascii")).digest()[:8], "big")


def pick(choices: Sequence[T], *about: int | str) -> T:
    """One of ``choices``, each as likely as another. Raises ValueError where there is none."""
    if len(choices) == 0:
        raise ValueError(f"nothing to pick from for {about}")
    return choices[draw(*about) % len(choices)]


def shuffled(keys: Iterable[T], *about: int | str) -> list[T]:
    """``keys`` in a random order that does not depend on the order they come in."""
    return sorted(keys, key=lambda key: (draw(*about, key), key))


def fraction(value: Fraction | float | str) -> Fraction:
    """1/3, "1/3", 0.25 or 0.3333333333 as an exact fraction, with a denominator of 10,000 at most.

    Raises
    ------
    ValueError : no number, no finite one, or one that is not 0 and too small for this denominator.
    """
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError("a truth value")
        exact = Fraction(value if isinstance(value, (str, numbers.Rational)) else float(value))
        exact = Fraction(int(exact.numerator), int(exact.denominator))  # Python's numbers, also of np.int64
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"{value!r} is no fraction such as 1/2, 0.5 or '1/3'") from error
    limited = exact.limit_denominator(10_000)
    if not limited and exact:
        raise ValueError(f"{value!r} is too near to 0 for a fraction: 1/10000 is the smallest")
    return limited
