"""The embedded people: rendered, not read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lib.data.store import Item, Source

PEOPLE_AT_ONCE = 40
PRETRAIN_FROM = 1_000_000  # identity numbers from here on are in no split of the embedded set


def pedestrians(
    root: Path | None = None,
    *,
    identities: int = 300,
    cameras: int = 4,
    images_per_camera: int = 2,
    seed: int = 0,
    size: tuple[int, int] = (128, 64),
    device: str = "cpu",
) -> Source:
    """The embedded set: 300 people x 4 cameras x 2 images = 2,400 images of 128 x 64 pixels (h x w), with masks and
    attributes."""
    options = {
        "identities": identities,
        "cameras": cameras,
        "images_per_camera": images_per_camera,
        "seed": seed,
        "size": list(size),
    }
    return rendered("pedestrians", options, device)


def pedestrians_pretrain(
    root: Path | None = None,
    *,
    identities: int = 1200,
    images: int = 8,
    cameras: int | None = None,
    camera_pool: int = 60,
    twin_share: float = 0.1,
    seed: int = 1,  # other people and other cameras than the embedded set's
    size: tuple[int, int] = (128, 64),
    device: str = "cpu",
) -> Source:
    """Other people for pre-training: ``images`` of each, over ``cameras`` (4, or as many as images) of ``camera_pool``."""
    cameras = cameras or min(4, images)
    if images % cameras:
        raise ValueError(f"images={images} must be a multiple of cameras={cameras}")
    options = {
        "identities": identities,
        "cameras": cameras,
        "images_per_camera": images // cameras,
        "seed": seed,
        "size": list(size),
    }
    options |= {"camera_pool": camera_pool, "twin_share": twin_share, "first_identity": PRETRAIN_FROM}
    return rendered("pedestrians-pretrain", options, device)


def rendered(name: str, options: dict[str, Any], device: str) -> Source:
    from lib.data import pedestrians as renderer  # only those who render pay for importing it

    total = options["identities"] * options["cameras"] * options["images_per_camera"]
    start = options.get("first_identity", 0)

    def items() -> Iterator[Item]:
        for first in range(start, start + options["identities"], PEOPLE_AT_ONCE):
            some = min(PEOPLE_AT_ONCE, start + options["identities"] - first)
            chosen = options | {"identities": some, "first_identity": first, "size": tuple(options["size"])}
            images, masks, table = renderer.render_people(**chosen, device=device)
            # The dataset's height is a picture's, in pixels.
            table = table.rename(columns={"height": "body_height", "width": "body_width"})
            for record, image, mask in zip(table.to_dict("records"), images, masks, strict=True):
                yield Item(record | {"pid": str(record["pid"]), "cam": str(record["cam"]), "file": ""}, image, mask)

    identity = {"renderer": renderer.VERSION, "options": options}
    # The fingerprint trusts the version; the cache does not, so that nobody who works on the renderer sees yesterday's
    # pictures.
    return Source(
        name, identity | {"code": code_digest(Path(renderer.__file__).parent)}, items, total, identity=identity
    )


def code_digest(package: Path) -> str:
    hasher = hashlib.sha256()
    for file in sorted(package.glob("*.py")):
        hasher.update(file.name.encode() + file.read_bytes())
    return hasher.hexdigest()
