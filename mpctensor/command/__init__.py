"""The command `mpctensor`: certificates for members, and whatever else runs a deployment.

One file a subcommand; each has `add`, which enters it and its options.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..errors import MPCError
from ..release import VERSION
from . import doctor, keys, provider, run
from .usage import Parser, UsageError

__all__ = ["main"]

COMMANDS = (run, provider, keys, doctor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit code: 0, 1 where it failed, 2 where it was used badly."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.work(options))
    except UsageError as error:
        print(f"mpctensor {options.command}: {error}", file=sys.stderr)
        return 2
    except (MPCError, OSError) as error:
        print(f"mpctensor {options.command}: {error}", file=sys.stderr)
        return 1


def _parser() -> Parser:
    parser = Parser("mpctensor", description="Secure multiparty computation for PyTorch.")
    parser.add_argument("--version", action="version", version=f"mpctensor {VERSION}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser
    )
    for command in COMMANDS:
        command.add(commands)
    return parser
