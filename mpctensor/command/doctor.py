"""`mpctensor doctor`: what is wrong with this machine's part of a deployment, and what to do."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from ..deployment import Config, load
from ..errors import MPCError
from ..network import Identity
from .credentials import check_credentials
from .findings import Finding, fail, ok, table, warn
from .installation import check_installation
from .reach import check_members
from .usage import Parser, add_config, add_name, config_path


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser("doctor", help="check the installation and the deployment")
    add_config(parser)
    add_name(parser, "the member that this machine plays")
    parser.set_defaults(work=examine)


def examine(options: argparse.Namespace) -> int:
    """`mpctensor doctor`: 0 unless something fails."""
    findings = [*check_installation(), *_check_deployment(options)]
    print(table(findings))
    return int(any(finding.status == "FAIL" for finding in findings))


def _check_deployment(options: argparse.Namespace) -> Iterator[Finding]:
    path = config_path(options)
    if options.config is None and not path.exists():
        advice = "--config names the deployment to check; sessions in one process need none"
        yield warn("parties.toml", f"there is no {path}", advice)
        return
    try:
        config = load(path)
        name = _own_name(config, options.name)
    except MPCError as error:
        yield fail("parties.toml", str(error), "correct the file, or name another with --config")
        return
    yield ok("parties.toml", f"{config.path}: {', '.join(m.name for m in config.members)}")
    if name is None:
        yield warn("member", "which one is this?", "say with --as NAME; its files are not checked")
    else:
        yield from check_credentials(config, name)
    yield from check_members(config, name, _identity(config, name))


def _own_name(config: Config, given: str | None) -> str | None:
    """The member that this is: as given, or the only one whose key is here."""
    if given:
        return config.member(given).name
    here = [member.name for member in config.members if member.key and member.key.is_file()]
    return here[0] if len(here) == 1 else None


def _identity(config: Config, name: str | None) -> Identity | None:
    """What to introduce ourselves with, where it can be used."""
    if name is None:
        return None
    try:
        identity = config.identity(name)
        if not identity.plain:
            identity.rehearse()
    except (MPCError, OSError):
        return None
    return identity
