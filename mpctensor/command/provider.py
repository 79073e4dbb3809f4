"""`mpctensor provider`: the service that deals randomness to the parties of a deployment."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import threading
from collections.abc import Iterable
from time import strftime
from typing import Any

from ..deployment import Config, load
from ..provider import Service
from ..provider.limits import Limits
from . import lifeline
from .usage import Parser, UsageError, add_config, add_name, config_path


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser("provider", help="deal randomness to the parties, until ended")
    add_config(parser)
    add_name(parser, "the provider's name, to be sure")
    parser.add_argument(
        "--quota",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help=f"how much may be asked for ({', '.join(quota_names())}); may be repeated",
    )
    parser.set_defaults(work=serve)


def quota_names() -> list[str]:
    return [field.name for field in _fields()]


def _fields() -> tuple[Any, ...]:
    return dataclasses.fields(Limits) if dataclasses.is_dataclass(Limits) else ()


def limits_of(settings: Iterable[str]) -> Limits:
    """Limits from `name=number` settings; UsageError for others."""
    found = {}
    for setting in settings:
        name, _, number = setting.partition("=")
        if name not in quota_names():
            raise UsageError(f"--quota {setting}: there are {', '.join(quota_names())}")
        try:
            found[name] = int(number)
        except ValueError as error:
            raise UsageError(f"--quota {setting}: give a whole number") from error
    try:
        return Limits(**found)
    except ValueError as error:
        raise UsageError(f"--quota: {error}") from error


def serve(options: argparse.Namespace) -> int:
    """`mpctensor provider`: 0 once it was told to end."""
    limits = limits_of(options.quota)
    config = load(config_path(options))
    name = config.provider.name
    if options.name not in (None, name):
        raise UsageError(f"{options.name} is not the provider of {config.path}, which is {name}")
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    lifeline.hold()
    service = _service(config, limits)
    log(name, f"serves {', '.join(config.names)} at {_place(config)}")
    over.wait()
    service.close()
    log(name, "has ended")
    return 0


def _service(config: Config, limits: Limits) -> Service:
    member = config.provider
    return Service(
        config.identity(member.name),
        member.address,
        config.names,
        timeout=config.timeout,
        startup=config.startup,
        limits=limits,
        log=lambda line: log(member.name, line),
    )


def _place(config: Config) -> str:
    host, port = config.provider.address
    return f"{host}:{port}"


def log(name: str, line: str) -> None:
    """One line with the time, to stderr."""
    print(f"{strftime('%Y-%m-%d %H:%M:%S')} {name}: {line}", file=sys.stderr, flush=True)
