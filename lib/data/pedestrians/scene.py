"""Everything that is not the person: cameras, light, places, passers-by and the sensor.

A camera is drawn once from its number: where it hangs, its lens, its sun, its colours, blur and noise, and the place it
looks at (a ground and a backdrop, both drawn procedurally). Images of one camera share these; what varies from image to
image (yaw, gait, distance, light, who stands in the way) comes from the image's own random stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

TEXTURE = 192  # pixels across a ground or backdrop texture
BACKDROP_METRES = 12.0  # the backdrop repeats after this many metres
GROUND_METRES = 6.0


@dataclass
class CameraModel:
    """One camera of the scene, in numbers and two textures."""

    name: str
    height: float  # metres above the ground
    distance: float  # metres to the person
    squeeze: float  # width over height of a pixel: how tightly its detector boxes people
    yaw: float  # how people usually walk through its view, radians
    yaw_spread: float
    sun: np.ndarray  # (3,) unit vector towards the sun, in the camera's world
    sun_strength: float
    ambient: np.ndarray  # (3,)
    dapple: float  # share of the light that leaves and roofs take away, in patches
    cast: np.ndarray  # (3,) colour cast
    exposure: float  # mean grey that its automatic exposure aims at
    gamma: float
    saturation: float
    contrast: float
    blur: float  # pixels at 128 rows
    noise: float
    sharpen: float
    backdrop_at: float  # metres behind the person
    ground: np.ndarray  # (3, T, T)
    backdrop: np.ndarray  # (3, T, T)


@lru_cache(maxsize=512)
def camera_model(number: int, seed: int) -> CameraModel:
    """Camera `number` of the population `seed`; independent of all others."""
    rng = np.random.RandomState([seed, 900_001, number])
    azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.45, 1.25)
    sun = np.array((np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)))
    sunny = rng.rand() < 0.6
    return CameraModel(
        name=f"c{number + 1}",
        height=rng.uniform(1.6, 4.5),
        distance=rng.uniform(6.0, 16.0),
        squeeze=rng.uniform(0.68, 1.0),
        yaw=rng.uniform(-np.pi, np.pi),
        yaw_spread=rng.uniform(0.2, 0.9),
        sun=sun,
        sun_strength=rng.uniform(0.6, 1.3) if sunny else rng.uniform(0.0, 0.3),
        ambient=(rng.uniform(0.45, 0.75) if sunny else rng.uniform(0.7, 1.0))
        * np.array((1.0, 1.0 + rng.uniform(-0.03, 0.05), 1.0 + rng.uniform(-0.04, 0.14))),
        dapple=rng.uniform(0.3, 1.0) if rng.rand() < 0.5 else 0.0,
        cast=np.exp(rng.normal(0.0, 0.035, 3)),
        exposure=float(np.exp(rng.normal(np.log(0.45), 0.10))),
        gamma=float(np.exp(rng.normal(0.0, 0.08))),
        saturation=rng.uniform(0.7, 1.2),
        contrast=rng.uniform(1.05, 1.5),
        blur=rng.uniform(0.15, 0.5),
        noise=rng.uniform(0.002, 0.018),
        sharpen=rng.uniform(0.2, 1.2) if rng.rand() < 0.75 else 0.0,
        backdrop_at=rng.uniform(1.5, 14.0),
        ground=_ground(rng),
        backdrop=_backdrop(rng),
    )  # fmt: skip


def _value_noise(rng: np.random.RandomState, cells: int, size: int = TEXTURE) -> np.ndarray:
    """A periodic smooth field (size, size) in [0, 1] with `cells` bumps across."""
    grid = torch.from_numpy(rng.rand(1, 1, cells, cells).astype(np.float32))
    grid = F.pad(grid, (1, 1, 1, 1), mode="circular")
    field = F.interpolate(grid, scale_factor=size / cells, mode="bicubic", align_corners=False)[0, 0]
    margin = (field.shape[0] - size) // 2
    return field[margin : margin + size, margin : margin + size].clamp(0, 1).numpy()


def _layers(rng: np.random.RandomState, scales=(3, 6, 12, 24, 48), decay=0.7) -> np.ndarray:
    weights = decay ** np.arange(len(scales))
    return sum(w * _value_noise(rng, s) for w, s in zip(weights, scales, strict=True)) / weights.sum()


def _tint(field: np.ndarray, dark, light) -> np.ndarray:
    dark, light = np.asarray(dark)[:, None, None], np.asarray(light)[:, None, None]
    return dark + (light - dark) * field[None]


def _greyer(texture: np.ndarray, share: float) -> np.ndarray:
    """Streets are duller than paint: mix (3, T, T) with its own grey."""
    return texture * (1 - share) + texture.mean(0, keepdims=True) * share


def _ground(rng: np.random.RandomState) -> np.ndarray:
    field = _layers(rng)
    kind = rng.choice(5, p=(0.34, 0.30, 0.10, 0.08, 0.18))
    if kind == 0:  # asphalt
        base = rng.uniform(0.3, 0.55)
        texture = _tint(field, (base * 0.75,) * 3, (base * 1.15, base * 1.15, base * 1.12))
    elif kind == 1:  # pale concrete
        texture = _tint(field, (0.5, 0.48, 0.45), (0.78, 0.76, 0.73))
    elif kind == 2:  # grass
        texture = _tint(field, (0.10, 0.20, 0.05), (0.35, 0.48, 0.20))
    elif kind == 3:  # brick red or bark
        texture = _tint(field, (0.25, 0.14, 0.10), (0.55, 0.36, 0.28))
    else:
        texture = _tint(field, (0.38, 0.36, 0.34), (0.62, 0.60, 0.56))
    if kind in (1, 3, 4):  # joints
        step = int(rng.choice((16, 24, 32, 48)))
        texture[:, ::step] *= 0.7
        texture[:, :, ::step] *= 0.7
    shadow = (_value_noise(rng, int(rng.choice((3, 5, 8)))) > rng.uniform(0.35, 0.75)).astype(np.float32)
    return _greyer(texture, 0.3) * (1 - rng.uniform(0.0, 0.65) * shadow)


def _backdrop(rng: np.random.RandomState) -> np.ndarray:
    kind = rng.randint(4)
    if kind == 0:  # foliage
        field = np.clip((_layers(rng, (4, 8, 16, 32, 64), 0.95) - 0.5) * 2.2 + 0.45, 0, 1)
        texture = _tint(field, (0.02, 0.05, 0.02), (0.40 + rng.uniform(-0.1, 0.2), 0.52, 0.28))
    elif kind == 1:  # facade with windows
        base = np.array((0.55, 0.5, 0.46)) * rng.uniform(0.5, 1.3) * np.exp(rng.normal(0, 0.1, 3))
        texture = _tint(_layers(rng), base * 0.85, base * 1.1)
        tall, wide = int(rng.choice((24, 32, 48))), int(rng.choice((16, 24, 32, 48)))
        glass = np.exp(rng.normal(-1.4, 0.5)) * np.array((0.9, 1.0, 1.1))
        for top in range(4, TEXTURE, tall):
            for left in range(3, TEXTURE, wide):
                texture[:, top : top + int(tall * 0.65), left : left + int(wide * 0.6)] = glass[:, None, None]
    else:  # a street: shapes before a mottled wall
        base = rng.uniform(0.15, 0.7) * np.exp(rng.normal(0, 0.12, 3))
        texture = _tint(_layers(rng), base * 0.6, base * 1.25)
    for _ in range(rng.randint(20, 60)):  # cars, signs, doors, posts, stools
        colour = rng.uniform(0.03, 0.95, 3) if rng.rand() < 0.5 else np.full(3, rng.uniform(0.03, 0.95))
        w, h = int(rng.choice((2, 2, 3, 4, 6, 14, 30))), int(rng.choice((3, 6, 14, 30, 60)))
        top, left = rng.randint(0, TEXTURE - h), rng.randint(0, TEXTURE - w)
        texture[:, top : top + h, left : left + w] = colour[:, None, None] * rng.uniform(0.8, 1.1, (1, h, 1))
    bright = (_value_noise(rng, int(rng.choice((3, 6, 10)))) > rng.uniform(0.45, 0.9)).astype(np.float32)
    return np.clip(_greyer(texture, 0.45) * (1 + rng.uniform(0.0, 1.5) * bright), 0, 1.3)


def background(directions: Tensor, centre: Tensor, offset: Tensor, textures: Tensor, backdrop_at: Tensor):
    """Colour (B, 3, H, W), ground points (B, H, W, 3) and whether a ray meets the ground (B, H, W).

    directions (B, H, W, 3) and centre (B, 3) in the world of the camera; `offset` (B,) moves people along the backdrop;
    textures (B, 2, 3, T, T): ground and backdrop.
    """
    dx, dy, dz = directions.unbind(-1)
    cx, cy, cz = (centre[:, i, None, None] for i in range(3))
    t_ground = torch.where(dz < -1e-4, -cz / dz.clamp_max(-1e-4), 1e6)
    t_wall = (backdrop_at[:, None, None] - cy) / dy.clamp_min(1e-3)
    is_ground = t_ground < t_wall
    t = torch.minimum(t_ground, t_wall)
    px, py, pz = cx + t * dx, cy + t * dy, cz + t * dz
    shifted = px + offset[:, None, None]
    ground = torch.stack((shifted / GROUND_METRES, py / GROUND_METRES), -1)
    wall = torch.stack((shifted / BACKDROP_METRES, -pz / BACKDROP_METRES), -1)
    colours = []
    for number, uv in enumerate((ground, wall)):
        folded = 2.0 * torch.remainder(uv, 1.0) - 1.0
        colours.append(
            F.grid_sample(textures[:, number], folded, mode="bilinear", padding_mode="border", align_corners=False)
        )
    colour = torch.where(is_ground[:, None], colours[0], colours[1])
    return colour, torch.stack((px, py, pz.clamp_min(0)), -1), is_ground


def _gaussian(sigma: Tensor, reach: int) -> Tensor:
    x = torch.arange(-reach, reach + 1, device=sigma.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / sigma.clamp_min(0.05)[:, None]) ** 2)
    return kernel / kernel.sum(1, keepdim=True)


def blur(images: Tensor, sigma_rows: Tensor, sigma_columns: Tensor) -> Tensor:
    """Separable Gaussian blur with one sigma per image and direction; (B, 3, H, W)."""
    b, c, h, w = images.shape
    reach = max(1, int(float(torch.maximum(sigma_rows, sigma_columns).max()) * 2.5 + 0.999))
    flat = F.pad(images, (reach,) * 4, mode="replicate").reshape(1, b * c, h + 2 * reach, w + 2 * reach)
    rows = _gaussian(sigma_rows, reach).repeat_interleave(c, 0)[:, None, :, None]
    columns = _gaussian(sigma_columns, reach).repeat_interleave(c, 0)[:, None, None, :]
    flat = F.conv2d(F.conv2d(flat, rows, groups=b * c), columns, groups=b * c)
    return flat.reshape(b, c, h, w)


def sensor(images: Tensor, p: dict[str, Tensor], noise: Tensor) -> Tensor:
    """Linear radiance (B, 3, H, W) -> uint8, through lens blur, exposure, cast, gamma, saturation, sharpening and
    noise."""

    def per_image(name: str) -> Tensor:
        return p[name].view(-1, 1, 1, 1)

    scale = images.shape[2] / 128.0
    images = blur(images, p["blur"] * scale, (p["blur"] ** 2 + p["motion"] ** 2).sqrt() * scale)
    # Automatic exposure follows the light of the place, and only a little what happens to be in the box.
    mean = images.mean((1, 2, 3)).clamp_min(0.02)
    gain = p["exposure"] * (p["aim"] / mean) ** 0.55 * (p["aim"] / 0.38 / p["level"]) ** 0.45
    images = images * (gain[:, None] * p["cast"])[:, :, None, None]
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * per_image("saturation")
    images = 0.42 + (images - 0.42) * per_image("contrast")
    images = images.clamp(1e-4, 1.0) ** per_image("gamma")
    if bool((p["sharpen"] > 0).any()):
        soft = blur(images, torch.full_like(p["blur"], 0.8 * scale), torch.full_like(p["blur"], 0.8 * scale))
        images = images + per_image("sharpen") * (images - soft)
    return ((images + noise * per_image("noise")).clamp(0, 1) * 255 + 0.5).to(torch.uint8)
