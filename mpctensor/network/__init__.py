"""Authenticated connections between the processes of a session; knows no protocol and no secret.

TLS 1.3, both sides with certificates of a common authority, the certificate's name being the
member's name. A channel is a pair of connections, one for each direction. Nothing received is
unpickled, and nothing is allocated because a peer says so.
"""

from .channel import Channel, Frame, Kind, bytes_of
from .connection import LOOK, Heed
from .duplex import Duplex
from .identity import Identity
from .listener import Caller, Listener
from .meeting import dial, probe
from .sending import Departure

__all__ = [
    "LOOK",
    "Caller",
    "Channel",
    "Departure",
    "Duplex",
    "Frame",
    "Heed",
    "Identity",
    "Kind",
    "Listener",
    "bytes_of",
    "dial",
    "probe",
]
