"""Which names a piece of code takes from outside: each in the scope where Python would look for it."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from lib.definitions.essence import chain, is_silent, is_warning


class Scope(NamedTuple):
    """A function, a class or a comprehension: names that are bound in it, and what those mean that it imports."""

    own: set[str]
    imported: dict[str, tuple[str, ...]]
    of_class: bool = False  # its names are not seen from the functions inside of it


class Reader(ast.NodeVisitor):
    """Collects what a piece of code names.

    package : of the module, for relative imports. members : names of the class whose body the code stands in.
    names : chains that begin outside of the code. attributes : see ``lib.definitions.reading.Code``. renamed : what the
    code itself imports under another name, (name here, target).
    """

    def __init__(self, package: str, members: Collection[str] = ()):
        self.package, self.members = package, frozenset(members)
        self.scopes: list[Scope] = []
        self.names: set[tuple[str, ...]] = set()
        self.attributes: set[str] = set()
        self.renamed: set[tuple[str, tuple[str, ...]]] = set()

    def _name(self, parts: tuple[str, ...]) -> None:
        for depth, scope in enumerate(reversed(self.scopes)):
            if scope.of_class and depth > 0:
                continue
            if parts[0] in scope.imported:
                target = scope.imported[parts[0]]
                if target[-1] != parts[0]:
                    self.renamed.add((parts[0], target))
                self.names.add((*target, *parts[1:]))
                return
            if parts[0] in scope.own and not scope.of_class:  # in a class `x = x` takes the other x from outside
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

    def visit_MatchClass(self, node: ast.MatchClass) -> None:
        self.attributes.update(node.kwd_attrs)
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        pass

    def visit_Assert(self, node: ast.Assert) -> None:
        self.visit(node.test)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not is_silent(node) and not is_warning(node):
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
        self.scopes.append(Scope(own, {}))
        for number, generator in enumerate(node.generators):
            for part in ([] if number == 0 else [generator.iter]) + [generator.target, *generator.ifs]:
                self.visit(part)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(part)
        self.scopes.pop()

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp

    def _inside(self, body: list[ast.AST], arguments: set[str], of_class: bool = False) -> None:
        own, imported = bound(body, self.package)
        self.scopes.append(Scope(own | arguments, imported, of_class))
        for statement in body:
            self.visit(statement)
        self.scopes.pop()


def _arguments(arguments: ast.arguments) -> set[str]:
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    return {argument.arg for argument in every if argument}


def bound(body: Iterable[ast.AST], package: str) -> tuple[set[str], dict[str, tuple[str, ...]]]:
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
            imported |= dict(targets_of(node, package))
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


def targets_of(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, tuple[str, ...]]]:
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
