"""The code that a run depends on: where ``lib.definitions`` begins for a method and a protocol."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lib.data.dataset import PersonDataset
from lib.data.protocol import Protocol
from lib.definitions import definitions, name_of, total
from lib.methods.method import Method
from lib.models.registry import made_by
from lib.training.loop import Trainer
from lib.training.progress import Progress
from lib.training.randomness import seeded

# what somebody calls on a method or a protocol without saying its class
CALLED = [
    vars(Method)[name]
    for name in ("setup", "losses", "solve", "embed", "distance", "features", "recipe")
    if name in vars(Method)
]
ALWAYS = (Trainer.run, Trainer.resume, seeded, Protocol.from_manifest, Protocol.rows, *CALLED)
LOADING = "lib.training.weights.load_first_weights"  # by name: it asks here for the code of a pre-training
ALWAYS += (LOADING,)
# what draws a bar, and what makes first weights: they are known by a fingerprint of their own
ASIDE = (Progress, "lib.training.pretrain", "lib.training.pedestrians", "lib.training.shipped")


@dataclass(frozen=True)
class Code:
    """The code of one run.

    starts, entries : where we began, by name ("" for what is not of this package), so that anybody can begin there
    again. definitions : {definition: hash}, see ``lib.definitions``.
    """

    starts: tuple[str, ...]
    entries: tuple[str, ...]
    definitions: dict[str, str]

    @property
    def sha256(self) -> str:
        return total(self.definitions)

    def as_data(self) -> dict:
        return {
            "starts": list(self.starts),
            "entries": list(self.entries),
            "definitions": dict(sorted(self.definitions.items())),
        }


def code_of(method: Method, protocol: Protocol | None = None, root: Path | None = None) -> Code:
    """All code that decides the weights of a method that has been set up and is trained on a protocol (None: on any),
    and how its descriptors are made and compared.

    root : the folder of another copy of the package, whose text is read instead.
    """
    layers = list(method.modules())
    kinds = {type(layer) for layer in layers}
    # the same set may be in memory or on disk: where it is decides nothing, so all kinds count always
    kinds |= {Protocol, *_with_subclasses(PersonDataset)}
    kinds |= set() if protocol is None else {type(protocol), type(protocol.dataset)}
    starts = [*sorted(kinds, key=lambda kind: (kind.__module__, kind.__qualname__)), *ALWAYS]
    entries = sorted({place for layer in layers for place in made_by(layer)})
    found = definitions(*starts, entries=entries, aside=ASIDE, root=root)
    names = {start if isinstance(start, str) else name_of(start) or "" for start in starts}
    return Code(tuple(sorted(names - {""})), tuple(entries), found)


def _with_subclasses(kind: type) -> set[type]:
    """A class and those of this package that are made from it."""
    ours = [some for some in kind.__subclasses__() if name_of(some)]
    return {kind}.union(*map(_with_subclasses, ours))


def code_again(starts: Iterable[str], entries: Iterable[str]) -> dict[str, str]:
    """{definition: hash} of today's code, from where a recorded run began."""
    return definitions(*starts, entries=entries, aside=ASIDE)
