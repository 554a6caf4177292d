"""From identities and cameras to pictures, masks and a table.

Every random choice belongs to an identity, a camera or one image, and each has its own stream: the picture of
identity 17 before camera 2 is the same whichever others are rendered with it, in whatever batches.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.threads import few_threads

from . import identities as people
from .body import PARTS, build
from .clothing import Hits, albedo
from .raycast import FAR, Camera, Primitives, cast
from .scene import background, camera_model, sensor

SUPERSAMPLING = 2
EXTRAS = 7  # pole, bush, box in front; a passer-by of four capsules
SHADOW_MAP = (80, 56)  # pixels of the sun's view of one person
CODES = {  # categorical attributes -> numbers, in the order of identities.py
    "pattern": people.PATTERNS,
    "logo": people.LOGOS,
    "lower_pattern": ("plain", "check", "camouflage", "stripes", "fade"),
}
_COPIED = (
    "height", "build", "shoulders", "hips", "hair_length", "sleeve", "upper_length", "open_width", "loose",
    "lower_length", "bag_size", "slouch", "pattern_period", "pattern_phase", "pattern_duty", "logo_x", "logo_z",
    "logo_size", "zip", "buttons", "collar", "cuffs", "side_stripe", "lower_period", "belt", "laces", "soles",
    "glasses", "scribble", "sandals",
)  # fmt: skip
_COLOURS = (
    "skin",
    "hair",
    "upper_colour",
    "inner_colour",
    "lower_colour",
    "shoes",
    "bag_colour",
    "hat_colour",
    "accent",
    "logo_colour",
)


def _attributes(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """The identity table as numbers: (N,) or (N, 3) float32."""
    out = {name: table[name].to_numpy(np.float32) for name in _COPIED}
    out |= {name: np.array(table[name].tolist(), np.float32) for name in _COLOURS}
    out |= {name: table[name].map(list(order).index).to_numpy(np.float32) for name, order in CODES.items()}
    is_ = {name: table[name].to_numpy() for name in ("upper", "lower", "hair_shape", "hat", "bag", "identity", "woman")}

    def flag(condition) -> np.ndarray:
        return np.asarray(condition, np.float32)

    out["is_jacket"] = flag(is_["upper"] == "open jacket")
    out["hood"] = out["hooded"] = flag(is_["upper"] == "hoodie")
    out["is_dress"] = flag(is_["upper"] == "dress")
    out["deep_neck"] = flag(is_["upper"] == "tank top")
    out["skirt"] = np.maximum(flag(is_["lower"] == "skirt"), out["is_dress"])
    out["is_trousers"] = flag(np.isin(is_["lower"], ("trousers", "jeans", "shorts")))
    out["hem"] = np.maximum(out["skirt"], flag((out["upper_length"] > 0.45) & (is_["upper"] != "tank top")))
    out["has_hair"] = flag(is_["hair_shape"] != "bald")
    for shape in ("long", "bun", "ponytail", "curly"):
        out[shape] = flag(is_["hair_shape"] == shape)
    out["has_hat"] = flag(is_["hat"] != "none")
    out["has_brim"] = flag(np.isin(is_["hat"], ("cap", "brim")))
    out["cap"] = flag(is_["hat"] == "cap")
    out["backpack"] = flag(is_["bag"] == "backpack")
    out["has_bag"] = flag(np.isin(is_["bag"], ("shoulder bag", "handbag")))
    out["handbag"] = flag(is_["bag"] == "handbag")
    out["bag_side"] = np.where(is_["identity"] % 2 == 0, 1.0, -1.0).astype(np.float32)
    out["beard"] = flag((~is_["woman"].astype(bool)) & (np.asarray(table["scribble"]) % 4 == 0))
    return out


def _moment(rng: np.random.RandomState, camera, stride: float) -> dict:
    """One image's own circumstances."""
    walking = rng.rand() < 0.8
    bent = rng.rand(2) < 0.16
    yaw = camera.yaw + rng.normal(0, camera.yaw_spread) + (np.pi if rng.rand() < 0.25 else 0.0)
    out = {
        "yaw": float((yaw + np.pi) % (2 * np.pi) - np.pi),
        "phase": rng.uniform(0, 2 * np.pi),
        "stride": (rng.uniform(0.28, 0.52) * stride) if walking else rng.uniform(0.0, 0.08),
        "lean": rng.uniform(-0.02, 0.10),
        "arm_L": rng.uniform(1.2, 2.0) if bent[0] else rng.uniform(0.1, 0.5),
        "arm_R": rng.uniform(1.2, 2.0) if bent[1] else rng.uniform(0.1, 0.5),
        "raise_L": rng.uniform(0.0, 0.5) if bent[0] else rng.normal(0, 0.06),
        "raise_R": rng.uniform(0.0, 0.5) if bent[1] else rng.normal(0, 0.06),
        "out_L": rng.uniform(0.05, 0.22),
        "out_R": rng.uniform(0.05, 0.22),
        "distance": camera.distance * rng.uniform(0.8, 1.25),
        "offset": rng.uniform(0, 60.0),
        "margin": rng.uniform(1.0, 1.13),
        "shift_x": rng.normal(0, 0.035),
        "shift_y": rng.normal(0, 0.02),
        "squeeze": float(np.clip(rng.normal(camera.squeeze, 0.05), 0.62, 1.1)),
        "exposure": np.exp(rng.normal(0, 0.08)),
        "light": rng.uniform(0.85, 1.1),
        "in_shade": float(rng.rand() < 0.3 * camera.dapple),
        "dapple_seed": rng.uniform(0, 1),
        "motion": max(0.0, rng.normal(0.1, 0.35)),
        "pole": rng.uniform(-0.42, 0.42) if rng.rand() < 0.06 else 9.0,
        "bush": rng.uniform(-0.5, 0.5) if rng.rand() < 0.07 else 9.0,
        "box": rng.uniform(-0.5, 0.5) if rng.rand() < 0.06 else 9.0,
        "other_x": (rng.choice((-1, 1)) * rng.uniform(0.45, 0.95)) if rng.rand() < 0.22 else 9.0,
        "other_y": rng.uniform(0.5, 5.0) if rng.rand() < 0.75 else -rng.uniform(0.6, 1.2),
        "object_grey": rng.uniform(0.05, 0.9),
    }
    out |= {f"other_{k}{c}": rng.uniform(0.04, 0.9) for k in ("top", "low", "skin") for c in "rgb"}
    return out


def render_people(
    identities: int,
    images_per_camera: int = 2,
    cameras: int = 4,
    seed: int = 0,
    size: tuple[int, int] = (128, 64),
    device: str = "cpu",
    first_identity: int = 0,
    camera_pool: int | None = None,
    twin_share: float = people.TWIN_SHARE,
    batch: int = 32,
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Render `identities` people, each before `cameras` cameras, `images_per_camera` times.

    Returns images (N, h, w, 3) uint8, foreground masks (N, h, w) bool and a table with pid, cam, yaw, phase, visible
    (share of the person that nothing hides) and every attribute; N = identities x cameras x images_per_camera,
    ordered by identity. With `camera_pool` each identity meets `cameras` of that many cameras, so that a pre-
    training set can show more cameras than images. Identity numbers from `first_identity` on: sets that must not
    share people use disjoint ranges.
    """
    if identities < 1 or images_per_camera < 1 or cameras < 1:
        raise ValueError("render_people needs at least one identity, one camera and one image per camera")
    pool = camera_pool or cameras
    if pool < cameras:
        raise ValueError(f"camera_pool={pool} is smaller than cameras={cameras}")
    person_table = people.sample_identities(identities, seed, first_identity, twin_share)
    models = [camera_model(c, seed) for c in range(pool)]
    attributes = _attributes(person_table)
    rows, moments, noises = [], [], []
    for p in range(identities):
        number = first_identity + p
        chosen = (
            np.arange(cameras)
            if pool == cameras
            else np.sort(np.random.RandomState([seed, number, 5]).permutation(pool)[:cameras])
        )
        for c in chosen:
            for k in range(images_per_camera):
                stream = [seed, number, int(c), k, 7]
                rows.append((p, int(c)))
                moments.append(_moment(np.random.RandomState(stream), models[c], float(person_table["stride"].iloc[p])))
                noises.append(stream)
    owner = np.array([r[0] for r in rows])
    camera = np.array([r[1] for r in rows])
    moment = {name: np.array([m[name] for m in moments], np.float32) for name in moments[0]}
    count, (h, w) = len(rows), size
    images = np.empty((count, h, w, 3), np.uint8)
    masks = np.empty((count, h, w), bool)
    visible = np.empty(count, np.float32)
    steps = range(0, count, batch)
    if progress:
        from tqdm.auto import tqdm

        steps = tqdm(steps, desc="rendering people", unit="batch")
    with torch.inference_mode(), few_threads():
        for start in steps:
            part = slice(start, min(start + batch, count))
            a = {k: torch.from_numpy(v[owner[part]]).to(device) for k, v in attributes.items()}
            m = {k: torch.from_numpy(v[part]).to(device) for k, v in moment.items()}
            cams = _camera_values([models[c] for c in camera[part]], device)
            noise = np.stack([_sensor_noise(s, h, w) for s in noises[part]])
            picture, mask, seen = _render(a, m, cams, torch.from_numpy(noise).to(device), h, w)
            images[part] = picture.permute(0, 2, 3, 1).cpu().numpy()
            masks[part] = mask.cpu().numpy()
            visible[part] = seen.cpu().numpy()
    table = person_table.iloc[owner].reset_index(drop=True)
    table.insert(1, "cam", [models[c].name for c in camera])
    table.insert(2, "yaw", moment["yaw"])
    table.insert(3, "phase", moment["phase"])
    table.insert(4, "visible", visible)
    return images, masks, table


def _sensor_noise(stream: list[int], h: int, w: int) -> np.ndarray:
    rng = np.random.RandomState([*stream, 11])
    fine = rng.standard_normal((3, h, w)).astype(np.float32)
    return 0.6 * fine + 0.8 * fine[:1]  # mostly grey, a little colour


def _camera_values(models: list, device) -> dict[str, Tensor]:
    scalars = (
        "height",
        "distance",
        "sun_strength",
        "dapple",
        "gamma",
        "saturation",
        "contrast",
        "blur",
        "noise",
        "sharpen",
        "backdrop_at",
        "exposure",
    )
    out = {k: torch.tensor([getattr(m, k) for m in models], dtype=torch.float32, device=device) for k in scalars}
    out |= {
        k: torch.from_numpy(np.array([getattr(m, k) for m in models], np.float32)).to(device)
        for k in ("sun", "ambient", "cast")
    }
    textures = {}
    for m in models:
        if m.name not in textures:
            textures[m.name] = np.stack((m.ground, m.backdrop)).astype(np.float32)
    order = list(textures)
    stacked = torch.from_numpy(np.stack([textures[n] for n in order])).to(device)
    out["textures"] = stacked[torch.tensor([order.index(m.name) for m in models], device=device)]
    return out


def _look_at(eye: Tensor, target: Tensor) -> Tensor:
    """Camera axes (right, down, forward) as columns, (B, 3, 3)."""
    forward = F.normalize(target - eye, dim=-1)
    up = torch.tensor((0.0, 0.0, 1.0), device=eye.device).expand_as(forward)
    right = F.normalize(torch.linalg.cross(forward, up), dim=-1)
    down = torch.linalg.cross(forward, right)
    return torch.stack((right, down, forward), -1)


def _crop(eye: Tensor, target: Tensor, primitives: Primitives, m: dict, h: int, w: int) -> Camera:
    """A camera whose h x w pixels hold the person's box, with the box jitter of a detector."""
    zero = torch.zeros_like(m["margin"])
    camera = Camera(eye, _look_at(eye, target), zero, zero, zero + 1.0, zero + 1.0)
    ends = primitives.start + primitives.frame[:, :, 2] * primitives.length[..., None]
    radius = torch.maximum(primitives.r0, primitives.r1)
    row0, column0, depth = camera.project(primitives.start)
    row1, column1, _ = camera.project(ends)
    reach = radius / depth
    far = torch.where(primitives.present, 0.0, 1e3)
    top = (torch.minimum(row0, row1) - reach + far).amin(1)
    bottom = (torch.maximum(row0, row1) + reach - far).amax(1)
    left = (torch.minimum(column0, column1) - reach + far).amin(1)
    right = (torch.maximum(column0, column1) + reach - far).amax(1)
    tall = torch.maximum((bottom - top) * m["margin"], (right - left) * 0.96 * h / w / m["squeeze"])
    pixel = tall / h
    middle_row, middle_column = (top + bottom) / 2 + m["shift_y"] * tall, (left + right) / 2 + m["shift_x"] * tall
    left = middle_column - pixel * m["squeeze"] * w / 2
    return Camera(eye, camera.rotation, left, middle_row - pixel * h / 2, pixel, m["squeeze"])


def _extras(m: dict, target: Tensor, eye: Tensor, like: Primitives) -> Primitives:
    """A pole, a bush and a box between camera and person, and a passer-by; each absent at |x| = 9."""
    device = eye.device
    b = eye.shape[0]
    x = {k: m[k] for k in ("pole", "bush", "box", "other_x")}
    one = torch.ones(b, device=device)
    towards = -1.0  # the camera stands at negative y

    def capsule(px, py, z0, z1, r0, r1):
        return torch.stack((px, py, z0 * one), -1), torch.stack((px, py, z1 * one), -1), r0 * one, r1 * one

    ox, oy = x["other_x"], m["other_y"]
    list_ = [
        capsule(x["pole"], towards * one, 0.0, 3.0, 0.05, 0.05),
        capsule(x["bush"], 0.8 * towards * one, 0.0, 0.25, 0.32, 0.28),
        capsule(x["box"], 0.7 * towards * one, 0.0, 0.55, 0.16, 0.15),
        capsule(ox, oy, 1.56, 1.64, 0.085, 0.09),
        capsule(ox, oy, 0.95, 1.32, 0.15, 0.19),
        capsule(ox - 0.07, oy, 0.08, 0.85, 0.06, 0.10),
        capsule(ox + 0.08, oy + 0.1, 0.08, 0.85, 0.06, 0.10),
    ]
    names = ("pole", "bush", "box", "other_x", "other_x", "other_x", "other_x")
    start = torch.stack([c[0] for c in list_], 1)
    end = torch.stack([c[1] for c in list_], 1)
    length = (end - start).norm(dim=-1)
    z = (end - start) / length[..., None]
    side = torch.zeros_like(z)
    side[..., 0] = 1.0
    frame = torch.stack((side, torch.linalg.cross(z, side), z), 2)
    present = torch.stack([x[n].abs() < 5 for n in names], 1)
    new = Primitives(
        start,
        frame,
        length,
        torch.stack([c[2] for c in list_], 1),
        torch.stack([c[3] for c in list_], 1),
        present,
        torch.ones_like(length),
    )
    return Primitives(
        *(
            torch.cat((getattr(like, f), getattr(new, f)), 1)
            for f in ("start", "frame", "length", "r0", "r1", "present", "closed")
        )
    )


def _render(a: dict, m: dict, c: dict, noise: Tensor, h: int, w: int):
    """One batch: uint8 pictures (B, 3, h, w), masks (B, h, w), visible share (B,)."""
    b = m["yaw"].shape[0]
    device = m["yaw"].device
    s = SUPERSAMPLING
    zero = torch.zeros(b, device=device)
    body, rest = build(a, {**m, "x": zero, "y": zero})
    eye = torch.stack((zero, -m["distance"], c["height"]), -1)
    target = torch.stack((zero, zero, 0.5 * a["height"]), -1)
    camera = _crop(eye, target, body, m, h * s, w * s)
    everything = _extras(m, target, eye, body)
    distance, which = cast(everything, camera, h * s, w * s)

    # Where the sun's rays end: the same caster, looking from the sun.
    sun_eye = c["sun"] * 60.0 + target
    sun_camera = _crop(
        sun_eye,
        target,
        body,
        {"margin": zero + 1.05, "shift_x": zero, "shift_y": zero, "squeeze": zero + 1.0},
        *SHADOW_MAP,
    )
    sun_depth, _ = cast(everything, sun_camera, *SHADOW_MAP)

    rows, columns = torch.arange(h * s, device=device)[None, :, None], torch.arange(w * s, device=device)[None, None, :]
    x, y = camera.coordinates(rows, columns, (b, h * s, w * s))
    hit = (which >= 0).nonzero(as_tuple=True)
    image, part = hit[0], which[hit].long()
    rays = torch.stack(
        (x.expand(b, h * s, w * s)[hit], y.expand(b, h * s, w * s)[hit], torch.ones_like(part, dtype=torch.float32)), -1
    )
    directions = torch.einsum("mij,mj->mi", camera.rotation[image], rays)
    points = eye[image] + distance[hit][:, None] * directions
    extended = torch.cat((rest, torch.zeros(b, EXTRAS, device=device)), 1)
    surface = Hits(everything, extended, image, part, points)
    a = {**a, "moment": m["phase"]}
    colour = _extra_colours(surface, m, _person_albedo(surface, a))
    radiance = _light(colour, surface.normal, points, image, m, c, sun_camera, sun_depth)

    # The place behind, at the picture's own resolution: it is out of focus anyway.
    small_x, small_y = (v.expand(b, h * s, w * s).reshape(b, h, s, w, s).mean((2, 4)) for v in (x, y))
    plane = torch.einsum(
        "bij,bhwj->bhwi", camera.rotation, torch.stack((small_x, small_y, torch.ones_like(small_x)), -1)
    )
    behind, ground, is_ground = background(plane, eye, m["offset"], c["textures"], c["backdrop_at"])
    number = torch.arange(b, device=device)[:, None, None].expand(b, h, w)
    sunlit = _sunlit(ground.reshape(-1, 3), number.reshape(-1), sun_camera, sun_depth).view(b, h, w)
    shadow = torch.where(is_ground, 1 - 0.45 * (1 - sunlit) * (c["sun_strength"] > 0.35).float()[:, None, None], 1.0)
    behind = behind * (shadow * m["light"][:, None, None])[:, None] * c["ambient"].mean(1)[:, None, None, None] * 1.25

    canvas = torch.zeros(b, h * s, w * s, 3, device=device)
    canvas[hit] = radiance
    covered = (which >= 0).float()
    canvas = canvas.view(b, h, s, w, s, 3).mean((2, 4)).permute(0, 3, 1, 2)
    share = covered.view(b, h, s, w, s).mean((2, 4))[:, None]
    person = ((which >= 0) & (which < len(PARTS))).float().view(b, h, s, w, s).mean((2, 4))
    picture = canvas + behind * (1 - share)
    level = 0.75 * c["ambient"].mean(1) + 0.45 * c["sun_strength"] * (1 - 0.3 * c["dapple"])
    picture = sensor(
        picture, {**c, "level": level, "aim": c["exposure"], "exposure": m["exposure"], "motion": m["motion"]}, noise
    )
    return picture, person > 0.5, _visible(body, camera, person, h, w)


def _visible(body: Primitives, camera: Camera, person: Tensor, h: int, w: int) -> Tensor:
    """Share of the person's silhouette that nothing hides, measured on a quarter of the rays."""
    coarse = Camera(
        camera.centre, camera.rotation, camera.left, camera.top, camera.pixel * SUPERSAMPLING * 2, camera.squeeze
    )
    alone, _ = cast(body, coarse, h // 2, w // 2)
    whole = (alone < FAR).float().sum((1, 2)) * 4
    return (person.sum((1, 2)) / whole.clamp_min(1)).clamp(0, 1)


def _person_albedo(surface: Hits, a: dict) -> Tensor:
    """Albedo of the person's hits; extras get grey here and their own colour afterwards."""
    part = surface.part
    surface.part = part.clamp_max(len(PARTS) - 1)
    colour = albedo(surface, a)
    surface.part = part
    return colour


def _extra_colours(surface: Hits, m: dict, colour: Tensor) -> Tensor:
    extra = surface.part - len(PARTS)
    grey = m["object_grey"][surface.image]
    leaf = torch.stack((0.25 * grey + 0.05, 0.4 * grey + 0.1, 0.15 * grey + 0.03), -1)
    leaf = leaf * (1 + 0.5 * torch.sin(surface.angle * 17) * torch.sin(surface.along * 70))[:, None]
    box = torch.stack((grey, 0.8 * grey, 0.9 - 0.6 * grey), -1)
    pole = grey[:, None].expand(-1, 3)
    other = {k: torch.stack([m[f"other_{k}{c}"] for c in "rgb"], -1)[surface.image] for k in ("top", "low", "skin")}
    skin = 0.25 + 0.5 * other["skin"][:, :1] * torch.tensor((1.0, 0.78, 0.65), device=colour.device)
    for number, new in enumerate((pole, leaf, box, skin, other["top"], other["low"], other["low"])):
        colour = torch.where((extra == number)[:, None], new, colour)
    return colour


def _sunlit(points: Tensor, image: Tensor, sun_camera: Camera, sun_depth: Tensor) -> Tensor:
    """1 where the sun reaches a world point (M, 3), 0 in the shadow of something; 3 x 3 taps soften the edge."""
    local = torch.einsum("mji,mj->mi", sun_camera.rotation[image], points - sun_camera.centre[image])
    depth = local[:, 2]
    column = (local[:, 0] / depth - sun_camera.left[image]) / (sun_camera.pixel * sun_camera.squeeze)[image]
    row = (local[:, 1] / depth - sun_camera.top[image]) / sun_camera.pixel[image]
    tall, wide = SHADOW_MAP
    inside = (row >= 0) & (row < tall) & (column >= 0) & (column < wide)
    lit = torch.zeros_like(depth)
    for dr in (-0.7, 0.7):
        for dc in (-0.7, 0.7):
            r, k = (row + dr).long().clamp(0, tall - 1), (column + dc).long().clamp(0, wide - 1)
            lit = lit + (sun_depth[image, r, k] > depth - 0.06).float()
    return torch.where(inside, lit / 4, 1.0)


def _light(
    colour: Tensor,
    normal: Tensor,
    points: Tensor,
    image: Tensor,
    m: dict,
    c: dict,
    sun_camera: Camera,
    sun_depth: Tensor,
) -> Tensor:
    """Radiance (M, 3): sky from above, sun where nothing is in its way, patches of shade under trees."""
    sun = c["sun"][image]
    facing = (normal * sun).sum(-1).clamp_min(0)
    lit = _sunlit(points + 0.03 * normal, image, sun_camera, sun_depth)
    u, v, seed = points[:, 0] + points[:, 1], points[:, 2], m["dapple_seed"][image]
    leaves = torch.sin(u * 9 + 20 * seed) * torch.sin(v * 7 + 50 * seed) + 0.6 * torch.sin(u * 17 + v * 13 + 90 * seed)
    patch = torch.sigmoid((leaves + 0.2) * 6)
    lit = lit * (1 - c["dapple"][image] * (1 - patch)) * (1 - 0.85 * m["in_shade"][image])
    sky = 0.62 + 0.38 * normal[:, 2]
    crease = 0.80 + 0.20 * (points[:, 2] / 1.2).clamp(0, 1)  # less sky is seen from between the legs
    warm = torch.tensor((1.03, 1.0, 0.95), device=colour.device)
    light = c["ambient"][image] * (sky * crease)[:, None] + (c["sun_strength"][image] * facing * lit)[:, None] * warm
    return colour * light * m["light"][image][:, None]
