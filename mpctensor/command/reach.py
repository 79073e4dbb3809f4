"""`doctor` on the line-up: addresses, who answers there, and whether clocks and releases agree."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from time import gmtime, strftime, time
from typing import Any

from ..deployment import Config, Member
from ..errors import MPCError
from ..network import Identity, probe
from ..network.identity import why
from ..network.meeting import at
from ..release import VERSION
from .findings import Finding, fail, ok, warn

PATIENCE = 5.0  # seconds for a connection
MOST_SKEW = 60.0  # seconds between clocks


def check_members(config: Config, own: str | None, identity: Identity | None) -> Iterator[Finding]:
    """Rows about every member's address, then about the clock. identity: to prove `own` with."""
    answers: dict[str, Any] = {}
    for member in config.members:
        if member is config.parties[-1]:
            yield ok(member.name, "the last party calls the others; its address is not used")
        elif member.name == own:
            yield _own_address(member)
        else:
            yield _reachable(member, identity, answers)
    yield _clock(answers)
    for name, answer in answers.items():
        if answer.get("release") != VERSION:
            found = f"{name} has {str(answer.get('release'))[:20]}, here is {VERSION}"
            yield warn("release", found, "members must run the same release")


def _own_address(member: Member) -> Finding:
    """Whether this machine can listen there."""
    try:
        family, kind, protocol, _, place = _resolved(member)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            advice = f"fine if that is {member.name}, running; else choose another port"
            return warn(member.name, f"{_at(member)} is in use", advice)
        advice = "in your own parties.toml, give the address to listen at (0.0.0.0:PORT for any)"
        return fail(member.name, f"cannot listen at {_at(member)}: {why(error)}", advice)
    return ok(member.name, f"this machine can listen at {_at(member)}")


def _reachable(member: Member, identity: Identity | None, answers: dict[str, Any]) -> Finding:
    where = _at(member)
    try:
        _resolved(member)
    except (OSError, UnicodeError) as error:
        advice = "correct the address in parties.toml, or this machine's name service"
        return fail(member.name, f"{where} does not resolve: {why(error)}", advice)
    try:
        if identity is None:
            socket.create_connection(member.address, PATIENCE).close()
            return warn(member.name, f"somebody listens at {where}", "who, is checked with --as")
        answers[member.name] = probe(identity, member.address, member.name, PATIENCE)
    except OSError as error:
        advice = "fine while it is not running; else is the port open in every firewall between?"
        return warn(member.name, f"nobody listens at {where}: {why(error)}", advice)
    except MPCError as error:
        advice = (
            f"who listens there must be {member.name}; the `ca` files here and there must hold both"
            " authorities, and are read when a member starts"
        )
        return fail(member.name, str(error), advice)
    return ok(member.name, f"answers at {where}, and proves its name")


def _clock(answers: dict[str, Any]) -> Finding:
    """This machine's clock beside those of the members that answered."""
    now = time()
    here = strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(now))
    times = {name: a["time"] for name, a in answers.items() if isinstance(a.get("time"), float)}
    if not times:
        return ok("clock", f"{here}; nobody answered to compare it with")
    name = max(times, key=lambda name: abs(times[name] - now))
    difference = abs(times[name] - now)
    if not difference <= MOST_SKEW:
        found = f"{here}, {difference:.0f} s from {name}'s"
        return warn("clock", found, "set the clocks (NTP): certificates begin and end by them")
    return ok("clock", f"{here}, within {MOST_SKEW:.0f} s of {', '.join(times)}")


def _resolved(member: Member) -> list[Any]:
    return socket.getaddrinfo(*member.address, type=socket.SOCK_STREAM)


def _at(member: Member) -> str:
    return at(member.address)
