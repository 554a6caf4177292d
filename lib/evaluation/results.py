"""From a trained method and a protocol to the numbers of a table, with their intervals and their provenance."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from lib.evaluation.arguments import real_number, whole_number
from lib.evaluation.conventions import get_convention
from lib.evaluation.features import BATCH_SIZE, device_of, extract, training_of
from lib.evaluation.people import as_array
from lib.evaluation.ranking import Ranking, rank_features
from lib.methods.method import Method

if TYPE_CHECKING:
    from lib.data import Protocol


ROLES = ("probe", "gallery")


class TrainedOnTheTested(UserWarning):
    """A method is tested on people whom it was trained on: the score says nothing about strangers."""


@dataclass(frozen=True, eq=False)
class Result:
    """A ranking, what it is of, and its intervals (groups of people left out: ``intervals.py``), which say nothing of
    how another training would have turned out: for that see ``summarise``.

    trial, seed: the protocol's split. training: the seed that the method was trained with, as ``Method.trained_seed``:
    several where it is made of trainings with different seeds, None where nothing was drawn. ratios: what replaced the
    protocol's ratios, e.g. {"probe": 0.25}; empty where nothing did. seed_groups: deals people into groups. seen: how
    many of the tested people the method was trained on.
    """

    ranking: Ranking = field(repr=False)
    protocol_sha256: str
    method: str = ""
    dataset: str = ""
    preset: str = ""
    subset: str = "test"
    trial: int = 0
    seed: int = 0
    training: int | tuple[int, ...] | None = None
    ratios: Mapping[str, float] = field(default_factory=dict)
    seed_groups: int = 0
    level: float = 0.95
    seen: int = 0

    def __post_init__(self):
        # provenance ends in JSON, which knows no NumPy numbers
        for name in ("trial", "seed", "seed_groups", "seen"):
            object.__setattr__(self, name, int(getattr(self, name)))
        object.__setattr__(self, "ratios", {str(role): float(ratio) for role, ratio in self.ratios.items()})

    def rank(self, k: int) -> float:
        """Share of probes whose match is among the first k, in [0, 1]."""
        return self.ranking.rank(k)

    @property
    def map(self) -> float:
        return self.ranking.map

    @property
    def minp(self) -> float:
        return self.ranking.minp

    def interval(self, name: str) -> tuple[float, float]:
        """(low, high) of "rank-K", "mAP" or "mINP", as ``Ranking.interval``."""
        return self.ranking.interval(name, self.level, self.seed_groups)

    def value(self, name: str) -> float:
        """The metric "rank-K", "mAP" or "mINP", in [0, 1]."""
        return float(self.ranking.probe_values(name).mean())

    def summary(self) -> str:
        """A few lines for a reader: every headline metric in percent with its interval, and what it is of."""
        ranking = self.ranking
        of = " ".join(word for word in (self.method, "on" if self.method else "", self.dataset, self.preset) if word)
        people = len(pd.unique(ranking.probe_ids))
        missing = f", {ranking.unmatched} probes without a match" if ranking.unmatched else ""
        ratios = "".join(f", {role} at ratio {ratio:g}" for role, ratio in self.ratios.items())
        lines = [
            f"{of}, {self.subset}, trial {self.trial} (protocol {self.protocol_sha256[:12]}){ratios}".lstrip(", "),
            f"{len(ranking.ap)} probes of {people} people, {ranking.gallery_size} gallery images of "
            f"{ranking.gallery_identities}{missing}; {ranking.convention}",
        ]
        for name in ranking.metrics:
            low, high = self.interval(name)
            interval = "" if np.isnan(low) else f"   [{100 * low:.1f}, {100 * high:.1f}]"
            lines.append(f"{name:>8} {100 * self.value(name):6.1f} %{interval}")
        if people < 2:
            lines.append("no intervals: they leave out people, and these probes show one person")
        if self.seen:
            lines.append(f"trained on {self.seen} of the people tested: no measure of how it does on strangers")
        return "\n".join(lines)

    def provenance(self) -> dict:
        """What the numbers are of, as flat columns."""
        return {
            "method": self.method,
            "dataset": self.dataset,
            "preset": self.preset,
            "subset": self.subset,
            "trial": self.trial,
            "seed": self.seed,
            "training": "+".join(map(str, self.training)) if isinstance(self.training, tuple) else self.training,
            "convention": self.ranking.convention,
            "ratio_probe": self.ratios.get("probe", np.nan),
            "ratio_gallery": self.ratios.get("gallery", np.nan),
            "probes": len(self.ranking.ap),
            "unmatched": self.ranking.unmatched,
            "gallery": self.ranking.gallery_size,
            "people_seen": self.seen,
            "protocol_sha256": self.protocol_sha256,
        }

    def to_row(self) -> dict:
        """One flat row: provenance, and for each headline metric its value, ``<metric>_low`` and ``<metric>_high``."""
        row = self.provenance()
        for name in self.ranking.metrics:
            row[name] = self.value(name)
            row[f"{name}_low"], row[f"{name}_high"] = self.interval(name)
        return row

    def to_frame(self) -> pd.DataFrame:
        """Tidy: one row per headline metric with columns metric, value, low, high and the provenance."""
        rows = []
        for name in self.ranking.metrics:
            low, high = self.interval(name)
            rows.append({**self.provenance(), "metric": name, "value": self.value(name), "low": low, "high": high})
        return pd.DataFrame(rows)


def evaluate(
    method: Method,
    protocol: Protocol,
    subset: str = "test",
    device: torch.device | str | None = None,
    batch_size: int = BATCH_SIZE,
    ratios: Mapping[str, float] | None = None,
    convention: str | None = None,
    max_rank: int = 50,
    seed: int = 0,
    features: Mapping[str, np.ndarray] | None = None,
) -> Result:
    """Rank a protocol's probes against its gallery and say how sure the numbers are.

    ratios: replaces the protocol's, e.g. ``{"probe": 0.25, "gallery": 1.0}``; either may be left out. convention: by
    default the protocol's own. device: by default where the method's weights are. seed: of the groups of people
    that the intervals leave out. The method's own ``distance`` is used where it overrides ``Method.distance``;
    Euclidean distances have a faster way of their own. features: {"probe": (Q, D), "gallery": (G, D)} where they
    were extracted before, with the same ratios; the result keeps them for its intervals.

    Raises TypeError for what is no method or no protocol. ValueError where the method was not set up, the subset has no
    probes or no gallery, for an unknown role in ratios or features, a ratio outside (0, 1], features that are not
    one finite vector per image, a device that is not there, and as ``rank_features``. Warns with
    ``TrainedOnTheTested`` where the method was trained on people of the subset (unless that is the subset "train").
    """
    _refuse_others(method, protocol)
    convention = protocol.convention if convention is None else convention
    get_convention(convention)  # before minutes of work
    ratios = _checked_ratios(ratios)
    max_rank = whole_number(max_rank, "max_rank", 1)
    seed, batch_size = whole_number(seed, "seed", 0), whole_number(batch_size, "batch_size", 1)
    features = {} if features is None else dict(features)
    if not set(features) <= set(ROLES):
        raise ValueError(f"features are given for {sorted(features)}; the roles are 'probe' and 'gallery'")
    rows = {}
    for role in ROLES:
        rows[role] = protocol.rows(subset, role)
        if len(rows[role]) == 0:
            raise ValueError(f"subset {subset!r} of the protocol has no {role} images to evaluate on")
        if role in features:
            features[role] = _checked_features(features[role], role, len(rows[role]))
    seen = _seen(method, protocol, rows) if subset != "train" else 0
    for role in ROLES:
        if role not in features:
            features[role] = extract(method, protocol, rows[role], ratios.get(role), role, device, batch_size)
    ranking = rank_features(
        features["probe"],
        features["gallery"],
        *(rows[role]["pid"] for role in ("probe", "gallery")),
        *(rows[role]["cam"] for role in ("probe", "gallery")),
        convention=convention,
        max_rank=max_rank,
        metric=_metric(method),
    )
    return Result(
        ranking=ranking,
        protocol_sha256=protocol.sha256,
        method=_name(method),
        dataset=str(protocol.dataset.name),
        preset=protocol.preset,
        subset=subset,
        trial=protocol.trial,
        seed=protocol.seed,
        training=training_of(method),
        ratios=ratios,
        seed_groups=seed,
        seen=seen,
    )


def _name(method: Method) -> str:
    return str(getattr(method, "name", type(method).__name__))


def _refuse_others(method: Method, protocol: Protocol) -> None:
    """A run instead of its method, and arguments the wrong way round."""
    if hasattr(method, "method") and not hasattr(method, "embed"):
        raise TypeError(f"evaluate takes a method, not a {type(method).__name__}: pass its .method")
    if not hasattr(method, "embed"):
        raise TypeError(f"evaluate(method, protocol) takes a method first, not a {type(method).__name__}")
    if not (hasattr(protocol, "rows") and hasattr(protocol, "convention")):
        raise TypeError(f"evaluate(method, protocol) takes a protocol second, not a {type(protocol).__name__}")


def _checked_ratios(ratios: Mapping[str, float] | None) -> dict[str, float]:
    ratios = {} if ratios is None else ratios
    if not isinstance(ratios, Mapping):
        raise ValueError(f'ratios is {ratios!r}; say whose: {{"probe": 0.25, "gallery": 1.0}}')
    if not set(ratios) <= set(ROLES):
        raise ValueError(f"ratios are given for {sorted(map(str, ratios))}; the roles are 'probe' and 'gallery'")
    return {role: real_number(ratio, f"the ratio of the {role}", 0, 1, "(]") for role, ratio in ratios.items()}


def _checked_features(features, role: str, images: int) -> np.ndarray:
    features = as_array(features, f"{role} features")
    if features.ndim != 2 or len(features) != images:
        raise ValueError(f"{role} features of shape {features.shape} for {images} {role} images, one vector each")
    if features.dtype.kind not in "fiub":
        raise ValueError(f"{role} features have values of type {features.dtype}, expected numbers")
    bad = ~np.isfinite(features).all(1)
    if bad.any():
        raise ValueError(f"the feature of {role} {int(bad.argmax())} is NaN or infinite: has training diverged?")
    return features


def _seen(method: Method, protocol: Protocol, rows: Mapping[str, pd.DataFrame]) -> int:
    """How many people of ``rows`` the method was trained on, and a warning if there are some.

    ``method.trained_on``: (fingerprint of the data set, its people), as ``fit`` leaves it; None where nothing is known.
    """
    fingerprint, trained = getattr(method, "trained_on", None) or (None, frozenset())
    if fingerprint is None or fingerprint != getattr(protocol.dataset, "fingerprint", None):
        return 0
    tested = set().union(*(rows[role]["pid"] for role in ROLES))
    seen = len(tested & set(trained))
    if seen:
        warnings.warn(
            f"{_name(method)} was trained on {seen} of the {len(tested)} people it is tested on: evaluate a run on the "
            "protocol that it was trained with (the same preset, trial and seed), or train it on this one",
            TrainedOnTheTested,
            stacklevel=3,
        )
    return seen


def _metric(method: Method):
    """ "euclidean", or the method's own distance as a function of NumPy arrays."""
    if getattr(type(method), "distance", Method.distance) is Method.distance:
        return "euclidean"
    device = device_of(method)

    def distances(probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            both = (torch.from_numpy(np.ascontiguousarray(x)).to(device) for x in (probes, gallery))
            return method.distance(*both).float().cpu().numpy()

    return distances
