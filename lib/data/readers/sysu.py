"""SYSU (Chen et al. 2017): 502 people, two cameras, 24,446 images. Not SYSU-MM01. No public loader is known, hence a
plain layout."""

from __future__ import annotations

from pathlib import Path

from lib.data.errors import DataError
from lib.data.readers.files import file_source, find_folder, list_folders, list_images, unread
from lib.data.store import Source


def sysu(root: Path) -> Source:
    """One folder per camera, in it one folder per identity with its images: ``SYSU/cam_a/0001/*.jpg``. All images are
    kept: the protocol draws three."""
    folder = find_folder(root, "sysu", ("SYSU", "sysu"), ("*",), itself=False)
    cameras = list_folders(folder)
    if len(cameras) != 2:
        names = ", ".join(camera.name for camera in cameras) or "none"
        raise DataError(f"sysu: expected two camera folders in {folder}, as SYSU/cam_a/0001/*.jpg, found: {names}.")
    records = []
    for camera in cameras:
        for person in list_folders(camera):
            for path in list_images(person):
                records.append({"pid": person.name, "cam": camera.name, "file": path.relative_to(folder).as_posix()})
    people = [person for camera in cameras for person in list_folders(camera)]
    return file_source("sysu", folder, records, version=1, warnings=unread(folder, people, [folder, *cameras]))
