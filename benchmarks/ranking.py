"""Ranking at the size of Market-1501 and MSMT17: ours beside torchreid's Python evaluator and open-metric-learning's.

    python benchmarks/ranking.py                        # both sizes, all that is installed: minutes, mostly the peers'
    python benchmarks/ranking.py --sizes market1501     # one size
    python benchmarks/ranking.py --no-peers             # ours alone: seconds
    python benchmarks/ranking.py --peer-probes 300      # peers on the first 300 probes, their time scaled: a minute

From 512-d float32 features to CMC and mAP under the market1501 convention, distances included. Every measurement runs
in a process of its own. Ours: the best time of several runs, and the processor time of that run (where it is much less
than cores x seconds, others were using the machine). Memory: the largest resident memory beyond the inputs. A peer that
would take too long or too much memory is run on the first probes only and scaled to all of them, which the table says;
its memory is then that of the subset. On the probes that a peer has seen, its numbers must equal ours: CMC and mAP to
1e-6 (everybody works in float32).

The peers are the optional dependency group ``bench``, and for one of them a line of its own, because its metadata asks
for NumPy 1 (its ranking works with NumPy 2): ``pip install --no-deps open-metric-learning==4.0.0``. Neither package
imports as a whole without a number of others that are of no use here, so only their files for ranking are loaded. A
missing peer is skipped and named.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
import types
from importlib import metadata
from pathlib import Path

import numpy as np

from lib.evaluation import rank_features

DIMENSIONS = 512
RANKS = (1, 5, 10, 20)
# probes, gallery, identities, cameras, distractors (images of nobody among the probes), noise, probes that peers rank
SIZES = {
    "tiny": (200, 1_500, 60, 6, 300, 2.2, {"torchreid": 200, "open-metric-learning": 200}),
    "market1501": (3_368, 19_732, 750, 6, 6_612, 2.2, {"torchreid": 3_368, "open-metric-learning": 3_368}),
    "msmt17": (11_659, 82_161, 3_060, 15, 0, 2.2, {"torchreid": 400, "open-metric-learning": 1_000}),
}


def make_people(size: str):
    """Features around one centre per identity; each probe has a match in another camera. Deterministic."""
    probes, gallery, identities, cameras, distractors, noise, _ = SIZES[size]
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((identities + 1, DIMENSIONS), dtype=np.float32)
    probe_ids = np.sort(rng.integers(1, identities + 1, probes))
    probe_cams = rng.integers(0, cameras, probes)
    known = gallery - distractors
    gallery_ids = np.concatenate([np.arange(1, identities + 1).repeat(2), rng.integers(1, identities + 1, known)])[
        :known
    ]
    gallery_cams = np.concatenate([np.tile([0, 1], identities), rng.integers(0, cameras, known)])[:known]
    gallery_ids = np.concatenate([gallery_ids, np.zeros(distractors, dtype=np.int64)])
    gallery_cams = np.concatenate([gallery_cams, rng.integers(0, cameras, distractors)])
    features = []
    for ids in (probe_ids, gallery_ids):
        x = rng.standard_normal((len(ids), DIMENSIONS), dtype=np.float32)
        x *= np.where(ids > 0, noise, np.hypot(noise, 1)).astype(np.float32)[:, None]  # each distractor is a person
        for first in range(0, len(ids), 1024):  # no second copy: what is measured is the memory beyond the inputs
            x[first : first + 1024] += centres[ids[first : first + 1024]] * (ids[first : first + 1024, None] > 0)
        features.append(x)
    return features, (probe_ids, gallery_ids), (probe_cams, gallery_cams)


def ours(features, ids, cams):
    ranking = rank_features(*features, *ids, *cams, convention="market1501")
    return [ranking.rank(k) for k in RANKS], ranking.map


def torchreid(features, ids, cams):
    import torch

    folder = Path(importlib.util.find_spec("torchreid").submodule_search_locations[0])
    folder = folder / "reid" / "metrics" if (folder / "reid").is_dir() else folder / "metrics"
    rank, distance = (load_file(folder / name) for name in ("rank.py", "distance.py"))
    matrix = distance.compute_distance_matrix(*(torch.from_numpy(x) for x in features)).numpy()
    cmc, mean_ap = rank.evaluate_rank(matrix, *ids, *cams, max_rank=50, use_cython=False)
    return [float(cmc[k - 1]) for k in RANKS], float(mean_ap)


def load_file(path: Path):
    spec = importlib.util.spec_from_file_location(f"peer_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def open_metric_learning(features, ids, cams):
    import torch

    # the package's own __init__ of oml.utils imports downloaders
    utils = types.ModuleType("oml.utils")
    utils.__path__ = [str(Path(importlib.util.find_spec("oml").submodule_search_locations[0]) / "utils")]
    sys.modules["oml.utils"] = utils
    from oml.functional.knn import batched_knn_qg
    from oml.functional.metrics import calc_retrieval_metrics

    # "sequences" are what it ignores during the search: here a person in a camera
    sequences = [torch.from_numpy(i * 100 + c) for i, c in zip(ids, cams, strict=True)]
    _, found, relevant = batched_knn_qg(
        *(torch.from_numpy(x) for x in features),
        top_n=len(features[1]),
        labels_query=torch.from_numpy(ids[0]),
        labels_gallery=torch.from_numpy(ids[1]),
        sequence_ids_query=sequences[0],
        sequence_ids_gallery=sequences[1],
    )
    everything = (len(features[1]),)
    scores = calc_retrieval_metrics(
        found, relevant, cmc_top_k=RANKS, precision_top_k=(), map_top_k=everything, reduce=False, verbose=False
    )
    # a probe without a match counts as a miss there
    valid = torch.tensor([len(r) > 0 for r in relevant])
    cmc = [float(scores["cmc"][k][valid].double().mean()) for k in RANKS]
    return cmc, float(scores["map"][everything[0]][valid].double().mean())


RUNNERS = {"ours": ours, "torchreid": torchreid, "open-metric-learning": open_metric_learning}
MODULES = {"torchreid": ("torchreid",), "open-metric-learning": ("oml", "omegaconf")}
INSTALL = {
    "torchreid": "pip install --no-deps torchreid==0.2.5",
    "open-metric-learning": "pip install omegaconf && pip install --no-deps open-metric-learning==4.0.0",
}


def resident(field: str) -> float:
    """VmRSS or VmHWM (its largest value so far) of this process in MB; Linux only, NaN elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def measure(name: str, size: str, probes: int, repeats: int) -> dict:
    """Runs in a process of its own."""
    features, ids, cams = make_people(size)
    features, ids, cams = ([x[0][:probes].copy(), x[1]] for x in (features, ids, cams))
    before, runs = resident("VmRSS"), []
    for _ in range(repeats):
        start, processor = time.perf_counter(), time.process_time()
        cmc, mean_ap = RUNNERS[name](features, ids, cams)
        runs.append((time.perf_counter() - start, time.process_time() - processor))
    seconds, processor = min(runs)
    memory = resident("VmHWM") - before
    return {"seconds": seconds, "processor": processor, "memory": memory, "cmc": cmc, "map": mean_ap}


def in_its_own_process(name: str, size: str, probes: int, repeats: int = 1) -> dict | str:
    command = [sys.executable, __file__, "--measure", name, size, str(probes), str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit status {done.returncode}"
    return json.loads(done.stdout.splitlines()[-1])


def missing(name: str) -> str:
    """Why a peer cannot run; empty if it can."""
    absent = [module for module in MODULES[name] if importlib.util.find_spec(module) is None]
    return f"{name} skipped: {' and '.join(absent)} not installed ({INSTALL[name]})" if absent else ""


def version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "of unknown version"


def compare(size: str, peers: bool, limit: int | None, repeats: int) -> bool:
    """Print one table; False where a peer disagrees."""
    probes, gallery, identities, cameras, *_, subsets = SIZES[size]
    print(f"\n{size}: {probes:,} probes x {gallery:,} gallery images of {identities:,} people, {cameras} cameras")
    mine = in_its_own_process("ours", size, probes, repeats)
    if isinstance(mine, str):
        raise SystemExit(f"our own ranking failed: {mine}")
    cmc = ", ".join(f"rank-{k} {100 * v:.2f}" for k, v in zip(RANKS, mine["cmc"], strict=True))
    print(f"  {cmc}, mAP {100 * mine['map']:.3f} %")
    print(f"  {'':34}{'seconds':>10}{'x ours':>9}{'processor s':>13}{'MB beyond inputs':>18}{'x ours':>9}  agrees")
    print(f"  {'ours':34}{mine['seconds']:10.2f}{1:9.1f}{mine['processor']:13.2f}{mine['memory']:18.0f}{1:9.1f}")
    agree = True
    for name in MODULES if peers else ():
        reason = missing(name)
        part = min(subsets[name], limit or probes)
        peer = reason or in_its_own_process(name, size, part)
        if isinstance(peer, str):
            print(f"  {reason or f'{name} {version(name)} failed: {peer}'}")
            continue
        reference = mine if part == probes else in_its_own_process("ours", size, part)
        same = np.allclose(peer["cmc"], reference["cmc"], atol=1e-6) and abs(peer["map"] - reference["map"]) < 1e-6
        agree &= same
        verdict = (
            "yes" if same else f"NO: CMC {peer['cmc']} mAP {peer['map']}, ours {reference['cmc']} {reference['map']}"
        )
        seconds = peer["seconds"] * probes / part
        label = f"{name} {version(name)}"
        note = "" if part == probes else f"   (time scaled from {part:,} probes, memory of those)"
        processor = peer["processor"] * probes / part
        print(
            f"  {label:34}{seconds:10.2f}{seconds / mine['seconds']:9.1f}{processor:13.2f}"
            f"{peer['memory']:18.0f}{peer['memory'] / mine['memory']:9.1f}  {verdict}{note}"
        )
    return agree


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=["market1501", "msmt17"])
    parser.add_argument("--no-peers", action="store_true", help="measure ours alone")
    parser.add_argument("--peer-probes", type=int, help="run the peers on so many probes only and scale their time")
    parser.add_argument("--repeats", type=int, default=5, help="runs of ours, of which the best counts")
    parser.add_argument("--measure", nargs=4, metavar=("NAME", "SIZE", "PROBES", "REPEATS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        name, size, probes, repeats = arguments.measure
        print(json.dumps(measure(name, size, int(probes), int(repeats))))
        return 0
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, NumPy {np.__version__}")
    agreed = [
        compare(size, not arguments.no_peers, arguments.peer_probes, arguments.repeats) for size in arguments.sizes
    ]
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
