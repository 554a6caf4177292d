"""The embedded people: rendered pedestrians whose identity, mask and attributes are known exactly.

The definitions of this folder are part of every cache and of every fingerprint (``lib.data.readers.rendered``): whoever
changes what is rendered has other people, and all that was trained on them is trained again. So once a method of the
course has been measured, the renderer stays as it is: no method may tune the data to its claims.
"""

from .identities import sample_identities
from .render import render_people

__all__ = ["render_people", "sample_identities"]
