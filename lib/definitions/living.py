"""What a reader wrote, in a file of theirs or in the cells of a notebook: functions, classes and values in memory.

A value counts by what it is, a function or class by its text and by what the names in it mean now.
"""

from __future__ import annotations

import builtins
import enum
import functools
import hashlib
import importlib
import sys
import types
from collections.abc import Iterable, Mapping
from typing import Any

from lib.definitions.files import is_ours
from lib.definitions.following import Follower
from lib.definitions.objects import function_behind, is_readers_own, spaces_of, unwrapped
from lib.definitions.reading import Class, Code
from lib.definitions.texts import bytecode, class_text, function_text, refuse_stale

KNOWN_BY = ("sha256", "fingerprint", "key")  # of our own objects: a hash of all that they hold
NO_CODE = ("__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__")


class Living:
    """Takes a follower through living objects: what they use goes where the follower keeps it."""

    def __init__(self, follower: Follower):
        self.follower = follower
        self.seen: set[int] = set()
        self.kept: list[object] = []  # what stands in ``seen``: while it lives nothing else has its id
        self.path: list[int] = []  # of values inside of values

    def value(self, value: object) -> str:
        """What a value means, for the hash; functions, classes and modules in it are followed."""
        value = unwrapped(value)
        if isinstance(value, functools.partial):
            return f"partial({self.value(value.func)},{self.value(value.args)},{self.value(value.keywords)})"
        if isinstance(value, types.ModuleType):
            if is_ours(value.__name__):
                self.follower.everything(value.__name__)
            return f"module {value.__name__}"
        if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
            return self._definition(value)
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return repr(value)
        if id(value) in self.path:
            return "itself"
        self.path.append(id(value))
        try:
            return self._content(value)
        finally:
            self.path.pop()

    def _content(self, value: object) -> str:
        if isinstance(value, Mapping):
            return "{" + ",".join(f"{self.value(k)}:{self.value(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list | tuple):
            return f"{type(value).__name__}[{','.join(map(self.value, value))}]"
        if isinstance(value, set | frozenset):
            return f"set[{','.join(sorted(map(self.value, value)))}]"
        if type(value).__module__.partition(".")[0] in ("numpy", "torch") and hasattr(value, "dtype"):
            return f"objects{value.shape}{self.value(value.tolist())}" if value.dtype == object else _array(value)
        return self._instance(value)

    def _instance(self, value: object) -> str:
        kind = self._definition(type(value))
        for name in KNOWN_BY if is_ours(type(value).__module__) else ():
            if isinstance(known := getattr(value, name, None), str):
                return f"{kind} {known}"
        if hasattr(value, "to_numpy") and hasattr(value, "index"):  # a table of pandas
            return f"{kind}{self.value([list(getattr(value, 'columns', [])), list(value.index), value.to_numpy()])}"
        state = getattr(value, "__dict__", None)
        if state:
            return f"{kind}{{{','.join(f'{k}:{self.value(v)}' for k, v in sorted(state.items()))}}}"
        text = repr(value)
        return kind if " at 0x" in text else f"{kind}({text})"

    def _definition(self, value: type | types.FunctionType) -> str:
        module, name = str(getattr(value, "__module__", None)), getattr(value, "__qualname__", repr(value))
        key = f"{module}.{name}"
        if is_ours(module):
            self.follower.ours(module, name.partition(".<locals>")[0], asked=True)
        elif is_readers_own(module, value) and id(value) not in self.seen:
            self.seen.add(id(value))
            self.kept.append(value)
            work = self._class if isinstance(value, type) else self._function
            self.follower.pending.append(functools.partial(work, key, value))
        return key

    def _function(self, key: str, function: types.FunctionType) -> None:
        node, spaces = function_text(function), spaces_of(function)
        if node is None:
            code = bytecode(function.__code__)
            self.value((function.__defaults__, function.__kwdefaults__))
        else:
            refuse_stale(function)
            code = Code.of([node], str(function.__module__))
        self.follower.add_code(key, code, lambda chains: self._names(chains, spaces))

    def _class(self, key: str, kind: type) -> None:
        for base in kind.__mro__[1:]:
            self._definition(base)
        functions = [f for f in map(function_behind, vars(kind).values()) if f is not None]
        written = [f for f in functions if f.__module__ == kind.__module__ and f.__code__.co_filename != "<string>"]
        node = class_text(kind, written)
        outside = [base for base in kind.__mro__[1:-1] if not is_ours(base.__module__)]
        outside = [base for base in outside if not is_readers_own(base.__module__, base)]
        if node is None:
            self.follower.keep(key, *(f"{n}={self.value(v)}" for n, v in vars(kind).items() if n not in NO_CODE))
            return
        for function in written:
            refuse_stale(function)
        spaces = spaces_of(*written) or [vars(sys.modules.get(kind.__module__, builtins))]
        whole = None if issubclass(kind, enum.Enum | tuple) else outside
        code = Class.of(node, str(kind.__module__))
        self.follower.add_class(key, code, lambda chains: self._names(chains, spaces), lambda parts: whole)

    def _names(self, chains: Iterable[tuple[str, ...]], spaces: list[Mapping]) -> list[str]:
        meant = []
        for parts in sorted(chains):
            if parts[0] == "from":
                if is_ours(parts[1]):
                    self.follower.ours_or_all(*self.follower.walk(parts))
                    continue
                try:
                    value, rest = importlib.import_module(parts[1]), parts[2:]
                except ImportError:
                    continue
            else:
                space = next((space for space in spaces if parts[0] in space), None)
                if space is None:
                    continue  # builtins, or a name that is not there yet
                value, rest = space[parts[0]], parts[1:]
            while rest and isinstance(value, types.ModuleType) and hasattr(value, rest[0]):
                if is_ours(value.__name__):
                    self.follower.ours(value.__name__, ".".join(rest[:2]))
                    break
                value, rest = getattr(value, rest[0]), rest[1:]
            else:
                meant.append(f"{parts[0]}={self.value(value)}")
        return meant


def _array(value: Any) -> str:
    import numpy as np

    numbers = np.ascontiguousarray(value.detach().cpu() if hasattr(value, "detach") else value)
    return f"{type(value).__name__}{numbers.shape}{numbers.dtype}{hashlib.sha256(numbers.tobytes()).hexdigest()}"
