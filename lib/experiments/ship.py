"""The first weights that ship (``lib.training.shipped``): made, measured, checked.

    make weights                                  # what is missing, or was planned otherwise than today
    make weights WEIGHTS='resnet18-half'          # these again: all files of a network, or one by its name
    python -m lib.experiments.ship --check        # which files do not fit the code, and which are of older code
    python -m lib.experiments.ship --run DIR      # from a run that was trained elsewhere by the same plan

Pre-training takes hours on a CPU; it goes on where it was killed, like every run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lib.data import DataError, load_dataset, make_protocol
from lib.data.canvases import Canvases
from lib.definitions import UnknownDefinition, differences, few
from lib.evaluation import evaluate
from lib.evaluation.restoration import psnr
from lib.experiments.measured import commit
from lib.methods.method import Method
from lib.models.state import WeightsUnavailable, read_state
from lib.training import shipped
from lib.training.checkpoint import CheckpointError
from lib.training.pedestrians import PRETRAINING, kind_of, people_in, pretraining_method, profile_of, rate_of
from lib.training.pretrain import method_of, pretrain, shipped_method
from lib.training.runs import read
from lib.training.sources import LOADING, code_again

PLAN = "course"
HASH = 8  # digits of a definition's hash in the JSON
SPLITS = {"pedestrians": 1, "viper": 10, "caviar": 10}
TOLERANCE = 1e-3  # of an output's largest value: processors round differently
DECIMALS = 2


class Shipment(NamedTuple):
    """A network at a canvas (H, W), pre-trained on a source."""

    network: str
    canvas: tuple[int, int]
    source: str = "pedestrians"

    @property
    def name(self) -> str:
        return shipped.stem(*self)

    @property
    def path(self) -> Path:
        return shipped.FOLDER / f"{self.name}.safetensors"


COURSE, QUICK = (96, 48), (64, 32)
# seresnet18-half (5.6 MB), which one row needs, would be more than may ship in all
SHIPMENTS = (
    Shipment("resnet18-half", COURSE),
    Shipment("bottleneck-16-1", QUICK),
    Shipment("densenet-narrow", COURSE),
    Shipment("osnet-0.25", COURSE),
    Shipment("hrnet-w12", COURSE),
    Shipment("hrnet-w8", QUICK),
    *(Shipment(name, COURSE) for name in ("srcnn-915-luma", "srcnn-915", "vdsr-narrow", "ffsr-narrow")),
    *(Shipment(name, COURSE) for name in ("drcn-narrow", "srgan-narrow", "fsrcnn")),  # JBIM's Tables 4 and 11
    *(Shipment(name, COURSE) for name in ("vdsr-ca-narrow", "rcan-light")),  # PS-HRNet's Table IV
)


def planned_method(shipment: Shipment) -> Method:
    """What is pre-trained, as layers without numbers."""
    network, canvas, source = shipment
    method = pretraining_method(network, canvas, PLAN, source)
    with torch.device("meta"):
        method.setup(profile_of(network, canvas, PLAN), PRETRAINING[PLAN].identities)
    return method


def planned(shipment: Shipment) -> dict:
    """All that today's plan says of a pre-training, as JSON-able data; not the code."""
    network, canvas, source = shipment
    method = planned_method(shipment)
    found = {
        "part": kind_of(network), "network": network, "canvas": list(canvas), "source": source, "plan": PLAN,
        "profile": method.profile, "seed": 0, "rate": rate_of(network).value, "told": method.told_all,
        "recipe": method.recipe(), "people": people_in(PLAN).identity,
    }  # fmt: skip
    return json.loads(json.dumps(found))


def make(shipment: Shipment, run: Path | None = None, progress: bool = True) -> Path:
    """Pre-train a network, or find its run, and write its file and provenance. run : the directory of a run that was
    trained elsewhere.

    Raises ValueError for a run that was trained by another plan than today's, and for weights that cannot ship.
    """
    plan = planned(shipment)
    if run is None:
        run = pretrain(PLAN, shipment.network, shipment.canvas, source=shipment.source, progress=progress).directory
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    weights, made, history = read(run, record["key"])
    check_plan(run, record["identity"], plan)
    starts = sorted({*record["code"]["starts"], LOADING})  # older records left that out
    found = {name: digest[:HASH] for name, digest in record["code"]["definitions"].items()}
    code = record["code"] | {"starts": starts, "definitions": found, "sha256": record["identity"]["code"]}
    (stage,) = planned_method(shipment).stages
    provenance = plan | {
        "rate_searched": rate_of(shipment.network).searched,
        "epochs": len(history),
        "images_seen": int(history["steps"].sum()) * stage.identities * stage.images,
        "final_loss": round(float(history["total"].iloc[-1]), 4),
        "run": record["key"],
        "precision": record["identity"]["precision"],
        "code": code,
        "trained": {name: made[name] for name in ("device", "threads", "torch", "torchvision", "python", "date")},
        "seconds": round(made["seconds"], 1),
        "exported": {"commit": commit(), "torch": torch.__version__},
    }
    state = {name: value.float() for name, value in shipped.packed(weights).items()}  # as it will be read
    method = method_of(provenance, state, str(run))
    provenance["parameters"] = sum(value.numel() for value in state.values())
    provenance["output"] = shipped.output_of(getattr(method, plan["part"]), shipment.canvas)
    provenance["reaches"] = reaches(method, plan["part"])
    shipped.write(shipment.path, weights, provenance)
    return shipment.path


def check_plan(run: Path, identity: dict, plan: dict) -> None:
    """ValueError where a run was not trained as today's plan says."""
    said = {"told": {name: identity[name] for name in plan["told"]}, "recipe": identity["recipe"]}
    said |= {name: identity[name] for name in ("profile", "seed")} | {"pretrained": identity["pretrained"]}
    wanted = {name: plan[name] for name in ("told", "recipe", "profile", "seed")} | {"pretrained": {}}
    wanted["told"] = plan["told"] | {"settings": {n: v for n, v in plan["told"]["settings"].items() if n != "weights"}}
    people = load_dataset(
        "pedestrians-pretrain", identities=PRETRAINING[PLAN].identities, images=PRETRAINING[PLAN].images
    )
    said["data"], wanted["data"] = identity["data"], people.fingerprint
    if wrong := [name for name in wanted if said[name] != wanted[name]]:
        first = wrong[0]
        raise ValueError(
            f"{run} was trained by another plan than today's {PLAN!r}: {', '.join(wrong)} differ ({first}: "
            f"{said[first]} where the plan says {wanted[first]})"
        )


def reaches(method: Method, part: str) -> dict[str, float]:
    """Without any training on them: rank-1 in % of the test people, averaged over the splits (embedded people: one, the
    real sets where they are: ten); of a super-resolution network the PSNR in dB of embedded validation people.
    """
    if part == "sr":
        return restores(method)
    found = {}
    for name, splits in SPLITS.items():
        try:
            people = load_dataset(name)
        except DataError:
            continue  # the real sets are on few machines
        for preset in ("caviar",) if name == "caviar" else ("plain", "mlr"):
            results = [evaluate(method, make_protocol(people, preset, trial=t)) for t in range(splits)]
            found[f"rank-1 {name} {preset}"] = round(100 * float(np.mean([r.rank(1) for r in results])), DECIMALS)
    return found


def restores(method: Method) -> dict[str, float]:
    """PSNR in dB of 40 validation people's pictures, shrunk and restored, and of bicubic enlargement."""
    return {
        f"PSNR {name} {ratio:.2f}": round(float(values.mean()), DECIMALS)
        for (name, ratio), values in restorations(method).items()
    }


def restorations(method: Method) -> dict[tuple[str, float], np.ndarray]:
    """{("restored" or "bicubic", ratio): PSNR in dB of each picture of the 40 embedded validation people}."""
    protocol = make_protocol(load_dataset("pedestrians"), "plain")
    images = protocol.rows("val").drop_duplicates("image")["image"].to_numpy()
    canvases, found = Canvases(protocol, method.canvas), {}
    original = canvases.images(images, [1.0] * len(images)).float() / 255
    for ratio in (1 / 2, 1 / 3, 1 / 4):
        given = canvases.images(images, [ratio] * len(images)).float() / 255
        with torch.inference_mode():
            made = torch.cat([method.sr(part) for part in given.split(64)])
        found |= {("restored", ratio): psnr(made, original).numpy(), ("bicubic", ratio): psnr(given, original).numpy()}
    return found


def check(path: Path) -> list[str]:
    """What is wrong with a file that ships: nothing, or sentences."""
    try:
        found = shipped.about(path)
        method = shipped_method(path)
    except (WeightsUnavailable, KeyError, ValueError) as error:
        return [str(error)]
    wrong, state = [], read_state(path)
    own = set(shipped.kept(method.state_dict()))
    if shipped.stem(found["network"], found["canvas"], found["source"]) != path.stem:
        wrong.append(f"its JSON is of {found['network']} at {found['canvas']}, {found['source']}")
    if shipped.sha256(path) != found["sha256"]:
        wrong.append("its SHA-256 is not the one in its JSON")
    if path.stat().st_size > shipped.LARGEST:
        wrong.append(f"it has {path.stat().st_size:,} bytes, more than {shipped.LARGEST:,}")
    if bad := [name for name, value in state.items() if not value.isfinite().all()]:
        wrong.append(f"{bad[0]} is not finite")
    if own != set(state):
        wrong.append(f"it has {', '.join(sorted(own ^ set(state)))} too many or too few")
    if not same_output(shipped.output_of(getattr(method, found["part"]), method.canvas), found["output"]):
        wrong.append("its network makes something else of it than when it was made: the code has changed")
    return wrong


def same_output(now: Sequence[float], then: Sequence[float]) -> bool:
    """Whether two recorded outputs are the same up to rounding: each value, and the norm, which comes last."""
    if len(now) != len(then):
        return False
    (*values, norm), (*wanted, length) = now, then
    near = np.abs(np.subtract(values, wanted)).max() <= TOLERANCE * np.abs(wanted).max()
    return bool(near and abs(norm - length) <= TOLERANCE * length)


def code_note(path: Path) -> str:
    """ "" where a file was trained with today's code; else what has changed since."""
    code = shipped.about(path)["code"]
    try:
        now = code_again(code["starts"], code["entries"])
    except UnknownDefinition as error:
        return f"trained with older code: {error}"
    changed = differences(code["definitions"], {name: digest[:HASH] for name, digest in now.items()})
    return f"trained with older code: {few(changed)} changed" if changed else ""


def outdated() -> dict[str, str]:
    """{file: ``code_note``} of all files that were not trained with today's code."""
    return {path.stem: note for path in shipped.files() if (note := code_note(path))}


def is_current(shipment: Shipment) -> bool:
    """Whether a file is there, and was made by today's plan."""
    if not shipment.path.is_file():
        return False
    found, plan = shipped.about(shipment.path), planned(shipment)
    return all(found.get(name) == value for name, value in plan.items())


def chosen(names: Sequence[str]) -> list[Shipment]:
    """The shipments of these networks or files. ValueError for a name that is neither."""
    known = {name for some in SHIPMENTS for name in (some.network, some.name)}
    if unknown := sorted(set(names) - known):
        raise ValueError(f"nothing ships under the name {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return [some for some in SHIPMENTS if {some.network, some.name} & set(names)]


def main(argv: Sequence[str] | None = None) -> int:
    """The shell's way in; 1 where a file does not fit the code."""
    parser = argparse.ArgumentParser(prog="python -m lib.experiments.ship", description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a network, or a file without its ending: again")
    parser.add_argument("--run", type=Path, metavar="DIR", help="take this trained run; with one NAME")
    parser.add_argument("--check", action="store_true", help="make nothing")
    arguments = parser.parse_args(argv)
    try:
        names = " ".join(arguments.names).split()  # make hands all of them on as one text
        shipments = chosen(names) if names else [some for some in SHIPMENTS if not is_current(some)]
        if arguments.run and len(shipments) != 1:
            raise ValueError(f"--run is one file's; {len(shipments)} are named")
        for shipment in () if arguments.check else shipments:
            print(f"{shipment.name}: pre-training, or finding its run", flush=True)
            print(f"  reaches {shipped.about(make(shipment, arguments.run))['reaches']}", flush=True)
    except (ValueError, CheckpointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    wrong = {path: check(path) for path in shipped.files()}
    for path, sentences in wrong.items():
        said = "; ".join(sentences) or code_note(path) or "fits today's code"
        print(f"{path.stem}: {path.stat().st_size / 1e6:.2f} MB, {said}")
    for shipment in SHIPMENTS:
        if not is_current(shipment):
            print(f"{shipment.name}: {'planned otherwise' if shipment.path.is_file() else 'missing'}; make weights")
    return int(any(wrong.values()))


if __name__ == "__main__":
    sys.exit(main())
