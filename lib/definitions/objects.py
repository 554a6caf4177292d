"""Objects in memory: the function behind them, whose they are, where they look for names, what they hold."""

from __future__ import annotations

import functools
import inspect
import sys
import sysconfig
import types
from collections.abc import Mapping
from pathlib import Path

from lib.definitions.files import is_ours

INSTALLED = [Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")]
STANDARD = Path(sysconfig.get_path("stdlib")).resolve()


def unwrapped(value: object) -> object:
    """The function behind a method, a property, a cache."""
    for name in ("__func__", "fget", "func", "__wrapped__"):
        if isinstance(value, functools.partial):
            break
        if isinstance(value, types.MethodType | staticmethod | classmethod | property | functools.cached_property) or (
            name == "__wrapped__" and type(value).__name__ == "_lru_cache_wrapper"
        ):
            value = getattr(value, name, value)
    return value


def function_behind(value: object) -> types.FunctionType | None:
    """The function that somebody wrote, behind all decorators that say what they wrap; None for anything else."""
    value = unwrapped(value)
    value = inspect.unwrap(value) if callable(value) and not isinstance(value, type) else value
    return value if isinstance(value, types.FunctionType) else None


def name_of(value: object) -> str | None:
    """The name of a class or function of the package ("lib.losses.cross_entropy"), or None."""
    value = unwrapped(value)
    module = getattr(value, "__module__", None)
    return f"{module}.{value.__qualname__.partition('.<locals>')[0]}" if module and is_ours(str(module)) else None


def is_readers_own(module: str, value: object) -> bool:
    """Neither Python's nor an installed package's."""
    if module == "__main__":
        return True
    if module in ("builtins", "None") or module.partition(".")[0] in sys.builtin_module_names:
        return False
    file = getattr(sys.modules.get(module), "__file__", None) or getattr(
        getattr(value, "__code__", None), "co_filename", None
    )
    if file is None:
        return isinstance(value, types.FunctionType | type)
    return not Path(file).resolve().is_relative_to(STANDARD) and not any(
        Path(file).resolve().is_relative_to(place) for place in INSTALLED
    )


def spaces_of(*functions: types.FunctionType) -> list[Mapping[str, object]]:
    """Where functions look for names: what they close over, then their module."""
    spaces = []
    for function in functions:
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        spaces.append({name: cell.cell_contents for name, cell in cells if _is_filled(cell)})
    return spaces + [function.__globals__ for function in functions[:1]]


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:  # the name has no value yet
        return False
    return True


def state_of(value: object) -> dict[str, object]:
    """Attributes of an object; those in slots too, where its class is no other package's."""
    state = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        if is_ours(kind.__module__) or is_readers_own(kind.__module__, kind):
            slots = [name for name, part in vars(kind).items() if isinstance(part, types.MemberDescriptorType)]
            state |= {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return state


def values_of(kind: type) -> dict[str, object]:
    """Attributes of a class that its text does not tell: values as they are now, and functions put there later."""
    values = {}
    for name, value in vars(kind).items():
        function = function_behind(value)
        written = function is not None and function.__qualname__ == f"{kind.__qualname__}.{name}"
        described = isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType | type)
        if not (written or described or (name.startswith("__") and name.endswith("__"))):
            values[name] = value
    return values
