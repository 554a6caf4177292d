"""The rooms of lib: no circle of imports, and each room uses only what lies to its left.

Every import counts, wherever it stands: at the top of a module, inside a function, under TYPE_CHECKING. A package is
what its ``__init__`` imports; `from lib.a import b` is an import of lib.a, and of lib.a.b where that is a module.
"""

import ast
from pathlib import Path

import pytest

import lib

LIB = Path(lib.__file__).parent

# Circles that are still there, as sorted module names. Each is to go; the test fails when one of these has gone, so
# that its line goes too, and when there is another one. Empty is the aim.
CIRCLES: set[tuple[str, ...]] = set()

LEAVES = {"bars", "paths", "names", "definitions", "threads"}  # used by all, using nothing of lib but each other
LEFT_OF = {  # a room, and the rooms it may use beside itself and the leaves
    "data": set(),
    "models": {"data"},
    "losses": {"data"},
    "methods": {"data", "models", "losses"},
    "training": {"data", "models", "losses", "methods"},
    "evaluation": {"data", "models", "losses", "methods"},
    "experiments": {"data", "models", "losses", "methods", "training", "evaluation"},
    "plots": {"data", "models", "losses", "methods", "training", "evaluation"},
    "course": {"data", "models", "losses", "methods", "training", "evaluation", "experiments", "plots"},
}


def modules(root=LIB):
    """{module name: file} of the package at `root`, which is called lib."""
    named = {}
    for path in sorted(root.rglob("*.py")):
        parts = ("lib", *path.relative_to(root).with_suffix("").parts)
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def imports(name, path, known):
    """The modules of lib that a file imports by name, anywhere in it."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # from . import x
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, *([node.module] if node.module else [])])
            submodules = {f"{base}.{alias.name}" for alias in node.names} & set(known)
            # `from lib.data import masks` needs lib.data only to find lib.data.masks
            found |= submodules if len(submodules) == len(node.names) else submodules | {base}
    return {module for module in found if module in known and module != name}


def graph(root=LIB):
    known = modules(root)
    return {name: imports(name, path, known) for name, path in known.items()}


def circles(edges):
    """The strongly connected components with more than one module (Tarjan), each as sorted names."""
    index, low, stack, found = {}, {}, [], set()

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(edges.get(node, ())):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            component = []
            while not component or component[-1] != node:
                component.append(stack.pop())
            if len(component) > 1:
                found.add(tuple(sorted(component)))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def room(module):
    """ "data" for lib.data.readers.viper; None for lib itself."""
    return module.split(".")[1] if "." in module else None


def trespasses(edges):
    """Imports that go to the right, as "a imports b"."""
    found = []
    for name, others in edges.items():
        for other in others:
            mine, theirs = room(name), room(other)
            if mine is None or theirs is None or mine == theirs or theirs in LEAVES:
                continue
            if mine in LEAVES or theirs not in LEFT_OF[mine]:
                found.append(f"{name} imports {other}")
    return sorted(found)


def test_every_module_has_a_room():
    rooms = {room(name) for name in modules()} - {None}
    assert rooms <= set(LEFT_OF) | LEAVES, "a new room: say in LEFT_OF what it may use, and draw it in CONTRIBUTING.md"


def test_no_circles():
    found = circles(graph())
    assert found - CIRCLES == set(), "modules that import each other, directly or not"
    assert CIRCLES - found == set(), "these circles are gone: take them off the list"


def test_rooms_use_only_what_lies_to_their_left():
    assert trespasses(graph()) == []


def test_no_private_names_across_modules():
    """What begins with an underscore belongs to its module: used elsewhere it wants a name of its own."""
    found = []
    for name, path in modules().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        own = {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
               for alias in node.names if f"{node.module}.{alias.name}" in modules()}  # fmt: skip
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lib"):
                private = [alias.name for alias in node.names if alias.name.startswith("_")]
                found += [f"{name} imports {node.module}.{one}" for one in private]
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in own:
                private = node.attr.startswith("_") and not node.attr.startswith("__")
                found += [f"{name} uses {node.value.id}.{node.attr}"] if private else []
    assert found == []


# ---------------------------------------------------------------- the test itself


@pytest.fixture
def house(tmp_path):
    """A function that writes a small lib from {file: text} and returns its graph."""

    def build(files):
        for file, text in files.items():
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return graph(tmp_path)

    return build


def test_a_circle_is_found_wherever_its_imports_stand(house):
    edges = house(
        {
            "__init__.py": "",
            "data/__init__.py": "",
            "data/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lib.data.b import B\n",
            "data/b.py": "def f():\n    import lib.data.c\n",
            "data/c.py": "from . import a\n",
            "data/d.py": "from lib.data import a, b\nfrom lib import data\n",
        }
    )
    assert circles(edges) == {("lib.data.a", "lib.data.b", "lib.data.c")}
    assert edges["lib.data.d"] == {"lib.data.a", "lib.data.b", "lib.data"}


def test_a_package_is_what_it_imports(house):
    edges = house(
        {"__init__.py": "", "data/__init__.py": "from lib.data.a import f", "data/a.py": "from lib.data import f\n"}
    )
    assert circles(edges) == {("lib.data", "lib.data.a")}


def test_trespasses_are_found(house):
    edges = house(
        {
            "__init__.py": "",
            "paths.py": "",
            "data/a.py": "def f():\n    from lib.models import b\n",
            "models/__init__.py": "",
            "models/b.py": "import lib.paths\nimport lib.data.a\n",
            "threads.py": "from lib.paths import x\nfrom lib.data.a import f\n",
        }
    )
    assert trespasses(edges) == ["lib.data.a imports lib.models.b", "lib.threads imports lib.data.a"]
