"""How many threads a piece of work on the CPU is worth: one where it is small.

torch's threads meet after every operation, and those that arrive first spin until the last is there. Where an operation
takes a fraction of a millisecond and another program wants a core, that is most of the time: rendering 320 people's
pictures took 185 s with torch's default on a busy machine of two cores, and 21 s with one thread. A large network keeps
its threads: its operations last longer than the waiting.

The choice depends on the work alone, not on the machine or on who else is using it, because the numbers that come out
depend on it (in their last digits). It never takes more threads than torch has (OMP_NUM_THREADS,
``torch.set_num_threads``); small work takes one whatever they say.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch.utils.flop_counter import FlopCounterMode

SMALL = 5e7  # multiply-adds of an image: a millisecond of one core; quick's methods have 1 to 35 million, course's 70


@contextlib.contextmanager
def few_threads(work: float = 0) -> Iterator[None]:
    """Run the block with as many of torch's threads as suit it, and put their number back afterwards.

    work : multiply-adds of the network for one image (``multiply_adds``): one thread below ``SMALL``, all from there.
        The default is for work that is many small operations whatever its total.
    """
    before = torch.get_num_threads()
    if before == 1 or work >= SMALL:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def multiply_adds(step: Callable[[], object]) -> int:
    """What ``few_threads`` wants to know: the multiply-adds of convolutions and matrix products in ``step()``, the
    description of one image, which is run once, without gradients. Have the network in evaluation mode: a training one
    would take the image into its statistics."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        step()
    return counter.get_total_flops() // 2
