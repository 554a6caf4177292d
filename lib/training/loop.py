"""The one training loop: stages, named loss terms, any precision, any number of processes, resumable at any step.

Nothing in a step waits for the device: loss terms are added up as tensors and read once an epoch, so that a GPU is
never idle while Python looks at a number.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lib.data.augmentation import NOTHING
from lib.data.batches import Batch, TrainingBatches
from lib.data.canvases import Canvases
from lib.methods.method import Method
from lib.methods.stages import Solve, Stage
from lib.methods.work import work_of
from lib.threads import few_threads
from lib.training.distributed import ALONE, World, shared_batch_statistics
from lib.training.optim import create_optimizer, select_trainable, set_rate
from lib.training.precision import autocast
from lib.training.progress import Progress
from lib.training.randomness import random_states, set_random_states

if TYPE_CHECKING:
    from lib.data.protocol import Protocol

INSTEAD = "use a method that needs one side only, such as 'sing-everywhere' or 'baseline'."
SOLVE_BATCH = 128  # images that a closed-form step is given at a time
CHECK_EVERY = {"cpu": 1, "cuda": 50}  # steps between looks at the loss terms: free on the CPU, a wait on the GPU


class NonFiniteLoss(FloatingPointError):
    """A loss term became infinite or NaN; the message names stage, epoch, step and term."""


@dataclass
class Place:
    """How far a training is: all but tensors and generators of what a checkpoint holds."""

    stage: int = 0
    epoch: int = 0
    step: int = 0  # in the epoch
    total_steps: int = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    history: list[dict] = field(default_factory=list)


class Terms(nn.Module):
    """``method.losses`` as a forward pass, which is what DistributedDataParallel can wrap."""

    def __init__(self, method: Method):
        super().__init__()
        self.method = method

    def forward(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        return self.method.losses(batch, stage)


def check_terms(who: str, terms: object, stage: Stage) -> None:
    """Refuse losses that cannot be summed, or are not weighted as the stage says.

    TypeError where they are no scalars by name; ValueError where nothing is learned from any of them, and for a weight
    that is no term's.
    """
    if not isinstance(terms, Mapping) or not all(isinstance(v, Tensor) and v.ndim == 0 for v in terms.values()):
        raise TypeError(
            f"{who}: losses(batch, stage) returns {{name: a tensor of one number}}, such as a mean over the batch"
        )
    if not any(value.requires_grad for value in terms.values()):
        raise ValueError(
            f"{who}, stage {stage.name!r}: none of the loss terms ({', '.join(terms) or 'there are none'}) depends on "
            f"what the stage trains: {', '.join(part or 'all parts' for part in stage.trains)}"
        )
    if unknown := sorted(set(stage.weights) - set(terms)):
        raise ValueError(
            f"{who}, stage {stage.name!r}: weights of {', '.join(unknown)}, but the loss terms are {', '.join(terms)}"
        )


class Trainer:
    """Trains a method that has been set up, in place.

    Parameters
    ----------
    save : called with (step, content) when a checkpoint is due, in process 0; ``content`` is what ``resume`` takes.
    log : called with the history (a list of rows) after every epoch, in process 0.
    checkpoint_seconds, checkpoint_steps : a checkpoint is due after so much time or so many steps.
    """

    def __init__(
        self,
        method: Method,
        protocol: Protocol,
        seed: int,
        device: torch.device,
        precision: str,
        world: World = ALONE,
        accumulate: int = 1,
        compile: bool = False,
        save: Callable[[int, dict], object] | None = None,
        log: Callable[[list[dict]], object] | None = None,
        checkpoint_seconds: float = 60.0,
        checkpoint_steps: int | None = None,
        progress: bool = False,
    ):
        rows = protocol.rows("train")
        self.method, self.rows, self.seed = method, rows.assign(low=protocol.is_low(rows)), seed
        if method.two_sides:
            remedy = "Take a preset that degrades one side, such as 'mlr' (lr_camera=… says which), or "
            protocol.check_sides(method.name, remedy + INSTEAD)
        self.device, self.precision, self.world = device, precision, world
        self.accumulate, self.compile, self.progress = accumulate, compile, progress
        self.save, self.log = save, log
        self.checkpoint_seconds, self.checkpoint_steps = checkpoint_seconds, checkpoint_steps
        self.never = frozenset(name for name, p in method.named_parameters() if not p.requires_grad)
        method.to(device, memory_format=torch.channels_last)
        self.canvases = Canvases(protocol, method.canvas, device, method.enlargement)
        self.place = Place()
        self.pending: dict | None = None  # a checkpoint's tensors, until the stage they belong to has been built

    def resume(self, content: dict) -> None:
        """Go on from a checkpoint's content."""
        self.place = Place(**content["place"])
        self.method.load_state_dict(content["method"])
        self.pending = content

    def run(self) -> Place:
        """Train the rest of all stages; the method is left in evaluation mode."""
        stages = self.method.stages
        bar = Progress(self.progress and self.world.first, *self._images(stages))
        fastest = torch.backends.cudnn.flags(enabled=True, benchmark=True)  # shapes stay the same: try and keep
        threads = few_threads(work_of(self.method)) if self.device.type == "cpu" else contextlib.nullcontext()
        with bar, threads, fastest, shared_batch_statistics(self.method, self.world.size, self.device):
            for index in range(self.place.stage, len(stages)):
                if isinstance(stages[index], Solve):
                    self._solve(stages[index])
                else:
                    self._stage(index, bar)
                self.place.stage, self.place.epoch = index + 1, 0
        self.method.eval().requires_grad_(True)
        for name, parameter in self.method.named_parameters():
            parameter.requires_grad_(name not in self.never)
        return self.place

    def _images(self, stages: list[Stage | Solve]) -> tuple[int, int]:
        """Images of all stages together, and how many of them were given before this place."""
        counts = []  # of each stage, and of one epoch of it
        for stage in stages:
            batches = None if isinstance(stage, Solve) else self._batches(stage, 0)
            epoch = 0 if batches is None else len(batches) * batches.batch_size
            counts.append((stage.epochs * epoch, epoch))
        at, total = self.place.stage, sum(whole for whole, _ in counts)
        before = sum(whole for whole, _ in counts[:at])
        return total, before + (self.place.epoch * counts[at][1] if at < len(counts) else 0)

    def _batches(self, stage: Stage, index: int) -> TrainingBatches:
        return TrainingBatches(
            self.canvases,
            self.rows,
            self.method.augmentation,
            stage.identities,
            stage.images,
            seed=self.seed * 1000 + index,
            share=(self.world.rank, self.world.size),
            pieces=self.accumulate,
        )

    def _solve(self, stage: Solve) -> None:
        """Every process solves the same: the images are few and the result must not depend on their number."""
        batches = TrainingBatches(self.canvases, self.rows, NOTHING, seed=self.seed)
        start = time.perf_counter()
        with torch.no_grad():
            self.method.eval().solve(batches.still(SOLVE_BATCH), stage)
        self.place.seconds += time.perf_counter() - start
        self.place.total_steps += 1

    def _stage(self, index: int, bar: Progress) -> None:
        stage, place = self.method.stages[index], self.place
        select_trainable(self.method, stage, self.never)
        self.batches = self._batches(stage, index)
        self.optimizer = create_optimizer(self.method, stage)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.sums = self.names = None
        if self.pending is not None:
            self._restore(self.pending)
            self.pending = None
        forward = self._wrapped()
        clock = Clock(place)
        for epoch in range(place.epoch, stage.epochs):
            place.epoch = epoch
            for pieces in self.batches.epoch(epoch, place.step):
                set_rate(self.optimizer, stage, epoch + place.step / len(self.batches))
                self._step(forward, pieces, stage)
                place.step += 1
                place.total_steps += 1
                bar.step(self.batches.batch_size)
                if place.step % CHECK_EVERY.get(self.device.type, 1) == 0:
                    self._check(stage)
                if self._due(clock):
                    self._checkpoint(stage, clock)
            self._end_epoch(stage, clock, bar)

    def _wrapped(self) -> Callable[[Batch, Stage], dict[str, Tensor]]:
        """The forward pass, compiled and distributed as asked for."""
        if self.compile:
            for child in self.method.children():
                child.compile()
        terms = Terms(self.method)
        if self.world.size == 1:
            return terms
        ids = [self.device.index] if self.device.type == "cuda" else None
        # a stage may leave parts without a gradient, and so may a share of a batch without an image of one side
        return DistributedDataParallel(terms, device_ids=ids, find_unused_parameters=True)

    def _step(self, forward: Callable, pieces: list[Batch], stage: Stage) -> None:
        """One optimiser step on a whole batch, given in pieces."""
        values = 0.0
        for number, batch in enumerate(pieces):
            last = number == len(pieces) - 1
            quiet = contextlib.nullcontext() if last or self.world.size == 1 else forward.no_sync()
            with quiet:
                with autocast(self.precision, self.device):
                    terms = forward(batch, stage)
                if self.names is None:
                    check_terms(self.method.name, terms, stage)
                total = sum(stage.weights.get(name, 1.0) * value.float() for name, value in terms.items())
                self.scaler.scale(total / len(pieces)).backward()
            values = values + torch.stack([v.detach().float() for v in (*terms.values(), total)]) / len(pieces)
        if stage.clip is not None:
            self.scaler.unscale_(self.optimizer)
            learning = [p for group in self.optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(learning, stage.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.names is None:
            self.names = [*terms, "total"]
            self.sums = torch.zeros_like(values, dtype=torch.float64)
            self.first_bad = torch.zeros_like(values)  # step of the epoch, counted from 1; 0 = none
        self.sums += values
        now = float(self.place.step + 1)
        self.first_bad = torch.where((self.first_bad == 0) & ~values.isfinite(), now, self.first_bad)

    def _check(self, stage: Stage) -> None:
        """Raise NonFiniteLoss where a term has been infinite or NaN in this epoch."""
        bad = self.first_bad.tolist()
        if any(bad):
            first = min(step for step in bad if step)
            names = [n for n, step in zip(self.names, bad, strict=True) if step == first and n != "total"] or ["total"]
            raise NonFiniteLoss(
                f"{self.method.name}, stage {stage.name!r}, epoch {self.place.epoch + 1}, step {int(first)}: "
                f"loss term {', '.join(map(repr, names))} is not finite; a smaller learning rate, a warm-up, "
                "gradient clipping (Stage.clip) or precision='fp32' usually helps"
            )

    def _end_epoch(self, stage: Stage, clock: Clock, bar: Progress) -> None:
        place = self.place
        self._check(stage)
        means = (self.world.mean(self.sums) / place.step).tolist()
        clock.read()
        rate = stage.lr * stage.schedule.factor(place.epoch + (place.step - 1) / len(self.batches), stage.epochs)
        row = {"stage": stage.name, "epoch": place.epoch + 1, "steps": place.step, "lr": rate}
        row |= dict(zip(self.names, means, strict=True))
        row |= {"images_per_second": place.step * self.batches.batch_size / place.epoch_seconds}
        row |= {"seconds": place.seconds}
        place.history.append(row)
        place.epoch, place.step, place.epoch_seconds = place.epoch + 1, 0, 0.0
        self.sums = self.names = None
        if self.world.first and self.log is not None:
            self.log(place.history)
        bar.epoch(row)

    def _due(self, clock: Clock) -> bool:
        if self.save is None:
            return False
        by_steps = self.checkpoint_steps and self.place.total_steps % self.checkpoint_steps == 0
        return bool(by_steps) or clock.since_save() >= self.checkpoint_seconds

    def _checkpoint(self, stage: Stage, clock: Clock) -> None:
        self._check(stage)  # weights that a bad loss has spoilt are not worth keeping
        clock.read()
        if self.world.first:
            self.save(self.place.total_steps, self._content())
        clock.saved()

    def _content(self) -> dict:
        return {
            "place": dict(vars(self.place)),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": random_states(),
            "names": self.names,
            "sums": self.sums,
        }

    def _restore(self, content: dict) -> None:
        self.optimizer.load_state_dict(content["optimizer"])
        self.scaler.load_state_dict(content["scaler"])
        if content["names"] is not None:
            self.names, self.sums = content["names"], content["sums"].to(self.device)
            self.first_bad = torch.zeros(len(self.names), device=self.device)
        set_random_states(content["random"])


class Clock:
    """Adds the time since the last look to the place."""

    def __init__(self, place: Place):
        self.place = place
        self.last = self.last_save = time.perf_counter()

    def read(self) -> None:
        now = time.perf_counter()
        self.place.seconds += now - self.last
        self.place.epoch_seconds += now - self.last
        self.last = now

    def since_save(self) -> float:
        return time.perf_counter() - self.last_save

    def saved(self) -> None:
        self.last_save = time.perf_counter()
