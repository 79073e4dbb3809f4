"""Sessions: names, life, settings, and what goes wrong."""

import pytest
import torch

from mpctensor import protocols as mpc
from mpctensor import session as sessions
from mpctensor.errors import MPCError, SessionError
from mpctensor.session import current, init
from mpctensor.transport import cost
from tests.sharing import make_session, raw_of, share_raw, value_of


def test_default_session_is_made_at_first_use() -> None:
    session = current()
    assert session.names == ("alice", "bob") and session.provider_name == "james"
    assert current() is session and session.unit == 1 << 16


def test_sessions_nest_and_close() -> None:
    outer = current()
    with init(("x", "y", "z"), provider="p") as inner:
        assert current() is inner and inner.n == 3
        x = share_raw(inner, torch.arange(4))
    assert current() is outer
    with pytest.raises(SessionError, match="closed"):
        mpc.square(x)
    with pytest.raises(SessionError, match="closed"):
        inner.next_mask()


def test_close_ends_a_session_anywhere_on_the_stack() -> None:
    outer = current()
    first = init(("a", "b"))
    second = init(("c", "d"))
    first.close()
    assert current() is second
    second.close()
    second.close()
    assert current() is outer


BAD = {
    "one party": ({"parties": ("alice",)}, "at least two"),
    "no party": ({"parties": ()}, "at least two"),
    "a string": ({"parties": "alice"}, "single name"),
    "twice": ({"parties": ("alice", "alice")}, "twice"),
    "provider is a party": ({"provider": "bob"}, "also a party"),
    "empty name": ({"parties": ("alice", "")}, "not a name"),
    "no string": ({"parties": ("alice", 3)}, "not a name"),
    "precision too large": ({"precision": 40}, "too large"),
    "decimal precision too large": ({"precision": 9, "base": 10}, "too large"),
    "negative precision": ({"precision": -1}, "whole number"),
    "fractional precision": ({"precision": 1.5}, "whole number"),
    "base": ({"base": 3}, "use 2"),
    "link": ({"link": "wifi"}, "`link` is 'wifi'; use 'lan' .* or 'wan'"),
    "no link": ({"link": None}, "`link` is None"),
    "config": ({"config": "parties.toml"}, "config"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_settings(case: str) -> None:
    settings, words = BAD[case]
    depth = len(sessions._stack)
    with pytest.raises(SessionError, match=words) as caught:
        init(**settings)  # type: ignore[arg-type]
    assert isinstance(caught.value, MPCError) and len(sessions._stack) == depth


def test_seed_makes_a_run_repeatable() -> None:
    parts = []
    for seed in (5, 5, 6, None, None):
        with init(("a", "b"), seed=seed) as session:
            parts.append(share_raw(session, torch.zeros(4, dtype=torch.int64)).parts[1])
    assert torch.equal(parts[0], parts[1])
    different = [parts[i] for i in (1, 2, 3, 4)]
    assert len({tuple(part.tolist()) for part in different}) == 4


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("source", [0, 1])
def test_input_is_shared_for_free_and_hidden(n: int, source: int) -> None:
    session = make_session(n)
    raw = torch.arange(100)
    parts = session.input(raw, raw.shape, source)
    assert torch.equal(sum(parts, torch.zeros_like(raw)), raw)
    assert all(not torch.equal(part, raw) for part in parts)
    again = session.input(raw, raw.shape, source)
    assert all(not torch.equal(a, b) for a, b in zip(parts, again, strict=True))


def test_input_needs_its_source() -> None:
    with pytest.raises(SessionError, match="alice has to pass"):
        make_session(2).input(None, (3,), 0)


def test_unknown_party() -> None:
    with pytest.raises(SessionError, match=r"'mallory'.*alice, bob"):
        make_session(2).index("mallory", "src")


def test_public_randomness_is_fresh_and_common() -> None:
    first, second = (make_session(2), make_session(2, local=(1,)))
    a, b = (torch.rand(5, generator=s.public_generator()) for s in (first, second))
    assert torch.equal(a, b)
    assert not torch.equal(a, torch.rand(5, generator=first.public_generator()))


def test_reveal_to_one_party() -> None:
    session = make_session(3)
    x = share_raw(session, torch.arange(8))
    with cost() as spent:
        assert torch.equal(mpc.reveal(x, [1]), torch.arange(8))  # type: ignore[arg-type]
    assert spent.bytes_sent == 64 and spent.rounds == 1
    assert torch.equal(raw_of(x), torch.arange(8)), "revealing leaves the share as it was"
    assert torch.equal(value_of(x), torch.arange(8).double() / 65536)
