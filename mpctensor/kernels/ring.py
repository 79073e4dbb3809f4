"""Linear algebra in Z_2^64 on int64 tensors: products, convolutions, fused share formulas.

Every result is exact modulo 2^64 and does not depend on the number of threads. `accumulate` adds
to `out` instead of overwriting it, `negate` negates the product first. A tensor of another dtype
raises TypeError, a wrong shape ValueError; both name the argument.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mpctensor import _C

Ints = int | Sequence[int]


def matmul(
    a: Tensor,
    b: Tensor,
    out: Tensor | None = None,
    *,
    accumulate: bool = False,
    negate: bool = False,
) -> Tensor:
    """out = [out +] (±) a @ b, with a (*B, M, K), b (*B, K, N) and out (*B, M, N) contiguous.

    Batch dimensions broadcast. Operands may have any strides: they are packed, not copied.
    """
    _check_type("a", a)
    _check_type("b", b)
    a_shape, b_shape = a.shape, b.shape
    if len(a_shape) < 2 or len(b_shape) < 2 or a_shape[-1] != b_shape[-2]:
        raise ValueError(
            f"`a` and `b` must be (*B, M, K) and (*B, K, N), not {_shape(a)} and {_shape(b)}"
        )
    *batch, m, k = a_shape
    *b_batch, _, n = b_shape
    if batch != b_batch:
        a, b = _broadcast(a, b)
        batch = list(a.shape[:-2])
    if out is None and not accumulate:
        out = a.new_empty(*batch, m, n)  # twice as fast as torch.empty with a tuple
    else:
        out = _output(out, (*batch, m, n), accumulate)
    _C.ring_matmul(
        out.data_ptr(), a.data_ptr(), b.data_ptr(), batch, m, k, n, a.stride(), b.stride(),
        accumulate, negate, torch.get_num_threads(),
    )  # fmt: skip
    return out


def conv(
    x: Tensor,
    w: Tensor,
    *,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    out: Tensor | None = None,
    accumulate: bool = False,
    negate: bool = False,
) -> Tensor:
    """Convolution of x (N, C, *S) with w (O, C/groups, *K): out (N, O, *S'), as torch's convNd.

    Any number of spatial dimensions; `stride`, `padding` (zeros, both sides) and `dilation` are an
    int or one int a spatial dimension.
    """
    _check_type("x", x)
    _check_type("w", w)
    geometry = Geometry("x", x.shape, w.shape, stride, padding, dilation, groups)
    out = _output(out, geometry.out_shape, accumulate)
    x, w = x.contiguous(), w.contiguous()
    _C.ring_conv(*_pointers(out, x, w), *geometry.arguments, accumulate, negate, *_threads())
    return out


def conv_input(
    g: Tensor,
    w: Tensor,
    input_size: Sequence[int],
    *,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    out: Tensor | None = None,
    accumulate: bool = False,
    negate: bool = False,
) -> Tensor:
    """The gradient of `conv` in x, of shape `input_size`, from the gradient g of its result."""
    _check_type("g", g)
    _check_type("w", w)
    geometry = Geometry("input_size", input_size, w.shape, stride, padding, dilation, groups)
    _check_shape("g", g, geometry.out_shape)
    out = _output(out, tuple(input_size), accumulate)
    g, w = g.contiguous(), w.contiguous()
    _C.ring_conv_input(*_pointers(out, g, w), *geometry.arguments, accumulate, negate, *_threads())
    return out


def conv_weight(
    x: Tensor,
    g: Tensor,
    kernel_size: Sequence[int],
    *,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    out: Tensor | None = None,
    accumulate: bool = False,
    negate: bool = False,
) -> Tensor:
    """The gradient of `conv` in w (O, C/groups, *kernel_size), from the gradient g of its result.

    `kernel_size` has one int a spatial dimension.
    """
    _check_type("x", x)
    _check_type("g", g)
    if x.dim() < 3 or g.dim() != x.dim():
        raise ValueError(
            f"`x` and `g` must be (N, C, *S) and (N, O, *S'), not {_shape(x)} and {_shape(g)}"
        )
    weight = (g.shape[1], x.shape[1] // max(groups, 1), *kernel_size)
    geometry = Geometry("x", x.shape, weight, stride, padding, dilation, groups)
    _check_shape("g", g, geometry.out_shape)
    out = _output(out, weight, accumulate)
    x, g = x.contiguous(), g.contiguous()
    _C.ring_conv_weight(*_pointers(out, x, g), *geometry.arguments, accumulate, negate, *_threads())
    return out


def product_share(
    cx: Tensor, y: Tensor, rx: Tensor, cy: Tensor, z: Tensor, out: Tensor | None = None
) -> Tensor:
    """out = cx*y - rx*cy + z, element by element: a share of a product from two openings.

    All contiguous and of one shape; `out` may be one of the operands.
    """
    out = _elements(out, cx=cx, y=y, rx=rx, cy=cy, z=z)
    _C.ring_product_share(*_pointers(out, cx, y, rx, cy, z), out.numel(), *_threads())
    return out


def square_share(c: Tensor, r: Tensor, z: Tensor, first: bool, out: Tensor | None = None) -> Tensor:
    """out = (c*c if first else 0) - 2*c*r + z: a share of a square from one opening."""
    out = _elements(out, c=c, r=r, z=z)
    _C.ring_square_share(*_pointers(out, c, r, z), first, out.numel(), *_threads())
    return out


def bit_product_share(
    plane: Tensor, g: Tensor, cg: Tensor, beta: Tensor, beta_rg: Tensor, out: Tensor | None = None
) -> Tensor:
    """out = b*g + s*(cg*beta - beta_rg) with s = 1 - 2b: a share of a secret bit times a secret.

    `plane` is a bit plane of words(n) words: b of element i is bit i & 63 of word i >> 6.
    """
    out = _elements(out, g=g, cg=cg, beta=beta, beta_rg=beta_rg)
    _check_plane(plane, out.numel())
    _C.ring_bit_product_share(
        *_pointers(out, plane, g, cg, beta, beta_rg), out.numel(), *_threads()
    )
    return out


def bit_share(plane: Tensor, beta: Tensor, first: bool, out: Tensor | None = None) -> Tensor:
    """out = (b if first else 0) + s*beta with s = 1 - 2b: a share of a secret bit as 0 or 1."""
    out = _elements(out, beta=beta)
    _check_plane(plane, out.numel())
    _C.ring_bit_share(*_pointers(out, plane, beta), first, out.numel(), *_threads())
    return out


def join(total: Tensor, message: memoryview, first: int = 0, *, add: bool) -> None:
    """Add (or xor) the words of a message to those of `total` from the `first` on, in place.

    total: contiguous, of any shape. message: whole words that lie side by side. ValueError where
    they go beyond the end of `total`.
    """
    _check_type("total", total)
    _check_contiguous("total", total)
    count, rest = divmod(message.nbytes, 8)
    if rest or first < 0 or first + count > total.numel():
        raise ValueError(
            f"`message` of {message.nbytes} bytes does not fit at word {first} of {total.numel()}"
        )
    _C.ring_join(total.data_ptr() + 8 * first, message, add)


class Geometry:
    """Sizes of one convolution, checked in exact integers; ValueError where they do not fit.

    source: names the argument with the input's shape x in messages. out_shape: the result's.
    """

    def __init__(
        self, source: str, x: Sequence[int], w: Sequence[int],
        stride: Ints, padding: Ints, dilation: Ints, groups: int,
    ) -> None:  # fmt: skip
        rank = len(w) - 2
        if rank < 1 or len(x) != len(w):
            raise ValueError(
                f"`{source}` {tuple(x)} and the kernel {tuple(w)} differ in dimensions"
            )
        if groups < 1 or w[0] % groups or x[1] != w[1] * groups:
            raise ValueError(
                f"`groups` = {groups} does not fit {x[1]} channels and a kernel {tuple(w)}"
            )
        steps = _per_dim("stride", stride, rank, 1)
        zeros = _per_dim("padding", padding, rank, 0)
        spread = _per_dim("dilation", dilation, rank, 1)
        dims = zip(x[2:], w[2:], steps, zeros, spread, strict=True)
        spatial = [(n + 2 * z - d * (k - 1) - 1) // s + 1 for n, k, s, z, d in dims]
        if min(w[2:]) < 1 or min(spatial) < 1:
            raise ValueError(f"the kernel {tuple(w)} does not fit in `{source}` {tuple(x)}")
        self.out_shape = (x[0], w[0], *spatial)
        self.arguments = (
            (x[0], x[1], w[0], groups), tuple(x[2:]), tuple(w[2:]), spatial, steps, zeros, spread,
        )  # fmt: skip


def _per_dim(name: str, value: Ints, rank: int, least: int) -> tuple[int, ...]:
    values = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(values) != rank or min(values) < least:
        raise ValueError(f"`{name}` must be {rank} ints of at least {least}, not {value}")
    return values


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


def _threads() -> tuple[int]:
    return (torch.get_num_threads(),)


def _pointers(out: Tensor, *operands: Tensor) -> tuple[int, ...]:
    return (out.data_ptr(), *(t.data_ptr() for t in operands))


def _broadcast(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    try:
        batch = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except RuntimeError:
        raise ValueError(
            f"the batch dimensions of `a` {_shape(a)} and `b` {_shape(b)} do not broadcast"
        ) from None
    return a.expand(*batch, *a.shape[-2:]), b.expand(*batch, *b.shape[-2:])


def _check_type(name: str, tensor: Tensor) -> None:
    if not (isinstance(tensor, Tensor) and tensor.dtype is torch.int64 and tensor.is_cpu):
        kind = f"{tensor.dtype} on {tensor.device}" if isinstance(tensor, Tensor) else type(tensor)
        raise TypeError(f"`{name}` must be an int64 tensor on the CPU, not {kind}")


def _check_shape(name: str, tensor: Tensor, shape: Sequence[int]) -> None:
    if _shape(tensor) != tuple(shape):
        raise ValueError(f"`{name}` must have shape {tuple(shape)}, not {_shape(tensor)}")


def _check_contiguous(name: str, tensor: Tensor) -> None:
    if not tensor.is_contiguous():
        raise ValueError(f"`{name}` must be contiguous")


def _check_plane(plane: Tensor, n: int) -> None:
    _check_type("plane", plane)
    _check_contiguous("plane", plane)
    if plane.numel() < (n + 63) // 64:
        raise ValueError(f"`plane` holds {plane.numel()} words, too few for {n} bits")


def _output(out: Tensor | None, shape: Sequence[int], accumulate: bool = False) -> Tensor:
    if out is None:
        if accumulate:
            raise ValueError("`accumulate` needs `out`")
        return torch.empty(shape, dtype=torch.int64)
    _check_type("out", out)
    _check_shape("out", out, shape)
    _check_contiguous("out", out)
    return out


def _elements(out: Tensor | None, **operands: Tensor) -> Tensor:
    """Check element-wise operands, contiguous and of one shape; the output, made if not given."""
    shape = next(iter(operands.values())).shape
    for name, tensor in operands.items():
        _check_type(name, tensor)
        _check_shape(name, tensor, shape)
        _check_contiguous(name, tensor)
    return _output(out, shape)
