"""One probe at a time: what is left of it, what a method makes of it, whom it finds (lesson 99, and the site's page).

The gallery is described once by each method; a move of a slider then describes one picture.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from lib.data import DataWarning, Protocol, make_protocol
from lib.data.batches import Batch
from lib.data.canvases import Canvases
from lib.data.resolution import from_array, shrink
from lib.evaluation.features import device_of, extract
from lib.experiments import ftwa, jbim, pshrnet, ripr, sing
from lib.experiments.baseline import HISTOGRAM, TRANSFER
from lib.experiments.controls import BASELINE, EVERYWHERE
from lib.experiments.studies import STUDIES
from lib.experiments.study import Cell, Missing, Study
from lib.methods.ensemble import AdaptiveEnsemble
from lib.methods.method import Method
from lib.models.activation import look, similarity_maps
from lib.training import Run

RATIOS = (1.0, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 6, 1 / 8, 1 / 16)
KERNELS = ("bicubic", "nearest")
GALLERIES = (1.0, 1 / 2, 1 / 4)
# study -> the rows that are shown of it, where they were trained
SHOWN = {
    "baseline": (BASELINE, EVERYWHERE),
    "sing": (sing.SING, sing.LOMO["xqda"]),
    "ripr": (ripr.BOTH,),
    "jbim": (jbim.JBIM, jbim.OSNET, jbim.AGW),
    "pshrnet": (pshrnet.PS,),
    "ftwa": (ftwa.FTWA,),
}


@dataclass(frozen=True)
class Look:
    """One probe, searched.

    left : (h, w, 3) uint8, what the camera gives: the picture at its ratio. seen : (H, W, 3) uint8, what the re-id
    network is shown: enlarged, or restored where the method has a super-resolution. order : (G,) rows of the gallery,
    the nearest first. right : (G,) bool, in that order: the same person. place : of the first right one, from 1.
    where : (h', w') how the similarity to the first right one comes about, its mean the similarity; None where the
    method's map would not be exact (``lib.models.activation``).
    """

    left: np.ndarray
    seen: np.ndarray
    order: np.ndarray
    right: np.ndarray
    place: int
    where: np.ndarray | None = None


class Explorer:
    """Some people of a protocol's test, and methods that search for them.

    methods : {name: a trained method}. people : how many of the test's people are in the gallery, the first ones; None
    for all. ValueError for no methods, and for fewer than two people.
    """

    def __init__(self, protocol: Protocol, methods: Mapping[str, Method], people: int | None = None):
        if not methods:
            raise ValueError("nothing was trained that could search: run a lesson first (make course)")
        self.methods = {name: method.eval() for name, method in methods.items()}
        pids = list(dict.fromkeys(protocol.rows("test", "probe")["pid"]))[:people]
        if len(pids) < 2:
            raise ValueError(f"a search needs two people, not {len(pids)}")
        rows = {role: protocol.rows("test", role) for role in ("probe", "gallery")}
        rows = {role: some[some["pid"].isin(pids)].reset_index(drop=True) for role, some in rows.items()}
        self.gallery = rows["gallery"]
        self.probes = rows["probe"].drop_duplicates("pid", ignore_index=True)  # one picture of each
        self.all_probes = rows["probe"]
        self.protocol = protocol
        self.protocols = {kernel: _with_kernel(protocol, kernel) for kernel in KERNELS}
        self._pictures: dict[float, list[np.ndarray]] = {}
        self._gallery: dict[tuple[str, float], Tensor] = {}
        self._curves: dict[tuple[str, str, float], dict[float, float]] = {}

    @property
    def pictures(self) -> list[np.ndarray]:
        """(h, w, 3) uint8 of each gallery row."""
        return self.pictures_at(1.0)

    def pictures_at(self, gallery: float) -> list[np.ndarray]:
        """The same at a ratio in (0, 1] of the files."""
        if gallery not in self._pictures:
            protocol = self.protocols[KERNELS[0]]
            self._pictures[gallery] = [_shrunk(protocol, int(row), gallery) for row in self.gallery["image"]]
        return self._pictures[gallery]

    def name_of(self, probe: int) -> str:
        """Whom a probe shows, as the set calls them."""
        return str(self.probes["pid"][probe])

    def left(self, probe: int, ratio: float, kernel: str = KERNELS[0]) -> np.ndarray:
        """(h, w, 3) uint8: what the camera gives of the ``probe``-th person, see ``Look``. Errors as ``looks``."""
        return _shrunk(self.protocols[kernel], int(self.probes["image"].iloc[probe]), _checked(ratio))

    def look(
        self, name: str, probe: int, ratio: float, kernel: str = KERNELS[0], where: bool = False, gallery: float = 1.0
    ) -> Look:
        """Search for the ``probe``-th person, as ``looks``. where : with the map, which is slower."""
        (found,) = self.looks(name, [probe], ratio, kernel, gallery)
        if not where:
            return found
        method, protocol = self.methods[name], self.protocols[kernel]
        batch = self._batch(method, protocol, self.probes["image"].iloc[[probe]], ratio)
        other = self.described(name, gallery)[int(found.order[found.place - 1])]
        return replace(found, where=_map(method, batch, other))

    def looks(
        self, name: str, probes: Sequence[int], ratio: float, kernel: str = KERNELS[0], gallery: float = 1.0
    ) -> list[Look]:
        """Search for some people, each by its picture at a ratio in (0, 1] of the file, shrunk by a kernel, in a
        gallery at a ratio of its own.

        KeyError for a method or kernel that is not there, IndexError for a person, ValueError for a ratio.
        """
        method, protocol = self.methods[name], self.protocols[kernel]
        rows = self.probes.iloc[list(probes)]
        batch = self._batch(method, protocol, rows["image"], ratio)
        with torch.inference_mode():
            distances = method.distance(method.embed(batch, "probe").float(), self.described(name, gallery))
            distances = distances.cpu().numpy()
            seen = restored(method, batch.images)
        found = []
        for image, pid, to, picture in zip(rows["image"], rows["pid"], distances, seen, strict=True):
            order = np.argsort(to, kind="stable")
            right = (self.gallery["pid"] == pid).to_numpy()[order]
            found.append(Look(_shrunk(protocol, image, ratio), picture, order, right, int(right.argmax()) + 1))
        return found

    def described(self, name: str, gallery: float = 1.0) -> Tensor:
        """(G, D): the gallery at a ratio in (0, 1] as a method describes it, once. ValueError for another ratio."""
        if (name, gallery) not in self._gallery:
            method, ratio = self.methods[name], None if _checked(gallery) == 1 else gallery
            features = extract(method, self.protocols[KERNELS[0]], self.gallery, ratio, "gallery")
            self._gallery[name, gallery] = torch.from_numpy(features).to(device_of(method))
        return self._gallery[name, gallery]

    def curve(self, name: str, kernel: str = KERNELS[0], gallery: float = 1.0) -> dict[float, float]:
        """{ratio: rank-1 of all probes of these people, all at that ratio}, fractions."""
        key = name, kernel, gallery
        if key not in self._curves:
            method, there, found = self.methods[name], self.described(name, gallery), {}
            pids = self.gallery["pid"].to_numpy()
            for ratio in RATIOS:
                features = torch.from_numpy(extract(method, self.protocols[kernel], self.all_probes, ratio, "probe"))
                with torch.inference_mode():
                    nearest = method.distance(features.to(there.device), there).argmin(1).cpu().numpy()
                found[ratio] = float((pids[nearest] == self.all_probes["pid"].to_numpy()).mean())
            self._curves[key] = found
        return self._curves[key]

    @staticmethod
    def _batch(method: Method, protocol: Protocol, images: Sequence[int], ratio: float) -> Batch:
        _checked(ratio)
        enlargement = getattr(method, "enlargement", None)
        canvases = Canvases(
            protocol, tuple(method.canvas), device_of(method), enlargement
        )  # a fresh store: it keeps what it makes
        return Batch.shown(canvases, [int(image) for image in images], [ratio] * len(images))


def restored(method: Method, images: Tensor) -> np.ndarray:
    """(B, 3, H, W) in [0, 1] -> (B, H, W, 3) uint8: what a method's own super-resolution makes of a picture, of an
    ensemble that of its middle model; the picture itself where there is none.
    """
    if isinstance(method, AdaptiveEnsemble):
        method = method.parts[len(method.parts) // 2]
    network = getattr(getattr(method, "him", method), "sr", None)
    if isinstance(network, nn.Module):
        images = network(images).float().clamp(0, 1)
    return _bytes(255 * images)


def train(cell: Cell, profile: str) -> None:
    """Train what is missing of ``SHOWN`` in a cell: of a row with anchors the model for 1/3 alone."""
    for name, rows in SHOWN.items():
        study = Study(name, STUDIES[name].rows(cell.protocol.dataset), [cell], profile)
        for row in rows:
            study.run(row, cell, sing.ONE if study.row(row).ratios else None)


def runs_in(cell: Cell, profile: str) -> dict[str, dict[float | None, Run]]:
    """{name: {anchor: run}} of ``SHOWN`` that were trained in a cell, found again; nothing is trained. The anchor is
    None for a row without; of a row with anchors, those that are there.
    """
    there, people = {}, cell.protocol.dataset
    for name, rows in SHOWN.items():
        study = Study(name, STUDIES[name].rows(people), [cell], profile, progress=False)
        for row in rows:
            runs = {}
            for ratio in study.row(row).ratios or (None,):
                with suppress(Missing):
                    runs[ratio] = study.look(row, cell, ratio)
            if runs:
                there[row] = runs
    return there


def fused(runs: Mapping[float | None, Run]) -> Method:
    """A row's models as one method: the only one, or their ensemble, weighed alike."""
    methods = [run.method for run in runs.values()]
    return methods[0] if len(methods) == 1 else AdaptiveEnsemble(methods, list(runs), None)


def trained(cell: Cell, profile: str) -> dict[str, Method]:
    """{name: method} of ``SHOWN`` that were trained in a cell, see ``runs_in`` and ``fused``."""
    return {name: fused(runs) for name, runs in runs_in(cell, profile).items()}


def untrained(cell: Cell, profile: str) -> dict[str, Method]:
    """{name: method} of what needs no training: first weights as they ship, and colours."""
    study = Study("baseline", STUDIES["baseline"].rows(cell.protocol.dataset), [cell], profile, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # the histogram's canvas is small: colours need no more
        return {name: study.trained(name).method for name in (TRANSFER, HISTOGRAM)}


def _checked(ratio: float) -> float:
    if not 0 < ratio <= 1:
        raise ValueError(f"a ratio lies in (0, 1], not {ratio}")
    return ratio


def _with_kernel(protocol: Protocol, kernel: str) -> Protocol:
    """The same people, sides and trial, shrunk by another kernel."""
    if kernel == protocol.kernel:
        return protocol
    return make_protocol(protocol.dataset, protocol.preset, protocol.trial, protocol.seed, kernel=kernel)


def _shrunk(protocol: Protocol, image: int, ratio: float) -> np.ndarray:
    picture = protocol.dataset.image(int(image))
    size = Canvases(protocol, picture.shape[:2]).shown(int(image), ratio)
    if size == picture.shape[:2]:
        return picture
    antialias = protocol.manifest["degradation"]["antialias"]
    images = from_array(picture).permute(2, 0, 1)[None]  # (1, 3, h, w)
    return _bytes(shrink(images, size, protocol.kernel, antialias=antialias))[0]


def _bytes(images: Tensor) -> np.ndarray:
    """(B, 3, h, w), 0 to 255 -> (B, h, w, 3) uint8."""
    return images.float().round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _map(method: Method, batch: Batch, other: Tensor) -> np.ndarray | None:
    try:
        seen = look(method, batch, "probe")
    except (TypeError, ValueError):  # pooled by another rule, or fused: no exact map
        return None
    return similarity_maps(seen, other[None].double().cpu())[0].numpy()
