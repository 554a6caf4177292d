"""For each true match, how many wrong gallery images come before it: the one loop under every ranking number.

A sorted list is never needed. The rank of a match is one more than the number of wrong images that are at most as far
away, plus the number of the probe's nearer matches; CMC, AP and INP are functions of these ranks. Counting is a
vectorised comparison per true match (2 microseconds over a row of 20,000), where sorting the row takes 300.

"At most as far": an image exactly as far away as the match counts *before* it. A network that maps everybody to the
same point therefore scores as badly as it should; counting only nearer images would give it a rank-1 of 100 %.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from lib.evaluation.distances import Distances
from lib.evaluation.people import People
from lib.evaluation.single_shot import rank_probabilities, without_each

PARALLEL_FROM = 1 << 18  # entries of a block below which threads cost more than they give
MASK_BYTES = 1 << 18  # comparisons made at a time
BATCH = 256  # matches whose rank distributions are computed together


@dataclass
class Counts:
    """``wrong`` (M,): wrong images before each match, nearest match first, probe after probe; ``hits`` (Q, K):
    expected single-shot CMC of each probe, or None where the convention ranks the full list.

    Of P galleries, each of which lacks a group of people: (M, P) and (Q, P, K), and ``everybody`` (M,) is what is
    counted with all of them.
    """

    wrong: np.ndarray
    hits: np.ndarray | None
    everybody: np.ndarray


def count(distances: Distances, people: People, max_rank: int) -> Counts:
    """Count over all probes, block after block; those whose counts are in doubt again, by finer distances.

    A NaN raises ValueError with its probe and gallery index. An infinite distance sorts behind every finite one and
    ties with other infinities: use it for pairs that must never match.
    """
    scorer = _scored(distances, people, max_rank, np.zeros(people.identities, dtype=np.intp), 1)
    wrong = scorer.before[:, 0]
    return Counts(wrong, None if scorer.hits is None else scorer.hits[:, 0], wrong)


def count_without(distances: Distances, people: People, max_rank: int, groups: np.ndarray, number: int) -> Counts:
    """As ``count``, for each of P = ``number`` groups of people with the group's images taken out of the gallery.

    groups (W,): the group of each gallery identity, 0 .. P - 1, or -1 for one that always stays. What stands there for
    a probe of the group that is taken out means nothing: the probe goes with it.
    """
    # one group more: those who stay
    scorer = _scored(distances, people, max_rank, np.where(groups < 0, number, groups), number + 1)
    everybody = scorer.before.sum(1)
    wrong = everybody[:, None] - scorer.before[:, :number]
    return Counts(wrong, None if scorer.hits is None else scorer.hits[:, :number], everybody)


def _scored(distances: Distances, people: People, max_rank: int, groups: np.ndarray, number: int) -> _Full | _Drawn:
    """What has seen all blocks."""
    scorer = (_Drawn if people.rule.one_per_identity else _Full)(people, max_rank, groups, number)
    workers = torch.get_num_threads()  # follows OMP_NUM_THREADS, so that parallel notebooks keep to their share
    with ThreadPoolExecutor(workers) as pool:
        while True:
            doubtful: list[int] = []
            for probes, block in distances.blocks:
                parts = workers if block.size >= PARALLEL_FROM else 1
                bounds = np.linspace(0, len(block), parts + 1).astype(int)
                jobs = [
                    pool.submit(scorer, block[low:high], probes[low:high], distances) for low, high in pairwise(bounds)
                ]
                for job in jobs:
                    doubtful += job.result()
            if not doubtful:
                return scorer
            distances = distances.finer(np.array(doubtful))


def _thresholds(row: np.ndarray, probe: int, distances: Distances, people: People) -> np.ndarray:
    """Sorted distances of the probe's true matches; takes all that is not a wrong image out of the row."""
    distances.finish(row)
    # min() carries NaN through, and costs a tenth of isnan().any()
    if distances.may_have_nan and np.isnan(row.min()):
        raise ValueError(f"the distance between probe {probe} and gallery image {np.isnan(row).argmax()} is NaN")
    own = people.own(probe)
    thresholds = np.sort(row[people.matches(probe, own)])
    # NaN compares false with everything, also with an infinite threshold
    row[own] = np.nan
    dropped = people.dropped(probe)
    if len(dropped):
        row[dropped] = np.nan
    return thresholds


class _Counter:
    """How many entries of a row are at most each threshold, group by group: comparisons as bits, eight to a byte, and a
    bit count.

    A few thresholds at a time, so that the row and the comparisons stay in the cache, and so that a call is long enough
    for threads to run side by side.
    """

    def __init__(self, columns: np.ndarray, number: int):
        """columns (G,): the group of each gallery image, one of ``number``."""
        self.width, self.number = len(columns), number
        # each group begins with a word of its own, 64 bits, and has one at least; what it does not fill stays False
        words = np.maximum(-(-np.bincount(columns, minlength=number) // 64), 1)
        self.starts = np.cumsum(words) - words
        order = np.argsort(columns, kind="stable")
        within = np.arange(self.width) - np.searchsorted(columns[order], columns[order])
        self.place = np.empty(self.width, dtype=np.intp)
        self.place[order] = 64 * self.starts[columns[order]] + within
        self.length = 64 * int(words.sum())
        self.group = min(max(MASK_BYTES // self.length, 1), 64)
        self.before = np.zeros((self.group, self.length), dtype=bool)

    def __call__(self, row: np.ndarray, thresholds: np.ndarray, out: np.ndarray) -> None:
        if self.number > 1:
            spaced = np.full(self.length, np.nan, dtype=row.dtype)  # NaN is at most nothing
            spaced[self.place] = row
            row = spaced
        for first in range(0, len(thresholds), self.group):
            part = thresholds[first : first + self.group, None]
            before = self.before[: len(part)]
            np.less_equal(row, part, out=before[:, : len(row)])  # (m, G)
            bits = np.bitwise_count(np.packbits(before, axis=1).view(np.uint64))
            into = out[first : first + self.group]
            if self.number == 1:
                np.sum(bits, axis=1, out=into[:, 0], dtype=np.int64)
            else:
                np.add.reduceat(bits, self.starts, axis=1, dtype=np.int64, out=into)


class _Full:
    """Fills ``before`` (M, P): wrong images of each group that come before each match."""

    hits = None

    def __init__(self, people: People, max_rank: int, groups: np.ndarray, number: int):
        self.people, self.number = people, number
        self.columns = groups[people.gallery]
        self.ends = np.cumsum(people.match_counts)
        self.before = np.zeros((int(self.ends[-1]), number), dtype=np.int64)

    def __call__(self, rows: np.ndarray, probes: np.ndarray, distances: Distances) -> list[int]:
        """Returns the probes that are in doubt and were left out."""
        count_at_most, ends, doubtful = _Counter(self.columns, self.number), self.ends, []
        for probe, row in zip(probes.tolist(), rows, strict=True):
            thresholds = _thresholds(row, probe, distances, self.people)
            if len(thresholds) and distances.doubtful(row, probe, thresholds):
                doubtful.append(probe)
                continue
            count_at_most(row, thresholds, out=self.before[ends[probe] - len(thresholds) : ends[probe]])
        return doubtful


class _Drawn:
    """As above, and ``hits`` (Q, P, K): the expected CMC without the identities of each group; with a single group that
    of everybody."""

    def __init__(self, people: People, max_rank: int, groups: np.ndarray, number: int):
        self.people, self.number, self.max_rank = people, number, max_rank
        self.members = [np.flatnonzero(groups == group) for group in range(number)]
        self.groups = groups
        self.ends = np.cumsum(people.match_counts)
        self.before = np.zeros((int(self.ends[-1]), number), dtype=np.int64)
        self.hits = np.zeros((len(self.ends), number, max_rank))

    def __call__(self, rows: np.ndarray, probes: np.ndarray, distances: Distances) -> list[int]:
        people = self.people
        shares, owners = np.empty((BATCH, people.identities)), np.empty(BATCH, dtype=np.intp)
        before = np.empty(rows.shape[1], dtype=bool)
        filled, doubtful = 0, []

        def flush() -> None:
            hits = self._hits(shares[:filled])
            # every match of a probe is drawn with the same probability
            np.add.at(self.hits, owners[:filled], hits / people.match_counts[owners[:filled], None, None])

        for probe, row in zip(probes.tolist(), rows, strict=True):
            thresholds = _thresholds(row, probe, distances, people)
            if len(thresholds) and distances.doubtful(row, probe, thresholds):
                doubtful.append(probe)
                continue
            at = self.ends[probe] - len(thresholds)
            sizes = np.maximum(people.sizes(probe), 1)  # one that is dropped entirely has no image before anything
            for threshold in thresholds:
                np.less_equal(row, threshold, out=before)
                nearer = np.bincount(people.gallery[before.nonzero()[0]], minlength=people.identities)
                self.before[at] = np.bincount(self.groups, nearer, minlength=self.number)
                at += 1
                np.divide(nearer, sizes, out=shares[filled])
                owners[filled] = probe
                filled += 1
                if filled == BATCH:
                    flush()
                    filled = 0
        flush()
        return doubtful

    def _hits(self, shares: np.ndarray) -> np.ndarray:
        """(m, W) shares -> (m, P, K)."""
        if self.number == 1:
            return rank_probabilities(shares, self.max_rank)[:, None]
        return without_each([shares[:, some] for some in self.members], self.max_rank)
