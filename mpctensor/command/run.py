"""`mpctensor run`: a script as one party of a deployment, or all of it on this machine."""

from __future__ import annotations

import argparse
import os
import runpy
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn

from ..deployment import Config, load
from ..errors import MPCError, PeerError, Terminated
from ..starting import CONFIG_VARIABLE, PARTIES, PARTY_VARIABLE, PROVIDER
from . import lifeline, local
from .usage import Parser, UsageError, add_config, add_name, config_path, names, need_file

ENDED = {KeyboardInterrupt: 128 + signal.SIGINT, Terminated: 128 + signal.SIGTERM}


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "run",
        help="run a script as one party, or with --local as all of them",
        usage="%(prog)s (--as NAME | --local) [options] (SCRIPT | -m MODULE) [argument ...]",
    )
    add_config(parser)
    add_name(parser, "the party that this process plays")
    parser.add_argument("--traceback", action="store_true", help="also for errors of mpctensor")
    group = parser.add_argument_group("everybody on this machine")
    group.add_argument("--local", action="store_true", help="start all parties and the provider")
    group.add_argument("--parties", type=names, metavar="NAME,NAME", help="(alice,bob)")
    group.add_argument("--provider", metavar="NAME", help="(james)")
    group.add_argument("--plain", action="store_true", help="plain TCP instead of TLS")
    parser.add_argument("-m", dest="module", action="store_true", help="SCRIPT names a module")
    parser.add_argument("script", metavar="SCRIPT")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(work=run)


def run(options: argparse.Namespace) -> int:
    """`mpctensor run`; the script's exit code."""
    if not options.module:
        need_file(_main_file(Path(options.script)), "script")
    if options.local:
        return _run_everybody(options)
    if options.parties or options.provider or options.plain:
        raise UsageError("--parties, --provider and --plain go with --local")
    config = load(config_path(options))
    name = _party(config, options.name)
    os.environ[CONFIG_VARIABLE], os.environ[PARTY_VARIABLE] = str(config.path), name
    return run_as(name, options)


def _main_file(script: Path) -> Path:
    return script / "__main__.py" if script.is_dir() else script


def _party(config: Config, name: str | None) -> str:
    listed = ", ".join(config.names)
    if name is None:
        raise UsageError(f"say with --as which party this is ({listed}), or run --local")
    if name == config.provider.name:
        raise UsageError(f"{name} is the provider, which runs no script: `mpctensor provider`")
    if name not in config.names:
        raise UsageError(f"{name} is no party of {config.path}, which has {listed}")
    return name


def _run_everybody(options: argparse.Namespace) -> int:
    if options.config is not None:
        if options.parties or options.provider:
            raise UsageError("--config names the parties and the provider already")
        config = load(options.config)
        return local.run(config.names, config.provider.name, _script(options), plain=options.plain)
    parties, provider = options.parties or PARTIES, options.provider or PROVIDER
    return local.run(parties, provider, _script(options), plain=options.plain)


def _script(options: argparse.Namespace) -> list[str]:
    """The part of the command line that says what a party runs."""
    flags = ["--traceback"] * options.traceback + ["-m"] * options.module
    return [*flags, options.script, *options.arguments]


# One party


def run_as(name: str, options: argparse.Namespace) -> int:
    """Run the script as `python` would; errors of mpctensor are told in one line."""
    sys.excepthook = _Reporter(name, options.traceback)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        lifeline.hold()
        _run_script(options.script, options.arguments, options.module)
    except BaseException as error:
        if isinstance(error, SystemExit) and not isinstance(error, Terminated):
            raise
        sys.excepthook(type(error), error, error.__traceback__)  # a session's tells the peers first
        return ENDED.get(type(error), 1)
    return 0


def _run_script(script: str, arguments: Sequence[str], module: bool) -> None:
    sys.argv = [script, *arguments]
    if not sys.flags.safe_path:
        sys.path[0] = os.getcwd() if module else os.path.dirname(os.path.realpath(script))
    if module:
        runpy.run_module(script, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(script, run_name="__main__")


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    """What must be cleaned up is, as after any other end of the script."""
    raise Terminated(128 + number)


class _Reporter:
    """How an error that reaches the top level is shown."""

    def __init__(self, name: str, traceback: bool) -> None:
        self._name, self._traceback = name, traceback

    def __call__(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if isinstance(error, PeerError):
            lifeline.say_lost_a_peer()
        if self._traceback or not isinstance(error, MPCError | KeyboardInterrupt | Terminated):
            trace = _of_script(trace)
            sys.__excepthook__(kind, error.with_traceback(trace), trace)
        elif isinstance(error, KeyboardInterrupt):
            print(f"{self._name}: interrupted", file=sys.stderr)
        elif isinstance(error, Terminated):
            print(f"{self._name}: terminated", file=sys.stderr)
        else:
            print(f"{self._name}: {kind.__name__}: {error}", file=sys.stderr)


def _of_script(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames that lead to the script."""
    ours = {__file__, runpy.__file__, "<frozen runpy>"}
    while trace is not None and trace.tb_frame.f_code.co_filename in ours:
        trace = trace.tb_next
    return trace
