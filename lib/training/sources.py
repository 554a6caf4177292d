"""The code that a run depends on, as one hash.

From the classes of the method and of its layers we follow the imports into models, losses and methods; the loop and
the data path are added. Imports inside functions are not followed: they are of parts that one method has and
another has not (``create_backbone`` imports a network when it is asked for), and what this method
has is found by its layers.
Comments, docstrings and layout do not count: a better explanation must not throw away an hour of training.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import textwrap
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]  # lib/
LOSSES = "lib.losses"  # every paper adds some: only those that a method imports count, with what they use themselves
FOLLOWED = ("lib.models", "lib.methods", "lib.data.batches", "lib.data.resolution")
OUTSIDE = ("torch", "torchvision", "timm", "builtins", "typing", "abc")  # their versions are a run's provenance
LOOP = ("lib.training.loop", "lib.training.optim", "lib.training.precision", "lib.training.distributed")


def source_hash(method: object) -> str:
    """SHA-256 hex over the code of a method that has been set up and everything of ours that it consists of."""
    return combine(source_texts(method))


def source_texts(method: object) -> dict[str, str]:
    """{module or class name: the essence of its code} for a method."""
    pending, texts, losses = [*LOOP, "lib.data.batches"], {}, set()
    layers = method.modules() if hasattr(method, "modules") else ()
    for base in {base for part in (method, *layers) for base in type(part).__mro__}:
        if base.__module__.startswith("lib."):
            pending.append(base.__module__)
        elif base.__module__.split(".")[0] not in OUTSIDE:
            texts[f"class {base.__qualname__}"] = text = _class_text(base)  # written in a notebook or a test
            losses |= set(re.findall(r"(?:id|attr)='(\w+)'", text))  # whatever it names
    while pending:
        name = pending.pop()
        path = _file(name)
        if name in texts or path is None:
            continue
        source = path.read_text(encoding="utf-8")
        texts[name] = essence(source)
        pending += [n for n in imports(source) if n.startswith(FOLLOWED)]
        losses |= {n.rpartition(".")[2] for n in imports(source) if n.startswith(f"{LOSSES}.")}
    return texts | {f"{LOSSES}.{name}": text for name, text in definitions(_source(LOSSES), losses).items()}


def combine(texts: dict[str, str]) -> str:
    hasher = hashlib.sha256()
    for name in sorted(texts):
        hasher.update(f"{name}:{len(texts[name])}:{texts[name]}".encode())
    return hasher.hexdigest()


def imports(source: str) -> set[str]:
    """Names of the modules that a file imports when it is imported; ``from a import b`` gives a and a.b."""
    tree, found = ast.parse(source), set()
    nodes = list(ast.walk(tree))
    checks = [n for n in nodes if isinstance(n, ast.If) and getattr(n.test, "id", "") == "TYPE_CHECKING"]
    later = checks + [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    not_now = {id(inner) for part in later for statement in part.body for inner in ast.walk(statement)}
    for node in nodes:
        if id(node) in not_now:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def definitions(source: str, names: set[str]) -> dict[str, str]:
    """{name: essence} of these top-level definitions of a file and of those that they use."""
    known = {}
    for node in ast.parse(source).body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        known |= dict.fromkeys([node.name] if hasattr(node, "name") else [t.id for t in targets if t], node)
    found, pending = {}, sorted(names)
    while pending:
        name = pending.pop()
        if name in known and name not in found:
            found[name] = _tree(known[name])
            pending += [part.id for part in ast.walk(known[name]) if isinstance(part, ast.Name)]
    return found


def essence(source: str) -> str:
    """The code as a syntax tree in text, without comments, docstrings and layout; the same under every Python."""
    return _tree(ast.parse(source))


def _tree(node: object) -> str:
    if isinstance(node, ast.AST):
        fields = [(name, value) for name, value in ast.iter_fields(node) if value is not None and value != []]
        return f"{type(node).__name__}({','.join(f'{name}={_tree(value)}' for name, value in fields)})"
    if isinstance(node, list):
        return f"[{','.join(_tree(item) for item in node if not _is_docstring(item))}]"
    return repr(node)


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _file(name: str) -> Path | None:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _source(name: str) -> str:
    return _file(name).read_text(encoding="utf-8")


def _class_text(kind: type) -> str:
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):  # typed at a prompt: there is no text, but there is code
        functions = [f for _, f in sorted(vars(kind).items()) if inspect.isfunction(f)]
        return " ".join(f"{f.__name__} {f.__code__.co_code.hex()} {f.__code__.co_names}" for f in functions)
    return essence(textwrap.dedent(source))
