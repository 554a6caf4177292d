"""Protocols: who is trained on, who is searched for where, and at which resolution. A protocol is data, with a hash.

What the papers call "multiple low resolution" is a family. The presets follow their text; where public code differs
there is an option.

==================  ==================================================  ===============================  ==========
preset              low-resolution side (the probes)                    ratios                           evaluation
==================  ==================================================  ===============================  ==========
``mlr``             one of two cameras; one of each pair (CUHK03); the  each image 1/2, 1/3 or 1/4       sing
                    first half of the cameras where there are more
``mlr-thirds``      the same                                            exact thirds (SING's code)       sing
``mlr-half``        half of each person's images (JBIM's MLR-Market)    each image 1/2, 1/3 or 1/4       sing
``mlr-one-camera``  one drawn camera (CAD-Net, PS-HRNet, FTWA)          one for the camera               sing
``vr``              every image, training and gallery too (RIPR)        width 12..32, equally often      market1501
``caviar``          the far camera                                      none: real resolutions           sing
``plain``           people and images of ``mlr`` at full resolution;    none                             the set's
                    the set's own query and gallery where it has them
==================  ==================================================  ===============================  ==========

The identity split is drawn by seed and trial and does not depend on the preset, so that presets can be compared on the
same people. Low-resolution sides and ratios are drawn once, by the seed, as the papers build their set once and then
split it ten times; where the split is the set's own they are drawn for each trial (option ``redraw``).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from lib.data.dataset import PersonDataset
from lib.data.errors import DataError
from lib.data.manifest import draw, fraction, pick, shuffled
from lib.data.protocol import FORMAT, Protocol, load_protocol
from lib.data.resolution import KERNELS, ROUNDINGS
from lib.data.splits import Split, draw_shots, is_official, low_side, split_identities

__all__ = ["MARKET_VARIANTS", "PRESETS", "Protocol", "load_protocol", "make_protocol"]

MLR = {"degrade": "low-side", "ratios": ("1/2", "1/3", "1/4"), "rate": "image"}
PRESETS: dict[str, dict[str, Any]] = {
    "mlr": MLR,
    "mlr-thirds": MLR | {"rate": "shares"},
    "mlr-half": MLR | {"lr_camera": "half-of-each-person"},
    "mlr-one-camera": MLR | {"lr_camera": "random", "rate": "camera"},
    "vr": {"degrade": "widths", "convention": "market1501"},
    "caviar": {"degrade": "nothing", "lr_camera": "far"},
    "plain": {"degrade": "nothing"},
}

OPTIONS: dict[str, Any] = {
    # A camera, several, a position from 0, or one of "random", "per-identity", "half-of-each-person", "smaller-side",
    # "one-of-each-pair" (see splits.low_side).
    "lr_camera": None,
    "ratios": (),
    "rate": "image",  # one ratio per "image", "identity" or "camera"; "shares": exactly equally many images each
    "widths": (12, 32),  # of vr: first and last
    "kernel": "bicubic",
    "rounding": "nearest",
    "antialias": True,
    "jpeg": None,
    "gallery": "hr",  # "all": low-resolution images stay in it, probes are one of them per person and camera
    # Gallery people without a probe; None: kept by market1501, dropped where one image per person is drawn.
    "distractors": None,
    "validation": 0.2,
    "test_identities": None,
    "images_per_camera": None,
    "redraw": None,
    "convention": None,
    "trials": 10,
}

MARKET_VARIANTS: dict[str, dict[str, Any]] = {
    # Options of make_protocol(people, "mlr-one-camera", **options): six ways in which public code builds "MLR-Market".
    # Cameras by position (0: the first, c1; 2: the third, c3, or the last where there are fewer), so that they apply
    # to any set.
    "first camera, bicubic": {"lr_camera": 0, "rate": "camera"},
    "first camera, bilinear without antialias": {
        "lr_camera": 0,
        "rate": "image",
        "kernel": "bilinear",
        "antialias": False,
        "rounding": "floor",
    },
    "third camera, bicubic, halves to eighths": {"lr_camera": 2, "rate": "image", "ratios": ("1/2", "1/4", "1/8")},
    "a camera per person, Lanczos": {
        "lr_camera": "per-identity",
        "rate": "image",
        "kernel": "lanczos",
        "rounding": "floor",
    },
    "a camera per person, stored as JPEG": {
        "lr_camera": "per-identity",
        "rate": "image",
        "kernel": "bilinear",
        "jpeg": 75,
    },
    "third camera, low resolution left in the gallery": {"lr_camera": 2, "rate": "image", "gallery": "all"},
}


def make_protocol(dataset: PersonDataset, preset: str, trial: int = 0, seed: int = 0, **options: Any) -> Protocol:
    """The protocol ``preset`` on ``dataset``.

    Parameters
    ----------
    preset : one of :data:`PRESETS`.
    trial : number of the random split, from 0; CUHK03: of the official test set, 0..19.
    seed : of everything that is drawn. The same preset, seed and data give the same manifest on every machine.
    options : those of :data:`OPTIONS`; each has the preset's value unless given.

    Raises
    ------
    DataError : an unknown preset, option or value, or a data set that the preset does not fit.
    """
    chosen = resolve(dataset, preset, options)
    once = None if not chosen["redraw"] else trial
    low, side = low_side(dataset, chosen["lr_camera"], seed, once)
    kept = draw_shots(dataset.table, chosen["images_per_camera"], seed)
    names = ("validation", "test_identities")
    split = split_identities(dataset, low, kept, seed=seed, trial=trial, **{name: chosen[name] for name in names})
    rows = assign_roles(dataset, low, kept, split, chosen, seed)
    ratio = assign_ratios(dataset, rows, low & kept, chosen, (seed, -1 if once is None else trial))
    manifest = {
        "format": FORMAT,
        "set": dataset.name,
        "fingerprint": dataset.fingerprint,
        "preset": preset,
        "trial": int(trial),
        "seed": int(seed),
        "trials": int(chosen["trials"]),
        "convention": chosen["convention"],
        "identities": {"train": split.train, "val": split.val, "test": split.test, "discarded": split.discarded},
        "low_resolution": {
            "side": describe_side(dataset, chosen, side),
            "drawn": "for each trial" if chosen["redraw"] else "once",
            "ratios": [str(value) for value in chosen["ratios"]],
            "rate": chosen["rate"] if chosen["degrade"] == "low-side" else chosen["degrade"],
            "widths": list(chosen["widths"]) if chosen["degrade"] == "widths" else [],
        },
        "degradation": {name: chosen[name] for name in ("kernel", "rounding", "antialias", "jpeg")},
        "gallery": {
            "rule": chosen["gallery"],
            "images": "one per person and draw" if chosen["convention"] == "sing" else "all",
            "distractors": chosen["distractors"],
        },
        "images": {
            "row": [int(row) for row in rows["image"]],
            "role": list(rows["role"]),
            "subset": list(rows["subset"]),
            "ratio": [str(value) for value in ratio],
        },
    }
    return Protocol.from_manifest(dataset, manifest)


def describe_side(dataset: PersonDataset, chosen: Mapping[str, Any], side: str) -> str:
    """Which images are low in resolution and which ones ask, in words."""
    probes = "the set's own queries" if is_official(dataset) and chosen["degrade"] != "low-side" else side
    low = {"low-side": side, "widths": "every image", "nothing": "no image beyond its own resolution"}[
        chosen["degrade"]
    ]
    return low if low == probes else f"{low}; probes: {probes}"


def resolve(dataset: PersonDataset, preset: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options with their values: given, else the preset's, else what fits the set."""
    if preset not in PRESETS:
        raise DataError(f"Unknown preset {preset!r}: use one of {', '.join(PRESETS)}.")
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise DataError(f"Unknown option(s) {', '.join(unknown)} of make_protocol: use {', '.join(OPTIONS)}.")
    chosen = {"degrade": "nothing"} | OPTIONS | PRESETS[preset] | dict(options)
    if preset == "caviar" and "lr_camera" not in options and not {"near", "far"} <= set(dataset.table["cam"]):
        raise DataError(
            f'The preset "caviar" needs cameras "near" and "far"; {dataset.name} has none: '
            "name its low-resolution camera with lr_camera=…."
        )
    if preset in ("plain", "vr") and is_official(dataset) and "lr_camera" in options:
        raise DataError(
            f"{preset} on {dataset.name} uses the set's own query and gallery images; lr_camera has no meaning there."
        )
    official = is_official(dataset)
    if dataset.name == "sysu" and "images_per_camera" not in options:
        chosen["images_per_camera"] = 3  # SING and JBIM draw three images of each person and camera
    if chosen["convention"] is None:
        shared = chosen["gallery"] == "all" or (official and preset == "plain")
        chosen["convention"] = "market1501" if shared else "sing"
    if chosen["distractors"] is None:
        chosen["distractors"] = chosen["convention"] == "market1501"
    if chosen["redraw"] is None:
        chosen["redraw"] = official
    try:
        chosen["ratios"] = tuple(fraction(value) for value in chosen["ratios"])
    except (TypeError, ValueError) as error:
        raise DataError(f"ratios must be fractions such as 1/2, not {chosen['ratios']!r}.") from error
    if not all(0 < value <= 1 for value in chosen["ratios"]) or (
        chosen["degrade"] == "low-side" and not chosen["ratios"]
    ):
        raise DataError(f"ratios must lie in (0, 1], not {[str(value) for value in chosen['ratios']]}.")
    allowed = {
        "kernel": KERNELS,
        "rounding": ROUNDINGS,
        "gallery": ("hr", "all"),
        "rate": ("image", "identity", "camera", "shares"),
    }
    for name, values in allowed.items():
        if chosen[name] not in values:
            raise DataError(f"{name} must be one of {', '.join(values)}, not {chosen[name]!r}.")
    first, last = chosen["widths"]
    if not 1 <= first <= last:
        raise DataError(f"widths must be the first and the last width in pixels, not {chosen['widths']!r}.")
    return chosen


def assign_roles(
    dataset: PersonDataset, low: np.ndarray, kept: np.ndarray, split: Split, chosen: Mapping[str, Any], seed: int
) -> pd.DataFrame:
    """One row per used image: image, role and subset, in the order of the data set."""
    table = dataset.table
    pid, own = table["pid"], table["subset"]
    role = np.full(len(table), "", dtype=object)
    subset = np.full(len(table), "", dtype=object)
    official = is_official(dataset)
    queries = official and chosen["degrade"] != "low-side"  # plain and vr keep the set's own query and gallery images
    for name, people in (("train", split.train), ("val", split.val), ("test", split.test)):
        mine = pid.isin(people).to_numpy() & kept
        if official:
            mine &= (own != "train").to_numpy() if name == "test" else (own == "train").to_numpy()
        subset[mine] = name
        if name == "train":
            role[mine] = "train"
        elif queries and name == "test":
            role[mine & (own == "query").to_numpy()] = "probe"
            role[mine & (own == "gallery").to_numpy()] = "gallery"
        elif queries or chosen["gallery"] == "all":
            # As Market-1501 was made: one image per person and camera asks, the others are searched.
            asking = mine if queries else mine & low
            if official and name == "test":
                asking = asking & (own == "query").to_numpy()
            else:
                asking = one_of_each(table, asking, seed)
            role[mine] = "gallery"
            role[asking] = "probe"
        else:
            role[mine & low] = "probe"
            role[mine & ~low] = "gallery"
    if chosen["distractors"] and official:
        strangers = (own == "gallery").to_numpy() & ~pid.isin(split.test).to_numpy()
        strangers &= ~low if not queries and chosen["gallery"] == "hr" else True
        role[strangers], subset[strangers] = "gallery", "test"
    if chosen["convention"] == "sing":
        # Its CMC is divided by all probes: nobody is asked for who is not in the gallery.
        for name in ("val", "test"):
            searched = set(pid[(role == "gallery") & (subset == name)])
            role[(role == "probe") & (subset == name) & ~pid.isin(searched).to_numpy()] = ""
    used = np.flatnonzero(role != "")
    return pd.DataFrame({"image": used, "role": role[used], "subset": subset[used]})


def one_of_each(table: pd.DataFrame, among: np.ndarray, seed: int) -> np.ndarray:
    """(N,) bool: one image of each person and camera, drawn from ``among``."""
    chosen = np.zeros(len(table), bool)
    for (pid, cam), rows in table[among].groupby(["pid", "cam"]).groups.items():
        chosen[min((int(row) for row in rows), key=lambda row: draw("query", seed, str(pid), str(cam), row))] = True
    return chosen


def assign_ratios(
    dataset: PersonDataset, rows: pd.DataFrame, low: np.ndarray, chosen: Mapping[str, Any], salt: tuple[int, int]
) -> list[Fraction]:
    """The exact ratio of every used image."""
    table, images = dataset.table, rows["image"].tolist()
    ratio = dict.fromkeys(images, Fraction(1))
    ratios = chosen["ratios"]
    if chosen["degrade"] == "widths":
        first, last = chosen["widths"]
        for rank, image in enumerate(shuffled(images, "width", *salt)):
            own = int(table.at[image, "width"])
            ratio[image] = min(Fraction(first + rank % (last - first + 1), own), Fraction(1))
    elif chosen["degrade"] == "low-side" and chosen["rate"] == "shares":
        lows = shuffled((int(row) for row in np.flatnonzero(low)), "share", *salt)
        share = max(1, len(lows) // len(ratios))
        for rank, image in enumerate(lows):  # VIPeR: 210, 210 and the remaining 212
            ratio[image] = ratios[min(rank // share, len(ratios) - 1)]
    elif chosen["degrade"] == "low-side":
        owner = {
            "image": lambda i: i,
            "identity": lambda i: table.at[i, "pid"],
            "camera": lambda i: table.at[i, "cam"],
        }[chosen["rate"]]
        for image in images:
            if low[image]:
                ratio[image] = pick(ratios, "ratio", *salt, owner(image))
    return [ratio[image] for image in images]
