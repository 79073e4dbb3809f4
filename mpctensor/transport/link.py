"""What the line between the parties is like, which decides what protocols save."""

from __future__ import annotations

from ..errors import SessionError

LINKS = ("lan", "wan")


def check_link(link: str) -> str:
    """What the protocols save: bytes from the provider ("lan") or rounds ("wan")."""
    if link not in LINKS:
        raise SessionError(
            f"`link` is {link!r}; use 'lan' (fewer bytes from the provider) or 'wan' (fewer rounds"
            " between the parties, where messages take long)"
        )
    return link
