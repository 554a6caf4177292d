"""Tests of people whom no table of the course knows: some of a set by themselves, or further ones, rendered."""

from __future__ import annotations

from collections.abc import Collection

from lib.data import Protocol, load_dataset, make_protocol
from lib.data.dataset import PersonDataset

FURTHER = 400  # as many as the embedded set tests


def tested_alone(people: PersonDataset, chosen: Collection[str], preset: str, name: str) -> Protocol:
    """Some people of a set as the test of a protocol of their own; one of them is left over, on whom nobody trains.

    ValueError for fewer than three.
    """
    if len(chosen) < 3:
        raise ValueError(f"a test of its own needs three people of {people.name}, not {len(chosen)}")
    some = people.take(people.table["pid"].isin(list(chosen)).to_numpy(), name=f"{people.name}, {name}")
    return make_protocol(some, preset, test_identities=len(chosen) - 1, validation=0)


def further(people: PersonDataset, preset: str) -> Protocol | None:
    """The test of ``FURTHER`` people who are rendered like the embedded ones, under the same cameras, and are not among
    them; None for other sets, of which there are no more.
    """
    if people.name != "pedestrians":
        return None
    mine = set(people.table["pid"])
    more = load_dataset("pedestrians", identities=len(mine) + FURTHER + 1)
    return tested_alone(more, sorted(set(more.table["pid"]) - mine), preset, "further")
