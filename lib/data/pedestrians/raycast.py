"""Analytic ray casting of tapered elliptic capsules, batched over images, on any device.

Letters: B images, K primitives an image, H x W rays an image, h x w the window of one primitive.

A primitive lives in its own frame: its axis runs along z from 0 to L, its radius goes linearly from r0 to r1 and
its ends are closed by half-spheres; a scale on the local y axis makes the cross-section elliptic. Every ray starts
at the camera and is linear in its pixel coordinates (x, y), d(x, y) = R [x, y, 1], so in a primitive's frame it is
G [x, y, 1] with one 3 x 3 matrix G per primitive: no per-pixel matrix product is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FAR = 1e6


@dataclass
class Primitives:
    """start, axis frame and radii of B x K primitives, in metres, world coordinates."""

    start: Tensor  # (B, K, 3)
    frame: Tensor  # (B, K, 3, 3) rows: local x, y, z axes; the y row is divided by the aspect
    length: Tensor  # (B, K)
    r0: Tensor  # (B, K)
    r1: Tensor  # (B, K)
    present: Tensor  # (B, K) bool
    closed: Tensor  # (B, K) 1 where the far end has its half-sphere, 0 where it is open (a hem)


@dataclass
class Camera:
    """B pinhole cameras, each cropped to one person's box: pixel (row, column) looks along R [x, y, 1]."""

    centre: Tensor  # (B, 3)
    rotation: Tensor  # (B, 3, 3) camera axes (right, down, forward) as columns
    left: Tensor  # (B,) x of the crop's left edge on the plane at distance 1
    top: Tensor  # (B,)
    pixel: Tensor  # (B,) height of one pixel on the plane at distance 1
    squeeze: Tensor  # (B,) its width over its height: a tight box, enlarged to the canvas, widens a person

    def coordinates(self, rows: Tensor, columns: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Pixel numbers -> (x, y) on the plane at distance 1; `shape` broadcasts the per-image values."""
        view = (-1,) + (1,) * (len(shape) - 1)
        x = self.left.view(view) + (columns + 0.5) * (self.pixel * self.squeeze).view(view)
        y = self.top.view(view) + (rows + 0.5) * self.pixel.view(view)
        return x, y

    def project(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """World points (B, K, 3) -> (row, column, depth), each (B, K), in pixels and metres."""
        local = torch.einsum("bij,bki->bkj", self.rotation, points - self.centre[:, None])
        depth = local[..., 2].clamp_min(0.1)
        column = (local[..., 0] / depth - self.left[:, None]) / (self.pixel * self.squeeze)[:, None]
        row = (local[..., 1] / depth - self.top[:, None]) / self.pixel[:, None]
        return row, column, depth


def cast(primitives: Primitives, camera: Camera, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The nearest hit of every ray: distance (B, H, W), `FAR` where nothing is hit, and primitive number (B, H, W).

    Primitive by primitive, only inside the smallest window that holds its projection in every image of the batch.
    """
    batch, count = primitives.length.shape
    device = primitives.length.device
    nearest = torch.full((batch, height * width), FAR, device=device)
    which = torch.full((batch, height * width), -1, dtype=torch.int16, device=device)
    to_local = torch.einsum("bkij,bjl->bkil", primitives.frame, camera.rotation)  # G, (B, K, 3, 3)
    origin = torch.einsum("bkij,bkj->bki", primitives.frame, camera.centre[:, None] - primitives.start)  # (B, K, 3)
    top, left, tall, wide = _windows(primitives, camera, height, width)
    for k in range(count):
        h, w = int(tall[k]), int(wide[k])
        if h == 0 or w == 0:
            continue
        rows = top[:, k, None, None] + torch.arange(h, device=device)[None, :, None]  # (B, h, 1)
        columns = left[:, k, None, None] + torch.arange(w, device=device)[None, None, :]  # (B, 1, w)
        x, y = camera.coordinates(rows, columns, (batch, h, w))
        t = _intersect(
            x,
            y,
            to_local[:, k],
            origin[:, k],
            primitives.length[:, k],
            primitives.r0[:, k],
            primitives.r1[:, k],
            primitives.closed[:, k],
        )
        t = torch.where(primitives.present[:, k, None, None], t, FAR)
        index = (rows * width + columns).reshape(batch, h * w)
        t = t.reshape(batch, h * w)
        before = nearest.gather(1, index)
        closer = t < before
        nearest.scatter_(1, index, torch.where(closer, t, before))
        which.scatter_(
            1, index, torch.where(closer, torch.tensor(k, dtype=torch.int16, device=device), which.gather(1, index))
        )
    return nearest.view(batch, height, width), which.view(batch, height, width)


def _windows(primitives: Primitives, camera: Camera, height: int, width: int):
    """Per primitive: top and left corner in each image (B, K) and one size for the whole batch (K,), in pixels."""
    radius = torch.maximum(primitives.r0, primitives.r1)
    # The y row of the frame is divided by the aspect, so its norm tells how much wider than r the section can be.
    stretch = (1.0 / primitives.frame[:, :, 1].norm(dim=-1)).clamp_min(1.0)
    z_axis = primitives.frame[:, :, 2]
    end = primitives.start + z_axis * primitives.length[..., None]
    row0, column0, depth0 = camera.project(primitives.start)
    row1, column1, depth1 = camera.project(end)
    reach = 1.08 * radius * stretch / torch.minimum(depth0, depth1) / camera.pixel[:, None] + 1.5
    across = reach / camera.squeeze.clamp_max(1.0)[:, None]
    top = (torch.minimum(row0, row1) - reach).floor()
    bottom = (torch.maximum(row0, row1) + reach).ceil()
    left = (torch.minimum(column0, column1) - across).floor()
    right = (torch.maximum(column0, column1) + across).ceil()
    seen = primitives.present & (bottom > 0) & (right > 0) & (top < height) & (left < width)
    top, bottom = top.clamp(0, height), bottom.clamp(0, height)
    left, right = left.clamp(0, width), right.clamp(0, width)
    tall = torch.where(seen, bottom - top, 0).amax(0)
    wide = torch.where(seen, right - left, 0).amax(0)
    top = torch.minimum(top, height - tall).clamp_min(0).long()  # a window near the edge slides back inside
    left = torch.minimum(left, width - wide).clamp_min(0).long()
    return top, left, tall.long().tolist(), wide.long().tolist()


def _intersect(
    x: Tensor, y: Tensor, g: Tensor, o: Tensor, length: Tensor, r0: Tensor, r1: Tensor, closed: Tensor
) -> Tensor:
    """Distance along the ray o + t G [x, y, 1] to one capsule per image; x, y broadcast to (B, h, w)."""

    def per_image(v: Tensor) -> Tensor:
        return v[:, None, None]

    d = [per_image(g[:, i, 0]) * x + per_image(g[:, i, 1]) * y + per_image(g[:, i, 2]) for i in range(3)]
    ox, oy, oz = (per_image(o[:, i]) for i in range(3))
    length, r0, r1 = per_image(length), per_image(r0), per_image(r1)
    across = d[0] * d[0] + d[1] * d[1]
    dot = ox * d[0] + oy * d[1]
    flat = ox * ox + oy * oy
    # Cone: x^2 + y^2 = (r0 + k z)^2 for 0 <= z <= L.
    k = (r1 - r0) / length
    rim = r0 + k * oz
    a = across - (k * k) * d[2] * d[2]
    b = dot - (k * rim) * d[2]
    root = b * b - a * (flat - rim * rim)
    t = (-b - root.clamp_min(0).sqrt()) / a.clamp_min(1e-9)
    z = oz + t * d[2]
    best = torch.where((root > 0) & (z >= 0) & (z <= length) & (t > 0), t, FAR)
    # The two end spheres.
    norm = across + d[2] * d[2]
    for centre, radius in ((0.0, r0), (length, r1 * per_image(closed))):
        oz_c = oz - centre
        b = dot + oz_c * d[2]
        root = b * b - norm * (flat + oz_c * oz_c - radius * radius)
        t = (-b - root.clamp_min(0).sqrt()) / norm
        best = torch.minimum(best, torch.where((root > 0) & (t > 0), t, FAR))
    return best
