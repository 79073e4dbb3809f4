"""The requests that protocols really make, with the corrections that were dealt for them."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from mpctensor import protocols as mpc
from mpctensor.provider import Dealer, MaskView, Request
from mpctensor.session import Session
from mpctensor.share import Share
from tests.protocols.test_isolation import PROGRAMS, x_of
from tests.sharing import make_session, share_value

ONES = (1, 1)


def above_zero(session: Session, *size: int) -> Share:
    return share_value(session, torch.rand(*size) + 0.5)


def _transposed(session: Session) -> Share:
    x = x_of(session, 4, 5)
    return mpc.matmul(x, x.map(torch.t))


def _expanded(session: Session) -> Share:
    return mpc.matmul(x_of(session, 3, 4, 5), x_of(session, 5, 2))


def _conv_input(session: Session) -> Share:
    g, w = x_of(session, 2, 4, 3, 3), x_of(session, 4, 1, 3, 2)
    return mpc.conv_input(g, w, (2, 2, 6, 4), (2, 2), ONES, ONES, 2)


def _conv_weight(session: Session) -> Share:
    x, g = x_of(session, 2, 2, 6, 4), x_of(session, 2, 4, 3, 3)
    return mpc.conv_weight(x, g, (3, 2), (2, 2), ONES, ONES, 2)


def _strided_bit(session: Session) -> Share:
    bit = mpc.positive(x_of(session, 6, 4))
    return mpc.bit_mul(bit.map(lambda part: part.t()[1:, ::2]), x_of(session, 3, 3))


def _nothing(session: Session) -> Share:
    x = share_value(session, torch.empty(0, 3))
    return mpc.relu(mpc.mul(mpc.matmul(x, x_of(session, 3, 3)), x))[0]


REAL: dict[str, Callable[[Session], Any]] = {
    **PROGRAMS,
    "transposed": _transposed,
    "expanded": _expanded,
    "conv_input": _conv_input,
    "conv_weight": _conv_weight,
    "conv of a line": lambda s: mpc.conv(x_of(s, 1, 2, 9), x_of(s, 3, 2, 2), (2,), (1,), (3,), 1),
    "strided bit": _strided_bit,
    "nothing": _nothing,
    "clamp": lambda s: mpc.clamp(
        x_of(s, 5), mpc.constant(s, torch.tensor(0.0)), mpc.constant(s, torch.tensor(1.0))
    ),
    "sign": lambda s: mpc.sign(x_of(s, 5)),
    "exp": lambda s: mpc.exp(x_of(s, 5)),
    "exp_nonpositive": lambda s: mpc.exp_nonpositive(mpc.neg(mpc.absolute(x_of(s, 5))[0])),
    "sigmoid": lambda s: mpc.sigmoid(x_of(s, 2, 3)),
    "tanh": lambda s: mpc.tanh(x_of(s, 5)),
    "log": lambda s: mpc.log(above_zero(s, 5)),
    "sqrt": lambda s: mpc.sqrt(above_zero(s, 5)),
    "rsqrt": lambda s: mpc.rsqrt(above_zero(s, 5)),
    "reciprocal": lambda s: mpc.reciprocal(x_of(s, 5)),
    "quotient": lambda s: mpc.divide(x_of(s, 2, 3), above_zero(s, 3)),
    "softmax": lambda s: mpc.softmax(x_of(s, 3, 4), 1),
    "softmax of many": lambda s: mpc.softmax(x_of(s, 2, 40), 1),
    "log_softmax": lambda s: mpc.log_softmax(x_of(s, 3, 4), 0),
}


class Recorder(Dealer):
    """A dealer that remembers what it was asked and what it dealt."""

    def __init__(self, session: Session) -> None:
        real = session._provider
        assert isinstance(real, Dealer)
        super().__init__(real._seeds, real._nonce)
        self.dealt: list[tuple[Request, list[Tensor]]] = []

    def deal(self, request: Request) -> list[Tensor]:
        corrections = super().deal(request)
        self.dealt.append((request, [value.clone() for value in corrections]))
        return corrections


@lru_cache
def recorded(n: int) -> Recorder:
    """All programs in one session of n parties, comparisons in both forms; and one more request."""
    torch.manual_seed(0)
    session = make_session(n)
    recorder = Recorder(session)
    session._provider = recorder
    for program in REAL.values():
        program(session)
    session.link = "wan"
    for name in ("less_than", "equal", "relu fused", "select"):
        REAL[name](session)
    recorder.deal(Request("open_divide", 10**6, (MaskView(1, 9, (9,), (1,), 0),), (3,)))
    return recorder


@lru_cache
def one_of_each() -> tuple[Request, ...]:
    """Few real requests that differ in operation, map, kind or operands; small ones."""
    kinds: dict[Any, Request] = {}
    for request, _ in recorded(2).dealt:
        words = tuple(p for p in request.params if isinstance(p, str))
        kinds.setdefault((request.op, words, *(type(o) for o in request.operands)), request)
    return tuple(kinds.values())
