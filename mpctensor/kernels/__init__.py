"""The compiled kernels: ring arithmetic and bit planes on int64 tensors.

One thin module a folder of csrc/, with the same function names. They check dtype, contiguity and
sizes, allocate outputs and pass the number of threads; they are the only Python that calls `_C`.
Nothing here knows what a share is.
"""

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError(
        "mpctensor needs PyTorch: install it with `pip install torch` and import again."
    ) from None
try:
    import mpctensor._C  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "mpctensor._C":
        raise
    raise ImportError(
        "mpctensor's compiled kernels (`mpctensor._C`) are not built: run `make build` in the "
        "source tree, or `pip install --no-build-isolation .`, and import again."
    ) from None

from mpctensor.kernels import pages as _pages  # noqa: F401  (before torch makes a tensor)
from mpctensor.kernels.arguments import Source, words
from mpctensor.kernels.compare import (
    EQUAL,
    EQUAL_WIDE,
    LESS,
    LESS_WIDE,
    Digits,
    beta_deal,
    bit_hat,
    bit_values,
    lookup,
    merge,
    merge_deal,
    pack,
    relu_shift_deal,
    rows_deal,
    select_deal,
    select_share,
    select_shift_share,
)
from mpctensor.kernels.cpu import force_isa, isa
from mpctensor.kernels.prg import prg, prg_bundle, prg_combine
from mpctensor.kernels.ring import (
    Geometry,
    bit_product_share,
    bit_share,
    conv,
    conv_input,
    conv_weight,
    join,
    matmul,
    product_share,
    square_share,
)
from mpctensor.kernels.truncate import (
    open_divide,
    open_divide_deal,
    open_shift,
    open_shift_deal,
    wrap_deal,
    wrap_divide,
    wrap_open,
    wrap_shift,
)

__all__ = [
    "EQUAL",
    "EQUAL_WIDE",
    "LESS",
    "LESS_WIDE",
    "Digits",
    "Geometry",
    "Source",
    "beta_deal",
    "bit_hat",
    "bit_product_share",
    "bit_share",
    "bit_values",
    "conv",
    "conv_input",
    "conv_weight",
    "force_isa",
    "isa",
    "join",
    "lookup",
    "matmul",
    "merge",
    "merge_deal",
    "open_divide",
    "open_divide_deal",
    "open_shift",
    "open_shift_deal",
    "pack",
    "prg",
    "prg_bundle",
    "prg_combine",
    "product_share",
    "relu_shift_deal",
    "rows_deal",
    "select_deal",
    "select_share",
    "select_shift_share",
    "square_share",
    "words",
    "wrap_deal",
    "wrap_divide",
    "wrap_open",
    "wrap_shift",
]
