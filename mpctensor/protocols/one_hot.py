"""A secret position as a one-hot row, and what such rows choose.

With c = x + r open, x = v exactly where r = c - v. The provider deals the one-hot row of r modulo
2^m; the parties read it at the public places c - v, so nothing is compared: 1 round, 64 bits sent
and 64 * 2^m dealt for each position, where 2^m is the number of classes or the next power of two.
A dealt row that is looked up at a masked public index is a truth table of Ishai, Kushilevitz,
Meldgaard, Orlandi, Paskin-Cherniavsky, "On the power of correlated randomness in secure
computation", TCC 2013 [IKM+13].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..share import Share
from .bits import shown_as
from .linear import constant
from .opening import masked, masks, same_session
from .product import matmul
from .rectify import flatten
from .scales import rescale


def one_hot(x: Share, classes: int, first: int = 0, stop: int | None = None) -> Share:
    """[x == v] for v = first .. stop - 1, along a new last dimension (int64).

    x: integers in [0, classes); stop: `classes` where nothing is said. A value outside is taken
    modulo the next power of two, and may so be no class or another one: nobody can see it.
    1. open c = x + r (unless known)
    2. read the dealt row of r at c - v
    """
    session = same_session(x)
    values = torch.arange(first, classes if stop is None else stop)
    bits = max(classes - 1, 0).bit_length()
    if bits == 0 or x.public is not None or x.here.numel() == 0:
        return _known(x, values, bits)
    flat = flatten(rescale(x, 1))
    rows = session.deal("one_hot", masks(flat), [bits])
    m = masked(flat)[0]
    places = (m.c.unsqueeze(1) - values) & ((1 << bits) - 1)
    size = (*x.shape, values.numel())
    parts = x.each(lambda p, _: rows.part(p, 0).gather(1, places).view(size))
    return Share.make(session, parts, torch.int64, 1, 1)


def _known(x: Share, values: Tensor, bits: int) -> Share:
    """Rows that everybody knows: of public positions, of one class, of no position."""
    position = torch.zeros(x.shape, dtype=torch.int64) if x.public is None else x.public
    known = (position.unsqueeze(-1) & ((1 << bits) - 1)) == values
    return constant(x.session, known.to(torch.int64))


@dataclass(frozen=True)
class OneHot:
    """Which of n candidates stands at each of k places. rows: (*, k, n), a single 1 in each row."""

    rows: Share

    def pick(self, x: Share) -> Share:
        """The chosen candidates, (*, n) to (*, k). 1 round, in which rows and x are opened."""
        column = x.map(lambda part: part.unsqueeze(-1))
        return _chosen(x, matmul(self.rows, column))

    def route(self, g: Share) -> Share:
        """The transpose of `pick`, (*, k) to (*, n): each g goes where it was chosen from."""
        column = g.map(lambda part: part.unsqueeze(-1))
        turned = self.rows.map(lambda part: part.transpose(-1, -2))
        return _chosen(g, matmul(turned, column))

    def index(self) -> Share:
        """Positions of the chosen, (*, k), int64; local."""
        positions = torch.arange(self.rows.shape[-1])
        return self.rows.map(lambda part: (part * positions).sum(-1))


def _chosen(x: Share, product: Share) -> Share:
    """A product with rows of bits, without its last dimension; it has no digits but those of x."""
    return shown_as(x, product.map(lambda part: part.squeeze(-1)))
