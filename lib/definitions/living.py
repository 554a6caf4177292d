"""What a reader wrote, in a file of theirs or in the cells of a notebook: functions, classes and values in memory.

A value counts by what it is, a function or class by its text and by what the names in it mean now.
"""

from __future__ import annotations

import builtins
import collections
import enum
import functools
import hashlib
import importlib
import inspect
import io
import logging
import random
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from lib.definitions.files import is_ours
from lib.definitions.following import Follower
from lib.definitions.objects import function_behind, is_readers_own, spaces_of, state_of, unwrapped, values_of
from lib.definitions.reading import Class, Code
from lib.definitions.texts import bytecode, class_text, function_text, refuse_stale

CHANGING = (logging.Logger, io.IOBase, random.Random)  # their state is what was said or drawn so far: no constant
KNOWN_BY = ("sha256", "fingerprint", "key")  # of our own objects: a hash of all that they hold
NO_CODE = ("__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__")


class Living:
    """Takes a follower through living objects: what they use goes where the follower keeps it."""

    def __init__(self, follower: Follower):
        self.follower = follower
        self.keys: dict[int, str] = {}  # of functions and classes, by their id
        self.count: collections.Counter[str] = collections.Counter()  # of those with one name
        self.kept: list[object] = []  # what stands in ``keys``: while it lives nothing else has its id
        self.path: list[int] = []  # of values inside of values

    def value(self, value: object) -> str:
        """What a value means, for the hash; functions, classes and modules in it are followed."""
        if isinstance(value, types.MethodType | types.BuiltinMethodType) and _is_object(value.__self__):
            return f"{self.value(value.__self__)}.{self._method(value)}"
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
            return f"{self._kind(value)}{value!r}"
        return self._once(value, self._content)

    def _method(self, value: types.MethodType | types.BuiltinMethodType) -> str:
        """What an object does: a method of its class, which is followed, or a function that was bound to it alone."""
        self.follower.used.add(value.__name__)
        if unwrapped(inspect.getattr_static(type(value.__self__), value.__name__, value)) is unwrapped(value):
            return value.__name__
        return self.value(unwrapped(value)) if isinstance(value, types.MethodType) else value.__name__

    def _once(self, value: object, content: Callable[[object], str]) -> str:
        """What ``content`` says of a value, unless we come from there."""
        if id(value) in self.path:
            return "itself"
        self.path.append(id(value))
        try:
            return content(value)
        finally:
            self.path.pop()

    def _kind(self, value: object) -> str:
        """The class of a number, a text or a collection, where somebody made one of their own."""
        module = type(value).__module__
        return self._definition(type(value)) if is_ours(module) or is_readers_own(module, type(value)) else ""

    def _content(self, value: object) -> str:
        if isinstance(value, Mapping):
            return f"{self._kind(value)}{{{','.join(f'{self.value(k)}:{self.value(v)}' for k, v in value.items())}}}"
        if isinstance(value, list | tuple):
            return f"{self._kind(value)}{type(value).__name__}[{','.join(map(self.value, value))}]"
        if isinstance(value, set | frozenset):
            return f"{self._kind(value)}set[{','.join(sorted(map(self.value, value)))}]"
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
        if isinstance(value, CHANGING):
            return kind
        if state := state_of(value):
            return f"{kind}{{{','.join(f'{k}:{self.value(v)}' for k, v in sorted(state.items()))}}}"
        text = repr(value)
        return kind if " at 0x" in text else f"{kind}({text})"

    def _definition(self, value: type | types.FunctionType) -> str:
        module, name = str(getattr(value, "__module__", None)), getattr(value, "__qualname__", repr(value))
        key = f"{module}.{name}"
        if is_ours(module):
            self.follower.ours(module, name.partition(".<locals>")[0], asked=True)
            if ".<locals>" in name and isinstance(value, types.FunctionType):
                return f"{key}{self._once(value, lambda function: self.value(spaces_of(function)[0]))}"
        elif is_readers_own(module, value):
            return self._readers_own(key, value)
        return key

    def _readers_own(self, name: str, value: type | types.FunctionType) -> str:
        """The key of a class or function; of several with one name, as lambdas have it, each has its own."""
        if id(value) not in self.keys:
            self.kept.append(value)
            self.count[name] += 1
            key = self.keys[id(value)] = name if self.count[name] == 1 else f"{name}#{self.count[name]}"
            work = self._class if isinstance(value, type) else self._function
            self.follower.pending.append(functools.partial(work, key, value))
        return self.keys[id(value)]

    def _function(self, key: str, function: types.FunctionType) -> None:
        node, spaces = function_text(function), spaces_of(function)
        if node is None:
            code = bytecode(function.__code__)
        else:
            refuse_stale(function)
            code = Code.of([node], str(function.__module__))
        told = [default for default in (function.__defaults__, function.__kwdefaults__) if default]  # as they were
        self.follower.add_code(key, code, lambda chains: [*self._names(chains, spaces), *map(self.value, told)])

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
        if whole is not None:
            values = values_of(kind)
            spaces = [{f"value of {name}": value for name, value in values.items()}, *spaces]
            for name in values:
                member = code.members.get(name, Code("", frozenset(), frozenset()))
                if isinstance(member, Code):
                    code.members[name] = replace(member, names=member.names | {(f"value of {name}",)})
        self.follower.add_class(key, code, lambda chains: self._names(chains, spaces), lambda parts: whole)

    def _names(self, chains: Iterable[tuple[str, ...]], spaces: list[Mapping]) -> list[str]:
        meant = []
        for parts in sorted(chains):
            if parts[0] == "from":
                if is_ours(parts[1]):
                    module, name, further = self.follower.walk(parts)
                    self.follower.ours_or_all(module, name, further)
                    meant.append(f"from={module}.{name or ''}")
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
                    meant.append(f"{parts[0]}={value.__name__}")
                    break
                value, rest = getattr(value, rest[0]), rest[1:]
            else:
                meant.append(f"{parts[0]}={self.value(value)}")
        return meant


def _is_object(owner: object) -> bool:
    """Whether a method is bound to an object, whose content decides what it gives, and not to a class or a module."""
    return not (owner is None or isinstance(owner, types.ModuleType | type))


def _array(value: Any) -> str:
    """An array or a tensor by its shape, its kind of numbers and their bytes."""
    import numpy as np

    kind = type(value).__name__
    if hasattr(value, "detach"):
        value = value.detach().cpu().to_dense().resolve_conj().resolve_neg()
        try:
            value = value.numpy()
        except TypeError:  # bfloat16, which numpy has not: float64 holds all of it
            kind, value = f"{kind}{value.dtype}", value.double().numpy()
    numbers = np.ascontiguousarray(value)
    return f"{kind}{numbers.shape}{numbers.dtype}{hashlib.sha256(numbers.tobytes()).hexdigest()}"
