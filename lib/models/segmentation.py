"""Where is the person? torchvision's segmentation networks, trained on COCO with the 21 classes of Pascal VOC.

Letters: B images, C classes, H x W an image in pixels.

They stand in for DeeperCut, which RIPR took its foreground masks from (Mao et al., IJCAI 2019).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import get_model, get_model_weights, list_models

from lib.models.resnet import Normalise

SHORTEST = 256  # pixels; the networks were trained on 520: a person of 48 would be two cells of their maps wide


class SegmentationUnavailable(RuntimeError):
    """The weights of a segmentation network are not there or do not fit; the message says what to do."""


class Segmenter(nn.Module):
    """A segmentation network, with its normalisation and the number of the class that is looked for.

    network : maps (B, 3, H, W), normalised, to a dictionary whose "out" is (B, C, H, W), as torchvision's do.
    person : the class, in [0, C). mean, std : of the network's input. name : for the record.

    ``forward`` maps (B, 3, H, W) in [0, 1] to scores (B, C, H, W).
    """

    def __init__(
        self, network: nn.Module, person: int, mean: tuple[float, ...], std: tuple[float, ...], name: str = "segmenter"
    ):
        super().__init__()
        self.network, self.person, self.name = network, person, name
        self.normalise = Normalise(mean, std)

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.normalise(images))["out"]


def create_segmenter(name: str = "lraspp_mobilenet_v3_large", weights: str | Path | None = None) -> Segmenter:
    """A trained segmentation network of torchvision, in evaluation mode, without its auxiliary head.

    Parameters
    ----------
    name : "lraspp_mobilenet_v3_large" (3 million weights), "deeplabv3_resnet50" (42 million) or another of
        :func:`segmentation_networks`.
    weights : a file in the layout of torchvision's own; None takes torchvision's, from $TORCH_HOME or the network.

    Raises
    ------
    ValueError : torchvision has no segmentation network of this name.
    SegmentationUnavailable : the weights cannot be had or do not fit.
    """
    if name not in segmentation_networks():
        raise ValueError(f"there is no segmentation network {name!r}; there are {', '.join(segmentation_networks())}")
    entry = get_model_weights(name).DEFAULT
    # Without a second argument torchvision would fetch ImageNet weights for the backbone, to be overwritten at once.
    network = get_model(name, weights=None, weights_backbone=None, num_classes=len(entry.meta["categories"]))
    state = _fetch(name) if weights is None else _read(Path(weights).expanduser())
    try:
        network.load_state_dict({k: v for k, v in state.items() if not k.startswith("aux_classifier.")})
    except (RuntimeError, AttributeError, TypeError) as error:
        raise SegmentationUnavailable(
            f"{weights or 'the file of torchvision'} does not hold the weights of {name}: {str(error)[:300]}"
        ) from error
    preset = entry.transforms()
    person = entry.meta["categories"].index("person")
    return Segmenter(network, person, tuple(preset.mean), tuple(preset.std), name).eval().requires_grad_(False)


def segmentation_networks() -> list[str]:
    """Names of torchvision's segmentation networks; all know the class "person"."""
    return list_models(torchvision.models.segmentation)


@torch.inference_mode()
def person_masks(images: Tensor, network: Segmenter, shortest: int = SHORTEST) -> Tensor:
    """(B, 3, H, W) float in [0, 1] -> (B, H, W) bool, True where "person" has the highest score of all classes.

    Small images are enlarged until their shorter side has ``shortest`` pixels; the scores, not the decisions, are
    brought back to H x W.

    Raises
    ------
    ValueError : ``images`` is not (B, 3, H, W) float.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(f"expected images (B, 3, H, W) float in [0, 1], got {tuple(images.shape)} {images.dtype}")
    own = tuple(images.shape[2:])
    scale = shortest / min(own)
    if scale > 1:
        large = tuple(round(side * scale) for side in own)
        images = F.interpolate(images, large, mode="bilinear", align_corners=False)
    scores = network(images)  # (B, C, H', W')
    if scores.shape[2:] != own:
        scores = F.interpolate(scores, own, mode="bilinear", align_corners=False, antialias=True)  # (B, C, H, W)
    return scores.argmax(1) == network.person


def _fetch(name: str) -> dict[str, Tensor]:
    entry = get_model_weights(name).DEFAULT
    try:
        return entry.get_state_dict(progress=False, check_hash=True, map_location="cpu", weights_only=True)
    except Exception as error:  # no network, no room, or a damaged file: torch raises a dozen kinds
        folder, file = Path(torch.hub.get_dir()) / "checkpoints", entry.url.rsplit("/", 1)[-1]
        raise SegmentationUnavailable(
            f"the weights of {name} are not on this machine and could not be downloaded, or are damaged ({error}). "
            f"Put the file {file} ({entry.url}) into $TORCH_HOME/hub/checkpoints (here {folder}), or pass its path as "
            "weights=…, or use a folder of masks (lib.data.masks.masks_from_folder), or no masks at all: "
            'mask="gaussian"'
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # as above, all meaning the same
        reason = str(error).partition("\n")[0]
        raise SegmentationUnavailable(
            f"{path} cannot be read as weights ({reason}). Correct the path, or copy the file again."
        ) from error
