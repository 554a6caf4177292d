"""What FTWA's weights do: over the steps of training, and image by image afterwards.

The paper calls them "vector quality weight". If they measured quality, the weight of a probe's high vector, which T
made of a small picture, would rise with what the picture shows, and weights would differ between images. Eq. 5 asks for
something else: it is linear in the shares, so that its gradient feeds the stream with the lower loss, which learns more
of it, and has a still lower loss. Letters: V images, S steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata

from lib.data import Protocol
from lib.evaluation import Difference, Effect, extract, mean_difference
from lib.experiments import claims
from lib.losses import batch_hard_triplet, pair_shares
from lib.methods.ftwa import SIDES, STREAMS, Ftwa, weight_name
from lib.models.backbones import create_backbone
from lib.models.raft import Raft
from lib.training import Run

ROLES = ("probe", "gallery")
LIGHT = "FTWA-light"
NEGLIGIBLE_RHO = 0.1  # a rank correlation that explains a hundredth of the variance
NEGLIGIBLE_WEIGHTS = 0.01  # millions


def over_steps(runs: Sequence[Run]) -> pd.DataFrame:
    """The mean weight of each stream on each side while it was learned: training (from 1), step (the middle of an
    epoch), stream ("high", "low"), side ("hr", "lr"), weight.

    KeyError for a run whose history has no weights: of another method.
    """
    found = []
    for number, run in enumerate(runs, 1):
        history = run.history
        step = history["steps"].cumsum() - history["steps"] / 2
        for stream in STREAMS:
            for side in SIDES:
                columns = {"training": number, "step": step, "stream": stream, "side": side}
                found.append(pd.DataFrame(columns | {"weight": history[weight_name(stream, side)]}))
    return pd.concat(found, ignore_index=True)


def by_image(method: Ftwa, protocol: Protocol, subset: str = "test") -> pd.DataFrame:
    """The weights of each probe and gallery image: image, pid, role, shown (what the picture shows: the protocol's
    ratio, or r where it degrades nothing, as on CAVIAR4REID), high, low (each in (0, 1)), share (high over both).
    """
    shown = "ratio" if (protocol.rows(subset)["ratio"] < 1).any() else "resolution"
    found = []
    for role in ROLES:
        rows = protocol.rows(subset, role).drop_duplicates("image")
        logs = extract(method, protocol, rows, role=role)[:, -2:].astype(float)
        columns = {name: rows[name].to_numpy() for name in ("image", "pid")} | {"shown": rows[shown].to_numpy()}
        columns |= {"role": role, "high": np.exp(logs[:, 0]), "low": np.exp(logs[:, 1])}
        found.append(pd.DataFrame(columns | {"share": 1 / (1 + np.exp(logs[:, 1] - logs[:, 0]))}))
    return pd.concat(found, ignore_index=True)


def between_images(table: pd.DataFrame) -> float:
    """How much of the variance of all weights is between the images of a stream, in [0, 1]; the rest is between the two
    streams. 0 where a weight says which stream it is of and nothing more; NaN where all weights are equal.

    table : of ``by_image``, or a part of it.
    """
    weights = table[["high", "low"]].to_numpy()
    whole = weights.var()
    return float(weights.var(0).mean() / whole) if whole > 0 else float("nan")


def where_they_end(rows: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """What the weights of trained rows have come to, from the test probes: a row per name, high and low (means),
    between (``between_images``), rho with low_rho and high_rho (``quality`` of the high weight). Means over trainings.
    """
    found = {}
    for name, runs in rows.items():
        tables = [by_image(run.method, run.protocol) for run in runs]
        probes = [table[table["role"] == "probe"] for table in tables]
        rho = quality(runs)
        found[name] = {
            "high": np.mean([some["high"].mean() for some in probes]),
            "low": np.mean([some["low"].mean() for some in probes]),
            "between": np.mean([between_images(some) for some in probes]),
            "rho": rho.mean, "low_rho": rho.low, "high_rho": rho.high,
        }  # fmt: skip
    return pd.DataFrame(found).T


def quality(runs: Sequence[Run], weight: str = "high") -> Difference:
    """Spearman's correlation of a weight ("high", "low", "share") of the test probes with what they show, over all
    trainings; 0 where one of the two is the same for all probes.

    It is the mean over probes of the product of their standardised ranks, and has the interval of such a mean
    (``mean_difference``): exact where there is no correlation, a little wide where there is much.
    """
    values, people = [], []
    for run in runs:
        table = by_image(run.method, run.protocol)
        probes = table[table["role"] == "probe"]
        values.append(_standardised(probes[weight]) * _standardised(probes["shown"]))
        people.append(probes["pid"].to_numpy())
    cells = [(run.protocol.trial, run.seed) for run in runs]
    return mean_difference(values, people, cells, "Spearman's correlation")


def quality_claim(runs: Sequence[Run]) -> dict:
    """FTWA-quality: whether W_HR of a probe's transformed vector rises with what the probe shows."""
    return claims.judge("FTWA-quality", quality(runs), NEGLIGIBLE_RHO, scale=1.0, unit="(correlation)")


def asked(claim: str, people: str) -> bool:
    """Whether a claim about FTWA's weights is asked of a set: a count is the same on all, and stands once."""
    return claim != LIGHT or people == "pedestrians"


def light_claim() -> dict:
    """FTWA-light: an exact count at the paper's size, T as we read Fig. 2."""
    with torch.device("meta"):
        backbone = create_backbone("resnet50")
        transform = Raft(backbone.channels)
    whole, part = (sum(p.numel() for p in some.parameters()) / 1e6 for some in (backbone, transform))
    apart = whole / 10 - part
    exact = Effect(apart, apart, apart, 0.95, 0, (apart,), chance=False)
    return claims.judge(LIGHT, exact, NEGLIGIBLE_WEIGHTS, scale=1.0, unit="million weights")


def weights_alone(reading: str, steps: int = 300, seed: int = 0) -> pd.DataFrame:
    """Eq. 7 of vectors that never change, while the weights alone are learned: step (from 0), loss.

    Sixteen people with four images each, random vectors, one free logit for every weight. "batch" goes towards zero:
    it weighs the anchors that are right already. "anchor" can only choose the better stream, "scalar" the better one of
    all. ValueError for another reading.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(16).repeat_interleave(4)
    centres = torch.randn(2, 16, 8, generator=generator)
    high, low = (c[labels] + torch.randn(64, 8, generator=generator) for c in centres)
    on_low = torch.arange(64) % 2 == 0
    logits = torch.zeros(64, 2, requires_grad=True)
    optimizer, losses = torch.optim.Adam([logits], lr=0.05), []
    for _ in range(steps + 1):
        pairs = pair_shares(high, low, labels, torch.nn.functional.logsigmoid(logits), on_low, reading)
        loss = sum(batch_hard_triplet(v, labels, 0.3, w) for v, w in zip((high, low), pairs.unbind(1), strict=True))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return pd.DataFrame({"step": range(steps + 1), "loss": losses})


def _standardised(values: pd.Series) -> np.ndarray:
    """Ranks with mean 0 and variance 1; zeros where all values are equal."""
    ranks = rankdata(values)
    spread = ranks.std()
    return (ranks - ranks.mean()) / spread if spread > 0 else np.zeros(len(ranks))
