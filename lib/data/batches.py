"""What a method sees: pictures in a batch, in training and in testing alike.

Letters: N training images, B images in a batch, H x W the canvas in pixels, I identities.

Pixels are decoded, degraded and enlarged once and kept as uint8 canvases on the device (``canvases.py``); which images
make a batch and which random numbers belong to it follows from seed, epoch and step (``sampling.py``); what is done to
them is in ``augmentation.py``. There are no loader processes: on two cores one is slower than none, on a GPU all this
is too cheap to hide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lib.data.augmentation import NOTHING, Augmentation, Views
from lib.data.canvases import Canvases
from lib.data.sampling import Draws, IdentitySampler, contiguous

if TYPE_CHECKING:
    import pandas as pd

Ratios = float | Sequence[float] | Tensor


@dataclass
class Batch:
    """B pictures, and what else a paper's method may look at.

    In training and in testing:

    images : (B, 3, H, W) float in [0, 1], on the canvas, as the protocol (and ``Augmentation.ratios``) shows them.
    resolution : (B,) width in pixels of what ``images`` shows over the protocol's widest: RIPR's r, in (0, 1].
    extent : (B,) the square root of the pixels it shows over that of the set's largest image: SING's Eq. 7.
    rows : (B,) row numbers in the data set's table.
    ``at(m)`` : the same pictures shrunk by m from what they show.

    In training only (None, or an error, in testing):

    labels : (B,) int64 in [0, I), numbered by sorted identity. cams : (B,) int64, numbered by sorted camera.
    ratio : (B,) of ``images``. low, high : positions (in 0 .. B-1) of the images on the protocol's low-resolution side,
    and of the others; on the CPU, because a GPU would have to be waited for. ``hr``, ``original``, ``mask``,
    ``position``, ``pick``: below.

    A batch of nothing but ``images`` can be made by hand; ``shown`` makes one of a data set's images.
    """

    images: Tensor
    resolution: Tensor | None = None
    extent: Tensor | None = None
    labels: Tensor | None = None
    cams: Tensor | None = None
    ratio: Tensor | None = None
    low: Tensor | None = None
    high: Tensor | None = None
    rows: Tensor | None = None
    source: Source | None = field(default=None, repr=False)

    def __post_init__(self):
        if self.resolution is None:
            self.resolution = torch.ones(len(self.images), device=self.images.device)
        if self.extent is None:
            self.extent = self.resolution

    @classmethod
    def shown(cls, canvases: Canvases, rows: Sequence[int], ratios: Sequence[float]) -> Batch:
        """Rows of a data set at these ratios of the original images, as a test shows them."""
        rows, ratios = np.asarray(rows), np.asarray(ratios, dtype=float)
        told = (canvases.resolution(rows, ratios), canvases.extent(rows, ratios))
        resolution, extent = (torch.from_numpy(some).float().to(canvases.device) for some in told)
        return cls(
            images=canvases.pictures(rows, ratios),
            resolution=resolution,
            extent=extent,
            rows=torch.from_numpy(rows.astype(np.int64)),
            source=Shown(canvases, rows, ratios),
        )

    def __len__(self) -> int:
        return len(self.images)

    def at(self, ratio: Ratios, of: Tensor | None = None) -> Tensor:
        """(B, 3, H, W): the same pictures shrunk by ``ratio`` from what they show, with the same flip and crop.

        A picture that shows 1/2 of its file comes at 1/2 as 1/4 of it: more than it shows is never shown. Each is
        shrunk at the file's own size, not on the canvas, where half a small person would still be all of it.

        ratio : in (0, 1], one for all or one for each picture. Take few different ones: the canvases of all training
            images are made, and kept, for each. of : positions (b,), or one truth value for each picture, for some of
            the pictures only; on the CPU, because a GPU would have to be waited for.
        ValueError for another ratio, and for a batch made by hand of images alone.
        """
        if of is not None:
            of = torch.as_tensor(of, device="cpu")
            of = of.nonzero().flatten() if of.dtype == torch.bool else of.long()
        ratios = torch.as_tensor(ratio, dtype=torch.float64).cpu().flatten()
        wanted = len(self) if of is None else len(of)
        if len(ratios) not in (1, wanted) or not bool(((ratios > 0) & (ratios <= 1)).all()):
            raise ValueError(f"at() takes one ratio in (0, 1], or one for each of the {wanted} pictures, not {ratio!r}")
        if bool((ratios == 1).all()):
            return self.images if of is None else self.images[of]
        if self.source is None:
            raise ValueError(
                "these pictures came without the files behind them, and a canvas must not be shrunk instead: make the "
                "batch with Batch.shown(canvases, rows, ratios)"
            )
        return self.source.at(ratios.expand(wanted), of)

    @cached_property
    def original(self) -> Batch:
        """The same pictures at full resolution, with the same flip, crop, colours and erased box: in training only."""
        with torch.inference_mode(False):  # kept: whoever comes next may want a gradient
            return self._training("original").original()

    @property
    def hr(self) -> Tensor:
        """(B, 3, H, W): the originals."""
        return self.original.images

    @cached_property
    def mask(self) -> Tensor | None:
        """(B, 1, H, W) float, 1 on the person, same flip and crop; None where the set has no masks."""
        with torch.inference_mode(False):
            return self._training("mask").mask()

    @cached_property
    def position(self) -> Tensor:
        """(B, 2, H, W) float in (0, 1): where each pixel lies in the whole canvas, from the top and from the left,
        after the same flip and crop: for masks that are a function of the place.
        """
        with torch.inference_mode(False):
            return self._training("position").position()

    def pick(self, name: str, options: Sequence[float]) -> Tensor:
        """(B,) one of ``options`` for each picture, on the CPU: this step's own random numbers under this name."""
        return self._training("pick").draws.pick(name, options)

    def through(self, network: Callable[[Tensor], Tensor]) -> Batch:
        """The batch whose pictures, also those of ``at``, went through a network (B, 3, H, W) -> (B, 3, H, W).

        ``hr``, ``mask`` and the like are asked of the batch that it was made from.
        """
        source = None if self.source is None else Through(self.source, network)
        return replace(self, images=network(self.images), source=source)

    def _training(self, what: str) -> Augmented:
        if not hasattr(self.source, what if what != "pick" else "draws"):
            raise ValueError(
                f"batch.{what} is there in training only: a test shows what the protocol shows. After batch.through(…) "
                "ask the batch that it was made from"
            )
        return self.source


class Source:
    """Where a batch's other pictures come from."""

    def at(self, ratios: Tensor, of: Tensor | None) -> Tensor:
        """(b, 3, H, W) shrunk by ``ratios`` (b,) from what the batch shows."""
        raise NotImplementedError


class Shown(Source):
    """Of pictures in a test: a data set's rows at the ratios that the protocol shows."""

    def __init__(self, canvases: Canvases, rows: np.ndarray, ratios: np.ndarray):
        self.canvases, self.rows, self.ratios = canvases, rows, ratios

    def at(self, ratios: Tensor, of: Tensor | None) -> Tensor:
        chosen = slice(None) if of is None else of.cpu().numpy()
        return self.canvases.pictures(self.rows[chosen], self.ratios[chosen] * ratios.numpy())


class Through(Source):
    """Of pictures that went through a network."""

    def __init__(self, source: Source, network: Callable[[Tensor], Tensor]):
        self.source, self.network = source, network

    def at(self, ratios: Tensor, of: Tensor | None) -> Tensor:
        return self.network(self.source.at(ratios, of))


class Augmented(Source):
    """Of training pictures: the same flip, crop, colours and erased box for every view of an image.

    positions : (B,) in the training rows. factor : (B,) of ``Augmentation.ratios`` that was drawn, on the CPU; None for
    the originals. draws : the step's random numbers.
    """

    def __init__(self, batches: TrainingBatches, positions: Tensor, factor: Tensor | None, views: Views, draws: Draws):
        self.batches, self.positions, self.factor, self.views, self.draws = batches, positions, factor, views, draws

    def at(self, ratios: Tensor, of: Tensor | None) -> Tensor:
        positions = self.positions if of is None else self.positions[of]
        own = self.factor if self.factor is None or of is None else self.factor[of]
        return self.views.picture(self.batches.places(positions, own, ratios), of)

    def original(self) -> Batch:
        return self.batches.batch(Augmented(self.batches, self.positions, None, self.views, self.draws))

    def mask(self) -> Tensor | None:
        if not self.batches.canvases.dataset.has_masks:
            return None
        return self.views.mask(self.batches.all_masks[self.positions.to(self.batches.canvases.device)])

    def position(self) -> Tensor:
        return self.views.position()


class ByHand(Source):
    """Of a training batch made by hand, in lessons and tests: what a real one would make from files is given.

    original : (B, 3, H, W). copy : (B, 3, H, W), the answer to ``at`` whatever the ratio. mask : (B, 1, H, W).
    position : (B, 2, H, W). ``pick`` gives the options in turn.
    """

    def __init__(
        self,
        original: Tensor | None = None,
        copy: Tensor | None = None,
        mask: Tensor | None = None,
        position: Tensor | None = None,
    ):
        self.draws = self
        self._original, self._copy, self._mask, self._position = original, copy, mask, position

    def at(self, ratios: Tensor, of: Tensor | None) -> Tensor:
        return self._copy if of is None else self._copy[of]

    def original(self) -> Batch:
        return Batch(self._original, source=self)

    def mask(self) -> Tensor | None:
        return self._mask

    def position(self) -> Tensor:
        return self._position

    def pick(self, name: str, options: Sequence[float]) -> Tensor:
        count = len(self._original if self._copy is None else self._copy)
        return torch.tensor([float(option) for option in options])[torch.arange(count) % len(options)]


class TrainingBatches:
    """Augmented batches of a protocol's training images.

    Parameters
    ----------
    rows : the protocol's training rows (``protocol.rows("train")``); a column ``low`` (``protocol.is_low``) says which
        are on the low-resolution side, without it those that are degraded.
    share : (rank, processes): this process makes its part of every batch, all processes draw the same numbers.
    pieces : a batch is given in so many pieces of whole identities (gradient accumulation).

    ValueError where the identities of a batch cannot be shared so.
    """

    def __init__(
        self,
        canvases: Canvases,
        rows: pd.DataFrame,
        augmentation: Augmentation = NOTHING,
        identities: int = 16,
        images: int = 4,
        seed: int = 0,
        share: tuple[int, int] = (0, 1),
        pieces: int = 1,
    ):
        self.canvases, self.augmentation, self.seed = canvases, augmentation, seed
        self.share, self.pieces = share, pieces
        device = canvases.device
        self.table_rows = rows["image"].to_numpy()
        labels, self.pids = contiguous(rows["pid"])
        self.sampler = IdentitySampler(labels, identities, images, seed)
        parts = share[1] * pieces
        if self.sampler.identities % parts:
            raise ValueError(
                f"a batch of {self.sampler.identities} identities cannot be shared by {share[1]} processes in {pieces} "
                f"pieces: choose a number of identities that {parts} divides"
            )
        self.labels = torch.from_numpy(labels).to(device)
        self.cams = torch.from_numpy(contiguous(rows["cam"])[0]).to(device)
        self.rows = torch.from_numpy(self.table_rows.astype(np.int64)).to(device)
        self.own = rows["ratio"].to_numpy(dtype=float)  # (N,) the protocol's
        self.low = torch.tensor(np.asarray(rows["low"] if "low" in rows else self.own < 1, dtype=bool))  # noqa: SIM401
        self._places: dict[tuple[float | None, float], Tensor] = {}
        self._told: dict[float, Tensor] = {}

    @property
    def num_identities(self) -> int:
        return len(self.pids)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.sampler)

    @property
    def batch_size(self) -> int:
        """Images in a whole batch, of all processes and pieces together."""
        return self.sampler.identities * self.sampler.images

    def epoch(self, number: int, start: int = 0) -> Iterator[list[Batch]]:
        """The batches of an epoch from step ``start`` on; each item is a list of ``pieces`` batches."""
        rank, processes = self.share
        for step, positions in enumerate(self.sampler.epoch(number, start), start):
            size = len(positions) // (processes * self.pieces)
            starts = [(piece * processes + rank) * size for piece in range(self.pieces)]
            parts = [slice(first, first + size) for first in starts]
            yield [self.make(positions[p], Draws(self.seed, number, step, len(positions), p)) for p in parts]

    def still(self, size: int) -> Iterator[Batch]:
        """Every training image once, in order, ``size`` at a time: for steps in closed form."""
        for number, positions in enumerate(torch.arange(len(self.own)).split(size)):
            yield self.make(positions, Draws(self.seed, 0, number, len(positions)))

    def make(self, positions: Tensor, draws: Draws) -> Batch:
        """The batch of these training images (B,) with these random numbers."""
        factor = draws.pick("ratio", self.augmentation.ratios)
        views = Views(self.augmentation, self.canvases, draws)
        return self.batch(Augmented(self, positions, factor, views, draws))

    def batch(self, source: Augmented) -> Batch:
        """What a source shows, and all that is known of it."""
        positions = source.positions
        low = self.low[positions]
        low, high = (which.nonzero().flatten() for which in (low, ~low))
        at = positions.to(self.canvases.device, non_blocking=True)
        ratio, resolution, extent = self._tell(positions, source.factor)
        return Batch(
            images=source.at(torch.ones(len(positions), dtype=torch.float64), None),
            resolution=resolution,
            extent=extent,
            labels=self.labels[at],
            cams=self.cams[at],
            ratio=ratio,
            low=low,
            high=high,
            rows=self.rows[at],
            source=source,
        )

    def places(self, positions: Tensor, factor: Tensor | None, ratios: Tensor) -> Tensor:
        """(b,) the canvases' places of training images (b,) at ``ratios`` (b,) of what they show: the protocol's ratio
        times ``factor`` (b,), or, where that is None, of the originals.

        All images are made at a ratio when the first one is asked for: the pool grows once for each.
        """
        found = torch.empty(len(positions), dtype=torch.int64, device=self.canvases.device)
        shown = torch.zeros_like(ratios) if factor is None else factor
        for pair in torch.unique(torch.stack([shown, ratios], 1), dim=0):
            here = (torch.stack([shown, ratios], 1) == pair).all(1).nonzero().flatten()
            table = self._table(None if factor is None else float(pair[0]), float(pair[1]))
            found[here.to(found.device)] = table[positions[here].to(found.device)]
        return found

    def _table(self, factor: float | None, ratio: float) -> Tensor:
        """(N,) places of all training images."""
        if (factor, ratio) not in self._places:
            shown = np.ones_like(self.own) if factor is None else self.own * factor
            self._places[factor, ratio] = self.canvases.slots(self.table_rows, shown * ratio)
        return self._places[factor, ratio]

    def _tell(self, positions: Tensor, factor: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Ratio, resolution and extent (b,) of training images with these factors; None: of the originals."""
        told = torch.empty(3, len(positions))
        own, factor = (np.ones_like(self.own), 0.0 * positions) if factor is None else (self.own, factor)
        for value in torch.unique(factor):
            if float(value) not in self._told:
                ratios = own * (float(value) or 1.0)
                sizes = [of(self.table_rows, ratios) for of in (self.canvases.resolution, self.canvases.extent)]
                self._told[float(value)] = torch.from_numpy(np.stack([ratios, *sizes])).float()  # (3, N)
            here = factor == value
            told[:, here] = self._told[float(value)][:, positions[here]]
        return tuple(told.to(self.canvases.device, non_blocking=True))

    @cached_property
    def all_masks(self) -> Tensor:
        return self.canvases.masks(self.table_rows)
