"""Which instruction set the kernels use."""

from mpctensor import _C


def isa() -> str:
    """Name of the instruction set in use: "portable", "avx2" or "avx512".

    The best of this machine, capped by the environment variable `MPCTENSOR_ISA` at import.
    """
    return _C.isa()


def force_isa(name: str) -> None:
    """Use this instruction set from now on; for tests and benchmarks only.

    Raises ValueError if `name` is unknown or this machine lacks it.
    """
    _C.force_isa(name)
