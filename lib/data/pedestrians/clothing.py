"""What a body's surface looks like: the colour of every hit, from the identity's attributes.

M hits of a batch of B images. Patterns live on the garment: s runs around the body in metres (0 at the front), z up the
torso or down the limb, so that a stripe stays a stripe from every side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .body import PART, PARTS
from .identities import LOGOS, PATTERNS
from .raycast import Primitives

TORSO_RADIUS = 0.13  # metres: turns the angle around the torso into an arc length, the same for everybody
_PATTERN = {name: number for number, name in enumerate(PATTERNS)}
_LOGO = {name: number for number, name in enumerate(LOGOS)}


def part_mask(*names: str, device=None) -> Tensor:
    """(K,) bool lookup: True for the named parts (an exact name, or a pair without its L/R)."""
    return torch.tensor([any(p == n or p.rsplit(" ", 1)[0] == n for n in names) for p in PARTS], device=device)


class Hits:
    """The surface points of a batch in the frames of the capsules they lie on."""

    def __init__(self, primitives: Primitives, rest: Tensor, image: Tensor, part: Tensor, points: Tensor):
        self.image, self.part = image, part
        count = primitives.length.shape[1]
        flat = image * count + part
        self.frame = primitives.frame.reshape(-1, 3, 3)[flat]  # (M, 3, 3)
        offset = points - primitives.start.reshape(-1, 3)[flat]
        local = torch.einsum("mij,mj->mi", self.frame, offset)
        self.length = primitives.length.reshape(-1)[flat]
        r0, r1 = primitives.r0.reshape(-1)[flat], primitives.r1.reshape(-1)[flat]
        x, y, z = local.unbind(-1)
        slope = (r1 - r0) / self.length
        onto = z.clamp(min=torch.zeros_like(z), max=self.length)
        inside = onto == z
        gradient = torch.stack((x, y, torch.where(inside, -slope * (r0 + slope * z), z - onto)), -1)
        normal = torch.einsum("mi,mij->mj", gradient, self.frame)
        self.normal = normal / normal.norm(dim=-1, keepdim=True).clamp_min(1e-9)
        self.angle = torch.atan2(x, y)  # 0 in front, positive to the person's right
        self.along = z
        self.share = (z / self.length).clamp(0, 1)
        self.height = rest.reshape(-1)[flat] + z  # above the hips, for the torso's parts


def _noise(u: Tensor, v: Tensor, seed: Tensor) -> Tensor:
    """A smooth pseudo-random field in [-1, 1] from three waves whose directions and phases come from `seed`."""
    total = torch.zeros_like(u)
    for octave in range(3):
        a = torch.frac(seed * (0.754877 + 0.31 * octave)) * 6.2832
        b = torch.frac(seed * (0.569840 + 0.17 * octave)) * 6.2832
        f = 1.0 + 0.9 * octave
        total = total + torch.sin(
            f * (u * a.cos() + v * a.sin()) + b + 1.7 * torch.sin(f * (v * a.cos() - u * a.sin()) + 2 * b)
        )
    return total / 3.0


def _frac_below(x: Tensor, duty: Tensor) -> Tensor:
    return (torch.frac(torch.frac(x) + 1.0) < duty).float()


def _cell(u: Tensor, v: Tensor) -> Tensor:
    """Distance to the centre of the unit cell, rows shifted by half: dots."""
    shift = 0.5 * torch.remainder(torch.floor(v), 2)
    return ((torch.frac(torch.frac(u + shift) + 1) - 0.5) ** 2 + (torch.frac(torch.frac(v) + 1) - 0.5) ** 2).sqrt()


def _pattern(kind: Tensor, s: Tensor, z: Tensor, period: Tensor, phase: Tensor, duty: Tensor, seed: Tensor) -> Tensor:
    """How much of the accent colour shows, in [0, 1]; shapes (M,)."""
    u, v = s / period, z / period + phase
    across, upright = _frac_below(v, duty), _frac_below(u + phase, duty)
    value = torch.zeros_like(s)
    value = torch.where(kind == _PATTERN["stripes"], across, value)
    value = torch.where(kind == _PATTERN["vertical stripes"], upright, value)
    value = torch.where(kind == _PATTERN["check"], 0.5 * across + 0.5 * upright, value)
    value = torch.where(kind == _PATTERN["dots"], (_cell(u, v) < 0.27).float(), value)
    value = torch.where(kind == _PATTERN["camouflage"], (_noise(s * 45, z * 45, seed) > 0.15).float(), value)
    value = torch.where(kind == _PATTERN["block"], (z < 0.22 + 0.2 * phase).float(), value)
    value = torch.where(kind == _PATTERN["yoke"], (z > 0.40).float(), value)
    return torch.where(kind == _PATTERN["gradient"], (z / 0.55).clamp(0, 1), value)


def albedo(hits: Hits, a: dict[str, Tensor]) -> Tensor:
    """Colour (M, 3) in [0, 1] of every hit; `a` holds the attributes, (B,) or (B, 3)."""
    device = hits.angle.device

    def at(name: str) -> Tensor:
        return a[name][hits.image]

    def on(*names: str) -> Tensor:
        return part_mask(*names, device=device)[hits.part]

    def paint(colour: Tensor, where: Tensor, new: Tensor) -> Tensor:
        return torch.where(where[:, None], new, colour)

    front = hits.angle.abs()
    torso = on("chest", "belly", "pelvis", "hem")
    arms = on("upper arm", "forearm")
    shoulders = on("shoulders")
    z = torch.where(torso, hits.height, torch.where(shoulders, 0.53 + 0 * front, 0.5 - hits.along))
    s = hits.angle * torch.where(torso | shoulders, TORSO_RADIUS, 0.05)
    skin, upper = at("skin"), at("upper_colour")
    seed = at("scribble").float() * 0.0137

    # Upper garment with its pattern; a yoke colours the sleeves as well.
    weight = _pattern(at("pattern"), s, z, at("pattern_period"), at("pattern_phase"), at("pattern_duty"), seed)
    weight = torch.where(arms & (at("pattern") == _PATTERN["yoke"]), torch.ones_like(weight), weight)
    weight = torch.where(arms & (at("pattern") == _PATTERN["block"]), torch.zeros_like(weight), weight)
    garment = upper * (1 - weight[:, None]) + at("accent") * weight[:, None]
    # Logo or print on the chest.
    size = at("logo_size")
    du, dv = s - at("logo_x"), z - (0.36 + at("logo_z"))
    kind = at("logo")
    box = (du.abs() < size) & (dv.abs() < size * 0.5)
    logo = (kind == _LOGO["disc"]) & (du * du + dv * dv < size * size * 0.45)
    logo |= (kind == _LOGO["bar"]) & (du.abs() < 0.16) & (dv.abs() < size * 0.4)
    logo |= (kind == _LOGO["letters"]) & box & (_noise(du * 160, dv * 90, seed + 3) > 0.0)
    logo |= (
        (kind == _LOGO["print"])
        & (du.abs() < size * 1.3)
        & (dv.abs() < size * 1.3)
        & (_noise(du * 60, dv * 60, seed + 5) > -0.1)
    )
    garment = paint(garment, logo & torso, at("logo_colour"))
    buttons = (at("buttons") > 0) & torso & (s.abs() < 0.008) & (torch.frac(z / 0.09 + 1) < 0.3)
    garment = paint(garment, buttons | ((at("zip") > 0) & torso & (s.abs() < 0.010)), 0.75 - 0.5 * garment)
    # What an open jacket shows.
    opening = (at("is_jacket") > 0) & torso & (front < at("open_width") * (1.25 - 0.6 * (z - 0.1).clamp(0, 0.5)))
    garment = paint(garment, opening, at("inner_colour"))
    neckline = on("chest") & (front < 0.35) & (z > 0.42 - 0.10 * at("deep_neck")) & (at("hooded") == 0)
    garment = paint(garment, neckline & (at("collar") == 0), skin)
    garment = paint(garment, neckline & (at("collar") > 0), at("accent"))
    cuff = arms & (at("cuffs") > 0) & (at("sleeve") - _limb(hits, on("forearm")) < 0.14)
    garment = paint(garment, cuff, at("accent"))

    # Lower garment.
    lower = at("lower_colour")
    leg = _limb(hits, on("shin"))
    period = at("lower_period")
    low_kind = at("lower_pattern")
    around = hits.angle * 0.07
    check = 0.5 * _frac_below(hits.along / period, torch.full_like(s, 0.4)) + 0.5 * _frac_below(
        around / period, torch.full_like(s, 0.4)
    )
    mix = torch.where(low_kind == 1, check, torch.zeros_like(s))
    mix = torch.where(low_kind == 2, (_noise(around * 60, hits.along * 50, seed + 9) > 0.1).float(), mix)
    mix = torch.where(low_kind == 3, _frac_below(around / (period * 0.5), torch.full_like(s, 0.3)), mix)
    mix = torch.where(low_kind == 4, (1 - front).clamp(0, 1) * torch.exp(-((leg - 0.7) ** 2) * 4), mix)
    shade = torch.where(lower.mean(-1, keepdim=True) > 0.4, lower * 0.55, lower * 0.6 + 0.3)
    legwear = lower * (1 - 0.7 * mix[:, None]) + shade * 0.7 * mix[:, None]
    stripe = (at("side_stripe") > 0) & ((front - 1.57).abs() < 0.3)
    legwear = paint(legwear, stripe & on("thigh", "shin"), 0.9 - 0.7 * lower)

    colour = skin.clone()
    dress = at("is_dress") > 0
    over = on("chest", "belly") | (on("hem") & ((at("skirt") == 0) | dress)) | (on("pelvis") & dress)
    colour = paint(colour, over, garment)
    bare = (at("sleeve") <= 0.05) & (hits.share - 0.5).abs().gt(0.24)
    colour = paint(colour, shoulders & ~bare, garment)
    colour = paint(colour, arms & (_limb(hits, on("forearm")) < at("sleeve")), garment)
    colour = paint(colour, on("pelvis") & ~dress, legwear)
    colour = paint(colour, on("hem") & (at("skirt") > 0) & ~dress, legwear)
    covered = torch.where(at("skirt") > 0, torch.full_like(leg, 0.05), at("lower_length"))
    colour = paint(colour, on("thigh", "shin") & (leg < covered), legwear)
    belt = on("pelvis", "belly") & ((z - 0.075).abs() < 0.022) & (at("belt") > 0)
    colour = paint(colour, belt, 0.12 + 0.0 * colour)
    colour = paint(colour, on("hood"), garment)
    nape = torch.where(at("collar") + at("hooded") > 0, 0.62, 0.36)
    colour = paint(colour, on("neck") & (hits.share < nape) & ~((front < 0.6) & (hits.share > 0.15)), garment)

    # Feet.
    shoe = paint(at("shoes"), (at("soles") > 0) & (hits.normal[:, 2] < -0.15), torch.full_like(colour, 0.92))
    shoe = paint(shoe, (at("laces") > 0) & (hits.normal[:, 2] > 0.5) & (hits.share > 0.35), 1.0 - at("shoes"))
    shoe = paint(shoe, (at("sandals") > 0) & (torch.frac(hits.share * 3) < 0.55), skin)
    colour = paint(colour, on("foot"), shoe)

    # Head: hair line, eyes, glasses, beard.
    head = on("head")
    hair = at("hair")
    colour = paint(
        colour,
        on("hair", "long hair", "bun"),
        hair * (0.85 + 0.3 * _noise(hits.angle * 9, hits.along * 90, seed)[:, None].clamp(-0.5, 0.5)),
    )
    high = hits.along
    colour = paint(colour, head & (at("has_hair") > 0) & ((front > 1.45) | (high > 0.085)), hair)
    eyes = head & (front < 0.75) & ((high - 0.040).abs() < 0.010)
    colour = paint(
        colour,
        eyes & ((front > 0.2) | (at("glasses") > 0)),
        torch.where(at("glasses")[:, None] > 0, 0.06 + 0 * colour, skin * 0.55),
    )
    colour = paint(colour, head & (at("beard") > 0) & (front < 1.3) & (high < 0.005), hair * 0.7 + skin * 0.3)
    colour = paint(
        colour,
        head & (front < 0.3) & ((high + 0.012).abs() < 0.006),
        skin * torch.tensor((0.85, 0.55, 0.55), device=device),
    )
    colour = paint(colour, on("hat", "brim"), at("hat_colour"))

    # Bags and their straps.
    bag = at("bag_colour")
    pocket = (hits.along < 0.05) & (front > 2.2)
    colour = paint(colour, on("backpack", "bag"), torch.where(pocket[:, None], bag * 0.7 + 0.1, bag))
    straps = (at("backpack") > 0) & (((s.abs() - 0.085).abs() < 0.018) & on("chest") & (front < 1.6))
    straps |= (at("backpack") > 0) & shoulders & (((hits.share - 0.5).abs() - 0.3).abs() < 0.1)
    sling = (
        (at("handbag") == 0)
        & (at("has_bag") > 0)
        & on("chest", "belly")
        & ((s * at("bag_side") * torch.where(front < 1.57, 1.0, -1.0) + 0.55 * (z - 0.3)).abs() < 0.02)
    )
    colour = paint(colour, straps | sling, bag * 0.8)

    # Folds: cloth is never even.
    wrinkle = _noise(s * 28 + 3 * at("moment"), z * 14 + 2 * at("moment"), seed + at("moment"))
    cloth = ~(on("head", "hand", "hair", "neck"))
    return colour * (1 + torch.where(cloth, 0.13 * wrinkle, 0.03 * wrinkle))[:, None]


def _limb(hits: Hits, second: Tensor) -> Tensor:
    """Where along the whole limb: 0..1 on its first bone, 1..2 on its second."""
    return hits.share + second.float()


OTHERS = len(PARTS)  # primitives from this number on are not part of the person
assert PART["head"] == 0
