"""Rankings: CMC, mAP and mINP under the conventions of ``conventions.py``, from distances or from features.

Letters: Q probes, G gallery images, D feature dimensions, V probes that the convention counts, K = ``max_rank``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from lib.evaluation.arguments import whole_number
from lib.evaluation.conventions import get_convention
from lib.evaluation.counting import count, count_without
from lib.evaluation.distances import Distances, Metric, feature_distances, matrix_distances, metric_distances
from lib.evaluation.intervals import deal, limits, spread
from lib.evaluation.people import People, as_array

HEADLINE_RANKS = (1, 5, 10, 20)


@dataclass(frozen=True, eq=False)
class Ranking:
    """What a ranking says, in total and for every probe. All values are fractions in [0, 1].

    cmc (K,): ``cmc[k - 1]`` is the share of probes whose match is among the first k; flat beyond the end of the list.
    map, minp: mean average precision and mean inverse negative penalty (Ye et al., "Deep Learning for Person
    Re-identification: A Survey and Outlook", TPAMI 2021: matches / rank of the last match), both over the full list.
    probe_cmc (V, K), ap (V,), inp (V,), probe_ids (V,): the same for each counted probe; ``cmc`` is the mean of
    ``probe_cmc``. For single-shot conventions they are probabilities over the draw of the gallery, else 0 or 1.
    valid (Q,): which probes are counted. unmatched: how many probes have no match, whether counted as misses or not.
    again: how the gallery is ranked once more with people left out.
    """

    convention: str
    cmc: np.ndarray
    map: float
    minp: float
    probe_cmc: np.ndarray = field(repr=False)
    ap: np.ndarray = field(repr=False)
    inp: np.ndarray = field(repr=False)
    probe_ids: np.ndarray = field(repr=False)
    valid: np.ndarray = field(repr=False)
    unmatched: int
    gallery_size: int
    gallery_identities: int
    again: Again = field(repr=False)

    def rank(self, k: int) -> float:
        """CMC at rank ``k`` (from 1); ValueError beyond ``max_rank``, and for what is no whole number."""
        if whole_number(k, "a rank", 1) > len(self.cmc):
            raise ValueError(f"rank {k} is not in 1 .. {len(self.cmc)}: rank with a larger max_rank")
        return float(self.cmc[k - 1])

    def probe_values(self, metric: str) -> np.ndarray:
        """(V,) values of ``"rank-K"``, ``"mAP"`` or ``"mINP"``, whose mean is the metric; ValueError for others."""
        if metric in ("mAP", "mINP"):
            return self.ap if metric == "mAP" else self.inp
        return self.probe_cmc[:, self._place(metric)]

    def without(self, metric: str, groups: Mapping[Hashable, int]) -> np.ndarray:
        """(P,): the metric with each group of people left out, as probes and in the gallery alike: what ranking again
        without their rows and columns says. NaN where no probe is left.

        groups: the group of each person, 0 .. P - 1. Who is not named stays: gallery images of people without probes
        are a background like the protocol's others. Ranked again when it is asked for the first time, and all metrics
        at once. ValueError for an unknown metric, and where the distances are no longer those that were ranked.
        """
        place = {"mAP": -2, "mINP": -1}[metric] if metric in ("mAP", "mINP") else self._place(metric)
        ranks = HEADLINE_RANKS[-1] if place < HEADLINE_RANKS[-1] else len(self.cmc)  # fewer ranks, less work
        return self.again.without(groups, self.valid, min(ranks, len(self.cmc)))[:, place]

    def settled(self, groups: Mapping[Hashable, int]) -> Ranking:
        """The same ranking with what ``without`` says for these groups found out and everything else forgotten that it
        was made from: light enough for another process. It can be asked for no other groups (ValueError).
        """
        self.without("mAP", groups)
        return replace(self, again=replace(self.again, distances=_forgotten))

    def interval(self, metric: str, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
        """(low, high) of "rank-K", "mAP" or "mINP", within [0, 1]; NaN with fewer than two people. ValueError for
        another metric, a level outside (0, 1) or a seed that is no whole number.

        Groups of people are left out on both sides (``intervals.py``); seed: deals people into groups.
        """
        value, groups = self.probe_values(metric).mean(), deal(self.probe_ids.tolist(), seed)
        if len(groups) < 2:
            return np.nan, np.nan
        whole, without = np.array([[value]]), self.without(metric, groups)[None, :, None]
        error, freedom = spread(whole, without, np.bincount(list(groups.values())), np.zeros(1))
        low, high = limits(whole[0], error, freedom, level)
        return max(float(low[0]), 0.0), min(float(high[0]), 1.0)

    def _place(self, metric: str) -> int:
        kind, _, k = metric.partition("-")
        if kind != "rank" or not (k.isascii() and k.isdigit()):
            raise ValueError(f"unknown metric {metric!r}: 'rank-1', 'rank-5', ..., 'mAP' or 'mINP'")
        self.rank(int(k))
        return int(k) - 1

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of a summary: rank-1, -5, -10, -20 as far as ``max_rank`` goes, mAP and mINP."""
        return (*(f"rank-{k}" for k in HEADLINE_RANKS if k <= len(self.cmc)), "mAP", "mINP")

    def summary(self) -> str:
        """One line for a log: percentages, and how many probes they are over."""
        values = ", ".join(f"{name} {100 * self.probe_values(name).mean():.1f}" for name in self.metrics)
        probes = f"{len(self.ap)} of {len(self.valid)} probes, {self.unmatched} without a match"
        return f"{values} % ({self.convention}; {probes}; gallery of {self.gallery_size})"


@dataclass(eq=False)
class Again:
    """What was ranked, kept for rankings without some of the people.

    distances: makes the blocks of distances once more, from features that are kept (not copied) or a matrix. wrong (M,)
    as counted with everybody. tables: what was found, by the people left out.
    """

    distances: Callable[[], Distances]
    people: People
    wrong: np.ndarray
    tables: dict[bytes, np.ndarray] = field(default_factory=dict)

    def without(self, groups: Mapping[Hashable, int], counted: np.ndarray, ranks: int) -> np.ndarray:
        """(P, K + 2): CMC up to ``ranks``, mAP and mINP without each group. counted (Q,): the probes that the
        convention counts."""
        number = max(groups.values()) + 1
        gallery = np.array([groups.get(name, -1) for name in self.people.names.tolist()])  # (W,)
        probes = np.array([groups.get(name, -1) for name in self.people.probe_ids[counted].tolist()])  # (V,)
        key = gallery.tobytes() + probes.tobytes() + str((number, ranks)).encode()
        if key not in self.tables:
            self.tables[key] = self._ranked(gallery, probes, number, ranks)
        return self.tables[key]

    def _ranked(self, gallery: np.ndarray, probes: np.ndarray, number: int, ranks: int) -> np.ndarray:
        counts = count_without(self.distances(), self.people, ranks, gallery, number)
        if not np.array_equal(counts.everybody, self.wrong):
            raise ValueError(
                "the distances are not those that were ranked: features, matrix or the method's own distance were "
                "changed since. Ask for intervals before, or rank again"
            )
        table = np.full((number, ranks + 2), np.nan)
        for group in range(number):
            left = probes != group
            if left.any():
                hits = None if counts.hits is None else counts.hits[:, group]
                cmc, ap, inp = _values(counts.wrong[:, group], hits, self.people, ranks)
                table[group] = [*cmc[left].mean(0), ap[left].mean(), inp[left].mean()]
        return table


def _forgotten() -> Distances:
    raise ValueError("a settled ranking knows the groups it was settled for: rank again")


def rank_distances(
    distances,
    probe_ids,
    gallery_ids,
    probe_cams=None,
    gallery_cams=None,
    convention: str = "market1501",
    max_rank: int = 50,
) -> Ranking:
    """Rank a given (Q, G) matrix of distances, smaller is nearer (NumPy, torch or nested lists; not changed).

    ids and cams: one integer or string per probe and per gallery image. Ties count against the match. An infinite
    distance sorts behind every finite one and ties with other infinities.

    Raises ValueError on NaN (naming the first probe and gallery index), values that are no numbers, an empty gallery,
    lengths that do not fit, labels of mixed type, cameras that the convention needs and that are missing, a max_rank
    below 1, and when no probe at all has a match.
    """
    distances = as_array(distances, "distances")
    if distances.ndim != 2:
        raise ValueError(f"distances has shape {distances.shape}, expected (probes, gallery images)")
    rule, max_rank = get_convention(convention), whole_number(max_rank, "max_rank", 1)
    people = People(*distances.shape, probe_ids, gallery_ids, probe_cams, gallery_cams, rule)
    _refuse_matchless(people)
    return _rank(functools.partial(matrix_distances, distances), people, max_rank)


def rank_features(
    probe_features,
    gallery_features,
    probe_ids,
    gallery_ids,
    probe_cams=None,
    gallery_cams=None,
    convention: str = "single-shot",
    max_rank: int = 50,
    chunk: int | None = None,
    metric: Metric = "euclidean",
) -> Ranking:
    """Rank features (Q, D) against (G, D) without ever holding the Q x G matrix.

    chunk: probes at a time (default: as many as fit in 24 MB, at least 256). metric: "euclidean", "cosine", or a
    function ``(probes (q, D), gallery (G, D)) -> (q, G)`` distances, which gets the features as they were passed in.
    For the two named metrics, gallery images with equal features are exactly tied, and so are equal distances between
    descriptors of whole numbers (``distances.py``). Ties count against the match. The scale of the features does not
    matter, nor does their distance from the origin.

    Raises ValueError as ``rank_distances`` does, and on NaN or infinite features (naming the image).
    """
    if callable(metric):
        shapes = [tuple(getattr(x, "shape", ())) for x in (probe_features, gallery_features)]
    else:
        probe_features = as_array(probe_features, "probe_features")
        gallery_features = as_array(gallery_features, "gallery_features")
        shapes = [probe_features.shape, gallery_features.shape]
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise ValueError(f"features have shapes {shapes[0]} and {shapes[1]}, expected (Q, D) and (G, D)")
    rule, max_rank = get_convention(convention), whole_number(max_rank, "max_rank", 1)
    people = People(shapes[0][0], shapes[1][0], probe_ids, gallery_ids, probe_cams, gallery_cams, rule)
    _refuse_matchless(people)
    make = metric_distances if callable(metric) else feature_distances
    return _rank(functools.partial(make, probe_features, gallery_features, metric, chunk), people, max_rank)


def _refuse_matchless(people: People) -> None:
    if not people.match_counts.any():
        raise ValueError(
            f"no probe has a match in the gallery under convention {people.rule.name!r}: "
            "no identity is on both sides (or only within one camera)"
        )


def _rank(distances: Callable[[], Distances], people: People, max_rank: int) -> Ranking:
    counts = count(distances(), people, max_rank)
    probe_cmc, ap, inp = _values(counts.wrong, counts.hits, people, max_rank)
    matched = people.match_counts > 0
    counted = np.ones_like(matched) if people.rule.all_probes else matched
    return Ranking(
        convention=people.rule.name,
        cmc=probe_cmc.mean(0),
        map=float(ap.mean()),
        minp=float(inp.mean()),
        probe_cmc=probe_cmc,
        ap=ap,
        inp=inp,
        probe_ids=people.probe_ids[counted],
        valid=counted,
        unmatched=int((~matched).sum()),
        gallery_size=len(people.gallery),
        gallery_identities=people.identities,
        again=Again(distances, people, counts.wrong),
    )


def _values(
    wrong: np.ndarray, hits: np.ndarray | None, people: People, max_rank: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From the number of wrong images before each match to CMC (V, K), AP (V,) and INP (V,) of the counted probes."""
    matched = people.match_counts > 0
    sizes = people.match_counts[matched]
    ends = np.cumsum(sizes)
    starts = ends - sizes
    order = np.arange(1, len(wrong) + 1) - np.repeat(starts, sizes)  # 1 for a probe's nearest match, 2, ...
    ranks = order + wrong  # in the full list, from 1
    precision = order / ranks
    if people.rule.trapezoid:
        # the precision just before the match: of the list that is one shorter, 1 for the empty list
        earlier = np.where(ranks > 1, (order - 1) / np.maximum(ranks - 1, 1), 1.0)
        precision = (precision + earlier) / 2
    counted = np.ones_like(matched) if people.rule.all_probes else matched
    where = np.flatnonzero(matched[counted])
    ap, inp = np.zeros(counted.sum()), np.zeros(counted.sum())
    ap[where] = np.add.reduceat(precision, starts) / sizes
    inp[where] = sizes / ranks[ends - 1]
    if hits is not None:
        probe_cmc = np.minimum(hits[counted], 1.0)  # sums of shares round above 1
    else:
        probe_cmc = np.zeros((len(ap), max_rank))
        probe_cmc[where] = ranks[starts][:, None] <= np.arange(1, max_rank + 1)
    return probe_cmc, ap, inp
