"""`doctor` on a member's own files: key, certificate, and whether peers will accept them."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from time import time

from ..deployment import Config
from ..errors import MPCError, PeerError
from ..network import Identity
from ..network.identity import CredentialsError, certificate_name, is_loopback, next_key, why
from .findings import Finding, fail, ok, warn

DAY = 86400.0
SOON = 30  # days
ADVICE = {
    "expired": "have it signed again: `mpctensor keys sign`, or `mpctensor keys renew {name}`",
    "not yet valid": "it begins in the future: is this machine's clock right?",
    "issuer": "the `ca` file must hold the authority that signed it",
    "self": "the `ca` file must hold the authority that signed it",
    "signature": "it was signed by another authority of the same name; use that one's ca.pem",
    "purpose": "it must allow both client and server authentication: have one made that does",
}

ANOTHER = (
    "have another one made: `mpctensor keys request {name}`, then `sign` at the authority of the"
    " `ca` file, then `mpctensor keys accept {name} FILE`"
)
MISSING = (
    "put the files where parties.toml says; `mpctensor keys request {name}` makes a key, and what"
    " is to be signed"
)


def check_credentials(config: Config, name: str) -> Iterator[Finding]:
    """Rows about the member's own files."""
    if config.plain_tcp:
        yield _plain(config)
        return
    try:
        identity = config.identity(name)
    except MPCError as error:
        yield fail("certificate", str(error), MISSING.format(name=name))
        return
    assert identity.key is not None
    yield _permissions(identity.key)
    waiting = next_key(identity.key)
    if waiting.exists():
        advice = f"have its request signed, then `mpctensor keys accept {name} FILE`"
        yield warn("new key", f"{waiting} waits for its certificate", advice)
    yield from _certificate(identity)


def _plain(config: Config) -> Finding:
    if all(is_loopback(member.address[0]) for member in config.members):
        advice = "for trials on one machine only"
        return warn("certificate", "none: plain TCP, nothing is encrypted", advice)
    advice = "remove `plain_tcp`, and give every member a certificate (`mpctensor keys`)"
    return fail("certificate", "none, but not all addresses are on loopback", advice)


def _permissions(key: Path) -> Finding:
    mode = stat.S_IMODE(key.stat().st_mode)
    if mode & 0o077:
        return warn("key file", f"{key} is open to others (mode {mode:o})", f"chmod 600 {key}")
    return ok("key file", f"{key}, for its owner only")


def _certificate(identity: Identity) -> Iterator[Finding]:
    try:
        seen = identity.rehearse()
        named = certificate_name(seen)
    except ssl.SSLError as error:
        yield fail("certificate", why(error), _advice(identity, error))
        return
    except CredentialsError as error:
        yield fail("certificate", error.found, error.advice)
        return
    except PeerError as error:
        yield fail("certificate", str(error), ANOTHER.format(name=identity.name))
        return
    if named != identity.name:
        advice = "use this member's own certificate, or --as that member"
        yield fail("certificate", f"is for {named!r}, not for {identity.name!r}", advice)
    else:
        yield ok("certificate", f"{identity.certificate}, for {named}, accepted by {identity.ca}")
    yield _expiry("expiry", seen["notAfter"], ADVICE["expired"].format(name=identity.name))
    yield from _authorities(identity)


def _advice(identity: Identity, error: ssl.SSLError) -> str:
    said = getattr(error, "verify_message", "").lower()
    for word, advice in ADVICE.items():
        if word in said:
            return advice.format(name=identity.name)
    return ANOTHER.format(name=identity.name)


def _authorities(identity: Identity) -> Iterator[Finding]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=identity.ca)
    ends = [str(found["notAfter"]) for found in context.get_ca_certs()]
    if ends:
        first = min(ends, key=ssl.cert_time_to_seconds)
        advice = "put a new authority's certificate beside it (docs/deployment.md, Rotating)"
        yield _expiry("authority", first, advice)


def _expiry(what: str, end: str, advice: str) -> Finding:
    days = (ssl.cert_time_to_seconds(end) - time()) / DAY
    if days < 0:
        return fail(what, f"expired on {end}", advice)
    if days < SOON:
        return warn(what, f"in {days:.0f} days, on {end}", advice)
    return ok(what, f"in {days:.0f} days, on {end}")
