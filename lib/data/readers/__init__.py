"""Readers: one function per public data set, from the layout its owner distributes to a :class:`lib.data.store.Source`.

Each takes the folder that holds the data sets (``root``) and the set's own options. None decodes an image before it is
asked to.
"""

from __future__ import annotations

from collections.abc import Callable

from lib.data.readers.caviar import caviar
from lib.data.readers.cuhk03 import cuhk03
from lib.data.readers.market1501 import dukemtmc, market1501
from lib.data.readers.msmt17 import msmt17
from lib.data.readers.own import from_csv, from_folder
from lib.data.readers.rendered import pedestrians, pedestrians_pretrain
from lib.data.readers.sysu import sysu
from lib.data.readers.viper import viper
from lib.data.store import Source

READERS: dict[str, Callable[..., Source]] = {
    "pedestrians": pedestrians,
    "pedestrians-pretrain": pedestrians_pretrain,
    "viper": viper,
    "caviar": caviar,
    "cuhk03": cuhk03,
    "market1501": market1501,
    "dukemtmc": dukemtmc,
    "msmt17": msmt17,
    "sysu": sysu,
}

__all__ = ["READERS", "from_csv", "from_folder"]
