"""The published numbers: complete, plausible, and equal to values copied from the papers by hand."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from lib.course import paths
from lib.experiments import claims
from lib.experiments import published as module
from lib.experiments.published import (
    COLUMNS,
    PERCENT,
    all_published,
    claimed,
    claimed_in_words,
    published,
    wide,
)

# the tables of the course's ledger, and the two figures whose numbers the text gives
TABLES = {
    "RIPR": ["T1", "T2", "T3"],
    "FTWA": ["T1", "T2"],
    "SING": ["T1", "T2", "T3", "T4", "F5", "F6"],
    "PSHR": [f"T{number}" for number in range(1, 8)],
    "JBIM": [f"T{number}" for number in range(2, 15)],
}
PAPER_FILES = {
    "ripr": "ripr-mao-2019",
    "ftwa": "ftwa",
    "sing": "sing-jiao-2018",
    "pshrnet": "pshrnet-zhang-2021",
    "jbim": "jbim-zheng-2022",
}
SHARED = paths.ROOT.parent / "shared"


def value(table, method, dataset, metric, variant=""):
    rows = published(table).query(
        "method == @method and variant == @variant and dataset == @dataset and metric == @metric"
    )
    assert len(rows) == 1
    return rows["value"].item()


def test_every_table_is_there():
    assert sorted(all_published()["table"].unique()) == sorted(
        f"{paper}-{table}" for paper in TABLES for table in TABLES[paper]
    )


def test_every_table_of_the_ledger_is_there():
    ledger = SHARED / "LEDGER.csv"
    if not ledger.exists():
        pytest.skip("the ledger is not beside this checkout")
    with ledger.open() as lines:
        wanted = {row["id"] for row in csv.DictReader(lines) if re.search(r"-T\d+$", row["id"])}
    assert wanted <= set(all_published()["table"])


@pytest.mark.parametrize(
    ("table", "method", "variant", "dataset", "metric", "expected"),
    [
        ("RIPR-T1", "FFSR", "Gaussian mask, joint learning", "VR-MSMT17", "rank-1", 52.8),
        ("RIPR-T1", "VDSR", "", "VR-MSMT17", "flops_G", 32.79),
        ("RIPR-T2", "two ResNet-50", "learned weights", "VR-MSMT17", "rank-5", 67.4),
        ("RIPR-T3", "FFSR+RIFE", "", "VR-Market1501", "rank-1", 66.9),
        ("RIPR-T3", "SING", "", "MLR-CUHK03", "rank-5", 90.7),
        ("FTWA-T1", "FTWA", "", "CAVIAR", "rank-1", 43.3),
        ("FTWA-T1", "SING", "", "MLR-Market-1501", "rank-5", 87.8),
        ("FTWA-T2", "FTWA", "R: with RAFT", "MLR-CUHK03", "rank-1", 82.3),
        ("SING-T1", "SING", "", "MLR-SYSU", "rank-20", 88.1),
        ("SING-T2", "SRCNN + DGD", "", "MLR-VIPeR", "rank-1", 25.3),
        ("SING-T2", "Bicubic + XQDA", "", "CAVIAR", "rank-10", 83.1),
        ("SING-T3", "SING", "no synthetic LR", "MLR-CUHK03", "rank-1", 57.1),
        ("SING-T4", "SING", "1/2+1/3", "MLR-CUHK03", "rank-1", 66.8),
        ("SING-F5", "SING", "bottom image", "two examples", "psnr_dB", 18.97),
        ("SING-F6", "SING", "alpha=0", "MLR-VIPeR", "rank-1", 25.0),
        ("PSHR-T1", "PS-HRNet", "", "MLR-DukeMTMC-reID", "rank-10", 92.8),
        ("PSHR-T1", "RIFE", "", "CAVIAR", "rank-5", 74.9),
        ("PSHR-T2", "PS-HRNet", "SR+ID", "MLR-Market-1501", "rank-1", 87.6),
        ("PSHR-T3", "PS-HRNet", "solo SR", "MLR-CUHK03", "ssim", 0.93),
        ("PSHR-T4", "RCAN + ResNet-50", "", "MLR-Market-1501", "rank-1", 73.1),
        ("PSHR-T5", "HRNet-ReID", "max pooling", "DukeMTMC-reID", "mAP", 74.0),
        ("PSHR-T6", "HRNet-W32-C", "HRNetV2-W32", "Market-1501", "mAP", 72.8),
        ("PSHR-T7", "PS-HRNet", "Seq5, logits", "MLR-Market-1501", "rank-5", 96.6),
        ("JBIM-T2", "JBIM", "", "any", "params_M", 52.96),
        ("JBIM-T3", "JBIM", "OSNet", "MLR-VIPeR", "mAP", 63.1),
        ("JBIM-T4", "VDSR + ResNet-50", "", "MLR-VIPeR", "rank-1", 32.3),
        ("JBIM-T4", "Bicubic + DGD", "", "MLR-CUHK03", "rank-1", 71.4),
        ("JBIM-T5", "JBIM", "without HIM", "MLR-Market", "mAP", 68.5),
        ("JBIM-T6", "HIM + LIM", "learned independently", "MLR-VIPeR", "rank-10", 82.3),
        ("JBIM-T7", "JBIM", "no synthetic LR", "CAVIAR", "mAP", 48.6),
        ("JBIM-T8", "All-Resolution", "ResNet-50", "MLR-Market", "rank-1", 53.8),
        ("JBIM-T9", "JBIM", "alpha=100", "MLR-CUHK03", "mAP", 90.1),
        ("JBIM-T10", "JBIM", "beta=4", "MLR-SYSU", "rank-1", 59.2),
        ("JBIM-T11", "HIM", "SRGAN", "CAVIAR", "mAP", 46.8),
        ("JBIM-T12", "SRCNN + OSNet", "", "MLR-SYSU", "rank-1", 59.6),
        ("JBIM-T13", "JBIM", "1/2+1/3", "MLR-Market", "mAP", 71.7),
        ("JBIM-T14", "JBIM", "train 1/3; test 1/4", "MLR-CUHK03", "rank-1", 89.7),
        ("JBIM-T14", "JBIM", "train {1/2, 1/3, 1/4}; test 1/2", "MLR-Market", "mAP", 79.8),
    ],
)  # fmt: skip
def test_values_copied_by_hand(table, method, variant, dataset, metric, expected):
    assert value(table, method, dataset, metric, variant) == expected


def test_values_are_plausible():
    table = all_published()
    percent = table[table["metric"].isin(PERCENT)]
    assert percent["value"].between(0, 100).all()
    assert table[table["metric"] == "ssim"]["value"].between(0, 1).all()
    assert table[table["metric"] == "psnr_dB"]["value"].between(10, 50).all()
    assert set(table["metric"]) == {*PERCENT, "ssim", "psnr_dB", "flops_G", "macs_G", "params_M"}
    assert np.isfinite(table["value"]).all()
    assert not table.duplicated(["table", "method", "variant", "dataset", "metric"]).any()


def test_a_cmc_never_falls_except_where_the_paper_prints_that():
    ranks = all_published().query("metric.str.startswith('rank')").copy()
    ranks["rank"] = ranks["metric"].str.removeprefix("rank-").astype(int)
    falling = set()
    for key, rows in ranks.groupby(["table", "method", "variant", "dataset"]):
        if (np.diff(rows.sort_values("rank")["value"]) < 0).any():
            falling.add(key)
    assert falling == {("SING-T2", "Bilinear + NFST", "", "MLR-CUHK03")}


def test_the_same_claim_has_the_same_number_within_a_paper():
    """What a paper repeats in several tables must agree: slips of the hand show here."""
    for dataset in ("CAVIAR", "MLR-CUHK03", "MLR-SYSU", "MLR-VIPeR"):
        assert len({value(table, "SING", dataset, "rank-1", variant) for table, variant in
                    (("SING-T1", ""), ("SING-T2", ""), ("SING-T3", ""), ("SING-T4", "1/2+1/3+1/4"))}) == 1  # fmt: skip
    for dataset in ("CAVIAR", "MLR-CUHK03", "MLR-SYSU", "MLR-VIPeR", "MLR-Market"):
        places = [("JBIM-T4", ""), ("JBIM-T5", ""), ("JBIM-T6", ""), ("JBIM-T7", ""), ("JBIM-T9", "alpha=1")]
        places += [("JBIM-T10", "beta=3"), ("JBIM-T11", "SRCNN"), ("JBIM-T3", "")]
        assert len({value(table, "JBIM", dataset, "rank-1", variant) for table, variant in places}) == 1
        himself = [("JBIM-T5", "JBIM", "without LIM"), ("JBIM-T7", "HIM", ""), ("JBIM-T11", "HIM", "SRCNN")]
        assert len({value(table, method, dataset, "mAP", variant) for table, method, variant in himself}) == 1
    whole = value("PSHR-T2", "PS-HRNet", "MLR-Market-1501", "rank-1", "SR+ID+PS")
    assert value("PSHR-T1", "PS-HRNet", "MLR-Market-1501", "rank-1") == whole


def test_rows_quoted_from_another_protocol_say_so():
    """RIPR's VR-Market1501 numbers stand in two other papers under the name MLR-Market-1501."""
    for table, method in (("FTWA-T1", "RIFE"), ("PSHR-T1", "ResNet-50"), ("PSHR-T1", "RIFE"), ("PSHR-T1", "FFSR+RIFE")):
        rows = published(table).query(f"method == '{method}' and dataset == 'MLR-Market-1501'")
        assert rows["note"].str.contains("VR-Market1501").all()
        assert rows["value"].iloc[0] in published("RIPR-T3").query("dataset == 'VR-Market1501'")["value"].to_list()


@pytest.mark.parametrize("paper", PAPER_FILES)
def test_rows_stand_in_the_papers_as_they_are_here(paper):
    """Each row's numbers, in their order, stand side by side in the paper's text (read anew)."""
    source = SHARED / "papers" / f"{PAPER_FILES[paper]}.txt"
    if not source.exists():
        pytest.skip("the papers are not beside this checkout")
    numbers = re.findall(
        r"(?<![\d.])\d+(?:\.\d+)?(?!\d)", re.sub(r"\$[^$\n]*\$", " ", source.read_text(encoding="utf-8"))
    )
    stream = f" {' '.join(numbers)} "
    with Path(module.FOLDER / f"{paper}.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    groups = {}
    for row in rows:
        groups.setdefault((row["table"], row["method"], row["variant"], row["dataset"]), []).append(row["value"])
    missing = [key for key, values in groups.items() if f" {' '.join(values)} " not in stream]
    assert not missing


def test_unknown_tables_name_the_nearest():
    with pytest.raises(KeyError, match="did you mean 'RIPR-T1'"):
        published("ripr-t1")
    with pytest.raises(KeyError, match="no published table 'RIPR-F2'"):
        published("RIPR-F2")


def test_a_copy_is_returned():
    table = published("RIPR-T1")
    assert tuple(table.columns) == COLUMNS
    table["value"] = 0
    assert published("RIPR-T1")["value"].max() > 0


def test_wide_is_the_table_as_printed():
    table = wide("RIPR-T3", ("rank-1",))
    assert table.shape == (11, 5)
    assert list(table.index.get_level_values("method"))[:2] == ["DenseNet-121", "SE-ResNet-50"]
    assert table.loc[("RIFE", ""), ("CAVIAR", "rank-1")] == 35.7
    assert np.isnan(table.loc[("SDF", ""), ("VR-MSMT17", "rank-1")])


def test_what_is_printed_for_the_claims_is_what_the_papers_say():
    """Differences that the papers' own sentences name, or of two numbers copied by hand."""
    table = claimed().set_index(["id", "dataset"])["difference"]
    assert set(claimed()["id"]) <= set(claims.claims().index) and claimed().groupby("id").size().max() <= 9
    named = {"CAVIAR": 12.9, "MLR-CUHK03": 14.5, "MLR-SYSU": 6.3, "MLR-VIPeR": 17.4, "MLR-Market": 22.9}
    assert {name: round(table["JBIM-sr-reid", name], 1) for name in named} == named  # JBIM, the text about Table 4
    assert table["JBIM-complementary", "CAVIAR"] == pytest.approx(49.2 - 48.7)  # of two tables: T6 minus T5
    assert table["JBIM-ratio-match", "MLR-VIPeR"].round(1).tolist() == [0.3, 0.6, 2.2]  # tested at 1/2, 1/3, 1/4
    assert table["SING-joint", "MLR-VIPeR"] == pytest.approx(33.5 - 25.3)  # SING Table 2
    assert table["SING-synthetic", "CAVIAR"] == pytest.approx(7.7)  # SING, the text about Table 3
    assert table["SING-alpha-zero", "CAVIAR"] == pytest.approx(6.9)
    assert table["FTWA-raft", "MLR-CUHK03"] == pytest.approx(29.7)  # FTWA Table 2


def test_a_printed_claim_in_words():
    assert claimed_in_words("SING-synthetic", "CAVIAR") == "+7.7 (CAVIAR)"
    assert claimed_in_words("SING-joint") == "+3.9 to +8.2 (4 sets)" == claimed_in_words("SING-joint", "elsewhere")
    pictures = claimed_in_words("SING-psnr-lower")
    assert pictures.startswith("+1.9 to +3.8 dB (") and "sets" not in pictures
    assert claimed_in_words("RIPR-level") == ""
    # JBIM Table 14, tested at 1/2: 44.6 - 38.6 on MLR-VIPeR, 91.2 - 91.3 on -CUHK03, 92.3 - 90.1 on -Market
    assert claimed_in_words("JBIM-ratio-mixed", tested="1/2") == "-0.1 to +6.0 (3 sets)"
    assert claimed_in_words("JBIM-ratio-mixed") == "-0.9 to +7.0 (3 sets)"


def test_a_claimed_row_that_is_nowhere_printed_is_told(tmp_path, monkeypatch):
    for name in (*module.PAPERS, "claimed"):
        text = (module.FOLDER / f"{name}.csv").read_text(encoding="utf-8")
        (tmp_path / f"{name}.csv").write_text(text.replace("SING-joint,SING-T2,CAVIAR", "SING-joint,SING-T2,PRID"))
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"SING-T2 / PRID .* \(SING-joint\) is not one value"):
        claimed()
    (tmp_path / "claimed.csv").write_text("id,table\n")
    with pytest.raises(ValueError, match="has the columns id, table, not id"):
        claimed()
