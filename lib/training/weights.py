"""First weights of a part of a method: ImageNet, rendered pedestrians, or a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import nn

from lib.methods.method import Method

SOURCES = ("imagenet", "pedestrians", "pedestrians-long")


class WeightsUnavailable(RuntimeError):
    """The first weights that were asked for are not there; the message says what to do."""


def imagenet_weights(name: str):
    """torchvision's weights of a backbone (the first version, which the five papers had).

    Raises WeightsUnavailable for a network that has none.
    """
    from torchvision.models import get_model_weights, list_models

    if name not in list_models():
        raise WeightsUnavailable(
            f"there are no ImageNet weights for {name!r}, a network of this course; use pretrained='pedestrians', or "
            "backbone='resnet18', 'resnet34', 'resnet50' or 'resnet101'"
        )
    return get_model_weights(name).IMAGENET1K_V1


def fingerprint(method: Method, part: str, source: str, device: torch.device | None = None) -> str:
    """What identifies the first weights, without making or fetching them; ``device`` as for ``fit``."""
    if source == "imagenet":
        return f"torchvision {imagenet_weights(_network_name(method, part))}"
    if source in ("pedestrians", "pedestrians-long"):
        from lib.training.pretrain import pretraining_key

        key = pretraining_key(_network_name(method, part), method.canvas, _plan(method, source), device)
        return f"pedestrians {key}"
    return f"file {hashlib.sha256(_weights_file(source).read_bytes()).hexdigest()}"


def load_first_weights(method: Method, part: str, source: str, progress: bool = True, **options) -> None:
    """Fill the sub-module ``part`` from ``source``. ``options`` (device, runs, precision) go to the pre-training run.

    Raises WeightsUnavailable where the weights cannot be had or do not fit.
    """
    module = method.get_submodule(part)
    if source == "imagenet":
        state = _fetch_imagenet(_network_name(method, part), progress)
    elif source in ("pedestrians", "pedestrians-long"):
        from lib.training.pretrain import pretrained_backbone

        run = pretrained_backbone(
            _network_name(method, part), method.canvas, _plan(method, source), progress=progress, **options
        )
        state = run.method.backbone.state_dict()
    else:
        state = read_weights(_weights_file(source), part)
    # weights under other names: one network's for a part with two streams, old files of a DenseNet
    if hasattr(module, "doubled") and missing_weights(module, state):
        state = module.doubled(state)
    fill(module, state, f"pretrained={source!r}")


def fill(module: nn.Module, state: dict, origin: str) -> None:
    """Load weights by name; parts that the module lacks (a classifier) are left out, anything missing is an error."""
    own, missing = module.state_dict(), missing_weights(module, state)
    wrong = [name for name in own if name in state and own[name].shape != state[name].shape]
    if missing or wrong:
        example = (missing or wrong)[0]
        what = (
            f"{len(missing)} of {len(own)} weights are missing" if missing else f"{len(wrong)} weights differ in shape"
        )
        raise WeightsUnavailable(f"{origin} does not fit {type(module).__name__}: {what}, for example {example!r}")
    module.load_state_dict({name: state.get(name, own[name]) for name in own})


def missing_weights(module: nn.Module, state: dict) -> list[str]:
    """Names of the module's weights that ``state`` lacks; counters of batches are no weights."""
    return [name for name in module.state_dict() if name not in state and not name.endswith("num_batches_tracked")]


def read_weights(path: Path, part: str) -> dict[str, torch.Tensor]:
    """A state dict from a file: plain, one of our ``weights.pt``, or in "state_dict" or "model" as others do."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds, all meaning the same
        raise WeightsUnavailable(f"{path} cannot be read as weights ({str(error).splitlines()[0]})") from error
    for wrapper in ("weights", "state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not any(isinstance(v, torch.Tensor) for v in content.values()):
        raise WeightsUnavailable(f"{path} holds no weights by name")
    state = {name.removeprefix("module."): value for name, value in content.items()}
    inside = {name.removeprefix(f"{part}."): value for name, value in state.items() if name.startswith(f"{part}.")}
    return inside or state


def _plan(method: Method, source: str) -> str:
    """Which pre-training: the profile's own, or the longer one."""
    return "long" if source == "pedestrians-long" else method.profile


def _network_name(method: Method, part: str) -> str:
    name = getattr(method.get_submodule(part), "name", None)
    if name is None:
        raise WeightsUnavailable(
            f"{part!r} of {method.name} is not a backbone with a name; give a file with its weights"
        )
    return name


def _weights_file(source: str) -> Path:
    path = Path(source).expanduser()
    path = path / "weights.pt" if path.is_dir() else path
    if not path.is_file():
        raise WeightsUnavailable(
            f"pretrained={source!r} is neither {' nor '.join(map(repr, SOURCES))} nor an existing file or run directory"
        )
    return path


def _fetch_imagenet(name: str, progress: bool) -> dict[str, torch.Tensor]:
    weights = imagenet_weights(name)
    try:
        return weights.get_state_dict(progress=progress, check_hash=True)
    except (OSError, RuntimeError) as error:  # no network, no room, or a damaged download
        file = weights.url.rsplit("/", 1)[-1]
        raise WeightsUnavailable(
            f"the ImageNet weights of {name} are not on this machine and could not be downloaded ({error}). Put the "
            f"file {file} into the folder 'hub/checkpoints' of $TORCH_HOME, or pass its path as pretrained='…/{file}', "
            "or use pretrained='pedestrians'"
        ) from error
