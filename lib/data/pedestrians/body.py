"""From attributes and a moment of the gait to capsules in the world.

The body stands on z = 0; x is its right, y its front, z up, metres. The gait is a sinusoid of the hips with opposed
arms; how high the hips are follows from the pose (the lower foot touches the ground).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .raycast import Primitives

PARTS = (
    "head", "hair", "long hair", "hat", "brim", "neck", "shoulders", "chest", "belly", "pelvis",
    "upper arm L", "upper arm R", "forearm L", "forearm R", "hand L", "hand R",
    "thigh L", "thigh R", "shin L", "shin R", "foot L", "foot R",
    "hem", "backpack", "bag", "bun", "hood",
)  # fmt: skip
PART = {name: number for number, name in enumerate(PARTS)}


def _rotate(angle: Tensor, vector: Tensor) -> Tensor:
    """Swing (B, 3) vectors about the x axis: positive brings a hanging limb forward."""
    c, s = angle.cos(), angle.sin()
    x, y, z = vector.unbind(-1)
    return torch.stack((x, c * y - s * z, s * y + c * z), -1)


def _point(x, y, z) -> Tensor:
    return torch.stack(torch.broadcast_tensors(x, y, z), -1)


def build(a: dict[str, Tensor], pose: dict[str, Tensor]) -> tuple[Primitives, Tensor]:
    """Capsules of B bodies.

    `a`: attributes as (B,) tensors (colours are not used here); `pose`: phase, stride, yaw, lean, arm_L, arm_R (bend of
    each elbow, radians), raise_L, raise_R, x, y (place on the ground, metres). Returns the primitives (B, K) and
    the height of each capsule's start above the torso's origin (B, K), which patterns use to run on from belly to
    chest.
    """
    h = a["height"]
    zero = torch.zeros_like(h)
    build_ = a["build"]
    fat = build_.sqrt()
    cloth = 1.0 + 0.10 * a["loose"]
    coat = a["is_jacket"]
    parts: dict[str, tuple] = {}

    def add(name, start, end, r0, r1, aspect=None, present=None, side=None):
        parts[name] = (start, end, r0 + zero, r1 + zero, zero + 1.0 if aspect is None else aspect + zero, present, side)

    swing = pose["stride"] * pose["phase"].sin()
    lift = pose["phase"].cos() * pose["stride"]
    hip_z = 0.50 * h
    hip_w = 0.052 * h * a["hips"] * fat
    thigh_l, shin_l = 0.235 * h, 0.235 * h
    trousers = 1.0 + 0.16 * a["loose"] * a["is_trousers"] + 0.05
    legs, drop = [], []
    for sign, name in ((-1.0, "L"), (1.0, "R")):
        hip = _point(sign * hip_w, zero, hip_z)
        theta = -sign * swing
        bend = 0.06 + 1.1 * (-sign * lift).clamp_min(0)
        down = _point(sign * 0.03 * h / h, zero, -torch.ones_like(h))
        thigh = _rotate(theta, down)
        shin = _rotate(theta - bend, down)
        knee = hip + thigh * thigh_l[:, None]
        ankle = knee + shin * shin_l[:, None]
        toe_dir = _rotate(
            (theta - bend) * 0.6, _point(sign * 0.18 * torch.ones_like(h), torch.ones_like(h), -0.12 + zero)
        )
        legs.append((name, sign, hip, knee, ankle, toe_dir))
        drop.append(ankle[:, 2])
    ground = torch.minimum(drop[0], drop[1]) - 0.035 * h  # what the lower foot must come down by
    shift = _point(zero, zero, -ground)
    for name, _sign, hip, knee, ankle, toe_dir in legs:
        hip, knee, ankle = hip + shift, knee + shift, ankle + shift
        add(f"thigh {name}", hip, knee, 0.050 * h * fat * trousers * a["hips"], 0.034 * h * fat * trousers)
        add(
            f"shin {name}",
            knee,
            ankle,
            0.033 * h * fat * trousers,
            0.021 * h * trousers * (1 + 0.25 * a["is_trousers"]),
        )
        heel = ankle - _point(zero, 0.012 * h, 0.010 * h)
        add(f"foot {name}", heel, heel + toe_dir * (0.085 * h)[:, None], 0.022 * h, 0.018 * h)
    bob = -ground
    lean = pose["lean"]

    def torso(x, y, z):  # leaning forward about the hips
        return _rotate(-lean, _point(x + zero, y + zero, z - hip_z)) + _point(zero, zero, hip_z + bob)

    # The torso: elliptic sections, wider than deep; a belly grows forward.
    deep = 0.62 + 0.10 * (build_ - 1).clamp(-0.3, 0.6)
    chest_r = 0.088 * h * a["shoulders"] * fat * cloth * (1 + 0.05 * coat)
    waist_r = 0.075 * h * build_ * cloth * (1 + 0.05 * coat)
    pelvis_r = 0.083 * h * a["hips"] * fat
    slouch = a["slouch"]
    add("pelvis", torso(zero, zero, 0.485 * h), torso(zero, zero, 0.54 * h), pelvis_r, pelvis_r * 0.97, deep + 0.08)
    add(
        "belly",
        torso(zero, 0.01 * h * (build_ - 0.8), 0.55 * h),
        torso(zero, 0.006 * h * build_, 0.66 * h),
        waist_r * 1.05,
        waist_r,
        deep + 0.14 * (build_ - 1).clamp_min(0),
    )
    add(
        "chest",
        torso(zero, zero, 0.64 * h),
        torso(zero, -0.01 * h + 0.1 * slouch, 0.745 * h),
        waist_r * 1.02,
        chest_r,
        deep,
    )
    shoulder_w = 0.090 * h * a["shoulders"] * fat.clamp(0.9, 1.15)
    shoulder_z = 0.795 * h
    left = torso(-shoulder_w, 0.15 * slouch, shoulder_z)
    right = torso(shoulder_w, 0.15 * slouch, shoulder_z)
    # Start and end of the shoulder girdle run across: its own side vector is the front.
    add("shoulders", left, right, 0.033 * h * cloth, 0.033 * h * cloth, side=_point(zero, zero + 1.0, zero))
    add(
        "neck",
        torso(zero, 0.1 * slouch, 0.80 * h),
        torso(zero, 0.01 * h + 0.3 * slouch, 0.875 * h),
        0.058 * h,
        0.028 * h,
        0.8,
    )
    head_y = 0.012 * h + 0.5 * slouch
    head0, head1 = torso(zero, head_y, 0.905 * h), torso(zero, head_y - 0.004 * h, 0.945 * h)
    add("head", head0, head1, 0.040 * h, 0.047 * h, 1.16)
    tuck = 0.006 * h
    puff = 1.0 + 0.35 * a["curly"]
    add(
        "hair",
        torso(zero, head_y - 2.6 * tuck, 0.925 * h),
        torso(zero, head_y - 1.9 * tuck, 0.953 * h),
        0.043 * h * puff,
        0.049 * h * puff,
        1.12,
        a["has_hair"],
    )
    long_end = (0.86 - 0.14 * a["hair_length"]) * h
    add(
        "long hair",
        torso(zero, head_y - 5.5 * tuck, 0.935 * h),
        torso(zero, head_y - 7.5 * tuck, long_end),
        0.044 * h,
        (0.032 + 0.02 * a["hair_length"] * a["long"]) * h * (1 - 0.55 * a["ponytail"]),
        0.62,
        a["long"] + a["ponytail"] > 0,
    )
    add(
        "bun",
        torso(zero, head_y - 10 * tuck, 0.955 * h),
        torso(zero, head_y - 10.5 * tuck, 0.96 * h),
        0.024 * h,
        0.024 * h,
        1.0,
        a["bun"] > 0,
    )
    add(
        "hat",
        torso(zero, head_y - 0.8 * tuck, 0.948 * h),
        torso(zero, head_y - 0.8 * tuck, 0.966 * h),
        0.052 * h,
        0.045 * h,
        1.14,
        a["has_hat"] > 0,
    )
    add(
        "brim",
        torso(zero, head_y + 4 * tuck, 0.950 * h),
        torso(zero, head_y + (7 + 5 * a["cap"]) * tuck, 0.948 * h),
        0.040 * h * (1 + 0.6 * (1 - a["cap"])),
        0.030 * h,
        0.22,
        a["has_brim"] > 0,
        side=_point(zero + 1.0, zero, zero),
    )
    add(
        "hood",
        torso(zero, -0.045 * h, 0.83 * h),
        torso(zero, -0.055 * h, 0.80 * h),
        0.045 * h,
        0.04 * h,
        0.6,
        a["hood"] > 0,
    )
    sleeve = 1.0 + 0.18 * (a["sleeve"] > 0.2) + 0.15 * a["loose"] * (a["sleeve"] > 0.2) + 0.12 * coat
    for sign, name in ((-1.0, "L"), (1.0, "R")):
        shoulder = torso(sign * shoulder_w * 1.03, 0.15 * slouch, shoulder_z - 0.006 * h)
        theta = sign * swing * 0.8 + pose[f"raise_{name}"] - 0.05
        out = pose[f"out_{name}"]
        down = _point(sign * out, zero, -torch.ones_like(h))
        down = down / down.norm(dim=-1, keepdim=True)
        upper = _rotate(theta, down)
        inwards = _point(-sign * (pose[f"arm_{name}"] - 0.5).clamp_min(0) * 0.45, zero, zero)
        fore = _rotate(theta + pose[f"arm_{name}"], down) + inwards
        fore = fore / fore.norm(dim=-1, keepdim=True)
        elbow = shoulder + upper * (0.165 * h)[:, None]
        wrist = elbow + fore * (0.145 * h)[:, None]
        thick = build_.sqrt() * sleeve
        add(f"upper arm {name}", shoulder, elbow, 0.034 * h * thick, 0.025 * h * thick)
        add(
            f"forearm {name}",
            elbow,
            wrist,
            0.025 * h * (1 + (sleeve - 1) * (a["sleeve"] > 1.2)) * fat,
            0.0165 * h * (1 + 0.3 * (a["sleeve"] > 1.7)),
        )
        add(
            f"hand {name}",
            wrist + fore * (0.012 * h)[:, None],
            wrist + fore * (0.05 * h)[:, None],
            0.017 * h,
            0.015 * h,
            0.7,
        )
    # A hem that hangs from the waist: skirt, dress, coat or a long shirt.
    hem_z = torch.where(a["skirt"] > 0, (0.50 - 0.16 * a["lower_length"]) * h, (0.52 - 0.075 * a["upper_length"]) * h)
    flare = (
        torch.where(a["skirt"] > 0, 1.12 + 0.25 * a["loose"], torch.full_like(h, 1.06))
        + 0.35 * swing.abs() * a["skirt"]
    )
    add(
        "hem",
        torso(zero, zero, 0.565 * h),
        torso(zero, zero, hem_z),
        pelvis_r * 1.03 * cloth,
        pelvis_r * flare * cloth,
        deep + 0.12,
        a["hem"] > 0,
    )
    bag = a["bag_size"]
    add(
        "backpack",
        torso(zero, -0.10 * h * (0.85 + 0.15 * build_), 0.615 * h),
        torso(zero, -0.095 * h * (0.85 + 0.15 * build_), 0.745 * h),
        0.066 * h * bag,
        0.060 * h * bag,
        0.62,
        a["backpack"] > 0,
    )
    side = a["bag_side"]
    low = a["handbag"]
    bag_x = side * (hip_w + 0.055 * h + 0.05 * h * low)
    bag_z = (0.52 - 0.13 * low) * h
    add(
        "bag",
        torso(bag_x, -0.02 * h, bag_z),
        torso(bag_x, -0.02 * h, bag_z + 0.075 * h * bag),
        0.062 * h * bag,
        0.052 * h * bag,
        0.9,
        a["has_bag"] > 0,
        side=_point(zero, zero + 1.0, zero),
    )

    start = torch.stack([parts[p][0] for p in PARTS], 1)  # (B, K, 3)
    end = torch.stack([parts[p][1] for p in PARTS], 1)
    r0 = torch.stack([parts[p][2] for p in PARTS], 1)
    r1 = torch.stack([parts[p][3] for p in PARTS], 1)
    aspect = torch.stack([parts[p][4] for p in PARTS], 1)
    yes = torch.ones_like(h, dtype=torch.bool)
    present = torch.stack([yes if parts[p][5] is None else parts[p][5].bool() for p in PARTS], 1)
    right_hand = _point(zero + 1.0, zero, zero)
    side = torch.stack([right_hand if parts[p][6] is None else parts[p][6] for p in PARTS], 1)
    rest = start[..., 2] - hip_z[:, None] - bob[:, None]
    return _to_world(start, end, r0, r1, aspect, side, present, pose), rest


def _to_world(start, end, r0, r1, aspect, side, present, pose) -> Primitives:
    turn = pose["yaw"] + torch.pi  # yaw 0 looks at a camera that stands on the negative y axis
    c, s = turn.cos(), turn.sin()
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    rotation = torch.stack(
        (torch.stack((c, -s, zero), -1), torch.stack((s, c, zero), -1), torch.stack((zero, zero, one), -1)), 1
    )
    place = torch.stack((pose["x"], pose["y"], zero), -1)

    def turned(v):
        return torch.einsum("bij,bkj->bki", rotation, v)

    start, end, side = turned(start) + place[:, None], turned(end) + place[:, None], turned(side)
    axis = end - start
    length = axis.norm(dim=-1).clamp_min(1e-4)
    z = axis / length[..., None]
    x = side - (side * z).sum(-1, keepdim=True) * z
    x = x / x.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    y = torch.linalg.cross(z, x)
    frame = torch.stack((x, y / aspect[..., None], z), 2)  # (B, K, 3, 3)
    closed = torch.ones_like(length)
    closed[:, PART["hem"]] = 0.0
    return Primitives(start, frame, length, r0, r1, present, closed)
