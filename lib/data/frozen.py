"""Dictionaries and lists that cannot be changed: what was hashed stays what it was.

They are equal to ordinary ones, JSON writes them, and processes can send them to each other; ``copy.deepcopy`` gives
an ordinary one to change.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, NoReturn


def freeze(value: Any) -> Any:
    """The same content, with all dictionaries and lists in it frozen; tuples become lists, as in JSON."""
    if isinstance(value, dict):
        return FrozenDict({key: freeze(inner) for key, inner in value.items()})
    if isinstance(value, (list, tuple)):
        return FrozenList(freeze(inner) for inner in value)
    return value


def refuse(self, *args, **kwargs) -> NoReturn:
    raise TypeError(
        "this belongs to something that was hashed and cannot be changed; copy.deepcopy gives a copy to change, "
        "Protocol.from_manifest makes a protocol of a manifest"
    )


class FrozenDict(dict):
    """A dictionary that refuses every change with a TypeError."""

    __setitem__ = __delitem__ = __ior__ = update = setdefault = pop = popitem = clear = refuse

    def __reduce__(self):
        return FrozenDict, (dict(self),)

    def __deepcopy__(self, memo) -> dict:
        return {key: deepcopy(value, memo) for key, value in self.items()}


class FrozenList(list):
    """A list that refuses every change with a TypeError."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = refuse
    append = extend = insert = pop = remove = clear = sort = reverse = refuse

    def __reduce__(self):
        return FrozenList, (list(self),)

    def __deepcopy__(self, memo) -> list:
        return [deepcopy(value, memo) for value in self]
