"""A look at the method while it is trained: a score for the history, and nothing else changed by looking.

The training knows no evaluation; who calls ``fit`` says what a look is. Epochs are looked at after the loop has closed
them, so that neither the loop nor the key of a run knows whether somebody looked.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch

from lib.methods.method import Method
from lib.training.loop import Trainer
from lib.training.randomness import random_states, set_random_states

SCORE = "score"  # the column of the history


def score(trainer: Trainer, watch: Callable[[Method], float], every: int = 1) -> None:
    """Write ``watch(method)`` into the row of the epoch that has just ended: NaN unless its number is a multiple of
    ``every`` or it is its stage's last.

    The method is in evaluation mode meanwhile. Its mode, all random generators, and the time that the training took are
    afterwards as they were.

    Raises
    ------
    RuntimeError : a weight was changed by looking.
    """
    method, place = trainer.method, trainer.place
    last = place.epoch == method.stages[place.stage].epochs  # the place is already at the next epoch
    row = place.history[-1]
    row[SCORE] = math.nan
    if row["epoch"] % every and not last:
        return
    begin = time.perf_counter()
    states, modes = random_states(), [module.training for module in method.modules()]
    versions = [tensor._version for tensor in method.state_dict(keep_vars=True).values()]
    try:
        with torch.no_grad():
            row[SCORE] = float(watch(method.eval()))
    finally:
        for module, training in zip(method.modules(), modes, strict=True):
            module.training = training
        set_random_states(states)
    if versions != [tensor._version for tensor in method.state_dict(keep_vars=True).values()]:
        raise RuntimeError(f"watch={watch!r} changed weights of {method.name}: it may look, and nothing else")
    if not last:  # the stage's clock runs on, and will count these seconds as training
        seconds = time.perf_counter() - begin
        place.seconds -= seconds
        place.epoch_seconds -= seconds
