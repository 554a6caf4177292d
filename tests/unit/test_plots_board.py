"""The board of claims: every verdict where it belongs, readable without colour."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from lib.plots import board, style

CELLS = list(itertools.product(("SR helps", "joint learning helps"), ("pedestrians", "viper"), ("paper", "control")))


@pytest.fixture(autouse=True)
def closed():
    yield
    style.plt.close("all")


def table(verdicts=("reproduced", "contradicted", "no effect", "undecided (1 training)") * 2) -> pd.DataFrame:
    found = pd.DataFrame(CELLS, columns=["claim", "set", "column"])
    return found.assign(verdict=list(verdicts))


def signs(fig) -> list[str]:
    known = {sign for sign, *_ in board.VERDICTS.values()}
    return [t.get_text() for t in fig.axes[0].texts if t.get_text() in known]


def test_every_verdict_has_its_sign():
    fig = board.claims_board(table())
    assert sorted(signs(fig)) == sorted("✓✗=?" * 2)
    shown = {t.get_text() for t in fig.axes[0].texts}
    assert {"SR helps", "joint learning helps", "embedded people", "VIPeR", "as the\npaper"} <= shown
    assert signs(board.claims_board(table().iloc[1:])).count("✓") == 1  # what was not measured stays empty


def test_verdicts_stay_apart_in_grey():
    grounds = sorted(style.luminance(to_rgb(ground)) for _, ground, _ in board.VERDICTS.values())
    assert min(b - a for a, b in itertools.pairwise(grounds)) > 0.1
    for _, ground, ink in board.VERDICTS.values():
        one, two = (style.luminance(to_rgb(c)) + 0.05 for c in (ground, ink))
        assert max(one, two) / min(one, two) > 3


@pytest.mark.parametrize("verdict", board.VERDICTS)
def test_a_verdict_that_is_in_the_legend_alone_keeps_its_colour_in_a_notebook(verdict):
    others = [one for one in board.VERDICTS if one != verdict]
    fig = board.claims_board(table([*others, *others, *others[:2]]))
    with Image.open(io.BytesIO(fig.palette_png())) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)  # (H W, 3)
    for word, (_, ground, _) in board.VERDICTS.items():
        drawn = np.round(255 * np.array(to_rgb(ground))).astype(int)
        assert (pixels == drawn).all(1).sum() >= 50, word


def test_the_title_counts_the_embedded_people():
    mixed = table(
        ("reproduced", "contradicted", "reproduced", "reproduced", "undecided (1 training)", "reproduced")
        + ("no effect",) * 2
    )
    said = "1 of 2 claims reproduced as the paper compares, 1 of 2 against the control (embedded people)"
    assert board.counted(mixed) == said
    assert " ".join(board.claims_board(mixed).get_suptitle().split()) == said
    without = mixed[(mixed["column"] == "paper") | (mixed["claim"] == "SR helps")]
    assert board.counted(without, "viper").startswith("1 of 2 claims") and "1 of 1 against" in board.counted(
        without, "viper"
    )


def test_a_set_has_the_name_of_the_verdicts():
    fig = board.claims_board(table().replace("viper", "caviar"))
    assert "CAVIAR4REID" in {t.get_text() for t in fig.axes[0].texts}


def test_what_is_no_verdict_is_refused():
    with pytest.raises(ValueError, match="'holds' is no verdict"):
        board.claims_board(table(("holds",) * 8))
    with pytest.raises(ValueError, match="columns are paper, control, not rival"):
        board.claims_board(table().assign(column="rival"))
    with pytest.raises(ValueError, match="two verdicts"):
        board.claims_board(pd.concat([table(), table().iloc[:1]]))
    many = pd.concat([table().iloc[:1].assign(claim=f"claim {k}") for k in range(board.MOST + 1)])
    with pytest.raises(ValueError, match="17 claims"):
        board.claims_board(many)
    with pytest.raises(ValueError, match="verdict"):
        board.claims_board(table().drop(columns="verdict"))
