"""Who a process is, and who is at the other end: TLS contexts and the names in certificates."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PeerError, SessionError
from .tls import TlsSocket


class CredentialsError(SessionError):
    """A member's files cannot prove its name. found: what is wrong. advice: what to do about it."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(f"{found}; {advice}")
        self.found, self.advice = found, advice


@dataclass(frozen=True)
class Identity:
    """A member's name with the files that prove it.

    certificate, key: PEM files of this member. ca: PEM file of the authorities that may vouch for
    members. All None: plain TCP, which is for loopback only and proves nothing.
    """

    name: str
    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    @property
    def plain(self) -> bool:
        return self.certificate is None

    def context(self, server: bool) -> ssl.SSLContext | None:
        """The TLS settings of one end of a connection; None for plain TCP.

        Raises CredentialsError where the files cannot be used.
        """
        return None if self.plain else self._context(server)

    def rehearse(self) -> dict[str, Any]:
        """Meet itself: the certificate as a peer will see it (see ssl.getpeercert).

        Raises ssl.SSLError where a peer would refuse it, as caller or as called, CredentialsError
        where the files cannot be used.
        """
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        caller = self._context(False).wrap_bio(back, there)
        called = self._context(True).wrap_bio(there, back, server_side=True)
        for _ in range(3):  # hello; hello and certificate; certificate
            for end in (caller, called):
                with suppress(ssl.SSLWantReadError):
                    end.do_handshake()
        return dict(called.getpeercert() or {})

    def _context(self, server: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # members are named by us, not by the DNS: see `dial`
        context.verify_mode = ssl.CERT_REQUIRED
        if server:
            context.num_tickets = 0  # a sender never reads, so nothing may be left unread there
        try:
            context.load_verify_locations(cafile=self.ca)
            context.load_cert_chain(str(self.certificate), str(self.key), password=_no_password)
        except (OSError, ValueError) as error:
            raise self._unusable(error) from error
        return context

    def _unusable(self, error: Exception) -> CredentialsError:
        """Which of the files it is, and what to do."""
        ca, certificate, key = map(str, (self.ca, self.certificate, self.key))
        for file in (ca, certificate, key):
            try:
                open(file, "rb").close()
            except OSError as unread:
                missing = isinstance(unread, FileNotFoundError)
                advice = "put it there" if missing else "let the user that runs mpctensor read it"
                return CredentialsError(f"{file} cannot be read: {why(unread)}", advice)
        if not _holds_certificates(ca):
            advice = "put the authority's certificate there, the one that all members have, in PEM"
            return CredentialsError(f"{ca} holds no certificate of an authority", advice)
        if not _holds_certificates(certificate):
            advice = f"put {self.name}'s there, as it came from who signed it, in PEM"
            return CredentialsError(f"{certificate} holds no certificate", advice)
        said = str(error.reason or "") if isinstance(error, ssl.SSLError) else str(error)
        if "MISMATCH" in said:
            found = f"the key is not the certificate's: {key} does not belong to {certificate}"
            return CredentialsError(f"{found} of {self.name}", self._way_out())
        advice = f"put the key there that {certificate} is for, in PEM and without a password"
        found = f"{key} holds no private key that can be used"
        return CredentialsError(f"{found} ({said})" if said else found, advice)

    def _way_out(self) -> str:
        """What to do about a key that is not the certificate's."""
        if self.key is not None and next_key(self.key).exists():
            return (
                f"{next_key(self.key)} waits beside it: if the certificate is for that one,"
                f" `mpctensor keys accept {self.name}` puts it in place"
            )
        return (
            f"put the certificate's own key there; or `mpctensor keys request {self.name}`, have"
            f" this key signed, and `mpctensor keys accept {self.name} FILE` the certificate"
        )


def _holds_certificates(file: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError:
        return False
    return True


def next_key(key: Path) -> Path:
    """Where a member's new key waits for its certificate: beside the one in use."""
    return key.with_suffix(f".new{key.suffix}")


def begin_tls(raw: socket.socket, context: ssl.SSLContext | None) -> socket.socket:
    """The connection with TLS put on it, or itself for plain TCP; `raw` is empty from now on.

    No byte has been exchanged yet: see `proved_name`.
    """
    return raw if context is None else TlsSocket(raw, context)


def proved_name(connection: socket.socket) -> str | None:
    """Shake hands; the name in the peer's certificate, None for plain TCP.

    Raises ssl.SSLError or OSError where that fails, PeerError for a nameless peer.
    """
    if not isinstance(connection, TlsSocket):
        return None
    connection.do_handshake()
    return certificate_name(connection.getpeercert())


def _no_password() -> str:
    raise ValueError("it is encrypted with a password")


def certificate_name(certificate: Any) -> str:
    """The one name that a certificate gives: its DNS name, else its common name."""
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
    if not names:
        subject = [pair for part in certificate.get("subject", ()) for pair in part]
        names = [value for kind, value in subject if kind == "commonName"]
    if len(names) != 1:
        raise PeerError(f"a certificate must name exactly one member; this one names {names}")
    return str(names[0])


# What a peer's TLS says of our certificate (RFC 8446, section 6.2), and what to do about it.
ALERTS = {
    "unknown ca": "its authority is unknown there; the `ca` files of all members must hold it",
    "certificate expired": "it has expired; have it signed again, `mpctensor keys sign` or `renew`",
    "unsupported certificate": "it must allow both client and server authentication",
    "bad certificate": "it is not valid yet, or damaged; compare the machines' clocks",
    "decrypt error": "another authority of the same name signed it; the `ca` files must be alike",
    "certificate required": "none was shown; name one in parties.toml",
    "certificate unknown": "it cannot be checked there",
}


def why(error: BaseException) -> str:
    """What went wrong with a connection, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).replace("_", " ").lower()
        for alert, advice in ALERTS.items():
            if f"alert {alert}" in reason:
                return (
                    f"it does not accept the certificate from here ({alert}): {advice}; `mpctensor"
                    " doctor` checks this machine's files"
                )
        return f"TLS failed: {reason}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its loopback interface."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
