"""What code does a result depend on? One answer, for trained runs, for rendered people and for the lessons.

A result depends on *definitions*: functions, classes, constants. We start at some of them and follow every name that
their code uses: through a module's globals, imports under any name (also those inside functions), attributes of
imported modules, default arguments, decorators and base classes. Our own package is read from its files and never
imported for it. What a reader wrote (a file of theirs, the cells of a notebook) is followed through the living
objects, constants by their values. Other packages are not followed: their versions are a result's provenance.

Of a class only those members count that can matter: whose name is used somewhere in the code that was reached, special
methods, and what replaces something of a base class from another package (``forward`` of a torch module). So an
attribute that nobody asks for, a function that nobody calls and an entry of a ``Registry`` that nobody made a network
of change nothing. Where in doubt a definition counts: computing again is dear, a wrong number dearer.

What does not count at all: comments, docstrings, layout, type annotations, the wording of errors and warnings.
"""

from __future__ import annotations

import ast
import builtins
import enum
import functools
import hashlib
import importlib
import inspect
import linecache
import sys
import sysconfig
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]  # the folder that holds the package
PACKAGE = __name__.partition(".")[0]
REGISTRY = "Registry"  # a table made by a class of this name: each of its entries is a definition of its own
DIGITS = 16  # of a definition's hash
SHOWN = ("__repr__", "__str__", "_repr_html_")  # what an object looks like
KNOWN_BY = ("sha256", "fingerprint", "key")  # of our own objects: a hash of all that they hold


class CodeChanged(RuntimeError):
    """A file was changed after it was imported: its text is not what runs here."""


class UnknownDefinition(LookupError):
    """There is no such definition in the package's files."""


# ---- reading: from text to definitions and the names they use


@dataclass(frozen=True)
class Code:
    """A piece of code: its essence and what it names.

    names : chains that begin outside of it, ("L", "cross_entropy") or, where the code itself imports,
    ("from", "lib.losses", "cross_entropy"). attributes : every ``x.name`` and every text that could be a name.
    """

    text: str
    names: frozenset[tuple[str, ...]]
    attributes: frozenset[str]

    @classmethod
    def of(cls, nodes: Iterable[ast.AST], package: str, members: Collection[str] = ()) -> Code:
        nodes, reader = list(nodes), _Reader(package, members)
        for node in nodes:
            reader.visit(node)
        return cls(essence(nodes), frozenset(reader.names), frozenset(reader.attributes))


def essence(node: object) -> str:
    """Code as a syntax tree in text, the same for the same meaning and under every Python: without what does not count
    (see the module's docstring), and without imports, whose targets are followed instead."""
    if isinstance(node, str):
        return essence(ast.parse(node).body)
    if isinstance(node, list | tuple):
        return f"[{','.join(essence(item) for item in node if not _is_silent(item))}]"
    if isinstance(node, ast.Raise):
        return f"Raise({ast.unparse(_callee(node.exc)) if node.exc else ''})"
    if _is_warning(node):
        return "Warning"
    if isinstance(node, ast.AnnAssign):
        return f"Assign(targets=[{essence(node.target)}],value={essence(node.value) if node.value else ''})"
    if isinstance(node, ast.Constant):
        return f"Constant({node.value!r})"
    if isinstance(node, ast.AST):
        left_out = LEFT_OUT.get(type(node), ()) + ("ctx", "type_comment", "type_params", "kind")
        fields = [(n, v) for n, v in ast.iter_fields(node) if n not in left_out and v is not None and v != []]
        inside = ",".join(f"{n}={essence(v) if isinstance(v, ast.AST | list) else repr(v)}" for n, v in fields)
        return f"{type(node).__name__}({inside})"
    return repr(node)


LEFT_OUT = {
    ast.FunctionDef: ("returns",),
    ast.AsyncFunctionDef: ("returns",),
    ast.arg: ("annotation",),
    ast.Assert: ("msg",),
}


def _is_silent(node: object) -> bool:
    """A statement that does nothing by itself."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.AnnAssign):
        return node.value is None and isinstance(node.target, ast.Name)
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Pass)


def _callee(node: ast.AST) -> ast.AST:
    return node.func if isinstance(node, ast.Call) else node


def _is_warning(node: object) -> bool:
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    return chain(node.value.func)[-2:] in (("warnings", "warn"), ("warn",))


def chain(node: ast.AST) -> tuple[str, ...]:
    """``a.b.c`` as ("a", "b", "c"); empty for anything else."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute) and (before := chain(node.value)):
        return (*before, node.attr)
    return ()


class _Reader(ast.NodeVisitor):
    """Collects what a piece of code names, each name in the scope where Python would look for it.

    package : of the module, for relative imports. members : names of the class whose body the code stands in.
    """

    def __init__(self, package: str, members: Collection[str] = ()):
        self.package, self.members = package, frozenset(members)
        self.scopes: list[tuple[set[str], dict[str, tuple[str, ...]], bool]] = []  # locals, imports, of a class
        self.names: set[tuple[str, ...]] = set()
        self.attributes: set[str] = set()

    def _name(self, parts: tuple[str, ...]) -> None:
        innermost = True
        for own, imported, of_class in reversed(self.scopes):
            if of_class and not innermost:
                continue
            innermost = False
            if parts[0] in imported:
                self.names.add((*imported[parts[0]], *parts[1:]))
                return
            if parts[0] in own:
                return
        if not self.scopes and parts[0] in self.members:  # in a class body: another member
            self.attributes.add(parts[0])
        self.names.add(parts)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._name((node.id,))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.attributes.add(node.attr)
        if parts := chain(node):
            self.attributes.update(parts[1:])
            self._name(parts)
        else:
            self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and node.value.isidentifier():
            self.attributes.add(node.value)  # getattr(x, "name")

    def visit_keyword(self, node: ast.keyword) -> None:
        self.attributes.update([node.arg] if node.arg else [])
        self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        pass

    def visit_Assert(self, node: ast.Assert) -> None:
        self.visit(node.test)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not _is_silent(node) and not _is_warning(node):
            self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)
        if node.value:
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._name((node.target.id,))
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for outside in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(outside)
        self.attributes |= _arguments(node.args)  # f(**vars(settings))
        self._inside(node.body, _arguments(node.args))

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for outside in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(outside)
        self._inside([node.body], _arguments(node.args))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for outside in (*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)):
            self.visit(outside)
        self._inside(node.body, set(), of_class=True)

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self.visit(node.generators[0].iter)
        own = {part.id for g in node.generators for part in ast.walk(g.target) if isinstance(part, ast.Name)}
        self.scopes.append((own, {}, False))
        for number, generator in enumerate(node.generators):
            for part in ([] if number == 0 else [generator.iter]) + [generator.target, *generator.ifs]:
                self.visit(part)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(part)
        self.scopes.pop()

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp

    def _inside(self, body: list[ast.AST], arguments: set[str], of_class: bool = False) -> None:
        own, imported = _bound(body, self.package)
        self.scopes.append((own | arguments, imported, of_class))
        for statement in body:
            self.visit(statement)
        self.scopes.pop()


def _arguments(arguments: ast.arguments) -> set[str]:
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    return {argument.arg for argument in every if argument}


def _bound(body: Iterable[ast.AST], package: str) -> tuple[set[str], dict[str, tuple[str, ...]]]:
    """Names that statements bind in their own scope, and among them those that are imported."""
    own, elsewhere, imported = set(), set(), {}
    pending = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            own.add(node.name)
            pending += node.decorator_list
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            own |= {part.target.id for part in ast.walk(node) if isinstance(part, ast.NamedExpr)}
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            imported |= dict(_targets(node, package))
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            own.add(node.id)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            elsewhere |= set(node.names)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            own.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            own.add(node.rest)
        pending += ast.iter_child_nodes(node)
    return own - elsewhere, imported


def _targets(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(name here, ("from", module[, name there])) of everything that a statement imports."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (alias.asname, ("from", alias.name)) if alias.asname else (
                alias.name.partition(".")[0], ("from", alias.name.partition(".")[0])
            )  # fmt: skip
        return
    module = node.module or ""
    if node.level:
        base = package.split(".")
        module = ".".join([*base[: len(base) - node.level + 1], *([module] if module else [])])
    for alias in node.names:
        yield alias.asname or alias.name, ("from", module, alias.name)


@dataclass
class Class:
    """A class as text: what always counts, and its members by name, classes inside of it among them."""

    head: Code
    members: dict[str, Code | Class]
    bases: list[tuple[str, ...] | None]  # chains; None: a base that is computed
    order: tuple[str, ...]  # fields of a dataclass that may be given by position: with one, all before it count

    @classmethod
    def of(cls, node: ast.ClassDef, package: str) -> Class:
        members, loose = {}, []
        for statement in node.body:
            names = _assigned(statement)
            if not names and not _is_silent(statement):
                loose.append(statement)
            for name in names:
                members.setdefault(name, []).append(statement)
        structured = [d for d in node.decorator_list if "dataclass" in chain(_callee(d))]
        by_name = any(k.arg == "kw_only" for d in structured for k in getattr(d, "keywords", []))
        fields = [s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
        outer = [*node.decorator_list, *node.bases, *node.keywords, *loose]
        return cls(
            Code.of(outer, package, members),
            {
                name: cls._member(some, package, members)
                for name, some in members.items()
                if structured or any(not _is_silent(s) for s in some)
            },
            [chain(base.value if isinstance(base, ast.Subscript) else base) or None for base in node.bases],
            () if by_name or not structured else tuple(fields),
        )

    @classmethod
    def _member(cls, nodes: list[ast.AST], package: str, members: Collection[str]) -> Code | Class:
        if len(nodes) == 1 and isinstance(nodes[0], ast.ClassDef):
            return cls.of(nodes[0], package)
        return Code.of(nodes, package, members)


def _assigned(statement: ast.AST) -> list[str]:
    """The names that a statement at the top of a module or a class gives a value."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.AnnAssign | ast.AugAssign):
        return [statement.target.id] if isinstance(statement.target, ast.Name) else []
    if isinstance(statement, ast.Assign):
        return [n.id for t in statement.targets for n in ast.walk(t) if isinstance(n, ast.Name) and _stored(n)]
    return []


def _stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


class Module:
    """A module as text: its definitions by name, what it imports, and what it does when it is imported.

    entries : {"TABLE[name]": the statement} of what it adds to a Registry: ``TABLE.add("name", …)``.
    """

    def __init__(self, name: str, text: str, is_package: bool):
        self.name, self.text = name, text
        self.package = name if is_package else name.rpartition(".")[0]
        self.nodes: dict[str, list[ast.AST]] = {}
        self.imports: dict[str, list[tuple[str, ...]]] = {}
        self.entries: dict[str, ast.Call] = {}
        self.effects: list[ast.AST] = []
        self._code: dict[str, Code | Class] = {}
        self._read(ast.parse(text).body)
        self.nodes.pop("__all__", None)

    def _read(self, body: list[ast.AST]) -> None:
        for node in body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name, target in _targets(node, self.package):
                    self.imports.setdefault(name, []).append(target)
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in chain(node.test):
                self._read(node.orelse)
            elif isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
                continue
            elif names := _assigned(node):
                for name in names:
                    self.nodes.setdefault(name, []).append(node)
            elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):  # TABLE["x"] = …: a part of TABLE
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    self._changes(node, target)
            elif isinstance(node, ast.Expr):
                self._call(node)
            elif isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While | ast.Match):
                own, imported = _bound([node], self.package)
                for name, target in imported.items():
                    self.imports.setdefault(name, []).append(target)
                own |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and part.id in self.nodes}
                for name in own:  # also what it may change: all that it names
                    self.nodes.setdefault(name, []).append(node)
                if not own and not imported:
                    self.effects.append(node)
            elif not _is_silent(node):
                self.effects.append(node)

    def _call(self, node: ast.Expr) -> None:
        if _is_silent(node):
            return
        call = node.value
        parts = chain(call.func) if isinstance(call, ast.Call) else ()
        if len(parts) > 1 and parts[-1] == "add" and len(call.args) > 1 and isinstance(call.args[0], ast.Constant):
            self.entries[f"{'.'.join(parts[:-1])}[{call.args[0].value}]"] = call
        elif len(parts) > 1:
            self._changes(node, call.func)
        else:
            self.effects.append(node)

    def _changes(self, node: ast.AST, target: ast.AST) -> None:
        """A statement that changes something: of a name of this module, or elsewhere."""
        while isinstance(target, ast.Attribute | ast.Subscript):
            target = target.value
        if isinstance(target, ast.Name) and target.id in self.nodes:
            self.nodes[target.id].append(node)
        else:
            self.effects.append(node)

    def code(self, name: str) -> Code | Class:
        """A definition, an entry "TABLE[name]", or "" for what the module does when it is imported."""
        if name not in self._code:
            nodes = self.effects if name == "" else self.nodes.get(name) or [self.entries[name]]
            single = len(nodes) == 1 and isinstance(nodes[0], ast.ClassDef)
            self._code[name] = Class.of(nodes[0], self.package) if single else Code.of(nodes, self.package)
        return self._code[name]


@functools.lru_cache(maxsize=1024)
def _module(name: str, text: str, is_package: bool) -> Module:
    return Module(name, text, is_package)


class Package:
    """The package's modules as text, from the folder that holds it or from texts that were read before."""

    def __init__(self, root: Path = ROOT, texts: Mapping[str, tuple[str, bool]] | None = None):
        self.root, self.texts, self.modules = root, texts, {}

    def names(self) -> list[str]:
        """All modules."""
        if self.texts is not None:
            return sorted(self.texts)
        files = sorted((self.root / PACKAGE).rglob("*.py"))
        dotted = [file.relative_to(self.root).with_suffix("").as_posix().replace("/", ".") for file in files]
        return [name.removesuffix(".__init__") for name in dotted]

    def read(self, name: str) -> tuple[str, bool] | None:
        """(text, is it a folder's ``__init__``) of a module, or None."""
        if self.texts is not None:
            return self.texts.get(name)
        path = self.root.joinpath(*name.split("."))
        for file, is_package in ((path.with_suffix(".py"), False), (path / "__init__.py", True)):
            try:
                return file.read_text(encoding="utf-8"), is_package
            except (FileNotFoundError, NotADirectoryError):
                continue
        return None

    def module(self, name: str) -> Module | None:
        if name not in self.modules:
            found = self.read(name) if _is_ours(name) else None
            self.modules[name] = None if found is None else _module(name, *found)
        return self.modules[name]


def _is_ours(module: str) -> bool:
    return module == PACKAGE or module.startswith(f"{PACKAGE}.")


# ---- following: from some definitions to all that they use


class _Follower:
    """Definitions reached so far, and what is still to be looked at."""

    def __init__(self, package: Package, aside: Collection[str], whole_registries: bool):
        self.package, self.aside, self.whole_registries = package, frozenset(aside), whole_registries
        self.found: dict[str, str] = {}
        self.used: set[str] = set()
        self.waiting: dict[str, Callable[[], None]] = {}  # members of classes that nobody has used so far
        self.outside: dict[str, list[object] | None] = {}  # classes: bases of other packages; None: not known
        self.pending: list[Callable[[], None]] = []
        self.seen: set[object] = set()
        self.kept: list[object] = []  # living objects whose id stands in ``seen``
        self.path: list[int] = []  # of values inside of values
        self.tables: dict[str, list[tuple[str, str]]] | None = None

    def run(self) -> dict[str, str]:
        while True:
            while self.pending:
                self.pending.pop()()
            ready = [name for name in self.waiting if name.rpartition(".")[2] in self.used]
            if not ready:
                return dict(sorted(self.found.items()))
            self.pending += [self.waiting.pop(name) for name in ready]

    def keep(self, name: str, *parts: str) -> None:
        text = "\0".join(parts)
        self.found[name] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]

    # -- in the package's files

    def ours(self, module: str, name: str, asked: bool = False) -> None:
        """A definition of the package: ``name`` of ``module``, where it is defined or imported.

        asked : LookupError where there is none.
        """
        first, _, member = name.partition(".")
        if "[" in name:
            first, member = name, ""
        key = f"{module}.{first}"
        if member:
            self.used.add(member.partition(".")[0])
        if key in self.seen or key in self.aside or any(key.startswith(f"{name}.") for name in self.aside):
            return
        source = self.package.module(module)
        if source is not None and (first in source.nodes or first in source.entries):
            self.seen.add(key)
            self.pending.append(lambda: self._read(source, first))
            self.effects(source)
        elif source is not None and first in source.imports:
            self.seen.add(key)
            for target in source.imports[first]:
                self.names(source, {target})
        elif self.package.module(key) is not None:
            self.everything(key)
        elif asked:
            raise UnknownDefinition(f"{module} has no {first!r} any more: it was renamed, moved or taken out")

    def effects(self, source: Module) -> None:
        if source.effects and (key := f"{source.name}.") not in self.seen:
            self.seen.add(key)
            self.pending.append(lambda: self._read(source, ""))

    def everything(self, module: str) -> None:
        """All of a module that is handed around as a whole."""
        source = self.package.module(module)
        if source is not None and module not in self.aside and (module, "whole") not in self.seen:
            self.seen.add((module, "whole"))
            for name in (*source.nodes, *source.entries):
                self.ours(module, name)
            self.effects(source)

    def _read(self, source: Module, name: str) -> None:
        code, key = source.code(name), f"{source.name}.{name or '<module>'}"
        names, base = functools.partial(self.names, source), functools.partial(self._base, source)
        if isinstance(code, Class):
            self._class(key, code, names, base)
            return
        self._take(key, code, names)
        if self.whole_registries and name in source.nodes and _is_registry(source.nodes[name]):
            for module, entry in self.entries_of(key):
                self.ours(module, entry)

    def _class(self, key: str, code: Class, names: Callable, base: Callable[[tuple], list[object] | None]) -> None:
        """A class' head, and its members as far as they count.

        names : follows chains. base : the classes of other packages above a base, or None where they are not known.
        """
        self._take(key, code.head, names)
        above = [None if parts is None else base(parts) for parts in code.bases]
        outside = None if None in above else [kind for some in above for kind in some]
        self.outside[key] = outside
        takes = {}
        for member, inside in code.members.items():
            work = functools.partial(self._class, base=base) if isinstance(inside, Class) else self._take
            takes[member] = functools.partial(work, f"{key}.{member}", inside, names)
        for member, take in takes.items():
            if member in code.order:
                take = functools.partial(_all, [takes[field] for field in code.order[: code.order.index(member) + 1]])
            special = member.startswith("__") and member.endswith("__") and member not in SHOWN
            if special or outside is None or any(hasattr(kind, member) for kind in outside):
                self.pending.append(take)
            else:
                self.waiting[f"{key}.{member}"] = take

    def _take(self, key: str, code: Code, names: Callable[[Iterable[tuple[str, ...]]], list[str]]) -> None:
        self.keep(key, code.text, *names(code.names))
        self.used |= code.attributes

    def _base(self, source: Module, base: tuple[str, ...]) -> list[object] | None:
        """The classes of other packages above a base; None where they are not known."""
        module, name, rest = self._resolve(source, base)
        if module is None:
            found = getattr(builtins, base[0], None)
            return [found] if isinstance(found, type) and found is not tuple else None
        if not _is_ours(module):
            if self.whole_registries:  # a text is read without importing anything
                return None
            try:
                found = importlib.import_module(module)
                for part in ([name] if name else []) + list(rest):
                    found = getattr(found, part)
            except (ImportError, AttributeError):
                return None
            return [found] if isinstance(found, type) and not issubclass(found, enum.Enum | tuple) else None
        key = ".".join([module, name, *rest])
        if key not in self.outside:
            owner = self.package.module(module)
            code = owner.code(name) if owner and name in owner.nodes else None
            for inner in rest:
                code = code.members.get(inner) if isinstance(code, Class) else None
            if not isinstance(code, Class):
                return None
            above = [] if None not in code.bases else None
            for further in filter(None, code.bases):
                found = self._base(owner, further)
                above = None if found is None or above is None else above + found
            self.outside[key] = above
        return self.outside[key]

    def names(self, source: Module, chains: Iterable[tuple[str, ...]]) -> list[str]:
        """Follow what a piece of code names; returns what each name of another place means, for the hash."""
        meant = []
        for parts in sorted(chains):
            if parts[0] != "from" and parts[0] not in source.imports:
                if parts[0] in source.nodes:
                    self.ours(source.name, ".".join(parts[:2]))
                continue
            targets = [parts] if parts[0] == "from" else [(*t, *parts[1:]) for t in source.imports[parts[0]]]
            for target in targets:
                module, name, rest = self._walk(target)
                meant.append(f"{parts[0]}={module}.{name or ''}")
                if not _is_ours(module):
                    continue
                if name is None:
                    self.everything(module)
                else:
                    self.ours(module, ".".join([name, *rest[:1]]))
        return meant

    def _resolve(self, source: Module, parts: tuple[str, ...]) -> tuple[str | None, str | None, tuple[str, ...]]:
        """(module, name in it, further attributes) of a chain as ``source`` sees it, through re-exports."""
        if parts[0] == "from":
            return self._walk(parts)
        if parts[0] in source.nodes:
            return source.name, parts[0], parts[1:]
        if parts[0] in source.imports:
            return self._walk((*source.imports[parts[0]][0], *parts[1:]))
        return None, None, ()

    def _walk(self, target: tuple[str, ...]) -> tuple[str, str | None, tuple[str, ...]]:
        """("from", module, name, …) -> (module, name, …) where that is defined."""
        module, rest = target[1], target[2:]
        while rest:
            owner = self.package.module(module)
            if owner is None:  # another package
                return module, rest[0], rest[1:]
            if rest[0] in owner.nodes:
                return module, rest[0], rest[1:]
            if rest[0] in owner.imports and (onward := (*owner.imports[rest[0]][0], *rest[1:])) != target:
                if onward[1:3] == (module, rest[0]):
                    return module, rest[0], rest[1:]
                return self._walk(onward)
            if self.package.module(f"{module}.{rest[0]}") is None:
                return module, rest[0], rest[1:]
            module, rest = f"{module}.{rest[0]}", rest[1:]
        return module, None, ()

    def entries_of(self, table: str) -> list[tuple[str, str]]:
        """(module, "TABLE[name]") of all entries of a registry, wherever they are added."""
        if self.tables is None:
            self.tables = {}
            for name in self.package.names():
                source = self.package.module(name)
                for entry in source.entries:
                    module, owner, _ = self._resolve(source, tuple(entry.partition("[")[0].split(".")))
                    self.tables.setdefault(f"{module}.{owner}", []).append((name, entry))
        return self.tables.get(table, [])

    # -- in what a reader wrote

    def living(self, value: object) -> str:
        """A living value: what it means, for the hash; functions, classes and modules of ours are followed."""
        value = _unwrapped(value)
        if isinstance(value, functools.partial):
            return f"partial({self.living(value.func)},{self.living(value.args)},{self.living(value.keywords)})"
        if isinstance(value, types.ModuleType):
            if _is_ours(value.__name__):
                self.everything(value.__name__)
            return f"module {value.__name__}"
        if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
            return self._living_definition(value)
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return repr(value)
        if id(value) in self.path:
            return "itself"
        self.path.append(id(value))
        try:
            return self._living_value(value)
        finally:
            self.path.pop()

    def _living_value(self, value: object) -> str:
        if isinstance(value, Mapping):
            return "{" + ",".join(f"{self.living(k)}:{self.living(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list | tuple):
            return f"{type(value).__name__}[{','.join(map(self.living, value))}]"
        if isinstance(value, set | frozenset):
            return f"set[{','.join(sorted(map(self.living, value)))}]"
        if type(value).__module__.partition(".")[0] in ("numpy", "torch") and hasattr(value, "dtype"):
            return f"objects{value.shape}{self.living(value.tolist())}" if value.dtype == object else _array(value)
        return self._instance(value)

    def _instance(self, value: object) -> str:
        kind = self._living_definition(type(value))
        for name in KNOWN_BY if _is_ours(type(value).__module__) else ():
            if isinstance(known := getattr(value, name, None), str):
                return f"{kind} {known}"
        if hasattr(value, "to_numpy") and hasattr(value, "index"):  # a table of pandas
            return f"{kind}{self.living([list(getattr(value, 'columns', [])), list(value.index), value.to_numpy()])}"
        state = getattr(value, "__dict__", None)
        if state:
            return f"{kind}{{{','.join(f'{k}:{self.living(v)}' for k, v in sorted(state.items()))}}}"
        text = repr(value)
        return kind if " at 0x" in text else f"{kind}({text})"

    def _living_definition(self, value: type | types.FunctionType) -> str:
        module, name = str(getattr(value, "__module__", None)), getattr(value, "__qualname__", repr(value))
        key = f"{module}.{name}"
        if _is_ours(module):
            self.ours(module, name.partition(".<locals>")[0], asked=True)
        elif _is_readers_own(module, value) and id(value) not in self.seen:
            self.seen.add(id(value))
            self.kept.append(value)
            work = self._living_class if isinstance(value, type) else self._living_function
            self.pending.append(functools.partial(work, key, value))
        return key

    def _living_function(self, key: str, function: types.FunctionType) -> None:
        spaces = _spaces(function)
        node = _find(function.__code__.co_filename, function, ast.FunctionDef | ast.AsyncFunctionDef)
        if node is None:  # a lambda, or typed where no text is kept: there is no text, but there is code
            self.keep(key, _bytecode(function.__code__), *self._living_names(_code_names(function.__code__), spaces))
            self.used |= {name for parts in _code_names(function.__code__) for name in parts}
            self.living((function.__defaults__, function.__kwdefaults__))
            return
        _refuse_stale(function)
        code = Code.of([node], str(function.__module__))
        self.keep(key, code.text, *self._living_names(code.names, spaces))
        self.used |= code.attributes

    def _living_class(self, key: str, kind: type) -> None:
        for base in kind.__mro__[1:]:
            self._living_definition(base)
        functions = [f for f in map(_function, vars(kind).values()) if f is not None]
        written = [f for f in functions if f.__module__ == kind.__module__ and f.__code__.co_filename != "<string>"]
        node = _find_class(kind, written)
        outside = [base for base in kind.__mro__[1:-1] if not _is_ours(base.__module__)]
        outside = [base for base in outside if not _is_readers_own(base.__module__, base)]
        if node is None:
            self.keep(key, *(f"{n}={self.living(v)}" for n, v in vars(kind).items() if n not in NO_CODE))
            return
        for function in written:
            _refuse_stale(function)
        spaces = _spaces(*written) or [vars(sys.modules.get(kind.__module__, builtins))]
        whole = None if issubclass(kind, enum.Enum | tuple) else outside
        code, names = Class.of(node, str(kind.__module__)), lambda chains: self._living_names(chains, spaces)
        self._class(key, code, names, lambda parts: whole)

    def _living_names(self, chains: Iterable[tuple[str, ...]], spaces: list[Mapping]) -> list[str]:
        meant = []
        for parts in sorted(chains):
            if parts[0] == "from":
                if _is_ours(parts[1]):
                    module, name, rest = self._walk(parts)
                    self.everything(module) if name is None else self.ours(module, ".".join([name, *rest[:1]]))
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
                if _is_ours(value.__name__):
                    self.ours(value.__name__, ".".join(rest[:2]))
                    break
                value, rest = getattr(value, rest[0]), rest[1:]
            else:
                meant.append(f"{parts[0]}={self.living(value)}")
        return meant


def _all(work: list[Callable[[], None]]) -> None:
    for step in work:
        step()


def _is_registry(nodes: list[ast.AST]) -> bool:
    return any(isinstance(n, ast.Assign | ast.AnnAssign) and chain(_callee(n.value))[-1:] == (REGISTRY,) for n in nodes)


def _unwrapped(value: object) -> object:
    """The function behind a method, a property, a cache."""
    for name in ("__func__", "fget", "func", "__wrapped__"):
        if isinstance(value, functools.partial):
            break
        if isinstance(value, types.MethodType | staticmethod | classmethod | property | functools.cached_property) or (
            name == "__wrapped__" and type(value).__name__ == "_lru_cache_wrapper"
        ):
            value = getattr(value, name, value)
    return value


def _function(value: object) -> types.FunctionType | None:
    value = _unwrapped(value)
    value = inspect.unwrap(value) if callable(value) and not isinstance(value, type) else value
    return value if isinstance(value, types.FunctionType) else None


def _is_readers_own(module: str, value: object) -> bool:
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


NO_CODE = ("__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__")
INSTALLED = [Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")]
STANDARD = Path(sysconfig.get_path("stdlib")).resolve()


def _spaces(*functions: types.FunctionType) -> list[Mapping[str, object]]:
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


def _tree(filename: str) -> ast.Module | None:
    linecache.checkcache(filename)
    try:
        return _parsed("".join(linecache.getlines(filename)))
    except SyntaxError:
        return None


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> ast.Module | None:
    return ast.parse(text) if text else None


def _find(filename: str, function: types.FunctionType, kinds: Any) -> ast.AST | None:
    """The definition of a function in its file or cell."""
    tree, line = _tree(filename), function.__code__.co_firstlineno
    same = [n for n in ast.walk(tree) if isinstance(n, kinds) and n.name == function.__code__.co_name] if tree else []
    exact = [n for n in same if line in (n.lineno, *(d.lineno for d in n.decorator_list))]
    return exact[0] if exact else None


def _find_class(kind: type, functions: list[types.FunctionType]) -> ast.ClassDef | None:
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


def _bytecode(code: types.CodeType) -> str:
    inner = [_bytecode(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {inner}"


def _code_names(code: types.CodeType) -> set[tuple[str, ...]]:
    inner = [_code_names(c) for c in code.co_consts if isinstance(c, types.CodeType)]
    return {(name,) for name in (*code.co_names, *code.co_freevars)}.union(*inner)


def _refuse_stale(function: types.FunctionType) -> None:
    """CodeChanged where a reader's file no longer holds the code that was imported from it."""
    loader = getattr(sys.modules.get(function.__module__), "__loader__", None)
    if type(loader).__name__ != "SourceFileLoader":
        return  # a cell, whose text is kept as it ran; or rewritten while it was imported
    text = "".join(linecache.getlines(function.__code__.co_filename))
    now = _compiled(text, function.__code__.co_filename).get(function.__code__.co_qualname, [])
    if text and not any(_same_code(function.__code__, code) for code in now):
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


def _same_code(a: types.CodeType, b: types.CodeType) -> bool:
    if any(getattr(a, part) != getattr(b, part) for part in ("co_code", "co_names", "co_varnames")):
        return False
    if len(a.co_consts) != len(b.co_consts):
        return False
    pairs = zip(a.co_consts, b.co_consts, strict=True)
    return all(_same_code(x, y) if isinstance(x, types.CodeType) else repr(x) == repr(y) for x, y in pairs)


def _array(value: Any) -> str:
    import numpy as np

    numbers = np.ascontiguousarray(value.detach().cpu() if hasattr(value, "detach") else value)
    return f"{type(value).__name__}{numbers.shape}{numbers.dtype}{hashlib.sha256(numbers.tobytes()).hexdigest()}"


# ---- the one function


LOADED = {name: Package().read(name) for name in Package().names()}  # the text that runs: before anybody edits it


def definitions(
    *starts: object,
    entries: Iterable[str] = (),
    aside: Iterable[object] = (),
    root: Path | None = None,
) -> dict[str, str]:
    """{definition: first digits of the SHA-256 of its code} of everything that the starts depend on.

    Parameters
    ----------
    starts : classes, functions, methods, values; or the names of definitions, "lib.losses.cross_entropy".
    entries : of registries, as ``Registry.add`` names them: "lib.models.resnet:BACKBONES[resnet50]".
    aside : classes, functions or modules (or their names) that are not followed: what changes no number.
    root : the folder that holds another copy of the package; its files are read instead of ours.

    Raises
    ------
    CodeChanged : a file was changed on disk so that its code is not what runs here.
    UnknownDefinition : a start is not in the package's files.
    """
    starts, entries, aside = list(starts), list(entries), [_name(some) for some in aside]
    if root is not None:
        return _follow(Package(Path(root)), starts, entries, aside)
    disk = Package()
    changed = [name for name, loaded in LOADED.items() if disk.read(name) != loaded]
    before = _follow(Package(texts=LOADED), starts, entries, aside)
    if changed:
        try:
            after = _follow(disk, starts, entries, aside)
        except (UnknownDefinition, SyntaxError) as error:
            raise CodeChanged(f"{few(changed)} changed after it was imported ({error}): restart the kernel") from error
        if different := differences(before, after):
            raise CodeChanged(
                f"{few(different)} changed on disk after it was imported: what runs here is the code as it was before; "
                "restart the kernel"
            )
    return before


def definitions_of_text(text: str, aside: Iterable[object] = (), root: Path = ROOT) -> dict[str, str]:
    """As ``definitions``, for a script or the code cells of a notebook, which is read and not run: what it uses of the
    package. More rather than less: all entries of every registry that it reaches, and all members of classes with a
    base of another package, since nothing is imported for it. SyntaxError for a text that is no Python."""
    follower = _Follower(Package(root), [_name(some) for some in aside], whole_registries=True)
    source = Module("__main__", text, is_package=False)
    body = [node for nodes in source.nodes.values() for node in nodes]
    body += [*source.effects, *source.entries.values()]
    code = Code.of(body, "")
    follower.names(source, code.names)
    follower.used |= code.attributes
    return follower.run()


def total(found: Mapping[str, str]) -> str:
    """One SHA-256 hex for all of them."""
    return hashlib.sha256("\n".join(f"{name} {digest}" for name, digest in sorted(found.items())).encode()).hexdigest()


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The definitions that changed, came or went."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def few(names: list[str], count: int = 3) -> str:
    """The first few, and how many more there are."""
    rest = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + rest


def name_of(value: object) -> str | None:
    """The name of a class or function of the package ("lib.losses.cross_entropy"), or None."""
    value = _unwrapped(value)
    module = getattr(value, "__module__", None)
    return f"{module}.{value.__qualname__.partition('.<locals>')[0]}" if module and _is_ours(str(module)) else None


def _name(value: object) -> str:
    if isinstance(value, types.ModuleType):
        return value.__name__
    return value if isinstance(value, str) else name_of(value) or repr(value)


def _follow(package: Package, starts: list[object], entries: list[str], aside: list[str]) -> dict[str, str]:
    follower = _Follower(package, aside, whole_registries=False)
    for start in starts:
        if isinstance(start, str):
            follower.ours(*_place(package, start), asked=True)
        else:
            follower.living(start)
    for entry in entries:
        module, _, name = entry.partition(":")
        follower.ours(module, name, asked=True)
    return follower.run()


def _place(package: Package, dotted: str) -> tuple[str, str]:
    """("lib.losses", "cross_entropy") of a dotted name: the longest module, and the rest."""
    parts = dotted.split(".")
    for count in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:count])
        if package.read(module) is not None:
            return module, ".".join(parts[count:])
    raise UnknownDefinition(f"there is no definition {dotted} in the package {PACKAGE}")


__all__ = [
    "CodeChanged",
    "UnknownDefinition",
    "definitions",
    "definitions_of_text",
    "differences",
    "essence",
    "few",
    "name_of",
    "total",
]
