"""Settings as they are meant: values of the right type, converted where nothing is lost and refused where something is.

A method's settings are part of a run's key, so 2, 2.0 and ``np.int64(2)`` for a number of epochs have to be one value,
and a text where a number is meant must be found out before anything is trained.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

import numpy as np

from lib.methods.stages import describe


def tidy(settings: type, told: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """The fields of the dataclass ``settings`` that were told, as plain values of their fields' types.

    None is dropped where the field does not take it ("not told"). TypeError for a name that is no field or a value that
    is not what the field holds.
    """
    known = {f.name: f for f in fields(settings)}
    if unknown := sorted(set(told) - set(known)):
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise TypeError(
            f"method {owner!r} has no setting {', '.join(unknown)}; known: {', '.join(sorted(known))}{hint}"
        )
    found = {}
    for name, value in told.items():
        kind = str(known[name].type)
        if value is None:
            if "None" in kind:
                found[name] = None
            continue
        default = known[name].default
        example = known[name].default_factory() if default is MISSING else default
        found[name] = _as(kind, value, example, f"{owner}: {name}")
    return found


def _as(kind: str, value: Any, example: Any, where: str) -> Any:
    """``value`` as the annotation ``kind`` wants it; ``example``, the field's default, says what a tuple holds."""
    if kind.startswith("Mapping"):
        if not isinstance(value, Mapping):
            raise TypeError(f"{where} is a dictionary, not {value!r}")
        return {str(key): source_name(item) for key, item in value.items()}
    value = plain(value)
    if kind.startswith("tuple"):
        if not isinstance(value, list):
            raise TypeError(f"{where} is several values, such as {example!r}, not {value!r}")
        inner = kind.removeprefix("tuple[").partition("]")[0].split(",")[0].strip()
        return tuple(_as(inner, item, None, where) for item in value)
    wanted = {"bool": bool, "int": int, "float": float, "str": str}.get(kind.split("|")[0].strip())
    if wanted is float and type(value) is int:
        return float(value)
    if wanted is int and type(value) is float and value.is_integer():
        return int(value)
    if wanted is not None and type(value) is not wanted:
        raise TypeError(f"{where} is {_article(wanted)}, not {value!r}")
    if wanted is float and not np.isfinite(value):
        raise ValueError(f"{where} is a finite number, not {value!r}")
    return value


def source_name(source: Any) -> str:
    """Where first weights are from, as text: a ``Run`` is the directory it lies in."""
    return str(os.fspath(getattr(source, "directory", source)))


def plain(value: Any) -> Any:
    """NumPy's and torch's scalars and arrays, tuples and paths as JSON-able data."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy, torch
        return plain(value.tolist()) if not isinstance(value.tolist(), int | float | bool | str) else value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return describe(value)


def _article(kind: type) -> str:
    return {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}[kind]
