"""How commands are parsed, and how bad use is told: one line, exit code 2."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NoReturn

from ..starting import CONFIG_VARIABLE, PARTY_VARIABLE

DEFAULT_CONFIG = "parties.toml"
MOST_DAYS = 36500


class UsageError(Exception):
    """A command was used in a way that cannot be followed; the message says how to."""


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake costs one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def add_config(parser: argparse.ArgumentParser) -> None:
    """--config; see `config_path`."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"the deployment (default: {CONFIG_VARIABLE}, else {DEFAULT_CONFIG})",
    )


def config_path(options: argparse.Namespace) -> Path:
    """The file that --config names, or the environment, or parties.toml here."""
    return options.config or Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)


def add_name(parser: argparse.ArgumentParser, what: str) -> None:
    """--as, by default the variable MPCTENSOR_PARTY."""
    parser.add_argument(
        "--as",
        dest="name",
        metavar="NAME",
        default=os.environ.get(PARTY_VARIABLE),
        help=f"{what} (default: {PARTY_VARIABLE})",
    )


def days(text: str) -> float:
    """A validity in days, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MOST_DAYS:
        raise argparse.ArgumentTypeError(
            f"{text} is not a number of days above 0, and at most {MOST_DAYS} (a hundred years)"
        )
    return value


def names(text: str) -> list[str]:
    """Names separated by commas, for argparse."""
    return [name.strip() for name in text.split(",") if name.strip()]


def need_file(path: Path, what: str) -> Path:
    """The path, if a file is there."""
    if not path.is_file():
        raise UsageError(f"there is no {what} at {path}")
    return path
