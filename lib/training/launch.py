"""Several GPUs with one argument: ``fit(..., processes=4)`` in a notebook, or from the shell

    python -m lib.training.launch --processes 4 --method baseline --dataset market1501 --preset plain --profile paper

The processes are torchrun's (its elastic agent starts them and stops all when one fails), so
``torchrun --nproc-per-node 4 -m lib.training.launch --method …`` does the same, also on several machines that share
the directory of runs.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from lib.methods.method import Method

if TYPE_CHECKING:
    from lib.data.protocol import Protocol


def launch(processes: int, method: Method, protocol: Protocol, **options) -> None:
    """Run ``fit(method, protocol, **options)`` in so many processes of this machine and wait for them.

    Raises ValueError for more processes than GPUs; RuntimeError, with the first error, where a process fails.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if type(method).__module__ == "__main__":
        raise ValueError(
            f"{type(method).__name__} is defined in the notebook: put it into a file, which other processes can import"
        )
    if (
        torch.cuda.is_available()
        and str(options.get("device") or "cuda").startswith("cuda")
        and processes > torch.cuda.device_count()
    ):
        raise ValueError(f"{processes} processes asked for, this machine has {torch.cuda.device_count()} GPU(s)")
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, rdzv_backend="c10d", rdzv_endpoint="localhost:0",
        start_method="spawn", max_restarts=0, monitor_interval=0.2,
    )  # fmt: skip
    with _threads_for(processes):
        try:
            elastic_launch(config, _work)(method, protocol, options)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            message = failure.message if isinstance(failure.message, str) else failure.message.get("message", "")
            raise RuntimeError(f"process {rank} of {processes} failed: {message}") from error


def _work(method: Method, protocol: Protocol, options: dict) -> None:
    """One of the processes; its result is the run on disk."""
    from lib.training.fit import fit

    fit(method, protocol, **options)


@contextlib.contextmanager
def _threads_for(processes: int) -> Iterator[None]:
    """Each process gets its share of the threads: two that both use all cores slow each other down thirtyfold."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(max(1, torch.get_num_threads() // processes))
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def main(arguments: Sequence[str] | None = None) -> None:
    """The shell's way in."""
    from lib.data import load_dataset, make_protocol
    from lib.methods import create_method
    from lib.training.fit import fit

    parser = argparse.ArgumentParser(
        prog="python -m lib.training.launch", description="train a method, on one or several GPUs"
    )
    parser.add_argument("--processes", type=int, default=1, help="processes on this machine, one per GPU")
    parser.add_argument("--method", default="baseline")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the method; repeatable"
    )
    parser.add_argument("--dataset", default="pedestrians")
    parser.add_argument("--preset", default="mlr")
    parser.add_argument("--trial", type=int, default=0)
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device")
    parser.add_argument("--runs")
    a = parser.parse_args(arguments)
    protocol = make_protocol(load_dataset(a.dataset), a.preset, trial=a.trial)
    run = fit(
        create_method(a.method, **dict(map(_setting, a.set))), protocol, a.profile, a.seed, a.device, a.runs,
        precision=a.precision, processes=a.processes, accumulate=a.accumulate, compile=a.compile,
    )  # fmt: skip
    if int(os.environ.get("RANK", "0")) == 0:
        print(f"{'found' if run.reused else 'trained'} {run.directory} ({run.seconds:.0f} s)")


def _setting(text: str) -> tuple[str, object]:
    """``name=value``: a Python literal where it is one, else text."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


if __name__ == "__main__":
    main()
