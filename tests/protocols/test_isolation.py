"""Each party's code runs with the other parties' parts absent, the provider with all of them."""

import pytest
import torch

from mpctensor import protocols as mpc
from mpctensor.errors import SessionError
from mpctensor.protocols.order import _by_network
from mpctensor.provider import Dealer, Request
from mpctensor.session import Session
from mpctensor.share import ABSENT, Share
from tests.sharing import make_session, run_each_party_alone, share_value


def x_of(session: Session, *size: int) -> Share:
    generator = torch.Generator().manual_seed(3)
    return share_value(session, torch.randn(*size, generator=generator))


PROGRAMS = {
    "mul": lambda s: mpc.fit(mpc.mul(x_of(s, 4, 5), x_of(s, 5))),
    "square": lambda s: mpc.square(x_of(s, 7)),
    "matmul": lambda s: mpc.fit(mpc.matmul(x_of(s, 4, 5), x_of(s, 5, 3))),
    "conv": lambda s: mpc.conv(x_of(s, 2, 2, 6, 6), x_of(s, 3, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "divide": lambda s: mpc.truncate(mpc.scaled(x_of(s, 9), 1 / 3), 3),
    "relu": lambda s: mpc.relu(x_of(s, 70))[0],
    "relu fused": lambda s: mpc.relu(mpc.mul(x_of(s, 70), x_of(s, 70)))[0],
    "less_than": lambda s: mpc.less_than(x_of(s, 70), x_of(s, 1)),
    "equal": lambda s: mpc.equal(x_of(s, 70), x_of(s, 1)),
    "select": lambda s: mpc.select(mpc.positive(x_of(s, 9)), x_of(s, 9), x_of(s, 1)),
    "bit times bit": lambda s: mpc.both(mpc.positive(x_of(s, 9)), mpc.negative(x_of(s, 9))),
    "max": lambda s: mpc.max_along(x_of(s, 3, 5), 1)[0],
    "argmax": lambda s: mpc.max_along(x_of(s, 3, 5), 1)[1].index(),
    "ordered": lambda s: mpc.ordered(x_of(s, 3, 5), 1, 4)[0],
    "network": lambda s: _by_network(x_of(s, 2, 6), 0, 6, True)[0],
    "running": lambda s: mpc.running(x_of(s, 3, 5))[0],
    "route": lambda s: mpc.max_along(x_of(s, 3, 5), 1)[1].route(x_of(s, 3)),
}


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("link", ["lan", "wan"])
def test_party_needs_only_its_own_part(name: str, n: int, link: str) -> None:
    run_each_party_alone(n, lambda session: _shared(session, PROGRAMS[name]), link=link)


def _shared(session: Session, program: object) -> Share:
    """Inputs come from party 0; a party that lives alone elsewhere passes nothing."""
    if 0 in session.local:
        return program(session)  # type: ignore[operator]
    own_input = session.input
    session.input = lambda raw, size, source: own_input(None, size, source)  # type: ignore[method-assign]
    return program(session)  # type: ignore[operator]


def test_absent_parts_raise() -> None:
    with pytest.raises(SessionError, match="another party"):
        ABSENT.clone()
    x = make_session(2, local=(0,)).input(torch.arange(3), (3,), 0)
    with pytest.raises(TypeError):
        x[1] + 1


@pytest.mark.parametrize("link", ["lan", "wan"])
def test_provider_sees_requests_only(link: str) -> None:
    """A provider that gets a request as text deals the same corrections: it needs nothing else."""
    seen: list[Request] = []

    class Watching(Dealer):
        def deal(self, request: Request) -> list[torch.Tensor]:
            seen.append(request)
            assert not any(isinstance(v, torch.Tensor) for v in _leaves(request.canonical))
            return super().deal(request)

    session = make_session(2, link=link)
    real = session._provider
    assert isinstance(real, Dealer)
    session._provider = Watching(real._seeds, real._nonce)
    for program in PROGRAMS.values():
        program(session)
    assert seen and all(isinstance(request.digest, bytes) for request in seen)


def _leaves(tree: object) -> list[object]:
    if isinstance(tree, (list, tuple)):
        return [leaf for branch in tree for leaf in _leaves(branch)]
    return [tree]
