"""Who the rendered people are: one row of attributes per identity.

Colours follow what people wear (mostly black, white, grey, navy, blue, brown, some saturated ones). A share of the
identities (`twin_share`) comes in pairs that agree in every coarse attribute - body, hair, garment types, colours - and
differ only in the fine ones: the pattern, its period, its accent colour, logo, zip, trouser stripe, laces. A camera
that sees such a pair at a quarter of the resolution cannot tell them apart by colour.
"""

from __future__ import annotations

import colorsys

import numpy as np
import pandas as pd

TWIN_SHARE = 0.4  # share of identities that have a partner of the same coarse look

UPPER_TYPES = ("t-shirt", "tank top", "shirt", "sweater", "hoodie", "open jacket", "coat", "dress")
LOWER_TYPES = ("trousers", "jeans", "shorts", "skirt", "leggings")
PATTERNS = ("plain", "stripes", "vertical stripes", "check", "dots", "camouflage", "block", "yoke", "gradient")
HAIR_SHAPES = ("short", "long", "bald", "bun", "ponytail", "curly")
BAGS = ("none", "backpack", "shoulder bag", "handbag")
HATS = ("none", "cap", "beanie", "brim")
LOGOS = ("none", "disc", "bar", "letters", "print")

FINE = (  # what tells twins apart
    "pattern", "pattern_period", "pattern_phase", "pattern_duty", "accent", "logo", "logo_x", "logo_z", "logo_size",
    "logo_colour", "zip", "buttons", "collar", "cuffs", "side_stripe", "lower_pattern", "lower_period", "belt", "laces",
    "soles", "glasses", "scribble",
)  # fmt: skip

_NEUTRALS = ((0.06, 0.06, 0.07), (0.93, 0.93, 0.92), (0.35, 0.35, 0.36), (0.6, 0.6, 0.6), (0.10, 0.13, 0.25))
_SKIN = (
    (0.94, 0.78, 0.68),
    (0.87, 0.68, 0.55),
    (0.76, 0.57, 0.43),
    (0.60, 0.42, 0.30),
    (0.40, 0.27, 0.19),
    (0.26, 0.18, 0.13),
)
_HAIR = (
    (0.05, 0.04, 0.04),
    (0.16, 0.10, 0.07),
    (0.30, 0.19, 0.11),
    (0.50, 0.34, 0.18),
    (0.78, 0.62, 0.38),
    (0.60, 0.58, 0.56),
    (0.45, 0.17, 0.09),
)
_LOWER = (
    (0.06, 0.06, 0.08),
    (0.12, 0.15, 0.27),
    (0.22, 0.30, 0.45),
    (0.40, 0.50, 0.62),
    (0.28, 0.26, 0.24),
    (0.55, 0.48, 0.37),
    (0.70, 0.64, 0.52),
    (0.85, 0.84, 0.80),
    (0.34, 0.33, 0.22),
    (0.30, 0.18, 0.13),
)


def _jitter(rng: np.random.RandomState, colour, amount: float) -> tuple[float, float, float]:
    shade = rng.uniform(-amount, amount)
    return tuple(float(np.clip(c + shade + rng.uniform(-amount, amount) * 0.5, 0.02, 0.97)) for c in colour)


def _garment_colour(rng: np.random.RandomState) -> tuple[float, float, float]:
    if rng.rand() < 0.58:
        return _jitter(rng, _NEUTRALS[rng.choice(5, p=(0.33, 0.28, 0.13, 0.12, 0.14))], 0.06)
    hue = rng.choice((0.0, 0.03, 0.08, 0.14, 0.30, 0.38, 0.5, 0.57, 0.62, 0.75, 0.88)) + rng.uniform(-0.03, 0.03)
    saturation = 0.12 + 0.8 * rng.beta(1.6, 1.8)  # cloth is seldom pure
    return colorsys.hsv_to_rgb(hue % 1.0, saturation, rng.uniform(0.2, 0.9))


def _contrasting(rng: np.random.RandomState, base) -> tuple[float, float, float]:
    """A second colour at least 0.25 away from `base` in some channel."""
    for _ in range(50):
        colour = _garment_colour(rng)
        if max(abs(a - b) for a, b in zip(colour, base, strict=True)) > 0.25:
            return colour
    return tuple(1.0 - b for b in base)


_UPPER_SHARES = {  # of UPPER_TYPES
    True: (0.27, 0.08, 0.15, 0.13, 0.10, 0.15, 0.06, 0.06),
    False: (0.32, 0.04, 0.18, 0.13, 0.12, 0.15, 0.06, 0.00),
}
_LOWER_SHARES = {True: (0.27, 0.30, 0.15, 0.16, 0.12), False: (0.36, 0.36, 0.28, 0.0, 0.0)}
_HAIR_SHARES = {True: (0.15, 0.47, 0.0, 0.10, 0.18, 0.10), False: (0.74, 0.06, 0.10, 0.01, 0.02, 0.07)}
_SHOES = ((0.08, 0.07, 0.07), (0.9, 0.9, 0.9), (0.3, 0.2, 0.14), (0.55, 0.5, 0.45))


def _coarse(rng: np.random.RandomState) -> dict:
    """What a camera can see from afar."""
    woman = bool(rng.rand() < 0.45)
    upper = rng.choice(UPPER_TYPES, p=_UPPER_SHARES[woman])
    lower = rng.choice(LOWER_TYPES, p=_LOWER_SHARES[woman])
    sleeve = {"t-shirt": rng.uniform(0.35, 0.9), "tank top": 0.0, "dress": rng.choice((0.0, 0.6, 2.0))}.get(upper)
    if sleeve is None:
        sleeve = 2.0 if rng.rand() < 0.75 or upper in ("coat", "hoodie") else rng.uniform(0.6, 1.4)
    lower_length = {"shorts": rng.uniform(0.75, 1.2), "skirt": rng.uniform(0.6, 1.6)}.get(lower, 2.0)
    usual_trousers = _jitter(rng, _LOWER[rng.choice(len(_LOWER))], 0.04)
    usual_shoes = _jitter(rng, _SHOES[rng.choice(4, p=(0.45, 0.3, 0.17, 0.08))], 0.05)
    hat = rng.choice(HATS, p=(0.84, 0.10, 0.04, 0.02))
    return {
        "woman": woman,
        "height": float(np.clip(rng.normal(1.66 if woman else 1.77, 0.07), 1.5, 2.0)),
        "build": float(np.clip(rng.lognormal(0.0, 0.17), 0.75, 1.65)),
        "shoulders": float(np.clip(rng.normal(0.93 if woman else 1.05, 0.06), 0.8, 1.2)),
        "hips": float(np.clip(rng.normal(1.08 if woman else 0.95, 0.07), 0.8, 1.3)),
        "skin": _jitter(rng, _SKIN[rng.choice(6, p=(0.3, 0.27, 0.17, 0.12, 0.09, 0.05))], 0.03),
        "hair_shape": rng.choice(HAIR_SHAPES, p=_HAIR_SHARES[woman]),
        "hair": _jitter(rng, _HAIR[rng.choice(7, p=(0.28, 0.24, 0.18, 0.10, 0.09, 0.07, 0.04))], 0.03),
        "hair_length": float(rng.uniform(0.4, 1.0)),
        "upper": upper,
        "sleeve": float(sleeve),  # 0 bare shoulder .. 1 elbow .. 2 wrist
        "upper_length": float(rng.uniform(0.0, 1.0)) if upper != "coat" else float(rng.uniform(1.2, 2.0)),
        "upper_colour": _garment_colour(rng),
        "inner_colour": _garment_colour(rng),
        "open_width": float(rng.uniform(0.25, 0.7)),
        "loose": float(rng.uniform(0.0, 1.0)),
        "lower": lower,
        "lower_length": float(lower_length),
        "lower_colour": _garment_colour(rng) if rng.rand() < 0.18 else usual_trousers,
        "shoes": usual_shoes if rng.rand() < 0.88 else _garment_colour(rng),
        "sandals": bool(rng.rand() < 0.12),
        "bag": rng.choice(BAGS, p=(0.5, 0.28, 0.12, 0.10)),
        "bag_colour": _garment_colour(rng) if rng.rand() < 0.6 else (0.08, 0.08, 0.09),
        "bag_size": float(rng.uniform(0.8, 1.25)),
        "hat": hat,
        "hat_colour": _garment_colour(rng),
        "slouch": float(rng.uniform(0.0, 0.12)),
        "stride": float(rng.uniform(0.75, 1.2)),
    }


def _fine(rng: np.random.RandomState, coarse: dict) -> dict:
    pattern = rng.choice(PATTERNS, p=(0.42, 0.13, 0.06, 0.10, 0.06, 0.05, 0.08, 0.06, 0.04))
    return {
        "pattern": pattern,
        "pattern_period": float(rng.uniform(0.05, 0.13)),  # metres
        "pattern_phase": float(rng.uniform(0.0, 1.0)),
        "pattern_duty": float(rng.uniform(0.25, 0.55)),
        "accent": _contrasting(rng, coarse["upper_colour"]),
        "logo": rng.choice(LOGOS, p=(0.55, 0.10, 0.10, 0.10, 0.15)),
        "logo_x": float(rng.choice((-0.07, 0.0, 0.0, 0.07))),
        "logo_z": float(rng.uniform(-0.04, 0.06)),
        "logo_size": float(rng.uniform(0.035, 0.09)),
        "logo_colour": _contrasting(rng, coarse["upper_colour"]),
        "zip": bool(rng.rand() < (0.5 if coarse["upper"] in ("hoodie", "coat") else 0.05)),
        "buttons": bool(coarse["upper"] == "shirt" and rng.rand() < 0.6),
        "collar": bool(rng.rand() < 0.3),
        "cuffs": bool(rng.rand() < 0.25),
        "side_stripe": bool(rng.rand() < 0.14),
        "lower_pattern": rng.choice(
            ("plain", "check", "camouflage", "stripes", "fade"), p=(0.7, 0.07, 0.05, 0.05, 0.13)
        ),
        "lower_period": float(rng.uniform(0.05, 0.12)),
        "belt": bool(rng.rand() < 0.3),
        "laces": bool(rng.rand() < 0.4),
        "soles": bool(rng.rand() < 0.45),
        "glasses": bool(rng.rand() < 0.2),
        "scribble": int(rng.randint(1 << 16)),  # seeds the print, the camouflage and the letters
    }


def sample_identities(count: int, seed: int, first: int = 0, twin_share: float = TWIN_SHARE) -> pd.DataFrame:
    """Attributes of the identities `first .. first + count - 1` of the population `seed`.

    Identity i is the same whichever range it is drawn in: its random stream is seeded by (seed, i), and a twin
    takes the coarse attributes of the even identity before it.
    """
    rows = []
    for i in range(first, first + count):
        pair = np.random.RandomState([seed, i // 2, 1])
        leader = np.random.RandomState([seed, i - i % 2, 2])
        own = np.random.RandomState([seed, i, 2])
        twin = bool(pair.rand() < twin_share)
        coarse = _coarse(leader if twin else own)
        fine = _fine(np.random.RandomState([seed, i, 3]), coarse)
        rows.append({"pid": f"p{i:05d}", "identity": i, "twin": f"p{i ^ 1:05d}" if twin else "", **coarse, **fine})
    return pd.DataFrame(rows)
