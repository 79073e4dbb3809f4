"""An authority, members' keys, requests and certificates: X.509 with keys on the curve P-256.

A certificate names its member as DNS name where the name can be one, and as common name; it serves
both ends of a TLS connection. Keys are kept as PKCS #8 in PEM, without a password. Needs the
library `cryptography`, which nothing else here needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ..errors import SessionError
from .usage import UsageError

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    AVAILABLE = True
except ModuleNotFoundError as error:
    if not str(error.name).startswith("cryptography"):
        raise
    AVAILABLE = False

SKEW = timedelta(hours=1)  # clocks that are behind still accept a new certificate
MEMBER_DAYS, AUTHORITY_DAYS = 365.0, 3650.0
_DNS_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def check_available() -> None:
    """Raise UsageError where the library is missing."""
    if not AVAILABLE:
        raise UsageError(
            "certificates need the library `cryptography`: pip install 'mpctensor[deploy]'"
        )


@dataclass(frozen=True)
class Validity:
    """From when until when a certificate counts."""

    begin: datetime
    end: datetime

    @classmethod
    def of_days(cls, days: float) -> Validity:
        """From now on (a little earlier, for clocks that differ)."""
        now = datetime.now(UTC).replace(microsecond=0)
        return cls(now - SKEW, now + timedelta(days=days))


def new_key() -> Any:
    """A fresh private key."""
    check_available()
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Any) -> bytes:
    return bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def pem(certificate: Any) -> bytes:
    """A certificate or a request as PEM."""
    return bytes(certificate.public_bytes(serialization.Encoding.PEM))


def load_key(path: Path) -> Any:
    """A private key from a PEM file; SessionError where there is none to use."""
    check_available()
    try:
        return serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise SessionError(f"{path} holds no usable private key: {error}") from error


def certified_key(path: Path) -> Any:
    """The public key that a PEM file's certificate is for; SessionError where there is none."""
    check_available()
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).public_key()
    except (OSError, ValueError) as error:
        raise SessionError(f"{path} holds no certificate: {error}") from error


def fingerprint(public_key: Any) -> str:
    """SHA-256 of a public key, in groups to be compared over the phone."""
    data = public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    text = digest.finalize().hex()
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))


# Requests


def request(name: str, key: Any) -> Any:
    """A member's request for a certificate: its name and public key, signed with its key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(name))
    for extension in _alternative_names(name):
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, _hash(key))


def load_request(path: Path) -> Any:
    """A request from a PEM file, its signature checked."""
    check_available()
    try:
        found = x509.load_pem_x509_csr(path.read_bytes())
        valid = found.is_signature_valid
    except (OSError, ValueError, TypeError) as error:
        raise SessionError(f"{path} is no certificate request: {error}") from error
    if not valid:
        raise SessionError(f"{path} is not signed with the key that it is for")
    return found


def requested_name(found: Any) -> str | None:
    """The common name that a request gives, if it gives exactly one."""
    values = [entry.value for entry in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return str(values[0]) if len(values) == 1 else None


# The authority


@dataclass(frozen=True)
class Authority:
    """Who vouches for members: its certificate, and the key that signs theirs."""

    certificate: Any
    key: Any

    @classmethod
    def new(cls, validity: Validity, name: str = "mpctensor members") -> Authority:
        key = new_key()
        builder = _builder(_subject(name), _subject(name), key.public_key(), validity)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(x509.BasicConstraints(True, 0), critical=True)
        builder = builder.add_extension(usage, critical=True)
        return cls(builder.sign(key, _hash(key)), key)

    @classmethod
    def load(cls, certificate: Path, key: Path) -> Authority:
        """From PEM files; among several certificates, the one that the key belongs to."""
        private = load_key(key)
        try:
            found = x509.load_pem_x509_certificates(certificate.read_bytes())
        except (OSError, ValueError) as error:
            raise SessionError(f"{certificate} holds no certificate: {error}") from error
        for candidate in found:
            if candidate.public_key() == private.public_key():
                return cls(candidate, private)
        raise SessionError(f"{key} is not the key of a certificate in {certificate}")

    def issue(self, name: str, public_key: Any, validity: Validity) -> Any:
        """A member's certificate; SessionError where the name cannot be in one."""
        builder = _builder(_subject(name), self.certificate.subject, public_key, validity)
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        roles = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(roles), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        for extension in (issuer, *_alternative_names(name)):
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, _hash(self.key))


def _builder(subject: Any, issuer: Any, public_key: Any, validity: Validity) -> Any:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.begin)
        .not_valid_after(validity.end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _subject(name: str) -> Any:
    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    except ValueError as error:
        raise SessionError(
            f"{name!r} does not fit into a certificate, which has room for 64 bytes; shorten it"
        ) from error


def _alternative_names(name: str) -> list[Any]:
    """The name as DNS name, where it can be one; else the common name alone says it."""
    if _DNS_NAME.fullmatch(name) is None:
        return []
    return [x509.SubjectAlternativeName([x509.DNSName(name)])]


def _hash(key: Any) -> Any:
    return (
        None
        if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
        else hashes.SHA256()
    )
