"""The progress bar: images done of all stages, images per second, time left, the last epoch's losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tqdm import tqdm

from lib.data.batches import IdentitySampler
from lib.methods.stages import Solve, Stage

if TYPE_CHECKING:
    from lib.training.loop import Place


class Progress:
    """A tqdm bar over the images of a whole training, or nothing when ``show`` is False."""

    def __init__(self, show: bool, stages: Sequence[Stage | Solve], labels: Sequence[int], place: Place):
        images = [0]  # in an epoch of each stage
        for stage in stages:
            if isinstance(stage, Solve):
                images.append(0)
                continue
            sampler = IdentitySampler(labels, stage.identities, stage.images)
            images.append(stage.epochs * len(sampler) * sampler.identities * sampler.images)
        done = sum(images[: place.stage + 1])
        if place.stage < len(stages) and (epochs := stages[place.stage].epochs):
            done += images[place.stage + 1] * place.epoch // epochs
        self.bar = tqdm(
            total=sum(images), initial=done, unit="img", unit_scale=True, desc="training", leave=False,
            disable=not show, mininterval=0.5, dynamic_ncols=True,
        )  # fmt: skip

    def step(self, images: int) -> None:
        self.bar.update(images)

    def epoch(self, row: dict) -> None:
        self.bar.set_description(f"{row['stage']} {row['epoch']}", refresh=False)
        self.bar.set_postfix_str(f"loss {row['total']:.3f}", refresh=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()
