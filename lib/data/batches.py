"""From a protocol to training batches, on the device: canvases, identity sampler, augmentation.

Letters: N training images, B images in a batch, H x W the canvas in pixels, I identities.

Pixels are decoded, degraded and enlarged once and kept as uint8 canvases on the device; a batch is then one gather
(which flips and crops as it goes), one conversion to float and, where asked for, one colour matrix and one erased box
per image. There are no loader processes: on two cores one is slower than none, on a GPU this is too cheap to hide.

All random numbers of a batch are drawn on the CPU for the *whole* batch, also where several processes share it, so that
the number of processes changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lib.data.resolution import enlarge, low_resolution_size, shrink, through_jpeg

if TYPE_CHECKING:
    import pandas as pd

    from lib.data.protocol import Protocol

CHUNK = {"cpu": 32, "cuda": 512}  # images resized at once: what fits into a CPU's cache
GREY = (0.485, 0.456, 0.406)  # mean colour of photographs (ImageNet's), what an erased box shows
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Augmentation:
    """What happens to a training image: the same to ``images``, ``hr`` and ``lr``, its geometry also to the mask.

    Parameters
    ----------
    flip : probability of a horizontal flip.
    pad : largest shift in pixels in both directions; the border is repeated, not black.
    erase : probability that a box is replaced by grey (Zhong et al. 2020), of ``erase_area`` share of the canvas and
        ``erase_aspect`` height over width; cut at the canvas instead of drawn again.
    jitter : strengths of brightness, contrast, saturation (factors in 1 +- strength) and hue (a turn of +- strength x
        180 degrees).
    ratios : factors on the protocol's ratio, one drawn per image and visit: (1, 1/2, 1/3, 1/4) is JBIM's
        "All-Resolution".
    """

    flip: float = 0.5
    pad: int = 0
    erase: float = 0.0
    erase_area: tuple[float, float] = (0.02, 0.4)
    erase_aspect: tuple[float, float] = (0.3, 3.33)
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    ratios: tuple[float, ...] = (1.0,)


@dataclass
class Batch:
    """What a method sees of B training images. ``hr``, ``lr`` and ``mask`` are made when first asked for.

    images : (B, 3, H, W) float in [0, 1], as the protocol (and ``Augmentation.ratios``) degrades them.
    hr : the same flip, crop, colours and erased box at full resolution.
    lr : the same again, the original image at ``lr_ratio``; None where the method has no ``synthetic_ratios``.
    mask : (B, 1, H, W) float, 1 on the person, same flip and crop; None where the set has no masks.
    position : (B, 2, H, W) float in (0, 1): where each pixel lies in the whole canvas, from the top and from the left,
        after the same flip and crop: for masks that are a function of the place.
    low, high : positions (in 0 .. B-1) of the images on the protocol's low-resolution side, and of the others.
    labels : (B,) int64 in [0, I), numbered by sorted identity. cams : (B,) int64, numbered by sorted camera.
    ratio : (B,) of ``images``. resolution : (B,) width of what ``images`` shows over the protocol's widest (RIPR's r).
    rows : (B,) row numbers in the data set's table.
    """

    images: Tensor
    labels: Tensor
    resolution: Tensor
    ratio: Tensor
    cams: Tensor
    rows: Tensor
    low: Tensor
    high: Tensor
    lr_ratio: Tensor | None = None
    views: dict[str, Callable[[], Tensor]] = field(default_factory=dict, repr=False)

    @cached_property
    def hr(self) -> Tensor:
        return self.views["hr"]()

    @cached_property
    def lr(self) -> Tensor | None:
        return self.views["lr"]() if "lr" in self.views else None

    @cached_property
    def mask(self) -> Tensor | None:
        return self.views["mask"]() if "mask" in self.views else None

    @cached_property
    def position(self) -> Tensor:
        return self.views["position"]()

    def __len__(self) -> int:
        return len(self.labels)


class Canvases:
    """A protocol's images on the network's canvas, uint8 on the device, made once per (row, ratio) and kept.

    An image is shrunk at its *own* size and enlarged to the canvas from there: shrinking a person that was enlarged
    first would lose less than the protocol says. ``enlargement`` is the kernel of the second step where it is not that
    of the first (SING's "bilinear" and "bicubic" rows).
    """

    def __init__(
        self,
        protocol: Protocol,
        size: tuple[int, int],
        device: str | torch.device = "cpu",
        enlargement: str | None = None,
    ):
        self.dataset, self.size, self.device = protocol.dataset, tuple(size), torch.device(device)
        self.widest = protocol.widest
        steps = protocol.manifest["degradation"]
        self.kernel, self.rounding, self.antialias, self.jpeg = (
            steps[k] for k in ("kernel", "rounding", "antialias", "jpeg")
        )
        self.enlargement = enlargement or self.kernel
        self.pool = torch.empty((0, *self.size, 3), dtype=torch.uint8, device=self.device)  # (slots, H, W, 3)
        self._slots: dict[tuple[int, float], int] = {}
        self._masks: dict[int, Tensor] = {}
        self._sizes = self.dataset.table[["height", "width"]].to_numpy()

    def images(self, rows: Sequence[int], ratios: Sequence[float]) -> Tensor:
        """uint8 (B, 3, H, W), channels last in memory, of data set rows at the given ratios."""
        slots = self.slots(rows, ratios)  # first: it may make the pool larger
        return self.pool[slots].permute(0, 3, 1, 2)

    def masks(self, rows: Sequence[int]) -> Tensor | None:
        """uint8 0/1 (B, 1, H, W), nearest pixel, or None where the set has no masks."""
        if not self.dataset.has_masks:
            return None
        for row in {int(r) for r in rows} - self._masks.keys():
            mask = torch.from_numpy(self.dataset.mask(row).astype(np.uint8))[None]
            y, x = (
                ((torch.arange(n) + 0.5) * (own / n)).long() for n, own in zip(self.size, mask.shape[1:], strict=True)
            )
            self._masks[row] = mask[:, y[:, None], x].to(self.device)
        return torch.stack([self._masks[int(r)] for r in rows])

    def slots(self, rows: Sequence[int], ratios: Sequence[float]) -> Tensor:
        """(B,) int64 places of these images in ``pool``; those that are not there yet are made."""
        keys = [(int(row), round(float(ratio), 9)) for row, ratio in zip(rows, ratios, strict=True)]
        missing = sorted(set(keys) - self._slots.keys())
        if missing:
            self._fill(missing)
        return torch.tensor([self._slots[key] for key in keys], device=self.device)

    def resolution(self, row: int, ratio: float, measure: str = "width") -> float:
        """How much an image shows after degrading, relative to the set's largest image, in (0, 1].

        measure : "width" in pixels over the protocol's ``widest`` (RIPR §3; 1 for what is wider), or "area": the square
        root of the number of pixels over that of the largest image, whose quotients are SING's Eq. 7.
        """
        height, width = (int(n) for n in self._sizes[row])
        low = (height, width) if ratio >= 1 else low_resolution_size(height, width, ratio, self.rounding)
        if measure == "width":
            return min(1.0, low[1] / self.widest)
        if measure == "area":
            return float(np.sqrt(low[0] * low[1] / self._sizes.prod(1).max()))
        raise ValueError(f"resolution is measured by 'width' or 'area', not {measure!r}")

    def _fill(self, keys: list[tuple[int, float]]) -> None:
        start = len(self.pool)
        fresh = torch.empty((len(keys), *self.size, 3), dtype=torch.uint8, device=self.device)
        self.pool = torch.cat([self.pool, fresh]) if start else fresh
        groups: dict[tuple, list[int]] = {}
        for place, (row, ratio) in enumerate(keys):
            own = tuple(int(n) for n in self._sizes[row])
            low = own if ratio >= 1 else low_resolution_size(*own, ratio, self.rounding)
            groups.setdefault((own, low), []).append(place)
        step = CHUNK.get(self.device.type, 32)
        for (own, low), places in groups.items():
            for chunk in (places[first : first + step] for first in range(0, len(places), step)):
                images = torch.from_numpy(np.stack([self.dataset.image(keys[place][0]) for place in chunk]))
                images = images.to(self.device).permute(0, 3, 1, 2).contiguous()  # (b, 3, h, w)
                if low != own:
                    images = shrink(images, low, self.kernel, antialias=self.antialias)
                    images = images if self.jpeg is None else through_jpeg(images, self.jpeg)
                images = enlarge(images, self.size, self.enlargement).permute(0, 2, 3, 1)
                self.pool[torch.tensor(chunk, device=self.device) + start] = images
        self._slots |= {key: start + place for place, key in enumerate(keys)}


class IdentitySampler:
    """Batches of P identities with K images each: positions in ``labels`` (P*K,) int64, an identity's images adjacent.

    Identities come from shuffled decks, so all are seen equally often; images of one identity are drawn without
    replacement, and repeated where it has fewer than K. An epoch has N / (P*K) batches, rounded, at least one.
    Where no identity has K images, K becomes the largest count and P grows to keep P*K (VIPeR: 16 x 4 becomes 32 x 2).
    The state is the generator's state at the start of the epoch and the batches given since.
    """

    def __init__(self, labels: Sequence[int], identities: int, images: int, seed: int = 0):
        labels = np.asarray(labels)
        self.members = [torch.from_numpy(np.flatnonzero(labels == label)) for label in np.unique(labels)]
        if len(self.members) < 2:
            raise ValueError(
                f"identity sampling needs at least two identities to train on, there are {len(self.members)}"
            )
        self.images = min(images, max(len(m) for m in self.members))
        self.identities = min(len(self.members), identities * images // self.images)
        self.batches = max(1, round(len(labels) / (self.identities * self.images)))
        self.generator = torch.Generator().manual_seed(seed)
        self.epoch_state, self.given, self.plan = self.generator.get_state(), 0, None

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Tensor]:
        """The rest of the current epoch: all of it, unless a state was loaded in its middle."""
        if self.plan is None:
            self.generator.set_state(self.epoch_state)
            self.plan = self._plan()
        while self.given < self.batches:
            self.given += 1
            yield self.plan[self.given - 1]
        self.epoch_state, self.given, self.plan = self.generator.get_state(), 0, None

    def _plan(self) -> Tensor:
        """(batches, P*K): a whole epoch."""
        chosen: list[int] = []
        whole = len(self.members) // self.identities * self.identities  # a deck gives whole batches only
        while len(chosen) < self.batches * self.identities:
            chosen += torch.randperm(len(self.members), generator=self.generator)[:whole].tolist()
        plan = []
        for identity in chosen[: self.batches * self.identities]:
            members = self.members[identity]
            order = members[torch.randperm(len(members), generator=self.generator)]
            plan.append(order.repeat(-(-self.images // len(order)))[: self.images])
        return torch.stack(plan).view(self.batches, -1)

    def state_dict(self) -> dict:
        return {"epoch_state": self.epoch_state.clone(), "given": self.given}

    def load_state_dict(self, state: dict) -> None:
        self.epoch_state, self.given, self.plan = state["epoch_state"].clone(), state["given"], None


class TrainingBatches:
    """Augmented batches of a protocol's training images.

    Parameters
    ----------
    rows : the protocol's training rows (``protocol.rows("train")``); a column ``low`` (``protocol.is_low``) says which
        are on the low-resolution side, without it those that are degraded.
    share : (rank, processes): this process makes its part of every batch, all processes draw the same numbers.
    pieces : a batch is given in so many pieces of whole identities (gradient accumulation).
    """

    def __init__(
        self,
        canvases: Canvases,
        rows: pd.DataFrame,
        augmentation: Augmentation,
        synthetic_ratios: Sequence[float] = (),
        identities: int = 16,
        images: int = 4,
        seed: int = 0,
        share: tuple[int, int] = (0, 1),
        pieces: int = 1,
    ):
        self.canvases, self.augmentation, self.synthetic_ratios = canvases, augmentation, tuple(synthetic_ratios)
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
        self.generator = torch.Generator().manual_seed(seed + 1)
        self.labels = torch.from_numpy(labels).to(device)
        self.cams = torch.from_numpy(contiguous(rows["cam"])[0]).to(device)
        self.rows = torch.from_numpy(self.table_rows.astype(np.int64)).to(device)
        own = rows["ratio"].to_numpy(dtype=float)
        self.ratios = np.stack([own * factor for factor in augmentation.ratios], axis=1)  # (N, choices)
        self.ratio = torch.from_numpy(self.ratios).float().to(device)
        self.resolution = torch.tensor(
            [
                [canvases.resolution(r, x) for x in choices]
                for r, choices in zip(self.table_rows, self.ratios, strict=True)
            ],
            dtype=torch.float32,
            device=device,
        )
        self.low = torch.tensor(np.asarray(rows["low"] if "low" in rows else own < 1, dtype=bool))  # noqa: SIM401
        self.slots = self._slots(self.ratios)
        self._levels = {
            "y": torch.arange(canvases.size[0], device=device),
            "x": torch.arange(canvases.size[1], device=device),
        }

    @property
    def num_identities(self) -> int:
        return len(self.pids)

    def __len__(self) -> int:
        return len(self.sampler)

    @property
    def batch_size(self) -> int:
        """Images in a whole batch, of all processes and pieces together."""
        return self.sampler.identities * self.sampler.images

    def __iter__(self) -> Iterator[list[Batch]]:
        """The rest of the current epoch; each item is a list of ``pieces`` batches."""
        rank, processes = self.share
        for positions in self.sampler:
            draws = torch.rand(len(positions), 14, generator=self.generator)
            size = len(positions) // (processes * self.pieces)
            starts = [(piece * processes + rank) * size for piece in range(self.pieces)]
            yield [self.make(positions[s : s + size], draws[s : s + size]) for s in starts]

    def make(self, positions: Tensor, draws: Tensor) -> Batch:
        """The batch of these training images (B,) with these uniform random numbers (B, 14)."""
        device = self.canvases.device
        low = self.low[positions]  # counted on the CPU: a GPU would have to be waited for
        low, high = (which.nonzero().flatten().to(device, non_blocking=True) for which in (low, ~low))
        positions, draws = (x.to(device, non_blocking=True) for x in (positions, draws))
        choice = (draws[:, 0] * self.slots.shape[1]).long()
        views = Views(self, positions, draws)
        lr_ratio = None
        if self.synthetic_ratios:
            lr_choice = (draws[:, 1] * len(self.synthetic_ratios)).long()
            lr_ratio = constant(self.synthetic_ratios, device)[lr_choice]
            views.later["lr"] = lambda: views.picture(self.lr_slots[positions, lr_choice])
        views.later["hr"] = lambda: views.picture(self.hr_slots[positions, 0])
        views.later["position"] = views.position
        if self.canvases.dataset.has_masks:
            views.later["mask"] = lambda: views.mask(self.all_masks[positions])
        return Batch(
            images=views.picture(self.slots[positions, choice]),
            labels=self.labels[positions],
            resolution=self.resolution[positions, choice],
            ratio=self.ratio[positions, choice],
            cams=self.cams[positions],
            rows=self.rows[positions],
            low=low,
            high=high,
            lr_ratio=lr_ratio,
            views=views.later,
        )

    def _slots(self, ratios: np.ndarray) -> Tensor:
        """(N, choices) ratios -> the canvases' places, made on the way."""
        rows = np.repeat(self.table_rows, ratios.shape[1])
        return self.canvases.slots(rows, ratios.ravel()).view(ratios.shape)

    @cached_property
    def hr_slots(self) -> Tensor:
        return self._slots(np.ones((len(self.table_rows), 1)))

    @cached_property
    def lr_slots(self) -> Tensor:
        return self._slots(np.tile(self.synthetic_ratios, (len(self.table_rows), 1)))

    @cached_property
    def all_masks(self) -> Tensor:
        return self.canvases.masks(self.table_rows)

    def state_dict(self) -> dict:
        return {"sampler": self.sampler.state_dict(), "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict) -> None:
        self.sampler.load_state_dict(state["sampler"])
        self.generator.set_state(state["generator"])


class Views:
    """One flip, crop, colour change and erased box per image, applied to whatever view of it is asked for."""

    def __init__(self, batches: TrainingBatches, positions: Tensor, draws: Tensor):
        a, self.pool_of = batches.augmentation, batches.canvases
        height, width = batches.canvases.size
        self.augmentation, self.draws, self.later = a, draws, {}
        self.colours: tuple[Tensor, Tensor] | None = None
        y = batches._levels["y"] + torch.floor(draws[:, 2:3] * (2 * a.pad + 1)).long() - a.pad  # (B, H)
        x = batches._levels["x"] + torch.floor(draws[:, 3:4] * (2 * a.pad + 1)).long() - a.pad  # (B, W)
        self.y, x = y.clamp_(0, height - 1), x.clamp_(0, width - 1)
        self.x = torch.where(draws[:, 4:5] < a.flip, width - 1 - x, x)
        self.box = self._box(batches._levels["y"], batches._levels["x"]) if a.erase > 0 else None

    def picture(self, slots: Tensor) -> Tensor:
        """Places in the pool (B,) -> float (B, 3, H, W) in [0, 1], channels last in memory."""
        pixels = self.pool_of.pool[slots[:, None, None], self.y[:, :, None], self.x[:, None, :]]  # (B, H, W, 3)
        images = pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255)
        if any(self.augmentation.jitter):
            images = self._recolour(images)
        if self.box is not None:
            grey = constant(GREY, images.device).view(1, 3, 1, 1)
            images = torch.where(self.box, grey, images)
        return images

    def mask(self, masks: Tensor) -> Tensor:
        """(B, 1, H, W) uint8 -> float with the same flip and crop."""
        here = torch.arange(len(masks), device=masks.device)[:, None, None]
        return masks[here, 0, self.y[:, :, None], self.x[:, None, :]][:, None].float()

    def position(self) -> Tensor:
        """(B, 2, H, W) float: the middles of the canvas' pixels that each place shows, as a share of its sides."""
        (batch, height), width = self.y.shape, self.x.shape[1]
        y = ((self.y + 0.5) / height)[:, :, None].expand(batch, height, width)
        x = ((self.x + 0.5) / width)[:, None, :].expand(batch, height, width)
        return torch.stack([y, x], 1)

    def _box(self, ys: Tensor, xs: Tensor) -> Tensor:
        """(B, 1, H, W) bool, True where a picture is erased; all False in the images that are spared."""
        a, u = self.augmentation, self.draws[:, 5:10, None]  # (B, 5, 1)
        height, width = len(ys), len(xs)
        area = height * width * (a.erase_area[0] + (a.erase_area[1] - a.erase_area[0]) * u[:, 0])
        low, high = np.log(a.erase_aspect)
        aspect = torch.exp(low + (high - low) * u[:, 1])
        h, w = (area * aspect).sqrt().clamp(max=height), (area / aspect).sqrt().clamp(max=width)
        top, left = u[:, 2] * (height - h), u[:, 3] * (width - w)
        rows = (ys >= top) & (ys < top + h) & (u[:, 4] < a.erase)  # (B, H)
        columns = (xs >= left) & (xs < left + w)  # (B, W)
        return (rows[:, :, None] & columns[:, None, :])[:, None]

    def _recolour(self, images: Tensor) -> Tensor:
        """One affine map of colours per image; contrast pivots on the mean luma of the first view, for all views."""
        if self.colours is None:
            self.colours = colour_map(self.draws[:, 10:14], self.augmentation.jitter, images)
        matrix, offset = self.colours
        flat = images.permute(0, 2, 3, 1).flatten(1, 2)  # (B, H*W, 3)
        changed = torch.baddbmm(offset[:, None], flat, matrix.transpose(1, 2)).clamp_(0, 1)
        return changed.unflatten(1, images.shape[2:]).permute(0, 3, 1, 2)


def colour_map(draws: Tensor, strengths: Sequence[float], images: Tensor) -> tuple[Tensor, Tensor]:
    """Brightness, contrast, saturation and hue as x -> M x + b: M (B, 3, 3), b (B, 3).

    Contrast pivots on the image's mean luma; saturation blends with the luma; hue turns around the grey axis.
    """
    signed = 2 * draws - 1  # (B, 4) in [-1, 1)
    bright, contrast, saturation = (1 + signed[:, i] * strengths[i] for i in range(3))
    angle = signed[:, 3] * strengths[3] * np.pi
    luma = constant(LUMA, images.device)
    eye, ones = torch.eye(3, device=images.device), torch.ones(3, 3, device=images.device)
    cross = constant((0, -1, 1, 1, 0, -1, -1, 1, 0), images.device).view(3, 3) / 3**0.5
    cos, sin, saturation = angle.cos()[:, None, None], angle.sin()[:, None, None], saturation[:, None, None]
    turn = cos * eye + (1 - cos) / 3 * ones + sin * cross  # Rodrigues' rotation around (1, 1, 1)
    blend = saturation * eye + (1 - saturation) * luma.expand(3, 3)
    pivot = bright * (images.mean((2, 3)) @ luma)  # (B,)
    matrix = (bright * contrast)[:, None, None] * (turn @ blend)
    offset = ((1 - contrast) * pivot)[:, None] * (turn @ blend).sum(2)
    return matrix, offset


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """A float32 vector that stays on the device: sending it with every batch would make the GPU wait for the CPU."""
    return torch.tensor(values, dtype=torch.float32, device=device)


def contiguous(values: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Labels 0..I-1 (N,) int64 in the order of the sorted distinct values, and those values."""
    names = sorted({str(v) for v in values})
    place = {name: i for i, name in enumerate(names)}
    return np.array([place[str(v)] for v in values], dtype=np.int64), names
