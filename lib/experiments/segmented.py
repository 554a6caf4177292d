"""Foreground masks for photographs: a segmentation network looks at every image of a set.

Letters: B images in a batch, h x w one image in pixels.
"""

from __future__ import annotations

import numpy as np
import torch

from lib.bars import Bar
from lib.data.dataset import PersonDataset
from lib.models.segmentation import Segmenter, person_masks


def segmented(dataset: PersonDataset, network: Segmenter, batch: int = 8, progress: bool = False) -> PersonDataset:
    """The same set with the masks that ``network`` predicts, every image seen at its own size, on the network's device.

    Images of the same size go through the network together, ``batch`` at a time.

    Warns
    -----
    DataWarning : in how many images the network found nobody.
    """
    device = network.normalise.mean.device
    masks: list[np.ndarray] = [np.empty(0, bool)] * len(dataset)
    with Bar(f"outlines of people in {dataset.name}", len(dataset), show=progress) as bar:
        for rows in dataset.table.groupby(["height", "width"]).indices.values():
            for chunk in (rows[first : first + batch] for first in range(0, len(rows), batch)):
                pixels = torch.from_numpy(np.stack([dataset.image(row) for row in chunk]))  # (B, h, w, 3)
                images = pixels.to(device).permute(0, 3, 1, 2).float() / 255  # (B, 3, h, w)
                for row, mask in zip(chunk, person_masks(images, network).cpu().numpy(), strict=True):
                    masks[row] = mask
                bar.step(len(chunk))
    return dataset.with_masks(masks, f"predicted by {network.name}")
