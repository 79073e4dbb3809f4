"""Truncation that never fails: division of a shared value by a public number.

Within |z| < 2^62 the result is floor(z / d) or one more, stochastically rounded and unbiased;
dividing by d that is no power of two by the wrap bit can be off by one more unit (3% of results).
Sources: Escudero, Ghosh, Keller, Rachuri, Scholl, "Improved primitives for MPC over mixed
arithmetic-binary circuits", CRYPTO 2020 [EGK+20]; Dalskov, Escudero, Keller, "Secure evaluation of
quantized neural networks", PoPETs 2020 [DEK20].
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .. import kernels
from ..provider import Dealt
from ..provider.requests import WRAP_BITS
from ..share import Part, Share
from ..transport import Opening
from .opening import Masked, is_open, masked, masks, same_session

OFFSET = 1 << 62


def truncate(x: Share, d: int) -> Share:
    """x divided by the public integer d > 1; the scale shrinks by d.

    Two parties: by the wrap bit (1 round, 1 bit sent an element, 16..64 dealt), unless x is open
    already; else by opening (64 bits sent, 64 + f or 128 dealt; no round where x is open).
    """
    return truncate_all([(x, d)])[0]


def truncate_all(pairs: Sequence[tuple[Share, int]]) -> list[Share]:
    """`truncate` for each share and its divisor, in one round for all."""
    session = same_session(*(x for x, _ in pairs))
    for x, d in pairs:
        if x.scale % d:
            raise ValueError(f"scale {x.scale} cannot be divided by {d}")
    flat = [(_flat(x), d) for x, d in pairs if x.public is None]
    wrapped = [session.n == 2 and not is_open(x) for x, _ in flat]
    by_wrap_bit = iter(_by_wrap_bit([x for x, w in zip(flat, wrapped, strict=True) if w]))
    rest = [x for x, w in zip(flat, wrapped, strict=True) if not w]
    by_opening = iter(divide_by_opening(rest))
    divided = iter([next(by_wrap_bit if w else by_opening) for w in wrapped])
    return [
        _truncate_public(x, d) if x.public is not None else _truncated(x, d, next(divided))
        for x, d in pairs
    ]


def _truncated(x: Share, d: int, parts: tuple[Part, ...]) -> Share:
    scale = x.scale // d
    out = Share.make(x.session, parts, x.dtype, scale, x.unit, shown=x.shown, fine=x.fine)
    return _shaped_like(out.like(x), x)


def _flat(x: Share) -> Share:
    """A flat, dense share: the storage where the view shows all of it, else a copy of the view."""
    return x.base() if x.whole else x.map(lambda part: part.contiguous().view(-1))


def _shaped_like(flat: Share, x: Share) -> Share:
    if x.whole:
        part = x.here
        size, stride = part.shape, part.stride()
        return flat.map(lambda t: t.as_strided(size, stride, 0))
    return flat.map(lambda t: t.view(x.shape))


def _truncate_public(x: Share, d: int) -> Share:
    """Everybody knows the value: everybody rounds it alike."""
    raw = x.public
    assert raw is not None
    floor = raw.div(d, rounding_mode="floor")
    value = floor + ((raw - floor * d) * 2 >= d)
    parts = x.each(lambda p, _: value.clone() if p == x.session.first else value * 0)
    return Share.make(x.session, parts, x.dtype, x.scale // d, x.unit, value, fine=x.fine).like(x)


def _shift_of(d: int) -> int | None:
    """f where d = 2^f."""
    return d.bit_length() - 1 if d & (d - 1) == 0 else None


def multiple_near_offset(d: int) -> int:
    """The multiple of d nearest to 2^62; it is added before a division to make z positive."""
    return d * ((OFFSET + d // 2) // d)


def _by_wrap_bit(pairs: Sequence[tuple[Share, int]]) -> list[tuple[Part, ...]]:
    """Two parties.

    1. party 0 adds the offset: x0 + x1 = z' + w 2^64, z' < 2^63, w = m0 or m1, m_i = msb(x_i)
    2. open e_i = m_i xor (own random bit)       (1 round, 1 bit an element)
    3. [m0 m1] from e_0, e_1 and the dealt product of the two random bits
    4. each party divides its own share and corrects for the wrap
    """
    if not pairs:
        return []
    steps = [_WrapBit(x, d) for x, d in pairs]
    opened = steps[0].x.session.transport.open([step.opening for step in steps])
    return [step.finish(*bits) for step, bits in zip(steps, opened, strict=True)]


class _WrapBit:
    """One share's division by the wrap bit, before and after the opening."""

    def __init__(self, x: Share, d: int) -> None:
        self.x, self.d, self._f = x, d, _shift_of(d)
        session, n = x.session, x.here.numel()
        offset = OFFSET if self._f is not None else multiple_near_offset(d)
        dealt = session.deal("wrap", (), (n, 64 if self._f is None else self._f))
        own = {p: kernels.prg_bundle(dealt.keys[p], WRAP_BITS, 1, n)[0] for p in session.local}
        messages = x.each(lambda p, part: kernels.wrap_open(part, offset if p == 0 else 0, own[p]))
        self._dealt, self._own, self.opening = dealt, own, Opening(messages, "stack", n)

    def finish(self, e0: Tensor, e1: Tensor) -> tuple[Part, ...]:
        f, own, session = self._f, self._own, self.x.session
        coin = session.public_words(0 if f is not None else self.x.here.numel(), "coin")

        def part_of(p: int, part: Tensor) -> Tensor:
            product = self._dealt.part(p, 0)
            if f is not None:
                return kernels.wrap_shift(part, p, e0, e1, own[p], product, f)
            return kernels.wrap_divide(part, p, e0, e1, own[p], product, self.d, coin)

        return self.x.each(part_of)


def divide_by_opening(pairs: Sequence[tuple[Share, int]]) -> list[tuple[Part, ...]]:
    """Any number of parties: from c = z + r and functions of r; no round where c is known."""
    asked = [_asked(x, d) for x, d in pairs]
    opened = masked(*(x for x, _ in pairs)) if pairs else []
    return [_divided(m, d, dealt) for m, (_, d), dealt in zip(opened, pairs, asked, strict=True)]


def _asked(x: Share, d: int) -> Dealt:
    f = _shift_of(d)
    return x.session.deal(
        "open_shift" if f is not None else "open_divide", masks(x), [d if f is None else f]
    )


def _divided(m: Masked, d: int, dealt: Dealt) -> tuple[Part, ...]:
    session, f = m.share.session, _shift_of(d)

    def finish(p: int, _: Tensor) -> Tensor:
        first = p == session.first
        a, b = dealt.part(p, 0), dealt.part(p, 1)
        if f is not None:
            return kernels.open_shift(m.c, a, b, f, first)
        return kernels.open_divide(m.c, a, b, d, first)

    return m.share.each(finish)
