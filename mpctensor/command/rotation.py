"""How a member's new certificate takes the place of the old one, with the key that it is for.

A new key waits beside the one in use. The certificate is replaced first and the key is moved last:
where that breaks off in between, the key is still beside it, and doing it again ends it.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import replace
from pathlib import Path

from ..errors import MPCError
from ..network import Identity
from ..network.identity import certificate_name, next_key, why
from .certificates import certified_key, load_key
from .files import PUBLIC, write
from .usage import UsageError


def accept_certificate(identity: Identity, source: Path) -> Path | None:
    """Put a certificate into the place of `identity`'s, and its key if that is the one that waits.

    Returns the key that was moved, if any. Raises UsageError, and changes nothing, where no key
    here fits, or where peers would refuse the certificate.
    """
    assert identity.certificate is not None and identity.key is not None
    waiting = next_key(identity.key)
    key = _fitting(source, (identity.key, waiting))
    _check(replace(identity, certificate=source, key=key))
    if source != identity.certificate:
        write(identity.certificate, source.read_bytes(), PUBLIC, force=True)
    if key == identity.key:
        return None
    os.replace(waiting, identity.key)
    return waiting


def _fitting(certificate: Path, keys: tuple[Path, ...]) -> Path:
    public = certified_key(certificate)
    here = [key for key in keys if key.exists()]
    for key in here:
        if load_key(key).public_key() == public:
            return key
    looked = " nor ".join(map(str, here)) or f"{keys[0]}, which is not there,"
    raise UsageError(f"{certificate} is for another key: {looked} does not belong to it")


def _check(identity: Identity) -> None:
    """Refuse what peers would refuse."""
    try:
        named = certificate_name(identity.rehearse())
    except ssl.SSLError as error:
        raise UsageError(f"{identity.certificate} would be refused: {why(error)}") from error
    except MPCError as error:
        raise UsageError(str(error)) from error
    if named != identity.name:
        raise UsageError(f"{identity.certificate} is for {named!r}, not for {identity.name!r}")
