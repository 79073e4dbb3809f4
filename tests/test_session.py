"""Sessions: names, life, settings, and what goes wrong."""

import threading

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from mpctensor import protocols as mpc
from mpctensor import session as sessions
from mpctensor.errors import MPCError, SessionError
from mpctensor.starting import current, init
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


WRITES = {
    "copy_": lambda x, y: x.copy_(y),
    "setitem": lambda x, y: x.__setitem__(0, y[0]),
    "foreach": lambda x, y: torch._foreach_copy_([x], [y]),
    "out": lambda x, y: torch.add(y, 1, out=x),
    "add_": lambda x, y: x.add_(y),
    "where": lambda x, y: x.copy_(torch.where(torch.tensor([True, False, True]), y, 0.0)),
    "masked_fill_": lambda x, y: x.masked_fill_(torch.tensor([True, False, True]), y[0]),
    "lists": lambda x, y: torch._foreach_add([x, y], [x, y]),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("names", [("c", "d"), ("c", "d", "e")])
def test_a_value_of_another_session_is_never_written(write: str, names: tuple[str, ...]) -> None:
    plain = torch.tensor([1.0, 2.0, 3.0])
    with init(("a", "b"), "p"):
        x = mpctensor.encrypt(plain)
        with init(names, "q"):
            y = mpctensor.encrypt(plain + 6)
            if write == "lists":  # each pair is of one session: nothing meets
                WRITES[write](x, y)
                return
            with pytest.raises(SessionError, match="session"):
                WRITES[write](x, y)
        with pytest.raises(SessionError, match="session"):
            WRITES[write](x, y)
        assert torch.equal(x.decrypt(), plain)


def test_the_shares_of_a_closed_session_are_gone() -> None:
    with init() as session:
        x = mpctensor.encrypt(torch.ones(2))
        assert len(x.shares) == 2
    with pytest.raises(SessionError, match="closed"):
        x.shares  # noqa: B018
    assert session._provider is None and not session._keys and not session._public_seed


def test_reprs_show_no_keys() -> None:
    session = make_session()
    dealt = session.deal("wrap", (), (4, 16))
    assert dealt.corrections is not None
    shown = " ".join(map(repr, (dealt, session, session._provider, *session._keys.values())))
    secret = (session._public_seed, *session._provider._seeds)  # type: ignore[union-attr]
    for words in (*dealt.keys.values(), *dealt.corrections, *secret):
        assert repr(words) not in shown


def test_threads_take_turns() -> None:
    plain = [torch.randint(-8, 8, (100, 100)).float() for _ in range(4)]
    with init():
        for _ in range(10):
            shared = mpctensor.encrypt(plain[0].clone())
            outcomes: list[bool] = []

            def work(other: torch.Tensor, x: torch.Tensor = shared, seen: list = outcomes) -> None:
                y = mpctensor.encrypt(other.clone())
                seen.append(bool(torch.equal((x * y).decrypt(), plain[0] * other)))
                seen.append(bool(torch.equal((x > 0).decrypt(), plain[0] > 0)))
                seen.append(bool(torch.equal(torch.relu(x).decrypt(), plain[0].relu())))

            threads = [threading.Thread(target=work, args=(other,)) for other in plain]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(outcomes) == 12 and all(outcomes)


def test_threads_settle_a_deferred_loss_once() -> None:
    with init():
        x = mpctensor.encrypt(torch.randn(4, 3))
        loss = F.cross_entropy(x, torch.tensor([0, 1, 2, 0]))
        values: list[float] = []
        work = lambda: values.append(loss.decrypt().item())  # noqa: E731
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(values) == 4 and len(set(values)) == 1


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
    "no such file": ({"config": "nowhere.toml"}, "nowhere.toml cannot be read"),
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
