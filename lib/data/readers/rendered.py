"""The embedded people: rendered, not read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lib import definitions
from lib.data.readers.rendering import shared
from lib.data.store import Item, Source

PEOPLE_AT_ONCE = 40
PRETRAIN_FROM = 1_000_000  # identity numbers from here on are in no split of the embedded set


def pedestrians(
    root: Path | None = None,
    *,
    identities: int = 600,
    cameras: int = 4,
    images_per_camera: int = 2,
    seed: int = 0,
    size: tuple[int, int] = (128, 64),
    device: str = "cpu",
) -> Source:
    """The embedded set, version 2: 600 people x 4 cameras x 2 images = 4,800 images of 128 x 64 pixels (h x w), with
    masks and attributes. The first 300 are version 1's."""
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
    identities: int = 3000,
    images: int = 8,
    cameras: int | None = None,
    camera_pool: int = 60,
    twin_share: float = 0.1,
    seed: int = 1,  # other people and other cameras than the embedded set's
    size: tuple[int, int] = (128, 64),
    device: str = "cpu",
) -> Source:
    """Other people for pre-training: ``images`` of each, over ``cameras`` (4, or as many as images) of a
    ``camera_pool``."""
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
    total = options["identities"] * options["cameras"] * options["images_per_camera"]
    # Which people these are: the options, and the renderer's definitions. Not the pixels, which two machines round
    # differently, and not its files' text: a comment makes nobody another person.
    identity = {"renderer": definitions.total(renderer_code()), "options": options}
    return Source(name, identity, lambda: shared(people, options, device), total, identity=identity)


def renderer_code(root: Path | None = None) -> dict[str, str]:
    """{definition: hash} of all code that the pictures depend on; ``root`` as in ``lib.definitions``."""
    return definitions.definitions(people, root=root)


def people(options: dict[str, Any], device: str) -> Iterator[Item]:
    """All images, rendered a few people at a time."""
    from lib.data import pedestrians as renderer  # only those who render pay for importing it

    start = options.get("first_identity", 0)
    for first in range(start, start + options["identities"], PEOPLE_AT_ONCE):
        some = min(PEOPLE_AT_ONCE, start + options["identities"] - first)
        chosen = options | {"identities": some, "first_identity": first, "size": tuple(options["size"])}
        images, masks, table = renderer.render_people(**chosen, device=device)
        # The dataset's height is a picture's, in pixels.
        table = table.rename(columns={"height": "body_height", "width": "body_width"})
        for record, image, mask in zip(table.to_dict("records"), images, masks, strict=True):
            yield Item(record | {"pid": str(record["pid"]), "cam": str(record["cam"]), "file": ""}, image, mask)
