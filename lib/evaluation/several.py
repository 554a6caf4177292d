"""One method on several protocols of a data set, each picture that galleries share described once.

Letters: G gallery images, D feature dimensions.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import pandas as pd

from lib.data import Protocol
from lib.data.resolution import enlarging
from lib.evaluation.features import extract
from lib.evaluation.results import Result, evaluate
from lib.methods.method import Method


def evaluate_several(method: Method, protocols: Mapping[Hashable, Protocol], seed: int = 0) -> dict[Hashable, Result]:
    """{name: what ``evaluate`` says of the method on this protocol's test}.

    A gallery of untouched pictures is the same in every protocol. ValueError for protocols of several data sets; others
    as ``evaluate``.
    """
    if len({protocol.dataset.fingerprint for protocol in protocols.values()}) > 1:
        raise ValueError(f"{', '.join(map(str, protocols))} are not of one data set: evaluate them one by one")
    given = {}
    for group in _alike(method, protocols):
        rows = {name: protocols[name].rows("test", "gallery") for name in group}
        shared = pd.concat(rows.values()).drop_duplicates("image", ignore_index=True)
        described = extract(method, protocols[group[0]], shared, 1.0, "gallery")  # (G, D)
        place = pd.Series(shared.index, index=shared["image"])
        given |= {name: {"gallery": described[place.loc[some["image"]]]} for name, some in rows.items()}
    return {name: evaluate(method, some, seed=seed, features=given.get(name)) for name, some in protocols.items()}


def _alike(method: Method, protocols: Mapping[Hashable, Protocol]) -> list[list[Hashable]]:
    """Protocols whose galleries are untouched, those together that enlarge by the same kernel to the canvas."""
    groups: dict[str, list[Hashable]] = {}
    for name, protocol in protocols.items():
        gallery = protocol.rows("test", "gallery")
        if len(gallery) and (gallery["ratio"] == 1).all():
            kernel = enlarging(getattr(method, "enlargement", None) or protocol.kernel)
            groups.setdefault(kernel, []).append(name)
    return list(groups.values())
