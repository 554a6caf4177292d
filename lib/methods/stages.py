"""The training steps of a method: which parts learn, for how long, at what rate. Data, part of a run's identity."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Constant:
    """The same rate throughout."""

    def factor(self, epoch: float, epochs: int) -> float:
        """What the stage's learning rate is multiplied by, ``epoch`` in [0, epochs) counted in fractions."""
        return 1.0


@dataclass(frozen=True)
class Step:
    """Divide the rate at given epochs: factor = gamma ^ (number of epochs in ``at`` that have been reached)."""

    at: tuple[int, ...]
    gamma: float = 0.1

    def factor(self, epoch: float, epochs: int) -> float:
        return self.gamma ** sum(epoch >= start for start in self.at)


@dataclass(frozen=True)
class Cosine:
    """factor = f + (1 - f) (1 + cos(pi t)) / 2 with t from 0 to 1 over the stage and f = ``final``."""

    final: float = 0.01

    def factor(self, epoch: float, epochs: int) -> float:
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(1.0, epoch / epochs)))


@dataclass(frozen=True)
class Warmup:
    """Rise in a straight line from ``start`` to 1 over the first ``epochs``, times what follows (Luo et al. 2019)."""

    epochs: float
    then: Constant | Step | Cosine = Constant()
    start: float = 0.1

    def factor(self, epoch: float, epochs: int) -> float:
        rise = 1.0 if epoch >= self.epochs else self.start + (1 - self.start) * epoch / self.epochs
        return rise * self.then.factor(epoch, epochs)


@dataclass(frozen=True)
class Stage:
    """One training step.

    Parameters
    ----------
    epochs : passes over the training images.
    trains : names of the sub-modules that learn; ``""`` is the whole method. All others are frozen: no gradient, and
        in evaluation mode, so that their batch statistics stay as they are.
    optimizer : ``"adam"``, ``"adamw"`` or ``"sgd"`` (with ``momentum``).
    lr, weight_decay : at a schedule factor of 1. Normalisation layers and biases are decayed like the rest.
    lr_multipliers : factors on ``lr`` by sub-module name, the longest matching name wins (SING's tiny SR rate).
    schedule : an object with ``factor(epoch, epochs)``; the rate is set before every optimiser step.
    weights : factor of each named loss term; a term that is not named counts 1, and a name that is no term's is an
        error. The sum is minimised.
    identities, images : P identities with K images each in a batch.
    clip : largest norm of the gradient, or None.
    """

    name: str
    epochs: int
    trains: tuple[str, ...] = ("",)
    optimizer: str = "adam"
    lr: float = 3.5e-4
    weight_decay: float = 5e-4
    momentum: float = 0.9
    lr_multipliers: dict[str, float] = field(default_factory=dict)
    schedule: Constant | Step | Cosine | Warmup = Constant()
    weights: dict[str, float] = field(default_factory=dict)
    identities: int = 16
    images: int = 4
    clip: float | None = None

    def __post_init__(self):
        if self.epochs < 0 or self.identities < 1 or self.images < 1:
            raise ValueError(
                f"stage {self.name!r} needs epochs >= 0 and batches of at least one identity and one image"
            )
        if self.optimizer not in ("adam", "adamw", "sgd"):
            raise ValueError(f"stage {self.name!r}: unknown optimizer {self.optimizer!r}; known: adam, adamw, sgd")


@dataclass(frozen=True)
class Solve:
    """A training step in closed form: the loop gives ``method.solve`` all training images once, as they are."""

    name: str
    epochs: int = 0  # nothing is descended


def describe(value: object) -> object:
    """Stages, schedules, augmentations … as JSON-able data; a dataclass carries its class name.

    What has its default is left out: a new field that nobody sets makes no other run, and what a default is belongs to
    the code, which a run knows as well.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        told = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if not _has_default(value, f)}
        return {"kind": type(value).__name__, **{name: describe(item) for name, item in told.items()}}
    if isinstance(value, dict):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [describe(v) for v in value]
    return value


def _has_default(value: object, field: dataclasses.Field) -> bool:
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    return default is not dataclasses.MISSING and getattr(value, field.name) == default
