"""The Protocol object: a manifest, its hash, and the table that the rest of the course works with."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from lib.data.dataset import PersonDataset
from lib.data.errors import DataError
from lib.data.manifest import canonical, sha256
from lib.data.resolution import degrade, low_resolution_size

FORMAT = 1
SUBSETS = ("train", "val", "test")
ROLES = ("train", "probe", "gallery")


@dataclass(frozen=True, eq=False)
class Protocol:
    """Who is trained on, who is searched for where, and at which resolution.

    ``table`` has one row per used image: image (row of ``dataset.table``), pid, cam, role ("train", "probe",
    "gallery"), subset ("train", "val", "test"), ratio (float, 1.0 = untouched), width and height (pixels, after
    degrading) and resolution (RIPR's r: width / ``widest``). ``convention`` names the evaluation, see lib/evaluation.
    """

    dataset: PersonDataset = field(repr=False)
    preset: str
    trial: int
    seed: int
    manifest: dict[str, Any] = field(repr=False)
    sha256: str
    table: pd.DataFrame = field(repr=False)
    kernel: str
    convention: str
    trials: int = 10

    @classmethod
    def from_manifest(cls, dataset: PersonDataset, manifest: dict[str, Any]) -> Protocol:
        """The protocol that a manifest describes.

        Raises
        ------
        DataError : the manifest belongs to other data or to another format.
        """
        if manifest.get("format") != FORMAT:
            raise DataError(
                f"A protocol of format {manifest.get('format')!r}; this version reads {FORMAT}. Make it anew."
            )
        if manifest["fingerprint"] != dataset.fingerprint:
            raise DataError(
                f"The protocol was made for {manifest['set']} with fingerprint "
                f"{manifest['fingerprint'][:12]}…, but {dataset.name} has "
                f"{dataset.fingerprint[:12]}…: other images or labels. Load the data it was made for, or make "
                "the protocol anew."
            )
        return cls(
            dataset=dataset,
            preset=manifest["preset"],
            trial=manifest["trial"],
            seed=manifest["seed"],
            manifest=manifest,
            sha256=sha256(manifest),
            table=build_table(dataset, manifest),
            kernel=manifest["degradation"]["kernel"],
            convention=manifest["convention"],
            trials=manifest["trials"],
        )

    def rows(self, subset: str, role: str | None = None) -> pd.DataFrame:
        """The rows of ``table`` in a subset, of one role or of all."""
        if subset not in SUBSETS or role not in (*ROLES, None):
            raise ValueError(f"no rows of subset {subset!r} and role {role!r}: use {SUBSETS} and {ROLES}")
        chosen = self.table["subset"] == subset
        if role is not None:
            chosen &= self.table["role"] == role
        return self.table[chosen]

    @property
    def widest(self) -> int:
        """RIPR's width_max in pixels (§3): the protocol's own limit if it has one (VR: 32), else the set's."""
        return widest(self.dataset, self.manifest)

    def is_low(self, rows: pd.DataFrame) -> np.ndarray:
        """(N,) bool: which of these rows are on the low-resolution side (SING's X^l; the others are its X^h).

        Where the protocol degrades images, those that it degrades; where it degrades none (CAVIAR: low as it comes),
        the images of cameras from which only probes come.
        """
        if (self.table["ratio"] < 1).any():
            return (rows["ratio"] < 1).to_numpy()
        cams = {role: set(self.table.loc[self.table["role"] == role, "cam"]) for role in ("probe", "gallery")}
        return rows["cam"].isin(cams["probe"] - cams["gallery"]).to_numpy()

    def degrade(self, images: Tensor, ratio: Any) -> Tensor:
        """:func:`lib.data.resolution.degrade` as this protocol does it: its kernel, rounding, antialias and JPEG."""
        return degrade(images, ratio, **self.manifest["degradation"])

    def summary(self) -> str:
        """What it is, in a few lines."""
        lines = [
            f"{self.preset} on {self.dataset.name}, trial {self.trial} of {self.trials}, seed {self.seed}: "
            f"{self.sha256[:12]}",
            f"low resolution: {self.manifest['low_resolution']['side']}",
        ]
        for (subset, role), rows in self.table.groupby(["subset", "role"], sort=False):
            shares = rows["ratio"].round(3).value_counts().sort_index(ascending=False)
            ratios = ", ".join(f"{count} at {ratio:g}" for ratio, count in shares.items())
            ratios = ratios if len(shares) <= 5 else f"{shares.index.min():g} to {shares.index.max():g}"
            lines.append(
                f"{subset:>5} {role:<7} {rows['pid'].nunique():>5} people {len(rows):>6} images (ratio: {ratios})"
            )
        return "\n".join(lines)

    def save(self, path: str | Path) -> Path:
        """Write manifest and hash as JSON; :func:`load_protocol` reads them."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(canonical({"manifest": self.manifest, "sha256": self.sha256}) + "\n", encoding="ascii")
        return path


def load_protocol(path: str | Path, dataset: PersonDataset) -> Protocol:
    """The protocol saved at ``path``, on the data it was made for.

    Raises
    ------
    DataError : the file is no protocol, was changed by hand, or belongs to other data.
    """
    try:
        saved = json.loads(Path(path).read_text(encoding="utf-8"))
        manifest, digest = saved["manifest"], saved["sha256"]
    except FileNotFoundError as error:
        raise DataError(f"There is no protocol {path}.") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no saved protocol: {error!r}. Save one with Protocol.save.") from error
    if sha256(manifest) != digest:
        raise DataError(
            f"{path} was changed after it was saved: its hash no longer fits. Make the protocol anew, or "
            "restore the file."
        )
    return Protocol.from_manifest(dataset, manifest)


def widest(dataset: PersonDataset, manifest: dict[str, Any]) -> int:
    """Largest width in pixels that the manifest allows: its own limit where it has one, else the set's."""
    limits = manifest.get("low_resolution", {}).get("widths") or [dataset.widths_max]
    return max(1, min(int(limits[-1]), dataset.widths_max))


def build_table(dataset: PersonDataset, manifest: dict[str, Any]) -> pd.DataFrame:
    """The manifest's images with their labels, sizes after degrading, and resolution."""
    images = manifest["images"]
    people = dataset.table.loc[images["row"]].reset_index(drop=True)
    ratio = [float(Fraction(text)) for text in images["ratio"]]
    rounding = manifest["degradation"]["rounding"]
    sizes = [
        (height, width) if share == 1 else low_resolution_size(height, width, share, rounding)
        for height, width, share in zip(people["height"].tolist(), people["width"].tolist(), ratio, strict=True)
    ]
    width = pd.Series([size[1] for size in sizes], dtype="int64")
    return pd.DataFrame(
        {
            "image": pd.Series(images["row"], dtype="int64"),
            "pid": people["pid"],
            "cam": people["cam"],
            "role": images["role"],
            "subset": images["subset"],
            "ratio": pd.Series(ratio, dtype="float64"),
            "width": width,
            "height": pd.Series([size[0] for size in sizes], dtype="int64"),
            "resolution": width / widest(dataset, manifest),
        }
    )
