"""The embedded people: rendered pedestrians whose identity, mask and attributes are known exactly.

`VERSION` is part of every cache and of every fingerprint. Once a method of the course has been measured on a
version, the version is frozen: no method may tune the data to its claims.
"""

from .identities import sample_identities
from .render import render_people

VERSION = "1.0"

__all__ = ["VERSION", "render_people", "sample_identities"]
