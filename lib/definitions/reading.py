"""From text to definitions: what a module defines, imports and does, and of each definition its code."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from lib.definitions.essence import callee, chain, essence, is_silent
from lib.definitions.scopes import Reader, bound, targets_of

ENUMS = ("Enum", "Flag")  # how the names of Python's own end: auto() counts the members
REGISTRY = "Registry"  # a table made by a class of this name: each of its entries is a definition of its own


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
        nodes, reader = list(nodes), Reader(package, members)
        for node in nodes:
            reader.visit(node)
        # one renamed import can mean one thing only; of two it must be told which is which
        told = repr(sorted(reader.renamed)) if len(reader.renamed) > 1 else ""
        return cls(essence(nodes) + told, frozenset(reader.names), frozenset(reader.attributes))


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
            names = assigned(statement)
            if not names and not is_silent(statement):
                loose.append(statement)
            for name in names:
                members.setdefault(name, []).append(statement)
        structured = [d for d in node.decorator_list if "dataclass" in chain(callee(d))]
        by_name = any(k.arg == "kw_only" for d in structured for k in getattr(d, "keywords", []))
        fields = [s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
        outer = [*node.decorator_list, *node.bases, *node.keywords, *loose]
        above = [chain(base.value if isinstance(base, ast.Subscript) else base) for base in node.bases]
        is_tuple = any(base[-1:] == ("NamedTuple",) for base in above)
        order = tuple(fields) if is_tuple or (structured and not by_name) else ()
        found = {
            name: cls._member(some, package, members)
            for name, some in members.items()
            if structured or is_tuple or any(not is_silent(s) for s in some)
        }
        ordered = order or (tuple(members) if any(base and base[-1].endswith(ENUMS) for base in above) else ())
        for place, name in enumerate(ordered):  # T(1, 2) means what the order of the fields says
            if place and isinstance(found.get(name), Code):
                found[name] = replace(found[name], text=f"{found[name].text} after {ordered[:place]}")
        return cls(Code.of(outer, package, members), found, [base or None for base in above], order)

    @classmethod
    def _member(cls, nodes: list[ast.AST], package: str, members: Collection[str]) -> Code | Class:
        if len(nodes) == 1 and isinstance(nodes[0], ast.ClassDef):
            return cls.of(nodes[0], package)
        return Code.of(nodes, package, members)


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
                for name, target in targets_of(node, self.package):
                    self.imports.setdefault(name, []).append(target)
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in chain(node.test):
                self._read(node.orelse)
            elif isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
                continue
            elif names := assigned(node):
                for name in names:
                    self.nodes.setdefault(name, []).append(node)
            elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):  # TABLE["x"] = …: a part of TABLE
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    self._changes(node, target)
            elif isinstance(node, ast.Expr):
                self._call(node)
            elif isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While | ast.Match):
                own, imported = bound([node], self.package)
                for name, target in imported.items():
                    self.imports.setdefault(name, []).append(target)
                own |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and part.id in self.nodes}
                for name in own:  # also what it may change: all that it names
                    self.nodes.setdefault(name, []).append(node)
                if (not own and not imported) or _reaches_beyond(node, own):
                    self.effects.append(node)
            elif not is_silent(node):
                self.effects.append(node)

    def _call(self, node: ast.Expr) -> None:
        if is_silent(node):
            return
        call = node.value
        parts = chain(call.func) if isinstance(call, ast.Call) else ()
        adds = len(parts) > 1 and parts[-1] == "add" and len(call.args) > 1 and isinstance(call.args[0], ast.Constant)
        if adds and (parts[0] not in self.nodes or is_registry(self.nodes[parts[0]])):
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


def assigned(statement: ast.AST) -> list[str]:
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


def is_registry(nodes: list[ast.AST]) -> bool:
    return any(isinstance(n, ast.Assign | ast.AnnAssign) and chain(callee(n.value))[-1:] == (REGISTRY,) for n in nodes)


def _reaches_beyond(node: ast.AST, own: Collection[str]) -> bool:
    """A loop or a condition that changes something of another name than these: ``torch.backends.x = …``, ``a.b(…)``."""
    for part in ast.walk(node):
        changed = part.value.func if isinstance(part, ast.Expr) and isinstance(part.value, ast.Call) else part
        if changed is part and not (
            isinstance(part, ast.Attribute | ast.Subscript) and isinstance(part.ctx, ast.Store)
        ):
            continue
        while isinstance(changed, ast.Attribute | ast.Subscript):
            changed = changed.value
        if not (isinstance(changed, ast.Name) and changed.id in own):
            return True
    return False
