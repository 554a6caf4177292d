"""A training from the shell, on one GPU or several:

    python -m lib.training.launch --processes 4 --method baseline --dataset market1501 --preset plain --profile paper

The processes are torchrun's (its elastic agent starts them and stops all when one fails), so
``torchrun --nproc-per-node 4 -m lib.training.launch --method …`` does the same, also on several machines that share
the directory of runs.
"""

from __future__ import annotations

import argparse
import ast
import os
from collections.abc import Sequence

from lib import data
from lib.methods import create_method
from lib.training.fit import fit


def main(arguments: Sequence[str] | None = None) -> None:
    """The shell's way in."""
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
    try:
        protocol = data.make_protocol(data.load_dataset(a.dataset), a.preset, trial=a.trial)
        method = create_method(a.method, **dict(map(_setting, a.set)))
    except (ValueError, TypeError) as error:
        parser.error(str(error))
    run = fit(
        method, protocol, a.profile, a.seed, a.device, a.runs,
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
