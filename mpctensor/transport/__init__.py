"""How parties make values public to one another: the only room that moves bytes between parties.

A protocol hands over a batch of openings and gets the public values back after one round. What is
sent has been masked by the protocol before; the channel is assumed private and authenticated, and
the provider is never on it.
"""

from .link import check_link
from .meter import Cost, Meter, cost
from .network import NetworkTransport, reason
from .opening import Opening, Transport
from .simulated import SimulatedTransport

__all__ = [
    "Cost",
    "Meter",
    "NetworkTransport",
    "Opening",
    "SimulatedTransport",
    "Transport",
    "check_link",
    "cost",
    "reason",
]
