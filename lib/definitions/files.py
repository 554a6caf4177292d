"""The package's own modules as text: from their files, or as they were when this one was imported.

Python runs the text that it imported, whatever happens to the file afterwards: ``LOADED`` remembers it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from lib.definitions.reading import Module

ROOT = Path(__file__).resolve().parents[2]  # the folder that holds the package
PACKAGE = __name__.partition(".")[0]


def is_ours(module: str) -> bool:
    """A module of the package, by its name."""
    return module == PACKAGE or module.startswith(f"{PACKAGE}.")


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
        for file, is_package in ((path / "__init__.py", True), (path.with_suffix(".py"), False)):
            try:
                state = file.stat()
                return _text(file, state.st_mtime_ns, state.st_size), is_package
            except (FileNotFoundError, NotADirectoryError):
                continue
        return None

    def module(self, name: str) -> Module | None:
        """A module, or None where the package has none of this name."""
        if name not in self.modules:
            found = self.read(name) if is_ours(name) else None
            self.modules[name] = None if found is None else _module(name, *found)
        return self.modules[name]


@functools.lru_cache(maxsize=1024)  # every table that is read asks for all files
def _text(file: Path, changed: int, size: int) -> str:
    return file.read_text(encoding="utf-8")


@functools.lru_cache(maxsize=1024)
def _module(name: str, text: str, is_package: bool) -> Module:
    return Module(name, text, is_package)


LOADED = {name: Package().read(name) for name in Package().names()}  # before anybody edits it
