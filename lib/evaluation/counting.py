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
from lib.evaluation.single_shot import rank_probabilities

PARALLEL_FROM = 1 << 18  # entries of a block below which threads cost more than they give
MASK_BYTES = 1 << 18  # comparisons made at a time
BATCH = 256  # matches whose rank distributions are computed together


@dataclass
class Counts:
    """``wrong`` (M,): wrong images before each match, nearest match first, probe after probe; ``hits`` (Q, max_rank):
    expected single-shot CMC of each probe, or None where the convention ranks the full list."""

    wrong: np.ndarray
    hits: np.ndarray | None


def count(distances: Distances, people: People, max_rank: int) -> Counts:
    """Count over all probes, block after block; those whose counts are in doubt again, by finer distances.

    A NaN raises ValueError with its probe and gallery index. An infinite distance sorts behind every finite one and
    ties with other infinities: use it for pairs that must never match.
    """
    ends = np.cumsum(people.match_counts)
    result = Counts(
        wrong=np.zeros(int(ends[-1]), dtype=np.int64),
        hits=np.zeros((len(ends), max_rank)) if people.rule.one_per_identity else None,
    )
    score = _count_drawn if people.rule.one_per_identity else _count_full
    workers = torch.get_num_threads()  # follows OMP_NUM_THREADS, so that parallel notebooks keep to their share
    with ThreadPoolExecutor(workers) as pool:
        while True:
            doubtful: list[int] = []
            for probes, block in distances.blocks:
                parts = workers if block.size >= PARALLEL_FROM else 1
                bounds = np.linspace(0, len(block), parts + 1).astype(int)
                jobs = [
                    pool.submit(score, block[low:high], probes[low:high], distances, people, ends, result)
                    for low, high in pairwise(bounds)
                ]
                for job in jobs:
                    doubtful += job.result()
            if not doubtful:
                return result
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
    """How many entries of a row are at most each threshold: comparisons as bits, eight to a byte, and a bit count.

    A few thresholds at a time, so that the row and the comparisons stay in the cache, and so that a call is long enough
    for threads to run side by side.
    """

    def __init__(self, width: int):
        self.width = width
        self.group = min(max(MASK_BYTES // width, 1), 64)
        # whole 64-bit words: the entries beyond the row stay False
        self.before = np.zeros((self.group, -(-width // 64) * 64), dtype=bool)

    def __call__(self, row: np.ndarray, thresholds: np.ndarray, out: np.ndarray) -> None:
        for first in range(0, len(thresholds), self.group):
            part = thresholds[first : first + self.group, None]
            before = self.before[: len(part)]
            np.less_equal(row, part, out=before[:, : self.width])  # (m, G)
            words = np.packbits(before, axis=1).view(np.uint64)
            np.sum(np.bitwise_count(words), axis=1, out=out[first : first + self.group], dtype=np.int64)


def _count_full(
    rows, probes: np.ndarray, distances: Distances, people: People, ends: np.ndarray, result: Counts
) -> list[int]:
    """Fill the probes' part of ``result``; returns the probes that are in doubt and were left out."""
    count_at_most = _Counter(rows.shape[1])
    doubtful = []
    for probe, row in zip(probes.tolist(), rows, strict=True):
        thresholds = _thresholds(row, probe, distances, people)
        if len(thresholds) and distances.doubtful(row, probe, thresholds):
            doubtful.append(probe)
            continue
        count_at_most(row, thresholds, out=result.wrong[ends[probe] - len(thresholds) : ends[probe]])
    return doubtful


def _count_drawn(
    rows, probes: np.ndarray, distances: Distances, people: People, ends: np.ndarray, result: Counts
) -> list[int]:
    """As above, and per match the share of each identity's images that come before it."""
    shares, owners = np.empty((BATCH, people.identities)), np.empty(BATCH, dtype=np.intp)
    before = np.empty(rows.shape[1], dtype=bool)
    filled, doubtful = 0, []

    def flush() -> None:
        hits = rank_probabilities(shares[:filled], result.hits.shape[1])
        # every match of a probe is drawn with the same probability
        np.add.at(result.hits, owners[:filled], hits / people.match_counts[owners[:filled], None])

    for probe, row in zip(probes.tolist(), rows, strict=True):
        thresholds = _thresholds(row, probe, distances, people)
        if len(thresholds) and distances.doubtful(row, probe, thresholds):
            doubtful.append(probe)
            continue
        at = ends[probe] - len(thresholds)
        sizes = np.maximum(people.sizes(probe), 1)  # an identity that is dropped entirely has no image before anything
        for threshold in thresholds:
            np.less_equal(row, threshold, out=before)
            nearer = np.bincount(people.gallery[before.nonzero()[0]], minlength=people.identities)
            result.wrong[at] = nearer.sum()
            at += 1
            np.divide(nearer, sizes, out=shares[filled])
            owners[filled] = probe
            filled += 1
            if filled == BATCH:
                flush()
                filled = 0
    flush()
    return doubtful
