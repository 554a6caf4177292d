"""The first weights that ship with the course: ``data/weights/<source>-<network>-<height>x<width>.safetensors``.

Each file has a JSON beside it that says where it is from (``lib.experiments.ship`` makes both). Matrices and kernels
are in half precision, vectors (biases, statistics) as they were; everything is read as float32. The names are those of
the method that was pre-trained: "backbone.…" and "head.bn.…" of a re-identification network, "sr.…" of a
super-resolution one. The classifier of rendered people is left out.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lib.models.state import WeightsUnavailable
from lib.models.superres import SUPERRES
from lib.paths import ROOT, write_atomically

FOLDER = ROOT / "data" / "weights"
KEPT = ("backbone.", "head.bn.", "sr.")  # parts of a pre-trained method that others start from
LARGEST, ALL = 6_000_000, 15_000_000  # bytes of a file, and of all together
SAMPLES = 32  # values of a network's output that are recorded


def stem(network: str, canvas: tuple[int, int], source: str) -> str:
    """The name of a file, without its ending."""
    height, width = canvas
    return f"{source}-{network}-{height}x{width}"


def find(network: str, canvas: tuple[int, int], source: str) -> Path | None:
    """The file of a network at a canvas (H, W), or None where none ships. A super-resolution network is convolutional,
    the same at every canvas: there the canvas that it was trained at decides nothing.
    """
    path = FOLDER / f"{stem(network, canvas, source)}.safetensors"
    if network in SUPERRES and not path.is_file():
        path = next(iter(sorted(FOLDER.glob(f"{source}-{network}-[0-9]*x[0-9]*.safetensors"))), path)
    return path if path.is_file() else None


def files() -> list[Path]:
    """All weights that ship, by name."""
    return sorted(FOLDER.glob("*.safetensors"))


def known(source: str, part: str) -> str:
    """The networks of a source that ship, in words; ``part``: "backbone" or "sr"."""
    found = [about(path) for path in files()]
    names = [
        f"{some['network']} at {some['canvas'][0]} x {some['canvas'][1]}"
        for some in found
        if (some["source"], some["part"]) == (source, part)
    ]
    return ", ".join(names) or "none do"


def about(path: Path) -> dict:
    """The provenance of a file. Raises WeightsUnavailable where its JSON is not there or damaged."""
    try:
        return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsUnavailable(f"{path.with_suffix('.json')} cannot be read ({error}): git checkout it") from error


def sha256(path: Path) -> str:
    """SHA-256 hex of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def kept(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What ships of a method's state: the parts ``KEPT``, without counters of batches."""
    counters = "num_batches_tracked"
    return {name: value for name, value in state.items() if name.startswith(KEPT) and not name.endswith(counters)}


def packed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As it ships: matrices and kernels in half precision, vectors as they are.

    ValueError for a weight that is no finite number in half precision.
    """
    found = {name: (value.half() if value.ndim > 1 else value).contiguous() for name, value in kept(state).items()}
    if bad := [name for name, value in found.items() if not value.isfinite().all()]:
        raise ValueError(f"{bad[0]} is not finite in half precision: it cannot ship")
    return found


def write(path: Path, state: dict[str, Tensor], provenance: dict) -> None:
    """A file and its provenance, to which the file's hash and size are added. ValueError for one of over 6 MB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: save_file(packed(state), file))
    size = path.stat().st_size
    if size > LARGEST:
        path.unlink()
        raise ValueError(f"{path.name} would have {size:,} bytes: at most {LARGEST:,} of a file ship")
    text = json.dumps(provenance | {"sha256": sha256(path), "bytes": size}, indent=1, sort_keys=True) + "\n"
    write_atomically(path.with_suffix(".json"), lambda file: file.write_text(text, encoding="utf-8"))


def output_of(network: nn.Module, canvas: tuple[int, int]) -> list[float]:
    """What a network makes of two fixed pictures: ``SAMPLES`` values spread over its output, and the output's norm.

    It is recorded when a file is made. If it comes out otherwise later, the file does not fit the code any more, though
    its names and shapes may.
    """
    height, width = canvas
    count = torch.arange(2 * 3 * height * width, dtype=torch.float64)
    pictures = (0.5 + 0.5 * torch.sin(count * 0.37) * torch.cos(count * 0.0113)).float().view(2, 3, height, width)
    before = [module.training for module in network.modules()]
    network.eval()
    with torch.inference_mode():
        made = network(pictures).flatten().double()
    for module, training in zip(network.modules(), before, strict=True):
        module.training = training
    places = torch.linspace(0, len(made) - 1, SAMPLES, dtype=torch.float64).long()
    return [float(f"{value:.6g}") for value in (*made[places].tolist(), made.norm().item())]
