"""Arguments that are what they seem: ``"1"``, ``True`` and ``2.5`` are no whole numbers, and are refused by name."""

from __future__ import annotations

import numbers


def whole_number(value, name: str, least: int) -> int:
    """A Python int of an int or NumPy integer; ValueError for a bool, a text, a fraction, or less than ``least``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} is a whole number of at least {least}, not {value!r}")
    return int(value)


def real_number(value, name: str, low: float, high: float, ends: str = "()") -> float:
    """A Python float of a number between ``low`` and ``high``, where a bracket in ``ends`` includes that end;
    ValueError for a bool, a text, NaN, or a number that is not there."""
    inside = False
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        inside = low < value < high or (value == low and ends[0] == "[") or (value == high and ends[1] == "]")
    if not inside:
        raise ValueError(f"{name} is a number in {ends[0]}{low:g}, {high:g}{ends[1]}, not {value!r}")
    return float(value)
