"""One function in several processes of this machine, started and watched by torchrun's own agent."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import torch

from lib.methods.method import Method


def in_processes(count: int, function: Callable, method: Method, *arguments: object, **options: object) -> None:
    """``function(method, *arguments, **options)`` in ``count`` processes that find each other as torchrun's do; waits.

    Raises ValueError for more processes than GPUs, and for a method that other processes cannot import; RuntimeError,
    with the first error, where a process fails.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if type(method).__module__ == "__main__":
        raise ValueError(
            f"{type(method).__name__} is defined in the notebook: put it into a file, which other processes can import"
        )
    on_gpu = torch.cuda.is_available() and str(options.get("device") or "cuda").startswith("cuda")
    if on_gpu and count > torch.cuda.device_count():
        raise ValueError(f"{count} processes asked for, this machine has {torch.cuda.device_count()} GPU(s)")
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=count, rdzv_backend="c10d", rdzv_endpoint="localhost:0",
        start_method="spawn", max_restarts=0, monitor_interval=0.2,
    )  # fmt: skip
    with _threads_for(count):
        try:
            elastic_launch(config, _work)(function, method, arguments, options)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            message = failure.message if isinstance(failure.message, str) else failure.message.get("message", "")
            raise RuntimeError(f"process {rank} of {count} failed: {message}") from error


def _work(function: Callable, method: Method, arguments: tuple, options: dict) -> None:
    """One of the processes; what it leaves behind is on disk."""
    function(method, *arguments, **options)


@contextlib.contextmanager
def _threads_for(count: int) -> Iterator[None]:
    """Each process gets its share of the threads: two that both use all cores slow each other down thirtyfold."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(max(1, torch.get_num_threads() // count))
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
