"""aten ops that would show a secret, by its value or by the shape of their result.

Here too: the words in which a refused or unknown operation is spoken of.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import torch

from ..session import Session
from .registry import ATEN, FRONT, refuse

aten = torch.ops.aten

refuse(
    "reads the value of a secret, where torch needs a public one (a size, position, number or"
    " condition): call decrypt() if it may be known, or keep it secret: torch.where for a"
    " condition, gather or a product with F.one_hot for a position, a mask (torch.arange(n) < size)"
    " for a size",
    aten._local_scalar_dense.default,
    aten.item.default,
    aten.is_nonzero.default,
    aten.equal.default,
    aten.allclose.default,
)
refuse(
    "gives a result whose shape depends on secret values: multiply by the mask or use torch.where,"
    " or decrypt() first",
    aten.nonzero.default,
    aten.nonzero_numpy.default,
    aten.argwhere.default,
    aten.masked_select.default,
    aten.unique_dim.default,
    aten._unique.default,
    aten._unique2.default,
    aten.unique_consecutive.default,
    aten.bincount.default,
    aten.repeat_interleave.Tensor,
)
refuse(
    "counts secret values into public places: sum comparison bits ((x == v).sum()) instead",
    aten.histc.default,
    aten.histogram.bin_ct,
    aten.histogram.bins_tensor,
)
refuse(
    "draws with a secret probability, which is not implemented: draw with a public one, or"
    " decrypt() it",
    aten.bernoulli.default,
    aten.bernoulli.p,
    aten.bernoulli_.Tensor,
    aten.multinomial.default,
    aten.poisson.default,
    aten.normal.Tensor_float,
    aten.normal.Tensor_Tensor,
)


def spoken(session: Session, sentence: str) -> str:
    """A message in the words of the session: PySyft's users say get() for decrypt()."""
    return sentence.replace("decrypt()", session.reveal)


_INSTEAD = {
    "_make_dual": "forward-mode derivatives are not available; use backward() or torch.func.grad",
    "linalg_qr": "initialise (nn.init.orthogonal_) before encrypt()",
    "linalg_inv": "solve by iterations of matmul, or decrypt() it",
    "linalg_solve": "solve by iterations of matmul, or decrypt() it",
    "multinomial": "decrypt() the probabilities if they may be known",
    "bernoulli": "draw with a public probability",
    "_fused_sgd_": "leave fused=True out",
    "_fused_adam_": "leave fused=True out",
    "_fused_adamw_": "leave fused=True out",
}


def unsupported(name: str, func: Any) -> str:
    """What is said of an operation that has no handler: its name, and what to use instead."""
    inner, instead = str(func), _INSTEAD.get(name)
    own = "write it with supported operations (docs/supported.md), or decrypt() first"
    if instead is None and name.strip("_") in set(_supported()):
        return f"`{name}` is supported, but not as it is reached here, as `{inner}`: {own}"
    through = "" if f".{name}." in inner else f" (through `{inner}`)"
    return (
        f"`{name}`{through} has no meaning on secret shares yet: {instead or _nearest(name) + own}"
    )


def _nearest(name: str) -> str:
    """The supported operation whose name is most alike, in words; nothing where none is."""
    near = get_close_matches(name.strip("_"), sorted(set(_supported())), 1, cutoff=0.7)
    return f"the supported operation nearest in name is `{near[0]}`; " if near else ""


def _supported() -> Iterator[str]:
    """Names of operations as users write them."""
    for function, handler in FRONT.items():
        if not handler.__module__.endswith("refusals"):
            yield function.__name__.strip("_")
    for overload in ATEN:
        namespace, _, name = overload._schema.name.partition("::")
        if namespace == "aten" and not name.endswith("backward"):
            yield name.strip("_")
