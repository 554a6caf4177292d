"""The rank-1 that papers print and that the record has, on the same protocol: what may stand in one column."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from lib.evaluation.intervals import counted
from lib.experiments.baseline import TRANSFER
from lib.experiments.published import published
from lib.experiments.recorded import TARGETS, Record

# whose numbers stand beside: (table, method, variant)
PUBLISHED = (
    ("RIPR-T3", "ResNet-50", ""),
    ("JBIM-T8", "All-Resolution", "ResNet-50"),
    ("SING-T2", "SING", ""),
    ("RIPR-T3", "FFSR+RIFE", ""),
    ("JBIM-T8", "JBIM", ""),
)


def printed_levels(of: str) -> pd.DataFrame:
    """What the papers print for the protocol ``of`` ("MLR-VIPeR"): table, method, rank-1 (percent), in the order of
    ``PUBLISHED``; without those that do not have it.
    """
    found = []
    for table, method, variant in PUBLISHED:
        some = published(table).query("metric == 'rank-1' and dataset == @of and method == @method")
        some = some[some["variant"].fillna("") == variant]
        found += [{"table": table, "method": method, "rank-1": value} for value in some["value"]]
    return pd.DataFrame(found, columns=["table", "method", "rank-1"])


def levels(record: Record, sets: Sequence[str] = ("viper", "caviar")) -> pd.DataFrame:
    """The papers' rank-1 and the record's on the same protocols: protocol, network, from, rank-1 ("33.5", or
    "37.7 [33.1, 42.3]"); the papers' first.
    """
    lines = []
    for (preset, name), of in TARGETS.items():
        if name not in sets:
            continue
        for table, method, value in printed_levels(of).itertuples(index=False):
            lines.append({"protocol": of, "network": method, "from": table, "rank-1": f"{value:.1f}"})
        if name in record.origins:
            rows = record.rows
            rows = rows[(rows["set"] == name) & (rows["preset"] == preset) & (rows["metric"] == "rank-1")]
            for x in rows.itertuples():
                text = f"{100 * x.value:.1f} [{100 * x.low:.1f}, {100 * x.high:.1f}]"
                behind = counted(x.trials, "split") if x.row == TRANSFER else counted(x.trainings, "training")
                lines.append({"protocol": of, "network": x.row, "from": f"here, {behind}", "rank-1": text})
    return pd.DataFrame(lines, columns=["protocol", "network", "from", "rank-1"])
