"""Which network, on which canvas, learns most in the same time? The choice behind the profile ``course``.

    python -m lib.experiments.networks --seconds 90 --hours 1

A candidate is a re-identification network and a canvas. Each is trained from nothing on 500 rendered people, at every
resolution, for as many images as it gets through in the given seconds on one CPU thread. An unsearched learning rate
would be measured instead of the network: two rates are tried, then the next one on the side of the better as long as
that helps (``next_rate``). Nobody is tested who is trained on by any row of the course's tables or tested in them: the
score is the rank-1 of the embedded set's training and validation people.

Trains what is missing, stops starting when the hours are over, writes down what is there: ``networks``, one row per
candidate, rate and metric.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lib.data import Protocol, load_dataset, make_protocol
from lib.evaluation import Result, evaluate
from lib.experiments import measured
from lib.experiments.others import tested_alone
from lib.experiments.record import hours
from lib.experiments.scores import scores
from lib.methods.baseline import Baseline
from lib.names import PEOPLE
from lib.training import Run, fit, shipped
from lib.training.fit import finished
from lib.training.pedestrians import PRETRAINING, profile_of
from lib.training.pretrain import whole_set

PLAN = "course"
IDENTITIES, TIMED = 500, 120  # people trained on; people whose epochs are timed
SECONDS = 90.0
RATES = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2, 6.4e-2)
FIRST = (4e-3, 8e-3)
# of a provenance of ``data/weights``: what is shown of it
MEASURED = {
    "rank-1 pedestrians mlr": PEOPLE["pedestrians"],
    "rank-1 viper mlr": f"MLR-{PEOPLE['viper']}",
    "rank-1 caviar caviar": PEOPLE["caviar"],
}


class Candidate(NamedTuple):
    """A network of ``create_backbone`` and a canvas (H, W)."""

    network: str
    canvas: tuple[int, int]

    @property
    def name(self) -> str:
        return f"{self.network}, {self.canvas[0]} x {self.canvas[1]}"


CANDIDATES = (
    Candidate("resnet18-half", (96, 48)),
    Candidate("resnet18-half", (64, 32)),
    Candidate("resnet18-half", (128, 64)),
    Candidate("resnet18", (64, 32)),
    Candidate("osnet-0.25", (96, 48)),
    Candidate("seresnet18-half", (96, 48)),
    Candidate("densenet-narrow", (96, 48)),
    Candidate("bottleneck-16-1", (96, 48)),
)


@lru_cache(maxsize=2)
def seen(identities: int) -> Protocol:
    """Whom the candidates are trained on: rendered people, eight images of each."""
    images = PRETRAINING[PLAN].images
    return whole_set(load_dataset("pedestrians-pretrain", identities=identities, images=images))


@lru_cache(maxsize=1)
def unseen() -> Protocol:
    """Whom they are tested on: MLR of the embedded people who are not tested in any other table."""
    people = load_dataset("pedestrians")
    tested = set(make_protocol(people, "mlr").rows("test")["pid"])
    return tested_alone(people, set(people.table["pid"]) - tested, "mlr", "others")


def method(candidate: Candidate, rate: float, epochs: int) -> Baseline:
    """A candidate as the pre-training of first weights would train it."""
    plan = PRETRAINING[PLAN]
    return Baseline(
        backbone=candidate.network, canvas=candidate.canvas, epochs=epochs, lr=rate, batch=plan.batch,
        augmentation="all-resolutions", jitter=plan.jitter,
    )  # fmt: skip


def trained(candidate: Candidate, rate: float, epochs: int, on: int = IDENTITIES) -> Run:
    return fit(method(candidate, rate, epochs), seen(on), profile_of(*candidate, PLAN), seed=0, progress=False)


def is_there(candidate: Candidate, rate: float, epochs: int, on: int = IDENTITIES) -> bool:
    return finished(method(candidate, rate, epochs), seen(on), profile_of(*candidate, PLAN), 0)


def images_per_second(candidate: Candidate) -> float:
    """Of training, in the best of three epochs: measured in a run of its own, so that asking again says the same."""
    return float(trained(candidate, FIRST[0], 3, TIMED).history["images_per_second"].max())


def epochs_in(seconds: float, speed: float) -> int:
    """Whole epochs of the people trained on that ``seconds`` are enough for, one at least."""
    return max(1, round(seconds * speed / len(seen(IDENTITIES).rows("train"))))


def next_rate(
    tried: Mapping[float, float], rates: Sequence[float] | None = None, first: Sequence[float] | None = None
) -> float | None:
    """The one of ``rates`` (default ``RATES``) to try after these, {rate: score}: those of ``first`` (``FIRST``), then
    the neighbour of the best where it was not tried; None where both neighbours were, or there are none.
    """
    rates, first = rates or RATES, first or FIRST
    if waiting := [rate for rate in first if rate not in tried]:
        return waiting[0]
    place = rates.index(max(tried, key=tried.get))
    beside = [rates[at] for at in (place - 1, place + 1) if 0 <= at < len(rates)]
    return next((rate for rate in beside if rate not in tried), None)


def searched(candidate: Candidate, epochs: int) -> dict[float, Result]:
    """What its trainings reach that are there, by rate."""
    runs = {rate: trained(candidate, rate, epochs) for rate in RATES if is_there(candidate, rate, epochs)}
    return {rate: evaluate(run.method, unseen()) for rate, run in runs.items()}


def train(candidates: Sequence[Candidate], seconds: float, hours: float) -> int:
    """Train what is missing, the next rate of each in turn; returns how many candidates the hours were too few for."""
    end, waiting, tried, missing = time.monotonic() + 3600 * hours, list(candidates), {}, 0
    while waiting:
        candidate = waiting.pop(0)
        late = time.monotonic() >= end
        if late and not is_there(candidate, FIRST[0], 3, TIMED):  # not even its speed is known
            missing += 1
            continue
        epochs = epochs_in(seconds, images_per_second(candidate))
        if candidate not in tried:
            tried[candidate] = {rate: found.rank(1) for rate, found in searched(candidate, epochs).items()}
        rate = next_rate(tried[candidate])
        if rate is None:
            continue
        if late:
            missing += 1
            continue
        run = trained(candidate, rate, epochs)
        tried[candidate][rate] = evaluate(run.method, unseen()).rank(1)
        said = f"{epochs} epochs, {run.seconds:.0f} s, rank-1 {100 * tried[candidate][rate]:.1f} %"
        print(f"{candidate.name}, rate {rate:g}: {said}", flush=True)
        waiting.append(candidate)
    return missing


def write(candidates: Sequence[Candidate], seconds: float) -> Path | None:
    """``networks``: name, network, height, width, rate, epochs, images_per_second, parameters, metric, value, low, high
    (fractions); None where nothing is there.
    """
    results, about, runs = {}, [], []
    for candidate in candidates:
        if not is_there(candidate, FIRST[0], 3, TIMED):
            continue
        speed = images_per_second(candidate)
        epochs = epochs_in(seconds, speed)
        for rate, result in searched(candidate, epochs).items():
            run = trained(candidate, rate, epochs)
            runs.append(run)
            results[candidate.name, rate] = [result]
            height, width = candidate.canvas
            about.append(
                {"name": candidate.name, "rate": rate, "network": candidate.network, "height": height, "width": width}
                | {"epochs": epochs, "images_per_second": round(speed, 1)}
                | {"parameters": sum(p.numel() for p in run.method.backbone.parameters())}
            )
    if not results:
        return None
    table = pd.DataFrame(about).merge(scores(results, "name", "rate"), on=["name", "rate"])
    told = {"profile": PLAN, "dataset": "pedestrians", "seed": 0, "seconds": seconds}
    return measured.record("networks", table, runs=runs, keys=("name", "rate"), **told)


def best(table: pd.DataFrame) -> pd.DataFrame:
    """Each candidate at its best rate by rank-1, the best candidate first: the rows of ``networks``."""
    rank1 = table[table["metric"] == "rank-1"]
    return rank1.loc[rank1.groupby("name")["value"].idxmax()].sort_values("value", ascending=False)


def first_weights() -> pd.DataFrame:
    """What the re-id networks that ship reach after their whole pre-training, before any other: network, canvas,
    minutes of pre-training, and the rank-1 (percent) of each set's test people, from their provenance.
    """
    lines = []
    for path in shipped.files():
        about = shipped.about(path)
        found = {MEASURED[of]: value for of, value in about["reaches"].items() if of in MEASURED}
        if found:
            canvas = " x ".join(map(str, about["canvas"]))
            lines.append({"network": about["network"], "canvas": canvas, "minutes": about["seconds"] / 60} | found)
    return pd.DataFrame(lines).sort_values(MEASURED["rank-1 pedestrians mlr"], ascending=False, ignore_index=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lib.experiments.networks", description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of training, for each candidate and rate")
    parser.add_argument("--hours", type=hours, default=1.0, help="start no training after so many hours")
    told = parser.parse_args(arguments)
    missing = train(CANDIDATES, told.seconds, told.hours)
    measured.announce(parser, lambda: [write(CANDIDATES, told.seconds)])
    print(f"{missing} candidates are not done yet: run the same again" if missing else "complete")


if __name__ == "__main__":
    main()
