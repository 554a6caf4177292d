"""What the owners of the public sets say that they hold, so that half an unpacked archive is not taken for a set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

# As the readers count: without Market-1501's junk; MSMT17's validation list is a part of train.
PUBLISHED = {
    "viper": {"people": 632, "images": 1_264},
    "caviar": {"people": 72, "images": 1_220},
    "cuhk03": {"people": 1_467},
    "market1501": {"train images": 12_936, "query images": 3_368, "gallery images": 15_913},
    "dukemtmc": {"train images": 16_522, "query images": 2_228, "gallery images": 17_661},
    "msmt17": {"people": 4_101, "train images": 32_621, "query images": 11_659, "gallery images": 82_161},
    "sysu": {"people": 502, "images": 24_446},
}


def counted(records: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How many people, images, and images of each subset the records are of."""
    found = Counter(f"{record.get('subset', '')} images".strip() for record in records)
    return found | Counter(people=len({record["pid"] for record in records}))


def incomplete(name: str, found: Mapping[str, int]) -> list[str]:
    """A warning where a public set has more or less than its owner distributes; of other sets nothing is known."""
    wrong = [
        f"{found.get(what, 0):,} of {wanted:,} {what}"
        for what, wanted in PUBLISHED.get(name, {}).items()
        if found.get(what, 0) != wanted
    ]
    if not wrong:
        return []
    return [f"not what its owner distributes: {', '.join(wrong)}. Unpack the archive again, unless that is meant."]
