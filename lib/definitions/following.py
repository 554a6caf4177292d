"""The walk from some definitions to all that they use, in the package's files.

A definition is looked at when it is reached, a member of a class only when somebody used its name: ``waiting`` holds
the others until the end. So the walk goes on until nothing new is named.
"""

from __future__ import annotations

import builtins
import enum
import functools
import hashlib
import importlib
from collections.abc import Callable, Collection, Iterable

from lib.definitions.errors import UnknownDefinition
from lib.definitions.files import Package, is_ours
from lib.definitions.reading import Class, Code, Module, is_registry

DIGITS = 16  # of a definition's hash
SHOWN = ("__repr__", "__str__", "_repr_html_")  # what an object looks like


class Follower:
    """Definitions reached so far, and what is still to be looked at.

    aside : names of definitions and modules that are not followed. whole_registries : all entries of every registry
    that is reached, and nothing is imported.
    """

    def __init__(self, package: Package, aside: Collection[str], whole_registries: bool):
        self.package, self.aside, self.whole_registries = package, frozenset(aside), whole_registries
        self.found: dict[str, str] = {}
        self.used: set[str] = set()
        self.waiting: dict[str, Callable[[], None]] = {}  # members of classes that nobody has used so far
        self.outside: dict[str, list[object] | None] = {}  # classes: bases of other packages; None: not known
        self.pending: list[Callable[[], None]] = []
        self.seen: set[object] = set()
        self.tables: dict[str, list[tuple[str, str]]] | None = None

    def run(self) -> dict[str, str]:
        """{definition: hash} of all that was reached from what was asked for."""
        while True:
            while self.pending:
                self.pending.pop()()
            ready = [name for name in self.waiting if name.rpartition(".")[2] in self.used]
            if not ready:
                return dict(sorted(self.found.items()))
            self.pending += [self.waiting.pop(name) for name in ready]

    def keep(self, name: str, *parts: str) -> None:
        """Note the hash of a definition: of its text, and of what the names in it mean."""
        text = "\0".join(parts)
        self.found[name] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]

    def ours(self, module: str, name: str, asked: bool = False) -> None:
        """A definition of the package: ``name`` of ``module``, where it is defined or imported.

        asked : UnknownDefinition where there is none.
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
        """What a module does when it is imported."""
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

    def ours_or_all(self, module: str, name: str | None, rest: tuple[str, ...]) -> None:
        """What ``walk`` found: a definition and the attribute that is asked of it, or a whole module."""
        if name is None:
            self.everything(module)
        else:
            self.ours(module, ".".join([name, *rest[:1]]))

    def _read(self, source: Module, name: str) -> None:
        code, key = source.code(name), f"{source.name}.{name or '<module>'}"
        names, base = functools.partial(self.names, source), functools.partial(self._base, source)
        if isinstance(code, Class):
            self.add_class(key, code, names, base)
            return
        self.add_code(key, code, names)
        if self.whole_registries and name in source.nodes and is_registry(source.nodes[name]):
            for module, entry in self.entries_of(key):
                self.ours(module, entry)

    def add_class(self, key: str, code: Class, names: Callable, base: Callable[[tuple], list[object] | None]) -> None:
        """A class' head, and its members as far as they count.

        names : follows chains. base : the classes of other packages above a base, or None where they are not known.
        """
        self.add_code(key, code.head, names)
        above = [None if parts is None else base(parts) for parts in code.bases]
        outside = None if None in above else [kind for some in above for kind in some]
        self.outside[key] = outside
        takes = {}
        for member, inside in code.members.items():
            work = functools.partial(self.add_class, base=base) if isinstance(inside, Class) else self.add_code
            takes[member] = functools.partial(work, f"{key}.{member}", inside, names)
        for member, take in takes.items():
            if member in code.order:
                take = functools.partial(_all, [takes[field] for field in code.order[: code.order.index(member) + 1]])
            special = member.startswith("__") and member.endswith("__") and member not in SHOWN
            if special or outside is None or any(hasattr(kind, member) for kind in outside):
                self.pending.append(take)
            else:
                self.waiting[f"{key}.{member}"] = take

    def add_code(self, key: str, code: Code, names: Callable[[Iterable[tuple[str, ...]]], list[str]]) -> None:
        """A piece of code, and what it names."""
        self.keep(key, code.text, *names(code.names))
        self.used |= code.attributes

    def _base(self, source: Module, base: tuple[str, ...]) -> list[object] | None:
        """The classes of other packages above a base; None where they are not known."""
        module, name, rest = self._resolve(source, base)
        if module is None:
            found = getattr(builtins, base[0], None)
            return [found] if isinstance(found, type) and found is not tuple else None
        if not is_ours(module):
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
            if parts[0] in source.nodes:
                self.ours(source.name, ".".join(parts[:2]))
            elif parts[0] not in source.imports:
                for star in source.imports.get("*", ()):
                    self.ours(star[1], ".".join(parts[:2]))
            if parts[0] != "from" and parts[0] not in source.imports:
                continue
            targets = [parts] if parts[0] == "from" else [(*t, *parts[1:]) for t in source.imports[parts[0]]]
            for target in targets:
                module, name, rest = self.walk(target)
                meant.append(f"{parts[0]}={module}.{name or ''}")
                if is_ours(module):
                    self.ours_or_all(module, name, rest)
        return meant

    def _resolve(self, source: Module, parts: tuple[str, ...]) -> tuple[str | None, str | None, tuple[str, ...]]:
        """(module, name in it, further attributes) of a chain as ``source`` sees it, through re-exports."""
        if parts[0] == "from":
            return self.walk(parts)
        if parts[0] in source.nodes:
            return source.name, parts[0], parts[1:]
        if parts[0] in source.imports:
            return self.walk((*source.imports[parts[0]][0], *parts[1:]))
        return None, None, ()

    def walk(self, target: tuple[str, ...]) -> tuple[str, str | None, tuple[str, ...]]:
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
                return self.walk(onward)
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


def _all(work: list[Callable[[], None]]) -> None:
    for step in work:
        step()
