"""Block diagrams of the methods: what goes through what, with shapes beside the arrows and losses where they stand.

A diagram is a few boxes and arrows on a grid of inches; ``Sketch`` draws them. Letters: B images in a batch, H x W the
canvas, D dimensions, N identities, r the resolution of an image.
"""

from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from lib.plots import style

# what a box is: ground, edge
KINDS = {
    "picture": ("#F2F2F2", "#777777"),
    "restores": ("#D9F0E6", "#00664B"),
    "features": ("#DCE8F5", "#14245C"),
    "head": ("#FFF1D6", "#A86F00"),
    "loss": ("#FBE3D6", "#A84300"),
    "given": ("#FFFFFF", "#999999"),
}
NAMES = {
    "restores": "super-resolution",
    "features": "features",
    "head": "neck, classifier",
    "loss": "loss, in training only",
}


class Sketch:
    """A page of boxes and arrows; x to the right and y upwards, in inches."""

    def __init__(self, width: float, height: float, title: str):
        self.fig = plt.figure(figsize=(width, height), FigureClass=style.Chart)
        self.ax = self.fig.add_axes((0, 0, 1, 1))
        self.ax.set_xlim(0, width)
        self.ax.set_ylim(0, height)
        self.ax.set_axis_off()
        self.ax.text(0.1, height - 0.08, title, fontsize=style.TITLE, fontweight="bold", va="top")
        self.fig.set_label(title)

    def box(self, x: float, y: float, text: str, kind: str, width: float = 1.15, height: float = 0.62) -> Box:
        """A box around (x, y)."""
        ground, edge = KINDS[kind]
        self.ax.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0,rounding_size=0.08",
                facecolor=ground, edgecolor=edge, linewidth=1.5, linestyle="--" if kind == "given" else "-",
            )
        )  # fmt: skip
        self.ax.text(x, y, text, fontsize=style.SMALL, ha="center", va="center", linespacing=1.15)
        return Box(x, y, width, height)

    def arrow(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        text: str = "",
        colour: str = "#444444",
        dashed: bool = False,
        above: bool = True,
    ) -> None:
        """An arrow with its text above its middle (or below it)."""
        self.ax.add_patch(
            FancyArrowPatch(
                start, end, arrowstyle="-|>", mutation_scale=12, color=colour, linewidth=1.6, shrinkA=0, shrinkB=0,
                linestyle="--" if dashed else "-",
            )
        )  # fmt: skip
        if text:
            x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
            side = {"va": "bottom", "y": y + 0.05} if above else {"va": "top", "y": y - 0.05}
            self.ax.text(x, s=text, fontsize=8.5, ha="center", color="#444444", linespacing=1.05, **side)

    def corner(self, start: tuple[float, float], end: tuple[float, float], colour: str = "#444444") -> None:
        """An arrow that goes across first, then up or down."""
        self.ax.plot([start[0], end[0]], [start[1], start[1]], color=colour, linewidth=1.6, solid_capstyle="butt")
        self.arrow((end[0], start[1]), end, colour=colour)

    def note(self, x: float, y: float, text: str, **options) -> None:
        chosen = {"fontsize": 9, "ha": "center", "va": "center", "color": "#333333"} | options
        self.ax.text(x, y, text, **chosen)

    def legend(self, *kinds: str, y: float = 0.2) -> None:
        """What the colours of the boxes mean, in one line at the foot."""
        x = 0.2
        for kind in kinds:
            ground, edge = KINDS[kind]
            self.ax.add_patch(
                FancyBboxPatch(
                    (x, y - 0.08), 0.22, 0.16, boxstyle="round,pad=0,rounding_size=0.03", facecolor=ground,
                    edgecolor=edge, linewidth=1.2,
                )
            )  # fmt: skip
            self.ax.text(x + 0.3, y, NAMES[kind], fontsize=9, va="center")
            x += 0.62 + 0.082 * len(NAMES[kind])


class Box:
    """Where a box stands, for the arrows that begin and end at its edges."""

    def __init__(self, x: float, y: float, width: float, height: float):
        self.left, self.right = (x - width / 2, y), (x + width / 2, y)
        self.top, self.bottom = (x, y + height / 2), (x, y - height / 2)
        self.x, self.y = x, y


def baseline(title: str = "The baseline: one network, two losses, on two sides of the neck") -> Figure:
    """The plain network with a BNNeck (lesson 04; Luo et al. 2019)."""
    s = Sketch(9.2, 3.0, title)
    y = 1.25
    picture = s.box(0.75, y, "image\nat any r,\nenlarged", "picture", height=0.8)
    net = s.box(2.85, y, "backbone\n(ResNet)", "features", height=0.8)
    pool = s.box(4.75, y, "average\npooling", "features", height=0.8)
    neck = s.box(6.5, y, "batch norm\n(BNNeck)", "head", height=0.8)
    classifier = s.box(8.4, y, "classifier,\nno bias", "head", height=0.8)
    s.arrow(picture.right, net.left, "B x 3\nx H x W")
    s.arrow(net.right, pool.left, "B x D\nx h x w")
    s.arrow(pool.right, neck.left, "B x D", above=False)
    s.arrow(neck.right, classifier.left, "B x D")
    triplet = s.box(5.62, 2.3, "batch-hard triplet", "loss", width=1.6, height=0.42)
    identity = s.box(8.4, 2.3, "cross entropy", "loss", width=1.3, height=0.42)
    s.arrow((triplet.x, y), triplet.bottom, colour=KINDS["loss"][1])
    s.arrow(classifier.top, identity.bottom, colour=KINDS["loss"][1])
    s.note(8.4 + 0.06, 1.87, "B x N", ha="left", fontsize=8.5)
    s.arrow((7.45, y), (7.45, 0.55))
    s.note(7.45, 0.42, "the descriptor when searching", fontweight="bold")
    s.legend("features", "head", "loss")
    return s.fig


def sing(title: str = "SING: three streams share one super-resolution and one feature network; four losses") -> Figure:
    """SING's three streams through its shared networks (Jiao et al. 2018, Fig. 3, Eq. 2 to 5)."""
    s = Sketch(10.2, 4.75, title)
    rows = {"h": 3.7, "h2l": 2.4, "l": 1.1}
    high = s.box(0.9, rows["h"], "$x^h$\nhigh-resolution\nside", "picture", width=1.45, height=0.82)
    copy = s.box(0.9, rows["h2l"], "$x^{h2l}$\nthe same at $m$:\n1/2, 1/3 or 1/4", "picture", width=1.45, height=0.82)
    low = s.box(0.9, rows["l"], "$x^l$\nlow-resolution\nside", "picture", width=1.45, height=0.82)
    s.arrow(high.bottom, copy.top)
    s.note(1.0, (rows["h"] + rows["h2l"]) / 2, "degraded", ha="left", fontsize=8.5)
    middle = (rows["h2l"] + rows["l"]) / 2
    sr = s.box(3.3, middle, "$F_{sr}$\nSRCNN,\none for both\nstreams", "restores", width=1.2, height=2.12)
    fe = s.box(
        6.3, rows["h2l"], "$F_{fe}$\nfeatures,\none for all\nthree\nstreams", "features", width=1.15, height=3.42
    )
    fc = s.box(7.85, rows["h2l"], "$F_c$\nclassifier", "head", width=1.0, height=3.42)
    s.arrow(high.right, (fe.left[0], rows["h"]), "B x 3 x H x W")
    for stream, row in ((copy, "h2l"), (low, "l")):
        s.arrow(stream.right, (sr.left[0], rows[row]), "enlarged\nto H x W")
        s.arrow(
            (sr.right[0], rows[row]), (fe.left[0], rows[row]), f"$F_{{sr}}(x^{{{row}}})$,  B x 3 x H x W", above=False
        )
    for row in rows:
        s.arrow((fe.right[0], rows[row]), (fc.left[0], rows[row]), "D")
        loss = s.box(9.4, rows[row], f"cross entropy\n$L_s(f^{{{row}}})$", "loss", width=1.3, height=0.66)
        s.arrow((fc.right[0], rows[row]), loss.left, "N", colour=KINDS["loss"][1])
    pixel = s.box(4.8, 3.05, r"$\alpha\ \|F_{sr}(x^{h2l}) - x^h\|^2$", "loss", width=1.75, height=0.45)
    s.arrow((4.8, rows["h"]), pixel.top, colour=KINDS["loss"][1])
    s.arrow((4.8, rows["h2l"]), pixel.bottom, colour=KINDS["loss"][1])
    s.note(
        5.1, 0.48, "Searching: a probe takes the lowest path (three models, one for each m, fused by r), "
        "a gallery image the upper one",
    )  # fmt: skip
    s.legend("restores", "features", "head", "loss", y=0.18)
    return s.fig


def jbim(title: str = "JBIM: one branch sharpens, one stays low, and a fusion network joins the two") -> Figure:
    """JBIM's streams through HIM, LIM and the fusion network (Zheng et al. 2022, Fig. 4, Eq. 2 to 11)."""
    s = Sketch(11.2, 5.6, title)
    rows = {"h": 4.55, "h2l": 3.15, "l": 1.75}
    texts = {"h": "$x^h$\nhigh side", "h2l": "$x^{h2l}$: $x^h$\nat the model's $m$", "l": "$x^l$\nlow side"}
    shown = {name: s.box(0.85, y, texts[name], "picture", width=1.4, height=0.74) for name, y in rows.items()}
    s.arrow(shown["h"].bottom, shown["h2l"].top)
    s.note(0.95, (rows["h"] + rows["h2l"]) / 2, "degraded", ha="left", fontsize=8.5)
    blue, low_ink = KINDS["features"][1], "#7A3B68"
    sr = s.box(2.75, 2.65, "$F_{sr}$\nSRCNN", "restores", width=0.95, height=1.9)
    him = s.box(5.0, 3.3, "HIM\n$F^h$\nfeatures of\nwhat is\nsharp", "features", width=1.2, height=3.1)
    lim = s.box(5.0, 1.2, "LIM\n$F^l$: features of what is small", "features", width=2.6, height=0.72)
    s.arrow(shown["h"].right, (him.left[0], rows["h"]), "as it is")
    for name, lift in (("h2l", 0.22), ("l", 0.2)):
        y = rows[name] + lift
        s.arrow((shown[name].right[0], y), (sr.left[0], y))
        s.arrow((sr.right[0], y), (him.left[0], y), f"$F_{{sr}}(x^{{{name}}})$" if name == "h2l" else "")
    s.arrow((shown["l"].right[0], 1.52), (lim.left[0], 1.34), colour=low_ink)
    s.ax.plot([1.55, 1.78, 1.78], [2.92, 2.92, 1.1], color=low_ink, linewidth=1.6)
    s.arrow((1.78, 1.1), (lim.left[0], 1.1), "both as they are, enlarged", colour=low_ink, above=False)
    ffn = s.box(8.0, 2.75, "fusion\n[ $f_h$ , $f_l$ ]\nFC, batch norm,\nReLU, dropout", "head", width=1.6, height=1.3)
    pairs = {"h": ("$f_h^h$", 3.05), "l": ("$f_h^l$", 2.5)}
    for text, y in pairs.values():
        s.arrow((him.right[0], y), (ffn.left[0], y), text, colour=blue)
    s.corner((lim.right[0], 1.2), (8.0, ffn.bottom[1]), colour=low_ink)
    s.note(7.1, 1.36, "$f_l^{h2l}$ beside $f_h^h$,  $f_l^l$ beside $f_h^l$", fontsize=8.5, color=low_ink)
    s.box(8.25, 4.6, "HIM: cross entropy and triplet\nof $f_h^h,\\ f_h^{h2l},\\ f_h^l$", "loss", width=2.7, height=0.62)
    s.arrow((him.right[0], 4.6), (6.9, 4.6), colour=KINDS["loss"][1])
    pixel = s.box(3.35, 5.02, r"$\alpha\ \|F_{sr}(x^{h2l}) - x^h\|^2$", "loss", width=1.9, height=0.42)
    s.arrow((3.35, rows["h2l"] + 0.22), pixel.bottom, colour=KINDS["loss"][1])
    s.box(5.0, 0.52, "LIM: both, of $f_l^{h2l},\\ f_l^l$", "loss", width=2.6, height=0.36)
    s.arrow(lim.bottom, (5.0, 0.7), colour=KINDS["loss"][1])
    fused = s.box(10.15, 2.75, "$\\beta$ (both),\nof $f_f^h,\\ f_f^l$", "loss", width=1.35, height=0.7)
    s.arrow(ffn.right, fused.left, "$n_h + n_l$", colour=KINDS["loss"][1])
    s.note(8.6, 0.95, "Searching: a probe takes both paths of $x^l$,\na gallery image that of $x^h$ and, at $m$, LIM's")
    s.legend("restores", "features", "head", "loss", y=0.16)
    return s.fig


def pshrnet(
    title: str = "PS-HRNet: first a teacher learns from what is sharp, then a pupil beside it from what is small",
) -> Figure:
    """PS-HRNet's two phases (Zhang et al. 2021, Fig. 2 and 4, Eq. 5 to 12): the teacher above, the pupil below."""
    s = Sketch(11.2, 5.1, title)
    top, bottom, red = 3.75, 1.45, KINDS["loss"][1]
    left, right, up, down = 3.35, 9.62, top + 0.68, top - 0.55
    s.ax.plot(
        [left, right, right, left, left], [down, down, up, up, down], color="#999999", linestyle="--", linewidth=1
    )
    s.note(3.45, top + 0.53, "phase 1: learned alone; then frozen, in evaluation mode", ha="left", fontstyle="italic")
    sharp = s.box(0.6, top, "$x_h$\nas it was", "picture", width=0.95, height=0.7)
    small = s.box(0.6, bottom, "$x_l$\nas shown,\nenlarged", "picture", width=0.95, height=0.8)
    sr = s.box(2.3, bottom, "G\nVDSR-CA", "restores", width=1.05, height=0.8)
    s.arrow(small.right, sr.left)
    names = {top: ("teacher", "^h"), bottom: ("pupil", "^l")}
    for y, (name, side) in names.items():
        net = s.box(4.15, y, f"HRNet\n({name})", "features", width=1.15, height=0.8)
        s.arrow(sharp.right if y == top else sr.right, net.left, "" if y == top else "$G(x_l)$")
        poolings = f"4 poolings:\nSeq(1)$ {side}$ ... Seq(4)$ {side}$,\nSeq(5)$ {side}$: all of them"
        head = s.box(6.35, y, poolings, "head", width=1.9, height=0.8)
        s.arrow(net.right, head.left, "4 maps")
        fc = s.box(8.65, y, f"FC, batch norm: $l_f{side}$\nFC: $l_c{side}$", "head", width=1.7, height=0.8)
        s.arrow(head.right, fc.left, "Seq(5)")
        identity = s.box(10.45, y, "$L_{ID}$: cross\nentropy and\n5 triplets", "loss", width=1.15, height=0.8)
        s.arrow(fc.right, identity.left, colour=red)
    s.box(1.45, 2.6, "$L_{SR}$: $|G(x_l) - x_h|_1$", "loss", width=1.9, height=0.42)
    s.arrow((0.75, top - 0.35), (0.75, 2.81), colour=red)
    s.arrow((2.2, bottom + 0.4), (2.2, 2.39), colour=red)
    s.box(7.5, 2.6, "$L_{PS}$: $|C^h - C^l|_1$ for Seq(1), Seq(4), Seq(5), $l_c$", "loss", width=4.3, height=0.42)
    for x in (6.35, 8.65):
        s.arrow((x, top - 0.4), (x, 2.81), colour=red, dashed=True)
        s.arrow((x, bottom + 0.4), (x, 2.39), colour=red)
    s.note(3.75, 2.6, "phase 2: learned together", fontstyle="italic")
    s.note(5.6, 0.62, "Searching: probe and gallery alike take the lower path; the descriptor [ Seq(5), $l_f$ ], "
           "summed over the picture and its mirror image", fontsize=9)  # fmt: skip
    s.legend("restores", "features", "head", "loss", y=0.2)
    return s.fig


def ftwa(title: str = "FTWA: every picture has two vectors, and each says how much it weighs") -> Figure:
    """FTWA's two encoders, T and the two streams behind it (Zhang et al. 2021, Fig. 1, Eq. 1 to 8)."""
    s = Sketch(11.6, 5.5, title)
    rows = {"h": 4.4, "c": 3.0, "l": 1.6}
    texts = {"h": "$I_{HR}$\nhigh side", "c": "$I'_{LR}$: the same at\n1/2, 1/3 or 1/4", "l": "$I_{LR}$\nlow side"}
    shown = {name: s.box(0.9, y, texts[name], "picture", width=1.45, height=0.74) for name, y in rows.items()}
    s.arrow(shown["h"].bottom, shown["c"].top)
    s.note(1.0, (rows["h"] + rows["c"]) / 2, "degraded", ha="left", fontsize=8.5)
    blue, red = KINDS["features"][1], KINDS["loss"][1]
    e_h = s.box(2.75, rows["h"], "$E_H$\nstem, stage 1", "features", width=1.15, height=0.74)
    e_l = s.box(2.75, 2.3, "$E_L$\nstem,\nstage 1", "features", width=1.15, height=2.14)
    e_id = s.box(4.35, 2.85, "$E_{ID}$\nstages\n2 to 4,\nshared", "features", width=0.95, height=3.9)
    s.arrow(shown["h"].right, e_h.left)
    s.arrow(e_h.right, (e_id.left[0], rows["h"]))
    for name in ("c", "l"):
        s.arrow((shown[name].right[0], rows[name]), (e_l.left[0], rows[name]))
        s.arrow((e_l.right[0], rows[name]), (e_id.left[0], rows[name]))
    t = s.box(6.15, 2.55, "T: RAFT\nlow maps\nto high", "features", width=0.95, height=1.2)
    high = s.box(8.35, 3.45, "H\npooled,\n$C_{HR}$, $W_{HR}$", "head", width=1.3, height=2.4)
    low = s.box(8.35, 1.35, "L\npooled,\n$C_{LR}$, $W_{LR}$", "head", width=1.3, height=0.95)
    s.arrow((e_id.right[0], rows["h"]), (high.left[0], rows["h"]), "$F_{HR}$", colour=blue)
    for y, text in ((2.9, "$F'_{LR}$"), (2.35, "$F_{LR}$")):
        s.arrow((e_id.right[0], y), (t.left[0], y), text, colour=blue)
    s.arrow((t.right[0], 2.45), (high.left[0], 2.45), "$F'_{HR} = T(F_{LR})$", colour=blue)
    s.arrow((e_id.right[0], 1.35), low.left, "$F'_{LR}$ and $F_{LR}$ as they are", colour=blue)
    raft = s.box(6.15, 3.72, r"$0.1\ \|F_{HR} - T(F'_{LR})\|_1$", "loss", width=1.95, height=0.42)
    s.arrow((6.15, rows["h"]), raft.top, colour=red)
    s.arrow(t.top, raft.bottom, colour=red)
    identity = s.box(
        10.4, 3.75, "cross entropy of H and L,\nweighed a : b, $\\times$ 3", "loss", width=2.05, height=0.72
    )
    triplet = s.box(10.4, 1.55, "triplets of H and L, weighed\n$a_i a_p$ : $b_i b_p$", "loss", width=2.15, height=0.72)
    s.arrow((high.right[0], 3.75), identity.left, "a", colour=red)
    s.arrow((high.right[0], 2.9), (triplet.left[0] + 0.3, triplet.top[1]), colour=red)
    s.arrow((low.right[0], 1.45), (triplet.left[0], 1.45), "b", colour=red, above=False)
    s.arrow((low.right[0], 1.7), (identity.left[0] + 0.5, identity.bottom[1]), colour=red)
    s.note(
        5.8, 0.55, "Searching: a probe takes the lowest path, through T to H and past it to L; a gallery image the "
        "upper one to H, and with a copy at 1/3 the middle one to L",
    )  # fmt: skip
    s.legend("features", "head", "loss", y=0.18)
    return s.fig


def ffsr(title: str = "FFSR: sharpen every picture, and count errors on the person most") -> Figure:
    """RIPR's foreground-focused super-resolution as this course builds it (``lib.models.superres.FFSR``): twelve layers
    with symmetric skips (Mao et al. 2019, §4.1, Eq. 5), before the re-identification."""
    s = Sketch(10.45, 4.15, title)
    y = 1.9
    picture = s.box(0.7, y, "$I^r$\nenlarged", "picture", width=1.0, height=1.15)
    parts = [
        (2.15, "conv\nC", 1.15), (3.13, "conv\n/ 2\n2C", 0.95), (4.1, "conv\n/ 2\n4C", 0.75),
        (5.07, "6 conv\n4C", 0.75), (6.04, "up\nx 2\n2C", 0.95), (7.01, "up\nx 2\nC", 1.15), (7.98, "conv\n3", 1.15),
    ]  # fmt: skip
    boxes = [s.box(x, y, text, "restores", width=0.72, height=height) for x, text, height in parts]
    s.arrow(picture.right, boxes[0].left, "3 x H\nx W")
    for one, other in itertools.pairwise(boxes):
        s.arrow(one.right, other.left)
    out = s.box(9.25, y, "$I'$\nsharp", "picture", width=0.75, height=1.15)
    s.arrow(boxes[-1].right, out.left, "3 x H\nx W")
    # what goes down is added on the way up, before the layer that the arrow ends at
    skips = ((boxes[2], boxes[4]), (boxes[1], boxes[5]), (boxes[0], boxes[6]), (picture, out))
    for number, (start, end) in enumerate(skips):
        floor = 1.28 - 0.15 * number
        stop = end.x - 0.12
        s.ax.plot([start.x, start.x, stop], [start.bottom[1], floor, floor], color="#00664B", linewidth=1.4)
        s.arrow((stop, floor), (stop, end.bottom[1]), colour="#00664B")
    s.note(5.1, 0.62, "skips: added where the way up has the same size, the picture itself at the end")
    loss = s.box(6.2, 3.3, r"$\|M \cdot (I' - I^h)\|^2$", "loss", width=1.8, height=0.48)
    mask = s.box(3.4, 3.3, "M: a Gaussian, large on the person", "given", width=2.9, height=0.48)
    original = s.box(8.6, 3.3, "$I^h$: the original", "picture", width=1.6, height=0.48)
    s.arrow(mask.right, loss.left)
    s.arrow(original.left, loss.right)
    s.ax.plot([out.x, out.x, loss.x], [out.top[1], 2.76, 2.76], color=KINDS["loss"][1], linewidth=1.6)
    s.arrow((loss.x, 2.76), loss.bottom, colour=KINDS["loss"][1])
    s.arrow(out.right, (10.35, y), "to\nre-id")
    s.legend("restores", "loss")
    return s.fig


def rife(title: str = "RIFE: two streams meet after each block; each says what it weighs") -> Figure:
    """RIPR's dual-stream feature extractor (Mao et al. 2019, §4.2, Eq. 6 to 9): two of its T blocks, and the end."""
    s = Sketch(9.8, 4.35, title)
    low, middle, high = 1.3, 2.35, 3.4
    stem = s.box(0.85, middle, "image\nand stem", "picture", width=1.1, height=0.8)
    at = stem
    for number, x in enumerate((2.6, 5.2), start=1):
        start = at.right[0] + 0.22
        s.ax.plot([at.right[0], start], [middle, middle], color="#444444", linewidth=1.6)
        s.ax.plot([start, start], [low, high], color="#444444", linewidth=1.6)
        fused = s.box(x + 1.15, middle, "$w_L m_L$\n$+\\ w_H m_H$", "head", width=1.05, height=0.62)
        for y, name in ((high, "H"), (low, "L")):
            stream = "high" if name == "H" else "low"
            box = s.box(x, y, f"block {number},\n{stream} r", "features", width=1.05, height=0.66)
            s.arrow((start, y), box.left)
            s.ax.plot([box.right[0], fused.x], [y, y], color="#444444", linewidth=1.6)
            end = fused.top if name == "H" else fused.bottom
            s.arrow((fused.x, y), end)
            beyond = y + (0.12 if name == "H" else -0.12)
            s.note(fused.x - 0.27, beyond, f"$m_{name},\\ w_{name}$", fontsize=8.5)
        at = fused
    pool = s.box(7.7, middle, "pooling,\nneck", "head", width=0.95, height=0.8)
    classifier = s.box(9.1, middle, "classifier", "head", width=0.95, height=0.8)
    s.arrow(at.right, pool.left, "...")
    s.arrow(pool.right, classifier.left, "D")
    identity = s.box(9.1, high, "cross\nentropy", "loss", width=0.95, height=0.6)
    s.arrow(classifier.top, identity.bottom, "", colour=KINDS["loss"][1])
    s.note(9.16, (middle + high) / 2 + 0.04, "N", ha="left", fontsize=8.5)
    s.box(8.3, low, "$\\beta\\ ((w_L - (1 - r))^2 + (w_H - r)^2)$\nafter every block", "loss", width=2.75, height=0.6)
    s.note(3.7, 0.62, "w: from the stream's own map by pooling and two layers; the true r is needed in training only")
    s.legend("features", "head", "loss")
    return s.fig
