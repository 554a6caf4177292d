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

How it is done, a module each, from the left to the right:

    essence  ◄──  scopes       ◄──  reading      ◄──  files           ◄──  following     ◄──  living
    what of       which names       definitions       of our package,      the walk from      through objects
    a text        come from         of a module       as on disk or        name to name       in memory
    counts        outside                             as imported                             (objects, texts)

``definitions`` gives {definition: hash}, ``total`` one hash for all. Two runs with the same total ran the same code.
"""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path

from lib.definitions.errors import CodeChanged, UnknownDefinition
from lib.definitions.essence import essence
from lib.definitions.files import LOADED, PACKAGE, ROOT, Package
from lib.definitions.following import Follower
from lib.definitions.living import Living
from lib.definitions.objects import name_of
from lib.definitions.reading import Code, Module


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
    named = all(isinstance(start, str) for start in starts)
    before = _of_names(tuple(starts), tuple(entries), tuple(aside)) if named else _loaded(starts, entries, aside)
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
    return dict(before)


def definitions_of_text(text: str, aside: Iterable[object] = (), root: Path = ROOT) -> dict[str, str]:
    """As ``definitions``, for a script or the code cells of a notebook, which is read and not run: what it uses of the
    package. More rather than less: all entries of every registry that it reaches, and all members of classes with a
    base of another package, since nothing is imported for it. SyntaxError for a text that is no Python."""
    follower = Follower(Package(root), [_name(some) for some in aside], whole_registries=True)
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


def _name(value: object) -> str:
    if isinstance(value, types.ModuleType):
        return value.__name__
    return value if isinstance(value, str) else name_of(value) or repr(value)


def _loaded(starts: Iterable[object], entries: Iterable[str], aside: Iterable[str]) -> dict[str, str]:
    return _follow(Package(texts=LOADED), list(starts), list(entries), list(aside))


@functools.lru_cache(maxsize=256)  # of names alone: what was imported stays as it is, and each table asks for its own
def _of_names(starts: tuple[str, ...], entries: tuple[str, ...], aside: tuple[str, ...]) -> Mapping[str, str]:
    return types.MappingProxyType(_loaded(starts, entries, aside))


def _follow(package: Package, starts: list[object], entries: list[str], aside: list[str]) -> dict[str, str]:
    follower = Follower(package, aside, whole_registries=False)
    living = Living(follower)
    for start in starts:
        if isinstance(start, str):
            follower.ours(*_place(package, start), asked=True)
        else:
            living.value(start)
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
