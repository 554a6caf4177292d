"""What code a result depends on: edits of a copy of the package, and whose key they change.

Every edit is a replacement of text. Those that change numbers must change the keys of exactly the methods that use what
was edited; harmless ones must change none.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import linecache
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import training_helpers as helpers

import lib
from lib.data.readers.rendered import renderer_code
from lib.definitions import (
    CodeChanged,
    UnknownDefinition,
    definitions,
    definitions_of_text,
    differences,
    essence,
    total,
)
from lib.definitions.files import LOADED, Package
from lib.definitions.reading import Code
from lib.losses import batch_hard_triplet, cross_entropy
from lib.methods import METHODS, create_method
from lib.training import fit
from lib.training.sources import code_of

ALL = set(METHODS)
LOW = {"lim", "all-resolution"}
JBIM = {"him", "him-him", "him-lim", "jbim", "sr-then-him"} | LOW
SING = {"sing", "sing-everywhere", "sr-then-reid"} | JBIM
RIPR = {"ripr", "ripr-apart", "ripr-as-coded"}
PSHR = {"hrnet-reid", "pshrnet"}
FTWA = {"ftwa", "ftwa-b", "ftwa-b-copies"}


class Copy:
    """A copy of the package that can be edited, and the keys of all methods as its text gives them."""

    def __init__(self, root: Path):
        self.root = root
        shutil.copytree(Path(lib.__file__).parent, root / "lib", ignore=shutil.ignore_patterns("__pycache__"))
        self.protocol, self.methods = helpers.tiny_protocol(), {}
        for name in METHODS:
            self.methods[name] = method = create_method(name)
            method.setup("quick", 12)
        self.before = self.keys()

    def keys(self) -> dict[str, str]:
        found = {name: code_of(method, self.protocol, self.root).sha256 for name, method in self.methods.items()}
        return found | {"rendered people": total(renderer_code(self.root))}

    def changed_by(self, old: str, new: str) -> set[str]:
        """Whose keys change when ``old``, which one file holds, becomes ``new``; the edit is undone afterwards."""
        files = {path: path.read_text(encoding="utf-8") for path in sorted((self.root / "lib").rglob("*.py"))}
        holders = [path for path, text in files.items() if old in text]
        assert len(holders) == 1, f"{old!r} stands in {[path.name for path in holders]}"
        path, text = holders[0], files[holders[0]]
        edited = text.replace(old, new)
        assert edited != text
        ast.parse(edited)
        path.write_text(edited, encoding="utf-8")
        try:
            now = self.keys()
        finally:
            path.write_text(text, encoding="utf-8")
        return {name for name in now if now[name] != self.before[name]}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return Copy(tmp_path_factory.mktemp("copy"))


BASELINE = {"agw", "baseline"}
WITH_HEAD = BASELINE | SING | RIPR | PSHR | FTWA

# what changes numbers: (title, text, its replacement, the methods that use it)
EDITS = [
    ("widest doubled", "return widest(self.dataset, ", "return 2 * widest(self.dataset, ", ALL),
    ("is_low inverted", 'return (rows["ratio"] < 1).to_numpy()', 'return (rows["ratio"] >= 1).to_numpy()', ALL),
    ("masks inverted", "return bits.astype(bool)", "return ~bits.astype(bool)", ALL),
    ("first weights load nothing", "    fill(module, state, ", "    (module, state, ", ALL),
    ("seeded ignores its seed", "    torch.manual_seed(seed)\n", "    torch.manual_seed(0)\n", ALL),
    (
        "sampler without chance",
        "torch.randperm(len(self.members), generator=drawn)",
        "torch.arange(len(self.members))",
        ALL,
    ),
    ("erased boxes elsewhere", "u[:, 2] * (height - h)", "u[:, 2] * height", ALL),
    ("grey of erased boxes", "GREY = (0.485, ", "GREY = (0.5, ", ALL),
    ("optimiser without decay", '"weight_decay": stage.weight_decay', '"weight_decay": 0.0', ALL),
    ("smaller pictures by a pixel", "int(np.floor(height", "int(np.ceil(height", ALL),
    ("sides of a protocol's table", '"resolution": width / widest(dataset, ', '"resolution": width / (dataset, ', ALL),
    ("floor of all distances", "squared.clamp(min=1e-12 ", "squared.clamp(min=1e-6 ", ALL),
    ("a head, BNNeck", "std=0.001", "std=0.002", WITH_HEAD),
    ("a head, FCHead", "class FCHead(nn.Module):", "class FCHead(nn.Identity):", SING),
    ("default of a loss", "Tensor, smoothing: float = 0.0", "Tensor, smoothing: float = 0.1", WITH_HEAD),
    ("default of a setting", 'feature: str = "after"\n', 'feature: str = "before"\n', BASELINE),
    (
        "default of the triplet",
        "margin: float | None = 0.3",
        "margin: float | None = 0.4",
        BASELINE | SING | PSHR | FTWA,
    ),
    (
        "a loss of one method",
        "(sign * distances).masked_fill(~which",
        "(2 * sign * distances).masked_fill(~which",
        {"agw"},
    ),
    ("a network of one method", "if place >= len(stage) // 2", "if place > len(stage) // 2", {"agw"}),
    ("a decorator of losses", "return x.float() if", "return x.double() if", ALL),
    ("an entry of SUPERRES", '"srcnn-915-luma", SRCNN, middle=1', '"srcnn-915-luma", SRCNN, middle=3', SING - LOW),
    ("another entry", '"ffsr-narrow", FFSR, width=12', '"ffsr-narrow", FFSR, width=16', RIPR),
    ("a class of networks", "class DualStream(TwoStreams):", "class DualStream(TwoNetworks):", RIPR),
    (
        "a function of one method",
        "def gaussian_mask(position: Tensor, width: float) -> Tensor:",
        "def gaussian_mask(position: Tensor, width: float, *more) -> Tensor:",
        RIPR,
    ),
    ("a descriptor", "def lomo(images: Tensor,", "def lomo(images: Tensor, *,", {"classical"}),
    ("a colour space", "sector / 6, torch", "sector / 3, torch", {"histogram", "classical"}),
    (
        "a loss of one method",
        "def discriminator_loss(real: Tensor,",
        "def discriminator_loss(real: Tensor, *,",
        {"superres"},
    ),
    (
        "retargeted import",
        "import BasicBlock, Bottleneck\n\nfrom lib.models import dgd",
        "import Bottleneck as BasicBlock, BasicBlock as Bottleneck\n\nfrom lib.models import dgd",
        WITH_HEAD | {"superres"},
    ),
    ("a rule of distances", "(a_p + a_g) - (b_p + b_g)", "(a_p + a_g) - b_p", {"ftwa"}),
    ("a slope inside a network", "SLOPE = 0.05", "SLOPE = 0.1", {"ftwa"}),
    ("where two encoders end", '"maxpool", "layer1"), ("layer2", ', '"maxpool"), ("layer1", "layer2", ', FTWA),
    ("the renderer", "* 255 + 0.5).to(torch.uint8)", "* 127 + 0.5).to(torch.uint8)", {"rendered people"}),
    ("the order of rendered people", "PEOPLE_AT_ONCE = 40", "PEOPLE_AT_ONCE = 20", {"rendered people"}),
]


@pytest.mark.parametrize(("old", "new", "expected"), [e[1:] for e in EDITS], ids=[e[0] for e in EDITS])
def test_edits_that_change_numbers_change_the_keys_of_who_uses_them(copy, old, new, expected):
    assert copy.changed_by(old, new) == expected


def before(anchor: str, text: str) -> tuple[str, str]:
    return anchor, textwrap.dedent(text) + anchor


HARMLESS = [
    ("an error's text in batches", "batch.{what} is there in training only", "batch.{what} is not there in a test"),
    (
        "the wording of NonFiniteLoss",
        "is not finite; a smaller learning rate",
        "is not a number; a smaller learning rate",
    ),
    ("an error with a number", 'f"a ratio must lie in (0, 1], not {ratio}; ', 'f"{height} and {ratio} do not fit; '),
    ("a docstring", '"""All generators seeded inside;', '"""Everything is seeded inside;'),
    ("a comment", "    torch.manual_seed(seed)\n", "    torch.manual_seed(seed)  # torch's\n"),
    (
        "a wrapped line",
        "F.cross_entropy(logits, labels, label_smoothing=smoothing, ",
        "F.cross_entropy(\n        logits,\n        labels,\n        label_smoothing=smoothing,\n        ",
    ),
    (
        "a type annotation",
        "def cross_entropy(logits: Tensor, labels: Tensor,",
        "def cross_entropy(logits, labels: torch.LongTensor,",
    ),
    (
        "a new loss",
        *before(
            "def gathered(*tensors: Tensor) -> list[Tensor]:",
            """\
        def weighted_loss(errors: Tensor) -> Tensor:
            return errors.square().mean()


        """,
        ),
    ),
    (
        "a new head",
        *before(
            "class FCHead(nn.Module):",
            """\
        class PartHead(nn.Module):
            def forward(self, features):
                return features.chunk(6, 1)


        """,
        ),
    ),
    (
        "a new backbone",
        *before('BACKBONES.add("resnet34", ', 'BACKBONES.add("resnet6", ResNet, BasicBlock, (1, 1, 1, 1))\n'),
    ),
    (
        "a new super-resolution network",
        *before('SUPERRES.add("drcn", ', 'SUPERRES.add("vdsr-deep", VDSR, layers=40)\n'),
    ),
    ("another entry's options", '"vdsr-narrow", VDSR, layers=8', '"vdsr-narrow", VDSR, layers=9'),
    ("a new way to join streams", *before('STREAMS.add("rife", ', 'STREAMS.add("single", WeightedNetworks)\n')),
    ("a new method", *before("METHODS: dict[", 'class Newest(Baseline):\n    name = "newest"\n\n\n')),
    ("a new entry of METHODS", "    for kind in (Agw, ", "    for kind in (Method, Agw, "),
    (
        "a new optional attribute of Method",
        '    name: str = "method"\n',
        '    name: str = "method"\n    newest: str | None = None\n',
    ),
    (
        "a new setting of every method",
        "        weights: Mapping[str, Any] = field(default_factory=dict)\n",
        "        weights: Mapping[str, Any] = field(default_factory=dict)\n        newest: float = 1.0\n",
    ),
    (
        "a new field of Stage",
        "    clip: float | None = None\n",
        "    clip: float | None = None\n    newest: float = 1.0\n",
    ),
    ("what a data set looks like", "images of {people} people in", "pictures of {people} people in"),
    (
        "a new method of PersonDataset",
        "    def take(self, rows",
        "    def shuffled_once(self) -> list:\n        return list(self.table)\n\n    def take(self, rows",
    ),
    ("a new plot", *before("def ratio_name(", "def new_plot(results):\n    return len(results)\n\n\n")),
    ("a new reader", '    "viper": viper,\n', '    "viper": viper,\n    "grid": viper,\n'),
    (
        "a new preset",
        "PRESETS: dict[str, dict[str, Any]] = {\n",
        'PRESETS: dict[str, dict[str, Any]] = {\n    "newest": {},\n',
    ),
    (
        "a helper that nobody uses",
        *before("def shrink(", "def shrunk_twice(images):\n    return shrink(shrink(images))\n\n\n"),
    ),
    ("an import moved", "import contextlib\nimport random\n", "import random\nimport contextlib\n"),
    ("the progress bar", 'super().__init__("training", total', 'super().__init__("learning", total'),
    ("an assertion's text", "class Normalise(nn.Module):", "LATER = 3\n\n\nclass Normalise(nn.Module):"),
]


@pytest.mark.parametrize(("old", "new"), [e[1:] for e in HARMLESS], ids=[e[0] for e in HARMLESS])
def test_harmless_edits_change_no_key(copy, old, new):
    assert copy.changed_by(old, new) == set()


def test_there_are_enough_edits():
    assert len(EDITS) >= 14 and len(HARMLESS) >= 14


# ---- nothing is missing: what really runs


UNDECIDING = ("fit", "runs", "checkpoint", "progress", "sources", "precision", "processes")  # find, write, draw


@pytest.mark.parametrize("name", METHODS)
def test_whatever_a_training_calls_is_in_its_key(name, tmp_path):
    """Each function of the package that Python enters while a method is trained, against the definitions found."""
    called = set()

    def note(frame, event, _):
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.startswith("lib."):
            called.add(f"{module}.{frame.f_code.co_qualname.partition('.<locals>')[0]}")

    method, protocol = create_method(name, **SHORT.get(name, {"epochs": 1})), helpers.tiny_protocol()
    sys.setprofile(note)
    try:
        run = fit(method, protocol, runs=tmp_path, device="cpu", precision="fp32", progress=False)
        with torch.no_grad():
            run.method.distance(torch.rand(2, 8), torch.rand(3, 8))
    finally:
        sys.setprofile(None)
    skipped = ("lib.bars.", "lib.definitions.", "lib.paths.", *(f"lib.training.{part}." for part in UNDECIDING))
    made = ("<", "__create_fn__")  # lambdas and modules; what dataclasses write themselves
    called = {c for c in called if not c.startswith(skipped) and not c.rpartition(".")[2].startswith(made)}
    known = {"World.agree", "world", "first_weights", "told_all", "made_by"}  # our name; data in the key
    known |= {"check_canvas", "wider_than", "weights.check", "people_behind"}  # refuse or warn
    missing = {c for c in called - run.code.definitions.keys() if not c.endswith(tuple(f".{k}" for k in known))}
    assert not missing and len(called) > 20


SHORT = {
    "histogram": {},
    "classical": {"restore_epochs": 1},
    "pshrnet": {"epochs": 1, "restore_epochs": 1},
    "ripr": {"epochs": (1, 1, 1)},
    "ripr-apart": {"epochs": (1, 1, 1)},
    "ripr-as-coded": {"epochs": (0, 0, 1)},
}


# ---- a reader's own code


HELPER = """
    from lib.methods.baseline import Baseline
    import lib.losses as L
    from lib import losses
    from lib.models.heads import GlobalPool as Pool

    WEIGHT = 0.5
    TABLE = {"scale": 2}


    def extra(features, scale=TABLE["scale"]):
        return WEIGHT * scale * features.square().mean()


    def unused(features):
        return features


    class Mine(Baseline):
        name = "mine"

        def losses(self, batch, stage):
            features = Pool()(self.backbone(batch.images))
            _, logits = self.neck(features)
            return {"identity": L.cross_entropy(logits, batch.labels), "extra": extra(features)}
"""
NUMBER = iter(range(1000))


def own(folder: Path, text: str, monkeypatch):
    """The class ``Mine`` from a file of its own, always under the same name, as after a restart of the kernel."""
    (folder / "own_method.py").write_text(textwrap.dedent(text), encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "own_method", raising=False)
    importlib.invalidate_caches()
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    return importlib.import_module("own_method").Mine


def own_code(folder: Path, text: str, monkeypatch, root: Path | None = None) -> dict[str, str]:
    method = own(folder, text, monkeypatch)(epochs=1, canvas=(32, 16), batch=(4, 2))
    method.setup("quick", 12)
    return code_of(method, helpers.tiny_protocol(), root).definitions


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("features.square()", "features.abs()"), ("WEIGHT = 0.5", "WEIGHT = 0.25"), ('{"scale": 2}', '{"scale": 3}'),
        ("GlobalPool as Pool", "BNNeck as Pool"), ('"extra": extra(', '"more": extra('),
        ("return {\"identity\": L.cross_entropy", "return {\"identity\": 2 * L.cross_entropy"),
    ],
)  # fmt: skip
def test_what_stands_beside_a_readers_own_class_counts(tmp_path, monkeypatch, old, new):
    before = own_code(tmp_path, HELPER, monkeypatch)
    assert {"own_method.Mine.losses", "own_method.extra", "lib.losses.cross_entropy"} <= before.keys()
    assert "own_method.unused" not in before
    assert own_code(tmp_path, HELPER.replace(old, new), monkeypatch) != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return features\n", "return 2 * features\n"), ("WEIGHT = 0.5", "WEIGHT = 1 / 2  # a half"),
        ("def extra(features, scale", "def extra(features: object, scale"),
        ('name = "mine"', '"""Mine."""\n        name = "mine"'),
        ("class Mine", "ANOTHER = 1\n\n\n    class Mine"),
    ],
)  # fmt: skip
def test_what_does_not_count_beside_it(tmp_path, monkeypatch, old, new):
    assert own_code(tmp_path, HELPER.replace(old, new), monkeypatch) == own_code(tmp_path, HELPER, monkeypatch)


@pytest.mark.parametrize("way", ["L", "losses"])
def test_a_loss_is_found_through_any_import(copy, tmp_path, monkeypatch, way):
    text = HELPER.replace("L.cross_entropy", f"{way}.centre_loss")
    found = own_code(tmp_path, text, monkeypatch, copy.root)
    assert "lib.losses.centre_loss" in found and "lib.losses.foreground_loss" not in found


def test_a_file_that_was_changed_after_its_import_is_refused(tmp_path, monkeypatch):
    method = own(tmp_path, HELPER, monkeypatch)(epochs=1, canvas=(32, 16), batch=(4, 2))
    method.setup("quick", 12)
    path = tmp_path / "own_method.py"
    path.write_text(path.read_text().replace("features.square()", "features.abs()"))
    with pytest.raises(CodeChanged, match=r"own_method.py was changed.*restart the kernel"):
        code_of(method, helpers.tiny_protocol())


def cell(text: str, space: dict) -> None:
    """Run a notebook's cell as IPython does: under a name of its own, its text kept for whoever asks."""
    name, text = f"<ipython-input-{next(NUMBER)}>", textwrap.dedent(text)
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space.setdefault("In", []).append(text)
    exec(compile(text, name, "exec"), space)


def test_a_notebooks_cells(monkeypatch):
    """Definitions come from the cells that made them, constants by their values, and the last one counts."""

    def key(*cells: str) -> str:
        space = {"__name__": "__main__"}
        for text in cells:
            cell(text, space)
        return total(definitions(space["use"]))

    first = "from lib.losses import cross_entropy as loss\nweight = 2.0"
    second = "def double(x):\n    return weight * x"
    third = "def use(x, y):\n    return double(loss(x, y))"
    assert key(first, second, third) == key(f"{first}  # two", '"""A cell."""', second, "other = 3", third)
    assert key(first, second, third) == key(first, "def double(x):\n    return 0", second, third)
    assert key(first, second, third) != key(first.replace("2.0", "3.0"), second, third)
    assert key(first, second, third) != key(first, second, third, "weight = 3.0")
    assert key(first, second, third) != key(first, second, third, "def double(x):\n    return x")
    assert key(first, second, third) != key(first.replace("cross_entropy", "pixel_mse"), second, third)


def test_without_a_text_there_is_code():
    spaces = [{"__name__": "__main__"} for _ in range(3)]
    for space, body in zip(spaces, ("x + 1", "x + 1", "x + 2"), strict=True):
        exec(f"def use(x): return {body}", space)
    found = [total(definitions(space["use"])) for space in spaces]
    assert found[0] == found[1] != found[2]


def test_values_arrays_partials_and_closures_count():
    def make(value):
        def use(x):
            return value, x

        return use

    values = [
        1,
        1.0,
        "1",
        (1,),
        [1],
        {"a": 1},
        {1},
        None,
        torch.ones(2),
        torch.zeros(2),
        cross_entropy,
        batch_hard_triplet,
    ]
    keys = [total(definitions(make(value))) for value in values]
    assert len(set(keys)) == len(values)
    assert keys == [total(definitions(make(value))) for value in values]


def test_what_a_notebook_holds_counts_by_what_it_is():
    """Tables, data sets and protocols that a cell's function names: the same content is the same."""

    def use_of(value):
        def use(x):
            return value, x

        return total(definitions(use))

    table = pd.DataFrame({"pid": ["a", "b"], "r": [0.5, 1.0]})
    assert use_of(table) == use_of(table.copy()) != use_of(table.assign(r=0.25))
    assert use_of(table) != use_of(table.rename(columns={"r": "s"})) and use_of(table["r"]) != use_of(table["pid"])
    assert use_of(helpers.tiny_protocol()) == use_of(helpers.tiny_protocol())
    assert use_of(helpers.tiny_protocol()) != use_of(helpers.tiny_protocol(ratios=("1",)))
    assert use_of(np.array(["a", None], object)) == use_of(np.array(["a", None], object)) != use_of(["a", None])
    loop = []
    loop.append(loop)
    assert use_of(loop) == use_of(loop)


def cells_key(*cells: str) -> str:
    """The key of ``use`` after these cells have run."""
    space = {"__name__": "__main__"}
    for text in cells:
        cell(text, space)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["__main__"], "In", space["In"], raising=False)
        return total(definitions(space["use"]))


MAKE = "def make(v):\n    def f(x):\n        return v * x\n    return f\n"
HAS_M = "class A:\n    m = 1\n    def f(self, x):\n        return self.m * x\n"
OWN = "def __init__(self, m):\n        self.m = m\n    def f(self, x):\n        return self.m * x\n"
USE = "def use(x):\n    return A().f(x)"
# (cells, a text in them, its replacement), which gives other numbers
OTHER_NUMBERS = {
    "two closures of one factory, the last": ([MAKE + "a, b = make(1), make(2)", "def use(x): return a(x) - b(x)"],
                                              "make(2)", "make(3)"),
    "two closures of one factory, exchanged": ([MAKE + "a, b = make(1), make(2)", "def use(x): return a(x) - b(x)"],
                                               "a, b = make", "b, a = make"),
    "the last of two lambdas": (["T = {1: lambda x: x + 1, 2: lambda x: x * 2}", "def use(x): return T[2](x)"],
                                "x * 2", "x * 3"),
    "a lambda's default": (["f = lambda x, k=2: x * k", "def use(x): return f(x)"], "k=2", "k=3"),
    "a default from before a constant changed": (["W = 1", "def use(x, w=W): return w * x", "W = 2"], "W = 1", "W = 3"),
    "what a decorator holds": ([MAKE + "def d(v): return lambda f: make(v)", "K = 1", "@d(K)\ndef f(x): ...", "K = 0",
                                "use = f"], "K = 1", "K = 2"),
    "a method bound to an object": ([f"class A:\n    {OWN}", "g = A(1).f", "def use(x): return g(x)"], "A(1)", "A(2)"),
    "the text of a method bound to an object": ([f"class A:\n    {OWN}", "g = A(1).f", "def use(x): return g(x)"],
                                               "self.m * x", "self.m + x"),
    "a function bound to one object": ([f"class A:\n    {OWN}", "import types\ndef f(self, x): return 2 * x\na = A(1)",
                                        "a.f = types.MethodType(f, a)", "def use(x): return a.f(x)"], "2 * x", "3 * x"),
    "a method bound to a table": (["g = {1: 1}.get", "def use(x): return g(x)"], "{1: 1}", "{1: 2}"),
    "an attribute set later": ([HAS_M + USE, "A.m = 2"], "A.m = 2", "A.m = 3"),
    "an attribute added later": ([HAS_M.replace("m = 1", "k = 1") + USE, "A.m = 2"], "A.m = 2", "A.m = 3"),
    "an attribute from before a constant changed": (["W = 1", HAS_M.replace("m = 1", "m = W") + USE, "W = 2"],
                                                    "W = 1", "W = 3"),
    "a method put in later": ([HAS_M + USE, "def f(self, x): return 2 * x", "A.f = f"], "2 * x", "3 * x"),
    "which import has which name": (["def use(x):\n    from lib.losses import cross_entropy as f, pixel_mse as g\n"
                                     "    return f(x, x) - g(x, x)"],
                                    "cross_entropy as f, pixel_mse as g", "cross_entropy as g, pixel_mse as f"),
    "a class in a function": (["w = 1", "def use():\n    class A:\n        w = w\n    return A.w"], "w = 1", "w = 2"),
    "an attribute in a pattern": (["class P:\n    @property\n    def x(self): return 1", "def use(p):\n    match P():\n"
                                   "        case P(x=1): return p"], "return 1", "return 2"),
    "what stands in slots": (["class A:\n    __slots__ = ('t',)\na = A()\na.t = 1", "def use(): return a.t"],
                             "a.t = 1", "a.t = 2"),
    "a list of one's own class": (["class A(list):\n    def f(self): return 1\na = A()", "def use(): return a.f()"],
                                  "return 1", "return 2"),
    "a text of one's own class": (["class A(str):\n    def f(self): return 1\na = A()", "def use(): return a.f()"],
                                  "return 1", "return 2"),
    "a tensor of bfloat16": (["import torch\nt = torch.ones(2, dtype=torch.bfloat16)", "def use(): return t"],
                             "ones", "zeros"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHER_NUMBERS)
def test_what_a_reader_changed_in_a_notebook_counts(case):
    cells, old, new = OTHER_NUMBERS[case]
    assert sum(text.count(old) for text in cells) == 1
    assert cells_key(*cells) == cells_key(*cells) != cells_key(*(text.replace(old, new) for text in cells))


def test_whence_each_function_imports_counts():
    """Both modules are used before and after: only who takes the name from where is exchanged."""
    text = "def {}():\n    from lib.{} import few\n    return few, f"
    text = "f = 0\n" + text.format("f", "{}") + "\n" + text.format("use", "{}")
    assert cells_key(text.format("definitions", "data.errors")) != cells_key(text.format("data.errors", "definitions"))


@pytest.mark.parametrize("use", ["random.gauss(0, 1)", "draw(0, 1)", "print(file=out)", "log.warning('x')"])
def test_what_was_drawn_or_said_before_does_not_count(use):
    cells = [
        "import io, logging, random\nrandom.seed(0)",
        "draw, log, out = random.gauss, logging.getLogger('x'), io.StringIO()",
    ]
    cells.append(f"def use():\n    return {use}")
    space = {"__name__": "__main__"}
    for text in cells:
        cell(text, space)
    before = definitions(space["use"])
    space["use"]()
    assert definitions(space["use"]) == before


def test_what_a_function_of_the_package_made_counts_by_what_it_closed_over():
    def made(value):
        def inner(x):
            return value, x

        inner.__module__, inner.__qualname__ = "lib.losses", "cross_entropy.<locals>.inner"
        return inner

    def key(inner):
        def use(x):
            return inner(x)

        return definitions(use)

    assert key(made(1)) == key(made(1)) != key(made(2)) and "lib.losses.cross_entropy" in key(made(1))


def test_a_lambda_has_the_same_key_in_every_process():
    """Python keeps a set of texts in another order in each."""
    script = """
    from lib.definitions import definitions, total
    print(total(definitions(lambda x: x in {"a", "b", "c", "d", "e"})))
    """
    found = set()
    for seed in ("1", "2", "3"):
        variables = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(lib.__file__).parents[1])}
        command = [sys.executable, "-c", textwrap.dedent(script)]
        found.add(subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1


# ---- the package as it runs


def test_a_changed_file_of_the_package_is_refused_where_it_matters(copy, monkeypatch):
    """What runs is the text that was imported; an edit that cannot matter to a result is none of its business."""
    disk = {name: Package(copy.root).read(name) for name in LOADED}
    text, is_package = disk["lib.losses"]
    monkeypatch.setitem(
        LOADED, "lib.losses", (text.replace("label_smoothing=smoothing", "label_smoothing=0"), is_package)
    )
    with pytest.raises(CodeChanged, match=r"lib\.losses\.cross_entropy changed on disk.*restart the kernel"):
        definitions(cross_entropy)
    assert "lib.losses.pixel_mse" in definitions("lib.losses.pixel_mse")


def test_unknown_starts_are_named():
    with pytest.raises(UnknownDefinition, match="lib.losses has no 'nothing'"):
        definitions("lib.losses.nothing")


def test_names_and_living_objects_begin_at_the_same_place():
    assert definitions(cross_entropy) == definitions("lib.losses.cross_entropy")
    assert differences({"a": "1", "b": "2"}, {"b": "3", "c": "4"}) == ["a", "b", "c"]


def test_a_key_is_quick_to_find(copy):
    """Text is parsed once: the second key of a method reads files and nothing else."""
    method = copy.methods["sing"]
    first, second = (code_of(method, copy.protocol) for _ in range(2))
    assert first == second and "lib.losses.cross_entropy" in first.definitions
    assert "lib.training.loop.Trainer.run" in first.definitions


# ---- what a text means


def test_comments_docstrings_and_layout_do_not_count():
    plain = "def f(x):\n    return g(x, 1)\n"
    dressed = '"""Module."""\n\n# a remark\ndef f(x: int = 0) -> int:  # why\n    """What."""\n'
    dressed = dressed.replace(": int = 0", ": int") + "\n    return g(\n        x,\n        1,\n    )\n"
    assert essence(plain) == essence(dressed)
    others = [plain.replace("1", "2"), plain.replace("f(", "h("), plain.replace("x, 1", "1, x"), plain + "f(3)\n"]
    for changed in others:
        assert essence(plain) != essence(changed)
    assert essence('x = "# one"\n') != essence('x = "# two"\n')
    assert essence("raise ValueError('a')") == essence("raise ValueError(f'{b}')") != essence("raise KeyError('a')")
    assert essence("if x:\n    raise E('a')") != essence("if x:\n    pass")


def test_names_belong_to_the_scope_that_python_looks_in():
    """A local name is not the module's; defaults, decorators and comprehensions' first sources are outside."""
    text = """
    def f(a, size=SIZE):
        from lib.losses import pixel_mse as loss
        own = [helper(x) for x in table if x > limit]
        def inner(b):
            return own, b, outer(b)
        table = loss(a)
        return inner
    """
    found = Code.of(ast.parse(textwrap.dedent(text)).body, "lib")
    assert found.names == {("SIZE",), ("helper",), ("limit",), ("outer",), ("from", "lib.losses", "pixel_mse")}


def test_only_the_members_in_use_and_those_of_other_packages_bases(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "__init__.py").write_text("")
    (tmp_path / "lib" / "parts.py").write_text(
        textwrap.dedent("""
        from dataclasses import dataclass
        from torch import nn

        class Base(nn.Module):
            extra = 1
            def forward(self, x):
                return self.helper(x)
            def helper(self, x):
                return x
            def unused(self, x):
                return x

        class Part(Base):
            def helper(self, x):
                return getattr(self, "named")(x)
            def named(self, x):
                return x
            def extra_repr(self):
                return ""

        @dataclass
        class Told:
            first: int
            second: int = 2
            third: int = 3

        class Owner:
            @dataclass(frozen=True, kw_only=True)
            class Settings:
                unset: int = 1
                rate: float = 0.5
                other: str = "a"

        class Heir(Owner):
            @dataclass(frozen=True, kw_only=True)
            class Settings(Owner.Settings):
                more: int = 1
                idle: int = 2

        def use(x):
            return Part()(x), Told(1).second, Heir.Settings(more=2).rate
        """)
    )
    found = definitions("lib.parts.use", root=tmp_path)
    parts = {name.removeprefix("lib.parts.") for name in found}
    assert parts == {
        "use", "Base", "Base.forward", "Base.helper", "Part", "Part.helper", "Part.named", "Part.extra_repr", "Told",
        "Told.first", "Told.second", "Heir", "Owner", "Heir.Settings", "Owner.Settings", "Owner.Settings.rate",
        "Heir.Settings.more",
    }  # fmt: skip


FIELDS = "class T:\n    a: int\n    b: int\ndef use(t=T(1, 2)): return t.a - t.b"
TURNED = ("a: int\n    b: int", "b: int\n    a: int")
OTHER_FILES = {
    "which import has which name": ("def use():\n    from lib.a import f as x, g as y\n    return x() - y()",
                                    "f as x, g as y", "f as y, g as x"),
    "what stands in for a missing import": ("try:\n    from lib.fast import f\nexcept ImportError:\n"
                                            "    def f(): return 1\n"
                                            "def use(): return f()", "return 1", "return 2"),
    "a loop that sets another package": ("import torch\nfor k in ('a', 'b'):\n    torch.backends.x[k] = 1\n"
                                         "def use(): return torch", "= 1", "= 2"),
    "an entry of what is no registry": ("class T:\n    def __init__(self): self.d = {}\n"
                                        "    def add(self, n, v): self.d[n] = v\nt = T()\nt.add('a', 1)\n"
                                        "def use(): return t.d", "'a', 1", "'a', 2"),
    "the order of a dataclass' fields": ("from dataclasses import dataclass\n@dataclass\n" + FIELDS, *TURNED),
    "the order of a tuple's fields": ("import typing\n" + FIELDS.replace("T", "T(typing.NamedTuple)", 1), *TURNED),
    "the order of an enumeration": ("from enum import Enum, auto\nclass E(Enum):\n    a = auto()\n    b = auto()\n"
                                    "def use(): return E.a.value", "a = auto()\n    b", "b = auto()\n    a"),
    "everything of a module": ("from lib.b import *\ndef use(): return h(W)", "from lib.b", "from lib.c"),
    "an attribute in a pattern": ("class P:\n    @property\n    def x(self): return 1\ndef use():\n    match P():\n"
                                  "        case P(x=1): return 0", "return 1", "return 2"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHER_FILES)
def test_what_a_file_of_the_package_says_in_other_ways_counts(tmp_path, case):
    text, old, new = OTHER_FILES[case]
    folder = tmp_path / "lib"
    folder.mkdir()
    others = {"__init__": "", "a": "def f(): return 1\ndef g(): return 2\n", "b": "W = 1\ndef h(x): return x\n"}
    for name, content in (others | {"c": others["b"].replace("1", "2")}).items():
        (folder / f"{name}.py").write_text(content)
    found = []
    for content in (text, text.replace(old, new)):
        (folder / "m.py").write_text(content)
        found.append((definitions("lib.m.use", root=tmp_path), definitions_of_text(content, root=tmp_path)))
    assert old in text and found[0][0] != found[1][0]
    if case == "everything of a module":
        assert {"lib.b.W", "lib.b.h"} <= found[0][1].keys() and {"lib.c.W", "lib.c.h"} <= found[1][1].keys()


def test_a_folder_comes_before_a_file_of_the_same_name(tmp_path):
    """As Python has it: a file that was left behind when a module became a folder is never imported."""
    (tmp_path / "lib" / "m").mkdir(parents=True)
    for name, content in {"__init__": "", "m": "def use(): return 1", "m/__init__": "def use(): return 2"}.items():
        (tmp_path / "lib" / f"{name}.py").write_text(content)
    before = definitions("lib.m.use", root=tmp_path)
    (tmp_path / "lib" / "m.py").unlink()
    assert definitions("lib.m.use", root=tmp_path) == before


def test_a_text_reaches_what_it_uses_and_every_entry_of_a_registry():
    text = """
    from lib.models.backbones import create_backbone
    network = create_backbone(f"resnet{18}")
    """
    found = definitions_of_text(textwrap.dedent(text))
    assert "lib.models.dgd.BACKBONES[dgd]" in found and "lib.models.dgd.DGD.forward" in found
    assert not any(name.startswith(("lib.plots", "lib.models.superres")) for name in found)
    assert inspect.getmodule(create_method).__name__ == "lib.methods"
