"""Single-shot CMC: the gallery is one random image of every identity. In closed form, and by drawing.

A probe's drawn match t is preceded by identity w exactly when the image drawn for w is at most as far, which happens
with probability a_w = (images of w at most as far as t) / (images of w), independently for each w. The rank of t is
therefore 1 + a sum of independent yes/no variables (a Poisson-binomial variable), and the expected CMC is the average,
over the probe's equally likely matches t, of P(rank <= k). No sampling, no variance: the means of ten draws of the
ten-image example in ``tests/unit/test_ranking.py`` scatter by 0.04 to 0.08.
"""

from __future__ import annotations

import numpy as np

from lib.evaluation.arguments import whole_number
from lib.evaluation.conventions import get_convention
from lib.evaluation.people import People, as_array

NEGLIGIBLE = 40.0  # exp(-40) = 4e-18: below the rounding of a double


def rank_probabilities(shares: np.ndarray, max_rank: int) -> np.ndarray:
    """P(rank <= k) for k = 1 .. max_rank.

    shares: (M, W) in [0, 1], for M matches the probability that each of W identities comes first.
    Returns (M, max_rank). Exact (a recursion over identities), at O(M x fractional shares x max_rank).
    """
    matches, identities = shares.shape
    states = min(max_rank, identities + 1)  # more than W identities cannot come first: flat beyond
    certain = np.count_nonzero(shares >= 1, axis=1)
    fractional = (shares > 0) & (shares < 1)
    expected = shares.sum(1)
    excess = np.maximum(expected - (states - 1), 0)
    # Chernoff: P(X <= s) <= exp(-(mu - s)^2 / 2 mu); a match that far down is never seen within max_rank
    hopeless = (certain >= states) | ((states == max_rank) & (excess**2 > 2 * NEGLIGIBLE * expected))
    fractional[hopeless] = False
    steps = np.count_nonzero(fractional, axis=1)
    by_steps = np.argsort(-steps, kind="stable")
    row, column = np.nonzero(fractional[by_steps])
    steps = steps[by_steps]
    within = np.arange(len(row)) - np.repeat(np.cumsum(steps) - steps, steps)
    compact = np.zeros((int(steps[0]) if matches else 0, matches))
    compact[within, row] = shares[by_steps][row, column]
    density = np.zeros((states, matches))  # density[x] = P(x identities of those seen so far come first)
    density[0] = 1.0
    for step, active in enumerate(np.searchsorted(-steps, -np.arange(len(compact)), side="left")):
        part = density[:, :active]
        moved = part * compact[step, :active]
        part -= moved
        part[1:] += moved[:-1]
    np.cumsum(density, axis=0, out=density)
    np.minimum(density, 1.0, out=density)
    # identities that come first with certainty shift the whole distribution
    at = np.arange(states)[:, None] - certain[by_steps]
    density = np.where(at >= 0, np.take_along_axis(density, np.maximum(at, 0), axis=0), 0.0)
    density[:, hopeless[by_steps]] = 0.0
    out = np.empty((matches, max_rank))
    out[by_steps, :states] = density.T
    out[:, states:] = out[:, states - 1 : states]
    return out


def without_each(shares: list[np.ndarray], max_rank: int) -> np.ndarray:
    """P(rank <= k) for k = 1 .. max_rank when all identities but those of one group compete, for each group in turn.

    shares: P groups, each (M, W_p), as in ``rank_probabilities``. Returns (M, P, max_rank). How many of several groups
    come first is a sum of independent numbers, whose distribution is the product of the groups' polynomials; the
    product of all but one is that of those before it and of those after it, so nothing is divided.
    """
    parts = np.stack([_density(some, max_rank) for some in shares])  # (P, M, K)
    earlier, later = np.zeros_like(parts), np.zeros_like(parts)
    earlier[0, :, 0] = later[-1, :, 0] = 1.0  # nobody comes first, for certain
    for group in range(1, len(parts)):
        earlier[group] = _product(parts[group - 1], earlier[group - 1])
        later[-1 - group] = _product(parts[-group], later[-group])
    left = np.stack([_product(a, b) for a, b in zip(earlier, later, strict=True)], axis=1)
    return np.minimum(np.cumsum(left, axis=2), 1.0)


def _density(shares: np.ndarray, max_rank: int) -> np.ndarray:
    """(M, W) -> (M, K): P(x identities come first), x = 0 .. K - 1."""
    return np.diff(rank_probabilities(shares, max_rank), axis=1, prepend=0.0)


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(M, K), (M, K) -> (M, K): the product of polynomials up to the power K - 1; fast where ``a`` has few powers."""
    out = a[:, :1] * b
    for power in range(1, a.shape[1]):
        if a[:, power].any():
            out[:, power:] += a[:, power : power + 1] * b[:, :-power]
    return out


def sample_single_shot(
    distances,
    probe_ids,
    gallery_ids,
    probe_cams=None,
    gallery_cams=None,
    convention: str = "single-shot",
    draws: int = 10,
    seed: int = 0,
    max_rank: int = 50,
) -> np.ndarray:
    """CMC of each of ``draws`` random galleries, (draws, max_rank): only to compare with code that draws.

    ``sing`` shares a draw among all probes, the other single-shot conventions draw anew for every probe. Their mean
    over draws tends to ``rank_distances(...).cmc``. ValueError as in ``rank_distances``, for a convention that draws
    nothing, and for draws below 1 or a seed that is no whole number.
    """
    draws, max_rank = whole_number(draws, "draws", 1), whole_number(max_rank, "max_rank", 1)
    seed = whole_number(seed, "seed", 0)
    rule = get_convention(convention)
    if not rule.one_per_identity:
        raise ValueError(f"convention {convention!r} draws no gallery: it ranks the full list")
    distances = as_array(distances, "distances")
    if distances.ndim != 2 or distances.dtype.kind not in "fiub":
        raise ValueError(f"distances has shape {distances.shape} of {distances.dtype}, expected numbers (Q, G)")
    if np.isnan(distances).any():
        probe, image = np.argwhere(np.isnan(distances))[0]
        raise ValueError(f"the distance between probe {probe} and gallery image {image} is NaN")
    people = People(*distances.shape, probe_ids, gallery_ids, probe_cams, gallery_cams, rule)
    rng = np.random.default_rng(seed)
    hits = np.zeros((draws, max_rank))
    counted = np.flatnonzero((people.match_counts > 0) | rule.all_probes)
    if not people.match_counts.any():
        raise ValueError("no probe has a match in the gallery")
    shared = rule.name == "sing"
    for draw in range(draws):
        keys = rng.random(distances.shape[1])
        for probe in counted:
            if people.match_counts[probe] == 0:
                continue
            if not shared:
                keys = rng.random(distances.shape[1])
            rank = _rank_in_draw(distances[probe], people, probe, keys)
            hits[draw, rank - 1 :] += 1
    return hits / len(counted)


def _rank_in_draw(row: np.ndarray, people: People, probe: int, keys: np.ndarray) -> int:
    """Rank (from 1) of the probe's match when each identity shows its image with the largest key. Ties go before it."""
    own = people.own(probe)
    matches = people.matches(probe, own)
    # in the cross-camera rule `own` still holds same-camera images; `matches` never does
    match = matches[keys[matches].argmax()]
    others = keys.copy()
    others[own] = -1.0
    others[people.dropped(probe)] = -1.0
    best = np.maximum.reduceat(others[people.order], people.starts[:-1])
    shown = (others == best[people.gallery]) & (others >= 0)
    return 1 + int(np.count_nonzero(row[shown] <= row[match]))
