"""Activation maps of a test's people, and whether two networks look at the same places.

Letters: V pictures, h x w a map, D dimensions of the descriptor.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lib.data import Protocol
from lib.data.batches import Batch
from lib.evaluation.features import View, extract, stream
from lib.evaluation.intervals import RESAMPLES, bootstrap_mean
from lib.methods.method import Method
from lib.methods.wrapped import Wrapped
from lib.models.activation import Seen, look, similarity_maps


class _Positions(Wrapped):
    """A trained method that describes a picture by all that it saw."""

    def embed(self, batch: Batch, role: str) -> Tensor:
        seen = look(self.method, batch, role)
        self.shape = seen.positions.shape[1:]  # (h, w, D)
        return seen.positions.flatten(1)


def match_maps(method: Method, protocol: Protocol, probes: pd.DataFrame, matches: pd.DataFrame) -> np.ndarray:
    """How each probe's similarity to its match comes about: (V, h, w) float64, the mean of a map is the similarity.

    probes, matches : V rows each of ``protocol.table``, see ``matched``. ValueError where the numbers differ, and, or
    TypeError, where the maps would not be exact (``lib.models.activation.look``).
    """
    if len(probes) != len(matches):
        raise ValueError(f"{len(probes)} probes and {len(matches)} matches: one for each")
    others = torch.from_numpy(extract(method, protocol, matches, role="gallery")).double()  # (V, D)
    wide, found = _Positions(method), []
    for at, (described,) in stream(wide, protocol, probes, [View(role="probe")]):
        seen = Seen(torch.from_numpy(described).double().view(-1, *wide.shape))
        found.append(similarity_maps(seen, others[at]).numpy())
    return np.concatenate(found)


def matched(protocol: Protocol) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The probes of the test, and for each the first gallery row that shows the same person in another camera (in the
    same one where there is no other). Probes of people who are not in the gallery are left out.
    """
    probes, gallery = (protocol.rows("test", role) for role in ("probe", "gallery"))
    pairs = probes.reset_index(names="probe").merge(gallery.reset_index(names="match"), on="pid", suffixes=("", "_m"))
    pairs["same"] = pairs["cam"] == pairs["cam_m"]
    pairs = pairs.sort_values(["probe", "same", "match"]).drop_duplicates("probe")
    return probes.loc[pairs["probe"]], gallery.loc[pairs["match"]]


class MapCorrelation(NamedTuple):
    """Pearson correlation of two networks' maps of a picture: the mean over pictures, its interval over people, and
    each picture's (V,). Of two such, ``bootstrap_mean(one.each - other.each, people)`` says whether they differ.
    """

    mean: float
    low: float
    high: float
    each: np.ndarray


def map_correlation(
    a: np.ndarray, b: np.ndarray, people, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> MapCorrelation:
    """Whether two networks find the same places telling. a, b : (V, h, w) of the same pictures; people (V,): whom they
    show. A map's mean and scale count for nothing: a factor and an offset change no correlation.

    By itself it says little, since two networks that differ in their seed alone look at other places too: set it
    beside that of two networks with the same input. Interval as ``bootstrap_mean``, with its errors; ValueError for
    maps of different shapes, and for a map that is the same everywhere (naming it).
    """
    a, b = (np.asarray(maps, dtype=np.float64) for maps in (a, b))
    if a.shape != b.shape or a.ndim != 3 or not len(a):
        raise ValueError(f"maps of shapes {a.shape} and {b.shape}: (V, h, w) twice, of the same pictures")
    a, b = (maps.reshape(len(maps), -1) - maps.mean((1, 2))[:, None] for maps in (a, b))  # (V, h w)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    if (flat := ~(lengths > 0)).any():
        raise ValueError(f"a map of picture {int(flat.argmax())} is the same everywhere: nothing correlates with it")
    each = (a * b).sum(1) / lengths
    low, high = bootstrap_mean(each, people, resamples, level, seed)
    return MapCorrelation(float(each.mean()), float(low), float(high), each)
