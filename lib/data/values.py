"""Values that come from outside, each one taken whole or refused: no text for a number, no True for a 1.

NumPy's numbers become Python's on the way, so that what is hashed and stored as JSON is the same whoever counted.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from lib.data.errors import DataError


def whole(value: Any, name: str, least: int | None = None, most: int | None = None) -> int:
    """An integer, Python's or NumPy's, in [least, most].

    Raises
    ------
    DataError : something else: also True, 2.0 and "2".
    """
    limits = "" if least is None else f" from {least}" if most is None else f" from {least} to {most}"
    try:
        if is_truth(value):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise DataError(f"{name} must be a whole number{limits}, not {said(value)}.") from None
    if (least is not None and number < least) or (most is not None and number > most):
        raise DataError(f"{name} must be a whole number{limits}, not {number}.")
    return number


def real(value: Any, name: str) -> float:
    """A finite number as a float.

    Raises
    ------
    DataError : something else: also True, NaN, infinity and "0.2".
    """
    if is_truth(value) or not isinstance(value, Real) or not math.isfinite(value):
        raise DataError(f"{name} must be a finite number, not {said(value)}.")
    return float(value)


def switch(value: Any, name: str) -> bool:
    """True or False; DataError for anything else: the text "False" is true to Python."""
    if not is_truth(value):
        raise DataError(f"{name} must be True or False, not {said(value)}.")
    return bool(value)


def one_of(value: Any, name: str, allowed: Sequence[str]) -> str:
    """A text that is one of ``allowed``; DataError for anything else."""
    if not isinstance(value, str) or value not in allowed:
        raise DataError(f"{name} must be one of {', '.join(allowed)}, not {said(value)}.")
    return str(value)


def is_truth(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def said(value: Any) -> str:
    """A value as it stands in a message: short, and a text is called one."""
    text = repr(value)
    text = text if len(text) <= 80 else text[:77] + "..."
    return f"the text {text}" if isinstance(value, str) else text


def natural(names: Iterable[str]) -> list[str]:
    """Names in the order in which people count: c2 before c10."""

    def key(name: str) -> tuple[list, str]:
        parts = re.split(r"([0-9]+)", name)  # text, number, text, ...: like meets like
        return [(len(n), n) if i % 2 else part for i, part in enumerate(parts) for n in (part.lstrip("0"),)], name

    return sorted(names, key=key)
