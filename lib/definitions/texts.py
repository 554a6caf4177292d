"""The text of a living function or class, in its file or cell, and whether it is still the code that runs.

Where no text is kept there is Python's bytecode.
"""

from __future__ import annotations

import ast
import functools
import linecache
import sys
import types

from lib.definitions.errors import CodeChanged
from lib.definitions.reading import Code


def function_text(function: types.FunctionType) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The definition of a function in its file or cell; None for a lambda, and where no text was kept."""
    tree, line = _tree(function.__code__.co_filename), function.__code__.co_firstlineno
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)] if tree else []
    same = [n for n in functions if n.name == function.__code__.co_name]
    exact = [n for n in same if line in (n.lineno, *(d.lineno for d in n.decorator_list))]
    return exact[0] if exact else None


def class_text(kind: type, functions: list[types.FunctionType]) -> ast.ClassDef | None:
    """The definition of a class: around one of its functions, else the last of its name in its module; or None."""
    name = kind.__qualname__.rpartition(".")[2]
    for function in functions:
        tree, line = _tree(function.__code__.co_filename), function.__code__.co_firstlineno
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.ClassDef) and node.name == name and node.lineno <= line <= node.end_lineno:
                return node
    for text in _texts_of(kind.__module__):
        try:
            tree = _parsed(text)
        except SyntaxError:
            continue
        found = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == name] if tree else []
        if found:
            return found[-1]
    return None


def _texts_of(module: str) -> list[str]:
    """A module's file, or the cells of a notebook, the last first."""
    owner = sys.modules.get(module)
    if file := getattr(owner, "__file__", None):
        linecache.checkcache(file)
        return ["".join(linecache.getlines(file))]
    return [str(cell) for cell in reversed(getattr(owner, "In", []))]


def _tree(filename: str) -> ast.Module | None:
    linecache.checkcache(filename)
    try:
        return _parsed("".join(linecache.getlines(filename)))
    except SyntaxError:
        return None


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> ast.Module | None:
    return ast.parse(text) if text else None


def bytecode(code: types.CodeType) -> Code:
    """What runs, where there is no text: any name in it may be a global one or an attribute."""
    names = _names(code)
    return Code(_instructions(code), frozenset((name,) for name in names), frozenset(names))


def _instructions(code: types.CodeType) -> str:
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {[_constant(c) for c in code.co_consts]}"


def _constant(value: object) -> str:
    """The same in every process: a set is in an order of its own in each."""
    if isinstance(value, types.CodeType):
        return _instructions(value)
    if isinstance(value, frozenset):
        return f"{{{','.join(sorted(map(_constant, value)))}}}"
    return f"({','.join(map(_constant, value))})" if isinstance(value, tuple) else repr(value)


def _names(code: types.CodeType) -> set[str]:
    inner = [_names(c) for c in code.co_consts if isinstance(c, types.CodeType)]
    return {*code.co_names, *code.co_freevars}.union(*inner)


def refuse_stale(function: types.FunctionType) -> None:
    """CodeChanged where a reader's file no longer holds the code that was imported from it."""
    loader = getattr(sys.modules.get(function.__module__), "__loader__", None)
    if type(loader).__name__ != "SourceFileLoader":
        return  # a cell, whose text is kept as it ran; or rewritten while it was imported
    text = "".join(linecache.getlines(function.__code__.co_filename))
    now = _compiled(text, function.__code__.co_filename).get(function.__code__.co_qualname, [])
    if text and _instructions(function.__code__) not in map(_instructions, now):
        raise CodeChanged(
            f"{function.__code__.co_filename} was changed after it was imported ({function.__qualname__} runs as it "
            "was before): restart the kernel"
        )


@functools.lru_cache(maxsize=64)
def _compiled(text: str, filename: str) -> dict[str, list[types.CodeType]]:
    found: dict[str, list[types.CodeType]] = {}
    pending = [compile(text, filename, "exec", dont_inherit=True)]
    while pending:
        code = pending.pop()
        found.setdefault(code.co_qualname, []).append(code)
        pending += [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return found
