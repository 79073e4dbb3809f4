"""Threads change the time, never the result: several callers at once, and a forked child."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from mpctensor import kernels

KEY = b"0123456789abcdef"
SIZE = 1 << 20


@pytest.fixture(autouse=True)
def two_threads() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def expected(stream: int) -> torch.Tensor:
    torch.set_num_threads(1)
    words = kernels.prg(KEY, stream, 0, SIZE)
    torch.set_num_threads(2)
    return words


def test_callers_at_once_do_not_disturb_each_other() -> None:
    wanted = [expected(stream) for stream in range(4)]
    with ThreadPoolExecutor(4) as callers:
        for _ in range(5):
            results = callers.map(lambda stream: kernels.prg(KEY, stream, 0, SIZE), range(4))
            for result, words in zip(results, wanted, strict=True):
                assert torch.equal(result, words)


def test_many_short_calls() -> None:
    a, b = torch.arange(64 * 64).view(64, 64), torch.arange(64 * 4096).view(64, 4096)
    wanted = a @ b
    assert all(torch.equal(kernels.matmul(a, b), wanted) for _ in range(200))


def _in_child(queue: multiprocessing.Queue[int]) -> None:
    queue.put(int(kernels.prg(KEY, 1, 0, SIZE)[-1]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_child_works_alone() -> None:
    wanted = int(kernels.prg(KEY, 1, 0, SIZE)[-1])
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[int] = context.Queue()  # type: ignore[assignment]
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=30) == wanted
    child.join()
