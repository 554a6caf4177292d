"""Who is on which row and column: identities and cameras as integer codes, checked once.

Letters: Q probes, G gallery images, W gallery identities, M true matches of all probes together.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from functools import cached_property

import numpy as np
import pandas as pd
import torch

from lib.evaluation.arguments import whole_number
from lib.evaluation.conventions import Convention

NOBODY = np.empty(0, dtype=np.intp)


def as_array(values, name: str) -> np.ndarray:
    """NumPy view of an array, tensor (any device), series or list; bfloat16, which NumPy lacks, becomes float32."""
    if isinstance(values, torch.Tensor):
        values = values.detach()
        if values.dtype == torch.bfloat16:
            values = values.float()
        return values.cpu().numpy()
    array = np.asarray(values)
    if array.dtype == object and array.ndim != 1:
        raise ValueError(f"{name} is not a rectangular array of numbers")
    return array


def as_labels(values, length: int, name: str) -> np.ndarray:
    """A 1-d array of ``length`` integer or string labels (whole floats become integers); else ValueError."""
    labels = as_array(values, name)
    if labels.ndim != 1 or len(labels) != length:
        raise ValueError(f"{name} has shape {labels.shape}, expected ({length},): one label per image")
    if labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels == np.floor(labels)).all():
        if np.abs(labels).max(initial=0) >= 2.0 ** (np.finfo(labels.dtype).nmant + 1):
            raise ValueError(f"{name} are {labels.dtype} numbers too large to be told apart: pass integers or strings")
        return labels.astype(np.int64)  # np.zeros(n) as cameras
    if labels.dtype.kind not in "iubUS":
        kind = pd.api.types.infer_dtype(labels, skipna=False)
        if kind not in ("integer", "string") and length:
            raise ValueError(f"{name} must be all integers or all strings, not {kind}")
    return labels


def encode(probe: np.ndarray, gallery: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes of both label arrays, and the gallery's labels (W,): their codes are 0 .. W - 1."""
    numbers = [x.dtype.kind in "iub" or pd.api.types.infer_dtype(x) == "integer" for x in (probe, gallery)]
    if numbers[0] != numbers[1]:
        # 2 and "0002" would silently never match
        raise ValueError(f"{name} of the probes and of the gallery differ in type: one has integers, the other strings")
    if numbers[0] and np.result_type(probe, gallery).kind not in "iub":
        # together int64 and uint64 would become doubles, and 2^62 + 1 the same person as 2^62
        probe, gallery = (np.array([int(x) for x in side], dtype=object) for side in (probe, gallery))
    codes, names = pd.factorize(np.concatenate([gallery, probe]))
    codes = codes.astype(np.intp, copy=False)
    return codes[len(gallery) :], codes[: len(gallery)], names[: int(codes[: len(gallery)].max()) + 1]


class People:
    """Identities and cameras of Q probes and G gallery images, and which pairs a convention drops.

    Raises ValueError on an empty side, on lengths that differ, on mixed label types, and when cameras are given for one
    side only or are missing where the convention drops images by camera: left out, a gallery that holds the probes
    themselves would be found to hold them.
    """

    def __init__(self, probes: int, gallery: int, probe_ids, gallery_ids, probe_cams, gallery_cams, rule: Convention):
        if gallery == 0:
            raise ValueError("the gallery is empty: there is nothing to rank")
        if probes == 0:
            raise ValueError("there are no probes to rank")
        self.rule = rule
        self.probe_ids = as_labels(probe_ids, probes, "probe_ids")
        gallery_ids = as_labels(gallery_ids, gallery, "gallery_ids")
        self.probe, self.gallery, self.names = encode(self.probe_ids, gallery_ids, "ids")
        self.identities = len(self.names)
        if (probe_cams is None) != (gallery_cams is None):
            raise ValueError("cameras are given for one side only: pass both probe_cams and gallery_cams, or neither")
        self.has_cameras = rule.uses_cameras
        if probe_cams is None and rule.uses_cameras:
            what = "of the probe's camera" if rule.drop == "same camera" else "of the probe's identity and camera"
            raise ValueError(
                f"convention {rule.name!r} drops gallery images {what}: pass probe_cams and gallery_cams (say "
                f"np.zeros({probes}) and np.ones({gallery}) where two cameras face each other), or choose "
                "convention='sing', which drops nothing"
            )
        self.probe_cam = self.gallery_cam = None
        if probe_cams is not None:
            probe_cams = as_labels(probe_cams, probes, "probe_cams")
            gallery_cams = as_labels(gallery_cams, gallery, "gallery_cams")
            self.probe_cam, self.gallery_cam, _ = encode(probe_cams, gallery_cams, "cameras")
        # columns of each identity, as slices of one index array
        self.order = np.argsort(self.gallery, kind="stable")
        self.starts = np.searchsorted(self.gallery[self.order], np.arange(self.identities + 1))
        self._camera_columns: dict[int, np.ndarray] = {}
        self._camera_sizes: dict[int, np.ndarray] = {}

    def own(self, probe: int) -> np.ndarray:
        """Gallery columns that show the probe's identity, dropped or not."""
        code = self.probe[probe]
        if code >= self.identities:
            return NOBODY
        return self.order[self.starts[code] : self.starts[code + 1]]

    def matches(self, probe: int, own: np.ndarray) -> np.ndarray:
        """The part of ``own`` that the convention keeps: the probe's true matches."""
        if not self.has_cameras:
            return own
        return own[self.gallery_cam[own] != self.probe_cam[probe]]

    def dropped(self, probe: int) -> np.ndarray:
        """Columns of *other* identities that the convention drops: the probe's camera, in the cross-camera rule."""
        if self.rule.drop != "same camera":
            return NOBODY
        camera = int(self.probe_cam[probe])
        if camera not in self._camera_columns:
            self._camera_columns[camera] = np.flatnonzero(self.gallery_cam == camera)
        return self._camera_columns[camera]

    def sizes(self, probe: int) -> np.ndarray:
        """(W,) images that each identity keeps for this probe (its own identity is not looked at)."""
        if self.rule.drop != "same camera":
            return self._all_sizes
        camera = int(self.probe_cam[probe])
        if camera not in self._camera_sizes:
            dropped = np.bincount(self.gallery[self.dropped(probe)], minlength=self.identities)
            self._camera_sizes[camera] = self._all_sizes - dropped
        return self._camera_sizes[camera]

    @cached_property
    def _all_sizes(self) -> np.ndarray:
        return np.diff(self.starts)

    @cached_property
    def match_counts(self) -> np.ndarray:
        """(Q,) number of true matches of each probe."""
        counts = np.append(self._all_sizes, 0)[np.minimum(self.probe, self.identities)]
        if not self.has_cameras:
            return counts
        cameras = int(max(self.gallery_cam.max(), self.probe_cam.max())) + 1
        keys, same = np.unique(self.gallery * cameras + self.gallery_cam, return_counts=True)
        wanted = self.probe * cameras + self.probe_cam
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return counts - np.where(keys[at] == wanted, same[at], 0)


def some_of(people: Iterable[Hashable], number: int) -> list[Hashable]:
    """``number`` of the people, at equal steps through their sorted names; all where there are no more.

    ValueError for fewer than two.
    """
    names, number = sorted(set(people)), whole_number(number, "the number of people", 2)
    places = np.linspace(0, len(names) - 1, min(number, len(names))).round().astype(int)
    return [names[place] for place in places]
