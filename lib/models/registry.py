"""Tables of networks by name, to which every network's own file adds its entries.

A table names no network: a new entry is nobody's business but its own. What was made by an entry says so in
``made_by``, and with it a run depends on the entries of its own networks only (``lib.definitions``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from torch import nn


class Entry(NamedTuple):
    """How a network is made: ``factory(*arguments, **options)``. place : "module:TABLE[name]", for a run's key."""

    place: str
    factory: Callable[..., nn.Module]
    arguments: tuple
    options: dict


class Registry(Mapping[str, Callable[..., nn.Module]]):
    """A table of networks: ``TABLE = Registry("TABLE", "kind of network")``, then ``TABLE.add("name", Class, …)``."""

    def __init__(self, name: str, kind: str):
        """``name``: of the variable that holds it. ``kind``: what an error calls the entries."""
        self.name, self.kind = name, kind
        self.entries: dict[str, Entry] = {}

    def add(self, name: str, factory: Callable[..., nn.Module], /, *arguments: object, **options: object) -> None:
        """An entry, at the top of the module that defines the network; ValueError for a name that is taken."""
        if name in self.entries:
            raise ValueError(f"there is a {self.kind} {name!r} already ({self.entries[name].place})")
        module = sys._getframe(1).f_globals["__name__"]
        self.entries[name] = Entry(f"{module}:{self.name}[{name}]", factory, arguments, options)

    def create(self, name: str, /, *arguments: object, **options: object) -> nn.Module:
        """The network of an entry; the options given here beat its own. ValueError for a name that has no entry."""
        if name not in self.entries:
            raise ValueError(f"unknown {self.kind} {name!r}; known: {', '.join(sorted(self.entries))}")
        entry = self.entries[name]
        network = entry.factory(*entry.arguments, *arguments, **{**entry.options, **options})
        for part in network.modules():  # parts may come to stand in another network
            part.made_by = (entry.place, *made_by(part))
        return network

    def __getitem__(self, name: str) -> Callable[..., nn.Module]:
        return self.entries[name].factory

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def made_by(network: nn.Module) -> tuple[str, ...]:
    """The places of the entries that made a network, the last first; () where it was made without one."""
    return getattr(network, "made_by", ())


BACKBONES = Registry("BACKBONES", "backbone")
SUPERRES = Registry("SUPERRES", "super-resolution network")
