"""`mpctensor keys`: an authority and a certificate per member, or requests and signatures.

`init` makes everything at once, for trials and for those who trust one member with all keys.
Between organisations: one makes an authority (`init --authority-only`), every member makes its own
key and a request (`request`), the authority signs it (`sign`), and the member puts what comes back
in place (`accept`), so no private key travels.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ..deployment import Config, load
from ..errors import SessionError
from ..network import Identity
from ..network.identity import next_key
from .certificates import (
    AUTHORITY_DAYS,
    MEMBER_DAYS,
    Authority,
    Validity,
    check_available,
    fingerprint,
    key_pem,
    load_key,
    load_request,
    new_key,
    pem,
    request,
    requested_name,
)
from .files import PRIVATE, PUBLIC, check_absent, write
from .line_up import default_files, line_up
from .rotation import accept_certificate
from .usage import Parser, UsageError, add_config, config_path, days, need_file

CA_WARNING = (
    "whoever has {key} can pose as any member: keep it offline or delete it, and never give it to"
    " the provider"
)
ONE_DAYS = "until the certificate expires (365), no later than the authority's"


@dataclass(frozen=True)
class Files:
    """Where a member's certificate and key go."""

    name: str
    certificate: Path
    key: Path


# What the commands do, for use from Python


def authority_files(config: Config, into: Path | None = None) -> tuple[Path, Path]:
    """(certificate, key) of the authority."""
    ca = config.ca if into is None else into / "ca.pem"
    if ca is None:
        raise UsageError(f'{config.path} names no authority: add `ca = "ca.pem"`, or use --into')
    return ca, ca.with_suffix(".key")


def member_files(config: Config, name: str, into: Path | None = None) -> Files:
    """Where the configuration wants a member's files; in `into` under their usual names."""
    member = config.member(name)
    certificate, key = default_files(name)
    if into is not None:
        return Files(name, into / certificate, into / key)
    if member.certificate is None or member.key is None:
        raise UsageError(
            f"{config.path} does not say where {name}'s files are: add `certificate ="
            f' "{certificate}"` and `key = "{key}"`, or use --into'
        )
    return Files(name, member.certificate, member.key)


def make_authority(
    certificate: Path, key: Path, *, validity: Validity | None = None, force: bool = False
) -> Authority:
    """A new authority, written to two files."""
    check_available()
    check_absent((certificate, key), force)
    authority = Authority.new(validity or Validity.of_days(AUTHORITY_DAYS))
    write(key, key_pem(authority.key), PRIVATE, force)
    write(certificate, pem(authority.certificate), PUBLIC, force)
    return authority


def make_member(
    authority: Authority, files: Files, *, validity: Validity | None = None, force: bool = False
) -> None:
    """A key and a certificate for a member, written to its files."""
    check_absent((files.certificate, files.key), force)
    key = new_key()
    validity = validity or Validity.of_days(MEMBER_DAYS)
    certificate = authority.issue(files.name, key.public_key(), validity)
    write(files.key, key_pem(key), PRIVATE, force)
    write(files.certificate, pem(certificate), PUBLIC, force)


def make_all(
    config: Config,
    *,
    into: Path | None = None,
    validity: Validity | None = None,
    force: bool = False,
) -> list[Files]:
    """An authority and every member's key and certificate; nothing if anything is in the way."""
    ca, ca_key = authority_files(config, into)
    members = [member_files(config, member.name, into) for member in config.members]
    paths = [ca, ca_key, *(path for m in members for path in (m.certificate, m.key))]
    if len(set(paths)) < len(paths):
        raise UsageError(f"{config.path} names one file twice")
    check_absent(paths, force)
    own = Validity.of_days(AUTHORITY_DAYS)
    if validity is not None:
        own = replace(own, end=max(own.end, validity.end))  # nobody outlives the authority
    authority = make_authority(ca, ca_key, validity=own, force=force)
    for files in members:
        make_member(authority, files, validity=validity, force=force)
    return members


# The commands


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Enter `keys` and its own commands."""
    keys = commands.add_parser("keys", help="make and sign the certificates of members")
    inner = keys.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    _add_init(inner)
    _add_request(inner)
    _add_sign(inner)
    _add_accept(inner)
    _add_renew(inner)


def _add_init(inner: argparse._SubParsersAction[Parser]) -> None:
    parser = inner.add_parser("init", help="an authority, and a key and certificate per member")
    parser.add_argument("names", nargs="*", metavar="PARTY", help="for a new parties.toml")
    parser.add_argument("--provider", metavar="NAME", help="for a new parties.toml (james)")
    add_config(parser)
    parser.add_argument("--into", type=Path, metavar="DIR", help="a folder for all files")
    parser.add_argument(
        "--authority-only", action="store_true", help="members make their own keys (`request`)"
    )
    _add_validity(
        parser,
        "until members' certificates expire (365); the authority's lasts 3650 days, or as long as"
        " theirs. With --authority-only, until the authority's expires (3650)",
    )
    parser.set_defaults(work=init)


def _add_request(inner: argparse._SubParsersAction[Parser]) -> None:
    parser = inner.add_parser("request", help="your own key, and a request to have it signed")
    parser.add_argument("name", metavar="NAME", help="of the member that you are")
    add_config(parser)
    parser.add_argument("--key", type=Path, metavar="FILE", help="used if there, else made")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the request (NAME.csr)")
    parser.add_argument(
        "--new-key", action="store_true", help="for a later `accept`, beside the key in use"
    )
    parser.set_defaults(work=make_request)


def _add_sign(inner: argparse._SubParsersAction[Parser]) -> None:
    parser = inner.add_parser("sign", help="turn a member's request into a certificate")
    parser.add_argument("request", type=Path, metavar="REQUEST", help="the member's .csr file")
    parser.add_argument("--as", dest="name", metavar="NAME", help="whose it is, where it says else")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the certificate (NAME.pem)")
    _add_authority(parser)
    _add_validity(parser, ONE_DAYS)
    parser.set_defaults(work=sign)


def _add_accept(inner: argparse._SubParsersAction[Parser]) -> None:
    parser = inner.add_parser("accept", help="put your new certificate, and its key, in place")
    parser.add_argument("name", metavar="NAME", help="of the member that you are")
    parser.add_argument(
        "certificate", type=Path, nargs="?", metavar="FILE", help="where it is not in place already"
    )
    add_config(parser)
    parser.set_defaults(work=accept)


def _add_renew(inner: argparse._SubParsersAction[Parser]) -> None:
    parser = inner.add_parser("renew", help="replace a member's key and certificate")
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--into", type=Path, metavar="DIR", help="a folder for the files")
    _add_authority(parser)
    _add_validity(parser, ONE_DAYS, force=False)
    parser.set_defaults(work=renew)


def _add_authority(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--ca", type=Path, metavar="FILE", help="the authority's certificate")
    parser.add_argument("--ca-key", type=Path, metavar="FILE", help="the authority's key")


def _add_validity(parser: argparse.ArgumentParser, what: str, *, force: bool = True) -> None:
    parser.add_argument("--days", type=days, metavar="N", help=what)
    if force:
        parser.add_argument("--force", action="store_true", help="overwrite files")


def init(options: argparse.Namespace) -> int:
    """`mpctensor keys init`."""
    check_available()
    config = _config_or_new(options)
    if options.authority_only:
        ca, ca_key = authority_files(config, options.into)
        validity = Validity.of_days(options.days or AUTHORITY_DAYS)
        make_authority(ca, ca_key, validity=validity, force=options.force)
        print(f"wrote {ca}: give it to every member")
    else:
        validity = Validity.of_days(options.days or MEMBER_DAYS)
        members = make_all(config, into=options.into, validity=validity, force=options.force)
        ca, ca_key = authority_files(config, options.into)
        print(f"wrote {ca}: give it to every member")
        for files in members:
            _say_member(files)
    print(f"wrote {ca_key}: {CA_WARNING.format(key=ca_key.name)}")
    return 0


def _say_member(files: Files) -> None:
    print(f"wrote {files.certificate}: {files.name}'s certificate")
    print(f"wrote {files.key}: {files.name}'s key: give it to {files.name} alone, and keep no copy")


def _config_or_new(options: argparse.Namespace) -> Config:
    path = config_path(options)
    if not options.names:
        if not path.exists():
            raise UsageError(
                f"there is no {path}: name the parties for a new one (`mpctensor keys init alice"
                " bob --provider james`), or give --config"
            )
        return load(path)
    if options.into is not None:
        path = options.into / path.name
    try:
        text = line_up(options.names, options.provider or "james")
    except ValueError as error:
        raise UsageError(str(error)) from error
    if path.exists():
        raise UsageError(f"{path} exists already: leave the names out to use it")
    write(path, text.encode(), PUBLIC, force=False)
    print(f"wrote {path}: put the addresses in, and give it to every member")
    return load(path)


def make_request(options: argparse.Namespace) -> int:
    """`mpctensor keys request`."""
    check_available()
    key_path = options.key or _own_files(config_path(options), options.name).key
    out = options.out or key_path.with_suffix(".csr")
    if out.exists() and b"CERTIFICATE REQUEST" not in out.read_bytes():
        raise UsageError(f"{out} is no certificate request and would be lost; name another --out")
    if key_path.exists() and not options.new_key:
        key = load_key(key_path)
        print(f"{key_path}: the key that is there is used (--new-key makes another)")
    else:
        key = new_key()
        request(options.name, key)  # checks the name before anything is written
        key_path = next_key(key_path) if key_path.exists() else key_path
        if key_path.exists():
            raise UsageError(f"{key_path} waits for its certificate already; remove it for another")
        write(key_path, key_pem(key), PRIVATE, force=False)
        print(f"wrote {key_path}: your key; it stays on this machine")
    found = request(options.name, key)
    write(out, pem(found), PUBLIC, force=True)
    print(f"wrote {out}: have it signed (`mpctensor keys sign {out.name}`)")
    print(f"the public key's fingerprint, to be compared: {fingerprint(found.public_key())}")
    return 0


def sign(options: argparse.Namespace) -> int:
    """`mpctensor keys sign`."""
    found = load_request(need_file(options.request, "request"))
    said = requested_name(found)
    name = options.name or said
    if name is None:
        raise UsageError(f"{options.request} gives no name; say whose it is with --as NAME")
    authority = _authority(options)
    if config_path(options).exists():
        load(config_path(options)).member(name)
    out = options.out or options.request.with_suffix(".pem")
    certificate = authority.issue(name, found.public_key(), _validity(authority, options.days))
    write(out, pem(certificate), PUBLIC, options.force)
    print(f"wrote {out}: {name}'s certificate; send it back")
    print(f"compare with {name} by another way: {fingerprint(found.public_key())}")
    return 0


def accept(options: argparse.Namespace) -> int:
    """`mpctensor keys accept`."""
    check_available()
    config = load(config_path(options))
    files = member_files(config, options.name)
    source = need_file(options.certificate or files.certificate, "certificate")
    own = Identity(files.name, files.certificate, files.key, authority_files(config)[0])
    moved = accept_certificate(own, source)
    print(f"{files.certificate}: the next session uses {source.name}")
    if moved is not None:
        print(f"{files.key}: the new key, which was {moved.name}")
    return 0


def renew(options: argparse.Namespace) -> int:
    """`mpctensor keys renew`."""
    authority = _authority(options)
    validity = _validity(authority, options.days)
    config = load(config_path(options))
    for files in [member_files(config, name, options.into) for name in options.names]:
        make_member(authority, files, validity=validity, force=True)
        _say_member(files)
    return 0


def _validity(authority: Authority, wanted: float | None) -> Validity:
    """A member's; UsageError where it would outlive the authority's, and not count to its end."""
    validity = Validity.of_days(wanted or MEMBER_DAYS)
    end = authority.certificate.not_valid_after_utc
    if validity.end <= end:
        return validity
    left = (end - datetime.now(UTC)).days
    fewer = f"give --days {left} or fewer, or " if left > 0 else ""
    raise UsageError(
        f"{wanted or MEMBER_DAYS:g} days from now the authority's own certificate has expired, on"
        f" {end:%Y-%m-%d}: {fewer}make a new authority (docs/deployment.md, Rotating certificates)"
    )


def _own_files(config: Path, name: str) -> Files:
    """Where a member's files belong: as parties.toml says where there is one."""
    if not config.exists():
        certificate, key = default_files(name)
        return Files(name, Path(certificate), Path(key))
    return member_files(load(config), name)


def _authority(options: argparse.Namespace) -> Authority:
    check_available()
    ca = options.ca
    if ca is None:
        config = config_path(options)
        if not config.exists():
            raise UsageError(f"there is no {config}: name the authority with --ca")
        ca = authority_files(load(config))[0]
    key = options.ca_key or ca.with_suffix(".key")
    try:
        return Authority.load(need_file(ca, "authority"), need_file(key, "authority's key"))
    except SessionError as error:
        raise UsageError(str(error)) from error
