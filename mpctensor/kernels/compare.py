"""Comparison of a masked value with a public threshold, step by step, on bit planes.

c = x + r is public (for a threshold T: c = x + r - T); the provider knows r. The order of planes in
each bundle is that of csrc/compare/compare.h. One comparison:

    provider  rows_deal, merge_deal(1), merge_deal(2), beta_deal, select_deal
    party     lookup -> open -> merge(1) -> open -> merge(2) -> open -> bit_hat -> select_share

`equal_*` are the same steps for [x == 0]. `keys` are the operation keys of several parties, one
after the other: of all, or of all but the last, whose share is the correction. A source is a
correction or (key, stream). Every mask stream must be fresh: reusing one makes the view depend on
the secret.
"""

from torch import Tensor

from mpctensor import _C
from mpctensor.kernels.arguments import (
    Source,
    below,
    bundle,
    dense,
    key_list,
    new_bundle,
    new_words,
    one_key,
    plane_source,
    threads,
    word_source,
    words,
)

LESS, EQUAL = 0, 1
ROWS = {LESS: 232, EQUAL: 240}
# By kind and level; a message of level 3 is the masked outcome.
MESSAGE = {(LESS, 1): 27, (LESS, 2): 6, (LESS, 3): 1, (EQUAL, 1): 16, (EQUAL, 2): 4, (EQUAL, 3): 1}
TOPS = {(LESS, 1): 4, (LESS, 2): 1, (LESS, 3): 0, (EQUAL, 1): 0, (EQUAL, 2): 0, (EQUAL, 3): 0}
MONOMIALS = {(LESS, 1): 81, (LESS, 2): 15, (EQUAL, 1): 44, (EQUAL, 2): 11}


def rows_deal(r: Tensor, keys: bytes, stream: int) -> Tensor:
    """The provider: the one-hot rows of the digits of r's low 63 bits, minus the keys' streams.

    keys: of all parties but the last. Returns the correction, a bundle (232, words(n)).
    """
    return _rows_deal(LESS, r, keys, stream)


def equal_rows_deal(r: Tensor, keys: bytes, stream: int) -> Tensor:
    """Like `rows_deal` for all 64 bits: (240, words(n))."""
    return _rows_deal(EQUAL, r, keys, stream)


def _rows_deal(kind: int, r: Tensor, keys: bytes, stream: int) -> Tensor:
    r = dense("r", r)
    out = new_bundle(ROWS[kind], r.numel())
    _C.rows_deal(out.data_ptr(), kind, r.data_ptr(), _streams(keys, stream), r.numel(), threads())
    return out


def lookup(c: Tensor, rows: Source, key: bytes, masks: int, first: bool) -> tuple[Tensor, Tensor]:
    """A party looks up EQ and LT of every digit at c: its message (27, W) and its tops (4, W).

    rows: its share of the rows. masks: the stream, under its key, that masks the message.
    first: whether it is the party that adds public constants.
    """
    return _lookup(LESS, c, rows, key, masks, first)


def equal_lookup(c: Tensor, rows: Source, key: bytes, masks: int, first: bool) -> Tensor:
    """Like `lookup` with EQ only: the message (16, W)."""
    return _lookup(EQUAL, c, rows, key, masks, first)[0]


def _lookup(
    kind: int, c: Tensor, rows: Source, key: bytes, masks: int, first: bool
) -> tuple[Tensor, Tensor]:
    c = dense("c", c)
    n = c.numel()
    raw_rows, _held = plane_source("rows", rows, ROWS[kind], n)
    message, tops = new_bundle(MESSAGE[kind, 1], n), new_bundle(TOPS[kind, 1], n)
    _C.lookup(
        message.data_ptr(), tops.data_ptr(), kind, c.data_ptr(), raw_rows, _own(key, masks), first,
        n, threads(),
    )  # fmt: skip
    return message, tops


def merge_deal(
    level: int, n: int, keys: bytes, masks: int, others: bytes, monomials: int
) -> Tensor:
    """The provider: products of the mask bits of one merge, minus the others' streams.

    keys: of all parties, whose stream `masks` masks the opened bits. others: of all but the last,
    whose stream `monomials` is their share. Returns (81, W) at level 1, (15, W) at level 2.
    """
    return _merge_deal(LESS, level, n, keys, masks, others, monomials)


def equal_merge_deal(
    level: int, n: int, keys: bytes, masks: int, others: bytes, monomials: int
) -> Tensor:
    """Like `merge_deal`: (44, W) at level 1, (11, W) at level 2."""
    return _merge_deal(EQUAL, level, n, keys, masks, others, monomials)


def _merge_deal(
    kind: int, level: int, n: int, keys: bytes, masks: int, others: bytes, monomials: int
) -> Tensor:
    below("level", level, 1, 3)
    out = new_bundle(MONOMIALS[kind, level], n)
    _C.merge_deal(
        out.data_ptr(),
        kind,
        level,
        _streams(keys, masks),
        _streams(others, monomials),
        n,
        threads(),
    )
    return out


def merge(
    level: int, n: int, opened: Tensor, tops: Tensor, key: bytes, masks: int, monomials: Source,
    next_masks: int, first: bool,
) -> tuple[Tensor, Tensor] | Tensor:  # fmt: skip
    """A party merges groups of four: level 1 gives its next message (6, W) and top (1, W).

    Level 2 gives its share of [c_low < r_low] masked, (1, W). opened: the level's opened bits.
    masks, next_masks: streams under its key that masked those bits, and that mask the message.
    """
    message, next_tops = _merge(
        LESS, level, n, opened, tops, key, masks, monomials, next_masks, first
    )
    return (message, next_tops) if level == 1 else message


def equal_merge(
    level: int, n: int, opened: Tensor, tops: None, key: bytes, masks: int, monomials: Source,
    next_masks: int, first: bool,
) -> Tensor:  # fmt: skip
    """Like `merge`, without tops: (4, W), then the share of [c == r], masked, (1, W)."""
    return _merge(EQUAL, level, n, opened, tops, key, masks, monomials, next_masks, first)[0]


def _merge(
    kind: int, level: int, n: int, opened: Tensor, tops: Tensor | None, key: bytes, masks: int,
    monomials: Source, next_masks: int, first: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    below("level", level, 1, 3)
    opened = bundle("opened", opened, MESSAGE[kind, level], n)
    raw_tops = 0
    if tops is not None:
        tops = bundle("tops", tops, TOPS[kind, level], n)
        raw_tops = tops.data_ptr()
    elif TOPS[kind, level]:
        raise ValueError("`tops` is missing")
    raw_monomials, _held = plane_source("monomials", monomials, MONOMIALS[kind, level], n)
    message, next_tops = (
        new_bundle(MESSAGE[kind, level + 1], n),
        new_bundle(TOPS[kind, level + 1], n),
    )
    _C.merge(
        message.data_ptr(), next_tops.data_ptr(), kind, level, opened.data_ptr(), raw_tops,
        _own(key, masks), raw_monomials, _own(key, next_masks), first, n, threads(),
    )  # fmt: skip
    return message, next_tops


def bit_hat(c: Tensor, opened: Tensor, flip: bool) -> Tensor:
    """Public: the plane b^ = msb(c) xor the opened outcome xor flip.

    The bit is b^ xor beta: [x < 0], or [x >= 0] where flip is set.
    """
    c = dense("c", c)
    n = c.numel()
    opened = bundle("opened", opened, 1, n)
    out = new_words(words(n))
    _C.bit_hat(out.data_ptr(), c.data_ptr(), opened.data_ptr(), flip, n, threads())
    return out


def beta_deal(r: Tensor, keys: bytes, stream: int) -> Tensor:
    """The provider: the plane beta = msb(r) xor the masks of all parties."""
    r = dense("r", r)
    out = new_words(words(r.numel()))
    _C.beta_deal(out.data_ptr(), r.data_ptr(), _streams(keys, stream), r.numel(), threads())
    return out


def bit_values(plane: Tensor, n: int, keys: bytes = b"", stream: int = 0) -> Tensor:
    """The n bits of a plane as 0/1 words, minus the keys' streams."""
    plane = bundle("plane", plane, 1, n)
    out = new_words(n)
    _C.bit_values(out.data_ptr(), plane.data_ptr(), _streams(keys, stream), n, threads())
    return out


def pack(bits: Tensor) -> Tensor:
    """The lowest bits of n words as a plane; zeros beyond n."""
    bits = dense("bits", bits)
    out = new_words(words(bits.numel()))
    _C.pack(out.data_ptr(), bits.data_ptr(), bits.numel(), threads())
    return out


def select_deal(beta: Tensor, r: Tensor, keys: bytes, stream: int) -> list[Tensor]:
    """The provider: beta (a plane) and beta * r as words, minus streams `stream`, `stream + 1`."""
    r = dense("r", r)
    n = r.numel()
    beta = bundle("beta", beta, 1, n)
    out = [new_words(n) for _ in range(2)]
    _C.select_deal(
        *(t.data_ptr() for t in out), beta.data_ptr(), r.data_ptr(), _streams(keys, stream), n,
        threads(),
    )  # fmt: skip
    return out


def relu_shift_deal(beta: Tensor, r: Tensor, f: int, keys: bytes, stream: int) -> list[Tensor]:
    """The provider, for a selection fused with a truncation by 2^f, 1 <= f <= 62.

    beta, rho = r >> f, beta*rho, mu = msb(r), beta*mu, minus streams `stream` .. `stream + 4`.
    """
    below("f", f, 1, 63)
    r = dense("r", r)
    n = r.numel()
    beta = bundle("beta", beta, 1, n)
    out = [new_words(n) for _ in range(5)]
    _C.select_shift_deal(
        [t.data_ptr() for t in out], beta.data_ptr(), r.data_ptr(), f, _streams(keys, stream), n,
        threads(),
    )  # fmt: skip
    return out


def select_share(
    plane: Tensor, c: Tensor, r: Source, beta: Source, beta_r: Source, first: bool
) -> Tensor:
    """A party's share of b x, flat, for b = b^ xor beta and c = x + r.

    b^ ([c] - r) + s (c beta - beta_r) with s = 1 - 2 b^; plane holds b^.
    """
    c = dense("c", c)
    n = c.numel()
    plane = bundle("plane", plane, 1, n)
    raw, _held = _word_sources(n, r=r, beta=beta, beta_r=beta_r)
    out = new_words(n)
    _C.select_share(out.data_ptr(), plane.data_ptr(), c.data_ptr(), *raw, first, n, threads())
    return out


def select_shift_share(
    plane: Tensor, c: Tensor, f: int, beta: Source, rho: Source, beta_rho: Source, mu: Source,
    beta_mu: Source, first: bool,
) -> Tensor:  # fmt: skip
    """A party's share of b (x / 2^f), flat; errors 0 or +1 unit, right for every x.

    With C = c >> f and k = (1 - msb(c)) 2^(64-f):
    b^ ([C] - rho + k mu) + s (C beta - beta_rho + k beta_mu).
    """
    below("f", f, 1, 63)
    c = dense("c", c)
    n = c.numel()
    plane = bundle("plane", plane, 1, n)
    raw, _held = _word_sources(n, beta=beta, rho=rho, beta_rho=beta_rho, mu=mu, beta_mu=beta_mu)
    out = new_words(n)
    _C.select_shift_share(
        out.data_ptr(), plane.data_ptr(), c.data_ptr(), f, raw, first, n, threads()
    )
    return out


def _word_sources(n: int, **sources: Source) -> tuple[list[object], list[object]]:
    """Sources for the bindings, and what must outlive the call."""
    pairs = [word_source(name, source, n) for name, source in sources.items()]
    return [raw for raw, _ in pairs], [held for _, held in pairs]


def _streams(keys: bytes, stream: int) -> tuple[bytes, int]:
    return key_list("keys", keys, empty=True), below("stream", stream, 0, 1 << 64)


def _own(key: bytes, stream: int) -> tuple[int, bytes, int]:
    return 0, one_key("key", key), below("stream", stream, 0, 1 << 64)
