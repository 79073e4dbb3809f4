"""`save` and `load`: a checkpoint of a session, in a file of its own at every party.

A file holds the shares of its party and what is public anyway; never masks, seeds or openings. The
parties write together: a save counts once everybody has written it, and one that was interrupted,
at whatever moment, leaves the one before it in place everywhere. Nothing is pickled, and nothing
that a file claims is believed before it is checked. A checksum finds accidents, not forgers: a
party must be able to trust its own disk.

`torch.save` and `torch.load` work too (`pickled`), without that togetherness.
"""

from . import pickled as _pickled  # noqa: F401  (tells torch.save and torch.load)
from .collective import load, save

__all__ = ["load", "save"]
