"""Making sessions: all of one in this process, or one party's part of one between processes."""

from __future__ import annotations

import atexit
import os
import secrets
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from types import TracebackType
from typing import Any

import torch

from .deployment import Config, join, load
from .errors import SessionError
from .grid import Grid
from .protocols import Agreement
from .provider import Dealer, PartyKeys, Provider
from .provider.keys import derive
from .release import VERSION
from .session import Session, active, enter
from .transport import Meter, SimulatedTransport, Transport, check_link, reason

CONFIG_VARIABLE, PARTY_VARIABLE = "MPCTENSOR_CONFIG", "MPCTENSOR_PARTY"
PARTIES, PROVIDER = ("alice", "bob"), "james"


def current() -> Session:
    """The active session; the first use makes one: deployed where the environment says so."""
    return active() or init()


def configured_party() -> str | None:
    """The party that the environment says this process is; None where sessions are simulated."""
    return os.environ.get(PARTY_VARIABLE) if os.environ.get(CONFIG_VARIABLE) else None


def init(
    parties: Sequence[str] | None = None,
    provider: str | None = None,
    *,
    config: str | os.PathLike[str] | None = None,
    party: str | None = None,
    precision: int | None = None,
    base: int = 2,
    seed: int | None = None,
    link: str | None = None,
    timeout: float | None = None,
) -> Session:
    """Make the active session.

    Without a configuration it is simulated: every party and the provider in this process.
    parties: two or more distinct names, by default alice and bob. provider: another name, by
    default james. seed: makes the run repeatable, for tests only (shares then follow from the seed
    and protect nothing).
    With `config`, a parties.toml, or the variable MPCTENSOR_CONFIG in the environment, this
    process plays one party, `party` or MPCTENSOR_PARTY, and init waits for the others; names then
    come from the file. timeout: seconds without a word before a peer counts as lost, instead of
    the file's. torch's global generator goes on where it is if all parties have it in the same
    state; else all start it from a fresh seed that they share.
    precision: digits of fixed point in `base` (2: bits, 16 by default; 10: decimal digits, 3 by
    default, carried with two more). link: "wan" takes a
    round off every comparison (and ReLU, maximum, ...) for four to five times the bytes from the
    provider: for parties whose messages take long; "lan" otherwise, or what the file says.
    Use as a context manager to close it at the end. Raises SessionError for bad names, files or
    settings, PeerError where a member does not turn up or is not who it should be.
    """
    grid = Grid.make(base, precision)
    path = config or os.environ.get(CONFIG_VARIABLE) or None
    if path is None:
        names = check_names(PARTIES if parties is None else parties, provider or PROVIDER)
        session = simulated(
            names, provider or PROVIDER, unit=grid.unit, seed=seed, link=check_link(link or "lan")
        )
    else:
        line_up = load(path)
        line_up = replace(
            line_up, link=check_link(link or line_up.link), timeout=timeout or line_up.timeout
        )
        _check_deployed(line_up, parties, provider, seed)
        session = _deployed(line_up, party or os.environ.get(PARTY_VARIABLE), grid)
    return enter(session)


def _check_deployed(
    config: Config, parties: Sequence[str] | None, provider: str | None, seed: int | None
) -> None:
    if seed is not None:
        raise SessionError(
            "`seed` makes shares predictable; it is for simulated sessions only: leave it out"
        )
    if parties is not None and tuple(parties) != config.names:
        raise SessionError(
            f"`parties` is {', '.join(parties)}, but {config.path} has {', '.join(config.names)}:"
            " leave it out, or name the same"
        )
    if provider is not None and provider != config.provider.name:
        raise SessionError(
            f"`provider` is {provider!r}, but {config.path} has {config.provider.name!r}: leave it"
            " out, or name the same"
        )


def _deployed(config: Config, party: str | None, grid: Grid) -> Session:
    """This process's part of a session between processes."""
    if party is None:
        raise SessionError(
            f"{config.path} is of {', '.join(config.names)}; say which one this process is, by"
            f" `party` or the variable {PARTY_VARIABLE}"
        )
    if party not in config.names:
        raise SessionError(f"{party!r} is no party of {config.path}: {', '.join(config.names)}")
    meter = Meter()
    replica, replicas = this_replica()
    config.check_replicas(replicas)
    settings = {
        "version": VERSION,
        "base": grid.base,
        "precision": grid.digits,
        "link": config.link,
        "replicas": replicas,
    }
    member = join(config, party, meter, settings, replica)
    session = Session(
        config.names,
        config.provider.name,
        unit=grid.unit,
        keys={member.me: member.keys},
        provider=member.provider,
        transport=member.transport,
        meter=meter,
        public_seed=member.public_seed,
        link=config.link,
    )
    _at_exit(session)
    _share_generator(session, member.public_seed)
    return session


def _share_generator(session: Session, public_seed: bytes) -> None:
    """torch's generator in one state at all parties: fresh layers and shuffles are public."""
    agreement = Agreement()
    agreement.add(torch.get_rng_state())
    if not agreement.holds(session, "init"):
        torch.manual_seed(_number(derive(public_seed, "torch", b"")))


def start_alike() -> None:
    """Between processes: torch's generator in one state at all parties before any session is made.

    Unless it was seeded already; torch itself takes a long random seed. So a script that makes a
    model before it calls `init` makes the same everywhere.
    """
    path = os.environ.get(CONFIG_VARIABLE)
    if not path or torch.initial_seed() < 1 << 32:
        return
    with suppress(SessionError):  # init() says what is wrong with the file
        names = "\0".join(load(path).names)
        torch.manual_seed(_number(blake2b(names.encode(), digest_size=8).digest()))


def _number(seed: bytes) -> int:
    return int.from_bytes(seed[:8], "little") >> 1


def this_replica() -> tuple[int, int]:
    """Which of how many replicas of a party this is: its rank where torch.distributed runs."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank()), int(distributed.get_world_size())
    return 0, 1


def _at_exit(session: Session) -> None:
    """However this process ends, the peers hear of it: goodbye, or that the script failed."""
    previous = sys.excepthook

    def note(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        session.abort(reason(error))
        previous(kind, error, trace)

    sys.excepthook = note
    atexit.register(session.close)


def check_names(parties: Sequence[str], provider: str) -> tuple[str, ...]:
    if isinstance(parties, str):
        raise SessionError(f"`parties` is the single name {parties!r}; pass a tuple of two or more")
    names = tuple(parties)
    if len(names) < 2:
        raise SessionError(f"`parties` has {len(names)} name(s); shares need at least two parties")
    for name in (*names, provider):
        if not isinstance(name, str) or not name:
            raise SessionError(f"{name!r} is not a name; parties and provider are named by strings")
    if len(set(names)) < len(names):
        raise SessionError(f"`parties` names someone twice: {', '.join(names)}")
    if provider in names:
        raise SessionError(
            f"the provider {provider!r} is also a party; it knows every mask, so it must be another"
        )
    return names


def simulated(
    names: Sequence[str],
    provider_name: str,
    *,
    unit: int,
    seed: int | None = None,
    link: str = "lan",
    local: Sequence[int] | None = None,
    transport: Transport | None = None,
    provider: Provider | None = None,
) -> Session:
    """A session in one process. local, transport, provider: stand-ins that tests put in place."""
    fresh = _seeds(seed)
    n = len(names)
    members = [fresh() for _ in range(n + 1)]
    nonce = blake2b(b"".join(members), digest_size=32).digest()
    provider_seeds = [fresh() for _ in range(n)]
    pairs = {(p, q): fresh() for p in range(n) for q in range(p + 1, n)}
    public_seed = fresh()
    keys = {}
    for p in range(n) if local is None else local:
        peers = {q: pairs[min(p, q), max(p, q)] for q in range(n) if q != p}
        keys[p] = PartyKeys(provider_seeds[p], peers, nonce)
    meter = Meter()
    return Session(
        names,
        provider_name,
        unit=unit,
        keys=keys,
        provider=provider or Dealer(provider_seeds, nonce),
        transport=transport or SimulatedTransport(n, meter),
        meter=meter,
        public_seed=public_seed,
        link=link,
    )


def _seeds(seed: int | None) -> Any:
    """A source of 32-byte seeds: the operating system, or a repeatable one for tests."""
    if seed is None:
        return lambda: secrets.token_bytes(32)
    counter = iter(range(1 << 62))
    root = str(int(seed)).encode()
    return lambda: blake2b(root, digest_size=32, salt=next(counter).to_bytes(8, "little")).digest()
