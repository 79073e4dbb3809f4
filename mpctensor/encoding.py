"""Real numbers as ring elements and back; no secrecy is involved here.

A value v is carried as the integer round(v * scale) in Z_2^64, read as a signed number. The scale
is 2^f in base 2 and a power of ten in base 10. |v * scale| must stay below 2^62, so that sums,
comparisons and truncations have room.
"""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor

from .errors import EncodingError

RANGE_BITS = 62
SATURATION_BITS = 46  # where public values out of range come to rest: |v * scale|
INFINITE = 2.0**60  # public numbers from here on mean infinity
LARGEST_FILL = 2.0**29  # where these come to rest: |v|, with room for a factor of 16 bits


def describe_scale(scale: int) -> str:
    """How a scale is spoken of: `16 fractional bits`, `3 fractional digits`, `integers`."""
    if scale == 1:
        return "integers"
    if scale & (scale - 1) == 0:
        return f"{scale.bit_length() - 1} fractional bits"
    digits = len(str(scale)) - 1
    return f"{digits} fractional digits" if scale == 10**digits else f"scale {scale}"


def describe_bound(scale: int) -> str:
    """Below what |v| must be: `2**46`."""
    room = RANGE_BITS - log2(scale)
    return f"2**{room:.0f}" if room == int(room) else f"{2.0**room:.3g}"


def encode(value: Tensor, scale: int, saturate: bool = False) -> Tensor:
    """Ring elements (int64, contiguous) of a plain tensor.

    saturate: values out of range come to rest at +-2^46 / scale instead of raising, and infinities
    where `saturated` has them; meant for public fill values and bounds only.
    Raises EncodingError with the place of the first value that is NaN, infinite or too large; never
    the value, which may be secret.
    """
    if value.is_complex():
        raise EncodingError(
            f"`{value.dtype}` cannot be encrypted; encrypt real and imaginary parts"
        )
    if not value.is_floating_point():
        return _encode_integers(value, scale)
    scaled = value.detach().to(torch.float64) * scale
    limit = 2.0**RANGE_BITS
    if saturate:
        bound = 2.0**SATURATION_BITS
        if bool(scaled.isnan().any()):
            raise EncodingError("a public value is NaN, which shares cannot hold")
        huge = value.abs() >= INFINITE
        scaled = torch.where(huge, saturated(value, scale) * scale, scaled.clamp(-bound, bound))
    elif scaled.numel():
        low, high = torch.aminmax(scaled)
        if not (low.item() > -limit and high.item() < limit):
            raise EncodingError(_complaint(_place(~(scaled.abs() < limit)), scale))
    return scaled.round_().to(torch.int64).contiguous()


def saturated(value: Tensor, scale: int) -> Tensor:
    """The value with infinities, and fills like finfo.min, at the largest number there is room for.

    At scale 1 they are integers.
    """
    largest = 2.0**60 if scale == 1 else min(LARGEST_FILL, 2.0**61 / scale)
    return torch.where(value.abs() >= INFINITE, value.sign() * largest, value)


def _encode_integers(value: Tensor, scale: int) -> Tensor:
    raw = value.detach().to(torch.int64)
    limit = (1 << RANGE_BITS) // scale
    if raw.numel():
        low, high = torch.aminmax(raw)
        if low.item() < -limit or high.item() > limit:
            raise EncodingError(_complaint(_place((raw < -limit) | (raw > limit)), scale))
    return (raw * scale).contiguous() if scale != 1 else raw.clone().contiguous()


def check_room(number: float, scale: int) -> None:
    """Raise EncodingError, with the number, where a public one does not fit at this scale."""
    if not abs(number * scale) < 2.0**RANGE_BITS:
        raise EncodingError(_complaint(f"{number:.6g}", scale))


def _place(wrong: Tensor) -> str:
    """`x[0, 3]`: the first element that is marked."""
    first = ", ".join(map(str, wrong.nonzero()[0].tolist()))
    return f"`x[{first}]`" if first else "`x`"


def _complaint(what: str, scale: int) -> str:
    bound = describe_bound(scale)
    return (
        f"{what} is out of range; with {describe_scale(scale)} |x| must be below {bound}"
        " (and products below 2**30 at the default precision): scale the data down, replace NaN"
        " and inf, or choose a smaller precision"
    )


def decode(raw: Tensor, scale: int, dtype: torch.dtype) -> Tensor:
    """The plain tensor of signed ring elements at a scale."""
    if dtype == torch.bool:
        return raw != 0
    if not dtype.is_floating_point:
        whole = raw if scale == 1 else torch.round(raw.to(torch.float64) / scale)
        return whole.to(dtype)
    return (raw.to(torch.float64) / scale).to(dtype)
