"""Learning rates of the super-resolution networks, searched alike for all of them.

    python -m lib.experiments.superres_rates --hours 0.7

One rate can be worth more than the difference between two networks, in decibels as in rank-1. Each network of the
shipped first weights is trained on 8,000 pictures of 1,000 rendered people, a third of what the first weights have
seen and as many as lesson 05 shows, at two rates and then at the next one on the side of the better as long as that
helps (``networks.next_rate``). The score is the PSNR of the embedded validation people, mean over three ratios.

Trains what is missing, stops starting when the hours are over, writes down what is there: ``rates_superres`` (name,
rate, ratio, metric, value, gain over bicubic enlargement).
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lib.data import load_dataset
from lib.experiments import measured, ship
from lib.experiments.networks import next_rate
from lib.experiments.record import hours
from lib.methods.superres import SuperResolution
from lib.training import Run, fit
from lib.training.fit import finished
from lib.training.pedestrians import PRETRAINING, SR_RATIOS, kind_of, profile_of
from lib.training.pretrain import whole_set

PLAN = "course"
IDENTITIES = 1000
RATES = (2e-5, 6e-5, 2e-4, 6e-4, 2e-3, 6e-3, 2e-2, 6e-2)
FIRST = (2e-4, 2e-3)  # what "carries the picture through", and what "adds to it"


def networks() -> list[str]:
    """Those whose first weights ship."""
    return [some.network for some in ship.SHIPMENTS if kind_of(some.network) == "sr"]


def _asked(network: str, rate: float) -> tuple:
    """What ``fit`` is asked: one epoch of the pre-training, at this rate."""
    people = load_dataset("pedestrians-pretrain", identities=IDENTITIES, images=PRETRAINING[PLAN].images)
    method = SuperResolution(network=network, canvas=ship.COURSE, epochs=1, lr=rate, ratios=SR_RATIOS)
    return method, whole_set(people), profile_of(network, ship.COURSE, PLAN), 0


def trained(network: str, rate: float) -> Run:
    return fit(*_asked(network, rate), progress=False)


def is_there(network: str, rate: float) -> bool:
    return finished(*_asked(network, rate))


def score(run: Run) -> float:
    """PSNR in dB of what it restored, mean over ratios."""
    found = ship.restorations(run.method)
    return float(np.mean([values.mean() for (name, _), values in found.items() if name == "restored"]))


def searched(network: str) -> dict[float, Run]:
    """Its trainings that are there, by rate."""
    return {rate: trained(network, rate) for rate in RATES if is_there(network, rate)}


def train(names: Sequence[str], hours: float) -> int:
    """Train what is missing, one network after the other; returns how many the hours were too few for."""
    end, missing = time.monotonic() + 3600 * hours, 0
    for name in names:
        tried = {rate: score(run) for rate, run in searched(name).items()}
        while (rate := next_rate(tried, RATES, FIRST)) is not None:
            if time.monotonic() >= end:
                missing += 1
                break
            run = trained(name, rate)
            tried[rate] = score(run)
            print(f"{name}, rate {rate:g}: {run.seconds:.0f} s, {tried[rate]:.2f} dB", flush=True)
    return missing


def write(names: Sequence[str]) -> Path | None:
    """``rates_superres``, of what is there; None where nothing is."""
    rows, runs = [], []
    for name in names:
        for rate, run in searched(name).items():
            runs.append(run)
            found = ship.restorations(run.method)
            for (of, ratio), values in found.items():
                if of == "restored":
                    gain = float((values - found["bicubic", ratio]).mean())
                    row = {"name": name, "rate": rate, "ratio": ratio, "metric": "PSNR (dB)"}
                    rows.append(row | {"value": float(values.mean()), "gain": gain})
    if not rows:
        return None
    told = {"profile": PLAN, "dataset": "pedestrians", "seed": 0, "identities": IDENTITIES}
    return measured.record("rates_superres", pd.DataFrame(rows), runs=runs, keys=("name", "rate"), **told)


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over the ratios: name, rate, value and gain in dB."""
    return table.groupby(["name", "rate"], as_index=False, sort=False)[["value", "gain"]].mean()


def best(table: pd.DataFrame) -> pd.DataFrame:
    """Each network at its best rate, as ``means``, the best network first."""
    found = means(table)
    return found.loc[found.groupby("name")["value"].idxmax()].sort_values("value", ascending=False, ignore_index=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lib.experiments.superres_rates", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="(default: all that ship)")
    parser.add_argument("--hours", type=hours, default=1.0, help="start no training after so many hours")
    told = parser.parse_args(arguments)
    if unknown := sorted(set(told.networks) - set(networks())):
        parser.error(f"no first weights ship of {', '.join(unknown)}; known: {', '.join(networks())}")
    missing = train(told.networks or networks(), told.hours)
    measured.announce(parser, lambda: [write(networks())])
    with contextlib.suppress(measured.MeasuredError):  # nothing is trained yet
        print(best(measured.measured("rates_superres", "pedestrians")).to_string(index=False))
    print(f"{missing} networks are not done yet: run the same again" if missing else "complete")


if __name__ == "__main__":
    main()
