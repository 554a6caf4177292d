"""Where JBIM's text and its own tables do not agree: sentences beside what is printed (``data/published``).

None of it needs an experiment. It says which of the printed numbers can be taken for what the text calls them.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from lib.experiments.published import published

SETS = ("CAVIAR", "MLR-CUHK03", "MLR-SYSU", "MLR-VIPeR", "MLR-Market")
VIPER = "MLR-VIPeR"
RATIOS, MIXED = ("1/2", "1/3", "1/4"), "{1/2, 1/3, 1/4}"


def printed(number: int, metric: str = "rank-1") -> pd.DataFrame:
    """A table's values of a metric: a row per (method, variant), a column per set."""
    of = published(f"JBIM-T{number}").query("metric == @metric")
    return of.pivot(index=["method", "variant"], columns="dataset", values="value")


def below_rank1() -> pd.DataFrame:
    """Every printed row that has rank-1 and mAP, once: table, method, variant, dataset, rank-1, mAP."""
    keys = ["table", "method", "variant", "dataset"]
    everything = pd.concat([published(f"JBIM-T{number}") for number in (3, *range(5, 14))])
    both = everything.drop_duplicates([*keys, "metric"]).pivot(index=keys, columns="metric", values="value")
    return both[["rank-1", "mAP"]].dropna().reset_index()


def copied() -> pd.DataFrame:
    """Table 13's rows whose rank-1 and mAP are one number, which no ranking of several people gives, and which no other
    table has: one of the two was copied. Columns method, variant, dataset.
    """
    rows = below_rank1()
    rows = rows[(rows["table"] == "JBIM-T13") & (rows["rank-1"] == rows["mAP"])]
    return rows[["method", "variant", "dataset"]].reset_index(drop=True)


def outside_its_parts() -> pd.DataFrame:
    """Table 14: dataset, train, the rank-1 at each ratio and at the mixture, and whether the mixture's lies ``outside``
    those of its parts, though it is a mean over their probes.
    """
    of = published("JBIM-T14").query("metric == 'rank-1'")
    of = pd.concat([of, of["variant"].str.extract(r"train (?P<train>.+); test (?P<test>.+)")], axis=1)
    wide = of.pivot(index=["dataset", "train"], columns="test", values="value")
    parts = wide[list(RATIOS)]
    return wide.assign(outside=(wide[MIXED] < parts.min(axis=1)) | (wide[MIXED] > parts.max(axis=1))).reset_index()


def _map() -> str:
    rows = below_rank1()
    below = rows[rows["mAP"] < rows["rank-1"]]
    of = rows["dataset"].value_counts()
    where = ", ".join(
        f"{count} of {of[name]} printed rows on {name}" for name, count in below["dataset"].value_counts().items()
    )
    return (
        f"mAP is below rank-1 in {where} (one that two tables print counts twice): there it is over all images of a "
        "person"
    )


def _competitors() -> str:
    rank1 = printed(4)[VIPER]
    ours, rivals = rank1["JBIM", ""], rank1.drop("JBIM").sort_values()
    (name, _), best = rivals.index[-1], rivals.iloc[-1]
    return f"{name} has {best:.1f}, so {ours - best:.1f} points"


def _mixture() -> str:
    rows = outside_its_parts()
    return f"the mixed column lies outside its own parts in {rows['outside'].sum()} of {len(rows)} rows"


def _matched() -> str:
    rows = outside_its_parts().set_index(["dataset", "train"])
    gains = {
        (of, ratio): rows.loc[(of, MIXED), ratio] - rows.loc[(of, ratio), ratio]
        for of, _ in rows.index
        for ratio in RATIOS
    }
    better = [gain for gain in gains.values() if gain > 0]
    return (
        f"training on all three beats training on the ratio that is tested in {len(better)} of {len(gains)} places, by "
        f"{min(better):.1f} to {max(better):.1f} points"
    )


def _low_alone() -> str:
    low, everywhere = printed(5).loc[("JBIM", "without HIM")], printed(8).loc[("All-Resolution", "ResNet-50")]
    return (
        f"on MLR-CUHK03 it has {everywhere['MLR-CUHK03']:.1f}, and the same network shown low resolution only, "
        f"with its gallery shrunk, {low['MLR-CUHK03']:.1f} (Table 5)"
    )


def _alpha() -> str:
    rank1, mean = printed(9), printed(9, "mAP").loc[("JBIM", "alpha=0")]
    highest = [name for name in SETS if rank1[name].idxmax() != ("JBIM", "alpha=1")]
    copies = printed(7, "mAP").loc[("JBIM", "no synthetic LR")]
    worse = sum(mean[name] < copies[name] for name in SETS)
    return (
        f"not on {', '.join(highest)}; with alpha = 0 the mAP is below that without the copies (Table 7) on {worse} of "
        f"{len(SETS)} sets: the copies alone harm"
    )


def _beta() -> str:
    rank1 = printed(10)
    alone = [name for name in SETS if (rank1[name] >= rank1.loc[("JBIM", "beta=3"), name]).sum() == 1]
    return f"alone at the top on {len(alone)} of {len(SETS)} sets ({', '.join(alone)})"


def _any_network() -> str:
    rank1 = printed(11)
    spread = {of: rank1.loc[of].max() - rank1.loc[of].min() for of in ("HIM", "JBIM")}
    more = [name for name in SETS if spread["JBIM"][name] > spread["HIM"][name]]
    return f"over four networks JBIM's rank-1 spreads more than HIM's on {len(more)} of {len(SETS)} sets"


def _joint() -> str:
    places = {}
    for metric in ("rank-5", "rank-10"):
        rows = printed(6, metric)
        apart, joint = rows.loc[("HIM + LIM", "learned independently")], rows.loc[("JBIM", "")]
        places[metric] = [name for name in SETS if apart[name] > joint[name]]
    low, three = (
        printed(5).loc[("JBIM", "without HIM")],
        printed(6).loc[("SRCNN + ResNet-50 + LIM", "learned independently")],
    )
    under = [name for name in SETS if three[name] < low[name]]
    means = (
        printed(5, "mAP").loc[("JBIM", "without LIM")] - printed(6, "mAP").loc[("HIM + LIM", "learned independently")]
    )
    less = [name for name in SETS if means[name] > 0]
    said = " and ".join(f"{metric} on {len(some)}" for metric, some in places.items())
    return (
        f"learned apart the two have the higher {said} of {len(SETS)} sets; LIM with a second network beside it "
        f"(SRCNN + ResNet-50) is below LIM alone on {len(under)}, and HIM + LIM's mAP below HIM's on "
        f"{' and '.join(less)}"
    )


def _schemes() -> str:
    return f"Table 13 has {len(printed(13).loc['JBIM'])} rows of JBIM and as many of HIM"


def _copied() -> str:
    rows = copied()
    where = ", ".join(f"{row.method} at {row.variant}" for row in rows.itertuples())
    return f"on {' and '.join(rows['dataset'].unique())} rank-1 and mAP are one number in {len(rows)} rows: {where}"


def _osnet() -> str:
    beside = printed(12).loc[("SRCNN + OSNet", "")][VIPER]
    alone = published("JBIM-T3").query("method == 'OSNet' and metric == 'rank-1' and dataset == @VIPER")
    return (
        f"alone it has {alone['value'].iloc[0]:.1f} (Table 3), behind SRCNN {beside:.1f}: one model there, three here?"
    )


READ: tuple[tuple[str, str, Callable[[], str]], ...] = (
    ("§6.2", "the gallery has one image of each person", _map),
    ("§6.5", "17.4 points over all competitors on MLR-VIPeR", _competitors),
    ("§7.2", "learning the two together is better than apart", _joint),
    ("§7.4", "one network for all resolutions is worse than JBIM", _low_alone),
    ("§7.5", "rank-1 is highest at alpha = 1", _alpha),
    ("§7.6", "rank-1 peaks at beta = 3 on most sets", _beta),
    ("§2", "with LIM the choice of the super-resolution matters less", _any_network),
    ("Tables 3 and 12", "OSNet alone and behind SRCNN", _osnet),
    ("§7.8", "six combinations of three anchors", _schemes),
    ("Table 13", "rank-1 beside mAP", _copied),
    ("§7.10", "best where training and test have the same ratio", _matched),
    ("Table 14", "a test on a mixture of three ratios", _mixture),
)  # fmt: skip


def contradictions() -> pd.DataFrame:
    """section, what the text says, what the tables print."""
    return pd.DataFrame([(where, says, found()) for where, says, found in READ], columns=["where", "text", "tables"])
