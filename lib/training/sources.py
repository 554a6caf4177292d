"""The code that a run depends on, as one hash.

From the method's classes we follow the imports into models, losses and methods; the loop and the data path are added.
Comments, docstrings and blank lines do not count: a better explanation must not throw away an hour of training.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import io
import tokenize
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]  # lib/
FOLLOWED = ("lib.models", "lib.losses", "lib.methods", "lib.data.batches", "lib.data.resolution")
LOOP = ("lib.training.loop", "lib.training.optim", "lib.training.precision", "lib.training.distributed")


def source_hash(method: object) -> str:
    """SHA-256 hex over the code of a method's classes and everything of ours that they import."""
    return combine(source_texts(type(method)))


def source_texts(kind: type) -> dict[str, str]:
    """{module or class name: its code without comments} for a method class."""
    pending, texts = [*LOOP, "lib.data.batches"], {}
    for base in kind.__mro__:
        if base.__module__.startswith("lib."):
            pending.append(base.__module__)
        elif not base.__module__.startswith(("torch.", "builtins", "typing", "abc")):
            texts[f"class {base.__qualname__}"] = _class_text(base)  # written in a notebook or a test
    while pending:
        name = pending.pop()
        path = _file(name)
        if name in texts or path is None:
            continue
        source = path.read_text(encoding="utf-8")
        texts[name] = without_comments(source)
        pending += [n for n in imports(source) if n.startswith(FOLLOWED)]
    return texts


def combine(texts: dict[str, str]) -> str:
    hasher = hashlib.sha256()
    for name in sorted(texts):
        hasher.update(f"{name}:{len(texts[name])}:{texts[name]}".encode())
    return hasher.hexdigest()


def imports(source: str) -> set[str]:
    """Names of the modules that a file imports when it runs; ``from package import module`` gives package.module too."""
    tree, found = ast.parse(source), set()
    checks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and getattr(n.test, "id", "") == "TYPE_CHECKING"]
    only_typing = {id(inner) for check in checks for statement in check.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if id(node) in only_typing:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def without_comments(source: str) -> str:
    """The code with comments, docstrings and blank lines taken out, as text: the same under every Python version."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for row in range(node.lineno - 1, node.end_lineno):
                lines[row] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _file(name: str) -> Path | None:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _class_text(kind: type) -> str:
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):  # typed at a prompt: there is no text, but there is code
        functions = [f for _, f in sorted(vars(kind).items()) if inspect.isfunction(f)]
        return " ".join(f"{f.__name__} {f.__code__.co_code.hex()} {f.__code__.co_names}" for f in functions)
    return without_comments(inspect.cleandoc("\n" + source) if source[:1].isspace() else source)
