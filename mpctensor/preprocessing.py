"""`preprocess`: the provider deals the next steps while the parties are still at this one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import SessionError
from .starting import current


@contextmanager
def preprocess(steps: int = 1, *, path: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """Note what the enclosed step asks of the provider, then have the next steps dealt ahead.

        for x, y in batches:
            with mpctensor.preprocess():
                step(x, y)

    While parties work on one step, the provider deals for the next, so nobody waits for it; what
    could not be foreseen (a batch of another shape) is asked for when it comes. steps: how many to
    deal ahead. path: a new file at the party that receives corrections; all is dealt to it before
    the block ends, and read back step by step: the offline phase. Each correction is used once,
    and the file goes with the session. In a simulated session there is nothing to wait for, and
    this does nothing. Raises SessionError where steps is below 1, and before the step where no new
    file can be made at `path`.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise SessionError(f"`steps` is {steps!r}; use a whole number from 1")
    session = current()
    session.begin_step(path)
    try:
        yield
    except BaseException:
        session.drop_step()
        raise
    session.deal_ahead(steps, path)
