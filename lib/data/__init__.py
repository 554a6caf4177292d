"""People in pictures: data sets, what resolution means, and the protocols that say who is searched for where."""

from lib.data.dataset import PersonDataset
from lib.data.errors import DataError, DataWarning
from lib.data.load import load_dataset
from lib.data.protocols import MARKET_VARIANTS, PRESETS, Protocol, load_protocol, make_protocol
from lib.data.resolution import KERNELS, degrade, enlarge, low_resolution_size, shrink

__all__ = [
    "KERNELS",
    "MARKET_VARIANTS",
    "PRESETS",
    "DataError",
    "DataWarning",
    "PersonDataset",
    "Protocol",
    "degrade",
    "enlarge",
    "load_dataset",
    "load_protocol",
    "low_resolution_size",
    "make_protocol",
    "shrink",
]
