"""Sessions between processes: who takes part (`parties.toml`), and how they come together."""

from .config import Config, Member, load
from .joining import Membership, join

__all__ = ["Config", "Member", "Membership", "join", "load"]
