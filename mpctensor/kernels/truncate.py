"""Truncation that never fails: a shared value divided by a public number, within |z| < 2^62.

Two parties by the wrap bit (one opened bit an element), any number by opening c = z + r, or from a
c that is open already. Sources: [EGK+20], [DEK20]. Errors in units of the result's last place,
against floor(z / d): 0 or +1, unbiased; division by the wrap bit -1 .. 2. The rounding depends on
c, or on the low bits of the shares. Everything is flat; planes and sources are as in `arguments`.
"""

from torch import Tensor

from mpctensor import _C
from mpctensor.kernels.arguments import (
    Source,
    below,
    bundle,
    dense,
    key_list,
    new_words,
    one_key,
    plane_source,
    threads,
    word_source,
    words,
)

OFFSET = 1 << 62


def wrap_open(x: Tensor, offset: int, mask: Source) -> Tensor:
    """The party's message: msb(x + offset) xor mask, a plane.

    offset: 2^62 (for a division the multiple of d nearest to it) at party 0, 0 at party 1.
    """
    x = dense("x", x)
    n = x.numel()
    raw, _held = plane_source("mask", mask, 1, n)
    out = new_words(words(n))
    _C.wrap_open(
        out.data_ptr(), x.data_ptr(), below("offset", offset, 0, 1 << 64), raw, n, threads()
    )
    return out


def wrap_deal(a: Tensor, b: Tensor, n: int, key: bytes, stream: int) -> Tensor:
    """The provider: a and b of two planes as 0/1 words, minus party 0's stream: int64 (n,)."""
    a, b = bundle("a", a, 1, n), bundle("b", b, 1, n)
    out = new_words(n)
    _C.wrap_deal(
        out.data_ptr(), a.data_ptr(), b.data_ptr(), one_key("key", key), stream, n, threads()
    )
    return out


def wrap_shift(
    x: Tensor, party: int, e0: Tensor, e1: Tensor, own: Source, product: Source, f: int
) -> Tensor:
    """A share of z / 2^f, flat, from the own share x (without offset) and the opened planes.

    own: the plane that masked the own message. product: the share of a*b, of which the low f bits
    count.
    """
    below("f", f, 1, 63)
    x = dense("x", x)
    pointers, _held = _wrap_operands(x, party, e0, e1, own, product)
    out = new_words(x.numel())
    _C.wrap_shift(out.data_ptr(), x.data_ptr(), *pointers, f, x.numel(), threads())
    return out


def wrap_divide(
    x: Tensor, party: int, e0: Tensor, e1: Tensor, own: Source, product: Source, d: int,
    coins: Tensor,
) -> Tensor:  # fmt: skip
    """A share of z / d for 2 <= d < 2^62, flat.

    coins: public random words, alike at both parties.
    """
    _check_divisor(d)
    x = dense("x", x)
    coins = dense("coins", coins, x.numel())
    pointers, _held = _wrap_operands(x, party, e0, e1, own, product)
    out = new_words(x.numel())
    _C.wrap_divide(
        out.data_ptr(), x.data_ptr(), *pointers, d, coins.data_ptr(), x.numel(), threads()
    )
    return out


def open_shift_deal(r: Tensor, f: int, keys: bytes = b"", stream: int = 0) -> tuple[Tensor, Tensor]:
    """The provider: r >> f and msb(r), flat, minus the keys' streams `stream` and `stream + 1`."""
    below("f", f, 1, 63)
    r = dense("r", r)
    rho, mu = new_words(r.numel()), new_words(r.numel())
    _C.open_shift_deal(
        rho.data_ptr(), mu.data_ptr(), r.data_ptr(), f, key_list("keys", keys, empty=True), stream,
        r.numel(), threads(),
    )  # fmt: skip
    return rho, mu


def open_shift(c: Tensor, rho: Source, mu: Source, f: int, first: bool) -> Tensor:
    """A share of z / 2^f, flat, from c = z + r (without offset) and shares of `open_shift_deal`."""
    below("f", f, 1, 63)
    c = dense("c", c)
    n = c.numel()
    (raw_rho, _rho), (raw_mu, _mu) = word_source("rho", rho, n), word_source("mu", mu, n)
    out = new_words(n)
    _C.open_shift(out.data_ptr(), c.data_ptr(), raw_rho, raw_mu, f, first, n, threads())
    return out


def open_divide_deal(
    r: Tensor, d: int, keys: bytes = b"", stream: int = 0
) -> tuple[Tensor, Tensor]:
    """The provider: -floor(r / d) of r as unsigned and as signed.

    Minus the keys' streams `stream` and `stream + 1`.
    """
    _check_divisor(d)
    r = dense("r", r)
    v1, v0 = new_words(r.numel()), new_words(r.numel())
    _C.open_divide_deal(
        v1.data_ptr(), v0.data_ptr(), r.data_ptr(), d, key_list("keys", keys, empty=True), stream,
        r.numel(), threads(),
    )  # fmt: skip
    return v1, v0


def open_divide(c: Tensor, v1: Source, v0: Source, d: int, first: bool) -> Tensor:
    """A share of z / d, flat, from c = z + r (without offset) and shares of `open_divide_deal`."""
    _check_divisor(d)
    c = dense("c", c)
    n = c.numel()
    (raw_v1, _v1), (raw_v0, _v0) = word_source("v1", v1, n), word_source("v0", v0, n)
    out = new_words(n)
    _C.open_divide(out.data_ptr(), c.data_ptr(), raw_v1, raw_v0, d, first, n, threads())
    return out


def _wrap_operands(
    x: Tensor, party: int, e0: Tensor, e1: Tensor, own: Source, product: Source
) -> tuple[tuple[object, ...], object]:
    """Arguments of the bindings, and what must outlive the call."""
    n = x.numel()
    below("party", party, 0, 2)
    e0, e1 = bundle("e0", e0, 1, n), bundle("e1", e1, 1, n)
    raw_own, own_held = plane_source("own", own, 1, n)
    raw_product, product_held = word_source("product", product, n)
    pointers = (party, e0.data_ptr(), e1.data_ptr(), raw_own, raw_product)
    return pointers, (e0, e1, own_held, product_held)


def _check_divisor(d: int) -> None:
    below("d", d, 2, OFFSET)
