"""The progress bar: images done of all stages, images per second, time left, the last epoch's losses."""

from __future__ import annotations

from tqdm import tqdm


class Progress:
    """A tqdm bar over the images of a whole training, or nothing when ``show`` is False.

    total, done : images of all stages together, and those that were given before.
    """

    def __init__(self, show: bool, total: int, done: int = 0):
        self.bar = tqdm(
            total=total, initial=done, unit="img", unit_scale=True, desc="training", leave=False,
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
