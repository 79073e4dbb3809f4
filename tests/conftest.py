"""What every test gets: fixed plain randomness, and for kernels each instruction set in turn."""

from collections.abc import Iterator

import pytest
import torch

from mpctensor import kernels


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=["portable", "avx2", "avx512"])
def each_isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once per instruction set of this machine; yields its name."""
    before = kernels.isa()
    try:
        kernels.force_isa(request.param)
    except ValueError as error:
        pytest.skip(str(error))
    yield request.param
    kernels.force_isa(before)
