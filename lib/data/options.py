"""The options of a protocol: their names, what each preset makes of them, and what may be written for them.

Every value is of its own kind or refused with what to write instead: no text is taken for a number, no 0 for "none", no
empty list for "the default", and no option is accepted that would change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from lib.data.dataset import PersonDataset
from lib.data.errors import DataError
from lib.data.manifest import fraction
from lib.data.protocol import CONVENTIONS
from lib.data.resolution import KERNELS, QUALITIES, ROUNDINGS
from lib.data.splits import SEEN_ONCE, has_own_split, is_official
from lib.data.values import is_truth, one_of, real, said, switch, whole

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
    # A camera, several, a position from 0 (beyond the last camera: the last, with a warning), or one of SIDES (see
    # splits.low_side).
    "lr_camera": None,
    "ratios": (),
    "rate": "image",  # one ratio per "image", "identity" or "camera"; "shares": exactly equally many images each
    "widths": (12, 32),  # of vr: first and last
    "kernel": "bicubic",
    "rounding": "nearest",
    "antialias": True,
    "jpeg": None,
    "gallery": "hr",  # "all": low-resolution images stay in it, probes are one of them per person and camera
    # Gallery people without a probe: those that the set marks so, else those seen on the gallery side only. None: kept
    # by market1501 (not where the set's protocol discards them: CAVIAR), dropped where one image per person is drawn.
    "distractors": None,
    "seen_once": "train",  # "discard": people seen from one side only are not trained on
    "validation": 0.2,  # share, in [0, 1), of the training people seen from both sides
    "test_identities": None,  # None: half of those seen from both sides (a third of the embedded people); 0: nobody
    "images_per_camera": None,  # so many of each person and camera are drawn
    "redraw": None,  # sides and ratios drawn for each trial; None: where the split is the set's own
    "convention": None,  # one of protocol.CONVENTIONS; None: market1501 where the gallery is shared, else sing
    "trials": 10,  # how many splits are to be reported together
}
RATES = ("image", "identity", "camera", "shares")
SIDES = ("random", "per-identity", "half-of-each-person", "smaller-side", "one-of-each-pair")

MARKET_VARIANTS: dict[str, dict[str, Any]] = {
    # Options of make_protocol(people, "mlr-one-camera", **options): six ways in which public code builds "MLR-Market".
    # Cameras by position (0: the first, c1; 2: the third, c3, or the last where there are fewer, which a warning says),
    # so that they apply to any set.
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


def resolve(dataset: PersonDataset, preset: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options with their checked values: given, else the preset's, else what fits the set."""
    if not isinstance(dataset, PersonDataset):
        raise DataError(f"make_protocol wants a data set: load_dataset(…) gives one. This is {said(dataset)}.")
    if not len(dataset):
        raise DataError(f"{dataset.name} has no images.")
    if not isinstance(preset, str) or preset not in PRESETS:
        raise DataError(f"Unknown preset {preset!r}: use one of {', '.join(PRESETS)}.")
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise DataError(f"Unknown option(s) {', '.join(unknown)} of make_protocol: use {', '.join(OPTIONS)}.")
    chosen = {"degrade": "nothing"} | OPTIONS | PRESETS[preset] | dict(options)
    chosen |= {name: check(chosen[name]) for name, check in CHECKS.items()}
    official = is_official(dataset)
    check_meaning(dataset, preset, options, chosen)
    if dataset.name == "sysu" and "images_per_camera" not in options:
        chosen["images_per_camera"] = 3  # SING and JBIM draw three images of each person and camera
    if chosen["convention"] is None:
        shared = chosen["gallery"] == "all" or (official and preset == "plain")
        chosen["convention"] = "market1501" if shared else "sing"
    chosen["asked for distractors"] = bool(chosen["distractors"])
    if chosen["distractors"] is None:
        chosen["distractors"] = chosen["convention"] == "market1501"
    if chosen["redraw"] is None:
        chosen["redraw"] = has_own_split(dataset)
    return chosen


def check_meaning(dataset: PersonDataset, preset: str, options: Mapping[str, Any], chosen: Mapping[str, Any]) -> None:
    """DataError for a preset that does not fit the set, and for options that would change nothing."""
    official = is_official(dataset)
    if preset == "caviar" and official:
        raise DataError(
            f'The preset "caviar" is for sets of two real resolutions; {dataset.name} has query and gallery images of '
            'its own: the preset "plain" takes them as they come.'
        )
    if preset == "caviar" and "lr_camera" not in options and not {"near", "far"} <= set(dataset.table["cam"]):
        raise DataError(
            f'The preset "caviar" needs cameras "near" and "far"; {dataset.name} has none: '
            "name its low-resolution camera with lr_camera=…."
        )
    if chosen["degrade"] == "low-side":
        if not chosen["ratios"]:
            raise DataError('ratios must lie in (0, 1], not []: name some, such as ("1/2", "1/3").')
        if set(chosen["ratios"]) == {1}:
            raise DataError('ratios of 1 degrade nothing; the preset "plain" is full resolution.')
    without = {"ratios": "low-side", "rate": "low-side", "widths": "widths"}
    for name, kind in without.items():
        if name in options and chosen["degrade"] != kind:
            right = ", ".join(n for n, values in PRESETS.items() if values["degrade"] == kind)
            raise DataError(f"The preset {preset} has no use for {name}; these have: {right}.")
    if official and chosen["degrade"] != "low-side":
        for name in ("lr_camera", "gallery", "seen_once"):
            if options.get(name, OPTIONS[name]) != OPTIONS[name]:
                raise DataError(
                    f"{preset} on {dataset.name} uses the set's own query and gallery images; {name} has no meaning "
                    "there."
                )
    if options.get("test_identities") is not None and (official or dataset.name.startswith("cuhk03")):
        raise DataError(f"{dataset.name} says itself who is tested; test_identities has no meaning there.")


def check_ratios(value: Any) -> tuple[Fraction, ...]:
    """Exact fractions in (0, 1], none of them twice."""
    if not in_order(value):
        raise DataError(f'ratios must be a list of fractions such as ("1/2", "1/3"), not {said(value)}.')
    found = []
    for one in value:
        try:
            if is_truth(one):
                raise TypeError
            found.append(fraction(one.item() if isinstance(one, np.generic) else one))
        except (TypeError, ValueError, OverflowError, ZeroDivisionError):
            raise DataError(f"ratios must be fractions such as 1/2, not {said(one)}.") from None
    if not all(0 < one <= 1 for one in found):
        raise DataError(f"ratios must lie in (0, 1], not {[str(one) for one in found]}.")
    if len(set(found)) < len(found):
        raise DataError(f"ratios must differ, each is drawn equally often: {[str(one) for one in found]}.")
    return tuple(found)


def check_widths(value: Any) -> tuple[int, int]:
    """The first and the last width in pixels."""
    if not in_order(value) or len(value) != 2:
        raise DataError(f"widths must be the first and the last width in pixels, such as (12, 32), not {said(value)}.")
    first, last = (whole(width, "widths: each width in pixels", 1) for width in value)
    if first > last:
        raise DataError(f"widths must be the first and the last width in pixels, not {value!r}.")
    return first, last


def check_camera(value: Any) -> str | int | tuple[str, ...] | None:
    """Nothing, a camera's name or a rule, a position from 0, or several names."""
    if value is None or (isinstance(value, str) and value):
        return None if value is None else str(value)
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
        names = tuple(value)
        wrong = [name for name in names if not isinstance(name, str) or not name]
        if wrong or not names:
            raise DataError(
                f"lr_camera must name cameras, as text: {said(wrong[0]) if wrong else 'an empty list'} names none. A "
                "position stands alone, as in lr_camera=0."
            )
        return tuple(str(name) for name in names)
    try:
        return whole(value, "lr_camera", 0)
    except DataError:
        raise DataError(
            f"lr_camera must be a camera's name, several names, a position from 0, or one of {', '.join(SIDES)}; not "
            f"{said(value)}."
        ) from None


def check_share(value: Any) -> float:
    if not 0 <= (share := real(value, "validation")) < 1:
        raise DataError(f"validation={share:g} must be a share in [0, 1).")
    return share


def in_order(value: Any) -> bool:
    """Whether these are several values, and the same first one everywhere (a set has another order in each process)."""
    several = isinstance(value, (Sequence, pd.Series)) or (isinstance(value, np.ndarray) and value.ndim == 1)
    return several and not isinstance(value, (str, bytes))


def or_none(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same check, which lets None through."""
    return lambda value: None if value is None else check(value)


CHECKS: dict[str, Callable[[Any], Any]] = {
    "lr_camera": check_camera,
    "ratios": check_ratios,
    "rate": partial(one_of, name="rate", allowed=RATES),
    "widths": check_widths,
    "kernel": partial(one_of, name="kernel", allowed=KERNELS),
    "rounding": partial(one_of, name="rounding", allowed=ROUNDINGS),
    "antialias": partial(switch, name="antialias"),
    "jpeg": or_none(partial(whole, name="jpeg (JPEG quality)", least=QUALITIES[0], most=QUALITIES[1])),
    "gallery": partial(one_of, name="gallery", allowed=("hr", "all")),
    "distractors": or_none(partial(switch, name="distractors")),
    "seen_once": partial(one_of, name="seen_once", allowed=SEEN_ONCE),
    "validation": check_share,
    "test_identities": or_none(partial(whole, name="test_identities", least=0)),
    "images_per_camera": or_none(partial(whole, name="images_per_camera", least=1)),
    "redraw": or_none(partial(switch, name="redraw")),
    "convention": or_none(partial(one_of, name="convention", allowed=CONVENTIONS)),
    "trials": partial(whole, name="trials", least=1),
}
