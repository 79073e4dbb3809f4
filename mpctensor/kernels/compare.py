"""Comparison of a masked value with a public threshold, step by step, on bit planes.

c = x + r is public (for a threshold T: c = x + r - T); the provider knows r. The order of planes in
each bundle is that of csrc/compare/compare.h. One comparison:

    provider  rows_deal, merge_deal (for every merge), beta_deal, select_deal
    party     lookup -> open -> (merge -> open, for every merge) -> bit_hat -> select_share

How numbers are cut into digits is the first argument: `LESS` for [x < 0] and `EQUAL` for [x == 0]
merge twice, `LESS_WIDE` and `EQUAL_WIDE` once, for six times the planes. `keys` are the operation
keys of several parties, one after the other: of all, or of all but the last, whose share is the
correction. A source is a correction or (key, stream). Every mask stream must be fresh: reusing one
makes the view depend on the secret.
"""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Digits:
    """One way to cut a number into digits and to merge them.

    kind: its number in csrc/compare/compare.h. order: whether LT is found, not only EQ. rows: dealt
    planes of one-hot rows. messages: planes opened, merge by merge; the last is the outcome. tops:
    planes kept back from each message. monomials: planes dealt for each merge.
    """

    kind: int
    order: bool
    rows: int
    messages: tuple[int, ...]
    tops: tuple[int, ...]
    monomials: tuple[int, ...]

    @property
    def merges(self) -> int:
        return len(self.monomials)


LESS: Digits = Digits(0, True, 232, (27, 6, 1), (4, 1, 0), (81, 15))
EQUAL: Digits = Digits(1, False, 240, (16, 4, 1), (0, 0, 0), (44, 11))
LESS_WIDE: Digits = Digits(2, True, 1143, (16, 1), (1, 0), (749,))
EQUAL_WIDE: Digits = Digits(3, False, 1271, (9, 1), (0, 0), (502,))


def rows_deal(digits: Digits, r: Tensor, keys: bytes, stream: int) -> Tensor:
    """The provider: the one-hot rows of r's digits, minus the keys' streams.

    keys: of all parties but the last. Returns the correction, a bundle (rows, words(n)).
    """
    r = dense("r", r)
    n = r.numel()
    out = new_bundle(digits.rows, n)
    _C.rows_deal(out.data_ptr(), digits.kind, r.data_ptr(), _streams(keys, stream), n, threads())
    return out


def lookup(
    digits: Digits, c: Tensor, rows: Source, key: bytes, masks: int, first: bool, threshold: int = 0
) -> tuple[Tensor, Tensor]:
    """A party looks up EQ and LT of every digit at c - threshold: its first message and its tops.

    Both are bundles. rows: its share of the rows. masks: the stream, under its key, that masks the
    message. first: whether it is the party that adds public constants.
    """
    c = dense("c", c)
    n = c.numel()
    raw_rows, _held = plane_source("rows", rows, digits.rows, n)
    message, tops = new_bundle(digits.messages[0], n), new_bundle(digits.tops[0], n)
    _C.lookup(
        message.data_ptr(), tops.data_ptr(), digits.kind, c.data_ptr(), threshold, raw_rows,
        _own(key, masks), first, n, threads(),
    )  # fmt: skip
    return message, tops


def merge_deal(
    digits: Digits, level: int, n: int, keys: bytes, masks: int, others: bytes, monomials: int
) -> Tensor:
    """The provider: products of the mask bits of merge `level` (from 1), minus the others' streams.

    keys: of all parties, whose stream `masks` masks the opened bits. others: of all but the last,
    whose stream `monomials` is their share.
    """
    below("level", level, 1, digits.merges + 1)
    out = new_bundle(digits.monomials[level - 1], n)
    _C.merge_deal(
        out.data_ptr(),
        digits.kind,
        level,
        _streams(keys, masks),
        _streams(others, monomials),
        n,
        threads(),
    )
    return out


def merge(
    digits: Digits, level: int, n: int, opened: Tensor, tops: Tensor, key: bytes, masks: int,
    monomials: Source, next_masks: int, first: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A party merges groups of digits: its next message and tops.

    After the last merge the message is its share of [c_low < r_low] or [c == r], masked, (1, W).
    opened, tops: of this merge. masks, next_masks: streams under its key that masked those bits,
    and that mask the message.
    """
    below("level", level, 1, digits.merges + 1)
    opened = bundle("opened", opened, digits.messages[level - 1], n)
    tops = bundle("tops", tops, digits.tops[level - 1], n)
    raw_monomials, _held = plane_source("monomials", monomials, digits.monomials[level - 1], n)
    message, next_tops = new_bundle(digits.messages[level], n), new_bundle(digits.tops[level], n)
    _C.merge(
        message.data_ptr(), next_tops.data_ptr(), digits.kind, level, opened.data_ptr(),
        tops.data_ptr(), _own(key, masks), raw_monomials, _own(key, next_masks), first, n,
        threads(),
    )  # fmt: skip
    return message, next_tops


def bit_hat(c: Tensor, opened: Tensor, flip: bool, threshold: int = 0) -> Tensor:
    """Public: the plane b^ = msb(c - threshold) xor the opened outcome xor flip.

    The bit is b^ xor beta: [x < threshold], or [x >= threshold] where flip is set.
    """
    c = dense("c", c)
    n = c.numel()
    opened = bundle("opened", opened, 1, n)
    out = new_words(words(n))
    _C.bit_hat(out.data_ptr(), c.data_ptr(), threshold, opened.data_ptr(), flip, n, threads())
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
