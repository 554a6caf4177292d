"""The Protocol object: a manifest, its hash, and the table that the rest of the course works with.

Letters: N rows of the table.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from lib.data.dataset import PersonDataset
from lib.data.errors import DataError, DataWarning, few
from lib.data.frozen import freeze
from lib.data.manifest import canonical, sha256
from lib.data.resolution import KERNELS, QUALITIES, ROUNDINGS, degrade, low_resolution_size
from lib.data.values import one_of, real, said, switch, whole

FORMAT = 1
SUBSETS = ("train", "val", "test")
ROLES = ("train", "probe", "gallery")
# The names of the ways to evaluate; lib/evaluation/conventions.py says what each of them is.
CONVENTIONS = ("market1501", "single-shot", "single-shot-cross-camera", "sing", "trapezoid")
WIDE = 0.25  # a share of the probes that a canvas may be too small for before check_canvas says so


@dataclass(frozen=True, eq=False, repr=False)
class Protocol:
    """Who is trained on, who is searched for where, and at which resolution.

    It is what its manifest says, and neither can be changed: ``manifest`` refuses (``copy.deepcopy`` gives one to
    change, :meth:`from_manifest` makes a protocol of it), and ``table`` gives a fresh copy each time.

    Raises
    ------
    DataError : the manifest is damaged, or belongs to other data or to another format.
    """

    dataset: PersonDataset
    manifest: dict[str, Any]
    sha256: str = field(init=False)

    def __post_init__(self):
        check_manifest(self.manifest, self.dataset)
        object.__setattr__(self, "manifest", freeze(self.manifest))
        object.__setattr__(self, "sha256", sha256(self.manifest))
        object.__setattr__(self, "_table", build_table(self.dataset, self.manifest))

    @classmethod
    def from_manifest(cls, dataset: PersonDataset, manifest: dict[str, Any]) -> Protocol:
        """The protocol that a manifest describes; DataError where it is damaged or belongs to other data."""
        return cls(dataset, manifest)

    def __deepcopy__(self, memo) -> Protocol:
        return self  # nothing in it can change

    def __repr__(self) -> str:
        names = ("preset", "trial", "seed", "sha256", "kernel", "convention", "trials")
        return f"Protocol({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    @property
    def preset(self) -> str:
        return self.manifest["preset"]

    @property
    def trial(self) -> int:
        """Number of the split, from 0."""
        return self.manifest["trial"]

    @property
    def trials(self) -> int:
        """How many splits are to be reported together."""
        return self.manifest["trials"]

    @property
    def seed(self) -> int:
        return self.manifest["seed"]

    @property
    def kernel(self) -> str:
        return self.manifest["degradation"]["kernel"]

    @property
    def convention(self) -> str:
        """How it is evaluated: one of :data:`CONVENTIONS`."""
        return self.manifest["convention"]

    @property
    def table(self) -> pd.DataFrame:
        """One row per used image: image (row of ``dataset.table``), pid, cam, role ("train", "probe", "gallery"),
        subset ("train", "val", "test"), ratio (float, 1.0 = untouched), width and height (pixels, after degrading) and
        resolution (RIPR's r, see :meth:`resolution`). A copy: what is changed in it changes nothing here."""
        return self._table.copy()

    def rows(self, subset: str, role: str | None = None) -> pd.DataFrame:
        """The rows of ``table`` in a subset, of one role or of all."""
        if subset not in SUBSETS or role not in (*ROLES, None):
            raise ValueError(f"no rows of subset {subset!r} and role {role!r}: use {SUBSETS} and {ROLES}")
        chosen = self._table["subset"] == subset
        if role is not None:
            chosen &= self._table["role"] == role
        return self._table[chosen].copy()

    @property
    def widest(self) -> int:
        """RIPR's width_max in pixels (§3): the protocol's own limit if it has one (VR: 32), else the set's."""
        return widest(self.dataset, self.manifest)

    def resolution(self, images: Iterable[int], ratio: Any = 1.0) -> np.ndarray:
        """RIPR's r of images (§3), (N,) float64 in (0, 1]: their width in pixels at ``ratio`` of their own size over
        ``widest``, 1 for what is wider than that. This r is the one everywhere: in ``table``, in batches, on axes.

        images : rows of ``dataset.table``. ratio : one for all or (N,), each in (0, 1].
        """
        sizes = self.dataset.table[["height", "width"]].to_numpy()[np.asarray(images, dtype=np.int64)]
        ratios = np.broadcast_to(np.asarray(ratio, dtype=float), len(sizes))
        rounding = self.manifest["degradation"]["rounding"]
        widths = [
            int(width) if share == 1 else low_resolution_size(int(height), int(width), float(share), rounding)[1]
            for (height, width), share in zip(sizes, ratios, strict=True)
        ]
        return np.minimum(np.array(widths, dtype=float) / self.widest, 1.0)

    def ratio_at(self, images: Iterable[int], r: float) -> np.ndarray:
        """The other way round, (N,) float64 in (0, 1]: the ratio at which each image is ``r * widest`` pixels wide; 1
        for those that are no wider than that as they come. ValueError unless r lies in (0, 1]."""
        if not 0 < real(r, "r") <= 1:
            raise ValueError(f"a resolution r lies in (0, 1], not {r}")
        widths = self.dataset.table["width"].to_numpy()[np.asarray(images, dtype=np.int64)]
        return np.minimum(r * self.widest / widths, 1.0)

    def is_low(self, rows: pd.DataFrame) -> np.ndarray:
        """(N,) bool: which of these rows are on the low-resolution side (SING's X^l; the others are its X^h).

        Every image where the protocol degrades every image (``vr``); those that it degrades where it degrades some.
        Where it degrades none (CAVIAR: low as it comes), those on the side that asks: the images of cameras from which
        only probes come, or those that the manifest names where a side is not a matter of cameras ("smaller-side",
        "per-identity", "half-of-each-person"). Nobody is on a low side of a set that has query and gallery images from
        the same cameras, all of them as they come.
        """
        side = self.manifest.get("low_resolution", {})
        if side.get("rate") == "widths":
            return np.ones(len(rows), bool)
        if "images" in side:
            return rows["image"].isin(side["images"]).to_numpy()
        return degraded_or_asking(self._table, rows)

    @property
    def sides(self) -> dict[str, int]:
        """How many training images are on each side: {"low": …, "high": …}. A side may be empty (``vr`` has no high
        one): :meth:`check_sides` is for methods that need both."""
        low = self.is_low(self.rows("train"))
        return {"low": int(low.sum()), "high": int((~low).sum())}

    def check_sides(self, who: str, remedy: str = "") -> None:
        """Refuse what ``who``, a method that trains on both sides, cannot be trained on.

        Raises
        ------
        DataError : one side has no training images; the message says which and why, and ends with ``remedy``, a
            sentence of the method's own.
        """
        empty = [side for side, count in self.sides.items() if not count]
        if not empty:
            return
        if not len(self.rows("train")):
            why = "it trains on nobody"
        elif self.manifest.get("low_resolution", {}).get("rate") == "widths":
            why = "every image of it is low in resolution"
        elif empty == ["low"] and (self._table["ratio"] == 1).all():
            why = "it degrades no image, and its probes come from the same cameras as its gallery"
        else:
            why = "all people it trains on were seen from the other side only"
        raise DataError(
            f"{who} needs training images of low and of high resolution; {self.preset} on {self.dataset.name} has none "
            f"on the {' and none on the '.join(empty)} side: {why}. {remedy}".rstrip()
        )

    def wider_than(self, canvas_width: int, subset: str = "test") -> float:
        """The share of probes, in [0, 1], that are at least so many pixels wide as they are shown: put on a canvas of
        that width, their low resolution is not to be seen. 0 where there are no probes."""
        width = self.rows(subset, "probe")["width"]
        return float((width >= whole(canvas_width, "canvas_width", 1)).mean()) if len(width) else 0.0

    def check_canvas(self, canvas_width: int, least: float = WIDE, stacklevel: int = 2) -> None:
        """Say so where this protocol measures little on a canvas of this width.

        Warns
        -----
        DataWarning : a share ``least`` of the degraded probes and more are at least as wide as the canvas.
        """
        share = self.wider_than(canvas_width)
        if share >= least and (self.rows("test", "probe")["ratio"] < 1).any():
            warnings.warn(
                f"{share:.0%} of the probes of {self.preset} on {self.dataset.name} are still at least {canvas_width} "
                "pixels wide, as wide as the method's canvas: on it they show as much as the gallery does, and little "
                "is measured of low resolution. Take a wider canvas, or smaller ratios=… (of vr: widths=…).",
                DataWarning,
                stacklevel=stacklevel,
            )

    def degrade(self, images: Tensor, ratio: Any) -> Tensor:
        """:func:`lib.data.resolution.degrade` as this protocol does it: its kernel, rounding, antialias and JPEG."""
        return degrade(images, ratio, **self.manifest["degradation"])

    def summary(self) -> str:
        """What it is, in a few lines."""
        beyond = "" if self.trial < self.trials else ", beyond them"
        lines = [
            f"{self.preset} on {self.dataset.name}, trial {self.trial} of {self.trials}{beyond}, seed {self.seed}: "
            f"{self.sha256[:12]}",
            f"low resolution: {self.manifest.get('low_resolution', {}).get('side', 'not said')}",
        ]
        for (subset, role), rows in self._table.groupby(["subset", "role"], sort=False):
            shares = rows["ratio"].round(3).value_counts().sort_index(ascending=False)
            ratios = ", ".join(f"{count} at {ratio:g}" for ratio, count in shares.items())
            ratios = ratios if len(shares) <= 5 else f"{shares.index.min():g} to {shares.index.max():g}"
            people = rows["pid"].nunique()
            alone = "; one person: rank-1 is 100 % whatever is measured" if role == "gallery" and people == 1 else ""
            lines.append(f"{subset:>5} {role:<7} {people:>5} people {len(rows):>6} images (ratio: {ratios}){alone}")
        return "\n".join(lines)

    def save(self, path: str | Path) -> Path:
        """Write manifest and hash as JSON; :func:`load_protocol` reads them."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")  # what a full disk leaves is no protocol
        part.write_text(canonical({"manifest": self.manifest, "sha256": self.sha256}) + "\n", encoding="ascii")
        part.replace(path)
        return path


def load_protocol(path: str | Path, dataset: PersonDataset, trial: int | None = None) -> Protocol:
    """The protocol saved at ``path``, on the data it was made for.

    trial : which of those that ``lib.data.export`` wrote into one file; may be left out where there is one.

    Raises
    ------
    DataError : the file is no protocol, was changed by hand, or belongs to other data; or it has no such trial.
    """
    manifests = read_manifests(path)
    trials = [manifest.get("trial") for manifest in manifests]
    if trial is None and len(manifests) > 1:
        raise DataError(f"{path} holds the trials {few(trials, 20)}: say which, trial=….")
    if trial is not None and trial not in trials:
        raise DataError(f"{path} holds the trials {few(trials, 20)}, not {said(trial)}.")
    try:
        return Protocol.from_manifest(dataset, manifests[0 if trial is None else trials.index(trial)])
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def read_manifests(path: str | Path) -> list[dict[str, Any]]:
    """The manifests of a file that :meth:`Protocol.save` or ``lib.data.export`` wrote, each as it was hashed.

    Raises
    ------
    DataError : the file is not there, is no protocol, or was changed by hand.
    """
    try:
        saved = json.loads(Path(path).read_text(encoding="utf-8"))
        entries = saved.get("protocols", [saved])
        manifests = [entry["manifest"] for entry in entries]
        changed = [entry["sha256"] != sha256(entry["manifest"]) for entry in entries]
        if not all(isinstance(manifest, dict) for manifest in manifests) or not manifests:
            raise ValueError("it holds no manifest")
    except FileNotFoundError as error:
        raise DataError(f"There is no protocol {path}.") from error
    except OSError as error:
        raise DataError(f"The protocol {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = few([f"{type(error).__name__}: {error}"[:200]])
        raise DataError(f"{path} is no saved protocol: {problem}. Save one with Protocol.save.") from error
    if any(changed):
        raise DataError(
            f"{path} was changed after it was saved: its hash no longer fits. Make the protocol anew, or "
            "restore the file."
        )
    return manifests


def check_manifest(manifest: Any, dataset: PersonDataset) -> None:
    """DataError unless this is a manifest of this format, whole, and made for this data set."""
    if not isinstance(dataset, PersonDataset):
        raise DataError(f"A protocol belongs to a data set; load one with load_dataset. This is {said(dataset)}.")
    if not isinstance(manifest, dict):
        raise DataError(f"A protocol's manifest is a dictionary, not {said(manifest)}.")
    if manifest.get("format") != FORMAT or isinstance(manifest.get("format"), (bool, float)):
        raise DataError(f"A protocol of format {manifest.get('format')!r}; this version reads {FORMAT}. Make it anew.")
    try:
        check_contents(manifest)
        canonical(manifest)
    except KeyError as error:
        raise DataError(f"The manifest lacks {error.args[0]!r}. Make the protocol anew.") from error
    except (TypeError, AttributeError, ValueError, RecursionError, ZeroDivisionError) as error:
        raise DataError(f"The manifest is damaged: {error} Make the protocol anew.") from error
    if manifest["fingerprint"] != dataset.fingerprint:
        raise DataError(
            f"The protocol was made for {manifest['set']} with fingerprint "
            f"{manifest['fingerprint'][:12]}…, but {dataset.name} has "
            f"{dataset.fingerprint[:12]}…: other images or labels. Load the data it was made for, or make "
            "the protocol anew."
        )
    last = max(manifest["images"]["row"], default=-1)
    if last >= len(dataset):
        raise DataError(f"The manifest names image {last}, {dataset.name} has {len(dataset)}. Make the protocol anew.")


def check_contents(manifest: dict[str, Any]) -> None:
    """Raises whatever a damaged manifest leads to; DataError where something is of another kind than it must be."""
    for name, least in (("trial", 0), ("seed", 0), ("trials", 1)):
        whole(manifest[name], name, least)
    for name in ("set", "preset", "fingerprint"):
        if not isinstance(manifest[name], str):
            raise DataError(f"{name} must be text, not {said(manifest[name])}.")
    one_of(manifest["convention"], "convention", CONVENTIONS)
    degradation = manifest["degradation"]
    one_of(degradation["kernel"], "kernel", KERNELS)
    one_of(degradation["rounding"], "rounding", ROUNDINGS)
    switch(degradation["antialias"], "antialias")
    if degradation["jpeg"] is not None:
        whole(degradation["jpeg"], "jpeg", *QUALITIES)
    if set(degradation) != {"kernel", "rounding", "antialias", "jpeg"}:
        raise DataError(f"degradation has the entries {few(sorted(degradation))}.")
    side = manifest.get("low_resolution", {})
    for name, least in (("widths", 1), ("images", 0)):
        for value in checked_list(side.get(name, []), name):
            whole(value, name, least)
    for name, people in manifest.get("identities", {}).items():
        if not all(isinstance(pid, str) for pid in checked_list(people, name)):
            raise DataError(f"the people of {name} must be named as text.")
    images = manifest["images"]
    columns = {name: checked_list(images[name], name) for name in ("row", "role", "subset", "ratio")}
    if len({len(column) for column in columns.values()}) != 1:
        raise DataError("row, role, subset and ratio of the images are of different lengths.")
    for row in columns["row"]:
        whole(row, "row", 0)
    for name, allowed in (("role", ROLES), ("subset", SUBSETS)):
        for value in columns[name]:
            one_of(value, name, allowed)
    if any((role == "train") != (subset == "train") for role, subset in zip(columns["role"], columns["subset"])):
        raise DataError("the role train and the subset train go together.")
    for value in set(columns["ratio"]):
        if not isinstance(value, str) or not 0 < Fraction(value) <= 1:
            raise DataError(f"a ratio must be a fraction in (0, 1] as text, not {said(value)}.")


def checked_list(value: Any, name: str) -> list:
    if not isinstance(value, (list, tuple)):
        raise DataError(f"{name} must be a list, not {said(value)}.")
    return value


def degraded_or_asking(table: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    """(N,) bool: which rows of a protocol are degraded; where none is, which come from cameras that only ask."""
    if (table["ratio"] < 1).any():
        return (rows["ratio"] < 1).to_numpy()
    cams = {role: set(table.loc[table["role"] == role, "cam"]) for role in ("probe", "gallery")}
    return rows["cam"].isin(cams["probe"] - cams["gallery"]).to_numpy()


def widest(dataset: PersonDataset, manifest: dict[str, Any]) -> int:
    """Largest width in pixels that the manifest allows: its own limit where it has one, else the set's."""
    limits = manifest.get("low_resolution", {}).get("widths") or [dataset.widths_max]
    return max(1, min(int(limits[-1]), dataset.widths_max))


def build_table(dataset: PersonDataset, manifest: dict[str, Any]) -> pd.DataFrame:
    """The manifest's images with their labels, sizes after degrading, and resolution."""
    images = manifest["images"]
    people = dataset.table.loc[list(images["row"])].reset_index(drop=True)
    ratio = [float(Fraction(text)) for text in images["ratio"]]
    rounding = manifest["degradation"]["rounding"]
    sizes = [
        (height, width) if share == 1 else low_resolution_size(height, width, share, rounding)
        for height, width, share in zip(people["height"].tolist(), people["width"].tolist(), ratio, strict=True)
    ]
    width = pd.Series([size[1] for size in sizes], dtype="int64")
    pid = people["pid"]
    apart = pid.isin(list(manifest.get("identities", {}).get("apart", [])))
    if apart.any():  # ids that stand for many: each image is another person
        pid = pid.mask(apart, pid + pd.Series([f"#{row}" for row in images["row"]], dtype=pid.dtype))
    return pd.DataFrame(
        {
            "image": pd.Series(list(images["row"]), dtype="int64"),
            "pid": pid,
            "cam": people["cam"],
            "role": list(images["role"]),
            "subset": list(images["subset"]),
            "ratio": pd.Series(ratio, dtype="float64"),
            "width": width,
            "height": pd.Series([size[0] for size in sizes], dtype="int64"),
            "resolution": width / widest(dataset, manifest),
        }
    )
