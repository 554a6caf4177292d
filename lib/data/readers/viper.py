"""VIPeR (Gray and Tao, ECCV 2008): 632 people, two cameras, one image each of 48 x 128 pixels (w x h)."""

from __future__ import annotations

from pathlib import Path

from lib.data.readers.files import file_source, find_folder, list_images, parse, unread
from lib.data.store import Source


def viper(root: Path) -> Source:
    """``VIPeR/cam_a/NNN_angle.bmp`` and ``VIPeR/cam_b/NNN_angle.bmp``: the number pairs the two views, the angle is
    kept as ``angle``."""
    folder = find_folder(root, "viper", ("VIPeR", "viper", "VIPeR.v1.0"), ("cam_a", "cam_b"))
    records = []
    for cam in ("cam_a", "cam_b"):
        for path in list_images(folder / cam):
            match = parse(path, r"(\d+)_(\d+)\.", "viper", "000_45.bmp")
            records.append({"pid": match[1], "cam": cam, "file": f"{cam}/{path.name}", "angle": int(match[2])})
    strangers = unread(folder, [folder / "cam_a", folder / "cam_b"], above=[folder])
    return file_source("viper", folder, records, version=1, warnings=strangers)
