"""Titles that are computed: each says what its numbers say, whatever they are. Tables and numbers in, a sentence out.

A title that needs more than one number and a condition stands here, not in a notebook: it is tested on both sides of
its thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from lib.plots import style
from lib.plots.tables import require


def orders(systems: pd.DataFrame) -> tuple[str, tuple[str, ...]]:
    """Do rank-1 and mAP order systems alike? The title, and the pair that they disagree most about (or ()).

    systems : system, rank-1, mAP (fractions).
    """
    require(systems, "system", "rank-1", "mAP")
    pairs = [
        (a["rank-1"] - b["rank-1"] + b["mAP"] - a["mAP"], a["system"], b["system"])
        for _, a in systems.iterrows()
        for _, b in systems.iterrows()
        if a["rank-1"] > b["rank-1"] and a["mAP"] < b["mAP"]
    ]
    if not pairs:
        return f"On these {len(systems)} systems rank-1 and mAP agree about every pair", ()
    total = len(systems) * (len(systems) - 1) // 2
    return f"rank-1 and mAP disagree about {len(pairs)} of {total} pairs of systems, most along the arrow", max(pairs)[
        1:
    ]


def feature_length(low: float, full: float, r: float, enough: float = 0.01) -> str:
    """How the mean length of features changes when images are at r instead of at full resolution."""
    change = low / full - 1
    at = f"at r = {style.ratio_name(r)}"
    if abs(change) < enough:
        return f"Before the neck, features {at} are as long as at full resolution (within {100 * enough:g} %)"
    return f"Before the neck, features {at} are {abs(change):.0%} {'longer' if change > 0 else 'shorter'} than at full"


def gap_or_loss(surface: pd.DataFrame, column: str = "normalised") -> str:
    """What raises O more at the lowest resolution: that both images have it, or that one alone has it?

    surface : r1, r2, ``column``, a full grid that holds full resolution.
    """
    require(surface, "r1", "r2", column)
    cells, low = surface.set_index(["r1", "r2"])[column], float(surface["r1"].min())
    apart, together, full = cells[low, 1.0], cells[low, low], cells[1.0, 1.0]
    name = style.ratio_name(low)
    levels = f"O = {apart:.2f} against {together:.2f}, both sharp {full:.2f}"
    if f"{apart:.2f}" == f"{together:.2f}":
        return f"One image at {name} or both: the same O ({apart:.2f}; both sharp {full:.2f})"
    more = "more" if apart > together else "less"
    return f"One image at {name} and one sharp cost {more} than two at {name}: {levels}"


def objective_tells_rank(within: Mapping[str, float], agree: float, comparisons: int, strong: float = -0.8) -> str:
    """Does O tell rank-1? within : network -> rank correlation of O and rank-1 over the resolutions. agree : share of
    comparisons of two networks in which the smaller O has the higher rank-1."""
    follow = [name for name, rho in within.items() if rho < strong]
    falls = [name for name, rho in within.items() if rho < 0]
    if len(falls) < len(within):
        first = f"rank-1 falls as O rises within {len(falls)} of {len(within)} networks"
    else:
        how = "closely" if len(follow) == len(within) else f"closely in {len(follow)} of {len(within)}"
        first = f"Within every network rank-1 falls as O rises, {how}"
    return f"{first}; of two networks the one with the smaller O is better in {agree:.0%} of {comparisons} comparisons"


def relative_losses(values: Mapping[str, tuple[float, float]], ratio: float) -> str:
    """What part of its rank-1 a network loses at a ratio, on each set of people.

    values : set -> rank-1 at full resolution and at the ratio, above 0, of one training.
    """
    said = ", ".join(f"{1 - low / full:.0%} on {style.text(name)}" for name, (full, low) in values.items())
    return f"Lost at {style.ratio_name(ratio)}, of rank-1: {said} (one training)"


def go_together(table: pd.DataFrame, level: float = 0.05) -> str:
    """Do PSNR and rank-1 order networks alike? The end of a sentence that names them both.

    They go together, or against each other, where so strong a rank correlation has a probability below ``level`` among
    networks in an order of chance: among four or fewer none is strong enough.

    table : psnr, value (rank-1), a row per network, at least three.
    """
    require(table, "psnr", "value")
    x, y = table["psnr"].to_numpy(float), table["value"].to_numpy(float)
    if len(x) < 3:
        raise ValueError(f"an order of {len(x)} networks says nothing: three at least")

    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return f"have no order in common ({'PSNR' if np.ptp(x) == 0 else 'rank-1'} is the same for all {len(x)})"

    def correlation(values: np.ndarray) -> float:
        return float(stats.spearmanr(values, y).statistic)

    rho = correlation(x)
    # all orders of up to seven networks, else as many drawn ones, from a fixed seed
    chance = stats.permutation_test((x,), correlation, permutation_type="pairings", n_resamples=5040, random_state=0)
    sign = "go together" if rho > 0 else "go against each other"
    how = sign if chance.pvalue < level else "have no certain order in common"
    return f"{how} (rank correlation {rho:+.2f}, {len(x)} points)"


def picture_and_match(table: pd.DataFrame) -> str:
    """Does the better picture make the better match?

    table : name, psnr, value (rank-1), a row per network, at least three.
    """
    require(table, "name", "psnr", "value")
    top, found = (style.text(table.loc[table[c].idxmax(), "name"]) for c in ("psnr", "value"))
    end = f"{top} is best in both" if top == found else f"the best picture is {top}'s, the best match {found}'s"
    return f"PSNR and rank-1 {go_together(table)}: {end}"


def rates(table: pd.DataFrame) -> str:
    """What the learning rate is worth, and how many networks pass bicubic at their best.

    table : name, rate, gain (dB over bicubic), a row per network and rate.
    """
    require(table, "name", "rate", "gain")
    by = table.groupby("name")["gain"]
    worth = by.max() - by.min()
    first = f"A learning rate is worth up to {worth.max():.1f} dB ({style.text(worth.idxmax())})"
    return f"{first}; at the best of the rates {(by.max() > 0).sum()} of {len(worth)} networks pass bicubic"


def length_and_order(table: pd.DataFrame, reference: str) -> str:
    """Does a longer training change who lies above or below ``reference``, with the whole interval?

    table : name, images, low, high (differences to the reference), two lengths for each name.
    """
    require(table, "name", "images", "low", "high")
    side = np.select([table["low"] > 0, table["high"] < 0], ["above", "below"], "undecided")
    sides = table.assign(side=side).pivot(index="name", columns="images", values="side")
    if sides.shape[1] != 2 or sides.isna().any(axis=None):
        raise ValueError(f"every name needs the same two lengths of training: {', '.join(map(str, sides.columns))}")
    short, long = sorted(sides.columns)
    first = f"{long / short:g} times the images"
    moved = sides[sides[short] != sides[long]]
    if moved.empty:
        return f"{first} put none of {len(sides)} methods on another side of the {style.text(reference)}"
    told = [f"{style.text(name)} from {row[short]} to {row[long]}" for name, row in moved.iterrows()]
    return f"{first} move {len(moved)} of {len(sides)} methods beside the {style.text(reference)}: {', '.join(told)}"


def free_against_paid(table: pd.DataFrame) -> str:
    """How many networks that cost something are better than the best that costs nothing.

    table : label, macs, value (rank-1); one row at least with macs of 0.
    """
    require(table, "label", "macs", "value")
    free, paid = table[table["macs"] == 0], table[table["macs"] > 0]
    if free.empty or paid.empty:
        raise ValueError("the table needs a row that costs nothing and one that costs something")
    best = free.loc[free["value"].idxmax()]
    better = paid.loc[paid["value"] > best["value"], "label"]
    first = f"Better than free {style.text(best['label'])} ({100 * best['value']:.1f} %)"
    if better.empty:
        return f"{first}: none of {len(paid)} networks"
    named = f" ({style.text(better.iloc[0])})" if len(better) == 1 else ""
    return f"{first}: {len(better)} of {len(paid)} networks{named}"


def weights_know(known: pd.DataFrame) -> str:
    """Are the weights of the streams nearer to r than a constant is?

    known : block, correlation (of w_H with r), error (mean absolute), constant (that of the best constant).
    """
    require(known, "block", "correlation", "error", "constant")
    nearer = [str(row.block) for row in known.itertuples() if row.error < row.constant]
    top = known.loc[known["correlation"].fillna(-np.inf).idxmax()]
    rho = f"highest rank correlation with r: {top['correlation']:.2f}, block {top['block']:g}"
    if not nearer:
        return f"In no block is the weight nearer to r than one constant for all images ({rho})"
    blocks = f"block{'s' if len(nearer) > 1 else ''} {', '.join(nearer)}"
    return f"Nearer to r than a constant: the weights of {blocks} ({rho})"


def higher_and_steeper(changes: pd.DataFrame, control: str, enough: float) -> str:
    """In how many comparisons the reference's curve of O lies decidedly above that of a variant, without the control.

    changes : group (first the levels, then the slopes), name (begins with the variant), low, high. control : the
    variant that is none of the paper's. enough : the change below which a comparison says "no effect".
    """
    require(changes, "group", "name", "low", "high")
    own = changes[~changes["name"].str.startswith(control)]
    parts = dict(list(own.groupby("group", sort=False)))
    if len(parts) != 2:
        raise ValueError(f"two groups, levels and slopes, not {len(parts)}")
    counts = [int((part["low"] > enough).sum()) for part in parts.values()]
    total = len(next(iter(parts.values())))
    above, steep = (f"{count} of {total}" for count in counts)
    return f"Against RIPR's variants the ResNet's O is higher by more than {enough:.0%} in {above}, steeper in {steep}"


def decided(effects: pd.DataFrame, what: str) -> str:
    """Which of several differences exclude zero, and on which side. ``what`` names them, e.g. "masks".

    effects : name, mean, low, high (fractions).
    """
    require(effects, "name", "mean", "low", "high")
    ways = {"raise": effects["low"] > 0, "lower": effects["high"] < 0}
    parts = [
        f"{', '.join(f'{style.text(r.name)} ({100 * r.mean:+.1f})' for r in effects[which].itertuples(index=False))}"
        f" {way}{'s' if which.sum() == 1 else ''} rank-1"
        for way, which in ways.items()
        if which.any()
    ]
    return "; ".join(parts) if parts else f"None of {len(effects)} {what} changes rank-1 beyond its interval"


def network_choice(best: pd.DataFrame, chosen: str) -> str:
    """Is the network that the course takes the one that learns most in the same time?

    best : name, value, low, high (fractions), the best first (``lib.experiments.networks.best``). chosen : one of the
    names. ValueError for another.
    """
    require(best, "name", "value", "low", "high")
    if chosen not in set(best["name"]):
        raise ValueError(f"{chosen} was not compared: {', '.join(best['name'])}")
    names, values = list(best["name"]), 100 * best["value"].to_numpy()
    place = names.index(chosen)
    if place == 0:
        second = f", {names[1]} {values[1]:.1f} %" if len(names) > 1 else ""
        return f"In equal time {chosen} learns most: {values[0]:.1f} %{second}"
    within = 100 * best["high"].iloc[place] >= values[0]
    behind = "within its interval of" if within else "behind"
    return f"In equal time {chosen} has {values[place]:.1f} %, {behind} {names[0]} ({values[0]:.1f} %)"
