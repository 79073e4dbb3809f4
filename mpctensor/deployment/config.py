"""`parties.toml`: the members of a deployment, their addresses, and this machine's files.

    ca = "ca.pem"                  # who vouches for members; relative to this file
    timeout = 300                  # seconds without a word before a peer counts as lost
    startup = 300                  # seconds that everybody has for turning up
    link = "lan"                   # or "wan": fewer rounds, more bytes

    [parties.alice]                # in the order in which shares are numbered
    address = "hospital-a.example:7000"
    certificate = "alice.pem"      # certificate and key are needed on the member's own machine only
    key = "alice.key"

    [parties.bob]
    ...

    [provider.james]
    ...

`plain_tcp = true` instead of certificates is accepted on loopback only.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SessionError
from ..network import Identity
from ..transport import check_link

SETTINGS = {"ca", "timeout", "startup", "link", "plain_tcp", "parties", "provider"}
MEMBER = {"address", "certificate", "key"}


@dataclass(frozen=True)
class Member:
    """One line-up entry. address: (host, port). certificate, key: PEM files, where given."""

    name: str
    address: tuple[str, int]
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Config:
    """A deployment. parties: in the order of their shares. timeout, startup: seconds."""

    path: Path
    parties: tuple[Member, ...]
    provider: Member
    ca: Path | None
    timeout: float = 300.0
    startup: float = 300.0
    link: str = "lan"
    plain_tcp: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(member.name for member in self.parties)

    @property
    def members(self) -> tuple[Member, ...]:
        return (*self.parties, self.provider)

    def member(self, name: str) -> Member:
        """A member by name; SessionError for a stranger."""
        for member in self.members:
            if member.name == name:
                return member
        known = ", ".join(member.name for member in self.members)
        raise SessionError(f"{name!r} is not in {self.path}, which has {known}")

    def check_replicas(self, count: int) -> None:
        """SessionError where the ports of a party's replicas are others'; the last party calls."""
        listening = [(member, count) for member in self.parties[:-1]]
        _check_addresses(self.path, [*listening, (self.provider, 1)])

    def identity(self, name: str) -> Identity:
        """What the member proves its name with; SessionError where that is missing."""
        member = self.member(name)
        if self.plain_tcp:
            return Identity(name)
        files = {"ca": self.ca, "certificate": member.certificate, "key": member.key}
        for what, file in files.items():
            if file is None or not file.is_file():
                missing = "not named" if file is None else f"no file {file}"
                raise SessionError(
                    f"{self.path} has no usable `{what}` for {name} ({missing}); `mpctensor keys`"
                    " makes keys and certificates"
                )
        return Identity(name, member.certificate, member.key, self.ca)


def load(path: str | os.PathLike[str]) -> Config:
    """Read and check a `parties.toml`; SessionError names what is wrong in it."""
    path = Path(path).absolute()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SessionError(f"{path} cannot be read: {error}") from error
    _only(path, "the top level", table, SETTINGS)
    parties = tuple(_members(path, table, "parties"))
    providers = list(_members(path, table, "provider"))
    if len(parties) < 2:
        raise SessionError(f"{path}: [parties] names {len(parties)}; shares need at least two")
    if len(providers) != 1:
        raise SessionError(f"{path}: [provider] must name one member, not {len(providers)}")
    if providers[0].name in {member.name for member in parties}:
        raise SessionError(
            f"{path}: {providers[0].name} is party and provider; the provider knows every mask, so"
            " it must be somebody else"
        )
    _check_addresses(path, [(member, 1) for member in (*parties, *providers)])
    ca = table.get("ca")
    return Config(
        path,
        parties,
        providers[0],
        None if ca is None else path.parent / _typed(path, "ca", ca, str),
        timeout=_seconds(path, table, "timeout"),
        startup=_seconds(path, table, "startup"),
        link=_link(path, table.get("link", "lan")),
        plain_tcp=_typed(path, "plain_tcp", table.get("plain_tcp", False), bool),
    )


def _members(path: Path, table: dict[str, Any], section: str) -> Any:
    entries = _typed(path, section, table.get(section, {}), dict)
    for name, entry in entries.items():
        where = f"[{section}.{name}]"
        if not name.isprintable() or not name or len(name) > 64:
            raise SessionError(f"{path}: {where}: use a printable name of at most 64 characters")
        _only(path, where, _typed(path, where, entry, dict), MEMBER)
        files = {
            key: path.parent / _typed(path, f"{where} {key}", entry[key], str)
            for key in ("certificate", "key")
            if key in entry
        }
        yield Member(name, _address(path, where, entry.get("address")), **files)


def _address(path: Path, where: str, value: Any) -> tuple[str, int]:
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise SessionError(f'{path}: {where} needs `address = "host:port"`, not {value!r}')
    return host.strip("[]"), int(port)


def _check_addresses(path: Path, members: Iterable[tuple[Member, int]]) -> None:
    """members: each with the number of its replicas, which take the ports from its own on."""
    owner: dict[tuple[str, int], str] = {}
    for member, replicas in members:
        host, first = member.address
        for replica in range(replicas):
            name = f"replica {replica} of {member.name}" if replica else member.name
            port = first + replica
            if port >= 1 << 16:
                raise SessionError(f"{path}: {name} has no port, as the last one is 65535")
            other = owner.setdefault((host, port), name)
            if other != name:
                raise SessionError(
                    f"{path}: {other} and {name} have the same address {host}:{port}; give each"
                    " its own"
                )


def _link(path: Path, value: Any) -> str:
    try:
        return check_link(value)
    except SessionError as error:
        raise SessionError(f"{path}: {error}") from None


def _seconds(path: Path, table: dict[str, Any], key: str) -> float:
    value = table.get(key, 300)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
        raise SessionError(f"{path}: `{key}` is {value!r}; use a number of seconds above 0")
    return float(value)


def _typed(path: Path, key: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise SessionError(f"{path}: `{key}` is {value!r}, not a {kind.__name__}")
    return value


def _only(path: Path, where: str, table: dict[str, Any], known: set[str]) -> None:
    for key in table:
        if key not in known:
            raise SessionError(
                f"{path}: `{key}` in {where} is unknown; there are {', '.join(sorted(known))}"
            )
