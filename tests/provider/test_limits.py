"""Limits let real work pass, stop what is too large before it is dealt, and name the setting."""

from dataclasses import replace

import pytest

from mpctensor.errors import RequestError
from mpctensor.provider import Limits, MaskView, Quota, Request, check
from mpctensor.provider.limits import cost
from tests.provider.recorded import one_of_each
from tests.provider.test_checks import LESS, asked, conv, exponentials, mask

MILLIONS = MaskView(1, 10**7, (10**7,), (1,), 0)
LARGE = MaskView(1, 1 << 24, (1 << 12, 1 << 12), (1 << 12, 1), 0)
REAL = {
    "relu": Request("less_than", 5, (MILLIONS,), ("select_shift", 16, 1)),
    "sigmoid": asked("harmonics", (MILLIONS,), 1, 16, 27),
    "matmul": asked("product", (LARGE, LARGE), "matmul", (1 << 12, 1 << 12)),
    "weights of a batch": asked(
        "product",
        (mask(512, 128, 768), MaskView(1, 768 * 3072, (512, 768, 3072), (0, 3072, 1), 0)),
        "matmul",
        (512, 128, 3072),
    ),
    "convolution": conv(
        (1, 1), (1, 1), (1, 1), 1, x=(128, 64, 56, 56), w=(64, 64, 3, 3), size=(128, 64, 56, 56)
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_large_real_requests_pass(name: str) -> None:
    check(REAL[name], Limits())


def test_hours_of_training_fit_a_session() -> None:
    limits = Limits()
    step = [cost(request) for request in REAL.values()]
    assert 50_000 * sum(c.dealt for c in step) < limits.session_dealt
    assert 50_000 * sum(c.work for c in step) < limits.session_work


TOO_LARGE = [
    (LESS, "request_dealt", "it takes 414 bytes dealt, more than the 413 of `request_dealt`"),
    (LESS, "request_memory", "bytes of memory, more than the"),
    (LESS, "request_work", "operations, more than the"),
    (mask(6), "mask_elements", "a mask has 6 elements, more than the 5 of `mask_elements`"),
]


@pytest.mark.parametrize("what, setting, message", TOO_LARGE, ids=[row[1] for row in TOO_LARGE])
def test_one_below_the_cost_is_too_little(what: object, setting: str, message: str) -> None:
    request = what if isinstance(what, Request) else asked("square", (mask(6),))
    found = cost(request)
    least = {
        "request_dealt": found.dealt,
        "request_memory": found.memory,
        "request_work": found.work,
        "mask_elements": 6,
    }[setting]
    check(request, replace(Limits(), **{setting: least}))
    with pytest.raises(RequestError, match=setting) as caught:
        check(request, replace(Limits(), **{setting: least - 1}))
    assert message in str(caught.value)


def test_cost_counts_what_a_request_expands() -> None:
    sparse = MaskView(1, 10**6, (2,), (999_999,), 0)
    assert cost(asked("square", (sparse,))).work > 10**6
    matmul = asked("product", (mask(30, 40), mask(40, 50)), "matmul", (30, 50))
    assert 60_000 < cost(matmul).work < 72_000
    narrow = asked("product", (mask(10**6, id=1), mask(10**6)), "mul", (10**6,))
    assert 16 * 10**6 < cost(narrow).memory < 128 * 10**6
    padded = conv((1000,) * 2, (999,) * 2, (1, 1), 2, w=(6, 2, 1, 1), size=(2, 6, 3, 3))
    assert cost(padded).memory > 8 * 2 * 4 * 1000**2 and cost(padded).work > 8 * 1000**2
    apart = asked(
        "product",
        (mask(1, 1, 1, 1), mask(1, 1, 1, 1)),
        "conv_input",
        *((500, 500), (0, 0), (1, 1), 1, (1, 1, 500, 500), (1, 1, 500, 500)),
    )
    assert cost(apart).work > 1000 * 500**2  # a small matrix product for each of the classes


def test_cost_of_real_requests() -> None:
    for request in one_of_each():
        found = cost(request)
        assert found.dealt == request.dealt_bytes
        assert 8 * found.work >= found.dealt and found.memory >= found.dealt


def test_quota_of_dealt_bytes() -> None:
    quota = Quota(replace(Limits(), session_dealt=1000))
    quota.charge(LESS)
    quota.charge(LESS)
    with pytest.raises(RequestError) as caught:
        quota.charge(LESS)
    assert str(caught.value) == (
        "this session has used 828 of its quota of 1000 bytes dealt and asks for 414 more; raise"
        " `session_dealt`, a setting of the provider, or begin a new session"
    )
    quota.charge(asked("wrap", (), 10, 16))  # what still fits passes
    assert quota.dealt == 848


def test_quota_of_work() -> None:
    request = exponentials(1, 3, 1, 0)
    quota = Quota(replace(Limits(), session_work=3 * cost(request).work))
    for _ in range(3):
        quota.charge(request)
    with pytest.raises(RequestError, match="raise `session_work`"):
        quota.charge(request)
    assert quota.work == 3 * cost(request).work


@pytest.mark.parametrize("value", [0, -1, 1.5, True, 1 << 61])
def test_bad_settings(value: int) -> None:
    with pytest.raises(ValueError, match="`session_work` is"):
        Limits(session_work=value)
