"""Settings as they are meant: values of the right type, converted where nothing is lost and refused where something is.

A method's settings are part of a run's key, so 2, 2.0 and ``np.int64(2)`` for a number of epochs have to be one value,
and a text where a number is meant must be found out before anything is trained.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from lib.methods.stages import describe


def tidy(settings: type, told: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """The fields of the dataclass ``settings`` that were told, as plain values of their fields' types.

    None is dropped where the field does not take it ("not told"). TypeError for a name that is no field or a value that
    is not what the field holds; ValueError for a number that is not finite, and for too few or too many values.
    """
    known = {f.name: f for f in fields(settings)}
    if unknown := sorted(set(told) - set(known)):
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise TypeError(
            f"method {owner!r} has no setting {', '.join(unknown)}; known: {', '.join(sorted(known))}{hint}"
        )
    kinds, found = get_type_hints(settings), {}
    for name, value in told.items():
        where = f"{owner}: {name}"
        if value is None:
            found |= {name: None} if NoneType in get_args(kinds[name]) else {}
        elif name == "weights":
            found[name] = _sources(value, where)
        else:
            found[name] = _as(kinds[name], value, known[name].default, where)
    return found


def _as(kind: Any, value: Any, example: Any, where: str) -> Any:
    """``value`` as the annotation ``kind`` wants it; ``example``: the field's default, if it has one."""
    if get_origin(kind) in (Union, UnionType):
        others = [some for some in get_args(kind) if some is not NoneType]
        kind = others[0] if len(others) == 1 else Any
    origin, inner = get_origin(kind) or kind, get_args(kind)
    value = plain(value)
    if origin in (dict, Mapping) and not isinstance(value, dict):
        raise TypeError(f"{where} is a dictionary, not {value!r}")
    if origin is tuple:
        like = f", such as {example!r}" if isinstance(example, tuple) else ""
        if not isinstance(value, list):
            raise TypeError(f"{where} is several values{like}, not {value!r}")
        inner = inner if inner and inner[-1] is not ... else (*inner[:1], Any)[:1] * len(value)
        if len(value) != len(inner):
            raise ValueError(f"{where} is {len(inner)} values{like}, not {value!r}")
        return tuple(_as(some, item, None, where) for some, item in zip(inner, value, strict=True))
    wanted = origin if origin in (bool, int, float, str) else None
    if wanted is float and type(value) is int:
        return float(value)
    if wanted is int and type(value) is float and value.is_integer():
        return int(value)
    if wanted is not None and type(value) is not wanted:
        raise TypeError(f"{where} is {_article(wanted)}, not {value!r}")
    if wanted is float and not np.isfinite(value):
        raise ValueError(f"{where} is a finite number, not {value!r}")
    return value


def _sources(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{where} is a dictionary, {{part: source}}, not {value!r}")
    return {str(part): source_name(source, f"{where}[{part!r}]") for part, source in value.items()}


def source_name(source: Any, where: str = "a source") -> str:
    """Where first weights are from, as text: a ``Run`` is the directory it lies in, and (source, "backbone") only what
    is called "backbone" there: "source::backbone". TypeError, naming the place, for anything else.
    """
    if isinstance(source, tuple | list) and len(source) == 2 and isinstance(source[1], str) and source[1]:
        return f"{source_name(source[0], where)}::{source[1]}"
    source = getattr(source, "directory", source)
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            f"{where} is a run, its directory, a file, a name such as 'imagenet', or (one of them, the part there), "
            f"not {source!r}"
        )
    return str(os.fspath(source))


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
