"""Writing a `parties.toml`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from ..starting import check_names

HEADER = """\
# Every member has this file. Replace the addresses; in your own copy, your own address is the one
# to listen at. Certificate and key are needed on the member's own machine only.
"""


def file_stem(name: str) -> str:
    """A member's name as the name of a file."""
    return re.sub(r"[^\w.-]+", "_", name).strip(".") or "_"


def default_files(name: str) -> tuple[str, str]:
    """(certificate, key)."""
    return f"{file_stem(name)}.pem", f"{file_stem(name)}.key"


def placeholder(name: str, place: int) -> str:
    """An address to be replaced."""
    host = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or "member"
    return f"{host}.example:{7000 + place}"


def line_up(
    parties: Sequence[str],
    provider: str,
    addresses: Sequence[str] | None = None,
    *,
    settings: Sequence[str] = ('ca = "ca.pem"',),
    certificates: bool = True,
) -> str:
    """The text of a parties.toml. addresses: of the parties in order, then the provider."""
    check_names(parties, provider)
    members = [*(("parties", name) for name in parties), ("provider", provider)]
    stems = [file_stem(name) for _, name in members]
    if len(set(stems)) < len(stems):
        raise ValueError(f"two of {', '.join(parties)}, {provider} would have the same file names")
    parts = [HEADER, "\n".join(settings), "\n"]
    for place, (section, name) in enumerate(members):
        address = addresses[place] if addresses else placeholder(name, place)
        parts.append(f"\n[{section}.{_key(name)}]\naddress = {_string(address)}\n")
        if certificates:
            certificate, key = default_files(name)
            parts.append(f"certificate = {_string(certificate)}\nkey = {_string(key)}\n")
    return "".join(parts)


def write_line_up(folder: Path, text: str) -> Path:
    """The text as parties.toml in a folder."""
    path = folder / "parties.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _string(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _string(name)
