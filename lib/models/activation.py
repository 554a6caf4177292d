"""Class activation maps (Zhou et al., CVPR 2016) that are exact: where a picture was decided, to the last digit.

With mean pooling and a BNNeck everything behind the feature map F (B, C, h, w) is linear: with g_k = gamma_k /
sqrt(var_k + eps) of the batch normalisation,

    n_k(x, y) = g_k (F_k(x, y) - mu_k),     n_k = mean of n_k(x, y)   what the BNNeck makes of the picture
    M_c(x, y) = sum_k W_ck n_k(x, y)        mean of M_c               the logit of class c
    M(x, y)   = sum_k d_k n_k(x, y) / |n|   mean of M                 the similarity <n / |n|, d> to a descriptor d

The last is for people of a test, who have no class: d is another picture's descriptor, of length 1 as is n / |n|. A
fully connected layer between pooling and BNNeck is linear too. Not exact, and refused: GeM and maximum pooling (AGW),
heads with a ReLU (FCHead, JBIM's fusion), descriptors from before the BNNeck. Elsewhere one approximates (Grad-CAM).

The map is as coarse as F, 6 x 3 at a canvas of 96 x 48 and 16 x 8 at 256 x 128, and a position has seen more of the
picture than its own block. Letters: B pictures, C channels, h x w the feature map, D dimensions of the descriptor.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.data.batches import Batch
from lib.models.heads import BNNeck, GlobalPool

SAME = 1e-3  # by how much a method's own descriptor of length 1, in float32, may differ from what its map says


@dataclass(frozen=True)
class Seen:
    """What a network saw where. positions : (B, h, w, D) float64, n(x, y)."""

    positions: Tensor

    @property
    def features(self) -> Tensor:
        """(B, D): n, what the classifier is given."""
        return self.positions.mean((1, 2))

    @property
    def descriptors(self) -> Tensor:
        """(B, D) of length 1: what is compared."""
        return F.normalize(self.features)


def look(method: nn.Module, batch: Batch, role: str) -> Seen:
    """What a method with ``pool`` and ``head`` sees in a batch as a probe or a gallery image, in evaluation mode.

    Where its maps would not be exact: TypeError for another pooling than ``GlobalPool`` and another head than
    ``BNNeck`` (and for a method without them: ask its part, ``jbim.him``); ValueError for another pooling than the
    mean, in training mode, and where ``embed`` pools several maps or returns anything but n / |n|.
    """
    name, pool, head = (getattr(method, part, None) for part in ("name", "pool", "head"))
    if not isinstance(pool, GlobalPool) or not isinstance(head, BNNeck):
        raise TypeError(
            f"a map of {name} would not be exact: it needs a GlobalPool as pool and a BNNeck as head, not "
            f"{type(pool).__name__} and {type(head).__name__}"
        )
    if pool.kind != "average":
        raise ValueError(f"a map of {name} would not be exact: it pools by {pool.kind!r}, not by the mean")
    if method.training:
        raise ValueError(f"{name} is in training mode, where the batch decides mu and var: call eval() first")
    pooled: list[Tensor] = []
    hook = pool.register_forward_pre_hook(lambda _, given: pooled.append(given[0]))
    try:
        with torch.no_grad():
            descriptors = method.embed(batch, role)
    finally:
        hook.remove()
    if len(pooled) != 1:
        raise ValueError(f"{name} pools {len(pooled)} maps of a picture: there is no one map to explain")
    count, channels, height, width = pooled[0].shape
    single = pooled[0].double().permute(0, 2, 3, 1).reshape(-1, channels, 1, 1)  # each position a map of its own
    with torch.no_grad():
        found = copy.deepcopy(head.bn).double()(copy.deepcopy(pool).double()(single))  # (B h w, D)
    seen = Seen(found.view(count, height, width, -1))
    if descriptors.shape != seen.descriptors.shape or (descriptors - seen.descriptors).abs().max() > SAME:
        raise ValueError(
            f"{name} does not compare what comes out of its BNNeck, at length 1: its map would not be exact"
        )
    return seen


def class_maps(seen: Seen, weights: Tensor) -> Tensor:
    """M_c (B, h, w) float64, whose mean is the logit. weights (B, D): W_c for each picture,
    ``method.head.classifier.weight[labels]``.
    """
    return torch.einsum("bhwd,bd->bhw", seen.positions, weights.double())


def similarity_maps(seen: Seen, others: Tensor) -> Tensor:
    """M (B, h, w) float64, whose mean is the similarity in [-1, 1]. others (B, D): the ``descriptors``, of length 1, of
    what each picture is compared with. ValueError for others of another shape.
    """
    if others.shape != seen.descriptors.shape:
        raise ValueError(f"{tuple(others.shape)} descriptors for {tuple(seen.descriptors.shape)}: one for each picture")
    length = seen.features.norm(dim=1).clamp(min=1e-12)[:, None, None]
    return class_maps(seen, others) / length
